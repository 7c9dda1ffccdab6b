//! What is run in a guest, and how it is judged.
//!
//! In: what a check printed there. Out: in what it differs from what the program
//! that was profiled says of itself, by the comparison that the tests use. A program
//! is launched by mapprof, so that its own line comes before the summary.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::head;
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::{Counts, LockWaits, Locks, MapCounts, Tolerance, Waits};
use mapprof_tests::{Outcome, blame, programs};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::guest;

/// One command and its judge.
pub(crate) struct Check {
    /// Names its files, too.
    pub(crate) name: &'static str,
    /// What the guest's shell runs.
    pub(crate) command: &'static str,
    judge: fn(Outcome) -> Result<Vec<String>>,
}

/// Wider than on a real machine: a probe takes several times as long, and a goroutine
/// that is emulated and preempted is late without having waited for a lock.
const EMULATED: Tolerance =
    Tolerance { missed_percent: 2, sum_percent: 5, probes_per_wait_ns: 20_000 };

/// Where a wait ends with a return probe, too, for which the kernel single-steps.
const EMULATED_RETURN: Tolerance =
    Tolerance { missed_percent: 0, probes_per_wait_ns: 200_000, ..EMULATED };

/// Rounds are few, since a CPU that is emulated is slow, and buffers large, since the
/// reader is as slow as the programs.
pub(crate) const CHECKS: [Check; 8] = [
    Check { name: "doctor", command: "mapprof doctor", judge: doctor },
    Check {
        name: "verifier",
        // The kernel tells of each program how far its verifier had to go.
        command: "sh -c 'mapprof stat -- owner -rounds 60 -hold 50ms > summary 2> messages & \
                  until grep -q ^attached messages; do sleep 1; done; \
                  cat /proc/$!/fdinfo/*; wait'",
        judge: verifier,
    },
    Check {
        name: "counts",
        command: "mapprof stat --format json --keys 100000 --ring-mib 32 --only maps \
                  -- counts -rounds 500",
        judge: counts,
    },
    Check {
        name: "syncmap",
        command: "mapprof stat --format json --keys 100000 --ring-mib 32 --only maps \
                  -- syncmap -rounds 500",
        judge: counts,
    },
    Check {
        name: "keytypes",
        command: "mapprof stat --format json --keys 100000 --ring-mib 32 --only maps \
                  -- keytypes -rounds 5",
        judge: counts,
    },
    Check {
        name: "locks",
        command: "mapprof stat --format json --ring-mib 32 --only locks -- locks",
        judge: locks,
    },
    Check {
        name: "owner",
        // Long holds, beside which it is little that an emulated wake-up takes.
        command: "mapprof stat --format json --ring-mib 32 \
                  -- owner -scenario mutex -rounds 15 -hold 200ms",
        judge: owner,
    },
    Check {
        name: "native",
        command: "mapprof stat --format json --keys 100000 --ring-mib 32 --no-builtin \
                  --probe 'lookup:ht_get key=arg2:str map=arg1' \
                  --probe 'insert:ht_put key=arg2:str map=arg1' \
                  --probe 'delete:ht_del key=arg2:str map=arg1' \
                  --probe 'lookup:it_get key=arg2:int map=arg1' \
                  --probe 'insert:it_put key=arg2:int map=arg1' \
                  --probe 'lookup:sl_get key=arg2:str len=arg3 map=arg1' \
                  --probe 'lock:take lock=arg1' -- hash",
        judge: native,
    },
];

impl Check {
    /// The program that is profiled, if any.
    pub(crate) fn program(&self) -> Option<&'static str> {
        self.command.split_once(" -- ")?.1.split(' ').next()
    }

    /// Builds that program.
    pub(crate) fn build(name: &str) -> Result<PathBuf> {
        if name == "hash" { programs::hash() } else { programs::newest_go(name) }
    }

    /// Everything that is not as it should be.
    pub(crate) fn differences(&self, home: &Path) -> Result<Vec<String>> {
        (self.judge)(guest::outcome(home, self.name)?)
    }
}

/// The verifier accepts every program, not only those that the other checks use.
fn doctor(outcome: Outcome) -> Result<Vec<String>> {
    outcome.expect_stdout("BPF programs  load").map(|_| Vec::new())
}

/// What the verifier walks through at most: `BPF_COMPLEXITY_LIMIT_INSNS` in Linux's
/// include/linux/bpf.h.
const VERIFIER_LIMIT: u64 = 1_000_000;

/// There is room, since a small change of a program may double its states.
fn verifier(outcome: Outcome) -> Result<Vec<String>> {
    let outcome = outcome.expect_code(0)?;
    let verified = outcome.stdout.lines().filter_map(|line| line.strip_prefix("verified_insns:"));
    let verified: Vec<u64> =
        verified.map(|digits| digits.trim().parse()).collect::<Result<_, _>>()?;
    ensure!(!verified.is_empty(), "no program is among what mapprof has open");
    let most = |it: &u64| format!("a program of {it} verified instructions of {VERIFIER_LIMIT}");
    Ok(verified.iter().filter(|it| **it > VERIFIER_LIMIT / 2).map(most).collect())
}

fn counts(outcome: Outcome) -> Result<Vec<String>> {
    let (truth, summary) = outcome.truth_and_summary::<Counts>()?;
    Ok(counted(&truth, &summary))
}

fn counted(truth: &Counts, summary: &Summary) -> Vec<String> {
    let mut differences = truth.differences(summary);
    if truth.mismatches > 0 {
        differences.push(format!("{} wrong results in the program itself", truth.mismatches));
    }
    differences
}

fn locks(outcome: Outcome) -> Result<Vec<String>> {
    let (truth, summary) = outcome.truth_and_summary::<Locks>()?;
    let mut differences = truth.differences_within(EMULATED, &summary);
    if truth.violations > 0 {
        differences.push(format!("{} times a lock did not exclude", truth.violations));
    }
    differences.extend(summary.window.lost.iter().map(|lost| format!("lost: {lost:?}")));
    Ok(differences)
}

fn owner(outcome: Outcome) -> Result<Vec<String>> {
    let outcome = outcome.expect_code(0)?;
    let (truth, summary) = outcome.stdout.split_once('\n').context("stdout is a single line")?;
    let truth: blame::Truth = parse(truth)?;
    Ok(truth.differences(&parse(summary)?))
}

/// What the C program says of itself.
#[derive(Deserialize)]
struct Native {
    maps: Vec<MapCounts>,
    lock: NativeLock,
    mismatches: u64,
}

#[derive(Deserialize)]
struct NativeLock {
    address: String,
    waits: u64,
    wait_ns: u64,
}

fn native(outcome: Outcome) -> Result<Vec<String>> {
    let (truth, summary) = outcome.truth_and_summary::<Native>()?;
    let counts = Counts { maps: truth.maps, mismatches: truth.mismatches };
    let mut differences = counted(&counts, &summary);
    let NativeLock { address, waits, wait_ns } = truth.lock;
    let none = Waits { waits: 0, wait_ns: 0, doubtful: 0, doubtful_ns: 0 };
    // Calls that did not sleep and lasted long all the same, of which the program knows
    // nothing: an emulated CPU now and then stands still.
    let doubtful: u64 = summary.lock_functions.iter().map(|function| function.lasted).sum();
    let longest = summary.locks.iter().map(|lock| lock.wait.max_ns).max().unwrap_or(0);
    let write = Waits { waits, wait_ns, doubtful, doubtful_ns: doubtful * longest };
    // The user who names a lock's function does not say what kind it is.
    let lock =
        LockWaits { address, kind: String::new(), write, read: none, split: false, hold_p50_ns: 0 };
    differences.extend(
        Locks { locks: vec![lock], violations: 0 }.differences_within(EMULATED_RETURN, &summary),
    );
    Ok(differences)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).with_context(|| format!("this does not parse:\n{}", head(text)))
}
