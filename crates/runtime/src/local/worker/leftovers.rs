//! What a process that has ended left in its pipes.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use tokio::net::unix::pipe;

const BLOCK: usize = 64 * 1024;
/// How long to read at most, should a descendant of the process keep on writing.
const LIMIT: Duration = Duration::from_millis(50);

/// Hands over everything that is in the pipe, without waiting for more: all that the process itself has written.
pub(super) fn read(pipe: pipe::Receiver, mut take: impl FnMut(&[u8])) {
    let began = Instant::now();
    let Ok(descriptor) = pipe.into_nonblocking_fd() else { return };
    let mut pipe = File::from(descriptor);
    let mut block = vec![0; BLOCK];
    // stops at the end, where there is nothing more for now, and at a failure
    while let Ok(read @ 1..) = pipe.read(&mut block) {
        take(block.get(..read).unwrap_or_default());
        if began.elapsed() > LIMIT {
            break;
        }
    }
}
