//! Private servers for tests: each starts from a shell script, and goes with the test process.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its server fails")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// A server; it stops when the input of its script closes, at the latest with the process.
#[derive(Debug)]
pub(crate) struct Running {
    script: Child,
}

impl Running {
    /// Runs a shell script, `$1` being a new folder and the rest `arguments`. It should start the server, wait for its
    /// input to end (`cat >/dev/null`), and stop the server; the folder is removed then.
    pub(crate) fn start(script: &str, arguments: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("store-server-").tempdir().unwrap().keep();
        let child = Command::new("sh")
            .args(["-c", &format!("folder=$1; {script}\nrm -rf \"$folder\""), "server"])
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { script: child }
    }

    /// Ends the script's input and waits for it.
    #[cfg(feature = "redis")]
    pub(crate) fn stop(mut self) {
        self.script.wait().unwrap();
    }

    /// Gives the script a line to read.
    #[cfg(feature = "redis")]
    pub(crate) fn poke(&mut self) {
        std::io::Write::write_all(self.script.stdin.as_mut().unwrap(), b"\n").unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether a program is installed.
#[cfg(any(feature = "mysql", feature = "redis", feature = "objects"))]
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).exists())
}
