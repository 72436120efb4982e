//! Whether a store can be used, found out at start rather than at the first upload.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use uuid::Uuid;

use super::{BlobKey, BlobStore, Place};
use crate::silence::silence;
use crate::{Error, ErrorKind, Result};

/// Begins the name of the object that is written; with what follows it no package has such a name.
const PROBE: &str = ".start-";
/// Has the characters of real names, which not every file system accepts.
const REST_OF_NAME: &str = ":1.0.0@ff";

/// Whether an object of a checked folder is one of [`check`]: of a node that starts in this moment, or that was killed
/// then.
pub fn is_probe(name: &str) -> bool {
    name.starts_with(PROBE)
}

/// Something that a store does not do; the sentence says what fails without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limitation(pub String);

/// Writes, reads, looks up, lists and deletes an object in the folder. `limit` is for each of these steps.
///
/// # Errors
/// If objects cannot be written, read or deleted; the message names the place, the cause and the variables to look at.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use plugin_store::blob::{LocalBlobs, check};
/// use plugin_store::BlobKey;
///
/// let folder = tempfile::tempdir().unwrap();
/// let store = LocalBlobs::open(folder.path()).unwrap();
/// let packages = BlobKey::new("plugin_packages").unwrap();
/// assert_eq!(check(&store, &packages, Duration::from_secs(10)).await.unwrap(), []);
/// # });
/// ```
pub async fn check(store: &dyn BlobStore, folder: &BlobKey, limit: Duration) -> Result<Vec<Limitation>> {
    let place = store.place();
    let steps = Steps { place: &place, limit };
    let id = Uuid::new_v4();
    let content = Bytes::from(id.to_string());
    let key = folder.child(&format!("{PROBE}{id}{REST_OF_NAME}"))?;
    steps.run("write to", store.put(&key, content.clone())).await?;
    let found = steps.look(store, folder, &id, &key, &content).await;
    // also after a failure
    steps.run("delete from", store.delete(&key)).await?;
    found
}

struct Steps<'a> {
    place: &'a Place,
    limit: Duration,
}

impl Steps<'_> {
    /// Reads the object back, looks a missing one up, and lists.
    async fn look(
        &self,
        store: &dyn BlobStore,
        folder: &BlobKey,
        id: &Uuid,
        key: &BlobKey,
        content: &Bytes,
    ) -> Result<Vec<Limitation>> {
        let place = self.place;
        if self.run("read from", store.get(key)).await?.as_ref() != Some(content) {
            let text = format!("{} does not return what was written to it", place.name);
            return Err(Error::new(ErrorKind::Other, text).in_variables(place.variables));
        }
        let mut limitations = Vec::new();
        let mut add = |text: &str| limitations.push(Limitation(format!("{}: {text}", place.name)));
        let other_case = folder.child(&format!(".START-{id}{REST_OF_NAME}"))?;
        match self.run("look up a missing object in", store.size(&other_case)).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                add("names that differ only in case are the same object, so plugins' data may be overwritten");
            }
            Err(error) if error.kind() == ErrorKind::Denied => add(
                "a missing object is answered with \"access denied\", as by S3 without the right s3:ListBucket, so uploads \
                 and installs of new plugins fail",
            ),
            Err(error) => return Err(error),
        }
        match self.run("list", store.list(key)).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Denied => add(
                "the credentials must not list objects (on S3 the right s3:ListBucket), so what is missing or no longer \
                 needed is not found, and tools that list fail",
            ),
            Err(error) => return Err(error),
        }
        Ok(limitations)
    }

    async fn run<T>(&self, what: &str, step: impl Future<Output = Result<T>>) -> Result<T> {
        let Place { name, variables, .. } = self.place;
        let error = match timeout(self.limit, step).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => Error::new(ErrorKind::Unavailable, self.silence().await),
        };
        let reason = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
        let hint = &self.place.hint;
        Err(Error::new(error.kind(), format!("cannot {what} {name}: {reason}{hint}")).in_variables(variables))
    }

    /// After a time-out: whether anything accepts connections there.
    async fn silence(&self) -> String {
        match &self.place.address {
            Some((host, port)) => silence(host, *port, self.limit).await,
            None => format!("no answer within {} s", self.limit.as_secs_f32()),
        }
    }
}
