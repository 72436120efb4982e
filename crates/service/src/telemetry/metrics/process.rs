//! What the kernel knows about the process, read at each scrape.

use std::fmt::Error;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

#[derive(Debug)]
pub(super) struct ProcessCollector;

/// The kernel's clock ticks per second in `/proc`; a constant of the Linux ABI.
const TICKS_PER_SECOND: f64 = 100.0;

const KIB: f64 = 1024.0;

struct Sample {
    cpu_seconds: f64,
    threads: f64,
    start_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    open_files: f64,
    max_files: f64,
}

impl Sample {
    fn read() -> Option<Self> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).ok();
        let stat = read("stat")?;
        // the name of the program, in parentheses, may hold anything
        let fields: Vec<f64> =
            stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        // counted from the state, which is field 3
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
        let status = read("status")?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let limits = read("limits")?;
        let max_files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let max_files = max_files.split_whitespace().next()?.parse().unwrap_or(f64::INFINITY);
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs_f64();
        Some(Self {
            cpu_seconds: (field(14) + field(15)) / TICKS_PER_SECOND,
            threads: field(20),
            start_seconds: now - uptime + field(22) / TICKS_PER_SECOND,
            resident_bytes: kib("VmRSS:")? * KIB,
            virtual_bytes: kib("VmSize:")? * KIB,
            open_files: f64::from(u32::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).unwrap_or(u32::MAX)),
            max_files,
        })
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(sample) = Sample::read() else { return Ok(()) };
        let cpu = ConstCounter::new(sample.cpu_seconds);
        let help = "CPU time of the daemon, without its plugins";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
        for (name, help, value) in [
            ("process_threads", "Threads", sample.threads),
            ("process_start_time_seconds", "Start of the process since the epoch", sample.start_seconds),
            ("process_resident_memory_bytes", "Memory in use", sample.resident_bytes),
            ("process_virtual_memory_bytes", "Address space in use", sample.virtual_bytes),
            ("process_open_fds", "Open files", sample.open_files),
            ("process_max_fds", "Most open files", sample.max_files),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
