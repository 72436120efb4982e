//! What an operator reads when Redis cannot be used. `SECRET` is in every password that is wrong.

use std::io::Write as _;
use std::net::TcpListener;

use super::{
    CLUSTER, Duration, HOST, RedisConfig, RedisServers, RedisState, Running, SINGLE, START_SENTINEL, config,
    eventually_open, free_port, is_missing, on_cluster, on_single, single,
};
use crate::ErrorKind;

/// The kind and the text of the error.
async fn refusal(config: &RedisConfig) -> (ErrorKind, String) {
    let error = RedisState::open(config).await.unwrap_err();
    let text = error.to_string();
    for printed in [&text, &format!("{error:?}"), &format!("{config:?}")] {
        assert!(!printed.contains("SECRET"), "{printed}");
    }
    (error.kind(), text)
}

fn sentinel(ports: &[u16], service: &str, password: &str) -> RedisConfig {
    config(RedisServers::Sentinel {
        sentinels: ports.iter().map(|port| (HOST.to_owned(), *port)).collect(),
        service: service.to_owned(),
        username: String::new(),
        password: password.to_owned(),
    })
}

fn cluster(ports: &[u16]) -> RedisConfig {
    config(RedisServers::Cluster { nodes: ports.iter().map(|port| (HOST.to_owned(), *port)).collect() })
}

/// A configuration of each mode for a port, with the beginning of its messages and the variables of the address.
fn modes(port: u16) -> [(RedisConfig, &'static str, &'static str); 3] {
    [
        (single(port), "cannot connect to Redis at", "(REDIS_HOST, REDIS_PORT)"),
        (sentinel(&[port], "main", "SECRET"), "cannot connect to Redis Sentinel at", "(REDIS_SENTINELS)"),
        (cluster(&[port]), "cannot connect to the Redis Cluster node at", "(REDIS_CLUSTERS)"),
    ]
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent() {
    // the system accepts connections for it
    let silent = TcpListener::bind((HOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    for (config, start, variables) in modes(port) {
        let config = RedisConfig { timeout: Duration::from_millis(300), ..config };
        let text = format!(
            "{start} 127.0.0.1:{port}: the server accepted the connection, but did not answer within 0.3 s {variables}"
        );
        assert_eq!(refusal(&config).await, (ErrorKind::Unavailable, text));
    }
}

#[tokio::test]
async fn a_port_on_which_no_server_listens() {
    let port = free_port().unwrap();
    for (config, start, variables) in modes(port) {
        let text = format!(
            "{start} 127.0.0.1:{port}: connection refused; check that the server runs and listens there {variables}"
        );
        assert_eq!(refusal(&config).await, (ErrorKind::Unavailable, text));
    }
}

#[tokio::test]
async fn a_host_that_does_not_exist() {
    let config = config(RedisServers::Single { host: "no host".to_owned(), port: 1 });
    let (kind, text) = refusal(&config).await;
    let start = "cannot connect to Redis at no host:1: the host name cannot be resolved: ";
    assert!(kind == ErrorKind::Unavailable && text.starts_with(start), "{text}");
}

/// A server that says a line to whoever connects, and closes the connection.
fn refusing_at_once(line: &'static str) -> u16 {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(format!("-{line}\r\n").as_bytes());
        }
    });
    port
}

#[tokio::test]
async fn protected_mode() {
    // in the words of Redis 7
    let port = refusing_at_once(
        "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default \
         user. In this mode connections are only accepted from the loopback interface. If you want to connect from external \
         computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command \
         'CONFIG SET protected-mode no' from the loopback interface. 2) Alternatively you can just disable the protected mode \
         by editing the Redis configuration file.",
    );
    let credentials = [
        "(REDIS_USERNAME, REDIS_PASSWORD)",
        "(REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD)",
        "(REDIS_USERNAME, REDIS_CLUSTERS_PASSWORD, REDIS_PASSWORD)",
    ];
    for ((config, start, _), credentials) in modes(port).into_iter().zip(credentials) {
        let text = format!(
            "{start} 127.0.0.1:{port}: DENIED Redis is running in protected mode because protected mode is enabled and no \
             password is set for the default user. In this mode connections are only accepted from the loopback interface; set \
             a password in Redis (requirepass), and the same here {credentials}"
        );
        assert_eq!(refusal(&config).await, (ErrorKind::Denied, text));
    }
}

#[tokio::test]
async fn a_server_that_has_too_many_clients() {
    let port = refusing_at_once("ERR max number of clients reached");
    let (_, text) = refusal(&single(port)).await;
    let start = format!("cannot connect to Redis at 127.0.0.1:{port}: ");
    assert!(text.starts_with(&start) && text.contains("ERR max number of clients reached"), "{text}");
}

const WRONG: &str = "the server refuses the user name or password";

#[tokio::test]
async fn wrong_passwords_and_databases() {
    if is_missing("redis-server") || is_missing("redis-cli") {
        return;
    }
    on_single(async |_| {}).await;
    let (port, _) = SINGLE.get().unwrap();
    let wrong = RedisConfig { password: "SECRET".to_owned(), ..single(*port) };
    let text = format!("cannot connect to Redis at 127.0.0.1:{port}: {WRONG} (REDIS_USERNAME, REDIS_PASSWORD)");
    assert_eq!(refusal(&wrong).await, (ErrorKind::Other, text));
    let (kind, text) = refusal(&single(*port)).await;
    assert!(kind == ErrorKind::Other && text.ends_with("(REDIS_USERNAME, REDIS_PASSWORD)"), "none given: {text}");
    let database = RedisConfig { password: "sesame".to_owned(), database: 99, ..single(*port) };
    let (kind, text) = refusal(&database).await;
    assert!(kind == ErrorKind::Other && text.ends_with("(REDIS_DB)"), "{text}");

    on_cluster(async |_| {}).await;
    let (ports, _) = CLUSTER.get().unwrap();
    let wrong = RedisConfig { password: "SECRET".to_owned(), ..cluster(&ports[..1]) };
    let text = format!(
        "cannot connect to the Redis Cluster node at 127.0.0.1:{}: {WRONG} (REDIS_USERNAME, REDIS_CLUSTERS_PASSWORD, \
         REDIS_PASSWORD)",
        ports[0]
    );
    assert_eq!(refusal(&wrong).await, (ErrorKind::Other, text));
}

#[tokio::test]
async fn a_mode_that_does_not_fit() {
    if is_missing("redis-server") || is_missing("redis-cli") {
        return;
    }
    on_single(async |_| {}).await;
    let (port, _) = SINGLE.get().unwrap();
    let (kind, text) = refusal(&RedisConfig { password: "sesame".to_owned(), ..cluster(&[*port]) }).await;
    assert!(kind == ErrorKind::Invalid && text.ends_with("(REDIS_USE_CLUSTERS)"), "{text}");

    on_cluster(async |_| {}).await;
    let (ports, _) = CLUSTER.get().unwrap();
    // the key belongs to one of the three nodes
    let mut redirected = 0;
    for port in ports {
        let config = RedisConfig { prefix: "mode".to_owned(), ..single(*port) };
        if let Err(error) = RedisState::open(&config).await {
            let text = format!(
                "cannot connect to Redis at 127.0.0.1:{port}: the server is a node of a Redis Cluster (REDIS_USE_CLUSTERS, \
                 REDIS_CLUSTERS)"
            );
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, text));
            redirected += 1;
        }
    }
    assert_eq!(redirected, 2);
}

#[tokio::test]
async fn sentinel_and_master_are_distinguished() {
    if is_missing("redis-server") || is_missing("redis-cli") {
        return;
    }
    let [master, replica, port] = [free_port().unwrap(), free_port().unwrap(), free_port().unwrap()];
    let ports = [master, replica, port].map(|port| port.to_string());
    let _servers = Running::start(START_SENTINEL, &ports).unwrap();
    eventually_open(&sentinel(&[port], "main", "guard")).await;

    let text = format!(
        "cannot connect to Redis Sentinel at 127.0.0.1:{port}: {WRONG} (REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD)"
    );
    assert_eq!(refusal(&sentinel(&[port], "main", "SECRET")).await, (ErrorKind::Other, text.clone()));
    let with_one_down = sentinel(&[free_port().unwrap(), port], "main", "SECRET");
    assert_eq!(refusal(&with_one_down).await, (ErrorKind::Other, text), "what refuses says more than what is down");

    let text = "Redis Sentinel has no master of the name \"other\" (REDIS_SENTINEL_SERVICE_NAME)".to_owned();
    assert_eq!(refusal(&sentinel(&[port], "other", "guard")).await, (ErrorKind::Unavailable, text));

    let wrong = RedisConfig { password: "SECRET".to_owned(), ..sentinel(&[port], "main", "guard") };
    let text = format!(
        "cannot connect to the Redis master that Sentinel names, at 127.0.0.1:{master}: {WRONG} (REDIS_USERNAME, REDIS_PASSWORD)"
    );
    assert_eq!(refusal(&wrong).await, (ErrorKind::Other, text));
}
