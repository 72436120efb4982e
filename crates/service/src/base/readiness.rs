//! Which components can serve, for `/ready` and for requests that come too early.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;

use serde::Serialize;

/// The state of each component that was announced.
///
/// ```
/// use plugin_service::base::Readiness;
///
/// let readiness = Readiness::default();
/// readiness.not_ready("database", "connecting");
/// readiness.ready("isolation");
/// assert!(!readiness.report().ready);
/// readiness.failing("database", "out of reach");
/// let report = readiness.report();
/// assert!(report.ready, "it goes on without, as far as it can");
/// assert_eq!(report.components["database"], "failing: out of reach");
/// ```
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeMap<&'static str, State>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ready,
    /// It serves in this way.
    As(String),
    /// It fails, and calls that need nothing of it go on.
    Failing(String),
    NotReady(String),
}

/// What is ready and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the daemon should be sent calls.
    pub ready: bool,
    /// Per component `ok`, perhaps how it serves, or what is wrong.
    pub components: BTreeMap<&'static str, String>,
}

impl Readiness {
    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.0.lock()
    }

    fn set(&self, component: &'static str, state: State) -> bool {
        let mut states = self.states();
        let is_news = states.get(component) != Some(&state);
        states.insert(component, state);
        is_news
    }

    /// A component cannot serve, for the given reason.
    pub fn not_ready(&self, component: &'static str, reason: impl Into<String>) {
        self.set(component, State::NotReady(reason.into()));
    }

    /// A component that could serve fails, for the given reason. The daemon stays ready: every node has the same problem
    /// with what they share, and much goes on without it. True if that is news.
    pub fn failing(&self, component: &'static str, reason: impl Into<String>) -> bool {
        self.set(component, State::Failing(reason.into()))
    }

    /// A component can serve. True if that is news.
    pub fn ready(&self, component: &'static str) -> bool {
        self.set(component, State::Ready)
    }

    /// A component can serve, in a way that operators should know.
    pub fn ready_as(&self, component: &'static str, how: impl Into<String>) {
        self.set(component, State::As(how.into()));
    }

    /// The state of all components.
    pub fn report(&self) -> Report {
        let states = self.states();
        let text = |state: &State| match state {
            State::Ready => "ok".to_owned(),
            State::As(how) => format!("ok: {how}"),
            State::Failing(reason) => format!("failing: {reason}"),
            State::NotReady(reason) => reason.clone(),
        };
        Report {
            ready: !states.values().any(|state| matches!(state, State::NotReady(_))),
            components: states.iter().map(|(name, state)| (*name, text(state))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_component_that_is_not_ready_is_enough() {
        let readiness = Readiness::default();
        readiness.not_ready("database", "connecting");
        readiness.ready("storage");
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(
            report.components.into_iter().collect::<Vec<_>>(),
            [("database", "connecting".to_owned()), ("storage", "ok".to_owned())]
        );
        assert!(readiness.ready("database"));
        assert!(readiness.report().ready);
    }

    #[test]
    fn what_fails_later_is_shown_and_does_not_make_the_daemon_unready() {
        let readiness = Readiness::default();
        readiness.ready("database");
        assert!(readiness.failing("database", "gone"));
        assert!(!readiness.failing("database", "gone"), "no news");
        let report = readiness.report();
        assert!(report.ready);
        assert_eq!(report.components["database"], "failing: gone");
        assert!(readiness.ready("database"));
        assert!(!readiness.ready("database"));
    }
}
