//! One thread that writes log lines, so that a slow terminal or disk never stalls a request.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::LogError;

/// Lines that may wait; further ones are counted and dropped.
const QUEUE: usize = 8192;

/// Lines are collected up to about this many bytes before they are written.
const BATCH: usize = 64 * 1024;

/// How long lines are collected after a write: while many come, none has to wake the thread. As much is lost at `kill -9`.
const PAUSE: Duration = Duration::from_millis(10);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
    Reopen,
}

/// Handle on the thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread, which writes to standard output and to `file`.
    pub(super) fn start(file: Option<&Path>) -> Result<Self, LogError> {
        let file = file.map(|path| match open(path) {
            Ok(file) => Ok((path.to_owned(), file)),
            Err(source) => Err(LogError::File { path: path.to_owned(), source }),
        });
        let file = file.transpose()?.map(|(path, file)| LogFile { path, file, lost: 0 });
        Self::over(Outputs { standard: Box::new(io::stdout()), file }).map_err(LogError::Thread)
    }

    fn over(outputs: Outputs) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || outputs.write(&messages, &counter))?;
        Ok(Self { queue, dropped })
    }

    /// Queues a line, which ends with a line feed.
    pub(super) fn write(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Message::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until every line queued so far is written.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            // an error means that the thread has ended, and with it the queue
            let _ = written.recv();
        }
    }

    /// Opens the file anew; a queue that is full loses the wish.
    pub(super) fn reopen(&self) {
        if self.queue.try_send(Message::Reopen).is_err() {
            tracing::warn!("too much is to be written for opening LOG_FILE anew");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

struct Outputs {
    standard: Box<dyn Write + Send>,
    file: Option<LogFile>,
}

/// `LOG_FILE`.
struct LogFile {
    path: PathBuf,
    file: File,
    /// Lines that could not be written, most often for a full disk. Reported once writing works again.
    lost: usize,
}

impl LogFile {
    fn write(&mut self, batch: &[u8]) {
        let written = self.report_lost().and_then(|()| self.file.write_all(batch));
        if written.is_err() {
            self.lost += memchr::memchr_iter(b'\n', batch).count();
        }
    }

    fn report_lost(&mut self) -> io::Result<()> {
        if self.lost > 0 {
            // on a line of its own, for what was written last may have been cut
            let note = format!("\n({} log lines lost, they could not be written)\n", self.lost);
            self.file.write_all(note.as_bytes())?;
            self.lost = 0;
        }
        Ok(())
    }
}

impl Outputs {
    fn write(mut self, messages: &Receiver<Message>, dropped: &AtomicU64) {
        let mut batch = Vec::new();
        while let Ok(message) = messages.recv() {
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => batch.extend_from_slice(&line),
                    Message::Flush(done) => {
                        self.put(&mut batch);
                        let _ = done.send(()); // the caller may have stopped waiting
                    }
                    Message::Reopen => {
                        self.put(&mut batch);
                        self.reopen();
                    }
                }
                next = if batch.len() < BATCH { messages.try_recv().ok() } else { None };
            }
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let note = format!("({lost} log lines lost, they came faster than they can be written)\n");
                batch.extend_from_slice(note.as_bytes());
            }
            let is_full = batch.len() >= BATCH;
            self.put(&mut batch);
            if !is_full {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Writes to every output.
    fn put(&mut self, batch: &mut Vec<u8>) {
        // standard output cannot report its own failure; the next batch is tried again
        let _ = self.standard.write_all(batch).and_then(|()| self.standard.flush());
        if let Some(file) = &mut self.file {
            file.write(batch);
        }
        batch.clear();
    }

    fn reopen(&mut self) {
        let Some(LogFile { path, file, .. }) = &mut self.file else { return };
        match open(path) {
            Ok(new) => *file = new,
            Err(error) => tracing::error!(%error, file = %path.display(), "LOG_FILE cannot be opened anew"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_reach_the_file_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/daemon.log");
        let file = Some(LogFile { file: open(&path).unwrap(), path: path.clone(), lost: 0 });
        let writer = Writer::over(Outputs { standard: Box::new(io::sink()), file }).unwrap();
        for number in 0..1000 {
            writer.write(format!("{number}\n").into_bytes());
        }
        writer.flush();
        let expected: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected.join("\n") + "\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("daemon.log"), folder.path().join("daemon.log.1"));
        let file = Some(LogFile { file: open(&path).unwrap(), path: path.clone(), lost: 0 });
        let writer = Writer::over(Outputs { standard: Box::new(io::sink()), file }).unwrap();
        writer.write(b"before\n".to_vec());
        writer.flush();
        std::fs::rename(&path, &moved).unwrap();
        writer.reopen();
        writer.write(b"after\n".to_vec());
        writer.flush();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!((read(&moved).as_str(), read(&path).as_str()), ("before\n", "after\n"));
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.log");
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut log = LogFile { path: path.clone(), file: full, lost: 0 };
        log.write(b"1\n2\n");
        log.write(b"3\n");
        log.file = open(&path).unwrap();
        log.write(b"4\n");
        log.write(b"5\n");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\n(3 log lines lost, they could not be written)\n4\n5\n");
    }

    /// Blocks until it is released.
    struct Stuck(Receiver<()>, Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_output_costs_lines_not_time() {
        let (go, wait) = sync_channel(0);
        let written = Arc::default();
        let writer =
            Writer::over(Outputs { standard: Box::new(Stuck(wait, Arc::clone(&written))), file: None }).unwrap();
        for _ in 0..3 * QUEUE {
            writer.write(format!("{:100}\n", "x").into_bytes());
        }
        drop(go);
        writer.flush();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.contains("log lines lost"), "{}", text.len());
    }
}
