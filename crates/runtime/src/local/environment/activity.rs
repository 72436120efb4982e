//! Signs of life of a process group that prints nothing: a large download or a long compilation is no hang.

use std::time::Duration;

use nix::unistd::Pid;

use crate::proc::{Usage, group_usage};

/// Bytes that have to be written for it to count.
const BYTES: u64 = 64 * 1024;
/// Processor time that has to be used for it to count.
const PROCESSOR: Duration = Duration::from_millis(500);

/// What a process group has done so far. Sees nothing move where the system does not say.
#[derive(Debug)]
pub(crate) struct Activity {
    group: Option<u32>,
    seen: Usage,
}

impl Activity {
    pub(crate) fn new(group: Option<Pid>) -> Self {
        Self { group: group.and_then(|group| u32::try_from(group.as_raw()).ok()), seen: Usage::default() }
    }

    /// Whether the group has got on noticeably since this last said so.
    pub(crate) fn has_moved(&mut self) -> bool {
        let Some(usage) = self.group.and_then(group_usage) else { return false };
        // both sums shrink when a member of the group ends, which is a sign of life too
        let moved = usage.written.abs_diff(self.seen.written) >= BYTES
            || usage.processor.abs_diff(self.seen.processor) >= PROCESSOR;
        if moved {
            self.seen = usage;
        }
        moved
    }
}
