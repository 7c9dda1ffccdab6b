//! From ten distinct keys to ten million: what an operation costs, what goes through
//! the rings for it, and what mapprof needs to remember.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use mapprof_tests::{Mapprof, Program, programs};
use serde_json::Value;

use super::Args;
use super::figures::{Claim, Row, Samples};
use super::maps::cpu_per_operation;
use super::traffic;

/// Keys, what they are called, and operations of a run.
const SIZES: [(u64, &str, u64); 4] = [
    (10, "10 keys", 2_000_000),
    (1_000, "1,000 keys", 2_000_000),
    (100_000, "100,000 keys", 2_000_000),
    (10_000_000, "10,000,000 keys", 10_000_000),
];
/// Until what is combined in the kernel has been fetched, too.
const SETTLE: Duration = Duration::from_millis(300);
/// bytes
const MEGABYTE: f64 = 1e6;
/// What mapprof may need.
const MEMORY_MB: f64 = 64.0;

/// Keys are integers.
pub(super) fn measure(args: &Args) -> Result<Row> {
    let mut row = Row::default();
    for (keys, name, ops) in SIZES {
        let mut cost = Samples::new(name, "ns of CPU per operation");
        let mut traffic = Samples::new(name, "bytes in the rings per operation");
        let mut memory = Samples::new(name, "MB, mapprof's most");
        for _ in 0..args.rounds().min(3) {
            let seen = run("distinct", keys, ops)?;
            cost.push(seen.per_operation);
            traffic.push(seen.bytes_per_operation);
            memory.push(seen.memory_mb);
            row.claims.extend(seen.differs(name));
        }
        row.claims.push(Claim::at_most(
            format!("{name}: most memory at any time, MB"),
            memory.max(),
            MEMORY_MB,
        ));
        row.samples.extend([cost, traffic, memory]);
    }
    Ok(row)
}

/// Keys are text of 18 bytes, of which there are 100,000 and ten million.
pub(super) fn memory(args: &Args) -> Result<Row> {
    let mut row = Row::default();
    for (keys, name, ops) in SIZES.into_iter().skip(2) {
        let mut most = Samples::new(name, "MB, mapprof's most");
        for _ in 0..args.rounds().min(3) {
            let seen = run("distinct-string", keys, ops)?;
            most.push(seen.memory_mb);
            row.claims.extend(seen.differs(name));
        }
        row.claims.push(Claim::at_most(
            format!("{name}: most memory at any time, MB"),
            most.max(),
            MEMORY_MB,
        ));
        row.samples.push(most);
    }
    Ok(row)
}

struct Seen {
    per_operation: f64,
    bytes_per_operation: f64,
    memory_mb: f64,
    /// Operations by the program, and by mapprof.
    ops: [u64; 2],
}

impl Seen {
    fn differs(&self, name: &str) -> Option<Claim> {
        let [truth, seen] = self.ops;
        let missing = truth.abs_diff(seen) as f64;
        (missing > 0.0)
            .then(|| Claim::at_most(format!("{name}: operations that differ"), missing, 0.0))
    }
}

fn run(kind: &str, keys: u64, ops: u64) -> Result<Seen> {
    let program = programs::newest_go("ops")?;
    let (keys, ops) = (keys.to_string(), ops.to_string());
    let args = ["-kind", kind, "-keys", &keys, "-ops", &ops, "-span", "150s"];
    let mut held = Program::hold(&program, args)?;
    let stat = ["stat", "--max-overhead", "none", "--format", "json", "--duration", "170s"];
    let running = Mapprof::new(stat).args(["--pid", &held.pid().to_string()]).attach()?;
    held.begin()?;
    let truth: Value = held.truth()?;
    sleep(SETTLE);
    let bytes = traffic::written(running.pid())?;
    let (outcome, most) = running.interrupt_and_weigh()?;
    held.finish_well()?;
    let summary = outcome.summary()?;
    let done = truth["ops"].as_u64().unwrap_or(0);
    // The map of the lookups; others are those of the program's own JSON.
    let seen = summary.maps.iter().map(|map| map.ops.lookup).max().unwrap_or(0);
    Ok(Seen {
        per_operation: cpu_per_operation(&truth)?,
        bytes_per_operation: bytes as f64 / done as f64,
        memory_mb: most as f64 / MEGABYTE,
        ops: [done, seen],
    })
}
