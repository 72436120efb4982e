//! The two ends of one connection, and the line that a plugin is sent before it is refused.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use plugin_protocol::{Line, LineSplitter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::refusal::Refusal;

/// The longest first line; a key is 36 bytes, and other first lines are answered with a refusal.
const HANDSHAKE_BYTES: usize = 128 * 1024;
const TOO_LONG: &str = "more than 128 KiB without a handshake";
/// How much is read at once before the handshake.
const FIRST_BLOCK: usize = 4 * 1024;
/// How long a peer may take to read why it is refused.
const FAREWELL: Duration = Duration::from_secs(3);

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection whose plugin is not registered yet.
pub(super) struct Wire {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) splitter: LineSplitter,
    limit: usize,
}

impl Wire {
    pub(super) fn new(reader: Reader, writer: Writer, limit: usize) -> Self {
        Self { reader, writer, splitter: LineSplitter::new(limit), limit }
    }

    /// The first line; `None` when the peer leaves without one.
    pub(super) async fn first_line(&mut self) -> Result<Option<Bytes>, Refusal> {
        let mut received = 0;
        loop {
            match self.splitter.next_line() {
                Some(Line::Whole(line)) if line.len() <= HANDSHAKE_BYTES => return Ok(Some(line)),
                Some(_) => return Err(Refusal::Message { got: TOO_LONG }),
                None if received > HANDSHAKE_BYTES => return Err(Refusal::Message { got: TOO_LONG }),
                None => {}
            }
            match self.receive(FIRST_BLOCK).await {
                Ok(read @ 1..) => received += read,
                Ok(0) | Err(_) => return Ok(None),
            }
        }
    }

    /// The next line; `None` when the peer has left.
    pub(super) async fn line(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            match self.splitter.next_line() {
                Some(Line::Whole(line)) => return Ok(Some(line)),
                Some(Line::TooLong { length, .. }) => return Err(Refusal::TooLong { length, limit: self.limit }),
                None => {}
            }
            if !matches!(self.receive(crate::channel::BLOCK).await, Ok(1..)) {
                return Ok(None);
            }
        }
    }

    async fn receive(&mut self, block: usize) -> io::Result<usize> {
        self.splitter.buffer().reserve(block);
        self.reader.read_buf(self.splitter.buffer()).await
    }

    /// Sends the reason, and closes. What it still sends is thrown away for a moment: a connection that is closed with
    /// unread bytes is reset, and the peer would not see the line.
    pub(super) async fn refuse(mut self, refusal: &Refusal) {
        drop(self.splitter);
        let line = format!("{refusal}\n");
        let farewell = async {
            self.writer.write_all(line.as_bytes()).await?;
            self.writer.shutdown().await?;
            tokio::io::copy(&mut self.reader, &mut tokio::io::sink()).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(FAREWELL, farewell).await {
            tracing::debug!(%error, "a refused debugging connection ended before the reason was sent");
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("splitter", &self.splitter).finish_non_exhaustive()
    }
}
