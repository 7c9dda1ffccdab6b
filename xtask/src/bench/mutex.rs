//! A mutex that nobody fights for must cost nothing, one that eight goroutines
//! fight for nearly nothing.

use anyhow::{Context, Result};
use mapprof_tests::{Program, programs};
use serde_json::Value;

use super::beside::{Beside, rotated};
use super::figures::{Claim, Row, Samples};

const BOTH: [Beside; 2] = [Beside::Nothing, Beside::Mapprof];

/// The program's result is written as JSON, which uses maps: those are not what an
/// uncontended mutex costs.
const LOCKS_ONLY: [&str; 2] = ["--only", "locks"];

/// One goroutine, an empty section.
pub(super) fn uncontended(rounds: u32) -> Result<Row> {
    let measured = compare(rounds, ["-goroutines", "1", "-locks", "50000000", "-section", "0s"])?;
    let claims = vec![
        Claim::at_most("events, of all rounds", measured.events as f64, 0.0),
        Claim::plain("with mapprof, times alone", measured.ratio()),
    ];
    Ok(Row { samples: measured.samples.into(), claims })
}

/// Eight goroutines, 160,000 sections of 300 ns.
pub(super) fn contended(rounds: u32) -> Result<Row> {
    // Single runs of 50 ms are noisy: three for each round that was asked for.
    let measured =
        compare(3 * rounds, ["-goroutines", "8", "-locks", "160000", "-section", "300ns"])?;
    let claims = vec![
        Claim::plain("waits, of all rounds", measured.waits as f64),
        Claim::at_most("with mapprof, times alone", measured.ratio(), 1.1),
    ];
    Ok(Row { samples: measured.samples.into(), claims })
}

struct Measured {
    /// Alone, and with mapprof.
    samples: [Samples; 2],
    events: u64,
    waits: u64,
}

impl Measured {
    fn ratio(&self) -> f64 {
        self.samples[1].median() / self.samples[0].median()
    }
}

fn compare(rounds: u32, args: [&str; 6]) -> Result<Measured> {
    let program = programs::newest_go("mutex")?;
    let samples = BOTH.map(|beside| Samples::new(beside.name(), "ns per lock"));
    let mut measured = Measured { samples, events: 0, waits: 0 };
    for round in 0..rounds {
        for beside in rotated(&BOTH, round) {
            let held = Program::hold(&program, args)?;
            let (truth, outcome) = beside.watch::<Value>(held, &LOCKS_ONLY)?;
            let field = |name| truth[name].as_f64().with_context(|| format!("no {name}"));
            let variant = usize::from(beside == Beside::Mapprof);
            measured.samples[variant].push(field("elapsed_ns")? / field("locks")?);
            if let Some(outcome) = outcome {
                let summary = outcome.summary()?;
                measured.events += summary.window.events;
                measured.waits += summary.locks.iter().map(|lock| lock.wait.count).sum::<u64>();
            }
        }
    }
    Ok(measured)
}
