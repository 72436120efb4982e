//! The packages of functions, on disk under their filenames.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::UniqueIdentifier;

use crate::plugin::{filename, identifier};

/// A folder of packages. What has a package's name in it is whole.
#[derive(Clone, Debug)]
pub(super) struct Packages(PathBuf);

impl Packages {
    /// Makes the folder if it is not there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self(std::path::absolute(folder)?))
    }

    /// All filenames; what else is in the folder is left out.
    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| identifier(name).is_some()));
        }
        Ok(names)
    }

    pub(super) async fn get(&self, filename: &str) -> io::Result<Bytes> {
        Ok(tokio::fs::read(self.path(filename)?).await?.into())
    }

    /// Puts a package there, all of it or nothing.
    pub(super) async fn put(&self, filename: &str, package: Bytes) -> io::Result<()> {
        let (folder, path) = (self.0.clone(), self.path(filename)?);
        let write = move || {
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(&package)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            std::fs::File::open(folder)?.sync_all()
        };
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }

    /// Deletes a package; one that is not there is no error.
    pub(super) async fn delete(&self, filename: &str) -> io::Result<()> {
        match tokio::fs::remove_file(self.path(filename)?).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Where a package is. Only filenames of packages lead anywhere.
    fn path(&self, filename: &str) -> io::Result<PathBuf> {
        match identifier(filename) {
            Some(_) => Ok(self.0.join(filename)),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not the filename of a package")),
        }
    }
}

#[async_trait]
impl plugin_runtime::local::Packages for Packages {
    async fn package(&self, plugin: &UniqueIdentifier) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        Ok(self.get(&filename(plugin)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packages_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let packages = Packages::open(&folder.path().join("packages")).unwrap();
        std::fs::write(folder.path().join("packages/.tmpLeft"), "half").unwrap();
        let name = format!("a@b@1.0.0@{}.difypkg", "0".repeat(64));
        packages.delete(&name).await.unwrap();
        packages.put(&name, "one".into()).await.unwrap();
        packages.put(&name, "two".into()).await.unwrap();
        assert_eq!((packages.list().unwrap(), packages.get(&name).await.unwrap()), (vec![name.clone()], "two".into()));
        packages.delete(&name).await.unwrap();
        assert!(packages.list().unwrap().is_empty() && packages.get(&name).await.is_err());
        for elsewhere in ["../escape", "/etc/passwd", ""] {
            assert!(packages.put(elsewhere, Bytes::new()).await.is_err());
        }
    }
}
