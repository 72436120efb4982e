//! Dify's frames: how its inner API cuts a streamed answer into documents (plugin-protocol 5.3).
//!
//! Little endian: the magic byte 0x0f, a reserved byte, the header length 10 in two bytes, the data length in four, six
//! reserved bytes, the data.

use bytes::{Buf, Bytes, BytesMut};

const MAGIC: u8 = 0x0f;
const HEADER_LENGTH: u16 = 0x000a;
/// Magic byte, reserved byte, header length, header.
const HEAD: usize = 14;

/// A stream that is not made of frames; nothing can be read after that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte is another one: the answer is none of Dify's inner API.
    #[error("magic number mismatch: {0}")]
    Magic(u8),
    /// The header has another length than the protocol's.
    #[error("header length mismatch: {0}")]
    HeaderLength(u16),
    /// A document is longer than the limit; holds its length in bytes.
    #[error("data length is too long: {0}")]
    TooLong(u32),
    /// The stream ended inside a frame; holds the part that is missing.
    #[error("unexpected EOF\nfailed to read {0}")]
    CutOff(&'static str),
}

/// Bytes in, documents out.
///
/// ```
/// use plugin_protocol::frame::FrameDecoder;
///
/// let mut frames = FrameDecoder::new(1024);
/// frames.push(b"\x0f\0\x0a\0\x02\0\0\0\0\0\0\0\0\0{}");
/// assert_eq!(frames.next_frame()?.as_deref(), Some(&b"{}"[..]));
/// assert_eq!(frames.next_frame()?, None);
/// # Ok::<(), plugin_protocol::frame::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    /// Bytes that a document may have.
    limit: u32,
}

impl FrameDecoder {
    /// Documents of at most `limit` bytes.
    pub fn new(limit: u32) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Adds what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole document. A frame is refused as soon as its head shows that it is none.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let mut head = self.buffer.as_ref();
        let Ok(magic) = head.try_get_u8() else { return Ok(None) };
        if magic != MAGIC {
            return Err(FrameError::Magic(magic));
        }
        let (Ok(_), Ok(header)) = (head.try_get_u8(), head.try_get_u16_le()) else { return Ok(None) };
        if header != HEADER_LENGTH {
            return Err(FrameError::HeaderLength(header));
        }
        let Ok(length) = head.try_get_u32_le() else { return Ok(None) };
        if length > self.limit {
            return Err(FrameError::TooLong(length));
        }
        let length = length as usize;
        if self.buffer.len() < HEAD + length {
            self.buffer.reserve(HEAD + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Call it when the stream has ended: it must not have ended amid a frame.
    pub fn finish(&self) -> Result<(), FrameError> {
        match self.buffer.len() {
            0 => Ok(()),
            1..4 => Err(FrameError::CutOff("system header")),
            4..HEAD => Err(FrameError::CutOff("header")),
            _ => Err(FrameError::CutOff("data")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap();
        [&[MAGIC, 7, 0x0a, 0][..], &length.to_le_bytes(), &[0; 6], data].concat()
    }

    /// The documents of a stream, and how it ends.
    fn decode(pieces: &[&[u8]], limit: u32) -> (Vec<Bytes>, Result<(), FrameError>) {
        let mut decoder = FrameDecoder::new(limit);
        let mut seen = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            loop {
                match decoder.next_frame() {
                    Ok(Some(data)) => seen.push(data),
                    Ok(None) => break,
                    Err(error) => return (seen, Err(error)),
                }
            }
        }
        (seen, decoder.finish())
    }

    #[test]
    fn a_frame_on_the_wire() {
        let data = br#"{"data":{"result":"fffb90"},"error":""}"#;
        let head = [0x0f, 0, 0x0a, 0, 0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode(&[&head, data], 100), (vec![Bytes::from_static(data)], Ok(())));
    }

    #[test]
    fn what_is_no_frame() {
        let check = |tail: &[u8], error| {
            let whole = [&frame(b"ok"), tail].concat();
            assert_eq!(decode(&[&whole], 5), (vec![Bytes::from_static(b"ok")], Err(error)), "{tail:?}");
        };
        check(b"{", FrameError::Magic(b'{'));
        check(&[MAGIC, 0, 11, 0], FrameError::HeaderLength(11));
        check(&frame(b"123456"), FrameError::TooLong(6));
        check(&[MAGIC, 0, 10, 0, 255, 255, 255, 255], FrameError::TooLong(u32::MAX));
        check(&[MAGIC], FrameError::CutOff("system header"));
        check(&[MAGIC, 0, 10, 0, 5, 0, 0], FrameError::CutOff("header"));
        check(&frame(b"12345")[..18], FrameError::CutOff("data"));
    }

    #[test]
    fn a_claimed_length_reserves_no_more_than_the_limit() {
        let mut decoder = FrameDecoder::new(1000);
        decoder.push(&[MAGIC, 0, 10, 0, 0xe8, 3, 0, 0]);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.buffer.capacity() < 4096);
    }

    proptest! {
        #[test]
        fn however_they_are_cut_frames_are_the_same(
            documents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cuts in prop::collection::vec(0usize..400, 0..8),
        ) {
            let stream: Vec<u8> = documents.iter().flat_map(|data| frame(data)).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let (seen, end) = decode(&pieces, 64);
            prop_assert_eq!(end, Ok(()));
            prop_assert_eq!(seen, documents);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            decode(&[&bytes], 64).1.ok();
        }
    }
}
