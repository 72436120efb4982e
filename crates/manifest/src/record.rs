//! How the objects of a declaration are written down: once, as a struct in the order of its JSON.

/// Declares a struct that serializes as package-format 13 says and reads itself from YAML and JSON.
///
/// A field is `name: Type`, preceded by its key where that is no good Rust name. It is read by its type, or by the function
/// behind `=`, which is given the whole mapping and the key. The function behind the closing brace's `then` makes the
/// final value of it, and may look at the mapping again.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $($key:literal)? $field:ident : $ty:ty $(= $by:expr)? ),* $(,)?
        }
        $(then $complete:expr)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub struct $name {
            $( $(#[$field_meta])* $(#[serde(rename = $key)])? pub $field: $ty, )*
        }

        impl $crate::yaml::Read for $name {
            fn read<'t>(node: $crate::yaml::Node<'t>, reader: &mut $crate::yaml::Reader<'t>) -> Self {
                let Some(mapping) = reader.mapping(node) else { return Self::default() };
                let record = Self {
                    $( $field: record!(@read mapping, reader, record!(@key $($key)? $field) $(, $by)?), )*
                };
                $( let record = $complete(record, &mapping, reader); )?
                record
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::yaml::deserialize(deserializer)
            }
        }
    };
    (@key $key:literal $field:ident) => { $key };
    (@key $field:ident) => { stringify!($field) };
    (@read $mapping:ident, $reader:ident, $key:expr) => { $reader.field(&$mapping, $key) };
    (@read $mapping:ident, $reader:ident, $key:expr, $by:expr) => { $by(&$mapping, $reader, $key) };
}
