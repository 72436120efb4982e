//! What a plugin asks to be allowed, as it is chosen and as the manifest has it.

use plugin_manifest::declaration::Permission;
use serde_json::{Map, Value, json};

use super::Category;
use crate::edit;
use crate::failure::Failure;

/// Which permissions are on; `resource.permission` of the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the dialog")]
pub(crate) struct Permissions {
    pub(crate) tool: bool,
    /// The switch above the six kinds of models.
    pub(crate) model: bool,
    pub(crate) llm: bool,
    pub(crate) text_embedding: bool,
    pub(crate) rerank: bool,
    pub(crate) tts: bool,
    pub(crate) speech2text: bool,
    pub(crate) moderation: bool,
    pub(crate) node: bool,
    pub(crate) app: bool,
    /// Bytes that the plugin may keep, if it may keep any.
    pub(crate) storage: Option<u64>,
    pub(crate) endpoint: bool,
}

/// What a plugin may keep when nothing else is said: 1 MiB.
pub(crate) const DEFAULT_STORAGE: u64 = 1 << 20;
/// Bytes that may be asked for (package-format 6).
pub(crate) const STORAGE: std::ops::RangeInclusive<u64> = 1024..=1 << 30;

impl Permissions {
    /// Those that a manifest asks for.
    pub(crate) fn of(manifest: Option<&Permission>) -> Self {
        let Some(permission) = manifest else { return Self::default() };
        let model = permission.model.clone().unwrap_or_default();
        let is_on =
            |switch: &Option<plugin_manifest::declaration::Enabled>| switch.as_ref().is_some_and(|on| on.enabled);
        Self {
            tool: is_on(&permission.tool),
            model: model.enabled,
            llm: model.llm,
            text_embedding: model.text_embedding,
            rerank: model.rerank,
            tts: model.tts,
            speech2text: model.speech2text,
            moderation: model.moderation,
            node: is_on(&permission.node),
            app: is_on(&permission.app),
            storage: permission.storage.as_ref().filter(|storage| storage.enabled).map(|storage| storage.size),
            endpoint: is_on(&permission.endpoint),
        }
    }

    /// Adds what plugins of a kind cannot do without: agents call models, and the tools that models want; the endpoints of
    /// an extension have to be registered.
    pub(crate) fn add_those_of(&mut self, category: Category) {
        match category {
            Category::AgentStrategy => (self.tool, self.model, self.llm) = (true, true, true),
            Category::Extension => self.endpoint = true,
            _ => {}
        }
    }

    /// A manifest's text with these permissions.
    pub(crate) fn set_in(&self, manifest: &str) -> Result<String, Failure> {
        let present = edit::read(manifest)?.pointer("/resource/permission").cloned().unwrap_or(Value::Null);
        edit::set(manifest, &["resource", "permission"], &self.merged_into(&present))
    }

    /// The groups that are on, with their fields, in the order of the manifest.
    pub(crate) fn groups(&self) -> Vec<(&'static str, Vec<(&'static str, Value)>)> {
        let on = || vec![("enabled", json!(true))];
        let mut groups = Vec::new();
        if self.tool {
            groups.push(("tool", on()));
        }
        if self.model {
            let mut fields = on();
            fields.extend([
                ("llm", json!(self.llm)),
                ("text_embedding", json!(self.text_embedding)),
                ("rerank", json!(self.rerank)),
                ("tts", json!(self.tts)),
                ("speech2text", json!(self.speech2text)),
                ("moderation", json!(self.moderation)),
            ]);
            groups.push(("model", fields));
        }
        if self.node {
            groups.push(("node", on()));
        }
        if self.endpoint {
            groups.push(("endpoint", on()));
        }
        if self.app {
            groups.push(("app", on()));
        }
        if let Some(size) = self.storage {
            groups.push(("storage", vec![("enabled", json!(true)), ("size", json!(size))]));
        }
        groups
    }

    /// `before`, the present value of `resource.permission`, with these permissions; keys that are not known stay.
    fn merged_into(&self, before: &Value) -> Value {
        let mut merged = before.as_object().cloned().unwrap_or_default();
        for group in ["tool", "model", "node", "endpoint", "app", "storage"] {
            merged.remove(group);
        }
        for (group, fields) in self.groups() {
            let fields: Map<_, _> = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
            merged.insert(group.to_owned(), fields.into());
        }
        merged.into()
    }
}
