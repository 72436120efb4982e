//! Environments and plugins on a stand-in for the SDK, and a runtime that forks.

#[path = "../shared/call.rs"]
mod call;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use plugin_manifest::UniqueIdentifier;
use plugin_runtime::local::environment::{EnvironmentError, Prepared, Progress};
use plugin_runtime::local::{
    Launcher as _, LocalRuntime, LocalSettings, PluginSettings, PreforkSettings, Preparer, SdkEnvironments,
    SettingsOfPlugins, ZygoteLauncher,
};
use plugin_runtime::{Event, Runtime, Session};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::call::call;

pub(crate) const STATE: &str = include_str!("state.py");
pub(crate) const SDK: &str = include_str!("sdk.py");
pub(crate) const PLUGIN: &str = include_str!("plugin.py");

/// An interpreter outside of any environment, and `3.12` of it.
fn interpreter() -> &'static (PathBuf, String) {
    static FOUND: OnceLock<(PathBuf, String)> = OnceLock::new();
    FOUND.get_or_init(|| {
        let script = "import sys; print(sys._base_executable, '%d.%d' % sys.version_info[:2])";
        let output = Command::new("python3").args(["-c", script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (path, version) = text.trim().split_once(' ').unwrap();
        (path.into(), version.to_owned())
    })
}

/// A folder with environments and plugins.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    sdks: BTreeMap<PathBuf, PathBuf>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), sdks: BTreeMap::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn environment(&self, digit: char) -> PathBuf {
        self.path().join(digit.to_string().repeat(40))
    }

    pub(crate) fn sdk(&self, digit: char) -> PathBuf {
        let packages = format!("lib/python{}/site-packages/dify_plugin/__init__.py", interpreter().1);
        self.environment(digit).join(packages)
    }

    /// An environment with a package `dify_plugin` of this text.
    pub(crate) fn make_environment(&self, digit: char, sdk: &str) {
        let (environment, (python, version)) = (self.environment(digit), interpreter());
        write(&self.sdk(digit), sdk);
        let home = python.parent().unwrap().display();
        let config = format!("home = {home}\ninclude-system-site-packages = false\nversion = {version}\n");
        write(&environment.join("pyvenv.cfg"), &config);
        std::fs::create_dir(environment.join("bin")).unwrap();
        std::os::unix::fs::symlink(python, environment.join("bin/python")).unwrap();
    }

    /// Says that `sdk` holds the SDK of `digit` alone; if it is the same one, that this is not known yet.
    pub(crate) fn set_sdk(&mut self, digit: char, sdk: char) {
        self.sdks.insert(self.environment(digit), self.environment(sdk));
    }

    /// A plugin that is linked to that environment.
    pub(crate) fn make_plugin(&self, name: &str, digit: char, files: &[(&str, &str)]) {
        let folder = self.path().join(name);
        for (path, text) in [("main.py", PLUGIN), ("state.py", STATE)].iter().chain(files) {
            write(&folder.join(path), text);
        }
        let _ = std::fs::remove_file(folder.join(".venv"));
        std::os::unix::fs::symlink(self.environment(digit), folder.join(".venv")).unwrap();
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Takes plugins as they lie in a place.
struct Linked(PathBuf);

#[async_trait]
impl Preparer for Linked {
    async fn prepare(
        &self,
        plugin: &UniqueIdentifier,
        _: &dyn Progress,
        _: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        let working_dir = self.0.join(plugin.name());
        let environment = std::fs::read_link(working_dir.join(".venv")).unwrap();
        Ok(Prepared {
            python: working_dir.join(".venv/bin/python"),
            working_dir,
            entrypoint: "main".into(),
            environment: environment.file_name().map(|name| name.to_str().unwrap().to_owned()),
        })
    }
}

/// Which environments hold the SDK alone: each itself, but for those that are named.
/// What is named as making itself is not known yet.
struct Sdks(Mutex<BTreeMap<PathBuf, PathBuf>>);

#[async_trait]
impl SdkEnvironments for Sdks {
    async fn known(&self, environment: &Path) -> Option<PathBuf> {
        match self.0.lock().unwrap().get(environment) {
            Some(sdk) if sdk == environment => None,
            Some(sdk) => Some(sdk.clone()),
            None => Some(environment.to_owned()),
        }
    }

    async fn make(&self, environment: &Path) -> Result<PathBuf, String> {
        self.0.lock().unwrap().remove(environment);
        Ok(environment.to_owned())
    }

    async fn remember(&self, environment: &Path, sdk: &Path) -> bool {
        self.0.lock().unwrap().insert(environment.to_owned(), sdk.to_owned());
        true
    }
}

/// What holds for each plugin.
struct Own(LocalSettings, fn(&LocalSettings, &str) -> PluginSettings);

impl SettingsOfPlugins for Own {
    fn of(&self, plugin: &UniqueIdentifier) -> PluginSettings {
        self.1(&self.0, plugin.name())
    }
}

/// A runtime for the plugins of a place.
pub(crate) struct Host {
    pub(crate) runtime: Arc<LocalRuntime>,
    pub(crate) launcher: Arc<ZygoteLauncher>,
}

pub(crate) fn plugin(name: &str) -> UniqueIdentifier {
    format!("test/{name}:0.0.1@{}", "0".repeat(64)).parse().unwrap()
}

impl Host {
    pub(crate) fn new(place: &Place) -> Self {
        Self::with(place, |_, _| {})
    }

    /// One that starts these plugins by new interpreters.
    pub(crate) fn spawning(place: &Place, names: &[&str]) -> Self {
        Self::with(place, |_, prefork| prefork.except = names.iter().map(|name| format!("test/{name}")).collect())
    }

    pub(crate) fn with(place: &Place, change: impl FnOnce(&mut LocalSettings, &mut PreforkSettings)) -> Self {
        Self::with_own(place, change, |settings, _| settings.of_plugin())
    }

    /// With settings of single plugins, by their names.
    pub(crate) fn with_own(
        place: &Place,
        change: impl FnOnce(&mut LocalSettings, &mut PreforkSettings),
        own: fn(&LocalSettings, &str) -> PluginSettings,
    ) -> Self {
        let (mut settings, mut prefork) = (LocalSettings::default(), PreforkSettings::default());
        settings.process.bootstrap = Some(place.path().join(".bootstrap"));
        let inherited = ["PATH", "HOME", "LANG", "TZ"].map(|name| {
            let value = match name {
                "TZ" => Some("Asia/Kathmandu".into()),
                "LANG" => Some("C.UTF-8".into()),
                _ => std::env::var_os(name),
            };
            (OsString::from(name), value.unwrap_or_default())
        });
        settings.process.inherited = BTreeMap::from(inherited);
        settings.worker.check_interval = Duration::from_millis(200);
        settings.pool.max_workers = 1;
        change(&mut settings, &mut prefork);
        let sdks = Arc::new(Sdks(Mutex::new(place.sdks.clone())));
        let launcher = Arc::new(ZygoteLauncher::new(settings.process.clone(), prefork, sdks).unwrap());
        let own = Own(settings.clone(), own);
        let preparer = Arc::new(Linked(place.path()));
        let runtime = LocalRuntime::with_own_settings(settings, preparer, launcher.clone(), Arc::new(own));
        let runtime = Arc::new(runtime);
        Self { runtime, launcher }
    }

    pub(crate) async fn open(&self, name: &str, data: Value) -> Session {
        let call = call(plugin(name), &data, Duration::from_mins(3));
        self.runtime.open(call).await.unwrap_or_else(|error| panic!("{error}\n{}", self.log(name)))
    }

    pub(crate) async fn call(&self, name: &str, data: Value) -> Vec<Event> {
        let mut session = self.open(name, data).await;
        let mut events = Vec::new();
        while let Some(event) = within(session.recv()).await {
            events.push(event);
        }
        events
    }

    /// The one thing that the plugin answers.
    pub(crate) async fn ask(&self, name: &str, data: Value) -> Value {
        let events = self.call(name, data).await;
        match events.first() {
            Some(Event::Chunk(chunk)) => serde_json::from_slice(chunk).unwrap(),
            _ => panic!("{events:?}\n{}", self.log(name)),
        }
    }

    pub(crate) async fn stop(&self, name: &str) {
        within(self.runtime.remove(&plugin(name), false)).await;
    }

    /// The worker that takes calls, as the runtime knows it.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        self.runtime.status(&plugin(name))?.workers.first().map(|worker| worker.pid)
    }

    /// Everything in the plugin's log, a line an entry.
    pub(crate) fn log(&self, name: &str) -> String {
        let Some(log) = self.runtime.log(&plugin(name)) else { return String::new() };
        let lines: Vec<_> =
            log.after(0).into_iter().map(|entry| format!("{:?} {}", entry.source, entry.text)).collect();
        lines.join("\n")
    }

    pub(crate) fn zygote(&self) -> u32 {
        let zygotes = self.launcher.kept();
        assert_eq!(zygotes.len(), 1);
        zygotes[0]
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(4), future).await.expect("it takes too long")
}

/// Compares what two plugins see, but for what must differ: their own folders and mark.
pub(crate) fn assert_same(forked: &Value, spawned: &Value) {
    let normal = |seen: &Value| {
        let mut text = serde_json::to_string_pretty(&seen["seen"]).unwrap();
        // the temporary folder first: it may be in a folder of the home's
        for name in ["DIFY_PLUGIN_WORKER", "TMPDIR", "HOME"] {
            if let Some(value) = seen["seen"]["environment"][0][name].as_str().filter(|value| value.len() > 1) {
                text = text.replace(value, name);
            }
        }
        text
    };
    let (forked, spawned) = (normal(forked), normal(spawned));
    let differing: Vec<_> = forked.lines().zip(spawned.lines()).filter(|(one, other)| one != other).take(10).collect();
    assert!(forked == spawned, "forked and spawned differ: {differing:#?}");
}
