//! A service of a million map operations a second on a thousand keys, behind a
//! contended lock: what mapprof takes for itself, and bytes a second of a recording.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::summary::Summary;
use mapprof_tests::{Mapprof, programs};

use super::Args;
use super::cpu::Meter;
use super::figures::{Claim, Row, Samples};

/// Not counted at the beginning and at the end: starting up, and taking the probes out.
const EDGE: Duration = Duration::from_secs(2);
const TEN_MINUTES: f64 = 600.0;
/// What mapprof may take of one core.
const OWN_PERCENT: f64 = 5.0;
/// A run for mapprof's own CPU time alone.
const OWN_SECONDS: u64 = 10;

/// mapprof's own CPU time, by verb and by how much it may cost the target.
pub(super) fn own(args: &Args) -> Result<Row> {
    const VARIANTS: [(&str, &str, &str); 4] = [
        ("stat, exact", "stat", "none"),
        ("stat at 1%", "stat", "1%"),
        ("record, exact", "record", "none"),
        ("record at 1%", "record", "1%"),
    ];
    let mut row = Row::default();
    for (name, verb, overhead) in VARIANTS {
        let mut cpu = Samples::new(name, "% of a core");
        for _ in 0..args.rounds().min(2) {
            let (percent, file) = run(verb, overhead, OWN_SECONDS)?;
            fs::remove_file(file)?;
            cpu.push(percent);
        }
        let what = format!("mapprof itself, {name}, % of a core");
        row.claims.push(Claim::at_most(what, cpu.median(), OWN_PERCENT));
        row.samples.push(cpu);
    }
    Ok(row)
}

/// What a recording takes.
pub(super) fn measure(args: &Args) -> Result<Row> {
    let (percent, file) = run("record", "none", args.seconds())?;
    let bytes = fs::metadata(&file)?.len() as f64;
    let summary: Summary =
        Mapprof::new(["report", "--format", "json"]).arg(&file).run()?.summary()?;
    fs::remove_file(&file)?;

    let span = summary.window.duration_ns as f64 / 1e9;
    let mut size = Samples::new("the recording", "kB per s");
    size.push(bytes / 1e3 / span);
    let mut cpu = Samples::new("mapprof itself", "% of a core");
    cpu.push(percent);
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

/// Runs the load under mapprof: its own CPU time in percent of a core, and the file it
/// wrote.
fn run(verb: &str, overhead: &str, seconds: u64) -> Result<(f64, PathBuf)> {
    ensure!(seconds >= 10, "less than 10 seconds are all start and end");
    let file = std::env::temp_dir().join(format!("mapprof-bench-{}", std::process::id()));
    let mut child = start(verb, overhead, seconds, &file)?;
    sleep(EDGE);
    let meter = Meter::start(child.id())?;
    sleep(Duration::from_secs(seconds).saturating_sub(2 * EDGE));
    let percent = meter.percent()?;
    let status = child.wait()?;
    ensure!(status.success(), "mapprof {verb} ended with {status}");
    Ok((percent, file))
}

fn start(verb: &str, overhead: &str, seconds: u64, file: &Path) -> Result<Child> {
    let mut command = Command::new(binary());
    command.args([verb, "--max-overhead", overhead, "--duration", &format!("{seconds}s")]);
    if verb == "record" {
        command.arg("-o").arg(file).stdout(Stdio::null());
    } else {
        command.stdout(fs::File::create(file)?);
    }
    command
        .arg("--")
        .arg(programs::newest_go("load")?)
        .args(["-span", &format!("{}s", seconds + 2)])
        .stdin(Stdio::null())
        .spawn()
        .context("starting mapprof")
}

/// Without what only tables of single keys, stacks and holders had no room for.
fn lost(summary: &Summary) -> f64 {
    let lost = summary.window.lost.iter();
    lost.filter(|(reason, _)| !reason.ends_with("_beyond_limit")).map(|(_, n)| *n as f64).sum()
}
