//! A loop of nothing but map reads: what one probed operation costs, and what
//! that is beside an empty probe and beside a probe at the function's entry.

use anyhow::{Context, Result};
use mapprof_tests::truth::Counts;
use mapprof_tests::{Program, programs};
use serde_json::Value;

use super::beside::{Beside, rotated};
use super::figures::{Claim, Row, Samples};

/// How long each variant reads in each round.
const SPAN: &str = "2s";

pub(super) fn measure(rounds: u32) -> Result<Row> {
    let program = programs::newest_go("reads")?;
    let all = Beside::all();
    let mut samples: Vec<_> =
        all.iter().map(|beside| (*beside, Samples::new(beside.name(), "ns per read"))).collect();
    let mut wrong = 0;
    for round in 0..rounds {
        for beside in rotated(&all, round) {
            let held = Program::hold(&program, ["-span", SPAN])?;
            let (truth, outcome) = beside.watch::<Value>(held, &[])?;
            let (_, samples) =
                samples.iter_mut().find(|(it, _)| *it == beside).context("no such variant")?;
            samples.push(per_read(&truth)?);
            if let Some(outcome) = outcome {
                let truth: Counts = serde_json::from_value(truth)?;
                wrong += truth.differences(&outcome.summary()?).len();
            }
        }
    }
    let median = |beside| {
        let found = samples.iter().find(|(it, _)| *it == beside);
        found.map_or(f64::NAN, |(_, samples)| samples.median())
    };
    let added = |beside| median(beside) - median(Beside::Nothing);
    let mapprof = added(Beside::Mapprof);
    let mut claims = vec![
        Claim::plain("an empty probe adds, ns", added(Beside::EmptyProbe)),
        Claim::plain("mapprof adds, ns", mapprof),
        Claim::at_most(
            "mapprof adds, times the empty probe",
            mapprof / added(Beside::EmptyProbe),
            1.2,
        ),
        Claim::at_most("counts that are not exact, of all rounds", f64::from(wrong as u32), 0.0),
    ];
    if all.contains(&Beside::Bpftrace) {
        let bpftrace = added(Beside::Bpftrace);
        claims.push(Claim::plain("bpftrace at the entry adds, ns", bpftrace));
        claims.push(Claim::at_least("that is, times mapprof", bpftrace / mapprof, 10.0));
    }
    Ok(Row { samples: samples.into_iter().map(|(_, samples)| samples).collect(), claims })
}

fn per_read(truth: &Value) -> Result<f64> {
    let field = |name| truth[name].as_f64().with_context(|| format!("no {name} in {truth}"));
    Ok(field("elapsed_ns")? / field("ops")?)
}
