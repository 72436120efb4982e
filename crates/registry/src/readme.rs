//! Readmes of packages, by language (package-format 15).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use moka::sync::Cache;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::readmes;
use plugin_store::{Database, Readme};

use crate::packages::{Packages, PackagesError};

/// The language that is there for sure.
const FALLBACK: &str = "en_US";
/// Characters of the column that holds the language.
const LANGUAGE_CHARS: usize = 10;
/// How long a package is known to have no readme.
const ABSENCE: Duration = Duration::from_mins(1);

/// The readmes of packages: from the database, and the first time from the package.
pub struct Readmes {
    database: Database,
    packages: Arc<Packages>,
    /// Packages that have none.
    absent: Cache<UniqueIdentifier, ()>,
}

/// A readme that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadmeError {
    /// The package has none.
    #[error("no readme content available for this plugin")]
    NotFound,
    /// There is no such package.
    #[error("failed to get readme from database: plugin package not found, please upload it firstly")]
    NoPackage,
    /// Database, storage or package failed.
    #[error("failed to get readme from database: {0}")]
    Failed(#[from] PackagesError),
}

impl From<plugin_store::Error> for ReadmeError {
    fn from(error: plugin_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Readmes {
    pub fn new(database: Database, packages: Arc<Packages>) -> Self {
        let absent = Cache::builder().max_capacity(4096).time_to_live(ABSENCE).build();
        Self { database, packages, absent }
    }

    /// The readme in a language, else in English, else in the first language there is.
    pub fn get<'a>(
        &'a self,
        identifier: &'a UniqueIdentifier,
        language: &'a str,
    ) -> BoxFuture<'a, Result<Readme, ReadmeError>> {
        Box::pin(async move {
            let mut stored = self.database.readmes.get(identifier.as_str()).await?;
            if stored.is_empty() {
                stored = self.extract(identifier).await?;
            }
            choose(stored, language).ok_or(ReadmeError::NotFound)
        })
    }

    /// Reads all languages from the package and keeps them.
    async fn extract(&self, identifier: &UniqueIdentifier) -> Result<Vec<Readme>, ReadmeError> {
        if self.absent.contains_key(identifier) {
            return Err(ReadmeError::NotFound);
        }
        let package = self.packages.package(identifier).await?.ok_or(ReadmeError::NoPackage)?;
        let read = tokio::task::spawn_blocking(move || readmes(&package)).await;
        let found = match read.map_err(|error| PackagesError::Task(error.to_string()))? {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(plugin = %identifier, %error, "the package has no readme");
                self.absent.insert(identifier.clone(), ());
                return Err(ReadmeError::NotFound);
            }
        };
        let found: Vec<Readme> = found
            .into_iter()
            .filter(|(language, _)| language.chars().count() <= LANGUAGE_CHARS)
            .map(|(language, content)| Readme { language, content: content.replace('\0', "") })
            .collect();
        self.database.readmes.put(identifier.as_str(), &found).await?;
        Ok(found)
    }
}

fn choose(mut readmes: Vec<Readme>, language: &str) -> Option<Readme> {
    readmes.sort_unstable_by(|a, b| a.language.cmp(&b.language));
    let position = |wanted: &str| readmes.iter().position(|readme| readme.language == wanted);
    let index = position(language).or_else(|| position(FALLBACK)).unwrap_or(0);
    (index < readmes.len()).then(|| readmes.swap_remove(index))
}

impl fmt::Debug for Readmes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readmes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        let of = |languages: &[&str]| {
            languages.iter().map(|language| Readme { language: (*language).into(), content: String::new() }).collect()
        };
        for (there, wanted, expected) in [
            (&["en_US", "zh_Hans"][..], "zh_Hans", Some("zh_Hans")),
            (&["zh_Hans", "en_US"], "ja_JP", Some("en_US")),
            (&["zh_Hans", "ja_JP"], "pt_BR", Some("ja_JP")),
            (&[], "en_US", None),
        ] {
            let chosen = choose(of(there), wanted).map(|readme| readme.language);
            assert_eq!(chosen.as_deref(), expected, "{wanted} of {there:?}");
        }
    }
}
