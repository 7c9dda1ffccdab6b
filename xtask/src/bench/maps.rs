//! Loops of nothing but map operations: what one probed operation costs, and what
//! that is beside an empty probe and beside a probe at the function's entry.

use anyhow::{Context, Result};
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Program, programs};
use serde_json::Value;

use super::Args;
use super::beside::{Beside, How};
use super::figures::{Claim, Row};
use super::interleave::interleave;

/// One kind of operation.
pub(super) struct Load {
    program: &'static str,
    args: &'static [&'static str],
    /// What people would write for it: the functions that the operations call, whose
    /// arguments are by Go's register ABI.
    bpftrace: &'static [(&'static str, &'static str)],
    /// How many times costlier bpftrace is to be; `None` where nothing is claimed.
    bpftrace_at_least: Option<f64>,
}

/// Reads by integers.
pub(super) const READS: Load = Load {
    program: "reads",
    args: &[],
    bpftrace: &[("runtime.mapaccess1_fast64", "@[reg(\"cx\")] = count();")],
    bpftrace_at_least: Some(15.0),
};

/// Reads by text.
pub(super) const STRINGS: Load = Load {
    program: "ops",
    args: &["-kind", "string"],
    bpftrace: &[("runtime.mapaccess1_faststr", "@[str(reg(\"cx\"), reg(\"di\"))] = count();")],
    bpftrace_at_least: Some(15.0),
};

/// Reads by text for which most records have no room. bpftrace takes 64 bytes of each.
pub(super) const LONG: Load = Load {
    program: "ops",
    args: &["-kind", "long"],
    bpftrace: STRINGS.bpftrace,
    bpftrace_at_least: None,
};

/// An insert, a read and a delete in turn.
pub(super) const MIXED: Load = Load {
    program: "ops",
    args: &["-kind", "mixed"],
    bpftrace: &[
        ("runtime.mapaccess1_fast64", "@[reg(\"cx\")] = count();"),
        ("runtime.mapassign_fast64", "@[reg(\"cx\")] = count();"),
        ("runtime.mapdelete_fast64", "@[reg(\"cx\")] = count();"),
    ],
    bpftrace_at_least: Some(15.0),
};

/// A `sync.Map`: seven times Load, then Store.
pub(super) const SYNC_MAP: Load = Load {
    program: "ops",
    args: &["-kind", "sync"],
    bpftrace: &[
        // The type parameters' braces and brackets are more than its parser takes.
        ("internal/sync.*HashTrieMap*interface*.Load", "@[*(uint64*)reg(\"di\")] = count();"),
        ("internal/sync.*HashTrieMap*interface*.Swap", "@[*(uint64*)reg(\"di\")] = count();"),
    ],
    bpftrace_at_least: Some(15.0),
};

pub(super) fn measure(load: &Load, args: &Args) -> Result<Row> {
    let program = programs::newest_go(load.program)?;
    let span = args.span_ms(2000);
    let mut wrong = 0;
    let how = How { options: &[], bpftrace: load.bpftrace };
    let measured = interleave(&Beside::MAPS, args.rounds(), "ns of CPU per operation", |beside| {
        let held = Program::hold(&program, load.args.iter().chain(&["-span", &span]))?;
        let watched = beside.watch::<Value>(held, how)?;
        let cost = cpu_per_operation(&watched.truth)?;
        if let (Beside::Exact, Some(outcome)) = (beside, watched.outcome) {
            wrong += differences(watched.truth, &outcome.summary()?)?;
        }
        Ok(cost)
    })?;
    let mut claims = measured.claims(load.bpftrace_at_least);
    claims.push(Claim::at_most("counts that are not exact, of all rounds", wrong as f64, 0.0));
    Ok(Row { samples: measured.into_samples(), claims })
}

/// Elapsed nanoseconds, by the program's own clock and count.
pub(super) fn per_operation(truth: &Value) -> Result<f64> {
    Ok(field(truth, "elapsed_ns")? / field(truth, "ops")?)
}

/// Nanoseconds of CPU time, by the program's own count: probes run in the target's
/// threads, and what else the machine does is not in it.
pub(super) fn cpu_per_operation(truth: &Value) -> Result<f64> {
    Ok(field(truth, "cpu_ns")? / field(truth, "ops")?)
}

fn field(truth: &Value, name: &str) -> Result<f64> {
    truth[name].as_f64().with_context(|| format!("the program tells no {name}"))
}

/// How many counts differ; the first are told.
pub(super) fn differences(truth: Value, summary: &Summary) -> Result<usize> {
    let truth: Counts = serde_json::from_value(truth)?;
    let differences = truth.differences(summary);
    for difference in differences.iter().take(10) {
        eprintln!("not exact: {difference}");
    }
    Ok(differences.len())
}
