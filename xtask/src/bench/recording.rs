//! A service of a million map operations a second on a thousand keys, behind a
//! contended lock: what mapprof takes for itself, and bytes a second of a recording.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::summary::Summary;
use mapprof_tests::{Mapprof, programs};
use serde_json::Value;

use super::Args;
use super::cpu::Meter;
use super::figures::{Claim, Row, Samples};
use super::maps::per_operation;

/// Not counted at the beginning and at the end: starting up, and taking the probes out.
const EDGE: Duration = Duration::from_secs(2);
const TEN_MINUTES: f64 = 600.0;
/// What mapprof may take of one core.
const OWN_PERCENT: f64 = 5.0;
/// A run for mapprof's own CPU time alone.
const OWN_SECONDS: u64 = 10;
/// The load's rate by its own will, a little less, M operations per s.
const RATE: f64 = 0.95;

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
        let mut rate = Samples::new(name, "M operations per s");
        for _ in 0..args.rounds().min(2) {
            let run = run(verb, overhead, OWN_SECONDS)?;
            fs::remove_file(run.file).or_else(|error| match error.kind() {
                // `stat` writes none.
                ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
            cpu.push(run.own_percent);
            rate.push(run.rate / 1e6);
        }
        let what = format!("mapprof itself, {name}, % of a core");
        row.claims.push(Claim::at_most(what, cpu.median(), OWN_PERCENT));
        // A target that does not get so far asks less of mapprof.
        let what = format!("meanwhile, {name}, M operations per s");
        row.claims.push(Claim::at_least(what, rate.median(), RATE));
        row.samples.extend([cpu, rate]);
    }
    Ok(row)
}

/// What a recording takes.
pub(super) fn measure(args: &Args) -> Result<Row> {
    let run = run("record", "none", args.seconds())?;
    let bytes = fs::metadata(&run.file)?.len() as f64;
    let report = Mapprof::new(["report", "--format", "json"]).arg(&run.file).run()?;
    let summary: Summary = report.summary()?;
    fs::remove_file(&run.file)?;

    let span = summary.window.duration_ns as f64 / 1e9;
    let mut size = Samples::new("the recording", "kB per s");
    size.push(bytes / 1e3 / span);
    let mut cpu = Samples::new("mapprof itself", "% of a core");
    cpu.push(run.own_percent);
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

struct Run {
    /// CPU time of mapprof, in percent of a core.
    own_percent: f64,
    /// Map operations a second, by the program's own count.
    rate: f64,
    /// What `record` wrote.
    file: PathBuf,
}

/// Runs the load under mapprof.
fn run(verb: &str, overhead: &str, seconds: u64) -> Result<Run> {
    ensure!(seconds >= 10, "less than 10 seconds are all start and end");
    let file = std::env::temp_dir().join(format!("mapprof-bench-{}.mprof", std::process::id()));
    let mut command = Command::new(binary());
    command.args([verb, "--max-overhead", overhead, "--duration", &format!("{seconds}s")]);
    if verb == "record" {
        command.arg("-o").arg(&file);
    }
    command.arg("--").arg(programs::newest_go("load")?);
    // It ends with the program, so that what was counted is what was watched.
    command.args(["-span", &format!("{}s", seconds - 1)]);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting mapprof")?;
    sleep(EDGE);
    let meter = Meter::start(child.id())?;
    sleep(Duration::from_secs(seconds).saturating_sub(2 * EDGE));
    let own_percent = meter.percent()?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "mapprof {verb} ended with {}:\n{said}", output.status);
    let line = output.stdout.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let truth: Value = serde_json::from_slice(line).context("the load's own count")?;
    Ok(Run { own_percent, rate: 1e9 / per_operation(&truth)?, file })
}

/// Without what only tables of single keys, stacks and holders had no room for.
fn lost(summary: &Summary) -> f64 {
    let lost = summary.window.lost.iter();
    lost.filter(|(reason, _)| !reason.ends_with("_beyond_limit")).map(|(_, n)| *n as f64).sum()
}
