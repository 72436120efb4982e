//! JSON as a tree, so that one reader serves both languages.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Dialect, Limits, Mark, Read, Scalar, Style, Tree, read_tree, tree::Data};

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut tree = Tree { entries: Vec::new(), dialect: Dialect::Json, limits: Limits::default(), size: 0 };
        Build(&mut tree).deserialize(deserializer)?;
        Ok(tree)
    }
}

/// Deserializes a value through the tolerant readers instead of serde's: nulls and missing keys give zero values, keys
/// match in any case (package-format 13.5).
pub(crate) fn deserialize<'de, T: Read, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    read_tree(&Tree::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Appends one value to a tree.
struct Build<'b, 'de>(&'b mut Tree<'de>);

impl<'de> Build<'_, 'de> {
    fn scalar<E: serde::de::Error>(self, text: Cow<'de, str>, style: Style) -> Result<(), E> {
        self.0.size += text.len();
        self.push(Data::Scalar(Scalar { text, style, tag: None })).map(|_| ())
    }

    fn push<E: serde::de::Error>(self, data: Data<'de>) -> Result<u32, E> {
        self.0.push(data, Mark::default()).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Build<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar(Cow::Borrowed("null"), Style::Plain)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Cow::Borrowed(if value { "true" } else { "false" }), Style::Plain)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Cow::Owned(value.to_string()), Style::Plain)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(Cow::Owned(value.to_string()), Style::Plain)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Cow::Owned(value.to_string()), Style::Plain)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<(), E> {
        self.scalar(Cow::Borrowed(text), Style::Quoted)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<(), E> {
        self.scalar(Cow::Owned(text), Style::Quoted)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let tree = self.0;
        let index = Build(tree).push(Data::Sequence)?;
        while items.next_element_seed(Build(tree))?.is_some() {}
        tree.close(index);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        let tree = self.0;
        let index = Build(tree).push(Data::Mapping)?;
        while pairs.next_key_seed(Build(tree))?.is_some() {
            pairs.next_value_seed(Build(tree))?;
        }
        tree.close(index);
        Ok(())
    }
}
