//! What a job is doing right now.

use parking_lot::Mutex;

/// The latest message of a job, and whether it is new to the client.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    message: String,
    is_new: bool,
}

impl Progress {
    /// Replaces the message.
    pub(super) fn say(&self, message: &str) {
        let mut state = self.0.lock();
        if state.message != message {
            message.clone_into(&mut state.message);
            state.is_new = true;
        }
    }

    /// The message, if it is news.
    pub(super) fn news(&self) -> Option<String> {
        let mut state = self.0.lock();
        std::mem::take(&mut state.is_new).then(|| state.message.clone())
    }

    /// The message, news or not.
    pub(super) fn latest(&self) -> String {
        self.0.lock().message.clone()
    }
}
