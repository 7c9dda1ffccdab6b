//! What mapprof needs to remember 100,000 distinct keys.

use anyhow::Result;
use mapprof_tests::{Mapprof, Program, programs};
use serde_json::Value;

use super::figures::{Claim, Row, Samples};

pub(super) fn measure(rounds: u32) -> Result<Row> {
    let program = programs::newest_go("keys")?;
    let mut peak = Samples::new("mapprof, 100,000 keys", "MB");
    for _ in 0..rounds.min(3) {
        let mut held = Program::hold(&program, ["-keys", "100000", "-passes", "3"])?;
        let running = Mapprof::new(["stat", "--duration", "170s", "--pid"])
            .arg(held.pid().to_string())
            .attach()?;
        held.begin()?;
        let _: Value = held.truth()?;
        let (outcome, most) = running.interrupt_and_weigh()?;
        outcome.expect_code(0)?;
        held.finish_well()?;
        peak.push(most as f64 / 1e6);
    }
    let claims = vec![Claim::at_most("most memory at any time, MB", peak.max(), 64.0)];
    Ok(Row { samples: vec![peak], claims })
}
