//! The place of the zygote of one SDK: made when it is needed, made again when it has died, refused when it cannot be.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::Shared;
use super::contents::Contents;
use super::process::{NoZygote, Zygote};

/// After the first failure; doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Also how long an environment that is unsuited is not looked at again.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// One that has lived this long has not failed.
const LIVED: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) environment: PathBuf,
    state: Mutex<State>,
}

/// Held during a fork: a zygote does one thing at a time.
#[derive(Debug)]
pub(super) struct State {
    pub(super) environment: PathBuf,
    zygote: Option<Zygote>,
    /// Environments in which the same was found as the zygote has imported, and what they held then.
    same: HashMap<PathBuf, Contents>,
    /// Why there is none for now.
    refusal: Option<(String, Instant)>,
    failures: u32,
    started: Instant,
    used: Instant,
    /// It was made since this was last looked at.
    pub(super) is_new: bool,
}

impl Slot {
    pub(super) fn new(environment: &Path) -> Self {
        let now = Instant::now();
        Self {
            environment: environment.to_owned(),
            state: Mutex::new(State {
                environment: environment.to_owned(),
                zygote: None,
                same: HashMap::new(),
                refusal: None,
                failures: 0,
                started: now,
                used: now,
                is_new: false,
            }),
        }
    }

    pub(super) async fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().await
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }
}

impl State {
    /// The zygote as it is.
    pub(super) fn zygote(&self) -> Option<&Zygote> {
        self.zygote.as_ref()
    }

    /// The process, as long as it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.zygote.as_ref().filter(|zygote| !zygote.gone.is_cancelled()).map(|zygote| zygote.pid)
    }

    /// Whether there was a zygote that has ended by itself.
    pub(super) fn is_dead(&self) -> bool {
        self.zygote.as_ref().is_some_and(|zygote| zygote.gone.is_cancelled())
    }

    /// A zygote that holds what the environment holds now, or why there is none.
    pub(super) async fn ready(&mut self, shared: &Shared, programs: &Path) -> Result<&Zygote, String> {
        self.used = Instant::now();
        if self.is_dead() {
            self.discard("the process that forks workers has ended");
        }
        if let Some(zygote) = &self.zygote
            && !zygote.is_current(&self.environment).await
        {
            self.end("its environment has changed");
        }
        if self.zygote.is_none() {
            if let Some((reason, until)) = &self.refusal
                && *until > Instant::now()
            {
                return Err(reason.clone());
            }
            let made = Zygote::start(
                &shared.spawner,
                &shared.settings,
                &self.environment,
                programs.to_owned(),
                &shared.variables,
            )
            .await;
            match made {
                Ok(zygote) => {
                    tracing::info!(pid = zygote.pid, environment = %self.environment.display(), "an interpreter is kept warm");
                    (self.started, self.used) = (Instant::now(), Instant::now());
                    self.refusal = None;
                    self.zygote = Some(zygote);
                    self.is_new = true;
                }
                Err(NoZygote::Unsuited(reason)) => {
                    self.refusal = Some((reason.clone(), Instant::now() + LONGEST_PAUSE));
                    return Err(reason);
                }
                Err(NoZygote::Failed(reason)) => {
                    self.failed(&reason);
                    return Err(reason);
                }
            }
        }
        self.zygote.as_ref().ok_or_else(|| "there is none".into())
    }

    /// Whether there is a zygote, and a new interpreter would have imported the same from this environment.
    pub(super) async fn is_same(&mut self, environment: &Path) -> bool {
        self.pid().is_some() && self.difference(environment).await.is_none()
    }

    /// What in an environment differs from what the zygote has imported; `None`: a new interpreter would have imported the
    /// same from there.
    pub(super) async fn difference(&mut self, environment: &Path) -> Option<String> {
        if environment == self.environment {
            return None;
        }
        let zygote = self.zygote.as_ref()?;
        let (names, own, known) = (zygote.names.clone(), zygote.contents.clone(), self.same.get(environment).cloned());
        let (there, base) = (environment.to_owned(), self.environment.clone());
        let compare = move || {
            let now = Contents::read(&there, Some(&names))?;
            if known.as_ref() == Some(&now) {
                return Ok(Ok(now));
            }
            Ok(match own.difference(&base, &now, &there, &names)? {
                None => Ok(now),
                Some(difference) => Err(difference),
            })
        };
        match tokio::task::spawn_blocking(compare).await.map_err(io::Error::other).flatten() {
            Ok(Ok(now)) => {
                self.same.insert(environment.to_owned(), now);
                None
            }
            Ok(Err(difference)) => Some(difference),
            Err(error) => Some(format!("its environment cannot be read: {error}")),
        }
    }

    /// Ends a zygote that is at fault.
    pub(super) fn discard(&mut self, reason: &str) {
        self.end(reason);
        if self.started.elapsed() > LIVED {
            self.failures = 0;
        } else {
            self.failed(reason);
        }
    }

    /// Ends the zygote; its workers go on.
    pub(super) fn end(&mut self, reason: &str) {
        self.same.clear();
        if let Some(zygote) = self.zygote.take() {
            tracing::info!(pid = zygote.pid, reason, "an interpreter is not kept warm any more");
        }
    }

    /// How long it has not forked; `None` if there is none.
    pub(super) fn rested(&self) -> Option<Duration> {
        self.zygote.as_ref().map(|_| self.used.elapsed())
    }

    fn failed(&mut self, reason: &str) {
        // the first death is an accident
        if self.failures > 0 {
            let pause = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(16)).min(LONGEST_PAUSE);
            self.refusal = Some((reason.to_owned(), Instant::now() + pause));
        }
        self.failures = self.failures.saturating_add(1);
    }
}
