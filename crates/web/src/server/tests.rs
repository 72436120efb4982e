use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::State;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::error::ApiError;
use crate::sse;
use crate::{Routes, Success, Table};
use plugin_service::base::Base;
use plugin_service::config::Config;
use plugin_service::lifecycle::OnEnd;

struct Running {
    address: SocketAddr,
    base: Arc<Base>,
    done: tokio::task::JoinHandle<()>,
}

async fn start(max_connections: u32) -> Running {
    let vars = [("SERVER_HOST", "127.0.0.1"), ("SERVER_PORT", "1"), ("SERVER_KEY", "k")];
    let vars: BTreeMap<_, _> = vars.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let mut config = Config::from_vars(vars).unwrap();
    config.server.port = 0;
    let listener = bind(&config.server).await.unwrap();
    let address = listener.local_addr().unwrap();
    let base = Base::new(config);
    let front = Front::new(Arc::clone(&base), Routes::none(Arc::clone(&base)));
    let routes = Table::new(Arc::clone(&base), Arc::clone(&base))
        .get("/health/check", async || Success(()))
        .post("/echo", async |body: String| body);
    let routes = routes.get("/slow", async |State(base): State<Arc<Base>>| {
        let late = stream::once(async {
            tokio::time::sleep(LAST_REQUEST + Duration::from_millis(100)).await;
            Ok::<_, ApiError>("late")
        });
        let pieces = stream::iter([Ok("early")]).chain(Box::pin(late));
        sse::respond(pieces, base.lifecycle.hard().clone()).await
    });
    let routes = routes.get("/stream", async |State(base): State<Arc<Base>>| {
        let one = stream::iter([Ok::<_, ApiError>("1")]);
        sse::respond(one.chain(stream::pending()), base.lifecycle.hard().clone()).await
    });
    front.open(routes.done());
    let done = tokio::spawn(serve(listener, front, max_connections, base.lifecycle.clone()));
    Running { address, base, done }
}

async fn ask(stream: &mut TcpStream, target: &str) -> String {
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n\r\n").as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    loop {
        let read = stream.read_buf(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "{text}");
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse().unwrap() {
            return text;
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_closed_by_the_soft_stop() {
    let running = start(10).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    assert!(ask(&mut stream, "/health/check").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(ask(&mut stream, "/unknown").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    running.base.lifecycle.soft().cancel();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    running.done.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn who_was_there_before_the_soft_stop_has_one_more_answer() {
    let running = start(10).await;
    let mut used = TcpStream::connect(running.address).await.unwrap();
    ask(&mut used, "/health/check").await;
    // one that has not been accepted yet
    let mut new = TcpStream::connect(running.address).await.unwrap();
    running.base.lifecycle.soft().cancel();
    for stream in [&mut used, &mut new] {
        let answer = ask(stream, "/health/check").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
    running.done.await.unwrap();
}

#[tokio::test]
async fn who_has_an_answer_that_outlives_the_soft_stop_has_one_more_after_it() {
    let running = start(10).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_buf(&mut answer).await.unwrap();
    running.base.lifecycle.soft().cancel();
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        stream.read_buf(&mut answer).await.unwrap();
    }
    assert!(!String::from_utf8(answer).unwrap().contains("connection: close"), "it had begun before");
    let answer = ask(&mut stream, "/health/check").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    running.done.await.unwrap();
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_for_a_free_place() {
    let running = start(1).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    ask(&mut first, "/health/check").await;
    let mut second = TcpStream::connect(running.address).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), ask(&mut second, "/health/check")).await;
    assert!(waiting.is_err());
    drop(first);
    let mut buffer = Vec::new();
    second.read_buf(&mut buffer).await.unwrap();
    assert!(buffer.starts_with(b"HTTP/1.1 200 OK"));
    running.base.lifecycle.soft().cancel();
    drop(second);
    running.done.await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_by_the_hard_stop() {
    let running = start(10).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /health/check HTTP/1.1\r\nhost:").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let lifecycle = running.base.lifecycle.clone();
    lifecycle.spawn("hard stop", OnEnd::Ignore, {
        let lifecycle = lifecycle.clone();
        async move {
            lifecycle.soft().cancel();
            lifecycle.hard().cancel();
        }
    });
    let started = Instant::now();
    running.done.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_stream_outlives_the_soft_stop_and_ends_at_the_hard_one() {
    let running = start(10).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"data\":1}\n\n\r\n") {
        stream.read_buf(&mut answer).await.unwrap();
    }
    running.base.lifecycle.soft().cancel();
    let more = tokio::time::timeout(Duration::from_millis(100), stream.read_buf(&mut answer)).await;
    assert!(more.is_err());
    running.base.lifecycle.hard().cancel();
    answer.clear();
    stream.read_to_end(&mut answer).await.unwrap();
    let rest = String::from_utf8(answer).unwrap();
    assert!(rest.contains("the plugin daemon is shutting down") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    running.done.await.unwrap();
}

#[tokio::test]
async fn a_body_that_never_ends_gives_its_connection_back() {
    let running = start(1).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::pause();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "{}", String::from_utf8_lossy(&answer));
    running.base.lifecycle.soft().cancel();
    running.done.await.unwrap();
}

#[tokio::test]
async fn a_request_refused_before_its_body_has_arrived_leaves_its_connection_usable() {
    let running = start(10).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"POST /unknown HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    stream.write_all(b"of it.").await.unwrap();
    let answers = [answer(&mut stream).await, ask(&mut stream, "/health/check").await];
    assert!(answers[0].starts_with("HTTP/1.1 404 Not Found\r\n"), "{answers:?}");
    assert!(answers[1].starts_with("HTTP/1.1 200 OK\r\n"), "{answers:?}");
}

#[tokio::test]
async fn who_still_sends_a_large_refused_body_sees_the_answer() {
    let running = start(10).await;
    for framing in ["content-length: 20000000", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let head = format!("POST /unknown HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if framing.ends_with("chunked") {
            stream.write_all(format!("{:x}\r\n", 20_000_000).as_bytes()).await.unwrap();
        }
        for _ in 0..200 {
            stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
        }
        if framing.ends_with("chunked") {
            stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let closing = answer.contains("\r\nconnection: close\r\n");
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n") && closing, "{framing}: {answer}");
    }
}

#[tokio::test]
async fn who_asks_whether_to_send_is_refused_without_an_invitation() {
    let running = start(10).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head =
        "POST /unknown HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let closing = answer.contains("\r\nconnection: close\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n") && closing, "{answer}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_variables() {
    let running = start(1).await;
    let vars = [("SERVER_HOST", "127.0.0.1".to_owned()), ("SERVER_PORT", running.address.port().to_string())];
    let vars = vars.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    let error = bind(&Config::from_vars(vars).unwrap().server).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to listen on 127.0.0.1:") && error.contains("SERVER_PORT"), "{error}");
    running.base.lifecycle.soft().cancel();
    running.done.await.unwrap();
}

#[tokio::test]
async fn many_headers_are_taken_and_far_too_many_refused() {
    let running = start(10).await;
    for (count, expected) in [(1, "HTTP/1.1 200"), (120, "HTTP/1.1 200"), (250, "HTTP/1.1 200"), (300, "HTTP/1.1 431")]
    {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let headers = (0..count).map(|number| format!("x-{number}: {number}\r\n")).collect::<Vec<_>>().concat();
        let request = format!("GET /health/check HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{count} headers: {answer}");
    }
}
