//! What the way from a worker's output to a caller costs: per chunk, and per session.
//!
//! The worker is a pair of pipes, so that only the daemon's side is measured; the thread that fills the pipe copies
//! prepared blocks and nothing else.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first thing that fails")]

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plugin_manifest::UniqueIdentifier;
use plugin_protocol::{Action, Origin, SessionId};
use plugin_runtime::local::environment::{EnvironmentError, Prepared, Progress};
use plugin_runtime::local::{Exit, LaunchSpec, Launched, Launcher, LocalRuntime, LocalSettings, Preparer, Process};
use plugin_runtime::{Call, Event, Runtime, Session};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Endless;

#[async_trait]
impl Process for Endless {
    fn pid(&self) -> u32 {
        // no process has it, and no group
        i32::MAX.cast_unsigned()
    }

    async fn exited(&mut self) {
        std::future::pending::<()>().await;
    }

    fn reap(&mut self) -> Exit {
        Exit::Unknown
    }
}

/// Hands the plugin's ends of the pipes over.
#[derive(Default)]
struct Pipes(Mutex<Option<(std::io::PipeReader, std::io::PipeWriter)>>);

#[async_trait]
impl Launcher for Pipes {
    async fn launch(&self, _: LaunchSpec) -> std::io::Result<Launched> {
        let (stdin, stdout, stderr) = (std::io::pipe()?, std::io::pipe()?, std::io::pipe()?);
        let mut plugin_out = stdout.1;
        plugin_out.write_all(b"{\"event\":\"heartbeat\"}\n")?;
        *self.0.lock().unwrap() = Some((stdin.0, plugin_out));
        // standard error stays open for as long as the program runs
        std::mem::forget(stderr.1);
        Ok(Launched {
            stdin: pipe::Sender::from_owned_fd(OwnedFd::from(stdin.1))?,
            stdout: pipe::Receiver::from_owned_fd(OwnedFd::from(stdout.0))?,
            stderr: pipe::Receiver::from_owned_fd(OwnedFd::from(stderr.0))?,
            process: Box::new(Endless),
            origin: plugin_runtime::local::Origin::Spawned { because: None },
            forkable: None,
        })
    }
}

struct Nothing;

#[async_trait]
impl Preparer for Nothing {
    async fn prepare(
        &self,
        _: &UniqueIdentifier,
        _: &dyn Progress,
        _: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        Ok(Prepared { working_dir: "/".into(), python: "/".into(), entrypoint: "main".into(), environment: None })
    }
}

async fn open(runtime: &LocalRuntime, id: &str) -> Session {
    let now = tokio::time::Instant::now();
    let call = Call {
        plugin: format!("bench/bench:0.0.1@{}", "0".repeat(64)).parse().unwrap(),
        session_id: SessionId::from(id),
        action: Action::InvokeTool,
        origin: Arc::new(Origin::default()),
        request: format!("{{\"session_id\":\"{id}\"}}").into(),
        start_by: now + Duration::from_secs(10),
        deadline: now + Duration::from_secs(1000),
        traceparent: String::new(),
    };
    runtime.open(call).await.unwrap()
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn line(id: &str, kind: &str, size: usize) -> String {
    let payload = "x".repeat(size);
    format!(
        "{{\"event\":\"session\",\"session_id\":\"{id}\",\"data\":{{\"type\":\"{kind}\",\"data\":\"{payload}\"}}}}\n\n"
    )
}

fn routing(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let launcher = Arc::new(Pipes::default());
    let runtime =
        tokio.block_on(async { LocalRuntime::new(LocalSettings::default(), Arc::new(Nothing), launcher.clone()) });
    drop(tokio.block_on(open(&runtime, &new_id())));
    let (input, mut output) = launcher.0.lock().unwrap().take().unwrap();

    let mut group = criterion.benchmark_group("chunk");
    for size in [200, 4096] {
        let per_block = (64 * 1024) / line(&new_id(), "stream", size).len();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_custom(|chunks| {
                let blocks = chunks.div_ceil(per_block as u64);
                let id = new_id();
                let block = line(&id, "stream", size).repeat(per_block);
                let mut session = tokio.block_on(open(&runtime, &id));
                let began = Instant::now();
                std::thread::scope(|scope| {
                    scope.spawn(|| (0..blocks).for_each(|_| output.write_all(block.as_bytes()).unwrap()));
                    tokio.block_on(async {
                        for _ in 0..blocks * per_block as u64 {
                            assert!(matches!(session.recv().await, Some(Event::Chunk(_))));
                        }
                    });
                });
                // the last block may hold more than was asked for
                let routed = u128::from(blocks) * per_block as u128;
                Duration::from_nanos_u128(began.elapsed().as_nanos() * u128::from(chunks) / routed)
            });
        });
    }
    group.finish();

    // a plugin that answers every request at once
    std::thread::spawn(move || {
        for request in BufReader::new(input).lines() {
            let request = request.unwrap();
            let id = request.split('"').nth(3).unwrap();
            output.write_all(line(id, "end", 0).as_bytes()).unwrap();
        }
    });
    criterion.bench_function("session", |bencher| {
        bencher.to_async(&tokio).iter(|| async {
            let mut session = open(&runtime, &new_id()).await;
            while session.recv().await.is_some() {}
        });
    });
}

criterion_group!(benches, routing);
criterion_main!(benches);
