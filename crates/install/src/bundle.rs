//! A bundle comes in: several packages, and names of others (package-format 19).

use std::fs::File;
use std::sync::Arc;

use plugin_manifest::Declaration;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_package::bundle::{Bundle, BundleError, Dependency, GithubPattern, MarketplacePattern};
use plugin_package::{PackageError, ZipError};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::InstallError;
use super::intake::{self, Intake, Kept};
use plugin_registry::packages::{Opened, PackagesError, whole};

/// Bundles in work at a time: each may take hundreds of megabytes of memory.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// One dependency of a bundle, as Dify reads it (http-api 6.1).
#[derive(Debug, Serialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub enum BundleItem {
    /// A file of a release on GitHub; Dify fetches it.
    Github { repo_address: String, repo: String, release: String, packages: String },
    /// A plugin of the marketplace; Dify fetches it.
    Marketplace { organization: String, plugin: String, version: String },
    /// A package of the bundle, kept.
    Package { unique_identifier: UniqueIdentifier, manifest: Box<Declaration> },
}

impl Intake {
    /// Takes a bundle in: all its packages are checked before the first is kept, and if one cannot be kept, those before
    /// it are taken back. Installs nothing.
    pub async fn upload_bundle(&self, bundle: File, verify: bool) -> Result<Vec<BundleItem>, InstallError> {
        let _slot = AT_ONCE.acquire().await.map_err(|error| InstallError::Task(error.to_string()))?;
        let limits = self.settings.bundle_limits;
        let open = move || {
            let bytes = whole(bundle).map_err(PackagesError::from)?;
            let bundle = Bundle::open(bytes, &limits).map_err(InstallError::Bundle)?;
            bundle.validate().map_err(InstallError::Bundle)?;
            Ok::<_, InstallError>(bundle)
        };
        let bundle = tokio::task::spawn_blocking(open).await.map_err(|error| InstallError::Task(error.to_string()))?;
        let bundle = Arc::new(bundle?);
        for path in package_paths(&bundle) {
            let opened = self.open_from(&bundle, path).await?;
            intake::check(&opened, self.settings.bundle_policy, verify)?;
            self.packages.read_icons(&opened).await.map_err(|error| unusable(path, &error))?;
        }
        let mut kept: Vec<Kept> = Vec::new();
        for path in package_paths(&bundle) {
            // opened again rather than held: in memory is one package at a time
            let result = match self.open_from(&bundle, path).await {
                Ok(opened) => self.keep(opened).await.map_err(|error| cannot_save(path, &error)),
                Err(error) => Err(error),
            };
            match result {
                Ok(package) => kept.push(package),
                Err(error) => {
                    for earlier in kept.iter().rev() {
                        self.take_back(earlier).await;
                    }
                    return Err(error);
                }
            }
        }
        items(&bundle, kept).map_err(InstallError::Bundle)
    }

    async fn open_from(&self, bundle: &Arc<Bundle>, path: &str) -> Result<Opened, InstallError> {
        let (limit, declared) =
            (self.packages.max_bytes(), bundle.asset_size(path).map_err(InstallError::BundleAsset)?);
        if declared > limit {
            return Err(unusable(path, &PackageError::from(ZipError::TooLarge { limit, declared }).into()));
        }
        let (bundle, name) = (Arc::clone(bundle), path.to_owned());
        let read = tokio::task::spawn_blocking(move || bundle.asset(&name)).await;
        let bytes = read.map_err(|error| InstallError::Task(error.to_string()))?.map_err(InstallError::BundleAsset)?;
        self.packages.open(bytes).await.map_err(|error| unusable(path, &error))
    }
}

fn package_paths(bundle: &Bundle) -> impl Iterator<Item = &str> {
    bundle.manifest().dependencies.iter().filter_map(|dependency| match dependency {
        Dependency::Package { path } => Some(path.as_str()),
        Dependency::Github { .. } | Dependency::Marketplace { .. } | Dependency::Unknown => None,
    })
}

fn unusable(path: &str, error: &PackagesError) -> InstallError {
    let context = match error {
        PackagesError::Package(PackageError::NotAPackage(_) | PackageError::Zip(_)) => {
            "failed to create package decoder"
        }
        PackagesError::Package(PackageError::Identifier(_)) => "failed to get package unique identifier",
        _ => "failed to decode package",
    };
    InstallError::BundlePackage { context, cause: format!("{path}: {error}") }
}

fn cannot_save(path: &str, error: &PackagesError) -> InstallError {
    InstallError::BundleSave(format!("{path}: {error}"))
}

/// The answer, in the order of the manifest.
fn items(bundle: &Bundle, kept: Vec<Kept>) -> Result<Vec<BundleItem>, BundleError> {
    let mut kept = kept.into_iter();
    let mut items = Vec::new();
    for dependency in &bundle.manifest().dependencies {
        match dependency {
            Dependency::Github { repo_pattern } => {
                let pattern = GithubPattern::read(repo_pattern)?;
                items.push(BundleItem::Github {
                    repo_address: format!("https://github.com/{}", pattern.repo()),
                    repo: pattern.repo().to_owned(),
                    release: pattern.release().to_owned(),
                    packages: pattern.asset().to_owned(),
                });
            }
            Dependency::Marketplace { marketplace_pattern } => {
                let pattern = MarketplacePattern::read(marketplace_pattern)?;
                items.push(BundleItem::Marketplace {
                    organization: pattern.organization().to_owned(),
                    plugin: pattern.plugin().to_owned(),
                    version: pattern.version().to_owned(),
                });
            }
            Dependency::Package { .. } => items.extend(kept.next().map(|package| BundleItem::Package {
                unique_identifier: package.uploaded.unique_identifier,
                manifest: package.uploaded.manifest,
            })),
            Dependency::Unknown => {}
        }
    }
    Ok(items)
}
