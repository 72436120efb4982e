//! A function that answers as the test says, byte by byte.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does with a request.
pub(super) enum Then {
    /// Writes these pieces; the connection stays open if the last flag says so.
    Write(Vec<Vec<u8>>, bool),
    /// Breaks the connection.
    Reset,
    /// Says nothing, for ever.
    Hang,
}

impl Then {
    pub(super) fn answer(status: u16, headers: &str, body: &str) -> Self {
        Self::bytes(status, headers, body.as_bytes().to_vec())
    }

    pub(super) fn bytes(status: u16, headers: &str, body: Vec<u8>) -> Self {
        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        Self::Write(vec![head.into_bytes(), body], true)
    }

    /// A chunked answer.
    pub(super) fn pieces(pieces: &[&str]) -> Self {
        let mut all = vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
        all.extend(pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes()));
        all.push(b"0\r\n\r\n".to_vec());
        Self::Write(all, true)
    }

    /// An answer that promises more than comes.
    pub(super) fn cut(body: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 1);
        Self::Write(vec![head.into_bytes()], false)
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) head: String,
    pub(super) body: String,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Then>>,
    got: Mutex<Vec<Got>>,
    arrived: Notify,
    left: Notify,
    connections: AtomicUsize,
    sent: AtomicBool,
}

pub(super) struct Server {
    pub(super) address: String,
    pub(super) url: String,
    shared: Arc<Shared>,
}

impl Server {
    pub(super) async fn start(script: Vec<Then>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared { script: Mutex::new(script.into()), ..Shared::default() });
        let all = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                all.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, all.clone()));
            }
        });
        Self { url: format!("http://{address}"), address, shared }
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Returns when this many requests have come.
    pub(super) async fn has_got(&self, count: usize) {
        while self.got().len() < count {
            self.shared.arrived.notified().await;
        }
    }

    /// Returns when the caller has hung up on an answer that did not come.
    pub(super) async fn left(&self) {
        self.shared.left.notified().await;
    }

    /// Everything that there is to say is on its way.
    pub(super) fn is_sent(&self) -> bool {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(got) = read(&mut stream).await {
        shared.got.lock().unwrap().push(got);
        shared.arrived.notify_one();
        let then = shared.script.lock().unwrap().pop_front().expect("a line of the script");
        match then {
            Then::Write(pieces, stays) => {
                for piece in pieces {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                    stream.flush().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                shared.sent.store(true, Ordering::Relaxed);
                if !stays {
                    return;
                }
            }
            Then::Reset => return stream.set_zero_linger().unwrap(),
            Then::Hang => {
                let gone = stream.read(&mut [0; 1]).await.is_ok_and(|read| read == 0);
                assert!(gone, "nothing follows a request");
                return shared.left.notify_one();
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if bytes.len() >= end + 4 + length.parse::<usize>().unwrap() {
                let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
                return Some(Got { head: head.replace("\r\n", "\n"), body });
            }
        }
        match stream.read(&mut block).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&block[..read]),
        }
    }
}
