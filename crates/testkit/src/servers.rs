//! Private servers for tests: each starts from a shell script, and ends with the test process or the run of the tests.

mod shared;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use shared::Shared;

/// How long a server may take to start or to stop.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// Reports that a test cannot run here, with the reason; the test then returns.
///
/// # Panics
/// If the variable `REQUIRE_SERVERS` is `1`, as in CI, where a test that does not run must not pass.
#[expect(clippy::print_stderr, reason = "shown with the test's output")]
pub fn skip(reason: &str) {
    let required = std::env::var_os("REQUIRE_SERVERS").is_some_and(|value| value == "1");
    assert!(!required, "{reason}, and REQUIRE_SERVERS=1 forbids to skip the test");
    eprintln!("skipped: {reason}");
}

/// A server; it stops when the input of its script closes, at the latest with the process.
#[derive(Debug)]
pub struct Running {
    script: Child,
    folder: PathBuf,
}

impl Running {
    /// Runs a shell script, `$1` (also `$folder`) being a new folder and the rest `arguments`. It should start the server,
    /// wait for its input to end (`cat >/dev/null`), and stop the server; the folder is removed then.
    pub fn start(script: &str, arguments: &[String]) -> Result<Self> {
        let folder = new_folder()?;
        let script = silent(Command::new("sh").args(shell_arguments(script, &folder, arguments)))
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run sh")?;
        Ok(Self { script, folder })
    }

    /// Where the server has its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the script's input and waits for it.
    pub fn stop(mut self) -> Result<()> {
        drop(self.script.stdin.take());
        self.script.wait()?;
        Ok(())
    }

    /// Writes a line to the script's input.
    pub fn send(&mut self, line: &str) -> Result<()> {
        let input = self.script.stdin.as_mut().context("the script's input is closed")?;
        input.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
    }
}

fn new_folder() -> Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix("test-server-").tempdir()?.keep())
}

/// The arguments of a shell that runs the script and then removes its folder.
fn shell_arguments(script: &str, folder: &Path, arguments: &[String]) -> Vec<OsString> {
    let script = format!("folder=$1; {script}\nrm -rf \"$folder\"");
    let mut all: Vec<OsString> = vec!["-c".into(), script.into(), "server".into(), folder.into()];
    all.extend(arguments.iter().map(OsString::from));
    all
}

fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// A server on a port of its own, which can be stopped and started again.
#[derive(Debug)]
pub struct Server {
    running: Running,
    port: u16,
}

impl Server {
    /// A PostgreSQL with trust authentication; its user is `postgres`. Its files outlast a stop. `None` where
    /// none is installed.
    pub fn postgres() -> Result<Option<Self>> {
        const SCRIPT: &str = r#"
            port=$2 bin=$3 as=
            if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; as="runuser -u postgres --"; fi
            control() { $as "$bin/pg_ctl" -D "$folder/data" "$@"; }
            start() { control -l "$folder/log" -w -o "-p $port -h 127.0.0.1 -k '$folder' -F -c max_connections=300" start; }
            $as "$bin/initdb" -D "$folder/data" -U postgres -A trust --no-sync --locale C.UTF-8
            start
            while read -r line; do case $line in start) start;; stop) control -m immediate stop;; esac; done
            control -m immediate stop"#;
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let newest = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
        let Some(bin) = newest else { return Ok(None) };
        Self::run(SCRIPT, &[bin.display().to_string()]).map(Some)
    }

    /// A MariaDB whose user `daemon` has the password `any`. Its files outlast a stop. `None` where none is installed.
    pub fn mariadb() -> Result<Option<Self>> {
        const SCRIPT: &str = r#"
            port=$2 user=$(id -un)
            start() {
                mariadbd --no-defaults --datadir="$folder/data" --user="$user" --port="$port" --bind-address=127.0.0.1 \
                    --socket="$folder/socket" --innodb-flush-method=nosync --max-connections=300 \
                    --init-file="$folder/init.sql" >>"$folder/log" 2>&1 &
                pid=$!
            }
            mariadb-install-db --no-defaults --datadir="$folder/data" --user="$user" \
                --auth-root-authentication-method=normal --skip-test-db
            printf '%s\n' "CREATE USER IF NOT EXISTS daemon@'%' IDENTIFIED BY 'any';" \
                "GRANT ALL ON *.* TO daemon@'%';" >"$folder/init.sql"
            start
            while read -r line; do case $line in start) start;; stop) kill -KILL $pid; wait $pid;; esac; done
            kill -KILL $pid"#;
        if !is_installed("mariadbd") {
            return Ok(None);
        }
        Self::run(SCRIPT, &[]).map(Some)
    }

    /// A Redis without a password and without persistence. `None` where none is installed.
    pub fn redis() -> Result<Option<Self>> {
        const SCRIPT: &str = r#"
            start() { redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' & pid=$!; }
            port=$2
            start
            while read -r line; do case $line in start) start;; stop) kill -KILL $pid; wait $pid;; esac; done
            kill -KILL $pid"#;
        if !is_installed("redis-server") {
            return Ok(None);
        }
        Self::run(SCRIPT, &[]).map(Some)
    }

    /// A server of the S3 protocol that accepts any key and keeps its objects in memory: moto's. `None` where none is
    /// installed.
    pub fn s3() -> Result<Option<Self>> {
        const SCRIPT: &str = r#"
            start() { moto_server -H 127.0.0.1 -p "$port" & pid=$!; }
            port=$2
            start
            while read -r line; do case $line in start) start;; stop) kill -KILL $pid; wait $pid;; esac; done
            kill -KILL $pid"#;
        if !is_installed("moto_server") {
            return Ok(None);
        }
        Self::run(SCRIPT, &[]).map(Some)
    }

    fn run(script: &str, more: &[String]) -> Result<Self> {
        let port = free_port()?;
        let arguments: Vec<_> = std::iter::once(port.to_string()).chain(more.iter().cloned()).collect();
        let server = Self { running: Running::start(script, &arguments)?, port };
        server.wait(true)?;
        Ok(server)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as a crash does (blocking).
    pub fn stop(&mut self) -> Result<()> {
        self.running.send("stop")?;
        self.wait(false)
    }

    /// Starts it again on the same port (blocking).
    pub fn start(&mut self) -> Result<()> {
        self.running.send("start")?;
        self.wait(true)
    }

    fn wait(&self, up: bool) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() != up {
            if begun.elapsed() > TIME_LIMIT {
                bail!("the server on port {} did not {}", self.port, if up { "start" } else { "stop" });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).exists())
}
