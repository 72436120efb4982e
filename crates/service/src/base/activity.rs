//! How many requests run now, for `/health/check`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counters of running requests.
///
/// ```
/// use plugin_service::base::Activity;
///
/// let activity = Activity::default();
/// let (request, dispatch) = (activity.request(), activity.dispatch());
/// assert_eq!((activity.requests(), activity.dispatches()), (1, 1));
/// drop(request);
/// assert_eq!((activity.requests(), activity.dispatches()), (0, 1));
/// # drop(dispatch);
/// ```
#[derive(Debug, Default)]
pub struct Activity {
    requests: Arc<AtomicUsize>,
    dispatches: Arc<AtomicUsize>,
}

impl Activity {
    /// A request runs as long as the result lives.
    pub fn request(&self) -> Active {
        Active::new(&self.requests)
    }

    /// A request of the dispatch groups runs as long as the result lives.
    pub fn dispatch(&self) -> Active {
        Active::new(&self.dispatches)
    }

    /// Requests that run now.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests of the dispatch groups that run now.
    pub fn dispatches(&self) -> usize {
        self.dispatches.load(Ordering::Relaxed)
    }
}

/// Something that runs until it is dropped.
#[derive(Debug)]
pub struct Active(Arc<AtomicUsize>);

impl Active {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
