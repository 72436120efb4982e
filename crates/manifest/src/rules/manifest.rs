//! Rules of `manifest.yaml` (package-format 6).

use super::{
    checker::Checker,
    shared::{TAGS, i18n},
};
use crate::{
    Declaration,
    declaration::{Meta, Plugins},
    identifier::is_version,
};

/// Bytes that a plugin may ask to store.
const STORAGE: std::ops::RangeInclusive<u64> = 1024..=1 << 30;

pub(super) fn check(checker: &mut Checker, manifest: &Declaration) {
    version(checker, &manifest.version);
    checker.ensure("type", manifest.kind == "plugin", "eq", "must be `plugin`");
    checker.max("author", &manifest.author, 64);
    checker.required_max("name", &manifest.name, 128);
    i18n(checker, "label", &manifest.label);
    i18n(checker, "description", &manifest.description);
    checker.required_max("icon", &manifest.icon, 128);
    checker.max("icon_dark", &manifest.icon_dark, 128);
    checker.at("resource", |checker| {
        checker.ensure("memory", manifest.resource.memory != 0, "required", "must be a number of bytes other than 0");
        if let Some(storage) = manifest.permission().and_then(|permission| permission.storage.as_ref()) {
            checker.at("permission", |checker| {
                checker.at("storage", |checker| checker.within("size", storage.size, &STORAGE));
            });
        }
    });
    checker.at("plugins", |checker| plugins(checker, &manifest.plugins));
    checker.at("meta", |checker| meta(checker, &manifest.meta));
    checker.each_one_of("tags", &manifest.tags, "plugin_tag", &TAGS);
    checker.ensure("created_at", !manifest.created_at.is_zero(), "required", "must be the time the plugin was created");
    if let Some(repo) = &manifest.repo {
        checker.ensure(
            "repo",
            is_absolute_url(repo),
            "url",
            "must be an absolute URL, such as https://example.com/repo",
        );
    }
}

fn version(checker: &mut Checker, version: &str) {
    let good = is_version(version, 3..=3);
    checker.ensure("version", good, "version", "must be three numbers, such as 0.0.1 or 0.0.1-beta");
}

fn plugins(checker: &mut Checker, plugins: &Plugins) {
    for (key, paths) in [
        ("tools", &plugins.tools),
        ("models", &plugins.models),
        ("endpoints", &plugins.endpoints),
        ("agent_strategies", &plugins.agent_strategies),
        ("datasources", &plugins.datasources),
        ("triggers", &plugins.triggers),
    ] {
        checker.each(key, paths.as_deref().unwrap_or_default(), |checker, path| {
            if path.chars().count() > 128 {
                checker.violate("max", "must have at most 128 characters");
            }
        });
    }
}

fn meta(checker: &mut Checker, meta: &Meta) {
    version(checker, &meta.version);
    checker.ensure("arch", meta.arch.is_some(), "required", "must be given: amd64, arm64 or both");
    checker.each_one_of("arch", meta.arch.as_deref().unwrap_or_default(), "is_available_arch", &["amd64", "arm64"]);
    checker.at("runner", |checker| {
        checker.one_of("language", &meta.runner.language, "is_available_language", &["python"]);
        checker.required_max("version", &meta.runner.version, 128);
        checker.required_max("entrypoint", &meta.runner.entrypoint, 256);
    });
}

/// A scheme and something behind it.
fn is_absolute_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        && !rest.trim_start_matches('/').is_empty()
        && !text.contains(|character: char| character.is_whitespace() || character.is_control())
}
