//! How much memory a process holds, from `/proc`.

use anyhow::{Context, bail};

/// Resident memory of a process in bytes: `Rss` of `smaps_rollup`, or `VmRSS` of `status` where that is missing.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    if let Some(bytes) = rollup.ok().and_then(|text| kilobytes(&text, "Rss:")) {
        return Ok(bytes);
    }
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    match kilobytes(&text, "VmRSS:") {
        Some(bytes) => Ok(bytes),
        None => bail!("{path} does not tell VmRSS"),
    }
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_proc_are_read() {
        let rollup = "55e0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:               20452 kB\nPss:   19 kB\n";
        assert_eq!(kilobytes(rollup, "Rss:"), Some(20_452 * 1024));
        assert_eq!(kilobytes("VmPeak:\t 9 kB\nVmRSS:\t    7 kB\n", "VmRSS:"), Some(7 * 1024));
        assert_eq!(kilobytes("VmRSS: lots", "VmRSS:"), None);
    }

    #[test]
    fn this_process_is_more_than_nothing_and_a_dead_one_is_an_error() {
        assert!(resident(std::process::id()).unwrap() > 100 * 1024);
        assert!(resident(u32::MAX).is_err());
    }
}
