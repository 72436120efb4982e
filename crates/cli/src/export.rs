//! Writes down as `requirements.txt` what a project has locked (package-format 18).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plugin_manifest::Declaration;
use plugin_package::Folder;

use crate::failure::Failure;

/// The file that a package has to have for daemons that know no locks.
pub(crate) const REQUIREMENTS: &str = "requirements.txt";
/// `--no-dev` rather than the reference's `--no-group dev`, which fails in a project without that group.
const ARGUMENTS: [&str; 9] = [
    "export",
    "--frozen",
    "--format",
    "requirements.txt",
    "--no-dev",
    "--no-emit-project",
    "--no-hashes",
    "--no-header",
    "--no-annotate",
];

/// The locked requirements, where the folder has a lock and no `requirements.txt`, ignored or not. The folder is not
/// touched.
pub(crate) fn requirements(folder: &Folder, declaration: &Declaration) -> Result<Option<Vec<u8>>, Failure> {
    let root = folder.root();
    let is_there = |name: &str| root.join(name).is_file();
    if declaration.meta.runner.language != "python"
        || is_there(REQUIREMENTS)
        || !is_there("pyproject.toml")
        || !is_there("uv.lock")
    {
        return Ok(None);
    }
    let uv = find_uv().map_err(|reason| {
        Failure::new(format!("failed to find uv executable for exporting {REQUIREMENTS}: {reason}"))
            .hint(format!("install uv (https://docs.astral.sh/uv/), set UV_PATH, or write {REQUIREMENTS} yourself"))
    })?;
    export(&uv, root).map(Some)
}

fn export(uv: &Path, root: &Path) -> Result<Vec<u8>, Failure> {
    let output = Command::new(uv).args(ARGUMENTS).current_dir(root).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::new(format!("failed to run {}", uv.display())).because(error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("uv export failed: {}", text.trim()))
        .hint(format!("make uv.lock anew with `uv lock`, or write {REQUIREMENTS} yourself")))
}

/// `UV_PATH`, or the first uv on `PATH`.
pub(crate) fn find_uv() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("UV_PATH").filter(|path| !path.is_empty()).map(PathBuf::from) {
        let reason = || format!("UV_PATH is {}, which is no executable file", path.display());
        return is_executable(&path).then(|| path.clone()).ok_or_else(reason);
    }
    on_path("uv", &std::env::var_os("PATH").unwrap_or_default()).ok_or_else(|| "there is none on PATH".to_owned())
}

/// The first program of a name in the folders of a `PATH`.
pub(crate) fn on_path(name: &str, path: &OsString) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|candidate| is_executable(candidate))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
