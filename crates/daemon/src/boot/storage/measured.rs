//! Storage whose operations are counted and timed.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_store::blob::Place;
use plugin_store::{BlobEntry, BlobKey, BlobStore, Result};
use tokio::time::Instant;

use plugin_service::telemetry::Metrics;
use plugin_service::telemetry::metrics::Success;

/// A store whose operations are counted (cluster-serverless-observability 6.3), under the names that the reference's
/// storage library has for them.
#[derive(Debug)]
pub(in crate::boot) struct Measured {
    inner: Arc<dyn BlobStore>,
    /// `PLUGIN_STORAGE_TYPE`.
    kind: String,
    metrics: Metrics,
}

impl Measured {
    pub(in crate::boot) fn new(inner: Arc<dyn BlobStore>, kind: &str, metrics: Metrics) -> Self {
        Self { inner, kind: kind.to_owned(), metrics }
    }

    async fn measure<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = Instant::now();
        let result = work.await;
        let status = if result.is_ok() { Success::Success } else { Success::Failed };
        self.metrics.storage_operation(operation, &self.kind, status, begun.elapsed());
        result
    }
}

#[async_trait]
impl BlobStore for Measured {
    fn place(&self) -> Place {
        self.inner.place()
    }

    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()> {
        self.measure("save", self.inner.put(key, bytes)).await
    }

    async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>> {
        self.measure("load", self.inner.get(key)).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
        self.measure("state", self.inner.size(key)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.measure("delete", self.inner.delete(key)).await
    }

    async fn list(&self, folder: &BlobKey) -> Result<Vec<BlobEntry>> {
        self.measure("list", self.inner.list(folder)).await
    }

    async fn exists(&self, key: &BlobKey) -> Result<bool> {
        self.measure("exists", self.inner.exists(key)).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<bool> {
        self.measure("copy", self.inner.copy(from, to)).await
    }
}

#[cfg(test)]
mod tests {
    use plugin_store::blob::{Faulty, LocalBlobs};

    use super::*;
    use plugin_service::telemetry::metrics::Format;

    #[tokio::test]
    async fn every_operation_is_counted_once_with_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let faulty = Faulty::new(Arc::new(LocalBlobs::open(folder.path()).unwrap()));
        let metrics = Metrics::new();
        let store = Measured::new(Arc::new(faulty.clone()), "aws_s3", metrics.clone());
        let [one, two] = ["folder/one", "folder/two"].map(|key| BlobKey::new(key).unwrap());

        store.put(&one, Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(store.get(&two).await.unwrap(), None);
        assert!(store.exists(&one).await.unwrap());
        assert_eq!(store.size(&one).await.unwrap(), Some(1));
        assert!(store.copy(&one, &two).await.unwrap());
        assert_eq!(store.list(&BlobKey::new("folder").unwrap()).await.unwrap().len(), 2);
        store.delete(&two).await.unwrap();
        faulty.fail_after(0, 1);
        store.get(&one).await.unwrap_err();

        let text = metrics.expose(Format::Plain).text;
        let mut counted: Vec<_> = text.lines().filter(|line| line.starts_with("storage_operations_total{")).collect();
        counted.sort_unstable();
        let line = |operation: &str, status: &str| {
            format!(r#"storage_operations_total{{operation="{operation}",storage_type="aws_s3",status="{status}"}} 1"#)
        };
        let expected = ["copy", "delete", "exists", "list"].map(|operation| line(operation, "success"));
        let more = [line("load", "failed"), line("load", "success"), line("save", "success"), line("state", "success")];
        assert_eq!(counted, [expected, more].concat());
        let loads = r#"storage_operation_duration_seconds_count{operation="load",storage_type="aws_s3"} 2"#;
        assert!(text.lines().any(|line| line == loads), "{text}");
    }
}
