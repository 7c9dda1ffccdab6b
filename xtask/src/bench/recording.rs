//! What a recording of a busy service takes: bytes a second, and mapprof's own CPU time.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::summary::Summary;
use mapprof_tests::{Mapprof, programs};

use super::figures::{Claim, Row, Samples};

/// Not counted at the beginning and at the end: starting up, and taking the probes out.
const EDGE: Duration = Duration::from_secs(2);
/// Length of a clock tick in `/proc/PID/stat` (USER_HZ on x86).
const TICK: f64 = 0.01;
const TEN_MINUTES: f64 = 600.0;

/// A million map operations a second on a thousand keys behind a contended lock.
pub(super) fn measure(seconds: u64) -> Result<Row> {
    ensure!(seconds >= 10, "less than 10 seconds are all start and end");
    let file = std::env::temp_dir().join(format!("mapprof-bench-{}.mprof", std::process::id()));
    let mut child = Command::new(binary())
        .args(["record", "--max-overhead", "none", "--duration", &format!("{seconds}s"), "-o"])
        .arg(&file)
        .arg("--")
        .arg(programs::newest_go("load")?)
        .args(["-span", &format!("{}s", seconds + 2)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("starting mapprof")?;
    sleep(EDGE);
    let (began, before) = (Instant::now(), cpu_ticks(child.id())?);
    sleep(Duration::from_secs(seconds).saturating_sub(2 * EDGE));
    let (elapsed, after) = (began.elapsed(), cpu_ticks(child.id())?);
    let status = child.wait()?;
    ensure!(status.success(), "mapprof ended with {status}");
    let bytes = fs::metadata(&file)?.len() as f64;
    let summary: Summary =
        Mapprof::new(["report", "--format", "json"]).arg(&file).run()?.summary()?;
    fs::remove_file(&file)?;

    let span = summary.window.duration_ns as f64 / 1e9;
    let mut size = Samples::new("the recording", "kB per s");
    size.push(bytes / 1e3 / span);
    let mut cpu = Samples::new("mapprof itself", "% of a core");
    cpu.push((after - before) as f64 * TICK / elapsed.as_secs_f64() * 100.0);
    let waits: u64 = summary.locks.iter().map(|lock| lock.wait.count).sum();
    let claims = vec![
        Claim::plain("recorded, s", span),
        Claim::plain("events, M per s", summary.window.events as f64 / 1e6 / span),
        Claim::plain("waits per s", waits as f64 / span),
        Claim::at_most("events lost in the kernel", lost(&summary), 0.0),
        Claim::at_most("10 minutes at this rate, MB", bytes / 1e6 / span * TEN_MINUTES, 20.0),
    ];
    Ok(Row { samples: vec![size, cpu], claims })
}

/// Without what only tables of single keys, stacks and holders had no room for.
fn lost(summary: &Summary) -> f64 {
    let lost = summary.window.lost.iter();
    lost.filter(|(reason, _)| !reason.ends_with("_beyond_limit")).map(|(_, n)| *n as f64).sum()
}

/// CPU time of all threads of a process (proc(5): utime and stime are the 14th and 15th
/// field, counted behind the name in parentheses).
fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("mapprof ended early")?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.collect::<Result<Vec<_>, _>>()?.iter().sum())
}
