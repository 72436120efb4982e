use std::time::Duration;

use futures_util::stream;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

type Chunk = Result<Bytes, ApiError>;

const CHUNK: Chunk = Ok(Bytes::from_static(b"1"));

async fn pieces(response: Response) -> Vec<String> {
    let mut body = response.into_body();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        pieces.push(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap());
    }
    pieces
}

const ONE: &str = "data: {\"code\":0,\"message\":\"success\",\"data\":1}\n\n";

#[tokio::test]
async fn ready_chunks_leave_together_and_an_error_ends_the_stream() {
    let chunks = stream::iter([CHUNK, CHUNK, Err(ApiError::timed_out()), CHUNK]);
    let response = respond(chunks, CancellationToken::new()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let error = r#"data: {"code":-500,"message":"{\"message\":\"killed by timeout\",\"error_type\":\"PluginDaemonInternalServerError\",\"args\":null}","data":null}"#;
    assert_eq!(pieces(response).await, [format!("{ONE}{ONE}{error}\n\n")]);
}

#[tokio::test]
async fn a_stream_without_events_has_an_empty_body_of_known_length() {
    let response = respond(stream::empty::<Chunk>(), CancellationToken::new()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(hyper::body::Body::size_hint(response.body()).exact(), Some(0));
}

#[tokio::test]
async fn a_flood_is_cut_into_pieces() {
    let many = stream::iter((0..10_000).map(|_| Chunk::Ok(Bytes::from(vec![b'1'; 40]))));
    let pieces = pieces(respond(many, CancellationToken::new()).await).await;
    assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.len() < COALESCE + 200), "{}", pieces.len());
    assert_eq!(pieces.concat().matches("data: ").count(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_by_empty_lines_only() {
    let (send, receive) = mpsc::channel(8);
    let response = tokio::spawn(respond(ReceiverStream::new(receive), CancellationToken::new()));
    let started = tokio::time::Instant::now();
    let mut body = response.await.unwrap().into_body();
    let next = async |body: &mut Body| body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((next(&mut body).await, started.elapsed()), (Bytes::from("\n"), KEEP_ALIVE));
    tokio::time::sleep(Duration::from_secs(5)).await;
    send.send(CHUNK).await.unwrap();
    assert_eq!((next(&mut body).await, started.elapsed()), (Bytes::from(ONE), Duration::from_secs(20)));
    // counted from the last write, not from the last sign of life
    assert_eq!((next(&mut body).await, started.elapsed()), (Bytes::from("\n"), Duration::from_secs(35)));
    drop(send);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_silence_can_be_set_and_left_out() {
    for (keep_alive, first_after) in [(Duration::from_secs(3), 3), (Duration::ZERO, 3600)] {
        let (send, receive) = mpsc::channel(8);
        let response = tokio::spawn(respond_with(ReceiverStream::new(receive), CancellationToken::new(), keep_alive));
        let started = tokio::time::Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_hours(1)).await;
            send.send(CHUNK).await.unwrap();
        });
        let mut body = response.await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(started.elapsed().as_secs(), first_after);
    }
}

#[tokio::test(start_paused = true)]
async fn the_cutoff_ends_a_silent_stream_with_its_cause() {
    let (_send, receive) = mpsc::channel::<Chunk>(1);
    let cutoff = CancellationToken::new();
    let response = tokio::spawn(respond(ReceiverStream::new(receive), cutoff.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    cutoff.cancel();
    let pieces = pieces(response.await.unwrap()).await;
    assert_eq!(pieces.len(), 1);
    assert!(pieces[0].contains("the plugin daemon is shutting down"), "{pieces:?}");
}

#[tokio::test]
async fn a_client_that_leaves_drops_the_source() {
    let (send, receive) = mpsc::channel(1);
    send.send(CHUNK).await.unwrap();
    let response = respond(ReceiverStream::new(receive), CancellationToken::new()).await;
    assert!(!send.is_closed());
    drop(response);
    assert!(send.is_closed());
}
