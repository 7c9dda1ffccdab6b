//! How soon probes are out of a program that has done nothing for seconds, was watched all
//! the time therefore, and then does nothing but read maps.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::emergency::Stop;
use mapprof_tests::{Mapprof, Program, programs};
use serde_json::Value;

use super::Args;
use super::figures::{Claim, Row, Samples};

/// Until mapprof knows that the program does nothing.
const IDLE: Duration = Duration::from_secs(4);
/// The most that a stop may take, ms.
const BOUND: f64 = 50.0;

pub(super) fn measure(args: &Args) -> Result<Row> {
    let program = programs::newest_go("reads")?;
    let span = args.span_ms(2000);
    let mut shut = Samples::new("over its share ten times, to gate shut", "ms");
    let mut last_hit = Samples::new("the same, to the last hit of a probe", "ms");
    let mut out = Samples::new("the same, to probes out", "ms");
    for _ in 0..args.rounds() {
        let mut held = Program::hold(&program, ["-goroutines", "2", "-span", &span])?;
        let running = Mapprof::stat(held.pid()).args(["--max-overhead", "1%", "-v"]).attach()?;
        sleep(IDLE);
        held.begin()?;
        let truth: Value = held.truth()?;
        let outcome = running.interrupt()?.expect_code(0)?;
        held.finish_well()?;
        ensure!(truth["mismatches"] == 0, "the program read something wrong");
        let stop = outcome.stderr.lines().find_map(Stop::of);
        let stop = stop.context("there was no emergency stop")?;
        shut.push(stop.shut_ms);
        last_hit.push(stop.last_hit_ms);
        out.push(stop.out_ms);
    }
    let claims = vec![
        Claim::at_most("to gate shut, ms, the longest", shut.max(), BOUND),
        Claim::at_most("to the last hit of a probe, ms, the longest", last_hit.max(), BOUND),
        Claim::at_most("to probes out, ms", out.median(), BOUND),
        Claim::plain("to probes out, ms, the longest", out.max()),
    ];
    Ok(Row { samples: vec![shut, last_hit, out], claims })
}
