//! Lines out of a stream of bytes, whatever the bytes are.

/// A longer line is cut; nobody reads more of it and memory stays bounded.
const LONGEST: usize = 8 * 1024;

/// Puts lines together; both `\n` and `\r` end one, and empty ones are dropped.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// The lines that `data` completes.
    pub(crate) fn push(&mut self, data: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        let mut pieces = data.split(|byte| matches!(byte, b'\n' | b'\r')).peekable();
        while let Some(piece) = pieces.next() {
            let room = LONGEST - self.partial.len();
            self.partial.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if pieces.peek().is_some() {
                complete.extend(self.rest());
            }
        }
        complete
    }

    /// What has come of a line that nothing ended.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_become_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), ["one"]);
        assert_eq!(lines.push(b"o\r\n\n"), ["two"]);
        assert!(lines.push(b"thr").is_empty());
        assert_eq!(lines.rest().as_deref(), Some("thr"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_does_not_grow() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.push(&[b'x'; 1000]).is_empty());
        }
        assert_eq!(lines.push(b"y\nz\n"), ["x".repeat(LONGEST), "z".into()]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(data: Vec<u8>, cut in 0usize..300) {
            let mut whole = Lines::default();
            let mut expected = whole.push(&data);
            expected.extend(whole.rest());
            let mut parts = Lines::default();
            let (head, rest) = data.split_at(cut.min(data.len()));
            let mut seen = parts.push(head);
            seen.extend(parts.push(rest));
            seen.extend(parts.rest());
            prop_assert_eq!(seen, expected);
        }
    }
}
