//! The worst case within the default budget: two goroutines that do nothing but
//! read maps, alone and beside mapprof in turn, compared pair by pair.

use anyhow::Result;
use mapprof_tests::{Program, programs};
use serde_json::Value;

use super::Args;
use super::beside::{Beside, How};
use super::figures::{Claim, Row, Samples};
use super::interleave::rotated;
use super::maps::{cpu_per_operation, per_operation};

/// Fewer say little about a hundredth.
const PAIRS: u32 = 10;

pub(super) fn measure(args: &Args) -> Result<Row> {
    let program = programs::newest_go("reads")?;
    let pairs = if args.quick { 2 } else { PAIRS.max(2 * args.rounds()) };
    let span = args.span_ms(4000);
    let mut rates = [Beside::Nothing, Beside::Budget]
        .map(|beside| (beside, Samples::new(beside.name(), "M operations per s")));
    let mut cpu = Samples::new("mapprof itself", "% of a core");
    let mut losses = Samples::new("throughput lost, by pair", "%");
    let mut cpu_losses = Samples::new("the same, of operations per CPU time", "%");
    for pair in 0..pairs {
        let (mut both, mut by_cpu) = ([f64::NAN; 2], [f64::NAN; 2]);
        for variant in rotated(&[0, 1], pair) {
            let (beside, samples) = &mut rates[variant];
            let held = Program::hold(&program, ["-goroutines", "2", "-span", &span])?;
            let watched = beside.watch::<Value>(held, How::default())?;
            both[variant] = 1e3 / per_operation(&watched.truth)?;
            by_cpu[variant] = 1e3 / cpu_per_operation(&watched.truth)?;
            samples.push(both[variant]);
            if let Some(percent) = watched.own_cpu {
                cpu.push(percent);
            }
        }
        losses.push((1.0 - both[1] / both[0]) * 100.0);
        cpu_losses.push((1.0 - by_cpu[1] / by_cpu[0]) * 100.0);
    }
    let claims = vec![
        Claim::at_most(
            format!("throughput lost, %, median of {pairs} pairs"),
            losses.median(),
            1.0,
        ),
        // On a machine that others use, too, this says more.
        Claim::plain("the same, of operations per CPU time", cpu_losses.median()),
        Claim::plain("mapprof itself, % of a core", cpu.median()),
    ];
    let samples =
        rates.into_iter().map(|(_, samples)| samples).chain([losses, cpu_losses, cpu]).collect();
    Ok(Row { samples, claims })
}
