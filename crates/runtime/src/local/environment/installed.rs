//! What is installed in an environment, read from the files that say so; no Python is asked.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
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

/// The name of an environment: a digest of everything in it and of what it stands on. `owner` is the plugin that it is for
/// alone.
///
/// What a distribution says of its files in `RECORD` is not relied on: it comes with the files.
pub(crate) fn environment_id(
    content: &BTreeMap<String, String>,
    interpreter: &Interpreter,
    owner: Option<&str>,
) -> String {
    let mut hash = Sha256::new_with_prefix(format!("environment 2, patches {}\n", patch::REVISION));
    for part in [
        std::env::consts::OS,
        std::env::consts::ARCH,
        &interpreter.path.to_string_lossy(),
        &interpreter.version,
        owner.unwrap_or_default(),
    ] {
        hash.update(part);
        hash.update("\n");
    }
    for (path, digest) in content {
        hash.update(format!("{digest} {path}\n"));
    }
    let mut id = hex::encode(hash.finalize());
    id.truncate(40);
    id
}

/// What is at each path of a new environment: the digest of a file, or where a link leads to. Bytecode that came with a
/// package is deleted: Python would run it in place of the source that it claims to be of.
pub(crate) fn content(environment: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut content = BTreeMap::new();
    walk(environment, "", &mut content)?;
    Ok(content)
}

fn walk(folder: &Path, prefix: &str, content: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (place, kind) = (entry.path(), entry.file_type()?);
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if kind.is_dir() && entry.file_name() == "__pycache__" {
            std::fs::remove_dir_all(place)?;
        } else if kind.is_dir() {
            walk(&place, &format!("{path}/"), content)?;
        } else if is_content(&path, kind.is_symlink()) {
            let digest = if kind.is_symlink() {
                format!("-> {}", std::fs::read_link(&place)?.display())
            } else {
                digest(&place)?
            };
            content.insert(path, digest);
        }
    }
    Ok(())
}

/// The digest of a file, and whether it is a program.
fn digest(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 128 * 1024];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        hash.update(block.get(..read).unwrap_or_default());
    }
    let is_program = file.metadata()?.permissions().mode() & 0o111 != 0;
    Ok(format!("{}{}", hex::encode(hash.finalize()), if is_program { "x" } else { "" }))
}

/// Whether a path in an environment is something that was installed, not a note of how it came to be here, or what uv makes
/// in every environment.
fn is_content(path: &str, is_link: bool) -> bool {
    const OF_UV: [&str; 4] = ["pyvenv.cfg", ".gitignore", ".lock", "CACHEDIR.TAG"];
    const NOTES: [&str; 6] = ["REQUESTED", "INSTALLER", "RECORD", "direct_url.json", "uv_cache.json", "uv_build.json"];
    let name = path.rsplit('/').next().unwrap_or_default();
    if OF_UV.contains(&path) {
        return false;
    }
    if let Some(program) = path.strip_prefix("bin/") {
        let of_uv = program.starts_with("activate") || program.starts_with("deactivate") || program == "pydoc.bat";
        return !(of_uv || is_link && program.starts_with("python"));
    }
    !(path.contains(".dist-info/") && NOTES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(version: &str) -> Interpreter {
        Interpreter { path: "/usr/bin/python3.12".into(), version: version.into(), length: 1, modified: 1 }
    }

    fn environment(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn equal_content_has_one_name() {
        const INFO: &str = "lib/python3.12/site-packages/six-1.dist-info";
        let id_of = |files: &[(&str, &str)], version, owner| {
            let environment = environment(files);
            environment_id(&content(environment.path()).unwrap(), &interpreter(version), owner)
        };
        let (source, record) = ("lib/python3.12/site-packages/six.py", format!("{INFO}/RECORD"));
        let genuine: [(&str, &str); 2] = [(source, "1"), (&record, "six.py,sha256=1,1")];
        let plain = id_of(&genuine, "3.12.1", None);
        assert!(super::super::store::is_id(&plain));
        let (installer, requested) = (format!("{INFO}/INSTALLER"), format!("{INFO}/REQUESTED"));
        let noted: [(&str, &str); 7] = [
            (source, "1"),
            (&record, "other"),
            (&installer, "uv"),
            (&requested, ""),
            ("pyvenv.cfg", "home = x"),
            ("bin/activate", "x"),
            ("lib/python3.12/site-packages/__pycache__/six.cpython-312.pyc", "evil"),
        ];
        assert_eq!(plain, id_of(&noted, "3.12.1", None));
        // another file under the record of the genuine one, and files that no record names
        assert_ne!(plain, id_of(&[(source, "2"), genuine[1]], "3.12.1", None));
        assert_ne!(plain, id_of(&[genuine[0], genuine[1], ("lib/python3.12/site-packages/x.pth", "")], "3.12.1", None));
        assert_ne!(
            plain,
            id_of(&[genuine[0], genuine[1], ("lib/python3.12/site-packages/six.pyc", "")], "3.12.1", None)
        );
        assert_ne!(plain, id_of(&[genuine[0], genuine[1], ("bin/python", "#!/bin/sh")], "3.12.1", None));
        assert_ne!(plain, id_of(&genuine, "3.12.2", None));
        assert_ne!(plain, id_of(&genuine, "3.12.1", Some("plugin")));
    }

    #[test]
    fn bytecode_that_came_with_a_package_is_deleted() {
        let environment = environment(&[("lib/python3.12/site-packages/a/__pycache__/b.cpython-312.pyc", "evil")]);
        assert!(content(environment.path()).unwrap().is_empty());
        assert!(!environment.path().join("lib/python3.12/site-packages/a/__pycache__").exists());
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
