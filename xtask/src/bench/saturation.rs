//! Two goroutines that do nothing but read maps for 30 seconds: more than two
//! CPUs can take, and not one event may be missing.

use anyhow::Result;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Program, programs};
use serde_json::Value;

use super::beside::Beside;
use super::figures::{Claim, Row, Samples};

pub(super) fn measure(_rounds: u32) -> Result<Row> {
    let program = programs::newest_go("reads")?;
    let held = Program::hold(&program, ["-goroutines", "2", "-span", "30s"])?;
    let (truth, outcome) = Beside::Mapprof.watch::<Value>(held, &[])?;
    let mut rate = Samples::new("mapprof", "M reads per s");
    let seconds = truth["elapsed_ns"].as_f64().unwrap_or(f64::NAN) / 1e9;
    rate.push(truth["ops"].as_f64().unwrap_or(f64::NAN) / 1e6 / seconds);
    let truth: Counts = serde_json::from_value(truth)?;
    let mut claims = Vec::new();
    if let Some(outcome) = outcome {
        let summary = outcome.summary()?;
        let lost: u64 = summary.window.lost.values().sum();
        let differences = truth.differences(&summary);
        for difference in differences.iter().take(10) {
            eprintln!("saturation: {difference}");
        }
        claims.push(Claim::plain("events, M", summary.window.events as f64 / 1e6));
        claims.push(Claim::at_most("events lost", lost as f64, 0.0));
        claims.push(Claim::at_most("counts that are not exact", differences.len() as f64, 0.0));
    }
    Ok(Row { samples: vec![rate], claims })
}
