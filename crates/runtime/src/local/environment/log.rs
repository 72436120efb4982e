//! The full output of the tools that worked for one plugin, kept in a file.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

/// Bytes of output that a log keeps; what comes later is counted and left out.
const LIMIT: u64 = 8 * 1024 * 1024;

/// A log file being written. Trouble with it never fails the work that it records.
#[derive(Debug)]
pub(crate) struct ToolLog {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    written: u64,
    left_out: u64,
}

impl ToolLog {
    /// Starts the log anew, or goes on with the one that is there.
    pub(crate) async fn open(path: &Path, anew: bool) -> Self {
        let file = match open(path, anew).await {
            Ok(file) => Some(BufWriter::with_capacity(64 * 1024, file)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot keep the output of tools");
                None
            }
        };
        Self { path: path.to_path_buf(), file, written: 0, left_out: 0 }
    }

    /// Where it is, if it could be made.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.file.is_some().then(|| self.path.clone())
    }

    pub(crate) async fn line(&mut self, line: &str) {
        let length = line.len() as u64 + 1;
        if self.written + length > LIMIT {
            self.left_out += length;
            return;
        }
        self.written += length;
        self.write(line).await;
    }

    /// Adds lines whatever the limit says (they are bounded themselves), after a note on what was left out.
    pub(crate) async fn end<'a>(&mut self, last_lines: impl Iterator<Item = &'a str>) {
        if self.left_out > 0 {
            let note = format!("... {} bytes left out; the last lines were:", self.left_out);
            self.left_out = 0;
            self.write(&note).await;
            for line in last_lines {
                self.write(line).await;
            }
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush().await
        {
            self.give_up(&error);
        }
    }

    async fn write(&mut self, line: &str) {
        let Some(file) = &mut self.file else { return };
        let written = async {
            file.write_all(line.as_bytes()).await?;
            file.write_all(b"\n").await
        };
        if let Err(error) = written.await {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &std::io::Error) {
        tracing::warn!(path = %self.path.display(), %error, "cannot keep the output of tools");
        self.file = None;
    }
}

async fn open(path: &Path, anew: bool) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    File::options().create(true).write(true).append(!anew).truncate(anew).open(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_much_is_left_out_and_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut log = ToolLog::open(&path, true).await;
        let line = "x".repeat(1023);
        for _ in 0..LIMIT / 1024 + 3 {
            log.line(&line).await;
        }
        log.end(["the end"].into_iter()).await;
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("... 3072 bytes left out; the last lines were:\nthe end\n"));
        assert!((text.len() as u64) < LIMIT + 100);
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_made_is_no_failure() {
        let mut log = ToolLog::open(Path::new("/proc/nonexistent/a.log"), true).await;
        log.line("x").await;
        log.end(std::iter::empty()).await;
        assert_eq!(log.path(), None);
    }
}
