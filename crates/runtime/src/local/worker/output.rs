//! Standard output of a worker: read in large blocks until the process is gone, then what is left in the pipe.

use plugin_protocol::LineSplitter;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::leftovers;
use crate::channel::{BLOCK, Channel, Router, TURN};
use crate::log::Level;

/// Why the reader has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputEnd {
    /// The process is gone, and all it has written is read.
    Drained,
    /// The process has closed its output.
    Closed,
}

/// Reads until the worker closes its output or, when `exited` is set, until nothing is left of what it wrote.
pub(super) async fn read(channel: Channel, mut stdout: pipe::Receiver, exited: CancellationToken) -> OutputEnd {
    let mut splitter = LineSplitter::new(channel.limits.line_bytes);
    let mut router = Router::new(channel.clone());
    let mut in_a_row = 0;
    loop {
        splitter.buffer().reserve(BLOCK);
        let read = tokio::select! {
            biased;
            () = exited.cancelled() => {
                leftovers::read(stdout, |bytes| {
                    splitter.buffer().extend_from_slice(bytes);
                    router.block(&mut splitter);
                });
                router.rest(&mut splitter);
                return OutputEnd::Drained;
            }
            read = stdout.read_buf(splitter.buffer()) => read,
        };
        match read {
            Ok(0) => break,
            Ok(read) => in_a_row += read,
            Err(error) => {
                channel.note(Level::Error, &format!("failed to read the plugin's output: {error}"));
                break;
            }
        }
        router.block(&mut splitter);
        router.relieve(&exited).await;
        if in_a_row >= TURN {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
    router.rest(&mut splitter);
    OutputEnd::Closed
}
