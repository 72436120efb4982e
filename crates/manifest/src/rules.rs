//! The strict rules of declarations (package-format 4): what `plugin package` and debug registration insist on.
//!
//! Packages that break them install nevertheless, official ones among them, so uploads do not run them.

use std::fmt;

use crate::declaration::{
    AgentStrategyProvider, DatasourceProvider, Declaration, EndpointProvider, ModelProvider, ToolProvider,
    TriggerProvider,
};

pub(crate) mod checker;
mod manifest;
mod model;
mod provider;
mod shared;
#[cfg(test)]
mod tests;

use checker::Checker;
pub use shared::TAGS;

/// Which rules are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of `manifest.yaml` alone, as the reference's packager does.
    Manifest,
    /// Those of the manifest and of providers, but not of models and subscription schemas, as debug registration does.
    Registration,
    /// Every rule there is.
    All,
}

/// One field that breaks a rule; displays as the reference words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field by the names of the reference's data types: `ToolProviderDeclaration.Tools[0].Identity.Label.EnUS`.
    pub namespace: String,
    /// The field by the keys of YAML and JSON: `tools[0].identity.label.en_US`.
    pub path: String,
    /// The rule: `required`, `max`, ...
    pub tag: &'static str,
    /// What the field must be.
    pub reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.namespace.rsplit('.').next().unwrap_or_default();
        write!(f, "Key: '{}' Error:Field validation for '{field}' failed on the '{}' tag", self.namespace, self.tag)
    }
}

/// The rules that a declaration breaks, in the order of its fields. Paths of providers begin with their key in the
/// declaration: `tool.identity.name`.
///
/// ```
/// use plugin_manifest::{Declaration, rules::{Scope, violations}};
///
/// let declaration: Declaration = serde_json::from_str(r#"{"version": "1.0.0", "type": "plugin", "author": "acme"}"#)?;
/// let broken = violations(&declaration, Scope::Manifest);
/// assert_eq!((broken[0].path.as_str(), broken[0].reason.as_str()), ("name", "must not be empty"));
/// assert_eq!(
///     broken[0].to_string(),
///     "Key: 'PluginDeclaration.Name' Error:Field validation for 'Name' failed on the 'required' tag",
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn violations(declaration: &Declaration, scope: Scope) -> Vec<Violation> {
    let mut checker = Checker::new("PluginDeclaration");
    manifest::check(&mut checker, declaration);
    let mut violations = checker.finish();
    if scope == Scope::Manifest {
        return violations;
    }
    let mut add = |key: &str, found: Vec<Violation>| {
        let found =
            found.into_iter().map(|violation| Violation { path: format!("{key}.{}", violation.path), ..violation });
        violations.extend(found);
    };
    if let Some(endpoint) = &declaration.endpoint {
        add("endpoint", endpoint_violations(endpoint, scope));
    }
    if let Some(model) = &declaration.model {
        add("model", model_violations(model, scope));
    }
    if let Some(tool) = &declaration.tool {
        add("tool", tool_violations(tool, scope));
    }
    if let Some(agent_strategy) = &declaration.agent_strategy {
        add("agent_strategy", agent_strategy_violations(agent_strategy, scope));
    }
    if let Some(datasource) = &declaration.datasource {
        add("datasource", datasource_violations(datasource, scope));
    }
    if let Some(trigger) = &declaration.trigger {
        add("trigger", trigger_violations(trigger, scope));
    }
    violations
}

macro_rules! provider_rules {
    ($($(#[$meta:meta])* $function:ident($provider:ty), $name:literal, $check:path;)*) => {$(
        $(#[$meta])*
        pub fn $function(provider: &$provider, scope: Scope) -> Vec<Violation> {
            let mut checker = Checker::new($name);
            $check(&mut checker, provider, scope);
            checker.finish()
        }
    )*};
}

provider_rules! {
    /// The rules that a tool provider breaks.
    tool_violations(ToolProvider), "ToolProviderDeclaration", provider::tool;
    /// The rules that a model provider breaks; those of its models with [`Scope::All`] only.
    model_violations(ModelProvider), "ModelProviderDeclaration", model::check;
    /// The rules that an endpoint group breaks.
    endpoint_violations(EndpointProvider), "EndpointProviderDeclaration", provider::endpoint;
    /// The rules that an agent strategy provider breaks.
    agent_strategy_violations(AgentStrategyProvider), "AgentStrategyProviderDeclaration", provider::agent_strategy;
    /// The rules that a datasource provider breaks.
    datasource_violations(DatasourceProvider), "DatasourceProviderDeclaration", provider::datasource;
    /// The rules that a trigger provider breaks; those of its subscription schema with [`Scope::All`] only.
    trigger_violations(TriggerProvider), "TriggerProviderDeclaration", provider::trigger;
}
