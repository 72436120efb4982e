#[cfg(test)]
mod tests;
mod vendors;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use opendal::Operator;
use opendal::layers::{RetryLayer, TimeoutLayer};

use super::BlobConfig;
use crate::{BlobEntry, BlobKey, BlobStore, Error, ErrorKind, Result};

/// For a request that moves no data, and for each part of one that does.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
const PART_TIMEOUT: Duration = Duration::from_mins(1);
const RETRIES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Objects at a vendor.
#[derive(Clone, Debug)]
pub(super) struct ObjectBlobs {
    operator: Operator,
}

pub(super) fn open(config: &BlobConfig) -> Result<ObjectBlobs> {
    opendal::install_default();
    let operator = vendors::operator(config)?;
    Ok(ObjectBlobs::new(operator))
}

impl ObjectBlobs {
    pub(super) fn new(operator: Operator) -> Self {
        let operator = operator
            .layer(TimeoutLayer::new().with_timeout(REQUEST_TIMEOUT).with_io_timeout(PART_TIMEOUT))
            .layer(RetryLayer::new().with_max_times(RETRIES).with_min_delay(FIRST_PAUSE).with_jitter());
        Self { operator }
    }
}

/// A missing object is no error.
fn absent<T>(result: opendal::Result<T>) -> opendal::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == opendal::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(what: &str, key: &BlobKey) -> impl Fn(opendal::Error) -> Error {
    move |error| {
        // whether it may pass is known by its kind alone: who has tried it again has marked each error the same
        let kind = match error.kind() {
            opendal::ErrorKind::Unexpected | opendal::ErrorKind::RateLimited => ErrorKind::Unavailable,
            opendal::ErrorKind::ConfigInvalid
            | opendal::ErrorKind::IsADirectory
            | opendal::ErrorKind::NotADirectory => ErrorKind::Invalid,
            opendal::ErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        };
        Error::new(kind, format!("cannot {what} {:?}", key.as_str())).with_source(cause(&error))
    }
}

/// What the vendor said and what is behind it, without the request's headers.
fn cause(error: &opendal::Error) -> String {
    let mut text = format!("{}: {}", error.kind(), error.message());
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[async_trait]
impl BlobStore for ObjectBlobs {
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()> {
        self.operator.write(key.as_str(), bytes).await.map(|_| ()).map_err(failed("write", key))
    }

    async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>> {
        let read = absent(self.operator.read(key.as_str()).await).map_err(failed("read", key))?;
        Ok(read.map(|buffer| buffer.to_bytes()))
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
        let found = absent(self.operator.stat(key.as_str()).await).map_err(failed("look up", key))?;
        Ok(found.filter(opendal::Metadata::is_file).map(|metadata| metadata.content_length()))
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        absent(self.operator.delete(key.as_str()).await).map(|_| ()).map_err(failed("delete", key))
    }

    async fn list(&self, folder: &BlobKey) -> Result<Vec<BlobEntry>> {
        // Without the slash, neighbours whose names begin with the folder's would be in the list.
        let path = format!("{folder}/");
        let lister = self.operator.lister_with(&path).recursive(true).await.map_err(failed("list", folder))?;
        let entries: Vec<opendal::Entry> = lister.try_collect().await.map_err(failed("list", folder))?;
        let objects = entries.into_iter().filter(|entry| entry.metadata().is_file());
        // A name that is no key was not written here.
        let keyed = objects.filter_map(|entry| {
            let key = BlobKey::new(entry.path()).ok()?;
            (key.as_str() == entry.path()).then(|| BlobEntry { key, size: entry.metadata().content_length() })
        });
        Ok(keyed.collect())
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<bool> {
        if self.operator.info().capability().copy {
            let copied = absent(self.operator.copy(from.as_str(), to.as_str()).await);
            return Ok(copied.map_err(failed("copy", from))?.is_some());
        }
        match self.get(from).await? {
            Some(bytes) => self.put(to, bytes).await.map(|()| true),
            None => Ok(false),
        }
    }
}
