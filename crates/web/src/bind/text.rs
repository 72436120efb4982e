//! Values that arrive as text: path parameters, query strings, forms.

use std::fmt::Display;

use percent_encoding::percent_decode;
use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{self, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

type Error = serde_json::Error;

/// The values of each name, in their order.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<(String, Vec<String>)>);

impl Texts {
    /// Adds the pairs of a query string or of a form. What does not decode to UTF-8 is replaced, as browsers do.
    pub(super) fn add_query(&mut self, query: &str) {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape(name), unescape(value));
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => self.0.push((name, vec![value])),
            }
        }
    }

    pub(super) fn into_pairs(self) -> std::vec::IntoIter<(String, Vec<String>)> {
        self.0.into_iter()
    }
}

fn unescape(text: &str) -> String {
    let spaced: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// The values of one name as whatever its field asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a [String]);

impl<'a> Text<'a> {
    fn first(self) -> &'a str {
        self.0.first().map_or("", String::as_str)
    }

    /// An empty text is the zero value, as it is for the reference.
    fn parse<T: Default + std::str::FromStr<Err: Display>>(self, what: &str) -> Result<T, Error> {
        let text = self.first();
        if text.is_empty() {
            return Ok(T::default());
        }
        text.parse().map_err(|error| Error::custom(format_args!("'{text}' is not {what}: {error}")))
    }
}

macro_rules! parse_numbers {
    ($($method:ident $visit:ident $what:literal,)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.parse($what)?)
        })+
    };
}

impl<'de> de::Deserializer<'de> for Text<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.first())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.first();
        let value = if text.is_empty() { Some(false) } else { plugin_service::config::parse_bool(text) };
        visitor.visit_bool(value.ok_or_else(|| Error::custom(format_args!("'{text}' is not a boolean")))?)
    }

    parse_numbers! {
        deserialize_i8 visit_i8 "a small integer",
        deserialize_i16 visit_i16 "a small integer",
        deserialize_i32 visit_i32 "an integer",
        deserialize_i64 visit_i64 "an integer",
        deserialize_u8 visit_u8 "a small positive integer",
        deserialize_u16 visit_u16 "a small positive integer",
        deserialize_u32 visit_u32 "a positive integer",
        deserialize_u64 visit_u64 "a positive integer",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number",
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.0.chunks(1).map(Text)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(StrDeserializer::new(self.first()))
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Text<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
