//! One behaviour suite, run over every shared state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{Cluster, DebugKeys, Lease, Member, MemoryState, Node, Notice, SharedState};

const LONG: Duration = Duration::from_mins(1);
/// What lives so long may be gone at the next look.
const SHORT: Duration = Duration::from_millis(60);
const AFTER_SHORT: Duration = Duration::from_millis(150);

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[cfg(feature = "redis")]
mod redis;

/// Runs every case, each as a test of its own, over each backend of this build.
macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod in_memory { $(
            #[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(std::sync::Arc::new(super::MemoryState::new())).await;
            }
        )* }
        #[cfg(feature = "redis")]
        mod in_redis { $(
            #[tokio::test]
            async fn $case() {
                super::redis::on_single(super::$case).await;
            }
        )* }
        #[cfg(feature = "redis")]
        mod in_redis_cluster { $(
            #[tokio::test]
            async fn $case() {
                super::redis::on_cluster(super::$case).await;
            }
        )* }
    };
}

suite! {
    keys_live_for_their_time,
    a_key_is_set_once,
    locks_belong_to_their_owner,
    members_come_and_go,
    messages_reach_everyone,
    debug_keys_are_stable,
    debug_keys_under_concurrency,
    leases_exclude_each_other,
    a_lease_is_renewed_while_it_lives,
    a_stolen_lease_is_lost,
    nodes_come_and_go,
}

async fn keys_live_for_their_time(state: Arc<dyn SharedState>) {
    assert_eq!(state.get("k").await.unwrap(), None);
    assert!(!state.touch("k", LONG).await.unwrap());
    assert!(!state.delete("k").await.unwrap());

    state.set("k", text("one"), LONG).await.unwrap();
    assert_eq!(state.get("k").await.unwrap(), Some(text("one")));
    state.set("k", text("one"), SHORT).await.unwrap();
    state.set("k", text("two"), LONG).await.unwrap();
    sleep(AFTER_SHORT).await;
    assert_eq!(state.get("k").await.unwrap(), Some(text("two")), "setting starts the time anew");
    assert!(state.touch("k", SHORT).await.unwrap());
    sleep(AFTER_SHORT).await;
    assert_eq!(state.get("k").await.unwrap(), None);
    assert!(!state.delete("k").await.unwrap());

    let binary = Bytes::from_static(&[0, 255, b'\n', 0]);
    state.set("binary", binary.clone(), LONG).await.unwrap();
    assert_eq!(state.get("binary").await.unwrap(), Some(binary));
    assert!(state.delete("binary").await.unwrap());
    assert_eq!(state.get("binary").await.unwrap(), None);
}

async fn a_key_is_set_once(state: Arc<dyn SharedState>) {
    assert!(state.set_if_absent("k", text("first"), LONG).await.unwrap());
    assert!(!state.set_if_absent("k", text("second"), LONG).await.unwrap());
    assert_eq!(state.get("k").await.unwrap(), Some(text("first")));
    assert!(state.delete("k").await.unwrap());
    assert!(state.set_if_absent("k", text("first"), SHORT).await.unwrap());
    sleep(AFTER_SHORT).await;
    assert!(state.set_if_absent("k", text("third"), LONG).await.unwrap());
    assert_eq!(state.get("k").await.unwrap(), Some(text("third")));
}

async fn locks_belong_to_their_owner(state: Arc<dyn SharedState>) {
    assert!(state.lock("l", "a", LONG).await.unwrap());
    assert!(state.lock("l", "a", LONG).await.unwrap(), "ours already");
    assert!(!state.lock("l", "b", LONG).await.unwrap());
    assert!(!state.renew("l", "b", LONG).await.unwrap());
    assert!(!state.unlock("l", "b").await.unwrap());
    assert!(state.renew("l", "a", SHORT).await.unwrap());
    sleep(AFTER_SHORT).await;
    assert!(!state.renew("l", "a", LONG).await.unwrap());
    assert!(state.lock("l", "b", LONG).await.unwrap());
    assert!(!state.unlock("l", "a").await.unwrap());
    assert!(state.unlock("l", "b").await.unwrap());
    assert!(state.lock("l", "a", LONG).await.unwrap());
}

async fn members_come_and_go(state: Arc<dyn SharedState>) {
    let members = async || {
        let mut members = state.members("s").await.unwrap();
        members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        members
    };
    let member = |name: &str, value| Member { name: name.to_owned(), value };
    assert_eq!(members().await, []);
    assert!(!state.leave("s", "a").await.unwrap());
    state.join("s", "a", text("1"), LONG).await.unwrap();
    state.join("s", "b", text("2"), LONG).await.unwrap();
    state.join("other", "c", text("3"), LONG).await.unwrap();
    assert_eq!(members().await, [member("a", text("1")), member("b", text("2"))]);
    state.join("s", "a", text("1"), SHORT).await.unwrap();
    sleep(AFTER_SHORT).await;
    assert_eq!(members().await, [member("b", text("2"))]);
    state.join("s", "a", text("4"), LONG).await.unwrap();
    state.join("s", "b", Bytes::new(), LONG).await.unwrap();
    assert_eq!(members().await, [member("a", text("4")), member("b", Bytes::new())]);
    assert!(state.leave("s", "a").await.unwrap());
    assert!(!state.leave("s", "a").await.unwrap());
    assert_eq!(members().await, [member("b", Bytes::new())]);
}

async fn messages_reach_everyone(state: Arc<dyn SharedState>) {
    state.publish("t", text("nobody listens")).await.unwrap();
    let mut one = state.subscribe("t").await.unwrap();
    let mut two = state.subscribe("t").await.unwrap();
    let mut other = state.subscribe("u").await.unwrap();
    state.publish("t", text("hello")).await.unwrap();
    state.publish("u", text("apart")).await.unwrap();
    state.publish("t", text("again")).await.unwrap();
    for listener in [&mut one, &mut two] {
        for expected in ["hello", "again"] {
            let notice = timeout(LONG, listener.next()).await.unwrap();
            assert_eq!(notice, Some(Notice::Message(text(expected))));
        }
    }
    assert_eq!(timeout(LONG, other.next()).await.unwrap(), Some(Notice::Message(text("apart"))));

    drop((one, two));
    let mut late = state.subscribe("t").await.unwrap();
    state.publish("t", text("late")).await.unwrap();
    assert_eq!(timeout(LONG, late.next()).await.unwrap(), Some(Notice::Message(text("late"))));
}

#[tokio::test]
async fn a_slow_listener_learns_what_it_missed() {
    let state = MemoryState::new();
    let mut listener = state.subscribe("t").await.unwrap();
    for _ in 0..1000 {
        state.publish("t", text("x")).await.unwrap();
    }
    assert_eq!(listener.next().await, Some(Notice::Missed));
    assert_eq!(listener.next().await, Some(Notice::Message(text("x"))));
}

async fn debug_keys_are_stable(state: Arc<dyn SharedState>) {
    let keys = DebugKeys::new(Arc::clone(&state));
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let key = keys.get_or_create(one).await.unwrap();
    assert_eq!(key.get_version_num(), 4);
    assert_eq!(keys.get_or_create(one).await.unwrap(), key);
    let other = keys.get_or_create(two).await.unwrap();
    assert_ne!(other, key);
    assert_eq!(keys.resolve(&key.to_string()).await.unwrap(), Some(one));
    assert_eq!(keys.resolve(&other.to_string()).await.unwrap(), Some(two));
    for unknown in [Uuid::nil().to_string().as_str(), "", "no id", "*"] {
        assert_eq!(keys.resolve(unknown).await.unwrap(), None);
    }
    // Half of the pair is lost: asking again completes it.
    state.delete(&format!("{{remote:key:manager}}:key2id:{key}")).await.unwrap();
    assert_eq!(keys.get_or_create(one).await.unwrap(), key);
    assert_eq!(keys.resolve(&key.to_string()).await.unwrap(), Some(one));
    // What nobody can read is replaced.
    state.set(&format!("{{remote:key:manager}}:id2key:{one}"), text("?"), LONG).await.unwrap();
    assert_ne!(keys.get_or_create(one).await.unwrap(), key);
}

async fn debug_keys_under_concurrency(state: Arc<dyn SharedState>) {
    let mut work = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let keys = DebugKeys::new(Arc::clone(&state));
        work.spawn(async move { keys.get_or_create(Uuid::from_u128(1)).await.unwrap() });
    }
    let keys: BTreeSet<Uuid> = work.join_all().await.into_iter().collect();
    assert_eq!(keys.len(), 1);
}

async fn leases_exclude_each_other(state: Arc<dyn SharedState>) {
    let take = async |wait| Lease::acquire(&state, "l", LONG, wait).await.unwrap();
    let first = take(Duration::ZERO).await.unwrap();
    assert!(first.is_held());
    assert!(take(Duration::ZERO).await.is_none());
    assert!(take(AFTER_SHORT).await.is_none());
    first.release().await.unwrap();
    let second = take(Duration::ZERO).await.unwrap();
    drop(second);
    assert!(take(LONG).await.is_some(), "dropping gives it up");
}

async fn a_lease_is_renewed_while_it_lives(state: Arc<dyn SharedState>) {
    const TTL: Duration = Duration::from_secs(3);
    let lease = Lease::acquire(&state, "l", TTL, Duration::ZERO).await.unwrap().unwrap();
    sleep(TTL * 2).await;
    assert!(lease.is_held());
    assert!(!state.lock("l", "other", TTL).await.unwrap());
}

async fn a_stolen_lease_is_lost(state: Arc<dyn SharedState>) {
    const TTL: Duration = Duration::from_millis(300);
    let lease = Lease::acquire(&state, "l", TTL, Duration::ZERO).await.unwrap().unwrap();
    // As if the backend had been restarted, and another node had been faster.
    let owner = lease.owner().to_owned();
    assert!(state.unlock("l", &owner).await.unwrap());
    assert!(state.lock("l", "other", LONG).await.unwrap());
    timeout(LONG, lease.lost()).await.unwrap();
    assert!(!lease.is_held());
    drop(lease);
    sleep(SHORT).await;
    assert!(state.renew("l", "other", LONG).await.unwrap(), "a lost lease frees nothing");
}

async fn nodes_come_and_go(state: Arc<dyn SharedState>) {
    let cluster = Cluster::new(Arc::clone(&state));
    let node = |number| Node { id: Uuid::from_u128(number), ..Node::new(format!("http://10.0.0.{number}:5002")) };
    cluster.announce(&node(2), LONG).await.unwrap();
    cluster.announce(&node(1), LONG).await.unwrap();
    assert_eq!(cluster.nodes().await.unwrap(), [node(1), node(2)]);
    cluster.announce(&node(1), SHORT).await.unwrap();
    sleep(AFTER_SHORT).await;
    assert_eq!(cluster.nodes().await.unwrap(), [node(2)]);
    cluster.withdraw(node(2).id).await.unwrap();
    assert_eq!(cluster.nodes().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn memory_is_given_back() {
    let state = MemoryState::new();
    for round in 0..100 {
        for key in 0..100 {
            let name = format!("{round}:{key}");
            state.set(&name, Bytes::new(), SHORT).await.unwrap();
            state.join(&name, "member", Bytes::new(), SHORT).await.unwrap();
        }
        sleep(AFTER_SHORT).await;
    }
    assert!(state.size() < 1000, "{} entries of which none lives", state.size());
}
