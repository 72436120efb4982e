use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;

fn plugin(name: &str) -> UniqueIdentifier {
    format!("acme/{name}:0.0.1@{}", "0".repeat(64)).parse().unwrap()
}

fn tenant(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

const fn limit(running: usize, waiting: usize) -> Limit {
    Limit { running, waiting }
}

fn admission(tenant: Limit) -> Admission {
    Admission::new(AdmissionLimits { plugin: limit(1, 1), tenant, wait: Duration::from_secs(10) })
}

#[tokio::test(start_paused = true)]
async fn a_call_above_the_limit_waits_for_another_to_end_and_one_more_is_refused_at_once() {
    let admission = admission(limit(100, 100));
    let (echo, of_plugin) = (plugin("echo"), limit(2, 1));
    let running = admission.admit(tenant(1), &echo, of_plugin).await.unwrap();
    let _other = admission.admit(tenant(1), &echo, of_plugin).await.unwrap();
    let mut waiting = Box::pin(admission.admit(tenant(1), &echo, of_plugin));
    assert!(waiting.as_mut().now_or_never().is_none());
    let refused = admission.admit(tenant(1), &echo, of_plugin).now_or_never().expect("it does not wait").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "plugin is busy: as many calls as may are running, 2 (PLUGIN_MAX_CALLS), and waiting, 1 (PLUGIN_MAX_QUEUED_CALLS)",
    );
    let _another_plugin = admission.admit(tenant(1), &plugin("other"), of_plugin).now_or_never().unwrap().unwrap();
    drop(running);
    let _admitted = waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_longer_than_it_may() {
    let admission = admission(limit(1, 5));
    let echo = plugin("echo");
    let _running = admission.admit(tenant(1), &echo, limit(9, 9)).await.unwrap();
    let asked = Instant::now();
    let refused = admission.admit(tenant(1), &plugin("other"), limit(9, 9)).await.unwrap_err();
    assert_eq!(asked.elapsed(), Duration::from_secs(10));
    assert_eq!(
        refused.to_string(),
        "workspace is busy: as many calls as may are running, 1 (PLUGIN_TENANT_MAX_CALLS), and the turn of this one has not \
         come within 10 s (PLUGIN_CALL_QUEUE_SECONDS)",
    );
    assert_eq!(refused.whose().as_str(), "tenant");
    admission.admit(tenant(2), &echo, limit(9, 9)).now_or_never().expect("another workspace does not wait").unwrap();
}

#[tokio::test(start_paused = true)]
async fn workspaces_take_turns_at_a_plugin() {
    let admission = admission(limit(100, 100));
    let (echo, of_plugin) = (plugin("echo"), limit(1, 100));
    let running = admission.admit(tenant(1), &echo, of_plugin).await.unwrap();
    let order = parking_lot::Mutex::new(Vec::new());
    let call = async |from: u128, name: &'static str| {
        let _admitted = admission.admit(tenant(from), &echo, of_plugin).await.unwrap();
        order.lock().push(name);
    };
    // one workspace floods, another comes last
    let calls =
        [call(1, "1a"), call(1, "1b"), call(1, "1c"), call(1, "1d"), call(2, "2a"), call(2, "2b"), call(3, "3a")];
    let ended = join_all(calls);
    tokio::join!(ended, async {
        tokio::task::yield_now().await;
        drop(running);
    });
    assert_eq!(*order.lock(), ["1a", "2a", "3a", "1b", "2b", "1c", "1d"]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_its_place_to_the_next() {
    let admission = admission(limit(100, 100));
    let (echo, of_plugin) = (plugin("echo"), limit(1, 2));
    let running = admission.admit(tenant(1), &echo, of_plugin).await.unwrap();
    for _ in 0..100 {
        let mut given_up = Box::pin(admission.admit(tenant(1), &echo, of_plugin));
        assert!(given_up.as_mut().now_or_never().is_none());
    }
    let mut waiting = Box::pin(admission.admit(tenant(2), &echo, of_plugin));
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut given_up_late = Box::pin(admission.admit(tenant(3), &echo, of_plugin));
    assert!(given_up_late.as_mut().now_or_never().is_none());
    drop(running);
    // the turn of the first has come, although it has not looked yet; it gives up all the same
    drop(waiting);
    let admitted = given_up_late.now_or_never().expect("it is next").unwrap();
    drop(admitted);
    admission.admit(tenant(1), &echo, of_plugin).now_or_never().expect("nobody is left").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_raised_holds_for_those_who_wait_already() {
    let admission = admission(limit(100, 100));
    let echo = plugin("echo");
    let _running = admission.admit(tenant(1), &echo, limit(1, 9)).await.unwrap();
    let mut waiting = Box::pin(admission.admit(tenant(1), &echo, limit(1, 9)));
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut after = Box::pin(admission.admit(tenant(1), &echo, limit(3, 9)));
    let _after = after.as_mut().await.unwrap();
    let _waiting = waiting.now_or_never().expect("both fit").unwrap();
    assert!(admission.admit(tenant(1), &echo, limit(3, 9)).now_or_never().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_never_exceed_the_limit_and_none_is_forgotten() {
    use std::sync::atomic::AtomicI64;
    let admission = Arc::new(Admission::new(AdmissionLimits {
        plugin: limit(3, 10_000),
        tenant: limit(1000, 10_000),
        wait: Duration::from_hours(1),
    }));
    let running = Arc::new(AtomicI64::new(0));
    let tasks = (0..2000_u64).map(|number| {
        let (admission, running) = (Arc::clone(&admission), Arc::clone(&running));
        tokio::spawn(async move {
            let echo = plugin("echo");
            let admit = admission.admit(tenant(u128::from(number % 7)), &echo, limit(3, 10_000));
            if number % 5 == 0 {
                // some give up at any moment
                let _ = tokio::time::timeout(Duration::from_micros(number), admit).await;
                return;
            }
            let _admitted = admit.await.unwrap();
            assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
        })
    });
    for ended in join_all(tasks).await {
        ended.unwrap();
    }
    let echo = plugin("echo");
    let all = join_all((0..3).map(|_| admission.admit(tenant(1), &echo, limit(3, 0))));
    assert!(all.await.iter().all(Result::is_ok), "everything has been given back");
}

#[tokio::test]
async fn what_nobody_uses_is_forgotten() {
    let admission = admission(limit(9, 9));
    let mut held = Vec::new();
    for number in 0..5_000 {
        let admitted = admission.admit(tenant(number), &plugin("echo"), limit(5_000, 0)).await.unwrap();
        if number % 100 == 0 {
            held.push(admitted);
        }
    }
    assert!(admission.tenants.all.snapshot().len() <= 2 * SWEEP_AT_LEAST);
    let echo = plugin("echo");
    let more = join_all((0..9).map(|_| admission.admit(tenant(0), &echo, limit(5_000, 0)))).now_or_never();
    assert!(more.is_none(), "one of nine places is still taken, so that one of nine calls waits");
}
