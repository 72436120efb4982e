//! Edits to a text, in the order of the text.

use std::borrow::Cow;

/// What has to change in a document.
#[derive(Debug, Default)]
pub(super) struct Mend {
    edits: Vec<Edit>,
    line_ends: bool,
}

#[derive(Debug)]
struct Edit {
    at: usize,
    remove: usize,
    put: Put,
}

#[derive(Debug)]
enum Put {
    Json(Cow<'static, str>),
    /// A key and its value, after a comma where others go before it.
    Member {
        comma: bool,
        name: &'static str,
        json: &'static str,
    },
}

impl Mend {
    pub(super) fn clear(&mut self) {
        self.edits.clear();
        self.line_ends = false;
    }

    /// There is a line end between two tokens.
    pub(super) fn line_end(&mut self) {
        self.line_ends = true;
    }

    pub(super) fn replace(&mut self, at: usize, remove: usize, json: &'static str) {
        self.edits.push(Edit { at, remove, put: Put::Json(Cow::Borrowed(json)) });
    }

    pub(super) fn replace_with(&mut self, at: usize, remove: usize, json: String) {
        self.edits.push(Edit { at, remove, put: Put::Json(Cow::Owned(json)) });
    }

    /// As [`replace`](Self::replace), in place of all edits from there on.
    pub(super) fn overwrite(&mut self, at: usize, remove: usize, json: &'static str) {
        while self.edits.last().is_some_and(|edit| edit.at >= at) {
            self.edits.pop();
        }
        self.replace(at, remove, json);
    }

    pub(super) fn insert(&mut self, at: usize, comma: bool, name: &'static str, json: &'static str) {
        self.edits.push(Edit { at, remove: 0, put: Put::Member { comma, name, json } });
    }

    pub(super) fn of<'a>(&'a self, text: &'a [u8]) -> Mended<'a> {
        Mended { text, mend: self }
    }
}

/// A document as it is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Mended<'a> {
    text: &'a [u8],
    mend: &'a Mend,
}

impl<'a> Mended<'a> {
    /// The pieces that it is made of. Line ends can be between tokens: see [`Mended::append_to`].
    pub fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        let last = self.mend.edits.last().map_or(0, |edit| edit.at + edit.remove);
        let rest = self.text.get(last..).unwrap_or_default();
        let mut done = 0;
        let edits = self.mend.edits.iter().flat_map(move |edit| {
            let before = self.text.get(done..edit.at).unwrap_or_default();
            done = edit.at + edit.remove;
            let [a, b, c, d] = match &edit.put {
                Put::Json(json) => [json.as_bytes(), b"", b"", b""],
                Put::Member { comma, name, json } => {
                    let open: &[u8] = if *comma { b",\"" } else { b"\"" };
                    [open, name.as_bytes(), b"\":", json.as_bytes()]
                }
            };
            [before, a, b, c, d]
        });
        edits.chain([rest])
    }

    /// Appends it, on one line.
    pub fn append_to(self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.mend.edits.is_empty() {
            out.extend_from_slice(self.text);
        } else {
            for piece in self.pieces() {
                out.extend_from_slice(piece);
            }
        }
        if self.mend.line_ends {
            // strings have no raw ones, so that all of them are between tokens
            for byte in out.get_mut(start..).unwrap_or_default() {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
    }

    /// Whether nothing had to be changed.
    pub fn is_unchanged(self) -> bool {
        self.mend.edits.is_empty() && !self.mend.line_ends
    }
}
