//! Dify's frames: any bytes in any pieces are decoded without panic, alike however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_protocol::frame::{FrameDecoder, FrameError};

const LIMIT: u32 = 4096;

fn decode(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let (mut decoder, mut seen) = (FrameDecoder::new(LIMIT), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(data)) => seen.push(data.to_vec()),
                Ok(None) => break,
                Err(error) => return (seen, Err(error)),
            }
        }
    }
    (seen, decoder.finish())
}

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    let (a, b) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(decode(&[a, b]), decode(&[bytes]));
});
