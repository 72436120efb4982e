//! Debugging keys. Where the shared state is this process's memory, they are also kept in a file, so that plugins come
//! back by themselves after a restart.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use plugin_store::shared::DebugKeys;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

/// The file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the debugging keys in {} cannot be {what}: {source}", path.display())]
struct KeyFileError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

/// The keys of all tenants; clones are the same.
#[derive(Debug, Clone)]
pub struct DebuggingKeys {
    keys: DebugKeys,
    file: Option<Arc<KeyFile>>,
}

#[derive(Debug)]
struct KeyFile {
    path: PathBuf,
    kept: Mutex<BTreeMap<Uuid, Kept>>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Kept {
    key: Uuid,
    valid_until: Timestamp,
}

impl DebuggingKeys {
    /// Keys in a shared state that outlives this process.
    pub fn shared(keys: DebugKeys) -> Self {
        Self { keys, file: None }
    }

    /// Keys in the memory of this process, and in a file that is made with its folder when there is a key to keep. A file
    /// that cannot be read is logged: its keys are lost, and tenants are given new ones.
    pub async fn in_file(keys: DebugKeys, path: PathBuf) -> Self {
        let file = path.clone();
        let kept = run(move || read(&file)).await.unwrap_or_else(|source| {
            let error = KeyFileError { path: path.clone(), what: "read", source };
            tracing::error!(%error, "plugins under development need new keys");
            BTreeMap::new()
        });
        let now = Timestamp::now();
        for (tenant_id, one) in &kept {
            let Ok(left) = Duration::try_from(one.valid_until - now) else { continue };
            if left.is_zero() {
                continue;
            }
            if let Err(error) = keys.restore(*tenant_id, one.key, left).await {
                tracing::warn!(%error, "failed to restore a debugging key");
            }
        }
        Self { keys, file: Some(Arc::new(KeyFile { path, kept: Mutex::new(kept) })) }
    }

    /// The tenant's key, valid for two hours from now: the existing one, or a new one.
    pub async fn get_or_create(&self, tenant_id: Uuid) -> plugin_store::Result<Uuid> {
        let key = self.keys.get_or_create(tenant_id).await?;
        if let Some(file) = &self.file
            && let Err(error) = file.keep(tenant_id, key).await
        {
            tracing::error!(%error, "a debugging key will not survive a restart of the daemon");
        }
        Ok(key)
    }

    /// The tenant that a key belongs to, if the key is valid.
    pub async fn resolve(&self, key: &str) -> plugin_store::Result<Option<Uuid>> {
        self.keys.resolve(key).await
    }
}

impl KeyFile {
    async fn keep(&self, tenant_id: Uuid, key: Uuid) -> Result<(), KeyFileError> {
        let mut kept = self.kept.lock().await;
        let now = Timestamp::now();
        kept.retain(|_, one| one.valid_until > now);
        let valid_until = now + jiff::SignedDuration::try_from(DebugKeys::LIFETIME).unwrap_or_default();
        kept.insert(tenant_id, Kept { key, valid_until });
        let (path, kept) = (self.path.clone(), kept.clone());
        let written = run(move || write(&path, &kept)).await;
        written.map_err(|source| KeyFileError { path: self.path.clone(), what: "written", source })
    }
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// What is in the file; nothing when it is not there.
fn read(path: &Path) -> io::Result<BTreeMap<Uuid, Kept>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Writes beside the file and renames, so that the file is whole at any time.
fn write(path: &Path, kept: &BTreeMap<Uuid, Kept>) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}
