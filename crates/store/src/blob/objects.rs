//! Objects in a bucket of a vendor.

mod cause;
mod names;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
mod vendors;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use opendal::Operator;
use opendal::layers::{RetryLayer, TimeoutLayer};

use self::cause::{cause, kind};
use super::foreign::Foreign;
use super::{BlobConfig, Place};
use crate::{BlobEntry, BlobKey, BlobStore, Error, Result};

/// For a request that moves no data, and for each part of one that does.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
const PART_TIMEOUT: Duration = Duration::from_mins(1);
const RETRIES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Objects at a vendor.
#[derive(Clone, Debug)]
pub(super) struct ObjectBlobs {
    operator: Operator,
    place: Place,
    foreign: Foreign,
}

pub(super) fn open(config: &BlobConfig) -> Result<ObjectBlobs> {
    opendal::install_default();
    let (operator, place) = vendors::operator(config)?;
    Ok(ObjectBlobs::new(operator, place))
}

impl ObjectBlobs {
    pub(super) fn new(operator: Operator, place: Place) -> Self {
        let operator = operator
            .layer(TimeoutLayer::new().with_timeout(REQUEST_TIMEOUT).with_io_timeout(PART_TIMEOUT))
            .layer(RetryLayer::new().with_max_times(RETRIES).with_min_delay(FIRST_PAUSE).with_jitter());
        Self { operator, place, foreign: Foreign::default() }
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
    move |error| Error::new(kind(&error), format!("cannot {what} {:?}", key.as_str())).with_source(cause(&error))
}

#[async_trait]
impl BlobStore for ObjectBlobs {
    fn place(&self) -> Place {
        self.place.clone()
    }

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
        let keyed = objects.filter_map(|entry| {
            let key = BlobKey::new(entry.path()).ok().filter(|key| key.as_str() == entry.path());
            if key.is_none() {
                self.foreign.report(entry.path());
            }
            Some(BlobEntry { key: key?, size: entry.metadata().content_length() })
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
