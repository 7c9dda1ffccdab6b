//! A mutex that nobody fights for must cost nothing, one that eight goroutines
//! fight for nearly nothing.

use anyhow::{Context, Result};
use mapprof_tests::{Program, programs};
use serde_json::Value;

use super::Args;
use super::beside::{Beside, How};
use super::figures::{Claim, Row, Samples};
use super::interleave::{Measured, interleave};

/// How a lock is used.
struct Load {
    args: &'static [&'static str],
    /// The functions that only those call who find it taken, with the lock (or its
    /// semaphore) as their first argument by Go's register ABI.
    slow_paths: &'static [(&'static str, &'static str)],
}

const COUNT_BY_LOCK: &str = "@[reg(\"ax\")] = count();";
const MUTEX: &[(&str, &str)] = &[("internal/sync.*Mutex*.lockSlow", COUNT_BY_LOCK)];
const RWMUTEX: &[(&str, &str)] = &[
    ("sync.runtime_SemacquireRWMutexR", COUNT_BY_LOCK),
    ("sync.runtime_SemacquireRWMutex", COUNT_BY_LOCK),
];

/// One goroutine, an empty section.
const UNCONTENDED: Load =
    Load { args: &["-goroutines", "1", "-locks", "50000000", "-section", "0s"], slow_paths: MUTEX };
/// Eight goroutines, two million sections of 300 ns.
const CONTENDED: Load =
    Load { args: &["-measure", "-goroutines", "8", "-locks", "2000000"], slow_paths: MUTEX };
/// The same, seven of eight to read.
const SHARED: Load =
    Load { args: &["-rw", "-goroutines", "8", "-locks", "2000000"], slow_paths: RWMUTEX };

pub(super) fn uncontended(args: &Args) -> Result<Row> {
    let found = compare(&UNCONTENDED, args.rounds())?;
    let claims = vec![
        Claim::at_most("events, of all rounds", found.events as f64, 0.0),
        Claim::plain("exact, times alone", found.elapsed.ratio(Beside::Exact)),
        Claim::plain("at 1%, times alone", found.elapsed.ratio(Beside::Budget)),
    ];
    Ok(Row { samples: found.elapsed.into_samples(), claims })
}

pub(super) fn mutex(args: &Args) -> Result<Row> {
    fought_for(&CONTENDED, args, Some(1.05))
}

pub(super) fn rwmutex(args: &Args) -> Result<Row> {
    fought_for(&SHARED, args, None)
}

/// Three rounds for each that was asked for, since contention is noisy.
fn fought_for(load: &Load, args: &Args, at_most: Option<f64>) -> Result<Row> {
    let found = compare(load, 3 * args.rounds())?;
    let wait = |beside| {
        let of = |beside| found.waits.iter().find(|(it, _)| *it == beside);
        of(beside).map_or(f64::NAN, |(_, samples)| samples.median())
    };
    let claim = |what: &str, ratio| match at_most {
        Some(most) => Claim::at_most(what, ratio, most),
        None => Claim::plain(what, ratio),
    };
    let alone = wait(Beside::Nothing);
    let mut claims = vec![
        Claim::plain("waits seen, of all rounds", found.seen as f64),
        claim("at 1%, elapsed, times alone", found.elapsed.ratio(Beside::Budget)),
        claim("at 1%, self-measured wait, times alone", wait(Beside::Budget) / alone),
        Claim::plain("exact, elapsed, times alone", found.elapsed.ratio(Beside::Exact)),
        Claim::plain("exact, self-measured wait, times alone", wait(Beside::Exact) / alone),
    ];
    for beside in [Beside::MutexProfile, Beside::Bpftrace] {
        if found.elapsed.has(beside) {
            let what = format!("{}, elapsed, times alone", beside.name());
            claims.push(Claim::plain(what, found.elapsed.ratio(beside)));
        }
    }
    Ok(Row { samples: found.elapsed.into_samples(), claims })
}

struct Found {
    elapsed: Measured,
    /// What the program measured itself, ns per lock.
    waits: Vec<(Beside, Samples)>,
    /// Events and waits that exact mapprof reported.
    events: u64,
    seen: u64,
}

fn compare(load: &Load, rounds: u32) -> Result<Found> {
    let program = programs::newest_go("mutex")?;
    let mut waits: Vec<_> =
        Beside::LOCKS.map(|it| (it, Samples::new(it.name(), "ns per lock"))).into();
    let (mut events, mut seen) = (0, 0);
    // The program's result is written as JSON, which uses maps: those are not what a
    // mutex costs.
    let how = How { options: &["--only", "locks"], bpftrace: load.slow_paths };
    let elapsed = interleave(&Beside::LOCKS, rounds, "ns per lock", |beside| {
        let held = Program::hold(&program, load.args.iter().chain(beside.program_args()))?;
        let watched = beside.watch::<Value>(held, how)?;
        let truth = watched.truth;
        let field = |name| truth[name].as_f64().with_context(|| format!("no {name} in {truth}"));
        let locks = field("locks")?;
        let waited = field("wait_ns")? / locks;
        if let Some((_, samples)) = waits.iter_mut().find(|(it, _)| *it == beside) {
            samples.push(waited);
        }
        if let (Beside::Exact, Some(outcome)) = (beside, watched.outcome) {
            let summary = outcome.summary()?;
            events += summary.window.events;
            seen += summary.locks.iter().map(|lock| lock.wait.count).sum::<u64>();
        }
        Ok(field("elapsed_ns")? / locks)
    })?;
    Ok(Found { elapsed, waits, events, seen })
}
