//! Redis servers for the suite, and tests of what only Redis has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use plugin_testkit::servers::{Running, Shared, free_port, is_installed, skip};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use tracing_subscriber::fmt::format::FmtSpan;

use super::{LONG, Notice, SharedState, text};
use crate::shared::{RedisConfig, RedisServers, RedisState, RedisTls};

mod refusals;

const HOST: &str = "127.0.0.1";

static SINGLE: OnceCell<(u16, Shared)> = OnceCell::const_new();
static CLUSTER: OnceCell<(Vec<u16>, Shared)> = OnceCell::const_new();

const START_SINGLE: &str = r#"
    redis-server --port "$2" --bind 127.0.0.1 --dir "$folder" --save '' --requirepass sesame &
    cat >/dev/null; kill -KILL $!"#;

const START_CLUSTER: &str = r#"
    pids= nodes=
    for port in $2 $3 $4; do
        bus=$5; shift
        mkdir "$folder/$port"
        redis-server --port $port --bind 127.0.0.1 --dir "$folder/$port" --save '' --cluster-enabled yes \
            --cluster-port $bus &
        pids="$pids $!" nodes="$nodes 127.0.0.1:$port"
    done
    until redis-cli -p ${port} ping; do sleep 0.1; done
    sleep 0.5
    redis-cli --cluster create $nodes --cluster-yes
    cat >/dev/null; kill -KILL $pids"#;

/// A master, a replica and a sentinel, which takes a master for dead after half a second.
const START_SENTINEL: &str = r#"
    mkdir "$folder/master" "$folder/replica"
    master() {
        redis-server --port "$1" --bind 127.0.0.1 --dir "$folder/master" --save '' & pid=$!
    }
    master "$2"
    redis-server --port "$3" --bind 127.0.0.1 --dir "$folder/replica" --save '' --replicaof 127.0.0.1 "$2" \
        --repl-diskless-sync-delay 0 & replica=$!
    until [ "$(redis-cli -p $3 info replication | grep -c master_link_status:up)" = 1 ]; do sleep 0.1; done
    printf 'sentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main 500\n
sentinel failover-timeout main 2000\nrequirepass guard\n' "$2" >"$folder/sentinel.conf"
    redis-server "$folder/sentinel.conf" --sentinel --port "$4" --bind 127.0.0.1 & sentinel=$!
    until redis-cli -p "$4" -a guard sentinel replicas main 2>&1 | grep -qx "$3"; do sleep 0.1; done
    read -r _; kill -KILL $pid
    cat >/dev/null; kill -KILL $replica $sentinel"#;

const START_TLS: &str = r#"
    cd "$folder"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=authority
    openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=redis
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >names
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem
    cp ca.pem "$3"
    redis-server --port 0 --tls-port "$2" --bind 127.0.0.1 --save '' --tls-cert-file cert.pem --tls-key-file key.pem \
        --tls-ca-cert-file ca.pem --tls-auth-clients no &
    cat >/dev/null; kill -KILL $!"#;

fn config(servers: RedisServers) -> RedisConfig {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    RedisConfig {
        servers,
        username: String::new(),
        password: String::new(),
        database: 0,
        // Tests share a server.
        prefix: format!("test {} {}", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed)),
        tls: None,
        timeout: Duration::from_secs(2),
    }
}

fn single(port: u16) -> RedisConfig {
    config(RedisServers::Single { host: HOST.to_owned(), port })
}

fn is_missing(program: &str) -> bool {
    if !is_installed(program) {
        skip(&format!("no {program} is installed"));
        return true;
    }
    false
}

async fn eventually_open(config: &RedisConfig) -> RedisState {
    let mut last = None;
    for _ in 0..1200 {
        match RedisState::open(config).await {
            Ok(state) => return state,
            Err(error) => last = Some(error),
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the server did not start: {last:?}");
}

pub(super) async fn on_single<Fut: Future<Output = ()>>(case: impl FnOnce(Arc<dyn SharedState>) -> Fut) {
    if is_missing("redis-server") {
        return;
    }
    let start = async || {
        let server = Shared::start("redis", START_SINGLE, || Ok(vec![free_port()?.to_string()])).unwrap();
        (server.arguments()[0].parse().unwrap(), server)
    };
    let (port, _) = SINGLE.get_or_init(start).await;
    let config = RedisConfig { password: "sesame".to_owned(), ..single(*port) };
    case(Arc::new(eventually_open(&config).await)).await;
}

pub(super) async fn on_cluster<Fut: Future<Output = ()>>(case: impl FnOnce(Arc<dyn SharedState>) -> Fut) {
    if is_missing("redis-server") || is_missing("redis-cli") {
        return;
    }
    let nodes = |ports: &[u16]| {
        config(RedisServers::Cluster { nodes: ports.iter().map(|port| (HOST.to_owned(), *port)).collect() })
    };
    let start = async || {
        let new_ports = || (0..6).map(|_| Ok(free_port()?.to_string())).collect();
        let server = Shared::start("redis-cluster", START_CLUSTER, new_ports).unwrap();
        let ports: Vec<u16> = server.arguments()[..3].iter().map(|port| port.parse().unwrap()).collect();
        // Until every slot has its node.
        for _ in 0..1200 {
            if let Ok(state) = RedisState::open(&nodes(&ports)).await
                && futures_util::future::join_all((0..50).map(|key| {
                    let state = state.clone();
                    async move { state.get(&key.to_string()).await.is_ok() }
                }))
                .await
                .into_iter()
                .all(|answered| answered)
            {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        (ports, server)
    };
    let (ports, _) = CLUSTER.get_or_init(start).await;
    case(Arc::new(eventually_open(&nodes(ports)).await)).await;
}

#[tokio::test]
async fn a_user_needs_no_more_than_its_prefix() {
    const START_WITH_USER: &str = r#"
        redis-server --port "$2" --bind 127.0.0.1 --dir "$folder" --save '' --requirepass sesame \
            --user daemon on '>secret' '~mine:*' resetchannels '&mine:*' -@all +@read +@write +@connection +@pubsub \
            +@scripting +time &
        cat >/dev/null; kill -KILL $!"#;
    if is_missing("redis-server") {
        return;
    }
    let port = free_port().unwrap();
    let _server = Running::start(START_WITH_USER, &[port.to_string()]).unwrap();
    let user = |password: &str, prefix: &str| RedisConfig {
        username: "daemon".to_owned(),
        password: password.to_owned(),
        prefix: prefix.to_owned(),
        ..single(port)
    };
    let state = eventually_open(&user("secret", "mine")).await;
    let state: Arc<dyn SharedState> = Arc::new(state);
    super::keys_live_for_their_time(Arc::clone(&state)).await;
    super::locks_belong_to_their_owner(Arc::clone(&state)).await;
    super::members_come_and_go(Arc::clone(&state)).await;
    super::messages_reach_everyone(Arc::clone(&state)).await;
    super::debug_keys_are_stable(state).await;
    let error = RedisState::open(&user("wrong", "mine")).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().ends_with("(REDIS_USERNAME, REDIS_PASSWORD)"), "{error}");
    let error = RedisState::open(&user("secret", "another")).await.unwrap_err().to_string();
    assert!(error.contains("NOPERM") && error.ends_with("(REDIS_USERNAME, REDIS_KEY_PREFIX)"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    if is_missing("redis-server") {
        return;
    }
    on_single(async |_| {}).await;
    let (port, _) = SINGLE.get().unwrap();
    let error = RedisState::open(&RedisConfig { password: "wrong".to_owned(), ..single(*port) }).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    let error = RedisState::open(&single(free_port().unwrap())).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_command_is_a_span_without_values() {
    if is_missing("redis-server") {
        return;
    }
    on_single(async |_| {}).await;
    let (port, _) = SINGLE.get().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let spans = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
    let spans = spans.with_span_events(FmtSpan::NEW).with_writer(Arc::new(log.reopen().unwrap())).finish();
    let tracing = tracing::subscriber::set_default(spans);
    let state = eventually_open(&RedisConfig { password: "sesame".to_owned(), ..single(*port) }).await;
    state.publish("a topic", text("a value")).await.unwrap();
    drop(tracing);
    let text = std::fs::read_to_string(log.path()).unwrap();
    let span = r#"otel.kind="client" otel.name="PUBLISH" db.system.name="redis" db.operation.name="PUBLISH""#;
    let spans: Vec<_> = text.lines().filter(|line| line.contains("plugin_trace: ")).collect();
    assert!(spans.iter().any(|line| line.contains(span)), "{text}");
    let is_silent = |line: &&str| !["a topic", "a value", "sesame"].iter().any(|value| line.contains(value));
    assert!(spans.iter().all(is_silent), "{text}");
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    if is_missing("redis-server") {
        return;
    }
    let port = free_port().unwrap();
    let config = RedisConfig { password: "sesame".to_owned(), ..single(port) };
    let first = Running::start(START_SINGLE, &[port.to_string()]).unwrap();
    let state = eventually_open(&config).await;
    let mut listener = state.subscribe("t").await.unwrap();
    state.publish("t", text("before")).await.unwrap();
    assert_eq!(timeout(LONG, listener.next()).await.unwrap(), Some(Notice::Message(text("before"))));

    first.stop().unwrap();
    assert!(state.get("k").await.unwrap_err().is_retryable());
    let _second = Running::start(START_SINGLE, &[port.to_string()]).unwrap();
    eventually_open(&config).await;
    state.set("k", text("v"), LONG).await.unwrap();
    assert_eq!(timeout(LONG, listener.next()).await.unwrap(), Some(Notice::Missed));
    state.publish("t", text("after")).await.unwrap();
    assert_eq!(timeout(LONG, listener.next()).await.unwrap(), Some(Notice::Message(text("after"))));
}

#[tokio::test]
async fn a_silent_server_delays_no_caller_for_long() {
    const START_AND_FREEZE: &str = r#"
        redis-server --port "$2" --bind 127.0.0.1 --dir "$folder" --save '' & pid=$!
        read -r _; kill -STOP $pid
        cat >/dev/null; kill -KILL $pid"#;
    if is_missing("redis-server") {
        return;
    }
    let port = free_port().unwrap();
    let mut server = Running::start(START_AND_FREEZE, &[port.to_string()]).unwrap();
    let patience = Duration::from_millis(200);
    let state = eventually_open(&RedisConfig { timeout: patience, ..single(port) }).await;
    server.send("freeze").unwrap();
    while state.get("k").await.is_ok() {
        sleep(Duration::from_millis(10)).await;
    }
    // each of them has to wait for its turn to connect
    let begun = tokio::time::Instant::now();
    let all = futures_util::future::join_all((0..50).map(|_| state.get("k"))).await;
    assert!(all.into_iter().all(|one| one.is_err_and(|error| error.is_retryable())));
    assert!(begun.elapsed() < patience * 25, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn sentinels_name_the_next_master() {
    if is_missing("redis-server") || is_missing("redis-cli") {
        return;
    }
    let [master, replica, sentinel] = [free_port().unwrap(), free_port().unwrap(), free_port().unwrap()];
    let mut servers =
        Running::start(START_SENTINEL, &[master, replica, sentinel].map(|port| port.to_string())).unwrap();
    let config = config(RedisServers::Sentinel {
        sentinels: vec![(HOST.to_owned(), free_port().unwrap()), (HOST.to_owned(), sentinel)],
        service: "main".to_owned(),
        username: String::new(),
        password: "guard".to_owned(),
    });
    let state = eventually_open(&config).await;
    state.set("k", text("v"), LONG).await.unwrap();
    let mut listener = state.subscribe("t").await.unwrap();
    servers.send("").unwrap();
    // until it is gone, it may still take the value
    while tokio::net::TcpStream::connect((HOST, master)).await.is_ok() {
        sleep(Duration::from_millis(10)).await;
    }

    let written = async {
        while let Err(error) = state.set("k", text("w"), LONG).await {
            assert!(error.is_retryable(), "{error}");
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(LONG, written).await.unwrap();
    assert_eq!(state.get("k").await.unwrap(), Some(text("w")));
    assert_eq!(timeout(LONG, listener.next()).await.unwrap(), Some(Notice::Missed));
    state.publish("t", text("after")).await.unwrap();
    assert_eq!(timeout(LONG, listener.next()).await.unwrap(), Some(Notice::Message(text("after"))));
}

#[tokio::test]
async fn tls_is_verified_as_configured() {
    if is_missing("redis-server") || is_missing("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let authorities = folder.path().join("ca.pem");
    let port = free_port().unwrap();
    let _server = Running::start(START_TLS, &[port.to_string(), authorities.display().to_string()]).unwrap();
    let with = |verify, authorities| RedisConfig { tls: Some(RedisTls { verify, authorities }), ..single(port) };
    let state = eventually_open(&with(false, None)).await;
    state.set("k", Bytes::new(), LONG).await.unwrap();
    eventually_open(&with(true, Some(authorities.clone()))).await;
    let error = RedisState::open(&with(true, None)).await.unwrap_err();
    assert!(error.to_string().contains("TLS: ") && error.to_string().contains("certificate"), "{error}");
    let missing = with(true, Some(folder.path().join("none.pem")));
    let error = RedisState::open(&missing).await.unwrap_err();
    assert!(error.to_string().contains("none.pem"), "{error}");
}
