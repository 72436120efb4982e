//! What a whole declaration must be, whatever its parts (package-format 3).

use std::{fmt, str::FromStr};

use super::Declaration;
use crate::identifier::is_word;

/// Why a declaration is refused by upload and by debug registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    #[error("author must be alphanumeric and less than 64 characters: ^[a-z0-9_-]{{1,64}}$")]
    Author,
    #[error("plugin name must be alphanumeric and less than 128 characters: ^[a-z0-9_-]{{1,128}}$")]
    Name,
    #[error("at least one of endpoint, model, tool, agent_strategy, trigger, or datasource must be provided")]
    NoProvider,
    #[error("model and datasource, tool, endpoint, trigger, or agent_strategy cannot be provided at the same time")]
    ModelAndOther,
    #[error("agent_strategy and tool, model, endpoint, trigger, or datasource cannot be provided at the same time")]
    AgentStrategyAndOther,
    #[error("datasource and tool, model, endpoint, trigger, or agent_strategy cannot be provided at the same time")]
    DatasourceAndOther,
    #[error("trigger and tool, model, endpoint, or agent_strategy cannot be provided at the same time")]
    TriggerAndOther,
}

/// What a plugin chiefly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    Tool,
    Model,
    Datasource,
    AgentStrategy,
    Trigger,
    /// None of the others: endpoints alone.
    Extension,
}

impl Category {
    /// In the order in which they are tried.
    pub const ALL: [Self; 6] =
        [Self::Tool, Self::Model, Self::Datasource, Self::AgentStrategy, Self::Trigger, Self::Extension];

    /// The word for the category in routes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Model => "model",
            Self::Datasource => "datasource",
            Self::AgentStrategy => "agent-strategy",
            Self::Trigger => "trigger",
            Self::Extension => "extension",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no category.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown plugin category `{0}`")]
pub struct UnknownCategory(pub String);

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|category| category.as_str() == text).ok_or_else(|| UnknownCategory(text.to_owned()))
    }
}

impl Declaration {
    /// Checks author, name and the combination of providers; only tools and endpoints go together.
    pub fn validate(&self) -> Result<(), InvalidManifest> {
        if !is_word(&self.author, 64) {
            return Err(InvalidManifest::Author);
        }
        if !is_word(&self.name, 128) {
            return Err(InvalidManifest::Name);
        }
        let model = self.model.is_some();
        let agent_strategy = self.agent_strategy.is_some();
        let datasource = self.datasource.is_some();
        let trigger = self.trigger.is_some();
        let combinable = self.tool.is_some() || self.endpoint.is_some();
        let kinds = [model, agent_strategy, datasource, trigger, combinable].into_iter().filter(|given| *given).count();
        match kinds {
            0 => Err(InvalidManifest::NoProvider),
            1 => Ok(()),
            _ if model => Err(InvalidManifest::ModelAndOther),
            _ if agent_strategy => Err(InvalidManifest::AgentStrategyAndOther),
            _ if datasource => Err(InvalidManifest::DatasourceAndOther),
            _ => Err(InvalidManifest::TriggerAndOther),
        }
    }

    /// What the plugin chiefly is: the first kind of which it has a provider or names a provider's file.
    pub fn category(&self) -> Category {
        let named = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
        let plugins = &self.plugins;
        if self.tool.is_some() || named(&plugins.tools) {
            Category::Tool
        } else if self.model.is_some() || named(&plugins.models) {
            Category::Model
        } else if self.datasource.is_some() || named(&plugins.datasources) {
            Category::Datasource
        } else if self.agent_strategy.is_some() || named(&plugins.agent_strategies) {
            Category::AgentStrategy
        } else if self.trigger.is_some() || named(&plugins.triggers) {
            Category::Trigger
        } else {
            Category::Extension
        }
    }
}
