//! What a manifest grants (plugin-protocol 5.2).

use plugin_manifest::declaration::Permission;
use plugin_protocol::callback::Grant;

/// Whether a plugin with this `resource.permission` may ask for it; what the manifest does not name is denied.
///
/// ```
/// use plugin_manifest::declaration::{Enabled, Permission};
/// use plugin_protocol::callback::Grant;
/// use plugin_runtime::permits;
///
/// let permission = Permission { tool: Some(Enabled { enabled: true }), ..Permission::default() };
/// assert!(permits(Some(&permission), Grant::Tool));
/// assert!(!permits(Some(&permission), Grant::Storage) && !permits(None, Grant::Tool));
/// ```
pub fn permits(permission: Option<&Permission>, grant: Grant) -> bool {
    let Some(permission) = permission else { return false };
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

#[cfg(test)]
mod tests {
    use plugin_manifest::declaration::{Enabled, ModelPermission};

    use super::*;

    #[test]
    fn a_kind_of_model_needs_its_own_switch_and_that_of_all() {
        assert!(!permits(None, Grant::Tool));
        let of = |enabled| {
            let model = ModelPermission { enabled, llm: true, ..ModelPermission::default() };
            Permission { model: Some(model), tool: Some(Enabled { enabled: true }), ..Permission::default() }
        };
        let granted = |enabled: bool, grant| permits(Some(&of(enabled)), grant);
        assert!(granted(true, Grant::Llm) && !granted(true, Grant::Rerank) && !granted(false, Grant::Llm));
        assert!(granted(false, Grant::Tool) && !granted(true, Grant::Storage));
    }
}
