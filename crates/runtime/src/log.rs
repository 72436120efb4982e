//! The output of a plugin beside its answers: the last of it is kept in memory, and it is copied to the daemon's log at a
//! bounded rate.

use std::collections::VecDeque;

use jiff::Timestamp;
use parking_lot::Mutex;
use plugin_manifest::identifier::UniqueIdentifier;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

/// The longest text of one entry, in bytes.
const LONGEST: usize = 8 * 1024;
/// Counted for each entry beside its text.
const OVERHEAD: usize = 64;
/// Lines a second that go to the daemon's log unless it is configured otherwise.
pub(crate) const LINES_PER_SECOND: u32 = 20;
/// How many seconds' lines go there at once.
const BURST: f64 = 5.0;

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Standard error.
    Stderr,
    /// A line of its output that is not a message.
    Stdout,
    /// A `log` event.
    Log,
    /// An `error` event, which belongs to no session.
    Error,
    /// The daemon's own words on the worker: started, ended, why.
    Lifecycle,
}

/// How much an entry matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// As plugins write it (plugin-protocol 2.1): in any case, and everything unknown is information.
    pub fn of_plugin(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "warn" | "warning" => Self::Warn,
            "error" | "fatal" | "critical" => Self::Error,
            _ => Self::Info,
        }
    }
}

/// One line of a plugin's log.
#[derive(Clone, Debug, Serialize)]
pub struct LogEntry {
    /// Counts up from 1 without gaps; older entries may be gone.
    pub number: u64,
    pub time: Timestamp,
    /// The process that it is about, where it is one of this node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    pub source: Source,
    pub level: Level,
    pub text: String,
}

/// The log of one plugin version over all its workers.
///
/// ```
/// use plugin_runtime::{Level, PluginLog, Source};
///
/// let plugin = "acme/search:1.0.0@0123456789abcdef0123456789abcdef".parse()?;
/// let log = PluginLog::new(plugin, 64 * 1024);
/// log.add(None, Source::Lifecycle, Level::Info, "started");
/// log.add(4242, Source::Stderr, Level::Info, "loading\n");
/// let [entry] = &log.after(1)[..] else { panic!("one entry comes after the first") };
/// assert_eq!((entry.number, entry.pid, entry.text.as_str()), (2, Some(4242), "loading"));
/// # Ok::<(), plugin_manifest::InvalidIdentifier>(())
/// ```
#[derive(Debug)]
pub struct PluginLog {
    plugin: UniqueIdentifier,
    limit: usize,
    /// Lines that go to the daemon's log.
    per_second: f64,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    allowance: f64,
    refilled: Instant,
    suppressed: u64,
}

impl PluginLog {
    /// An empty log that keeps about this many bytes.
    pub fn new(plugin: UniqueIdentifier, limit: usize) -> Self {
        Self::with_rate(plugin, limit, LINES_PER_SECOND)
    }

    /// An empty log. At most this many of its lines a second go to the daemon's log, in bursts of up to five times as many.
    pub fn with_rate(plugin: UniqueIdentifier, limit: usize, lines_per_second: u32) -> Self {
        let per_second = f64::from(lines_per_second);
        let allowance = per_second * BURST;
        let ring = Ring { entries: VecDeque::new(), bytes: 0, allowance, refilled: Instant::now(), suppressed: 0 };
        Self { plugin, limit, per_second, ring: Mutex::new(ring), newest: watch::Sender::new(0) }
    }

    /// Whose log it is.
    pub fn plugin(&self) -> &UniqueIdentifier {
        &self.plugin
    }

    /// Adds an entry.
    pub fn add(&self, pid: impl Into<Option<u32>>, source: Source, level: Level, text: &str) {
        let pid = pid.into();
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let kept = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default();
        let text = if kept.len() < text.len() { format!("{kept}...") } else { kept.to_owned() };
        if let Some(suppressed) = self.ring.lock().may_forward(source, self.per_second) {
            self.forward(pid, source, level, &text, suppressed);
        }
        let mut ring = self.ring.lock();
        let number = ring.entries.back().map_or(0, |entry| entry.number) + 1;
        ring.bytes += text.len() + OVERHEAD;
        ring.entries.push_back(LogEntry { number, time: Timestamp::now(), pid, source, level, text });
        while ring.bytes > self.limit && ring.entries.len() > 1 {
            let oldest = ring.entries.pop_front().map_or(0, |entry| entry.text.len() + OVERHEAD);
            ring.bytes -= oldest;
        }
        drop(ring);
        self.newest.send_replace(number);
    }

    /// What is kept, from the entry after `number` on; 0 for everything.
    pub fn after(&self, number: u64) -> Vec<LogEntry> {
        self.ring.lock().entries.iter().filter(|entry| entry.number > number).cloned().collect()
    }

    /// Changes whenever there is a new entry, whose number it holds.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Message and fields are the reference's (cluster-serverless-observability 6.1); the instance is the number of the
    /// process.
    fn forward(&self, pid: Option<u32>, source: Source, level: Level, text: &str, suppressed: u64) {
        let plugin = self.plugin.identity();
        if suppressed > 0 {
            tracing::warn!(plugin, suppressed, "plugin writes more than the daemon's log takes; its own log has it");
        }
        match (source, level) {
            // a traceback is many lines, and many plugins write progress there
            (Source::Stderr, _) => {
                tracing::warn!(plugin, instance = pid, attributes.message = text, "plugin instance log");
            }
            (Source::Lifecycle, Level::Error) => tracing::error!(plugin, pid, "{text}"),
            (Source::Lifecycle, Level::Warn) => tracing::warn!(plugin, pid, "{text}"),
            (Source::Lifecycle, _) => tracing::info!(plugin, pid, "{text}"),
            (_, Level::Error) => {
                tracing::error!(plugin, instance = pid, attributes.message = text, "plugin instance log");
            }
            (_, Level::Warn) => {
                tracing::warn!(plugin, instance = pid, attributes.message = text, "plugin instance log");
            }
            (_, Level::Info) => {
                tracing::info!(plugin, instance = pid, attributes.message = text, "plugin instance log");
            }
            (_, Level::Debug) => {
                tracing::debug!(plugin, instance = pid, attributes.message = text, "plugin instance log");
            }
        }
    }
}

impl Ring {
    /// Whether an entry goes to the daemon's log, and how many before it did not.
    fn may_forward(&mut self, source: Source, per_second: f64) -> Option<u64> {
        let now = Instant::now();
        self.allowance =
            (self.allowance + now.duration_since(self.refilled).as_secs_f64() * per_second).min(per_second * BURST);
        self.refilled = now;
        if source != Source::Lifecycle {
            if self.allowance < 1.0 {
                self.suppressed += 1;
                return None;
            }
            self.allowance -= 1.0;
        }
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// The last bytes of a worker's standard error, for the error that its end causes.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Mutex<VecDeque<u8>>,
}

impl Tail {
    /// As much as fits into an error that a person reads.
    const KEPT: usize = 4 * 1024;

    /// Adds a line.
    pub fn add(&self, line: &[u8]) {
        let mut bytes = self.bytes.lock();
        let line = line.get(line.len().saturating_sub(Self::KEPT)..).unwrap_or(line);
        bytes.extend(line);
        bytes.push_back(b'\n');
        let excess = bytes.len().saturating_sub(Self::KEPT);
        bytes.drain(..excess);
    }

    /// What is kept, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes.lock().make_contiguous()).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(limit: usize) -> PluginLog {
        PluginLog::new(format!("a/b:1.0.0@{}", "0".repeat(64)).parse().unwrap(), limit)
    }

    #[tokio::test]
    async fn old_entries_make_room() {
        let log = log(1000);
        for i in 0..100 {
            log.add(1, Source::Stderr, Level::Warn, &format!("line {i}\n"));
        }
        let kept = log.after(0);
        assert!((5..20).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept.last().unwrap().number, kept.last().unwrap().text.as_str()), (100, "line 99"));
        assert_eq!(log.after(99).len(), 1);
        assert_eq!(*log.newest().borrow(), 100);
        log.add(1, Source::Stdout, Level::Info, &"x".repeat(100_000));
        assert_eq!(log.after(0).len(), 1, "a long entry is cut and kept");
        log.add(1, Source::Stdout, Level::Info, "  \n");
        assert_eq!(*log.newest().borrow(), 101, "blank lines say nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn the_daemons_log_gets_a_bounded_rate() {
        let log = log(1000);
        let forwarded = |log: &PluginLog, n: u32| {
            (0..n).filter(|_| log.ring.lock().may_forward(Source::Log, log.per_second).is_some()).count()
        };
        assert_eq!(forwarded(&log, 1000), 100);
        assert_eq!(log.ring.lock().suppressed, 900);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(forwarded(&log, 1000), 20);
    }

    #[test]
    fn levels_of_plugins() {
        for (name, level) in
            [("DEBUG", Level::Debug), ("Warning", Level::Warn), ("CRITICAL", Level::Error), ("odd", Level::Info)]
        {
            assert_eq!(Level::of_plugin(name), level);
        }
    }

    #[test]
    fn the_tail_keeps_the_end() {
        let tail = Tail::default();
        tail.add(b"first");
        assert_eq!(tail.text(), "first");
        tail.add(&[b'x'; 10_000]);
        tail.add(b"last");
        assert!(tail.text().ends_with("x\nlast") && tail.text().len() <= Tail::KEPT);
    }
}
