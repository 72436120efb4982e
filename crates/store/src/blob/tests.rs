//! One behaviour suite, run over every blob store.

use std::sync::Arc;

use bytes::Bytes;

use super::{BlobKey, BlobStore, Faulty, LocalBlobs};
use crate::ErrorKind;

fn key(path: &str) -> BlobKey {
    BlobKey::new(path).unwrap()
}

async fn list(store: &dyn BlobStore, folder: &str) -> Vec<(String, u64)> {
    let entries = store.list(&key(folder)).await.unwrap();
    let mut found: Vec<_> = entries.into_iter().map(|entry| (entry.key.to_string(), entry.size)).collect();
    found.sort_unstable();
    found
}

/// What every store must do.
pub(super) async fn behaves(store: &dyn BlobStore) {
    let package = key("plugin/langgenius/openai:0.2.7@9f");
    assert_eq!(store.get(&package).await.unwrap(), None);
    assert_eq!(store.size(&package).await.unwrap(), None);
    assert!(!store.exists(&package).await.unwrap());
    store.delete(&package).await.unwrap();
    assert_eq!(list(store, "plugin").await, []);

    store.put(&package, Bytes::from_static(b"first")).await.unwrap();
    store.put(&package, Bytes::from_static(b"second one")).await.unwrap();
    assert_eq!(store.get(&package).await.unwrap().as_deref(), Some(b"second one".as_slice()));
    assert_eq!(store.size(&package).await.unwrap(), Some(10));
    let empty = key("plugin/empty");
    store.put(&empty, Bytes::new()).await.unwrap();
    assert_eq!(store.get(&empty).await.unwrap(), Some(Bytes::new()));
    assert_eq!(store.size(&empty).await.unwrap(), Some(0));

    // A folder's neighbours begin with its name but do not belong to it.
    store.put(&key("plugin_packages/a/b:1@0"), Bytes::from_static(b"x")).await.unwrap();
    let expected = [("plugin/empty".to_owned(), 0), ("plugin/langgenius/openai:0.2.7@9f".to_owned(), 10)];
    assert_eq!(list(store, "plugin").await, expected);
    assert_eq!(list(store, "plugin/langgenius").await, expected[1..]);
    assert_eq!(store.get(&key("plugin")).await.unwrap(), None, "a folder is no object");
    assert_eq!(store.size(&key("plugin/langgenius")).await.unwrap(), None);
    store.delete(&key("plugin/langgenius")).await.unwrap();
    assert!(store.exists(&package).await.unwrap(), "deleting a folder's name deletes nothing");

    let copy = key("copies/b:1@0");
    assert!(store.copy(&package, &copy).await.unwrap());
    assert_eq!(store.get(&copy).await.unwrap().as_deref(), Some(b"second one".as_slice()));
    assert!(!store.copy(&key("none"), &copy).await.unwrap());

    let odd = key("persistence/t/a/b/Straße & 100% + ?#;=~'\"(*)");
    store.put(&odd, Bytes::from_static(b"odd")).await.unwrap();
    assert_eq!(store.get(&odd).await.unwrap().as_deref(), Some(b"odd".as_slice()));
    assert_eq!(list(store, "persistence").await, [(odd.to_string(), 3)]);

    store.delete(&package).await.unwrap();
    assert_eq!(store.get(&package).await.unwrap(), None);
    store.delete(&package).await.unwrap();

    let large = Bytes::from(vec![7; 9 * 1024 * 1024]);
    store.put(&package, large.clone()).await.unwrap();
    assert_eq!(store.get(&package).await.unwrap(), Some(large));
}

#[tokio::test]
async fn local_folder_behaves() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("not/there/yet");
    behaves(&LocalBlobs::open(&root).unwrap()).await;
    assert_eq!(std::fs::read(root.join("plugin_packages/a/b:1@0")).unwrap(), b"x", "the layout is plain");
}

#[tokio::test]
async fn local_folder_with_conflicting_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    store.put(&key("a"), Bytes::from_static(b"file")).await.unwrap();
    assert_eq!(store.get(&key("a/b")).await.unwrap(), None);
    assert_eq!(store.put(&key("a/b"), Bytes::new()).await.unwrap_err().kind(), ErrorKind::Invalid);
    store.put(&key("d/file"), Bytes::new()).await.unwrap();
    assert_eq!(store.put(&key("d"), Bytes::new()).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.put(&key(&"x".repeat(300)), Bytes::new()).await.unwrap_err().kind(), ErrorKind::Invalid);
    let left: Vec<_> = walk(folder.path());
    assert_eq!(left, ["a", "d/file"], "failed writes leave nothing");
    assert!(LocalBlobs::open(folder.path().join("a")).is_err());
}

fn walk(root: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

#[tokio::test]
async fn abandoned_files_are_collected_and_never_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    store.put(&key("plugin/a"), Bytes::new()).await.unwrap();
    let young = folder.path().join("plugin/.tmp-young");
    let old = folder.path().join("plugin/.tmp-old");
    std::fs::write(&young, "").unwrap();
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    std::fs::File::create(&old).unwrap().set_modified(yesterday).unwrap();
    assert_eq!(list(&store, "plugin").await, [("plugin/a".to_owned(), 0)]);
    assert!(young.exists() && !old.exists());
}

#[tokio::test]
async fn readers_see_whole_objects() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(folder.path()).unwrap();
    let name = key("a/b");
    store.put(&name, Bytes::from(vec![0; 100_000])).await.unwrap();
    let writer = tokio::spawn({
        let (store, name) = (store.clone(), name.clone());
        async move {
            for round in 1..40 {
                store.put(&name, Bytes::from(vec![round; 100_000])).await.unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let bytes = store.get(&name).await.unwrap().unwrap();
        assert_eq!(bytes.len(), 100_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_faulty_store_fails_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let store = Faulty::new(Arc::new(LocalBlobs::open(folder.path()).unwrap()));
    behaves(&store).await;
    store.fail_after(1, 2);
    let name = key("plugin/empty");
    assert!(store.exists(&name).await.unwrap());
    assert!(store.exists(&name).await.unwrap_err().is_retryable(), "an error is never absence");
    assert!(store.delete(&name).await.is_err());
    assert!(store.exists(&name).await.unwrap());
}
