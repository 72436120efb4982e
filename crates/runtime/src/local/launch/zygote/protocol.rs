//! Messages between the daemon and a zygote (`zygote.py`), version 2.
//!
//! The two are connected by a pair of Unix sockets that keep messages apart (`SOCK_SEQPACKET`). Every message is one JSON
//! object of at most [`LONGEST_MESSAGE`] bytes. Strings that the system takes as bytes - paths, arguments, variables - have
//! one character, up to U+00FF, for each byte.
//!
//! 1. Once it has imported the SDK, the zygote sends a [`Hello`].
//! 2. For each worker the daemon sends a [`Request`] with three descriptors (standard input, output and error of the
//!    worker), and a fourth one if the confinement has a Landlock ruleset.
//! 3. The zygote sends an [`Answer`] before it reads the next request. A worker that is named in it runs with everything of
//!    the request in place: its group, variables, streams, confinement. It is a child of the daemon by then.
//!
//! Either side ends the other by closing its socket. A zygote that does not keep to this is ended.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The version of all this; `zygote.py` has it, too.
pub(super) const VERSION: u32 = 2;
/// Also in `zygote.py`. The kernel's default limit for one message is a little more.
pub(super) const LONGEST_MESSAGE: usize = 160 * 1024;
const MOST_DESCRIPTORS: usize = 4;

/// What a zygote says of itself, first.
#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    pub(super) version: u32,
    /// Top-level names of the modules that it has imported or looked for in vain.
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// Why its forks would not be what new interpreters are.
    pub(super) unsuited: Option<String>,
}

/// The worker that is wanted.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    pub(super) version: u32,
    pub(super) id: u64,
    /// The working directory.
    pub(super) folder: String,
    /// What it would be started with, the interpreter first.
    pub(super) arguments: Vec<String>,
    /// The environment that the zygote runs from, and the one that the worker is to be of, if that is another one.
    pub(super) moved: Option<(String, String)>,
    /// The whole environment.
    pub(super) variables: Vec<(String, String)>,
    /// What it puts on before it runs anything of the plugin.
    pub(super) confinement: Option<Confinement>,
}

/// A `plugin_sandbox::Prepared` without its descriptor.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Confinement {
    pub(super) umask: Option<u32>,
    /// Number of the resource, soft and hard limit.
    pub(super) limits: Vec<(u32, u64, u64)>,
    pub(super) drop_capabilities: bool,
    /// Seccomp programs, in base64.
    pub(super) filters: Vec<String>,
}

impl Confinement {
    pub(super) fn of(prepared: &plugin_sandbox::Prepared) -> Self {
        use base64::Engine as _;
        let limit = |limit: &plugin_sandbox::Limit| (limit.resource, limit.soft, limit.hard);
        Self {
            umask: prepared.umask,
            limits: prepared.limits.iter().map(limit).collect(),
            drop_capabilities: prepared.drop_capabilities,
            filters: prepared.filters.iter().map(|filter| base64::prelude::BASE64_STANDARD.encode(filter)).collect(),
        }
    }
}

/// What has become of a request.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) pid: Option<u32>,
    /// Why there is no worker.
    pub(super) error: Option<String>,
}

/// Bytes as a string of a message.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The daemon's end of the connection.
#[derive(Debug)]
pub(super) struct Control {
    /// Of another kind than its type says; only waited for by it.
    socket: UnixDatagram,
}

impl Control {
    /// A connection; the second is the zygote's end.
    ///
    /// # Errors
    ///
    /// When the system gives no sockets.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            // the zygote gets a copy as its standard input
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self::new(ours)?, theirs))
    }

    fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket: UnixDatagram::from_std(socket.into())? })
    }

    /// Sends one message with descriptors, at most four.
    ///
    /// # Errors
    ///
    /// When the zygote has gone, or the message is too long.
    pub(super) async fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.socket
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
                }
                let flags = SendFlags::NOSIGNAL;
                rustix::net::sendmsg(self.socket.as_fd(), &[IoSlice::new(message)], &mut ancillary, flags)?;
                Ok(())
            })
            .await
    }

    /// The next message; empty when the zygote has gone.
    ///
    /// # Errors
    ///
    /// When a message is longer than allowed, or the connection fails.
    pub(super) async fn receive(&self) -> io::Result<Vec<u8>> {
        self.socket
            .async_io(Interest::READABLE, || {
                let mut message = vec![0; LONGEST_MESSAGE];
                // no room: descriptors that come along are dropped by the kernel
                let mut ancillary = RecvAncillaryBuffer::default();
                let parts = &mut [IoSliceMut::new(&mut message)];
                let received = rustix::net::recvmsg(self.socket.as_fd(), parts, &mut ancillary, RecvFlags::TRUNC)?;
                if received.bytes > LONGEST_MESSAGE {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
                }
                message.truncate(received.bytes);
                Ok(message)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_stay_apart_and_bring_descriptors() {
        let (ours, theirs) = Control::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        ours.send(b"one", &[null.as_fd()]).await.unwrap();
        ours.send(b"two", &[]).await.unwrap();
        let theirs = Control::new(theirs).unwrap();
        assert_eq!(theirs.receive().await.unwrap(), b"one");
        assert_eq!(theirs.receive().await.unwrap(), b"two");
        theirs.send(&vec![b'x'; LONGEST_MESSAGE + 1], &[]).await.unwrap();
        assert_eq!(ours.receive().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(theirs);
        assert!(ours.receive().await.unwrap().is_empty());
        assert!(ours.send(b"late", &[]).await.is_err());
    }

    #[test]
    fn bytes_pass_through_text() {
        let text = text(b"a\xe9\xff");
        assert_eq!(text, "a\u{e9}\u{ff}");
        assert_eq!(text.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>(), b"a\xe9\xff");
    }
}
