use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use plugin_service::telemetry::testing::Logged;
use plugin_store::blob::{LocalBlobs, Place};
use plugin_store::{BlobEntry, Error, ErrorKind};

use super::super::testing::{Usage, caller};
use super::*;

/// Blobs that fail on demand.
#[derive(Debug)]
struct Fragile {
    blobs: LocalBlobs,
    broken: AtomicBool,
}

impl Fragile {
    fn check(&self) -> plugin_store::Result<()> {
        if self.broken.load(Ordering::Relaxed) { Err(Error::new(ErrorKind::Unavailable, "broken")) } else { Ok(()) }
    }
}

#[async_trait]
impl BlobStore for Fragile {
    fn place(&self) -> Place {
        self.blobs.place()
    }

    async fn put(&self, key: &BlobKey, bytes: Bytes) -> plugin_store::Result<()> {
        self.check()?;
        self.blobs.put(key, bytes).await
    }

    async fn get(&self, key: &BlobKey) -> plugin_store::Result<Option<Bytes>> {
        self.check()?;
        self.blobs.get(key).await
    }

    async fn size(&self, key: &BlobKey) -> plugin_store::Result<Option<u64>> {
        self.blobs.size(key).await
    }

    async fn delete(&self, key: &BlobKey) -> plugin_store::Result<()> {
        self.check()?;
        self.blobs.delete(key).await
    }

    async fn list(&self, folder: &BlobKey) -> plugin_store::Result<Vec<BlobEntry>> {
        self.blobs.list(folder).await
    }
}

struct Fixture {
    storage: Storage,
    usage: Arc<Usage>,
    blobs: Arc<Fragile>,
    caller: Caller,
    folder: tempfile::TempDir,
}

/// The manifest allows 1024 bytes.
fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let usage = Arc::new(Usage::default());
    let blobs = Arc::new(Fragile { blobs: LocalBlobs::open(folder.path()).unwrap(), broken: AtomicBool::new(false) });
    let storage = Storage::new(StorageOptions {
        usage: usage.clone(),
        blobs: blobs.clone(),
        layout: Layout::default(),
        max_bytes: 5000,
    });
    Fixture { storage, usage, blobs, caller: caller(), folder }
}

impl Fixture {
    async fn ask(&self, request: StorageRequest) -> String {
        match self.storage.answer(&self.caller, request).await {
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        }
    }

    async fn set(&self, key: &str, length: usize) -> String {
        self.ask(StorageRequest::Set { key: key.into(), value: "00".repeat(length) }).await
    }

    async fn get(&self, key: &str) -> String {
        self.ask(StorageRequest::Get { key: key.into() }).await
    }

    async fn del(&self, key: &str) -> String {
        self.ask(StorageRequest::Del { key: key.into() }).await
    }

    async fn exist(&self, key: &str) -> String {
        self.ask(StorageRequest::Exist { key: key.into() }).await
    }

    async fn counted(&self) -> i64 {
        self.usage.size(self.caller.tenant_id, "acme/echo").await.unwrap()
    }
}

const OK: &str = r#"{"data":"ok"}"#;
const FULL: &str = "save data failed: allocated size is greater than max storage size";
const ABSENT: &str = "load data failed, please check if the key is correct or you have not set it";

#[tokio::test]
async fn values_come_and_go() {
    let store = fixture();
    assert_eq!(store.exist("k").await, r#"{"data":false,"exist_num":0}"#);
    assert_eq!(store.get("k").await, ABSENT);
    assert_eq!(store.ask(StorageRequest::Set { key: "/a//b/../k".into(), value: "00Ff".into() }).await, OK);
    let file = "persistence/00000000-0000-0000-0000-000000000007/acme/echo/a/k";
    assert_eq!(std::fs::read(store.folder.path().join(Path::new(file))).unwrap(), [0, 255]);
    assert_eq!(store.get("a/k").await, r#"{"data":"00ff"}"#);
    assert_eq!(store.exist("a/k").await, r#"{"data":true,"exist_num":1}"#);
    assert_eq!(store.del("a//k").await, r#"{"data":"ok","deleted_num":1}"#);
    assert_eq!(store.del("a/k").await, r#"{"data":"ok","deleted_num":0}"#);
    assert_eq!(store.counted().await, 0);
}

#[tokio::test]
async fn keys_and_values_that_are_none() {
    let store = fixture();
    let traversal = "invalid key: path traversal attempt detected";
    for key in ["..", "../k", "a\\b", "a..b", "./../k"] {
        assert_eq!(store.set(key, 1).await, format!("save data failed: {traversal}"));
        assert_eq!(store.del(key).await, format!("delete data failed: {traversal}"));
        assert_eq!(store.exist(key).await, format!("exist data failed: {traversal}"));
        assert_eq!(store.get(key).await, ABSENT);
    }
    assert_eq!(store.set(&"k/".repeat(128), 1).await, OK, "256 bytes are allowed");
    let long = format!("d/{}", "k".repeat(255));
    assert_eq!(store.set(&long, 1).await, "save data failed: key length must be less than 256 characters");
    assert!(store.set(".", 1).await.starts_with("save data failed: invalid key: "));
    for value in ["0", "0g", "0x00"] {
        let answer = store.ask(StorageRequest::Set { key: "k".into(), value: value.into() }).await;
        assert!(answer.starts_with("decode data failed: "), "{answer}");
    }
}

#[tokio::test]
async fn the_quota_is_exact_and_asked_first() {
    let (store, logged) = (fixture(), Logged::on_this_thread());
    assert_eq!(store.set("k", 1024).await, OK);
    assert_eq!(store.set("j", 1).await, FULL);
    let numbers = "used=1024 asked=1 limit=1024 set_by=\"resource.permission.storage.size of the manifest\"";
    assert!(logged.text().contains(numbers), "{}", logged.text());
    assert_eq!(store.exist("j").await, r#"{"data":false,"exist_num":0}"#);
    assert_eq!(store.set("k", 1025).await, FULL);
    assert_eq!(store.set("k", 10).await, OK);
    assert_eq!(store.set("j", 1014).await, OK);
    assert_eq!(store.counted().await, 1024);
}

#[tokio::test]
async fn what_could_not_be_written_takes_no_room() {
    let store = fixture();
    store.blobs.broken.store(true, Ordering::Relaxed);
    assert_eq!(store.set("k", 1000).await, "save data failed: broken");
    assert_eq!(store.get("k").await, ABSENT);
    store.blobs.broken.store(false, Ordering::Relaxed);
    assert_eq!(store.counted().await, 0);
    assert_eq!(store.set("k", 1000).await, OK);
    store.blobs.broken.store(true, Ordering::Relaxed);
    assert_eq!(store.del("k").await, "delete data failed: broken");
    assert_eq!(store.counted().await, 1000);
}

#[tokio::test]
async fn a_counter_that_is_too_high_is_put_right() {
    let store = fixture();
    assert_eq!(store.set("d/k", 100).await, OK);
    // as if the daemon had been killed between reserving and writing
    store.usage.reserve(store.caller.tenant_id, "acme/echo", 900, i64::MAX).await.unwrap();
    assert_eq!(store.set("j", 500).await, OK);
    assert_eq!(store.counted().await, 600);
    store.usage.reserve(store.caller.tenant_id, "acme/echo", 400, i64::MAX).await.unwrap();
    assert_eq!(store.set("i", 100).await, FULL, "not at every call");
}

#[tokio::test]
async fn writers_at_once_keep_to_the_quota() {
    let store = Arc::new(fixture());
    let different = (0..20).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.set(&format!("k{n}"), 200).await })
    });
    let mut written = 0;
    for write in different.collect::<Vec<_>>() {
        written += usize::from(write.await.unwrap() == OK);
    }
    assert_eq!((written, store.counted().await), (5, 1000));
}

#[tokio::test]
async fn writers_of_one_key_count_once() {
    let store = Arc::new(fixture());
    let same = (0..20).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.set("k", 10 + n).await })
    });
    for write in same.collect::<Vec<_>>() {
        assert_eq!(write.await.unwrap(), OK);
    }
    let size = store.blobs.size(&store.storage.object(&store.caller, "k").unwrap()).await.unwrap().unwrap();
    assert_eq!(store.counted().await, signed(size));
}
