//! Preparation with a uv and a Python that are shell scripts, so that they can be made to fail in every way.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_package::{Limits, Package};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::testing::plugin;
use super::*;

mod crash;
mod failing;
mod index;
mod real;
mod sharing;

/// A working path with a uv that does what a script says.
pub(super) struct Bench {
    dir: tempfile::TempDir,
    settings: EnvironmentSettings,
}

/// What a successful install leaves.
const INSTALL: &str = r#"
info="$VIRTUAL_ENV/lib/python3.12/site-packages/six-1.0.dist-info"
mkdir -p "$info"; echo "six.py,sha256=x,1" > "$info/RECORD"
"#;

impl Bench {
    /// `install` is run for everything but `uv venv`, in the working directory, with `$D` for the bench's folder.
    pub(super) fn new(install: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let d = dir.path().display();
        let python = script(
            "python",
            format!(
                "#!/bin/sh\ncase \"$*\" in *version_info*) echo 3.12.1;; *compileall*) echo \"$*\" >> {d}/compiled;; esac\n"
            ),
        );
        let uv = script(
            "uv",
            format!(
                "#!/bin/sh\nD={d}\necho \"$*\" >> $D/calls\ncase \"$1\" in\nvenv) mkdir -p \"$2/bin\" \
                 \"$2/lib/python3.12/site-packages\" && echo 'relocatable = true' > \"$2/pyvenv.cfg\" && \
                 ln -s $D/python \"$2/bin/python\";;\n*) {install}\n;;\nesac\n"
            ),
        );
        let mut settings = EnvironmentSettings::new(dir.path().join("cwd"));
        settings.uv = Some(uv);
        settings.python_interpreter = python;
        settings.inherited = [("PATH".into(), std::env::var_os("PATH").unwrap_or_default())].into();
        Self { dir, settings }
    }

    pub(super) fn environments(&self) -> Environments {
        Environments::new(self.settings.clone())
    }

    /// The calls of uv so far, with paths of the bench shortened.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        let venv = |line: &str| if line.starts_with("venv ") { "venv".to_owned() } else { line.to_owned() };
        calls.lines().map(venv).collect()
    }

    pub(super) fn working_path(&self) -> &Path {
        &self.settings.working_path
    }

    /// Nothing but finished things is there.
    #[track_caller]
    pub(super) fn assert_clean(&self) {
        for _ in 0..100 {
            let left = std::fs::read_dir(self.working_path().join(".staging")).map_or(0, Iterator::count);
            if left == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("something is left in the staging area");
    }
}

/// Prepares without listening.
pub(super) async fn prepare(
    environments: &Environments,
    (plugin, package): &(UniqueIdentifier, Bytes),
) -> Result<Prepared, EnvironmentError> {
    let cancel = CancellationToken::new();
    let request = Request { plugin, package, deadline: None, progress: &Silent, cancel: &cancel };
    environments.prepare(request).await
}

const REQUIREMENTS: (&str, &str) = ("requirements.txt", "six\n");
