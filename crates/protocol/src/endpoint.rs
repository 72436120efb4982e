//! The pieces of a webhook's answer (plugin-protocol 4.6).

use serde::Deserialize;

/// One piece: the head, a part of the body, or both.
///
/// ```
/// use plugin_protocol::endpoint::Piece;
///
/// let head = Piece::parse(br#"{"status": 202, "headers": {"X-Id": "7"}}"#)?;
/// assert_eq!((head.status, head.headers, head.body), (Some(202), vec![("X-Id".into(), "7".into())], None));
/// assert_eq!(Piece::parse(br#"{"result": "6869"}"#)?.body.as_deref(), Some(&b"hi"[..]));
/// assert!(Piece::parse(br#"{"result": "hi"}"#).is_err());
/// # Ok::<(), plugin_protocol::endpoint::PieceError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    /// A part of the body; an empty one also says that the head is complete.
    pub body: Option<Vec<u8>>,
}

/// Why a piece is none.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    #[error("expected an object")]
    NoObject,
    #[error("result is no hex text: {0}")]
    Hex(#[from] hex::FromHexError),
}

impl Piece {
    /// Reads the chunk of a plugin.
    pub fn parse(chunk: &[u8]) -> Result<Self, PieceError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            status: Option<u16>,
            #[serde(default)]
            headers: Option<Pairs>,
            #[serde(default)]
            result: Option<String>,
        }
        if !chunk.trim_ascii_start().starts_with(b"{") {
            return Err(PieceError::NoObject); // serde takes a list for a struct, too
        }
        let wire: Wire = serde_json::from_slice(chunk)?;
        let body = wire.result.map(hex::decode).transpose()?;
        Ok(Self { status: wire.status, headers: wire.headers.unwrap_or_default().0, body })
    }
}

/// The members of an object in their order, equal names included; null counts as an empty text.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                    pairs.push((name, value.unwrap_or_default()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        let check = |chunk: &str, status, headers: &[(&str, &str)], body: Option<&[u8]>| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let piece = Piece { status, headers, body: body.map(<[u8]>::to_vec) };
            assert_eq!(Piece::parse(chunk.as_bytes()).unwrap(), piece, "{chunk}");
        };
        check(
            r#"{"status":202,"headers":{"A":"1","a":"2","B":null},"result":"0061"}"#,
            Some(202),
            &[("A", "1"), ("a", "2"), ("B", "")],
            Some(b"\0a"),
        );
        check(r#"{"status":null,"headers":null,"result":null}"#, None, &[], None);
        check(r#"{"result":"FF","new":[1]}"#, None, &[], Some(&[255]));
        check(r#"{"result":""}"#, None, &[], Some(b""));
    }

    #[test]
    fn what_is_none() {
        for chunk in [
            r#"{"status":70000}"#,
            r#"{"status":-1}"#,
            r#"{"status":3.5}"#,
            r#"{"status":"200"}"#,
            r#"{"headers":"x"}"#,
            r#"{"headers":{"a":5}}"#,
            r#"{"result":5}"#,
            r#"{"result":"6x"}"#,
            r#"{"result":"686"}"#,
            "[]",
            "\"x\"",
        ] {
            assert!(Piece::parse(chunk.as_bytes()).is_err(), "{chunk}");
        }
    }
}
