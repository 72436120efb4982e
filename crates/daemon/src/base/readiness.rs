//! Which components can serve, for `/ready` and for requests that come too early.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// The state of each component that was announced.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeMap<&'static str, Option<String>>>);

/// What is ready and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every component can serve.
    pub ready: bool,
    /// Per component `ok`, or why not.
    pub components: BTreeMap<&'static str, String>,
}

impl Readiness {
    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A component cannot serve, for the given reason.
    pub fn not_ready(&self, component: &'static str, reason: impl Into<String>) {
        self.states().insert(component, Some(reason.into()));
    }

    /// A component can serve.
    pub fn ready(&self, component: &'static str) {
        self.states().insert(component, None);
    }

    /// The state of all components.
    pub fn report(&self) -> Report {
        let states = self.states();
        Report {
            ready: states.values().all(Option::is_none),
            components: states
                .iter()
                .map(|(name, reason)| (*name, reason.clone().unwrap_or_else(|| "ok".to_owned())))
                .collect(),
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
        readiness.ready("database");
        assert!(readiness.report().ready);
    }
}
