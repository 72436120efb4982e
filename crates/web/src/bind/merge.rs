//! Path parameters, body and query string as one map of fields, the earlier winning over the later.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::lenient::{Lenient, next_key};
use super::text::{Text, Texts};

type Error = serde_json::Error;

/// Decodes `T`; the error is a sentence that names the place and the cause.
pub(super) fn decode<T: DeserializeOwned>(
    path: &[(String, String)],
    json: Option<&[u8]>,
    texts: Texts,
) -> Result<T, String> {
    let path = path.iter().map(|(name, value)| (name.clone(), vec![value.clone()])).collect::<Vec<_>>().into_iter();
    let request = Request { path, json, texts: texts.into_pairs() };
    serde_path_to_error::deserialize(request).map_err(|error| {
        let place = error.path().to_string();
        // `.` is the whole request, and `?` a key that could not be read
        match place.trim_end_matches(['?', '.']) {
            "" => format!("invalid request: {}", error.inner()),
            place => format!("invalid request: {place}: {}", error.inner()),
        }
    })
}

type Pairs = std::vec::IntoIter<(String, Vec<String>)>;

struct Request<'a> {
    path: Pairs,
    json: Option<&'a [u8]>,
    texts: Pairs,
}

impl<'a> Request<'a> {
    fn visit<V: de::Visitor<'a>>(self, fields: Option<&'static [&'static str]>, visitor: V) -> Result<V::Value, Error> {
        let Self { path, json, texts } = self;
        let merged = Merged { fields, path, body: (), texts, taken: Vec::new(), current: None };
        let Some(json) = json else { return visitor.visit_map(merged.with(NoBody::default())) };
        let mut body = serde_json::Deserializer::from_slice(json);
        let value = de::Deserializer::deserialize_map(&mut body, WithBody { merged, visitor })?;
        body.end()?;
        Ok(value)
    }
}

impl<'de> de::Deserializer<'de> for Request<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit(Some(fields), visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Waits for the JSON object, then gives the visitor all three sources.
struct WithBody<V> {
    merged: Merged<()>,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for WithBody<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, body: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(self.merged.with(body))
    }
}

/// A body without fields.
struct NoBody<E>(PhantomData<E>);

impl<E> Default for NoBody<E> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, E: de::Error> MapAccess<'de> for NoBody<E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, _: S) -> Result<S::Value, E> {
        Err(E::custom("a value without a key"))
    }
}

/// Where the value of the key just given comes from.
enum Current {
    Text(Vec<String>),
    Body(String),
}

struct Merged<A> {
    fields: Option<&'static [&'static str]>,
    path: Pairs,
    body: A,
    texts: Pairs,
    /// Names that a stronger source has given.
    taken: Vec<String>,
    current: Option<Current>,
}

impl Merged<()> {
    fn with<A>(self, body: A) -> Merged<A> {
        let Self { fields, path, body: (), texts, taken, current } = self;
        Merged { fields, path, body, texts, taken, current }
    }
}

impl<'de, A: MapAccess<'de>> Merged<A> {
    fn next_name(&mut self) -> Result<Option<String>, A::Error> {
        if let Some((name, values)) = self.path.next() {
            self.taken.push(name.clone());
            self.current = Some(Current::Text(values));
            return Ok(Some(name));
        }
        while let Some(name) = next_key(&mut self.body, self.fields)? {
            if self.taken.contains(&name) {
                self.body.next_value::<de::IgnoredAny>()?;
                continue;
            }
            self.current = Some(Current::Body(name.clone()));
            return Ok(Some(name));
        }
        for (name, values) in self.texts.by_ref() {
            if !self.taken.contains(&name) {
                self.current = Some(Current::Text(values));
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Merged<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(name) = self.next_name()? else { return Ok(None) };
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.current.take() {
            Some(Current::Text(values)) => seed.deserialize(Text(&values)).map_err(A::Error::custom),
            Some(Current::Body(name)) => {
                let value = self.body.next_value_seed(Lenient(seed));
                self.taken.push(name);
                value
            }
            None => Err(A::Error::custom("a value without a key")),
        }
    }
}
