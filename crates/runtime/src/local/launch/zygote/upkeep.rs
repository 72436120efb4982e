//! What becomes of zygotes and orphans while nothing is started.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::adopted::Orphans;
use super::warm::Warm;
use super::{Shared, pressure};
use crate::task::{self, Task};

/// How often idle zygotes, the node's memory and orphans are looked at.
const LOOK: Duration = Duration::from_secs(15);
/// Where memory is short, a zygote ends that has not forked for this time.
const IDLE_UNDER_PRESSURE: Duration = Duration::from_secs(30);

impl Shared {
    /// Ends what is not needed: zygotes of environments that are gone, idle ones and, where memory is short, those that
    /// have not forked lately, the one that has rested longest first.
    async fn tidy(&self) {
        self.waiting.tidy();
        let mut resting = Vec::new();
        for slot in self.slots() {
            // one that is busy right now is in use
            let Some(mut state) = slot.try_lock() else { continue };
            if !slot.environment.exists() {
                state.end("its environment is gone");
                self.slots.lock().remove(&slot.environment);
                self.note(&slot.environment, false).await;
                continue;
            }
            let Some(rested) = state.rested() else { continue };
            if rested >= self.prefork.idle_timeout {
                state.end("it was idle");
                self.note(&slot.environment, false).await;
            } else if let Some(programs) = self.settings.bootstrap.as_ref().filter(|_| state.is_dead()) {
                if let Err(reason) = state.ready(self, programs).await {
                    tracing::warn!(environment = %slot.environment.display(), reason, "plugins are not forked for now");
                }
            } else if rested >= IDLE_UNDER_PRESSURE {
                drop(state);
                resting.push((rested, slot));
            }
        }
        if !resting.is_empty()
            && pressure::memory_is_short()
            && let Some((_, slot)) = resting.into_iter().max_by_key(|(rested, _)| *rested)
        {
            slot.lock().await.end("memory is short");
            self.note(&slot.environment, false).await;
        }
    }

    /// Makes zygotes for the environments that had one when the last daemon ended, one after another.
    pub(super) async fn warm_up(&self) {
        if !self.prefork.by_default {
            // it is not known which of them belong to plugins that may still be forked
            return;
        }
        let Some(programs) = self.settings.bootstrap.clone() else { return };
        let read = programs.clone();
        let last = tokio::task::spawn_blocking(move || Warm::of_last_start(&read)).await.unwrap_or_default();
        for environment in last {
            self.warm(&environment, &programs).await;
        }
    }

    /// Makes a zygote ahead of its first fork.
    pub(super) async fn warm(&self, environment: &Path, programs: &Path) {
        let slot = self.slot(environment);
        match slot.lock().await.ready(self, programs).await {
            Ok(_) => self.note(environment, true).await,
            Err(reason) => {
                tracing::info!(environment = %environment.display(), reason, "no interpreter is kept warm");
            }
        }
    }

    /// Remembers for the next start whether an environment has a zygote.
    pub(super) async fn note(&self, environment: &Path, has: bool) {
        let Some(programs) = self.settings.bootstrap.clone() else { return };
        let (warm, environment) = (Arc::clone(&self.warm), environment.to_owned());
        let noted = tokio::task::spawn_blocking(move || warm.note(&programs, &environment, has)).await;
        if let Err(error) = noted.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "cannot remember which interpreters are kept warm");
        }
    }
}

/// Looks after zygotes and orphans as long as the launcher lives.
pub(super) fn keep_up(shared: Weak<Shared>) {
    let again = shared.clone();
    task::detach(Task::Upkeep, "this node", look_after(shared), move |_| keep_up(again));
}

async fn look_after(shared: Weak<Shared>) {
    let mut orphans = Orphans::default();
    let mut tick = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        shared.tidy().await;
        let look = tokio::task::spawn_blocking(move || {
            orphans.reap();
            orphans
        });
        orphans = look.await.unwrap_or_default();
    }
}
