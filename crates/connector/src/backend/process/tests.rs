//! Plugins as processes, without the SDK.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use bytes::Bytes;
use plugin_package::Limits;
use plugin_runtime::local::environment::{EnvironmentError, Prepared, Progress as Steps, Step};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// A plugin without the SDK that serves HTTP as the SDK does and obeys the test.
const PLUGIN: &str = include_str!("tests/plugin.py");

/// Prepares every plugin in the same folder, with the interpreter of this machine.
struct Ready {
    folder: PathBuf,
    python: PathBuf,
}

#[async_trait]
impl Preparer for Ready {
    async fn prepare(
        &self,
        _: &UniqueIdentifier,
        progress: &dyn Steps,
        _: &CancellationToken,
    ) -> Result<Prepared, EnvironmentError> {
        progress.report(Step::Install, "everything");
        let (working_dir, python) = (self.folder.clone(), self.python.clone());
        Ok(Prepared { working_dir, python, entrypoint: "main".to_owned(), environment: None })
    }
}

/// A connector's back end on a machine with Python.
struct Machine {
    folder: tempfile::TempDir,
    backend: ProcessBackend,
    url: String,
    client: reqwest::Client,
}

fn python() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join("python3")).find(|path| path.is_file());
    found.expect("python3 is on PATH")
}

impl Machine {
    async fn new() -> Self {
        Self::with(8).await
    }

    async fn with(max_processes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("main.py"), PLUGIN).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let backend = open(folder.path(), &url, max_processes);
        let front = backend.front();
        tokio::spawn(async move { axum::serve(listener, front).await.unwrap() });
        Self { folder, backend, url, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn launch(&self, plugin: &Plugin) -> Result<Function, LaunchError> {
        self.backend.launch(plugin, Arc::new(|_, _| {}), &CancellationToken::new()).await
    }

    /// What a function answers, and whether it was an error by its status.
    async fn call(&self, function: &Function, body: Value) -> (u16, String) {
        let sent = self.client.post(format!("{}/invoke?action=a", function.url)).body(body.to_string()).send().await;
        let answer = sent.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn pid(&self, function: &Function) -> u32 {
        let (status, answer) = self.call(function, json!({"do": "tell"})).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["pid"].as_u64().unwrap().try_into().unwrap()
    }

    fn switch(&self, name: &str, on: bool) {
        let path = self.folder.path().join(name);
        if on { std::fs::write(path, "").unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
}

fn open(folder: &Path, url: &str, max_processes: usize) -> ProcessBackend {
    let inherited: BTreeMap<OsString, OsString> =
        std::env::vars_os().chain([("AWS_SECRET_ACCESS_KEY".into(), "secret".into())]).collect();
    let options = ProcessOptions {
        data_path: folder.join("data"),
        public_url: format!("{url}/"),
        daemon_url: "http://daemon:5002".to_owned(),
        key: "the-shared-key".into(),
        environments: EnvironmentSettings::new(folder),
        process: ProcessSettings { inherited, ..ProcessSettings::default() },
        idle: Duration::from_mins(5),
        start_timeout: Duration::from_secs(20),
        stop_grace: Duration::from_secs(1),
        max_processes,
    };
    let ready = Arc::new(Ready { folder: folder.to_owned(), python: python() });
    ProcessBackend::open_with(options, |_, _| ready).unwrap()
}

/// A package; another name is another plugin.
fn plugin(name: &str) -> Plugin {
    let package: Bytes = plugin_testkit::plugins::light(name, &[]).unwrap();
    let identifier = plugin_package::Package::open(package.clone(), &Limits::default()).unwrap().identifier().unwrap();
    Plugin::read(package, &crate::plugin::filename(&identifier), false, &Limits::default()).unwrap()
}

/// Waits until a process is gone.
async fn gone(pid: u32) {
    for _ in 0..500 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if status.is_empty() || status.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid} is still there");
}

#[tokio::test]
async fn a_function_from_launch_to_deletion() {
    let machine = Machine::new().await;
    let plugin = plugin("a");
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let reported = Arc::clone(&seen);
    let progress: Progress =
        Arc::new(move |stage, message| reported.lock().unwrap().push(format!("{}: {message}", stage.as_str())));
    assert_eq!(machine.backend.find(&plugin.filename).await.unwrap(), None);
    let function = machine.backend.launch(&plugin, progress, &CancellationToken::new()).await.unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        ["build: preparing the plugin", "build: installing dependencies: everything", "run: starting the plugin"]
    );
    assert_eq!(machine.backend.find(&plugin.filename).await.unwrap(), Some(function.clone()));
    assert_eq!(machine.backend.list().await.unwrap(), std::slice::from_ref(&function));
    assert!(function.url.starts_with(&format!("{}/functions/", machine.url)) && !function.url.contains([',', '=']));

    let (status, answer) = machine.call(&function, json!({"do": "tell"})).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["path"], &answer["body"]), (200, &json!("/invoke?action=a"), &json!({"do": "tell"})));
    let variables = &answer["env"];
    assert_eq!(
        (&variables["INSTALL_METHOD"], &variables["SERVERLESS_HOST"]),
        (&json!("serverless"), &json!("127.0.0.1"))
    );
    assert_eq!(
        variables["DIFY_PLUGIN_DAEMON_URL"],
        plugin_runtime::serverless::callback_url("http://daemon:5002", "the-shared-key", plugin.identifier.as_str())
    );
    assert!(variables.get("AWS_SECRET_ACCESS_KEY").is_none());

    let pid = machine.pid(&function).await;
    assert!(machine.backend.delete(&plugin.filename).await.unwrap());
    gone(pid).await;
    let (status, answer) = machine.call(&function, json!({"do": "tell"})).await;
    assert_eq!(status, 404);
    assert!(answer.contains("FunctionNotFound"), "{answer}");
    assert!(!machine.backend.delete(&plugin.filename).await.unwrap());
    assert!(machine.backend.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_idle_process_stops_and_comes_back() {
    let machine = Machine::new().await;
    let function = machine.launch(&plugin("a")).await.unwrap();
    let first = machine.pid(&function).await;
    machine.backend.0.stop_idle(Duration::from_mins(1)).await;
    assert_eq!((machine.backend.running(), machine.pid(&function).await), (1, first));
    let slow = machine.call(&function, json!({"do": "slow", "seconds": 0.5}));
    let ((status, answer), ()) = tokio::join!(slow, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        machine.backend.0.stop_idle(Duration::ZERO).await;
    });
    assert_eq!((status, answer.as_str()), (200, "begin\nend\n"), "a call keeps its process");
    machine.backend.0.stop_idle(Duration::ZERO).await;
    gone(first).await;
    assert_eq!(machine.backend.running(), 0);
    let calls = futures_util::future::join_all((0..5).map(|_| machine.pid(&function))).await;
    assert!(calls.iter().all(|pid| *pid == calls[0] && *pid != first), "{calls:?}");
}

#[tokio::test]
async fn what_does_not_start_is_no_function() {
    let machine = Machine::new().await;
    let plugin = plugin("a");
    machine.switch("broken", true);
    let error = machine.launch(&plugin).await.unwrap_err();
    assert_eq!(error.stage, Stage::Run);
    assert_eq!(error.message, "the plugin ended before it could be called: exit code 3\nno such module");
    assert_eq!(machine.backend.find(&plugin.filename).await.unwrap(), None);
    assert!(machine.backend.0.packages.list().unwrap().is_empty());
    // one that was there stays, and says why it cannot be called
    machine.switch("broken", false);
    let function = machine.launch(&plugin).await.unwrap();
    machine.switch("broken", true);
    let pid = machine.pid(&function).await;
    assert!(machine.launch(&plugin).await.is_err());
    assert_eq!(machine.pid(&function).await, pid, "the function that was there goes on");
    machine.backend.0.stop_idle(Duration::ZERO).await;
    let (status, answer) = machine.call(&function, json!({"do": "tell"})).await;
    assert_eq!(status, 500);
    assert!(answer.contains("PluginStartError") && answer.contains("no such module"), "{answer}");
}

#[tokio::test]
async fn a_second_launch_replaces_the_process() {
    let machine = Machine::new().await;
    let plugin = plugin("a");
    let function = machine.launch(&plugin).await.unwrap();
    let first = machine.pid(&function).await;
    let slow = machine.call(&function, json!({"do": "slow", "seconds": 1.5}));
    let (slow, ()) = tokio::join!(slow, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(machine.launch(&plugin).await.unwrap(), function);
        assert_ne!(machine.pid(&function).await, first);
    });
    assert_eq!(slow, (200, "begin\nend\n".to_owned()), "what ran may end");
    gone(first).await;
}

#[tokio::test]
async fn a_process_that_dies_says_why() {
    let machine = Machine::new().await;
    let function = machine.launch(&plugin("a")).await.unwrap();
    let (status, answer) = machine.call(&function, json!({"do": "die", "after": "begin\n"})).await;
    assert_eq!(status, 200);
    let last: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert!(answer.starts_with("begin\n"));
    assert_eq!(
        last,
        json!({"errorType": "Runtime.ExitError", "errorMessage": "the plugin's process ended: exit code 7\nlast words"})
    );
    let (status, answer) = machine.call(&function, json!({"do": "die", "after": null})).await;
    assert_eq!(status, 500);
    assert!(answer.contains("exit code 7"), "{answer}");
    machine.pid(&function).await;
}

#[tokio::test]
async fn a_connector_that_was_killed_goes_on_where_it_was() {
    let machine = Machine::new().await;
    let plugin = plugin("a");
    let function = machine.launch(&plugin).await.unwrap();
    let again = open(machine.folder.path(), &machine.url, 8);
    assert_eq!(again.find(&plugin.filename).await.unwrap(), Some(function));
    assert_eq!(again.running(), 0);
}

#[tokio::test]
async fn there_are_no_more_processes_than_may_be() {
    let machine = Machine::with(1).await;
    let (a, b) = (plugin("a"), plugin("b"));
    let one = machine.launch(&a).await.unwrap();
    let first = machine.pid(&one).await;
    let two = machine.launch(&b).await.unwrap();
    gone(first).await;
    let full = "1 plugins are at work, which is the limit (CONNECTOR_MAX_PROCESSES)";
    let slow = machine.call(&two, json!({"do": "slow", "seconds": 1}));
    let (_, ()) = tokio::join!(slow, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (status, answer) = machine.call(&one, json!({"do": "tell"})).await;
        assert_eq!(status, 503, "the daemon tries again");
        assert!(answer.contains(full), "{answer}");
        assert_eq!(machine.launch(&plugin("c")).await.unwrap_err().message, full);
    });
    machine.pid(&one).await;
    assert_eq!(machine.backend.running(), 1);
}

#[tokio::test]
async fn a_cancelled_launch_and_a_stop_leave_nothing() {
    let machine = Machine::new().await;
    let plugin = plugin("a");
    let function = machine.launch(&plugin).await.unwrap();
    let running = machine.pid(&function).await;
    machine.switch("hangs", true);
    let cancel = CancellationToken::new();
    let pid_file = machine.folder.path().join("pid");
    let other = self::plugin("b");
    let launch = machine.backend.launch(&other, Arc::new(|_, _| {}), &cancel);
    let (launched, ()) = tokio::join!(launch, async {
        while std::fs::read_to_string(&pid_file).is_ok_and(|pid| pid.is_empty()) || !pid_file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    });
    assert_eq!(launched.unwrap_err().message, "cancelled");
    let hung = std::fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    gone(hung).await;
    machine.backend.stop().await;
    gone(running).await;
    let (status, _) = machine.call(&function, json!({"do": "tell"})).await;
    assert_eq!(status, 500, "nothing is started any more");
}
