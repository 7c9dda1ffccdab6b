//! From sums and names to the contract.
//!
//! In: a [`Sum`] of slices and the [`Definitions`] of its ids. Out: a [`Summary`],
//! sorted, with every tie broken by id or key, and without findings.

mod locks;
mod maps;
mod naming;

use std::cmp::Reverse;

use probe_ebpf::Call;

use super::bounds::Bounded;
use super::session::Sum;
use super::summary::{
    Attribution, Cost, Lock, LockFunction, Map, Mode, Ops, Runtime, SCHEMA, Summary, Target, Window,
};
use super::{CallSlice, Definitions, LockSlice, Tables, TargetInfo, slice};
use crate::decode;
pub(super) use naming::{Naming, lock_id, map_id};

/// The summary of `sum` with at most `keys` keys of each map by operations, and as
/// many by waits.
pub(super) fn summary(target: &TargetInfo, names: &Definitions, sum: &Sum, keys: usize) -> Summary {
    let Bounded { locks, tables, estimates } = Bounded::of(sum);
    let tables: &Tables = &tables;
    let naming = Naming::new(names, tables);
    // Both are in the order of their ids, and the sort is stable.
    let mut maps: Vec<Map> =
        sum.maps.iter().map(|(&id, map)| maps::summary(&naming, tables, id, map, keys)).collect();
    maps.sort_by_key(|map| (map.internal, Reverse(map.ops.total())));
    let window = window(target, sum, locks.values());
    let of_lock = |lock: &LockSlice| {
        let estimate_ns = estimates.get(&lock.lock).copied();
        Lock { estimate_ns, ..locks::summary(&naming, tables, lock) }
    };
    let mut locks: Vec<Lock> = locks.values().map(of_lock).collect();
    locks.sort_by_key(|lock| Reverse(lock.wait.sum_ns));
    let mut lock_functions: Vec<LockFunction> = sum.calls.iter().map(lock_function).collect();
    lock_functions.sort_by_key(|it| Reverse(it.calls));
    let runtimes = target.runtimes.iter();
    Summary {
        schema: SCHEMA.to_owned(),
        target: Target {
            pid: target.pid,
            exe: target.exe.clone(),
            runtimes: runtimes
                .map(|(name, version)| Runtime { name: name.clone(), version: version.clone() })
                .collect(),
        },
        window,
        maps,
        locks,
        lock_functions,
        findings: Vec::new(),
    }
}

fn lock_function(calls: &CallSlice) -> LockFunction {
    LockFunction {
        function: calls.function.clone(),
        calls: calls.calls(),
        waits: calls.waits(),
        slept: calls.get(Call::Slept),
        lasted: calls.get(Call::Lasted),
        preempted: calls.get(Call::Preempted),
        sees_sleep: calls.sees_sleep,
        lasting_ns: calls.spin_ns.map(u64::from),
    }
}

fn window<'a>(
    target: &TargetInfo,
    sum: &Sum,
    locks: impl Iterator<Item = &'a LockSlice>,
) -> Window {
    let share = |(probe, cpu): (u64, u64)| (cpu > 0).then(|| (probe as f64 / cpu as f64).min(1.0));
    Window {
        start_unix_ns: sum.start_unix_ns,
        duration_ns: sum.duration_ns,
        observed_ns: sum.observed_ns,
        locks_observed_ns: Some(sum.locks_observed_ns).filter(|ns| *ns != sum.observed_ns),
        windows: u64::from(sum.windows),
        slowed: slowed(sum),
        events: sum.events,
        lost: sum.lost.clone(),
        cost: Cost {
            probe_ns: sum.probe_ns,
            target_cpu_share: sum.cpu.and_then(share),
            hit_ns: Some(target.hit_ns).filter(|ns| *ns > 0),
            max_share: target.max_overhead_ppm.map(|ppm| f64::from(ppm) / 1e6),
        },
        tasks: sum.tasks,
        attribution: attribution(locks),
        not_included: target.not_included.clone(),
    }
}

/// Windows that it takes for their CPU time to tell something: it is counted by the tick.
const MOST_UNSURE: u32 = 20;
/// The least share that is told.
const LEAST_SLOWED: f64 = 0.05;

/// How much of the target's CPU time in windows went into probes, where it is a part worth
/// telling.
fn slowed(sum: &Sum) -> Option<f64> {
    // Until it tells something, as if one CPU had worked all the time: to say "at least"
    // too often misleads nobody.
    let least = if sum.windows < MOST_UNSURE { sum.observed_ns } else { 0 };
    let cpu_ns = sum.window_cpu_ns.max(least);
    if sum.windows == 0 || cpu_ns == 0 {
        return None;
    }
    let share = sum.window_probe_ns as f64 / cpu_ns as f64;
    (share >= LEAST_SLOWED).then_some(share.min(1.0))
}

fn attribution<'a>(locks: impl Iterator<Item = &'a LockSlice>) -> Option<Attribution> {
    let sum = locks.fold(Attribution::default(), |sum, lock| Attribution {
        wait_ns: sum.wait_ns.saturating_add(lock.wait.sum_ns()),
        attributed_ns: sum.attributed_ns.saturating_add(lock.attributed_ns),
        blamed_ns: sum.blamed_ns.saturating_add(lock.blamed_ns),
    });
    (sum.wait_ns > 0).then_some(sum)
}

impl From<slice::Ops> for Ops {
    fn from(ops: slice::Ops) -> Self {
        let [lookup, insert, delete, iterate, clear, grow, miss, promote] = ops.0;
        Self { lookup, insert, delete, iterate, clear, grow, miss, promote }
    }
}

impl From<decode::Mode> for Mode {
    fn from(mode: decode::Mode) -> Self {
        match mode {
            decode::Mode::Read => Self::Read,
            decode::Mode::Write => Self::Write,
        }
    }
}
