//! Settings of single plugins: the file at the start, and while the daemon runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plugin_sandbox::{Level, Support};
use plugin_testkit::{Client, Daemon, plugins};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::faults::misbehaving;
use crate::log::lines;
use crate::{daemon, tenant};

const ADMIN_KEY: &str = "the-operators-key";

/// Reports what its process may do and knows; `FOLDER` is one that it needs leave to write.
const REPORTS: &str = "\
import resource
def can_write():
    try:
        open('FOLDER/file', 'w').close()
        return True
    except OSError:
        return False
report = {'files': resource.getrlimit(resource.RLIMIT_NOFILE)[0], 'variable': os.environ.get('OF_ITS_OWN'),
          'secret': os.environ.get('SERVER_KEY'), 'writes': can_write(), 'pid': os.getpid()}
chunk = {'type': 'text', 'message': {'text': json.dumps(report)}, 'meta': None}
say('session', request['session_id'], {'type': 'stream', 'data': chunk})
say('session', request['session_id'], {'type': 'end', 'data': {}})
";

struct Case {
    running: Daemon,
    client: Client,
    file: PathBuf,
    _folder: tempfile::TempDir,
    /// What the plugin needs leave to write.
    writable: PathBuf,
}

impl Case {
    async fn new(text: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (file, writable) = (folder.path().join("plugins.toml"), folder.path().join("results"));
        std::fs::create_dir(&writable)?;
        std::fs::write(&file, text.replace("FOLDER", &writable.display().to_string()))?;
        let running = daemon()?
            .with("LOG_OUTPUT_FORMAT", "json")
            .with("PLUGIN_SETTINGS_FILE", &file.display().to_string())
            .with("PLUGIN_ISOLATION_WRITE", "/nonexistent")
            .with("PLUGIN_WORKER_MAX_OPEN_FILES", "500")
            .with("ADMIN_API_ENABLED", "true")
            .with("ADMIN_API_KEY", ADMIN_KEY)
            .start()
            .await?;
        let client = running.client(&tenant())?;
        let code = REPORTS.replace("FOLDER", &writable.display().to_string());
        client.install_package(&misbehaving(&code.replace('\n', "\n    "))?).await?;
        Ok(Self { running, client, file, _folder: folder, writable })
    }

    fn write(&self, text: &str) -> Result<()> {
        Ok(std::fs::write(&self.file, text.replace("FOLDER", &self.writable.display().to_string()))?)
    }

    /// What the plugin's process reports of itself.
    async fn report(&self) -> Result<Value> {
        let events = self.client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
        Ok(serde_json::from_str(events[0]["message"]["text"].as_str().context("no text")?)?)
    }

    /// Calls until the process reports this.
    async fn until_reported(&self, name: &str, value: Value) -> Result<Value> {
        let report = async {
            loop {
                let report = self.report().await?;
                if report[name] == value {
                    return anyhow::Ok(report);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(2), report).await.with_context(|| format!("{name}: {}", self.running.log()))?
    }

    /// The settings of the plugin as operators see them.
    async fn settings(&self) -> Result<Value> {
        let request = reqwest::Client::new().get(format!("{}/admin/plugins", self.running.url()));
        let plugins: Value = request.header("X-Admin-Api-Key", ADMIN_KEY).send().await?.json().await?;
        Ok(plugins["data"][0]["settings"].clone())
    }

    /// Waits until `/ready` says this of the file.
    async fn until_ready_says(&self, expected: &str) -> Result<String> {
        let said = async {
            loop {
                let answer = reqwest::get(format!("{}/ready", self.running.url())).await?;
                ensure!(answer.status() == 200, "{answer:?}");
                let report: Value = answer.json().await?;
                let said = report["components"]["plugin settings"].as_str().unwrap_or_default();
                if said.contains(expected) {
                    return Ok(said.to_owned());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(2), said).await.with_context(|| format!("{expected}: {}", self.running.log()))?
    }

    async fn hang_up(&self) -> Result<()> {
        let pid = self.running.pid().context("it is gone")?.to_string();
        ensure!(Command::new("kill").args(["-HUP", &pid]).status().await?.success());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_has_settings_of_its_own_and_a_change_replaces_its_process() -> Result<()> {
    let case = Case::new(
        "[plugins.\"testkit/light\"]\nmax_open_files = 300\nisolation_write = [\"FOLDER\"]\nvariables = {OF_ITS_OWN = \"1\"}\n",
    )
    .await?;
    let report = case.report().await?;
    ensure!(report["files"] == 300 && report["variable"] == "1" && report["writes"] == true, "{report}");
    ensure!(report["secret"].is_null(), "{report}");
    let settings = case.settings().await?;
    let file = case.file.display().to_string();
    let own = json!({"value": 300, "source": format!("{file}:2 [plugins.\"testkit/light\"]")});
    ensure!(settings["max_open_files"] == own, "{settings}");
    ensure!(settings["variables.OF_ITS_OWN"]["value"] == "(hidden)", "{settings}");
    ensure!(settings["workers_max"] == json!({"value": 1, "source": "default"}), "{settings}");

    // by a change of the file
    case.write("[plugins.\"testkit/*\"]\nmax_open_files = 200\n")?;
    let changed = case.until_reported("files", json!(200)).await?;
    ensure!(changed["variable"].is_null() && changed["pid"] != report["pid"], "{changed}");
    let is_confined = Support::probe().level == Level::Confined;
    ensure!(changed["writes"] == !is_confined, "{changed}");
    let told = lines(&case.running, "the settings of a plugin have changed", 1).await?;
    ensure!(told.len() == 1 && told[0]["attributes"]["replaced"] == 1, "{told:?}");
    let changes = told[0]["attributes"]["changes"].as_str().unwrap_or_default();
    ensure!(changes.contains("max_open_files 300 -> 200"), "{changes}");
    ensure!(changes.ends_with("variables.OF_ITS_OWN \"(hidden)\" -> (none)"), "{changes}");

    // what is wrong changes nothing
    case.write("[plugins.\"testkit/*\"]\nmax_open_files = 250\nmax_processes = \"many\"\n")?;
    case.hang_up().await?;
    let said = case.until_ready_says("failing: ").await?;
    ensure!(
        said.contains(&format!("{file} as it is now is not in force: line 3, [plugins.\"testkit/*\"]: max_processes")),
        "{said}"
    );
    let message = "the settings of plugins on disk are not in force, those read before stay";
    let errors = lines(&case.running, message, 1).await?;
    ensure!(
        errors.len() == 1 && errors[0]["attributes"]["fault"].as_str().is_some_and(|it| it.starts_with("line 3, ")),
        "{errors:?}"
    );
    ensure!(case.report().await?["files"] == 200);

    // a signal is enough, without a change it says so
    case.write("")?;
    case.hang_up().await?;
    case.until_reported("files", json!(500)).await?;
    case.until_ready_says("ok: 0 tables of ").await?;
    case.running.terminate().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_plugin_is_let_out_of_isolation_and_others_stay_in() -> Result<()> {
    let case = Case::new("[plugins.\"testkit/light\"]\nisolation = \"off\"\n").await?;
    let report = case.report().await?;
    ensure!(report["writes"] == true, "{report}");
    let confinement = |pid: &Value| std::fs::read_to_string(format!("/proc/{pid}/status"));
    ensure!(confinement(&report["pid"])?.contains("Seccomp:\t0"), "{report}");
    let level = Support::probe().level;
    case.write("[plugins.\"testkit/other\"]\nisolation = \"off\"\n")?;
    case.hang_up().await?;
    let old = report["pid"].clone();
    let new = timeout(Duration::from_mins(2), async {
        loop {
            let report = case.report().await?;
            if report["pid"] != old {
                return anyhow::Ok(report["pid"].clone());
            }
        }
    });
    let new = new.await??;
    let is_confined = confinement(&new)?.contains("Seccomp:\t2");
    ensure!(is_confined == (level == Level::Confined), "it is kept apart again, as far as {level}");
    case.running.terminate().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_the_time_limit_of_its_plugin() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("plugins.toml");
    std::fs::write(&file, "[plugins.\"testkit/light\"]\ncall_idle_timeout_seconds = 1\n")?;
    let running = daemon()?.with("PLUGIN_SETTINGS_FILE", &file.display().to_string()).start().await?;
    let client = running.client(&tenant())?;
    client.install_package(&plugins::light("late", &[])?).await?;
    let call = client.invoke_tool("testkit/light", "light", "answer", json!({"seconds": 600})).await?;
    let failed = timeout(Duration::from_mins(2), call.collect()).await?.unwrap_err().to_string();
    ensure!(failed.contains("sent nothing for 1 s"), "{failed}");
    running.terminate().await?;
    Ok(())
}

/// What a command of the daemon prints, with this file.
fn print(arguments: &[&str], file: &Path) -> Result<(bool, String)> {
    let folder = tempfile::tempdir()?;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dify-plugin-daemon"));
    command.args(arguments).env("PLUGIN_DATA_PATH", folder.path()).env("PLUGIN_SETTINGS_FILE", file);
    let output = command.output()?;
    Ok((output.status.success(), String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?))
}

#[test]
fn a_wrong_file_stops_the_start_and_a_dump_shows_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("plugins.toml");
    std::fs::write(&file, "[plugins.\"acme/search\"]\nworker_max = 2\nisolation = \"L1\"\n")?;
    let (started, printed) = print(&[], &file)?;
    ensure!(!started, "{printed}");
    let expected = format!(
        "PLUGIN_SETTINGS_FILE: {} cannot be used\n  \
         line 2, [plugins.\"acme/search\"]: worker_max: there is no such setting; did you mean workers_max?\n  \
         line 3, [plugins.\"acme/search\"]: isolation: \"L1\" is not one of auto, off, required, required:L0, required:L1",
        file.display()
    );
    ensure!(printed.contains(&expected), "{printed}");
    let (dumped, printed) = print(&["config", "dump"], &file)?;
    ensure!(dumped && printed.contains("# PLUGIN_SETTINGS_FILE: ") && printed.contains("#   line 3, "), "{printed}");

    std::fs::write(&file, "[plugins.\"acme/search\"]\nworkers_max = 2\nvariables = {A = \"s3cr3t\"}\n")?;
    let (_, printed) = print(&["config", "dump"], &file)?;
    ensure!(printed.contains("\n#   workers_max = 2  # line 2, instead of PLUGIN_WORKERS_MAX\n"), "{printed}");
    ensure!(!printed.contains("s3cr3t"), "{printed}");
    Ok(())
}
