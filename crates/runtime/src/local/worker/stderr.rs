//! Standard error of a worker: kept in the plugin's log, and for the error that the worker's end causes.

use std::sync::Arc;

use plugin_protocol::{Line, LineSplitter};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::leftovers;
use crate::channel::Channel;
use crate::log::{Level, Source, Tail};

const BLOCK: usize = 8 * 1024;
/// Longer lines are cut; reading goes on.
const LONGEST_LINE: usize = 64 * 1024;

/// Reads one worker's standard error.
#[derive(Debug)]
pub(super) struct Stderr {
    pub(super) channel: Channel,
    pub(super) tail: Arc<Tail>,
}

impl Stderr {
    /// Reads until the pipe is closed or, when `exited` is set, until nothing is left of what the process wrote.
    pub(super) async fn run(self, mut stderr: pipe::Receiver, exited: CancellationToken) {
        let mut splitter = LineSplitter::new(LONGEST_LINE);
        loop {
            splitter.buffer().reserve(BLOCK);
            let read = tokio::select! {
                biased;
                () = exited.cancelled() => {
                    leftovers::read(stderr, |bytes| {
                        splitter.buffer().extend_from_slice(bytes);
                        self.lines(&mut splitter);
                    });
                    break;
                }
                read = stderr.read_buf(splitter.buffer()) => read,
            };
            if !matches!(read, Ok(1..)) {
                break;
            }
            self.channel.vitals.sign();
            self.lines(&mut splitter);
        }
        if let Some(line) = splitter.finish() {
            self.line(&line);
        }
    }

    fn lines(&self, splitter: &mut LineSplitter) {
        while let Some(line) = splitter.next_line() {
            self.line(&line);
        }
    }

    fn line(&self, line: &Line) {
        let (Line::Whole(bytes) | Line::TooLong { head: bytes, .. }) = line;
        self.tail.add(bytes);
        self.channel.log(Source::Stderr, Level::Warn, &String::from_utf8_lossy(bytes));
    }
}
