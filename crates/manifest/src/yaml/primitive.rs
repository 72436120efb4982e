//! Reading of texts, booleans, numbers, lists and options.

use std::borrow::Cow;

use super::{
    Dialect, Node, Read, Reader, Resolved,
    number::{as_f64, as_i64, as_u64},
};

impl Read for String {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        reader.text(node).map(Cow::into_owned).unwrap_or_default()
    }
}

impl Read for bool {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        match reader.resolved(node, "bool") {
            Some(Resolved::Bool(value)) => value,
            Some(Resolved::Text("y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON"))
                if reader.dialect() == Dialect::Yaml =>
            {
                true
            }
            Some(Resolved::Text("n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF"))
                if reader.dialect() == Dialect::Yaml =>
            {
                false
            }
            Some(_) => {
                reader.mismatch(node, "bool");
                false
            }
            None => false,
        }
    }
}

macro_rules! read_number {
    ($($target:ty: $convert:path, $what:literal;)*) => {$(
        impl Read for $target {
            fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
                let Some(resolved) = reader.resolved(node, $what) else { return Self::default() };
                $convert(&resolved).unwrap_or_else(|| {
                    reader.mismatch(node, $what);
                    Self::default()
                })
            }
        }
    )*};
}

read_number! {
    i64: as_i64, "integer";
    u64: as_u64, "unsigned integer";
    f64: as_f64, "number";
}

impl<T: Read> Read for Vec<T> {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        reader.items(node)
    }
}

impl<T: Read> Read for Option<T> {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        Some(T::read(node, reader))
    }
}
