//! The way into a plugin: one queue, bounded in bytes, and the task that writes it to a pipe or a connection.
//!
//! A message is one line; lines of different sessions never mix. The other end sees no end of input before the last
//! sender is gone: the SDK spins on it (plugin-protocol 2.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::ChannelLimits;

/// Messages that may wait, however short they are.
const MESSAGES: usize = 4096;
/// Counted for each message beside its text.
const OVERHEAD: usize = 64;
/// Short messages are put together up to this size before they are written.
const BLOCK: usize = 64 * 1024;

/// Takes messages for a plugin. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    /// All of the room, in bytes.
    limit: u32,
    timeout: Duration,
    stalled: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Message {
    line: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    #[error("the plugin is gone")]
    Closed,
    #[error("the plugin has not read its input for {} s", .0.as_secs())]
    Full(Duration),
}

impl Input {
    /// The queue, and the future that empties it into the pipe until nobody can send any more.
    pub(crate) fn new<W>(pipe: W, limits: &ChannelLimits) -> (Self, impl Future<Output = ()> + use<W>)
    where
        W: AsyncWrite + Unpin,
    {
        let limit = u32::try_from(limits.input_buffer_bytes).unwrap_or(u32::MAX).max(1);
        let (queue, messages) = mpsc::channel(MESSAGES);
        let room = Arc::new(Semaphore::new(usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS)));
        let stalled = Arc::new(AtomicBool::new(false));
        let writer = Writer { pipe, timeout: limits.write_timeout, stalled: stalled.clone() };
        (Self { queue, room, limit, timeout: limits.write_timeout, stalled }, writer.run(messages))
    }

    /// Waits for room, then queues the line; the line end is added.
    pub(crate) async fn send(&self, line: Bytes) -> Result<(), InputError> {
        let queued = async {
            let room =
                self.room.clone().acquire_many_owned(self.weight(&line)).await.map_err(|_| InputError::Closed)?;
            self.queue.send(Message { line, _room: room }).await.map_err(|_| InputError::Closed)
        };
        tokio::time::timeout(self.timeout, queued).await.unwrap_or(Err(InputError::Full(self.timeout)))
    }

    /// Queues the line if there is room.
    pub(crate) fn try_send(&self, line: Bytes) -> Result<(), InputError> {
        let full = InputError::Full(Duration::ZERO);
        let room = self.room.clone().try_acquire_many_owned(self.weight(&line)).map_err(|_| full)?;
        self.queue.try_send(Message { line, _room: room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => full,
            mpsc::error::TrySendError::Closed(_) => InputError::Closed,
        })
    }

    /// The plugin has been slow to read its input, so that another worker is the better choice.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// A message larger than the whole room takes all of it.
    fn weight(&self, line: &Bytes) -> u32 {
        u32::try_from(line.len() + OVERHEAD).unwrap_or(u32::MAX).min(self.limit)
    }
}

struct Writer<W> {
    pipe: W,
    timeout: Duration,
    stalled: Arc<AtomicBool>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut batch = Vec::new();
        let mut block = BytesMut::new();
        while messages.recv_many(&mut batch, MESSAGES).await > 0 {
            for message in batch.drain(..) {
                if block.len() + message.line.len() >= BLOCK {
                    if self.write(&block).await.is_err() {
                        return;
                    }
                    block.clear();
                }
                if message.line.len() >= BLOCK {
                    if self.write(&message.line).await.is_err() {
                        return;
                    }
                } else {
                    block.extend_from_slice(&message.line);
                }
                block.extend_from_slice(b"\n");
            }
            // an encrypted connection may still hold some of it
            if self.write(&block).await.is_err() || self.pipe.flush().await.is_err() {
                return;
            }
            block.clear();
        }
    }

    /// Fails only when the other end is closed. Sessions then fail with the end of the process or connection.
    async fn write(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let written = if let Ok(written) = tokio::time::timeout(self.timeout, self.pipe.write(bytes)).await {
                written?
            } else {
                self.stalled.store(true, Ordering::Relaxed);
                let written = self.pipe.write(bytes).await?;
                self.stalled.store(false, Ordering::Relaxed);
                written
            };
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::unix::pipe;

    fn limits(bytes: usize) -> ChannelLimits {
        ChannelLimits { input_buffer_bytes: bytes, ..crate::local::WorkerSettings::default().channel() }
    }

    #[tokio::test]
    async fn messages_become_lines_in_order_whatever_their_size() {
        let (sender, mut receiver) = pipe::pipe().unwrap();
        let (input, writer) = Input::new(sender, &limits(1 << 20));
        let writer = tokio::spawn(writer);
        let lines: Vec<Bytes> = [1, 10, BLOCK - 1, BLOCK, 3 * BLOCK, 0, 5, 2 << 20, 7]
            .iter()
            .zip(b'a'..)
            .map(|(size, letter)| vec![letter; *size].into())
            .collect();
        let expected: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
        tokio::spawn(async move {
            for line in lines {
                input.send(line).await.unwrap();
            }
        });
        let mut seen = vec![0; expected.len()];
        receiver.read_exact(&mut seen).await.unwrap();
        assert!(seen == expected);
        writer.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_plugin_that_does_not_read_costs_a_bounded_wait() {
        let (sender, receiver) = pipe::pipe().unwrap();
        let (input, writer) = Input::new(sender, &limits(1000));
        tokio::spawn(writer);
        // fills the pipe and the queue
        input.send(vec![b'x'; 1 << 20].into()).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(input.send("y".into()).await, Err(InputError::Full(Duration::from_secs(30))));
        assert_eq!(began.elapsed().as_secs(), 30);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(input.try_send("y".into()).is_err() && input.is_stalled());
        drop(receiver);
        assert_eq!(input.send("y".into()).await, Err(InputError::Closed));
    }
}
