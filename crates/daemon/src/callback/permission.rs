//! What a manifest grants (plugin-protocol 5.2).

use plugin_manifest::Declaration;
use plugin_protocol::callback::Grant;

/// Whether the plugin may ask for it; what the manifest does not name is denied.
pub(super) fn has(manifest: &Declaration, grant: Grant) -> bool {
    let Some(permission) = &manifest.resource.permission else { return false };
    let model = permission.model.as_ref().filter(|model| model.enabled);
    match grant {
        Grant::Tool => permission.tool.as_ref().is_some_and(|tool| tool.enabled),
        Grant::Node => permission.node.as_ref().is_some_and(|node| node.enabled),
        Grant::App => permission.app.as_ref().is_some_and(|app| app.enabled),
        Grant::Storage => permission.storage.as_ref().is_some_and(|storage| storage.enabled),
        Grant::Llm => model.is_some_and(|model| model.llm),
        Grant::TextEmbedding => model.is_some_and(|model| model.text_embedding),
        Grant::Rerank => model.is_some_and(|model| model.rerank),
        Grant::Tts => model.is_some_and(|model| model.tts),
        Grant::Speech2Text => model.is_some_and(|model| model.speech2text),
        Grant::Moderation => model.is_some_and(|model| model.moderation),
    }
}
