//! Programs of this crate that tests run as processes of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The program `src/bin/<name>.rs`, built in the profile of the running test if it is not up to date.
///
/// Cargo builds the programs of a package only for that package's own tests.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("a test that is not in a target folder")?;
    let binary = profile.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin").join(name).with_extension("rs");
    let newer_than_source = || Some(modified(&binary).ok()? > modified(&source).ok()?);
    if newer_than_source() != Some(true) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let profile = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let build = ["build", "--quiet", "--package", "plugin-testkit", "--bin", name, "--profile", profile];
        let status = Command::new(cargo).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
        ensure!(status.success(), "failed to build {name}: {status}");
    }
    Ok(binary)
}

fn modified(path: &Path) -> std::io::Result<std::time::SystemTime> {
    path.metadata()?.modified()
}
