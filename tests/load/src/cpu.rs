//! How much processor time processes use, from `/proc`.

use anyhow::Context;
use std::time::Duration;

/// Of `/proc/PID/stat`, on every Linux that runs Rust.
const TICKS_PER_SECOND: f64 = 100.0;

/// What some processes have used so far.
#[derive(Debug)]
pub(crate) struct CpuTime(Vec<f64>);

impl CpuTime {
    pub(crate) fn of(pids: &[u32]) -> anyhow::Result<Self> {
        pids.iter().map(|pid| seconds(*pid)).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Processors that each has kept busy since then.
    pub(crate) fn since(&self, pids: &[u32], elapsed: Duration) -> anyhow::Result<Vec<f64>> {
        let now = Self::of(pids)?;
        let used = now.0.iter().zip(&self.0).map(|(now, then)| (now - then) / elapsed.as_secs_f64());
        Ok(used.collect())
    }
}

fn seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    read(&text).with_context(|| format!("{path} does not tell the time"))
}

/// Fields 14 and 15, counted behind the name, which may hold spaces.
fn read(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_read() {
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(read(stat), Some(2.0));
        assert!(seconds(std::process::id()).is_ok());
        assert!(seconds(u32::MAX).is_err());
    }
}
