//! What every part of the daemon needs, and what is there before any service.

mod activity;
mod readiness;

use std::sync::Arc;

pub use activity::{Active, Activity};
pub use readiness::{Readiness, Report};

use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;

pub use crate::VERSION;

/// The common ground: configuration, counters, the life of the process.
#[derive(Debug)]
pub struct Base {
    /// Settings.
    pub config: Config,
    /// Counters.
    pub metrics: Metrics,
    /// Tasks and the way they end.
    pub lifecycle: Lifecycle,
    /// Which components can serve.
    pub readiness: Readiness,
    /// What is going on now.
    pub activity: Activity,
}

impl Base {
    /// For a process that begins to live.
    pub fn new(config: Config) -> Arc<Self> {
        Arc::new(Self {
            config,
            metrics: Metrics::new(),
            lifecycle: Lifecycle::default(),
            readiness: Readiness::default(),
            activity: Activity::default(),
        })
    }
}
