//! Runs a tool: in a process group of its own, within limits of time, memory and patience.
//!
//! Whatever way a run ends - limit, cancellation, dropped future - the whole group is gone afterwards, and so is who left
//! the group: all carry a mark (see [`crate::local::orphans`]), by which the next start finds what a crash left running.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::isolation::Trust;
use super::super::orphans::Mark;
use super::activity::Activity;
use super::jail::Jail;
use super::lines::Lines;
use super::log::ToolLog;

/// Lines of output that are kept in memory for the error text.
const TAIL_LINES: usize = 200;
/// How long pipes that a surviving grandchild holds open are read after the tool's own end.
const DRAIN: Duration = Duration::from_millis(300);
/// How often signs of life are looked for.
const TICK: Duration = Duration::from_secs(5);

/// When to give up on a tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a tool may have no output, write nothing and use no processor time.
    pub(crate) idle: Duration,
    /// From the start of the tool.
    pub(crate) total: Duration,
    /// What the caller has left.
    pub(crate) deadline: Option<Instant>,
}

/// What a tool said last, and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: Tail,
}

/// The last lines of a tool's output, standard output and standard error in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    /// The very last line, which may be one of those that only developers read.
    last: String,
}

impl Tail {
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// What the tool was busy with.
    pub(crate) fn last(&self) -> &str {
        &self.last
    }

    pub(super) fn push(&mut self, line: &str) {
        line.clone_into(&mut self.last);
        if is_debug(line) {
            return;
        }
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }
}

/// A tool that did not come to an end of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("failed to start: {0}")]
    Start(io::Error),
    /// The text is the reference's (lifecycle-and-storage 1.4.5).
    #[error("init process exited due to no activity for {} seconds", limit.as_secs())]
    Idle { limit: Duration, output: Tail },
    #[error("still running after {} s", limit.as_secs())]
    TooLong { limit: Duration, output: Tail },
    #[error("cancelled")]
    Cancelled,
    #[error("failed to wait for the process: {0}")]
    Wait(io::Error),
}

/// How the wait for a tool ended.
enum End {
    Exited,
    Cancelled,
    Idle,
    TooLong,
    Lost(io::Error),
}

/// Runs the command to its end. Every line goes to the log and to `on_line`, cut at a sane length.
pub(crate) async fn run(
    command: Command,
    jail: &Jail<'_>,
    limits: Limits,
    cancel: &CancellationToken,
    log: &mut ToolLog,
    on_line: &(dyn Fn(&str) + Sync),
) -> Result<Finished, RunError> {
    log.line(&format!("$ {}", display(&command))).await;
    let started = Instant::now();
    let mut tail = Tail::default();
    let mark = Mark::new(&format!("tool-{}", uuid::Uuid::new_v4().simple()));
    let (mut command, _scratch) = jail.wrap(&command, &mark).map_err(RunError::Start)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(RunError::Start)?;
    let mut group = Group::of(&child, mark);
    let mut activity = Activity::new(group.id);
    let mut out = Stream::new(child.stdout.take());
    let mut err = Stream::new(child.stderr.take());
    let end = limits.deadline.map_or(started + limits.total, |deadline| deadline.min(started + limits.total));
    let mut last_sign = started;
    let every = TICK.min(limits.idle / 4).max(Duration::from_millis(50));
    let mut tick = tokio::time::interval(every);
    let mut exited = None;
    let mut drain_until = None;

    let end_of_wait = loop {
        if exited.is_some() && !out.open() && !err.open() {
            break End::Exited;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => break End::Cancelled,
            () = tokio::time::sleep_until(end) => break End::TooLong,
            () = sleep_until(drain_until), if drain_until.is_some() => break End::Exited,
            read = out.read(), if out.open() => {
                last_sign = Instant::now();
                out.take(read, &mut tail, log, on_line).await;
            }
            read = err.read(), if err.open() => {
                last_sign = Instant::now();
                err.take(read, &mut tail, log, on_line).await;
            }
            status = child.wait(), if exited.is_none() => match status {
                Ok(status) => {
                    exited = Some(status);
                    drain_until = Some(Instant::now() + DRAIN);
                }
                Err(error) => break End::Lost(error),
            },
            _ = tick.tick(), if exited.is_none() => {
                if last_sign.elapsed() < every {
                    continue;
                }
                if activity.has_moved() {
                    last_sign = Instant::now();
                } else if last_sign.elapsed() > limits.idle {
                    break End::Idle;
                }
            }
        }
    };
    let left_behind = out.open() || err.open();
    out.finish(&mut tail, log, on_line).await;
    err.finish(&mut tail, log, on_line).await;
    // a tool leaves no process behind that does not share its pipes; a package's code may
    if matches!(end_of_wait, End::Exited) && !left_behind && jail.trust == Trust::Tool {
        group.leave();
    }
    drop(group);
    if exited.is_none() {
        // The group has been killed; this takes the leader's status so that it does not stay a zombie.
        let _killed = child.wait().await;
    }
    let limit = end - started;
    let failure = match end_of_wait {
        End::Exited => {
            log.end(tail.lines()).await;
            return match exited {
                Some(status) => Ok(Finished { status, output: tail }),
                None => Err(RunError::Wait(io::Error::other("no exit status"))),
            };
        }
        End::Cancelled => RunError::Cancelled,
        End::Idle => RunError::Idle { limit: limits.idle, output: tail },
        End::TooLong => RunError::TooLong { limit, output: tail },
        End::Lost(error) => RunError::Wait(error),
    };
    log.line(&format!("[{failure}]")).await;
    log.end(std::iter::empty()).await;
    Err(failure)
}

/// The command as a person would type it, for the log.
fn display(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    redact(&words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")).into_owned()
}

/// Takes user names and passwords out of URLs.
pub(crate) fn redact(text: &str) -> std::borrow::Cow<'_, str> {
    let mut rest = text;
    let mut clean = String::new();
    while let Some((before, after)) = rest.split_once("://") {
        let authority = after.split(['/', ' ', '\'', '"', '`', '?', '#']).next().unwrap_or_default();
        clean.push_str(before);
        clean.push_str("://");
        rest = match authority.rsplit_once('@') {
            Some((secret, _)) => {
                clean.push_str("****");
                after.get(secret.len()..).unwrap_or_default()
            }
            None => after,
        };
    }
    if clean.is_empty() {
        return text.into();
    }
    clean.push_str(rest);
    clean.into()
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// One of the tool's output pipes.
struct Stream<R> {
    pipe: Option<R>,
    buffer: Box<[u8]>,
    lines: Lines,
}

impl<R: AsyncRead + Unpin> Stream<R> {
    fn new(pipe: Option<R>) -> Self {
        Self { pipe, buffer: vec![0; 16 * 1024].into_boxed_slice(), lines: Lines::default() }
    }

    fn open(&self) -> bool {
        self.pipe.is_some()
    }

    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }

    async fn take(
        &mut self,
        read: io::Result<usize>,
        tail: &mut Tail,
        log: &mut ToolLog,
        on_line: &(dyn Fn(&str) + Sync),
    ) {
        match read {
            // A pipe that cannot be read any more has no more output.
            Ok(0) | Err(_) => self.pipe = None,
            Ok(length) => {
                let data = self.buffer.get(..length).unwrap_or_default();
                for line in self.lines.push(data) {
                    accept(&line, tail, log, on_line).await;
                }
            }
        }
    }

    async fn finish(&mut self, tail: &mut Tail, log: &mut ToolLog, on_line: &(dyn Fn(&str) + Sync)) {
        self.pipe = None;
        if let Some(line) = self.lines.rest() {
            accept(&line, tail, log, on_line).await;
        }
    }
}

async fn accept(line: &str, tail: &mut Tail, log: &mut ToolLog, on_line: &(dyn Fn(&str) + Sync)) {
    let line = redact(line);
    log.line(&line).await;
    on_line(&line);
    tail.push(&line);
}

/// Whether a line of output is uv talking to its developers.
pub(crate) fn is_debug(line: &str) -> bool {
    ["DEBUG ", "TRACE ", "INFO "].iter().any(|level| line.starts_with(level))
}

/// The process group of a running tool, and the processes that left it; killed when this is dropped.
struct Group {
    id: Option<Pid>,
    mark: Option<Mark>,
}

impl Group {
    fn of(child: &tokio::process::Child, mark: Mark) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Self { id, mark: Some(mark) }
    }

    /// The tool has ended and left no process behind.
    fn leave(&mut self) {
        (self.id, self.mark) = (None, None);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // Fails only when the group has no process left, which is the aim.
            let _gone = killpg(id, Signal::SIGKILL);
        }
        if let (Some(mark), Ok(_)) = (self.mark.take(), tokio::runtime::Handle::try_current()) {
            drop(mark.sweep());
        }
    }
}

#[cfg(test)]
mod tests;
