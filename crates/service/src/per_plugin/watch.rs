//! Follows the file: reads it again on SIGHUP, and when it has changed.
//!
//! It is looked at rather than watched: that works on network file systems and for links that are exchanged, as Kubernetes
//! does with the files of a `ConfigMap`.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{PerPlugin, Stamp};
use crate::base::Base;
use crate::config::Platform;
use crate::config::per_plugin::{Faults, SettingsFile};

/// The component of `/ready`.
pub(super) const COMPONENT: &str = "plugin settings";
/// How often the file is looked at. A change is taken up once a second look finds it the same, so that a file that is being
/// written is not read by half.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of the file on disk.
#[derive(Debug, Default)]
struct Seen {
    /// When it was read last.
    read: Option<Stamp>,
    /// At the last look.
    last: Option<Stamp>,
    /// Whether that was another.
    is_changing: bool,
}

impl Seen {
    /// Whether the file has to be read again.
    fn is_due(&mut self, now: Option<Stamp>) -> bool {
        let is_the_same = std::mem::replace(&mut self.last, now) == now;
        let was_changing = std::mem::replace(&mut self.is_changing, now != self.read);
        was_changing && self.is_changing && is_the_same
    }
}

impl PerPlugin {
    /// Follows the file until the daemon stops, if there is one.
    ///
    /// # Errors
    ///
    /// When the system gives no signals.
    pub fn follow(&self, base: &Arc<Base>) -> std::io::Result<()> {
        let Some(followed) = &self.0.followed else { return Ok(()) };
        tracing::info!(file = %followed.path.display(), tables = self.current().len(), "settings of single plugins");
        self.warn(base);
        self.report(base);
        // from now on, so that a signal that comes early is not lost
        let hangups = Arc::new(tokio::sync::Mutex::new(signal(SignalKind::hangup())?));
        let (own, base_of_task) = (self.clone(), Arc::clone(base));
        base.lifecycle.supervise("settings of single plugins", move || {
            let (own, base, hangups) = (own.clone(), Arc::clone(&base_of_task), Arc::clone(&hangups));
            async move {
                let mut hangups = hangups.lock().await;
                base.lifecycle.soft().clone().run_until_cancelled(own.run(&base, &mut hangups)).await;
            }
        });
        Ok(())
    }

    async fn run(&self, base: &Base, hangups: &mut Signal) {
        let Some(followed) = &self.0.followed else { return };
        let mut seen = Seen { read: followed.first, ..Seen::default() };
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_asked = tokio::select! {
                Some(()) = hangups.recv() => true,
                _ = tick.tick() => false,
            };
            let path = followed.path.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || Stamp::of(&path)).await else { continue };
            if is_asked || seen.is_due(now) {
                seen = Seen { read: now, ..Seen::default() };
                self.read_again(base, is_asked).await;
            }
        }
    }

    async fn read_again(&self, base: &Base, is_asked: bool) {
        let own = self.clone();
        let read = move || own.0.followed.as_ref().map(super::Followed::read);
        // a panic, which is logged, leaves everything as it is
        let Ok(Some(read)) = tokio::task::spawn_blocking(read).await else { return };
        match read {
            Ok(file) => self.put_in_force(base, file, is_asked),
            Err(faults) => refuse(base, &faults),
        }
    }

    fn put_in_force(&self, base: &Base, file: SettingsFile, is_asked: bool) {
        let path = file.path().display().to_string();
        let is_same = self.current().is_same(&file);
        if is_same {
            if is_asked {
                tracing::info!(file = path, "the settings of plugins were read again, they are the same");
            }
        } else {
            tracing::info!(file = path, tables = file.len(), "the settings of plugins were read again");
            self.replace(file);
            self.warn(base);
        }
        self.report(base);
    }

    /// Says what has no effect here.
    fn warn(&self, base: &Base) {
        let keys = self.current().without_effect_on_functions();
        if base.config.plugins.platform == Platform::Serverless && !keys.is_empty() {
            tracing::warn!(
                keys = keys.join(", "),
                "these settings of single plugins have no effect, since plugins run as functions (PLATFORM=serverless)"
            );
        }
    }

    /// Shows in `/ready` what is in force.
    fn report(&self, base: &Base) {
        let file = self.current();
        base.readiness.ready_as(COMPONENT, format!("{} tables of {}", file.len(), file.path().display()));
    }
}

/// The old settings stay.
fn refuse(base: &Base, faults: &Faults) {
    let file = faults.path.display().to_string();
    let (shown, more) = faults.shown();
    for fault in shown {
        tracing::error!(file, fault = %fault, "the settings of plugins on disk are not in force, those read before stay");
    }
    let first = shown.first().map(ToString::to_string).unwrap_or_default();
    let others = match shown.len() + more {
        0 | 1 => String::new(),
        all => format!(" (and {} more, see the log)", all - 1),
    };
    base.readiness.failing(COMPONENT, format!("{file} as it is now is not in force: {first}{others}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_up_when_it_has_settled() {
        let stamp = |size| Some(Stamp { device: 0, inode: 0, size, modified: (0, 0), changed: (0, 0) });
        let mut seen = Seen { read: stamp(1), ..Seen::default() };
        for (now, is_due) in [
            (stamp(1), false),
            (stamp(2), false),
            (stamp(3), false),
            (stamp(3), true),
            (stamp(1), false),
            // back again, before it was read
            (stamp(2), false),
            (None, false),
            (None, true),
        ] {
            assert_eq!(seen.is_due(now), is_due, "{now:?}");
        }
    }
}
