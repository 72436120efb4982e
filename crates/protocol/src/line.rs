//! Cuts a byte stream into lines of bounded length (plugin-protocol 2.1 and 2.2).
//!
//! A line that is too long is not an end of the stream: it is thrown away as it arrives and reported once, with its
//! beginning, so that only the session it belongs to has to fail.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of a line that is too long that are kept, to find its session.
const HEAD: usize = 1024;
/// A buffer that a long line has blown up is given back when it is larger than this.
const KEPT: usize = 256 * 1024;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Within the limit.
    Whole(Bytes),
    /// Longer than the limit, and dropped.
    TooLong {
        /// Its first bytes.
        head: Bytes,
        /// Its length in bytes.
        length: usize,
    },
}

/// Bytes in, lines out. Ends are `\n` or `\r\n`; empty lines are skipped.
///
/// ```
/// use plugin_protocol::{Line, LineSplitter};
///
/// let mut lines = LineSplitter::new(5);
/// lines.buffer().extend_from_slice(b"one\n\nlonger\ntw");
/// assert_eq!(lines.next_line(), Some(Line::Whole("one".into())));
/// assert_eq!(lines.next_line(), Some(Line::TooLong { head: "longer".into(), length: 6 }));
/// assert_eq!(lines.next_line(), None); // the rest has not arrived
/// ```
#[derive(Debug)]
pub struct LineSplitter {
    buffer: BytesMut,
    /// How much of the buffer is known to have no line end.
    scanned: usize,
    limit: usize,
    skipped: Option<Skipped>,
}

#[derive(Debug)]
struct Skipped {
    head: Bytes,
    length: usize,
}

impl LineSplitter {
    /// Lines of at most `limit` bytes, their end not counted.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, limit, skipped: None }
    }

    /// Where to put what arrives.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole line of what has arrived.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', self.buffer.get(self.scanned..).unwrap_or_default()) else {
                self.wait_for_more();
                return None;
            };
            let mut line = self.buffer.split_to(self.scanned + offset);
            self.buffer.advance(1);
            self.scanned = 0;
            if let Some(mut skipped) = self.skipped.take() {
                skipped.length += line.len();
                return Some(Line::TooLong { head: skipped.head, length: skipped.length });
            }
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if line.len() > self.limit {
                return Some(Line::TooLong { head: head(&line), length: line.len() });
            }
            if !line.is_empty() {
                return Some(Line::Whole(line.freeze()));
            }
        }
    }

    /// What was left without an end when the stream ended.
    pub fn finish(&mut self) -> Option<Line> {
        let rest = self.buffer.split();
        self.scanned = 0;
        match self.skipped.take() {
            Some(skipped) => Some(Line::TooLong { head: skipped.head, length: skipped.length + rest.len() }),
            None if rest.is_empty() => None,
            None => Some(Line::Whole(rest.freeze())),
        }
    }

    /// There is no line end in the buffer: remember that, and drop what is over the limit anyway.
    fn wait_for_more(&mut self) {
        self.scanned = self.buffer.len();
        // one more than the limit, for the \r of a line that just fits
        if self.skipped.is_some() || self.buffer.len() > self.limit.saturating_add(1) {
            let skipped = self.skipped.get_or_insert_with(|| Skipped { head: head(&self.buffer), length: 0 });
            skipped.length += self.buffer.len();
            self.buffer.clear();
            self.scanned = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = BytesMut::new();
        }
    }
}

/// A copy, so that the whole line need not be kept for it.
fn head(line: &[u8]) -> Bytes {
    Bytes::copy_from_slice(line.get(..HEAD).unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]], limit: usize) -> Vec<String> {
        let mut splitter = LineSplitter::new(limit);
        let mut seen = Vec::new();
        let show = |line| match line {
            Line::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Line::TooLong { head, length } => format!("{length}:{}", head.len()),
        };
        for piece in pieces {
            splitter.buffer().extend_from_slice(piece);
            while let Some(line) = splitter.next_line() {
                seen.push(show(line));
            }
        }
        seen.extend(splitter.finish().map(show));
        seen
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(lines(&[b"\n\none\r", b"\n", b"\ntw", b"o\nthree\n\nrest"], 100), ["one", "two", "three", "rest"]);
    }

    #[test]
    fn long_lines_are_dropped_and_the_next_is_whole() {
        assert_eq!(lines(&[b"12345\r\n123456\n1234", b"567890", b"1\nok\n"], 5), ["12345", "6:6", "11:10", "ok"]);
        let long = vec![b'x'; 3 * HEAD];
        assert_eq!(lines(&[&long, b"\n"], HEAD), [format!("{}:{HEAD}", 3 * HEAD)]);
        assert_eq!(lines(&[&long], HEAD), [format!("{}:{HEAD}", 3 * HEAD)]);
    }

    #[test]
    fn a_long_line_leaves_no_large_buffer() {
        let mut splitter = LineSplitter::new(64 * 1024 * 1024);
        splitter.buffer().extend_from_slice(&vec![b'x'; 8 * 1024 * 1024]);
        assert_eq!(splitter.next_line(), None);
        splitter.buffer().extend_from_slice(b"\n");
        assert!(splitter.next_line().is_some());
        assert_eq!(splitter.next_line(), None);
        assert!(splitter.buffer().capacity() <= KEPT);
    }

    proptest::proptest! {
        #[test]
        fn however_it_arrives_the_lines_are_the_same(
            text in "[a-c\r\n]{0,80}", cuts in proptest::collection::vec(0usize..80, 0..6), limit in 1usize..20
        ) {
            let whole = lines(&[text.as_bytes()], limit);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(0);
            cuts.push(text.len());
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| text.as_bytes().get(pair[0]..pair[1]).unwrap()).collect();
            // a line that is too long may be reported with or without its \r: compare what can be read
            let readable = |lines: Vec<String>| lines.into_iter().filter(|l| !l.contains(':')).collect::<Vec<_>>();
            proptest::prop_assert_eq!(readable(lines(&pieces, limit)), readable(whole));
        }
    }
}
