//! Agent strategy providers (package-format 10).

use serde_json::Value;

use super::{
    shared::{AutoGenerate, I18n, Identity, ParameterOption, ProviderIdentity, Template, inline},
    value::{Float, Object},
};

record! {
    /// A provider of agent strategies.
    pub struct AgentStrategyProvider {
        /// Description and tags stay as given: nothing is filled in from the manifest.
        identity: ProviderIdentity,
        strategies: Vec<AgentStrategy> = inline,
    }
}

record! {
    /// One agent strategy.
    pub struct AgentStrategy {
        identity: Identity,
        description: I18n,
        /// Null when absent.
        parameters: Option<Vec<AgentStrategyParameter>>,
        /// Null when absent.
        output_schema: Option<Object>,
        features: Vec<String>,
    }
}

record! {
    /// A parameter of an agent strategy.
    pub struct AgentStrategyParameter {
        name: String,
        label: I18n,
        help: I18n,
        "type" kind: String,
        auto_generate: Option<AutoGenerate>,
        template: Option<Template>,
        scope: Option<String>,
        required: bool,
        default: Option<Value>,
        min: Option<Float>,
        max: Option<Float>,
        precision: Option<i64>,
        options: Option<Vec<ParameterOption>>,
    }
}
