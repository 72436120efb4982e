//! The declaration of a plugin: `manifest.yaml` with all its providers, as one JSON object (package-format 6, 13).

use crate::{
    identifier::{InvalidIdentifier, UniqueIdentifier},
    timestamp::Timestamp,
    yaml::{Mapping, Node, Read, Reader, Resolved},
};

mod agent;
mod datasource;
mod endpoint;
mod model;
mod shared;
#[cfg(test)]
mod tests;
mod tool;
mod trigger;
mod validate;
mod value;

pub use agent::{AgentStrategy, AgentStrategyParameter, AgentStrategyProvider};
pub use datasource::{Datasource, DatasourceIdentity, DatasourceProvider, DatasourceProviderIdentity};
pub use endpoint::{Endpoint, EndpointProvider};
pub(crate) use model::is_template;
pub use model::{
    CredentialForm, FormOption, Model, ModelCredentialSchema, ModelField, ModelPosition, ModelPricing, ModelProvider,
    ModelProviderHelp, ParameterRule, ProviderCredentialSchema, ShowOn,
};
pub use shared::{
    AutoGenerate, ConfigOption, DatasourceParameter, I18n, Identity, OAuthSchema, ParameterOption, ProviderConfig,
    ProviderIdentity, Template,
};
pub use tool::{Tool, ToolDescription, ToolParameter, ToolProvider};
pub use trigger::{Event, EventOption, EventParameter, SubscriptionConstructor, TriggerProvider};
pub use validate::{Category, InvalidManifest};
pub use value::{Decimal, Float, Object, Properties};

record! {
    /// Everything a plugin declares.
    ///
    /// Serializes to exactly the JSON that Dify reads and the database keeps (http-api 10.1); reads that JSON back, the
    /// reference's rows and what an SDK registers with, taking null and missing keys for zero values (package-format
    /// 13.5).
    pub struct Declaration {
        version: String,
        /// Always `plugin` in a well-formed package.
        "type" kind: String,
        author: String,
        name: String,
        label: I18n,
        description: I18n,
        /// Path below `_assets` in a package; the asset's id once stored.
        icon: String,
        icon_dark: String,
        resource: Resource,
        plugins: Plugins,
        meta: Meta,
        tags: Vec<String>,
        created_at: Timestamp,
        /// Path of the privacy policy, or its address.
        #[serde(skip_serializing_if = "Option::is_none")]
        privacy: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        repo: Option<String>,
        /// Whether the package has a good signature; set by the caller that checked it.
        verified: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<EndpointProvider>,
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<ModelProvider>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool: Option<ToolProvider>,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent_strategy: Option<AgentStrategyProvider>,
        #[serde(skip_serializing_if = "Option::is_none")]
        datasource: Option<DatasourceProvider>,
        #[serde(skip_serializing_if = "Option::is_none")]
        trigger: Option<TriggerProvider>,
    }
    then Self::complete
}

record! {
    /// What a plugin needs and may do.
    pub struct Resource {
        /// Bytes; informative.
        memory: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        permission: Option<Permission>,
    }
}

record! {
    /// What a plugin may ask of Dify; a member that is absent permits nothing (package-format 6).
    pub struct Permission {
        #[serde(skip_serializing_if = "Option::is_none")]
        tool: Option<Enabled>,
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<ModelPermission>,
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<Enabled>,
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<Enabled>,
        #[serde(skip_serializing_if = "Option::is_none")]
        app: Option<Enabled>,
        #[serde(skip_serializing_if = "Option::is_none")]
        storage: Option<StoragePermission>,
    }
}

record! {
    /// A permission that is granted or not.
    pub struct Enabled {
        enabled: bool,
    }
}

record! {
    /// Which kinds of models a plugin may call: those flagged, if enabled at all.
    pub struct ModelPermission {
        enabled: bool,
        llm: bool,
        text_embedding: bool,
        rerank: bool,
        tts: bool,
        speech2text: bool,
        moderation: bool,
    }
}

record! {
    /// How much a plugin may keep in its storage.
    pub struct StoragePermission {
        enabled: bool,
        /// Bytes.
        size: u64,
    }
}

record! {
    /// The provider files by kind, each null when absent.
    pub struct Plugins {
        tools: Option<Vec<String>>,
        models: Option<Vec<String>>,
        endpoints: Option<Vec<String>>,
        agent_strategies: Option<Vec<String>>,
        datasources: Option<Vec<String>>,
        triggers: Option<Vec<String>>,
    }
}

record! {
    /// What a plugin is made for.
    pub struct Meta {
        version: String,
        /// Null when absent.
        arch: Option<Vec<String>>,
        runner: Runner,
        minimum_dify_version: Option<String>,
    }
}

record! {
    /// How a plugin is run: `python -m <entrypoint>`.
    pub struct Runner {
        language: String,
        version: String,
        entrypoint: String,
    }
}

impl Declaration {
    /// `author/name:version`, or `name:version` without an author (package-format 2).
    pub fn identity(&self) -> String {
        match &*self.author {
            "" => format!("{}:{}", self.name, self.version),
            author => format!("{author}/{}:{}", self.name, self.version),
        }
    }

    /// The identifier of this version of the plugin with this content.
    pub fn unique_identifier(&self, checksum: &str) -> Result<UniqueIdentifier, InvalidIdentifier> {
        format!("{}@{checksum}", self.identity()).parse()
    }

    /// What the plugin may ask of Dify, if it declares anything.
    pub fn permission(&self) -> Option<&Permission> {
        self.resource.permission.as_ref()
    }

    /// Gives providers what they leave to the manifest: the description of tools, triggers and models, the tags of tools
    /// and triggers (package-format 13.2). Doing so twice changes nothing.
    pub fn fill_defaults(&mut self) {
        let tool = self.tool.as_mut().map(|tool| &mut tool.identity);
        let trigger = self.trigger.as_mut().map(|trigger| &mut trigger.identity);
        for identity in tool.into_iter().chain(trigger) {
            if identity.description.en_us.is_empty() {
                identity.description.clone_from(&self.description);
            }
            if identity.tags.is_empty() {
                identity.tags.clone_from(&self.tags);
            }
        }
        if let Some(model) = &mut self.model {
            model.description.get_or_insert_with(|| self.description.clone());
        }
    }

    fn complete(mut self, _: &Mapping<'_>, _: &mut Reader<'_>) -> Self {
        self.fill_defaults();
        self
    }
}

impl Read for Timestamp {
    /// A plain YAML timestamp, or any other scalar whose text is strict RFC 3339.
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        let text = match reader.resolved(node, "timestamp") {
            None => return Self::default(),
            Some(Resolved::Timestamp(time)) => return time,
            Some(_) => reader.text(node).unwrap_or_default(),
        };
        Self::rfc3339(&text).unwrap_or_else(|error| {
            reader.invalid(node, error.to_string());
            Self::default()
        })
    }
}
