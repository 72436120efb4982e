//! Lines of bounded length from an asynchronous reader.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// The longest line, in bytes.
pub(super) const LONGEST: usize = 15 << 20;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(BytesMut),
    /// Longer than [`LONGEST`], and gone.
    TooLong,
}

/// The next line; `None` at the end of the input.
pub(super) async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Line>> {
    let mut line = BytesMut::new();
    let mut is_too_long = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            // what has no end was not sent as a whole
            return Ok(None);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        is_too_long |= line.len() + part.len() > LONGEST;
        if is_too_long {
            line = BytesMut::new();
        } else {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(if is_too_long { Line::TooLong } else { Line::Whole(line) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::BufReader;

    #[tokio::test]
    async fn lines() {
        let long = vec![b'x'; LONGEST + 1];
        let input = [b"one\n\n".as_slice(), &long, b"\ntwo\nrest"].concat();
        let mut reader = BufReader::new(&*input);
        let mut found = Vec::new();
        while let Some(line) = next_line(&mut reader).await.unwrap() {
            found.push(line);
        }
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(found, [whole("one"), whole(""), Line::TooLong, whole("two")]);
    }
}
