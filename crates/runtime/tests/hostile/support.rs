//! A daemon in a process of its own, as root or as nobody, with a hostile plugin and a victim.

#[path = "../shared/call.rs"]
mod call;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use plugin_manifest::UniqueIdentifier;
use plugin_runtime::local::environment::{EnvironmentError, Prepared, Progress};
use plugin_runtime::local::isolation::{Isolation, Scratch};
use plugin_runtime::local::{LocalRuntime, LocalSettings, Preparer, SpawnLauncher};
use plugin_runtime::{Event, Runtime as _};
use plugin_sandbox::{Level, Support};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::call::call;
use crate::program::stage_of_a_worker;

/// Set in the process that plays the daemon: the folder that it works in.
pub(crate) const FOLDER: &str = "HOSTILE_TEST_FOLDER";
/// In the environment of the daemon alone.
pub(crate) const SECRET: &str = "HOSTILE_TEST_SECRET";

/// The requirements of plugins that are installed with uv.
pub(crate) const REQUIREMENTS: &str = "HOSTILE_TEST_REQUIREMENTS";

/// The user that stands for an unprivileged one.
pub(crate) const NOBODY: u32 = 65534;

/// Who runs the daemon. Tests as another user need root.
pub(crate) fn users() -> Vec<Option<u32>> {
    if rustix::process::geteuid().is_root() { vec![None, Some(NOBODY)] } else { vec![None] }
}

/// A daemon that takes one call a line on its standard input.
pub(crate) struct Daemon {
    pub(crate) folder: tempfile::TempDir,
    child: Child,
    input: Option<ChildStdin>,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Daemon {
    pub(crate) fn start(user: Option<u32>, level: Level) -> Self {
        Self::start_with(user, level, &[])
    }

    pub(crate) fn start_with(user: Option<u32>, level: Level, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(user) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(user)).unwrap();
        }
        Self::start_in(folder, user, level, variables)
    }

    pub(crate) fn start_in(
        folder: tempfile::TempDir,
        user: Option<u32>,
        level: Level,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["daemon", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(SECRET, "the key to everything")
            .env("HOSTILE_TEST_LEVEL", level.as_str())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(user) = user {
            // a cache of the user who runs the tests is closed to this one
            command.uid(user).gid(user).env_remove("UV_CACHE_DIR");
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { folder, input: child.stdin.take(), output, child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One call of a plugin.
    pub(crate) fn call(&mut self, plugin: &str, attack: &str, more: Value) -> Value {
        let mut request = more;
        request["attack"] = attack.into();
        writeln!(self.input.as_mut().unwrap(), "{}", json!({"plugin": plugin, "request": request})).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let line =
            self.output.by_ref().map(Result::unwrap).find_map(|line| Some(line.split_once("answer ")?.1.to_owned()));
        serde_json::from_str(&line.expect("the daemon has ended")).unwrap()
    }

    /// Takes a plugin away, as an uninstall does.
    pub(crate) fn remove(&mut self, plugin: &str) {
        writeln!(self.input.as_mut().unwrap(), "{}", json!({"remove": plugin})).unwrap();
        self.answer();
    }

    /// Stops in order.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        drop(self.input.take());
        self.child.wait().unwrap();
        self.folder
    }

    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder
    }
}

/// The two plugins, and where everything is.
pub(crate) fn working_dir(folder: &Path, plugin: &str) -> PathBuf {
    folder.join("cwd/test").join(plugin)
}

/// What plays the daemon: sets everything up, then does what its standard input says.
pub(crate) async fn serve(folder: &Path) {
    let level = std::env::var("HOSTILE_TEST_LEVEL").unwrap();
    for path in ["keys/server_key", "storage/other_tenant", "cwd/.uv-cache/wheel", "cwd/.environments/other/site.pth"] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "secret").unwrap();
    }
    for plugin in ["attacker", "victim"] {
        let directory = working_dir(folder, plugin);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("plugin.py"), include_str!("plugin.py")).unwrap();
    }
    plugin_runtime::local::kill_orphans();
    let runtime = runtime(folder, &level);
    let (sender, mut input) = tokio::sync::mpsc::channel(16);
    std::thread::spawn(move || {
        std::io::stdin().lines().map(Result::unwrap).try_for_each(|line| sender.blocking_send(line))
    });
    while let Some(line) = input.recv().await {
        let line: Value = serde_json::from_str(&line).unwrap();
        let answer = match line["remove"].as_str() {
            Some(name) => {
                runtime.remove(&plugin(name), false).await;
                Value::Null
            }
            None => answer(&runtime, &plugin(line["plugin"].as_str().unwrap()), &line["request"]).await,
        };
        println!("answer {answer}");
        std::io::stdout().flush().unwrap();
    }
    runtime.stop_all(Instant::now() + Duration::from_secs(1)).await;
}

fn plugin(name: &str) -> UniqueIdentifier {
    if let Some(requirements) = std::env::var_os(REQUIREMENTS) {
        return crate::real::package(name, &requirements.to_string_lossy()).0;
    }
    format!("test/{name}:0.0.1@{}", "0".repeat(64)).parse().unwrap()
}

fn runtime(folder: &Path, level: &str) -> LocalRuntime {
    plugin_sandbox::protect().unwrap();
    let support = Support::probe();
    let level = [Level::None, Level::Limited, Level::Confined].into_iter().find(|one| one.as_str() == level).unwrap();
    let mut settings = LocalSettings::default();
    settings.worker.stop_grace = Duration::from_secs(1);
    settings.worker.memory_hard_limit = Some(400 << 20);
    settings.worker.max_processes = Some(100);
    settings.worker.max_scratch = Some(48 << 20);
    settings.process.inherited = std::env::vars_os().collect();
    settings.process.max_open_files = Some(512);
    settings.process.max_file_bytes = Some(64 << 20);
    settings.process.stage = stage_of_a_worker();
    settings.process.isolation = Isolation {
        level,
        landlock: support.landlock,
        private: vec![folder.to_owned()],
        scratch: Some(Arc::new(Scratch::open(&folder.join("cwd")).unwrap())),
        write: vec!["/tmp".into()],
        ..Isolation::default()
    };
    let launcher = SpawnLauncher::new(settings.process.clone()).unwrap();
    let preparer: Arc<dyn Preparer> = if std::env::var_os(REQUIREMENTS).is_some() {
        Arc::new(crate::real::preparer(folder, &settings.process))
    } else {
        Arc::new(InPlace { folder: folder.to_owned() })
    };
    LocalRuntime::new(settings, preparer, Arc::new(launcher))
}

async fn answer(runtime: &LocalRuntime, plugin: &UniqueIdentifier, request: &Value) -> Value {
    let call = call(plugin.clone(), request, Duration::from_mins(8));
    let mut session = match runtime.open(call).await {
        Ok(session) => session,
        Err(error) => return json!({"failed": error.to_string()}),
    };
    let mut answer = Value::Null;
    while let Some(event) = session.recv().await {
        match event {
            Event::Chunk(chunk) => answer = serde_json::from_slice(&chunk).unwrap(),
            Event::End => {}
            other => return json!({"failed": format!("{other:?}")}),
        }
    }
    answer
}

/// Plugins that need no preparation.
struct InPlace {
    folder: PathBuf,
}

#[async_trait]
impl Preparer for InPlace {
    async fn prepare(
        &self,
        plugin: &UniqueIdentifier,
        _: &dyn Progress,
        _: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        let working_dir = working_dir(&self.folder, plugin.name());
        Ok(Prepared { working_dir, python: python(), entrypoint: "plugin".into(), environment: None })
    }
}

/// An interpreter that every user can run.
pub(crate) fn python() -> PathBuf {
    let known = ["/usr/bin/python3", "/usr/local/bin/python3"].into_iter().map(PathBuf::from);
    known.into_iter().find(|path| path.exists()).expect("Python is needed")
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let until = std::time::Instant::now() + limit;
    while !holds() {
        assert!(std::time::Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything below a folder, with its content, to see whether something has changed.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(snapshot(&entry.path()));
        } else {
            files.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// A confined daemon for each user, or nothing where the kernel has no Landlock.
pub(crate) fn each_user(test: impl Fn(Daemon)) {
    let support = Support::probe();
    if support.level < Level::Confined {
        eprintln!("not tested: {:?}", support.gaps);
        return;
    }
    for user in users() {
        test(Daemon::start(user, Level::Confined));
    }
}

/// The attacker's answer with the victim running.
pub(crate) fn attack(daemon: &mut Daemon, name: &str, mut more: Value) -> Value {
    let victim = daemon.call("victim", "who", json!({}))[0].clone();
    more["sibling"] = victim;
    more["daemon"] = daemon.pid().into();
    daemon.call("attacker", name, more)
}
