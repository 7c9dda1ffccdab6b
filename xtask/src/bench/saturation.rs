//! Two goroutines that do nothing but read maps: more than two CPUs can take, and
//! not one event may be missing.

use anyhow::{Context, Result};
use mapprof_tests::{Program, programs};
use serde_json::Value;

use super::Args;
use super::beside::{Beside, How};
use super::figures::{Claim, Row, Samples};
use super::maps::{differences, per_operation};

/// A program of the tests is killed after three minutes.
const MOST_SECONDS: u64 = 160;

pub(super) fn measure(args: &Args) -> Result<Row> {
    let program = programs::newest_go("reads")?;
    let seconds = args.seconds().min(MOST_SECONDS);
    let span = format!("{seconds}s");
    let held = Program::hold(&program, ["-goroutines", "2", "-span", &span])?;
    let watched = Beside::Exact.watch::<Value>(held, How::default())?;
    let mut rate = Samples::new("mapprof exact", "M operations per s");
    rate.push(1e3 / per_operation(&watched.truth)?);
    let mut cpu = Samples::new("mapprof itself", "% of a core");
    if let Some(percent) = watched.own_cpu {
        cpu.push(percent);
    }
    let summary = watched.outcome.context("mapprof left nothing")?.summary()?;
    let lost: u64 = summary.window.lost.values().sum();
    let mut claims = vec![
        Claim::plain("seconds", seconds as f64),
        Claim::plain(
            "operations, M",
            summary.maps.iter().map(|map| map.ops.lookup).sum::<u64>() as f64 / 1e6,
        ),
        Claim::at_most("events lost", lost as f64, 0.0),
    ];
    let wrong = differences(watched.truth, &summary)?;
    claims.push(Claim::at_most("counts that are not exact", wrong as f64, 0.0));
    Ok(Row { samples: vec![rate, cpu], claims })
}
