//! What is installed in an environment, read from the files that say so; no Python is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::patch;
use super::store::Interpreter;

/// One installed distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// As its metadata folder is called: with `_` for `-`.
    pub(crate) name: String,
    pub(crate) version: String,
    /// The lines of its list of files: `path,hash,size`.
    pub(crate) record: Vec<String>,
}

/// The folder of an environment in which packages are.
pub(crate) fn site_packages(environment: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(environment.join("lib")).ok()?;
    versions.flatten().map(|version| version.path().join("site-packages")).find(|path| path.is_dir())
}

/// What is installed, by name.
pub(crate) fn distributions(site_packages: &Path) -> Vec<Distribution> {
    let entries = std::fs::read_dir(site_packages).into_iter().flatten().flatten();
    let mut distributions: Vec<_> = entries.filter_map(|entry| distribution(&entry.path())).collect();
    distributions.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    distributions
}

/// The plugin SDK, if it is installed.
pub(crate) fn sdk(site_packages: &Path) -> Option<Distribution> {
    let is_sdk = |name: &str| name.to_ascii_lowercase().starts_with("dify_plugin-") && name.ends_with(".dist-info");
    let mut entries = std::fs::read_dir(site_packages).ok()?.flatten();
    let entry = entries.find(|entry| entry.file_name().to_str().is_some_and(is_sdk))?;
    distribution(&entry.path())
}

fn distribution(path: &Path) -> Option<Distribution> {
    let (name, version) = path.file_name()?.to_str()?.strip_suffix(".dist-info")?.split_once('-')?;
    let record = std::fs::read_to_string(path.join("RECORD")).unwrap_or_default();
    Some(Distribution {
        name: name.to_owned(),
        version: version.to_owned(),
        record: record.lines().map(str::to_owned).collect(),
    })
}

/// Version by distribution.
pub(crate) fn versions(distributions: &[Distribution]) -> BTreeMap<String, String> {
    distributions.iter().map(|one| (one.name.replace('_', "-").to_ascii_lowercase(), one.version.clone())).collect()
}

/// The name of an environment: a digest of everything in it and of what it stands on.
pub(crate) fn environment_id(distributions: &[Distribution], interpreter: &Interpreter) -> String {
    let mut hash = Sha256::new_with_prefix(format!("environment 1, patches {}\n", patch::REVISION));
    for part in
        [std::env::consts::OS, std::env::consts::ARCH, &interpreter.path.to_string_lossy(), &interpreter.version]
    {
        hash.update(part);
        hash.update("\n");
    }
    for one in distributions {
        hash.update(format!("{}=={}\n", one.name, one.version));
        let mut files: Vec<&str> = one.record.iter().map(String::as_str).filter(|line| is_content(line)).collect();
        files.sort_unstable();
        for file in files {
            hash.update(file);
            hash.update("\n");
        }
    }
    let mut id = hex::encode(hash.finalize());
    id.truncate(40);
    id
}

/// Whether a line of a `RECORD` names something of the distribution's own, not a note of how it came to be here.
fn is_content(line: &str) -> bool {
    let path = line.split(',').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_note = path.contains(".dist-info/")
        && matches!(name, "REQUESTED" | "INSTALLER" | "RECORD" | "direct_url.json" | "uv_cache.json" | "uv_build.json");
    let is_compiled = Path::new(name).extension().is_some_and(|extension| extension == "pyc");
    !is_note && !is_compiled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(version: &str) -> Interpreter {
        Interpreter { path: "/usr/bin/python3.12".into(), version: version.into(), length: 1, modified: 1 }
    }

    fn six(record: &[&str]) -> Vec<Distribution> {
        let record = record.iter().map(|&line| line.to_owned()).collect();
        vec![Distribution { name: "six".into(), version: "1".into(), record }]
    }

    #[test]
    fn equal_content_has_one_name() {
        let id = |record: &[&str], version| environment_id(&six(record), &interpreter(version));
        let plain = id(&["six.py,sha256=1,2", "six-1.dist-info/METADATA,sha256=2,3"], "3.12.1");
        assert!(super::super::store::is_id(&plain));
        let noted = [
            "six-1.dist-info/METADATA,sha256=2,3",
            "six-1.dist-info/REQUESTED,,",
            "six-1.dist-info/INSTALLER,sha256=9,2",
            "__pycache__/six.cpython-312.pyc,,",
            "six.py,sha256=1,2",
        ];
        assert_eq!(plain, id(&noted, "3.12.1"));
        assert_ne!(plain, id(&["six.py,sha256=9,2", "six-1.dist-info/METADATA,sha256=2,3"], "3.12.1"));
        assert_ne!(plain, id(&["six.py,sha256=1,2", "six-1.dist-info/METADATA,sha256=2,3"], "3.12.2"));
        assert_ne!(environment_id(&[], &interpreter("3.12.1")), environment_id(&six(&[]), &interpreter("3.12.1")));
    }

    #[test]
    fn distributions_are_read_from_disk() {
        let dir = tempfile::tempdir().unwrap();
        let packages = dir.path().join("lib/python3.12/site-packages");
        std::fs::create_dir_all(packages.join("Dify_Plugin-0.1.0.dist-info")).unwrap();
        std::fs::write(packages.join("Dify_Plugin-0.1.0.dist-info/RECORD"), "a.py,,\nb.py,,\n").unwrap();
        std::fs::create_dir_all(packages.join("six")).unwrap();
        assert_eq!(site_packages(dir.path()).as_ref(), Some(&packages));
        let found = distributions(&packages);
        assert!(found[0].record.len() == 2 && found.len() == 1);
        assert_eq!(sdk(&packages).as_ref(), Some(&found[0]));
        assert_eq!(versions(&found), BTreeMap::from([("dify-plugin".into(), "0.1.0".into())]));
        assert_eq!(site_packages(&packages), None);
    }
}
