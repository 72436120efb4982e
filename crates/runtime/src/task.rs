//! The one place where this crate starts its long-lived tasks and threads.
//!
//! Each has a name ([`Task`]) and an owner who is handed its panic ([`Panicked`]) and decides what follows; nothing that
//! was waiting for the task is left waiting. The panic is logged here, once.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

/// A kind of long-lived task or thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Task {
    /// Decides how many workers a plugin has.
    Supervisor,
    /// Restarts the supervisor after a panic in it.
    Recovery,
    /// Ends a plugin's workers for good.
    Shutdown,
    /// Brings one worker up.
    Start,
    /// Waits for the sessions of a retired worker, then stops it.
    Drain,
    /// Watches one worker process.
    Keeper,
    /// Ends one worker process and reports its end.
    Reaper,
    /// Reads a worker's standard output.
    Output,
    /// Reads a worker's standard error.
    Stderr,
    /// Writes to a worker or to a debugging connection.
    Input,
    /// Waits for the exit of a process (thread).
    ExitWatch,
    /// Forks worker processes (thread).
    Spawner,
    /// Serves a debugging connection before its plugin is registered, and its clean-up.
    Connection,
    /// Serves a debugging connection whose plugin is registered.
    Registered,
    /// Has a worker forked.
    Fork,
    /// Has the environment made that workers are forked from.
    Sdk,
    /// Watches a process that forks workers.
    Zygote,
    /// Reads what a process that forks workers says.
    ZygoteLog,
    /// Ends processes that fork workers where they are not needed, and reaps orphans.
    Upkeep,
    /// Accepts debugging connections.
    Listener,
    /// Calls a serverless function.
    Exchange,
}

impl Task {
    const fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "plugin supervisor",
            Self::Recovery => "plugin supervisor recovery",
            Self::Shutdown => "plugin shutdown",
            Self::Start => "worker start",
            Self::Drain => "worker drain",
            Self::Keeper => "worker keeper",
            Self::Reaper => "worker reaper",
            Self::Output => "standard output reader",
            Self::Stderr => "standard error reader",
            Self::Input => "input writer",
            Self::ExitWatch => "process exit watcher",
            Self::Spawner => "process spawner",
            Self::Fork => "worker fork",
            Self::Sdk => "environment of the SDK",
            Self::Zygote => "zygote keeper",
            Self::ZygoteLog => "zygote output reader",
            Self::Upkeep => "zygote upkeep",
            Self::Connection => "debugging connection",
            Self::Registered => "debugging session",
            Self::Listener => "debugging listener",
            Self::Exchange => "serverless exchange",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A task ended by a panic, or was cut off by the end of the asynchronous runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error in the plugin daemon: {task} panicked: {message}")]
pub(crate) struct Panicked {
    task: Task,
    message: String,
}

impl Panicked {
    fn new(task: Task, of: &dyn fmt::Display, payload: &(dyn Any + Send)) -> Self {
        let message = panic_text(payload).to_owned();
        tracing::error!(%task, of = %of, panic = message, "a task of the plugin runtime panicked");
        Self { task, message }
    }
}

/// What a panic said.
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Runs a future; a panic in it becomes an error. `of` names what it serves, for the log.
pub(crate) fn guard<T>(
    task: Task,
    of: impl fmt::Display,
    future: impl Future<Output = T>,
) -> impl Future<Output = Result<T, Panicked>> {
    #[cfg(test)]
    let future = inject::or_panic(task, of.to_string(), future);
    // boxed, since these are the outermost futures of their tasks, and large
    let future = Box::pin(future);
    async move { AssertUnwindSafe(future).catch_unwind().await.map_err(|payload| Panicked::new(task, &of, &*payload)) }
}

/// The same for what runs on a thread.
pub(crate) fn guard_blocking<T>(task: Task, of: impl fmt::Display, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let work = || {
        #[cfg(test)]
        inject::panic_if_wanted(task, &of.to_string());
        work()
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::new(task, &of, &*payload))
}

/// Starts a task whose end its owner waits for.
pub(crate) fn spawn<T: Send + 'static>(
    task: Task,
    of: impl fmt::Display + Send + Sync + 'static,
    future: impl Future<Output = T> + Send + 'static,
) -> Running<T> {
    Running { task, handle: tokio::spawn(guard(task, of, future)) }
}

/// Starts a task that nobody waits for; `on_panic` settles what it leaves undone.
pub(crate) fn detach(
    task: Task,
    of: impl fmt::Display + Send + Sync + 'static,
    future: impl Future<Output = ()> + Send + 'static,
    on_panic: impl FnOnce(Panicked) + Send + 'static,
) {
    tokio::spawn(async move {
        if let Err(panicked) = guard(task, of, future).await {
            on_panic(panicked);
        }
    });
}

/// Starts a thread with a small stack. Its body guards what can panic, see [`guard_blocking`].
///
/// # Errors
///
/// When the system gives no thread.
pub(crate) fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    const STACK: usize = 256 * 1024;
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body).map(drop)
}

/// A task that was started by [`spawn`]; a future of its result. Dropping it aborts the task.
#[derive(Debug)]
pub(crate) struct Running<T> {
    task: Task,
    handle: JoinHandle<Result<T, Panicked>>,
}

impl<T> Future for Running<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task;
        // panics are caught inside, so that only an abort is left
        let aborted = |error| Panicked { task, message: format!("{error}") };
        Pin::new(&mut self.handle).poll(context).map(|result| result.unwrap_or_else(|error| Err(aborted(error))))
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Panics on demand, so that tests can show what follows one in each kind of task.
#[cfg(test)]
pub(crate) mod inject {
    use std::sync::LazyLock;

    use tokio::sync::watch;

    use super::Task;

    static WANTED: LazyLock<watch::Sender<Vec<(Task, String)>>> = LazyLock::new(watch::Sender::default);

    /// The next task of this kind that serves `of`, running or to come, panics.
    pub(crate) fn panic_in(task: Task, of: &impl ToString) {
        WANTED.send_modify(|wanted| wanted.push((task, of.to_string())));
    }

    /// Whether every panic that was asked for has happened.
    pub(crate) fn is_done(task: Task, of: &impl ToString) -> bool {
        !WANTED.borrow().contains(&(task, of.to_string()))
    }

    pub(super) fn panic_if_wanted(task: Task, of: &str) {
        let taken = WANTED.send_if_modified(|wanted| {
            let at = wanted.iter().position(|(kind, name)| (*kind, &**name) == (task, of));
            at.map(|at| wanted.remove(at)).is_some()
        });
        if taken {
            // without the hook, which would print a backtrace
            std::panic::resume_unwind(Box::new("injected"));
        }
    }

    pub(super) async fn or_panic<T>(task: Task, of: String, future: impl Future<Output = T>) -> T {
        let panic = async {
            let mut wanted = WANTED.subscribe();
            loop {
                panic_if_wanted(task, &of);
                wanted.changed().await.unwrap();
            }
        };
        tokio::select! {
            biased;
            never = panic => never,
            value = future => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_its_cause() {
        let expected = "internal error in the plugin daemon: worker keeper panicked: injected";
        inject::panic_in(Task::Keeper, &"one");
        let other = guard(Task::Keeper, "other", async { 1 }).await;
        assert_eq!(other.unwrap(), 1, "only what is named");
        assert_eq!(guard(Task::Keeper, "one", async { 1 }).await.unwrap_err().to_string(), expected);
        assert_eq!(guard(Task::Keeper, "one", async { 1 }).await.unwrap(), 1, "only once");
        let running = spawn(Task::Keeper, "two", std::future::pending::<()>());
        inject::panic_in(Task::Keeper, &"two");
        assert_eq!(running.await.unwrap_err().to_string(), expected);
        inject::panic_in(Task::Spawner, &"three");
        assert!(guard_blocking(Task::Spawner, "three", || ()).is_err() && inject::is_done(Task::Spawner, &"three"));
    }

    #[tokio::test]
    async fn dropping_aborts() {
        let (held, watched) = tokio::sync::oneshot::channel::<()>();
        let running = spawn(Task::Keeper, "dropped", async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(running);
        watched.await.unwrap_err();
    }
}
