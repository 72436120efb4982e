//! A request cut into pieces that fit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The data of a request with its texts apart.
#[derive(Debug)]
pub(super) struct Split<'a> {
    /// Every other member, as `,"key":value`.
    rest: String,
    texts: Vec<&'a RawValue>,
}

/// A request that cannot be cut so far that it fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub(super) bytes: usize,
    /// The text that is too large; `None` if the request is too large without any.
    pub(super) index: Option<usize>,
}

/// Texts of one call.
#[derive(Debug)]
pub(super) struct Batch<'s, 'a> {
    pub(super) texts: &'s [&'a RawValue],
    /// Of the envelope with them.
    pub(super) bytes: usize,
}

impl<'a> Split<'a> {
    pub(super) fn new(data: &'a str) -> Result<Self, serde_json::Error> {
        let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(data)?;
        let texts = members.remove("texts").map(|texts| serde_json::from_str(texts.get())).transpose()?;
        let mut rest = String::new();
        for (key, value) in members {
            rest.push(',');
            rest.push_str(&serde_json::to_string(&key)?);
            rest.push(':');
            rest.push_str(value.get());
        }
        Ok(Self { rest, texts: texts.unwrap_or_default() })
    }

    /// The data of a request for some of the texts.
    pub(super) fn data(&self, texts: &[&RawValue]) -> String {
        let texts: Vec<_> = texts.iter().map(|text| text.get()).collect();
        format!("{{\"texts\":[{}]{}}}", texts.join(","), self.rest)
    }

    /// Runs of texts, each as long as it can be, when an envelope without texts has `head` bytes.
    pub(super) fn batches(&self, head: usize, room: usize) -> Result<Vec<Batch<'_, 'a>>, TooLarge> {
        if head > room {
            return Err(TooLarge { bytes: head, index: None });
        }
        let mut batches = Vec::new();
        let (mut start, mut size) = (0, head);
        for (index, text) in self.texts.iter().enumerate() {
            let bytes = text.get().len();
            if head + bytes > room {
                return Err(TooLarge { bytes: head + bytes, index: Some(index) });
            }
            let comma = usize::from(index > start);
            if size + comma + bytes > room {
                batches.extend(self.texts.get(start..index).map(|texts| Batch { texts, bytes: size }));
                (start, size) = (index, head + bytes);
            } else {
                size += comma + bytes;
            }
        }
        batches.extend(self.texts.get(start..).map(|texts| Batch { texts, bytes: size }));
        Ok(batches)
    }
}
