//! Plugins that are installed with the real uv from the real index, and confined.
//!
//! They run on demand, as the other `real_` tests: with uv at `UV_PATH` or on `PATH`.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::UniqueIdentifier;
use plugin_package::{Limits, Package};
use plugin_runtime::local::environment::{EnvironmentSettings, Environments};
use plugin_runtime::local::{EnvironmentPreparer, Packages, ProcessSettings};
use plugin_sandbox::Level;
use serde_json::json;

use crate::support::{Daemon, NOBODY, python};

/// A package of a plugin that does what it is told, with these requirements; each name is another package.
pub(crate) fn package(name: &str, requirements: &str) -> (UniqueIdentifier, Bytes) {
    static MADE: Mutex<Option<HashMap<String, (UniqueIdentifier, Bytes)>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap();
    let make = || {
        let files = [("main.py", include_str!("plugin.py")), ("requirements.txt", requirements)];
        let bytes = plugin_testkit::plugins::light(name, &files).unwrap();
        (Package::open(bytes.clone(), &Limits::default()).unwrap().identifier().unwrap(), bytes)
    };
    made.get_or_insert_default().entry(name.to_owned()).or_insert_with(make).clone()
}

pub(crate) fn preparer(folder: &Path, process: &ProcessSettings) -> EnvironmentPreparer {
    let mut settings = EnvironmentSettings::new(folder.join("cwd"));
    settings.python = python().to_string_lossy().into_owned();
    settings.uv = std::env::var_os("UV_PATH").map(PathBuf::from);
    settings.inherited = std::env::vars_os().collect();
    settings.stage.clone_from(&process.stage);
    settings.isolation = process.isolation.clone();
    EnvironmentPreparer { environments: Arc::new(Environments::new(settings)), packages: Arc::new(Made) }
}

struct Made;

#[async_trait]
impl Packages for Made {
    async fn package(&self, plugin: &UniqueIdentifier) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        let names = ["attacker", "victim"].map(|name| package(name, ""));
        let found = names.into_iter().find(|(id, _)| id == plugin).ok_or("no such package")?;
        Ok(found.1)
    }
}

fn real(user: Option<u32>, requirements: &str) -> Daemon {
    Daemon::start_with(user, Level::Confined, &[(crate::support::REQUIREMENTS, requirements)])
}

#[test]
#[ignore = "needs uv and the package index"]
fn real_libraries_work_in_a_confined_plugin() {
    for user in [None, Some(NOBODY)] {
        // jieba has no wheel
        let mut daemon = real(user, "dify_plugin\ntiktoken\nmatplotlib\nnumpy\npandas\njieba\n");
        assert_eq!(daemon.call("attacker", "works", json!({})), json!([]));
        assert_eq!(daemon.call("attacker", "libraries", json!({})), json!([]));
        daemon.stop();
    }
}

#[test]
#[ignore = "needs uv and the package index"]
fn real_environments_are_closed_to_plugins() {
    let mut daemon = real(Some(NOBODY), "six\n");
    let answer = daemon.call("attacker", "poison", json!({}));
    assert_eq!(answer, json!([]));
    assert_eq!(daemon.call("victim", "poison", json!({})), json!([]));
    daemon.stop();
}
