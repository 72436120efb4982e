//! Files that an agent strategy sends in pieces, put together again (plugin-protocol 4.5).

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes of one piece.
const MAX_PIECE: usize = 8192;
/// Bytes of one file, asked before a piece is added.
const MAX_FILE: usize = 15 * 1024 * 1024;
/// Files of one call that are not complete yet.
const MAX_OPEN: usize = 64;

/// A piece that no file can be made of; the text reaches the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    #[error("file is too large: more than {MAX_FILE} bytes")]
    File,
    #[error("single file chunk is too large: {0} bytes, the limit is {MAX_PIECE}")]
    Piece(usize),
    #[error("invalid base64 in a file chunk: {0}")]
    Base64(String),
    #[error("too many files at a time: {MAX_OPEN} are not complete")]
    Open,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Merged {
    /// It is no piece of a file.
    Untouched,
    /// It was taken, or had no shape to be taken.
    Taken,
    /// The file is whole: the message in its place.
    File(Vec<u8>),
}

/// The pieces of one call.
#[derive(Debug, Default)]
pub struct BlobMerger {
    open: HashMap<String, Vec<u8>>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
}

/// `sequence` says nothing, and `total_length` is not believed: buffers grow with what arrives.
#[derive(Deserialize)]
struct Piece {
    id: String,
    #[serde(rename = "total_length")]
    _total_length: f64,
    blob: String,
    end: bool,
}

impl BlobMerger {
    /// Takes a message of the strategy, whose shape has been checked.
    pub fn take(&mut self, chunk: &[u8]) -> Result<Merged, BlobError> {
        if memchr::memmem::find(chunk, b"\"blob_chunk\"").is_none() {
            return Ok(Merged::Untouched);
        }
        let Ok(message) = serde_json::from_slice::<Chunk<'_>>(chunk) else { return Ok(Merged::Untouched) };
        if message.kind != "blob_chunk" {
            return Ok(Merged::Untouched);
        }
        let Some(Ok(piece)) = message.message.map(|message| serde_json::from_str::<Piece>(message.get())) else {
            return Ok(Merged::Taken);
        };
        if piece.end {
            let file = self.open.remove(&piece.id).unwrap_or_default();
            return Ok(Merged::File(whole(&file, message.meta)));
        }
        if !self.open.contains_key(&piece.id) && self.open.len() >= MAX_OPEN {
            return Err(BlobError::Open);
        }
        let file = self.open.entry(piece.id).or_default();
        if file.len() > MAX_FILE {
            return Err(BlobError::File);
        }
        let bytes = STANDARD.decode(&piece.blob).map_err(|error| BlobError::Base64(error.to_string()))?;
        if bytes.len() > MAX_PIECE {
            return Err(BlobError::Piece(bytes.len()));
        }
        file.extend_from_slice(&bytes);
        Ok(Merged::Taken)
    }
}

fn whole(file: &[u8], meta: Option<&RawValue>) -> Vec<u8> {
    let (head, middle) = (br#"{"type":"blob","message":{"blob":""#, br#""},"meta":"#);
    let meta = meta.map_or("null", RawValue::get);
    let encoded = file.len().div_ceil(3) * 4;
    let mut out = Vec::with_capacity(head.len() + encoded + middle.len() + meta.len() + 1);
    out.extend_from_slice(head);
    out.extend_from_slice(STANDARD.encode(file).as_bytes());
    out.extend_from_slice(middle);
    out.extend_from_slice(meta.as_bytes());
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: &str, blob: &str, end: bool) -> String {
        format!(
            r#"{{"type":"blob_chunk","message":{{"id":"{id}","sequence":0,"total_length":4611686018427387904,"blob":"{blob}","end":{end}}},"meta":{{"id":"{id}"}}}}"#
        )
    }

    fn file(blob: &str, meta: &str) -> Merged {
        Merged::File(format!(r#"{{"type":"blob","message":{{"blob":"{blob}"}},"meta":{meta}}}"#).into_bytes())
    }

    #[test]
    fn pieces_of_two_files_mixed() {
        let mut merger = BlobMerger::default();
        for (id, blob) in [("1", "b25l"), ("2", "dHdv"), ("1", "LW1vcmU=")] {
            assert_eq!(merger.take(piece(id, blob, false).as_bytes()), Ok(Merged::Taken));
        }
        assert_eq!(
            merger.take(br#"{"type":"text","message":{"text":"\"blob_chunk\""},"meta":null}"#),
            Ok(Merged::Untouched)
        );
        assert_eq!(merger.take(piece("2", "ignored", true).as_bytes()), Ok(file("dHdv", r#"{"id":"2"}"#)));
        assert_eq!(merger.take(piece("1", "", true).as_bytes()), Ok(file("b25lLW1vcmU=", r#"{"id":"1"}"#)));
        assert_eq!(
            merger.take(piece("1", "", true).as_bytes()),
            Ok(file("", r#"{"id":"1"}"#)),
            "an id can be used again"
        );
    }

    #[test]
    fn pieces_of_no_shape_are_left_out() {
        let mut merger = BlobMerger::default();
        for message in
            ["null", r#"{"id":1,"total_length":1,"blob":"","end":true}"#, r#"{"id":"1","blob":"","end":true}"#]
        {
            let chunk = format!(r#"{{"type":"blob_chunk","message":{message}}}"#);
            assert_eq!(merger.take(chunk.as_bytes()), Ok(Merged::Taken), "{message}");
        }
    }

    #[test]
    fn limits() {
        let mut merger = BlobMerger::default();
        assert_eq!(merger.take(piece("f", &STANDARD.encode([0; 8193]), false).as_bytes()), Err(BlobError::Piece(8193)));
        assert!(matches!(merger.take(piece("f", "!", false).as_bytes()), Err(BlobError::Base64(_))));
        let full = piece("f", &STANDARD.encode([0; MAX_PIECE]), false);
        let fits = MAX_FILE / MAX_PIECE + 1;
        for _ in 0..fits {
            assert_eq!(merger.take(full.as_bytes()), Ok(Merged::Taken));
        }
        assert_eq!(merger.take(full.as_bytes()), Err(BlobError::File));
        let mut merger = BlobMerger::default();
        for id in 0..MAX_OPEN {
            assert_eq!(merger.take(piece(&id.to_string(), "", false).as_bytes()), Ok(Merged::Taken));
        }
        assert_eq!(merger.take(piece("more", "", false).as_bytes()), Err(BlobError::Open));
    }
}
