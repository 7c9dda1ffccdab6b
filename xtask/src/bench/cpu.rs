//! CPU time of a process, by the kernel's account.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

/// Length of a clock tick in `/proc/PID/stat` (USER_HZ on x86), seconds.
const TICK: f64 = 0.01;

/// Measures what a process takes from now on.
#[derive(Debug)]
pub(super) struct Meter {
    pid: u32,
    began: Instant,
    before: u64,
}

impl Meter {
    pub(super) fn start(pid: u32) -> Result<Self> {
        Ok(Self { pid, began: Instant::now(), before: ticks(pid)? })
    }

    /// CPU time since, seconds.
    pub(super) fn seconds(&self) -> Result<f64> {
        Ok(ticks(self.pid)?.saturating_sub(self.before) as f64 * TICK)
    }

    /// The same in percent of a core.
    pub(super) fn percent(&self) -> Result<f64> {
        Ok(self.seconds()? / self.began.elapsed().as_secs_f64() * 100.0)
    }
}

/// CPU time of all threads of a process.
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} ended early"))?;
    parse(&stat).with_context(|| format!("/proc/{pid}/stat is not as expected: {stat}"))
}

/// utime and stime, the 14th and 15th field of proc(5), counted behind the name in
/// parentheses, which may hold anything.
fn parse(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    Some(ticks.next()?.parse::<u64>().ok()?.saturating_add(ticks.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn utime_and_stime_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 2109 0 4 0 130 25 9 9 20 0 1 0 5 6 7";
        assert_eq!(parse(stat), Some(155));
        assert_eq!(parse("7 (a) S 1"), None);
        assert_eq!(parse(""), None);
    }
}
