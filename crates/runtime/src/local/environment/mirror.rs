//! Finds out which mirror of the package index is fast from here (lifecycle-and-storage 1.4.6).

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::settings::{MirrorDetection, Proxies};

/// The official index, which a mirror has to beat.
const OFFICIAL: &str = "https://pypi.org/simple/";
/// Mirrors that are tried when none are configured.
const DEFAULT_CANDIDATES: [&str; 2] =
    ["https://mirrors.aliyun.com/pypi/simple/", "https://pypi.tuna.tsinghua.edu.cn/simple/"];
/// How much of the official index's latency a mirror may have and still be better.
const MARGIN: f64 = 0.9;

/// The mirror to use, if one is clearly faster than the official index. Takes no longer than the configured time.
pub(crate) async fn detect(detection: &MirrorDetection, proxies: &Proxies) -> Option<String> {
    let candidates: Vec<&str> = if detection.candidates.is_empty() {
        DEFAULT_CANDIDATES.to_vec()
    } else {
        detection.candidates.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).collect()
    };
    fastest(OFFICIAL, &candidates, detection.timeout, proxies).await
}

async fn fastest(official: &str, candidates: &[&str], timeout: Duration, proxies: &Proxies) -> Option<String> {
    let client = match client(timeout, proxies) {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(%error, "cannot look for a mirror of the package index");
            return None;
        }
    };
    let probe = |url: &str, mirror: Option<usize>| {
        let request = client.head(url).send();
        async move {
            let started = Instant::now();
            let usable = request
                .await
                .is_ok_and(|response| !response.status().is_client_error() && !response.status().is_server_error());
            (mirror, usable.then(|| started.elapsed()))
        }
    };
    let mut probes: FuturesUnordered<_> = candidates
        .iter()
        .enumerate()
        .map(|(index, url)| probe(url, Some(index)))
        .chain([probe(official, None)])
        .collect();
    let until = Instant::now() + timeout;
    let mut best: Option<(usize, Duration)> = None;
    let mut official_failed = false;
    // Who has not answered when the official index has cannot beat it any more.
    while let Ok(Some((mirror, latency))) = tokio::time::timeout_at(until, probes.next()).await {
        match (mirror, latency) {
            (None, Some(official)) => {
                best = best.filter(|(_, latency)| latency.as_secs_f64() < MARGIN * official.as_secs_f64());
                break;
            }
            (None, None) => official_failed = true,
            (Some(index), Some(latency)) if best.is_none_or(|(_, fastest)| latency < fastest) => {
                best = Some((index, latency));
            }
            (Some(_), _) => {}
        }
        if official_failed && best.is_some() {
            break;
        }
    }
    let (index, latency) = best?;
    let mirror = candidates.get(index)?;
    tracing::info!(mirror, latency_ms = latency.as_millis(), "using a mirror of the package index");
    Some((*mirror).to_owned())
}

fn client(timeout: Duration, proxies: &Proxies) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder().timeout(timeout);
    let no_proxy = || reqwest::NoProxy::from_string(&proxies.no_proxy);
    if !proxies.http.is_empty() {
        builder = builder.proxy(reqwest::Proxy::http(&proxies.http)?.no_proxy(no_proxy()));
    }
    if !proxies.https.is_empty() {
        builder = builder.proxy(reqwest::Proxy::https(&proxies.https)?.no_proxy(no_proxy()));
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// An index that answers so late with such a status.
    async fn index(delay: u64, status: u16) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/simple/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    let _request = stream.read(&mut buffer).await;
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _sent = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        url
    }

    async fn winner(official: &str, candidates: &[&str], timeout: u64) -> Option<usize> {
        let fastest = fastest(official, candidates, Duration::from_millis(timeout), &Proxies::default()).await?;
        candidates.iter().position(|candidate| *candidate == fastest)
    }

    #[tokio::test]
    async fn only_a_clearly_faster_mirror_wins() {
        let (fast, medium, slow) = (index(0, 200).await, index(150, 200).await, index(900, 200).await);
        let (missing, broken) = (index(0, 404).await, index(0, 500).await);
        let dead = "http://127.0.0.1:1/simple/";
        assert_eq!(winner(&medium, &[&slow, &fast], 2000).await, Some(1));
        assert_eq!(winner(&medium, &[&slow, &missing, &broken, dead], 2000).await, None);
        assert_eq!(
            winner(dead, &[&slow, &medium, &missing], 2000).await,
            Some(1),
            "no official index: anything is faster"
        );
        assert_eq!(winner(&slow, &[&medium], 500).await, Some(0), "the official index does not answer in time");
        assert_eq!(winner(&missing, &[dead], 500).await, None);
        assert_eq!(winner(&slow, &[&fast], 0).await, None, "no time, no winner");
    }

    #[tokio::test]
    async fn the_answer_does_not_wait_for_what_cannot_win() {
        let (fast, hanging) = (index(0, 200).await, index(60_000, 200).await);
        let started = Instant::now();
        assert_eq!(winner(&fast, &[&hanging], 30_000).await, None);
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
