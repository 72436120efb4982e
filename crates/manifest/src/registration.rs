//! The registration of a plugin under development, message by message (plugin-protocol 2.2).

use serde_json::value::RawValue;

use crate::{
    Declaration, InvalidManifest,
    rules::{self, Scope, Violation},
    yaml,
};

#[cfg(test)]
mod tests;

/// A kind of provider, each registered by a message of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    Tool,
    Model,
    Endpoint,
    AgentStrategy,
    Datasource,
    Trigger,
}

impl ProviderKind {
    /// The kind that a message's `type` registers.
    pub fn from_message(message_type: &str) -> Option<Self> {
        match message_type {
            "tool_declaration" => Some(Self::Tool),
            "model_declaration" => Some(Self::Model),
            "endpoint_declaration" => Some(Self::Endpoint),
            "agent_strategy_declaration" => Some(Self::AgentStrategy),
            "datasource_declaration" => Some(Self::Datasource),
            "trigger_declaration" => Some(Self::Trigger),
            _ => None,
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Model => "models",
            Self::Endpoint => "endpoints",
            Self::AgentStrategy => "agent strategies",
            Self::Datasource => "datasources",
            Self::Trigger => "triggers",
        }
    }

    /// The kind as the refusal of a second message names it.
    fn repeated(self) -> &'static str {
        match self {
            Self::AgentStrategy => "agent strategy",
            Self::Datasource => "datasource",
            Self::Tool | Self::Model | Self::Endpoint | Self::Trigger => self.plural(),
        }
    }
}

/// What a debugged plugin has declared so far.
#[derive(Debug, Default)]
pub struct Registration {
    declaration: Declaration,
    has_manifest: bool,
    registered: Vec<ProviderKind>,
}

/// Why a registration is refused; displays as the line the plugin is sent, except the mere cause of a message's refusal.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    #[error("declaration already registered")]
    RepeatedManifest,
    #[error("handshake failed, invalid plugin declaration: {0}")]
    Manifest(Malformed),
    #[error("{} declaration already registered", .0.repeated())]
    RepeatedProvider(ProviderKind),
    #[error("{} register failed, invalid {} declaration: {cause}", .kind.plural(), .kind.plural())]
    Provider { kind: ProviderKind, cause: Malformed },
    #[error("no registration transferred, cannot initialize")]
    Nothing,
    #[error("register failed, invalid manifest detected: {0}")]
    Invalid(#[from] InvalidManifest),
}

/// What is wrong with a message's data.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{}", join(.0))]
    Rules(Vec<Violation>),
}

fn join(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Registration {
    /// Takes the data of `manifest_declaration`.
    pub fn manifest(&mut self, data: &RawValue) -> Result<(), RegistrationError> {
        if self.has_manifest {
            return Err(RegistrationError::RepeatedManifest);
        }
        let mut manifest = read::<Declaration>(data).map_err(RegistrationError::Manifest)?;
        accept(rules::violations(&manifest, Scope::Manifest)).map_err(RegistrationError::Manifest)?;
        let known = std::mem::take(&mut self.declaration);
        manifest.tool = known.tool.or(manifest.tool);
        manifest.model = known.model.or(manifest.model);
        manifest.endpoint = known.endpoint.or(manifest.endpoint);
        manifest.agent_strategy = known.agent_strategy.or(manifest.agent_strategy);
        manifest.datasource = known.datasource.or(manifest.datasource);
        manifest.trigger = known.trigger.or(manifest.trigger);
        self.declaration = manifest;
        self.has_manifest = true;
        Ok(())
    }

    /// Takes the data of a `*_declaration`: a list of providers of which the first counts.
    pub fn providers(&mut self, kind: ProviderKind, data: &RawValue) -> Result<(), RegistrationError> {
        if self.registered.contains(&kind) {
            return Err(RegistrationError::RepeatedProvider(kind));
        }
        let declaration = &mut self.declaration;
        let taken = match kind {
            ProviderKind::Tool => first(data, &mut declaration.tool, rules::tool_violations),
            ProviderKind::Model => first(data, &mut declaration.model, rules::model_violations),
            ProviderKind::Endpoint => first(data, &mut declaration.endpoint, rules::endpoint_violations),
            ProviderKind::AgentStrategy => {
                first(data, &mut declaration.agent_strategy, rules::agent_strategy_violations)
            }
            ProviderKind::Datasource => first(data, &mut declaration.datasource, rules::datasource_violations),
            ProviderKind::Trigger => first(data, &mut declaration.trigger, rules::trigger_violations),
        };
        taken.map_err(|cause| RegistrationError::Provider { kind, cause })?;
        self.registered.push(kind);
        Ok(())
    }

    /// What was declared, defaults filled in, icons still named as in the plugin's folder. The caller replaces those and
    /// then asks [`Declaration::validate`].
    pub fn finish(mut self) -> Result<Declaration, RegistrationError> {
        if self.registered.is_empty() {
            return Err(RegistrationError::Nothing);
        }
        self.declaration.fill_defaults();
        Ok(self.declaration)
    }
}

fn first<T: yaml::Read>(
    data: &RawValue,
    place: &mut Option<T>,
    rules: fn(&T, Scope) -> Vec<Violation>,
) -> Result<(), Malformed> {
    let providers: Vec<T> = read(data)?;
    let Some(provider) = providers.into_iter().next() else { return Ok(()) };
    accept(rules(&provider, Scope::Registration))?;
    *place = Some(provider);
    Ok(())
}

fn read<T: yaml::Read>(data: &RawValue) -> Result<T, Malformed> {
    Ok(yaml::deserialize(&mut serde_json::Deserializer::from_str(data.get()))?)
}

fn accept(violations: Vec<Violation>) -> Result<(), Malformed> {
    if violations.is_empty() { Ok(()) } else { Err(Malformed::Rules(violations)) }
}
