//! What the reference keeps in Redis of the things that changed: during a migration between daemons its nodes must not go on with
//! it (lifecycle-and-storage 4.2). Its entries are never read here.

use plugin_store::RuntimeType;

use super::change::Change;

/// The reference names its entries by these paths of its code.
const MODELS: &str = "github.com/langgenius/dify-plugin-daemon/internal/types/models";
const ENTITIES: &str = "github.com/langgenius/dify-plugin-daemon/pkg/entities/plugin_entities";

/// The keys to delete after a change.
pub(super) fn stale_keys(change: &Change) -> Vec<String> {
    match change {
        Change::Installation { tenant, plugin } => vec![
            format!("auto_type:{MODELS}.PluginInstallation:plugin_id:{plugin}:tenant_id:{tenant}"),
            format!("model_installations:tenant_id:{tenant}"),
        ],
        Change::Endpoint { hook } => vec![format!("auto_type:{MODELS}.Endpoint:hook_id:{hook}")],
        Change::Version { identifier } => [RuntimeType::Local, RuntimeType::Remote, RuntimeType::Serverless]
            .map(|kind| format!("auto_type:{ENTITIES}.PluginDeclaration:declaration_cache:{kind}:{identifier}"))
            .into_iter()
            .chain([format!("serverless:runtime:{identifier}")])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_references() {
        let tenant = uuid::Uuid::nil();
        let keys = |change| stale_keys(&change).join("\n");
        insta::assert_snapshot!(keys(Change::Installation { tenant, plugin: "a/b".into() }), @r"
        auto_type:github.com/langgenius/dify-plugin-daemon/internal/types/models.PluginInstallation:plugin_id:a/b:tenant_id:00000000-0000-0000-0000-000000000000
        model_installations:tenant_id:00000000-0000-0000-0000-000000000000
        ");
        insta::assert_snapshot!(keys(Change::Endpoint { hook: "h".into() }), @"auto_type:github.com/langgenius/dify-plugin-daemon/internal/types/models.Endpoint:hook_id:h");
        let identifier = format!("a/b:1.0.0@{}", "0".repeat(32)).parse().unwrap();
        insta::assert_snapshot!(keys(Change::Version { identifier }), @r"
        auto_type:github.com/langgenius/dify-plugin-daemon/pkg/entities/plugin_entities.PluginDeclaration:declaration_cache:local:a/b:1.0.0@00000000000000000000000000000000
        auto_type:github.com/langgenius/dify-plugin-daemon/pkg/entities/plugin_entities.PluginDeclaration:declaration_cache:remote:a/b:1.0.0@00000000000000000000000000000000
        auto_type:github.com/langgenius/dify-plugin-daemon/pkg/entities/plugin_entities.PluginDeclaration:declaration_cache:serverless:a/b:1.0.0@00000000000000000000000000000000
        serverless:runtime:a/b:1.0.0@00000000000000000000000000000000
        ");
    }
}
