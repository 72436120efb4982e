//! Database, shared state and storage.

use std::sync::Arc;
use std::time::Duration;

use plugin_store::blob::Limitation;
use plugin_store::{BlobStore, Database, Layout, blob, shared};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::BootError;
use super::storage::Measured;
use plugin_registry::stores::Stores;
use plugin_service::base::Base;
use plugin_service::config::{CacheType, Config, DatabaseType};

/// First and longest pause between attempts to open a back end.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often servers are pinged, and how long they may take to answer.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A back end, by its name in `/ready`.
#[derive(Clone, Copy)]
struct Part(&'static str);

const STORAGE: Part = Part("storage");
const SHARED: Part = Part("shared state");
const DATABASE: Part = Part("database");

impl Part {
    fn failed(self) -> impl Fn(plugin_store::Error) -> BootError {
        move |source| BootError::Store { what: self.0, source }
    }
}

/// Opens all of them at the same time: one that can never work ends the start, even while another cannot be reached.
pub(super) async fn open(base: &Base) -> Result<Stores, BootError> {
    let config = &base.config;
    for part in [STORAGE, SHARED, DATABASE] {
        base.readiness.not_ready(part.0, "opening");
    }
    let layout = layout(config).map_err(STORAGE.failed())?;
    let blobs = blob::open(&super::storage::config(config)?).map_err(STORAGE.failed())?;
    let blobs = Arc::new(Measured::new(blobs, &config.storage.kind.word, base.metrics.clone()));
    let shared = super::shared::config(&config.redis)?;
    let database = config.database.connection();
    let ((), shared, database) = tokio::try_join!(
        check_storage(base, &*blobs, &layout),
        until_reachable(base, SHARED, || Box::pin(shared::open(&shared))),
        until_reachable(base, DATABASE, || Box::pin(Database::open(&database))),
    )?;
    Ok(Stores { database, shared, blobs, layout })
}

async fn check_storage(base: &Base, blobs: &dyn BlobStore, layout: &Layout) -> Result<(), BootError> {
    let limitations = until_reachable(base, STORAGE, || super::storage::check(blobs, layout)).await?;
    for Limitation(limitation) in &limitations {
        tracing::warn!(limitation, "the storage can be used in part only");
    }
    if !limitations.is_empty() {
        let all: Vec<_> = limitations.into_iter().map(|Limitation(limitation)| limitation).collect();
        base.readiness.failing(STORAGE.0, all.join("; "));
    }
    Ok(())
}

/// Tries again until the back end can be reached, or the daemon stops: that abandons an attempt that is under way.
async fn until_reachable<T, F>(base: &Base, part: Part, open: impl Fn() -> F) -> Result<T, BootError>
where
    F: Future<Output = plugin_store::Result<T>>,
{
    let attempts = async {
        let mut pause = FIRST_PAUSE;
        loop {
            match open().await {
                Ok(opened) => {
                    base.readiness.ready(part.0);
                    return Ok(opened);
                }
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, part = part.0, seconds = pause.as_secs_f32(), "cannot be reached, trying again");
                    base.readiness.not_ready(part.0, error.to_string());
                }
                Err(source) => return Err(part.failed()(source)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    base.lifecycle.soft().run_until_cancelled(attempts).await.unwrap_or(Err(BootError::Stopped))
}

/// Shows in `/ready` and in the log when a server stops answering and when it is back, until `stop`.
pub(super) async fn watch(base: Arc<Base>, stores: Stores, stop: CancellationToken) {
    let database = base.config.database.kind != DatabaseType::Sqlite;
    let shared = base.config.redis.cache_type != CacheType::Memory;
    let mut ticks = interval(PING_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if database {
            report(&base, DATABASE, timeout(PING_TIMEOUT, stores.database.ping()).await.ok());
        }
        if shared {
            let answer = timeout(PING_TIMEOUT, stores.shared.get("ping")).await.ok();
            report(&base, SHARED, answer.map(|answer| answer.map(drop)));
        }
    }
}

fn report(base: &Base, part: Part, answer: Option<plugin_store::Result<()>>) {
    let reason = match answer {
        Some(Ok(())) => {
            if base.readiness.ready(part.0) {
                tracing::info!(part = part.0, "answers again");
            }
            return;
        }
        Some(Err(error)) => error.to_string(),
        None => format!("no answer within {} s", PING_TIMEOUT.as_secs()),
    };
    tracing::warn!(part = part.0, reason, "does not answer");
    base.readiness.failing(part.0, reason);
}

fn layout(config: &Config) -> Result<Layout, plugin_store::Error> {
    let plugins = &config.plugins;
    let persistence = &config.persistence.path;
    Layout::new(&plugins.package_cache_path, &plugins.installed_path, &plugins.media_cache_path, persistence)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use plugin_service::telemetry::testing::Logged;
    use plugin_store::blob::{LocalBlobs, Place};
    use plugin_store::{BlobEntry, BlobKey, Error, ErrorKind, Result};

    use super::*;

    /// A bucket whose objects may not be listed, of which a missing one is refused if `hides_missing`, as by S3.
    #[derive(Debug)]
    struct Unlisted {
        objects: LocalBlobs,
        hides_missing: bool,
    }

    fn denied() -> Error {
        Error::new(ErrorKind::Denied, "AccessDenied")
    }

    #[async_trait]
    impl BlobStore for Unlisted {
        fn place(&self) -> Place {
            Place { name: "the bucket \"b\"".into(), ..self.objects.place() }
        }

        async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<()> {
            self.objects.put(key, bytes).await
        }

        async fn get(&self, key: &BlobKey) -> Result<Option<Bytes>> {
            self.objects.get(key).await
        }

        async fn size(&self, key: &BlobKey) -> Result<Option<u64>> {
            match self.objects.size(key).await? {
                None if self.hides_missing => Err(denied()),
                size => Ok(size),
            }
        }

        async fn delete(&self, key: &BlobKey) -> Result<()> {
            self.objects.delete(key).await
        }

        async fn list(&self, _: &BlobKey) -> Result<Vec<BlobEntry>> {
            Err(denied())
        }
    }

    #[tokio::test]
    async fn what_a_bucket_without_the_right_to_list_reduces_is_in_ready_and_in_the_log() {
        const MISSING: &str = "the bucket \"b\": a missing object is answered with \"access denied\", as by S3 without the \
                               right s3:ListBucket, so uploads and installs of new plugins fail";
        const LIST: &str = "the bucket \"b\": the credentials must not list objects (on S3 the right s3:ListBucket), so \
                            what is missing or no longer needed is not found, and tools that list fail";
        for (hides_missing, expected) in [(false, &[LIST][..]), (true, &[MISSING, LIST])] {
            let folder = tempfile::tempdir().unwrap();
            let blobs = Unlisted { objects: LocalBlobs::open(folder.path()).unwrap(), hides_missing };
            let (base, logged) = (Base::new(Config::from_vars([].into()).unwrap()), Logged::on_this_thread());
            check_storage(&base, &blobs, &Layout::default()).await.unwrap();
            let report = base.readiness.report();
            assert!(report.ready, "what is installed is called as before");
            assert_eq!(report.components[STORAGE.0], format!("failing: {}", expected.join("; ")));
            let log = logged.text();
            assert_eq!(log.lines().count(), expected.len(), "{log}");
            for (line, limitation) in log.lines().zip(expected) {
                let text = "the storage can be used in part only";
                assert!(line.contains(" WARN ") && line.contains(text), "{line}");
                assert!(line.contains(&format!("{limitation:?}")), "{line}");
            }
        }
    }
}
