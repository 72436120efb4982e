//! What the kernel reports about the process, read at each scrape.

use std::fmt::Error;

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

#[derive(Debug)]
pub(super) struct ProcessCollector;

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
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let (stat, status) = (process.stat()?, process.status()?);
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        let bytes = |kib: Option<u64>| kib.unwrap_or_default() as f64 * KIB;
        Ok(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            threads: stat.num_threads as f64,
            start_seconds: procfs::boot_time_secs()? as f64 + seconds(stat.starttime),
            resident_bytes: bytes(status.vmrss),
            virtual_bytes: bytes(status.vmsize),
            open_files: process.fd_count()? as f64,
            max_files: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(files) => files as f64,
                LimitValue::Unlimited => f64::INFINITY,
            },
        })
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let sample = match Sample::read() {
            Ok(sample) => sample,
            Err(error) => {
                tracing::debug!(%error, "failed to read the state of the process from /proc");
                return Ok(());
            }
        };
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
