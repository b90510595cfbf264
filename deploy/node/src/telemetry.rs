//! Logs on standard error, the newest of them kept for the admin port, and metrics in the Prometheus text form.

use crate::config::{LogConfig, LogFormat};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Log lines kept in memory.
const RECENT_LINES: usize = 1000;
/// A line is cut here, in bytes.
const LINE_LIMIT: usize = 4096;

static RECENT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Lines that may wait for whoever reads standard error.
const WAITING_LINES: usize = 16 * 1024;

/// Starts logging for this process. A reader of standard error that stands still costs lines, never time. What waits is
/// written when the guard goes.
pub(crate) fn start_logs(config: &LogConfig) -> anyhow::Result<WorkerGuard> {
    let (stderr, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).lossy(true).finish(io::stderr());
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|error| anyhow::anyhow!("log.level: {:?}: {error}", config.level))?;
    let to_stderr =
        tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(io::stderr().is_terminal());
    let to_stderr = match config.format {
        LogFormat::Text => to_stderr.boxed(),
        LogFormat::Json => to_stderr.json().flatten_event(true).boxed(),
    };
    let recent = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(|| Recent);
    tracing_subscriber::registry().with(filter).with(to_stderr).with(recent).try_init()?;
    Ok(guard)
}

/// The newest log lines, oldest first, one JSON object each.
pub(crate) fn recent_logs() -> String {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    recent.iter().map(String::as_str).collect()
}

struct Recent;

impl Write for Recent {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let kept = String::from_utf8_lossy(&line[..line.len().min(LINE_LIMIT)]).into_owned();
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_LINES {
            recent.pop_front();
        }
        recent.push_back(kept);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes metrics of this process be recorded.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
    const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
    use metrics_exporter_prometheus::Matcher;
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_operations".into()), &COUNTS)?
        .install_recorder()?;
    Ok(handle)
}
