//! Where a call runs, and why not: the only place that decides it.

use std::sync::Arc;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_registry::catalog::{Catalog, CatalogError};
use plugin_registry::cluster::Cluster;
use plugin_store::RuntimeType;
use plugin_store::shared::Node;
use uuid::Uuid;

use crate::invocation::Plugin;

/// How a call names its plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The version that a tenant has installed of `author/name`.
    Installed { tenant: Uuid, plugin_id: &'a str },
    /// This very version.
    Version(UniqueIdentifier),
}

/// Where a call runs.
#[derive(Clone, Debug)]
pub enum Location {
    /// On this node, on the runtime of this type.
    Here { plugin: UniqueIdentifier, runtime_type: RuntimeType },
    /// On other nodes: the plugin is under development and connected to these.
    Elsewhere { plugin: UniqueIdentifier, nodes: Vec<Node> },
    /// Nowhere.
    Absent(Absence),
}

/// Why a call runs nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The tenant has not installed the plugin, or what is installed has no declaration.
    NotInstalled,
    /// The version was never uploaded, installed or connected.
    Unknown,
}

/// Where a call runs could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    /// The plugin could not be looked up.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The nodes that the plugin is connected to could not be looked up.
    #[error("{0}")]
    Nodes(plugin_store::Error),
}

/// The version behind a target.
struct Version {
    identifier: UniqueIdentifier,
    /// It is under development.
    is_remote: bool,
    /// What it means that it has no declaration.
    undeclared: Absence,
}

/// Knows what is installed, what is under development where, and what runs on this node.
#[derive(Debug, Clone)]
pub struct Routing {
    catalog: Arc<Catalog>,
    /// Other nodes, where there can be any.
    cluster: Option<Arc<Cluster>>,
    platform: RuntimeType,
}

impl Routing {
    /// `platform` is the type as which everything installed runs here, whatever it was installed as: a daemon has one
    /// platform (cluster-serverless-observability 2.6).
    pub fn new(catalog: Arc<Catalog>, cluster: Option<Arc<Cluster>>, platform: RuntimeType) -> Self {
        Self { catalog, cluster, platform }
    }

    /// Where a call of this plugin runs. Answers from memory once the plugin is known.
    pub async fn locate(&self, target: Target<'_>) -> Result<Location, RoutingError> {
        let version = match self.resolve(target).await? {
            Ok(version) => version,
            Err(absence) => return Ok(Location::Absent(absence)),
        };
        if version.is_remote && !self.catalog.is_debugged(&version.identifier) {
            let nodes = self.nodes(&version.identifier).await?;
            if !nodes.is_empty() {
                return Ok(Location::Elsewhere { plugin: version.identifier, nodes });
            }
        }
        Ok(Location::Here { runtime_type: self.runtime_type(&version), plugin: version.identifier })
    }

    fn runtime_type(&self, version: &Version) -> RuntimeType {
        if version.is_remote { RuntimeType::Remote } else { self.platform }
    }

    /// The plugin of a call that runs on this node or nowhere: one that another node has passed on, or that there was no
    /// other node for.
    pub async fn here(&self, target: Target<'_>) -> Result<Result<Plugin, Absence>, RoutingError> {
        let version = match self.resolve(target).await? {
            Ok(version) => version,
            Err(absence) => return Ok(Err(absence)),
        };
        let Some(declared) = self.catalog.declaration(&version.identifier).await? else {
            return Ok(Err(version.undeclared));
        };
        let runtime_type = self.runtime_type(&version);
        Ok(Ok(Plugin { identifier: version.identifier, runtime_type, declared }))
    }

    async fn resolve(&self, target: Target<'_>) -> Result<Result<Version, Absence>, RoutingError> {
        Ok(match target {
            Target::Installed { tenant, plugin_id } => match self.catalog.installation(tenant, plugin_id).await? {
                Some(installed) => Ok(Version {
                    identifier: installed.identifier.clone(),
                    is_remote: installed.row.runtime_type == RuntimeType::Remote,
                    undeclared: Absence::NotInstalled,
                }),
                None => Err(Absence::NotInstalled),
            },
            Target::Version(identifier) => {
                let is_remote = self.is_under_development(&identifier);
                Ok(Version { identifier, is_remote, undeclared: Absence::Unknown })
            }
        })
    }

    fn is_under_development(&self, identifier: &UniqueIdentifier) -> bool {
        identifier.is_remote_like()
            || self.catalog.is_debugged(identifier)
            || self.cluster.as_ref().is_some_and(|cluster| !cluster.places(identifier).is_empty())
    }

    /// The other nodes that a plugin under development is connected to.
    async fn nodes(&self, identifier: &UniqueIdentifier) -> Result<Vec<Node>, RoutingError> {
        let Some(cluster) = &self.cluster else { return Ok(Vec::new()) };
        let known = cluster.places(identifier);
        if !known.is_empty() {
            return Ok(known);
        }
        // it may have connected a moment ago
        cluster.look().await.map_err(RoutingError::Nodes)?;
        Ok(cluster.places(identifier))
    }
}

#[cfg(test)]
mod tests;
