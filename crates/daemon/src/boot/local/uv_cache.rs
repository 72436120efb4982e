//! Where uv keeps what it has downloaded.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use plugin_service::config::Config;

/// uv's own variable. Dify sets it for its API server, in variables that all its containers share.
const VARIABLE: &str = "UV_CACHE_DIR";

/// Puts the configured cache in, or takes one out that is on another file system than environments: what it holds could
/// only be copied, and Dify's `/tmp/.uv-cache` is lost with the container.
pub(super) fn choose(config: &Config, inherited: &mut BTreeMap<OsString, OsString>) {
    if let Some(cache) = &config.python.uv_cache {
        inherited.insert(VARIABLE.into(), cache.into());
        return;
    }
    let Some(given) = inherited.get(OsStr::new(VARIABLE)) else { return };
    let working_path = &config.plugins.working_path;
    if given.is_empty() || device(Path::new(given)) != device(working_path) {
        tracing::info!(
            given = %given.display(),
            "UV_CACHE_DIR is not used, since it is on another file system than PLUGIN_WORKING_PATH; PLUGIN_UV_CACHE_DIR is \
             used wherever it is"
        );
        inherited.remove(OsStr::new(VARIABLE));
    }
}

/// The device of a folder, or of the one that it would be made in.
fn device(path: &Path) -> Option<u64> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().find_map(|folder| std::fs::metadata(folder).ok()).map(|found| found.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(folder: &Path, given: &str, own: &str) -> Option<OsString> {
        let variables = [("PLUGIN_WORKING_PATH", folder.to_str().unwrap()), ("PLUGIN_UV_CACHE_DIR", own)];
        let config =
            Config::from_vars(variables.map(|(name, text)| (name.to_owned(), text.to_owned())).into()).unwrap();
        let mut inherited = BTreeMap::from([(VARIABLE.into(), given.into())]);
        choose(&config, &mut inherited);
        inherited.remove(OsStr::new(VARIABLE))
    }

    #[test]
    fn the_cache_is_where_environments_are_unless_it_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("not/yet/there");
        assert_eq!(chosen(folder.path(), beside.to_str().unwrap(), ""), Some(beside.into()));
        assert_eq!(chosen(folder.path(), "/proc/uv-cache", ""), None, "another file system");
        assert_eq!(chosen(folder.path(), "", ""), None);
        assert_eq!(chosen(folder.path(), "/proc/uv-cache", "/own"), Some("/own".into()));
    }
}
