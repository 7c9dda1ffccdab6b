//! From sums and names to the contract.
//!
//! In: a [`Sum`] of slices and the [`Definitions`] of its ids. Out: a [`Summary`],
//! sorted, with every tie broken by id or key, and without findings.

use super::callers::OTHER;
use super::key_text::{is_cut, key_text};
use super::session::{LockSum, MapSum, Sum};
use super::summary::{
    Caller, Cost, Key, Lock, Map, Ops, Runtime, SCHEMA, Summary, Target, Waiter, Window,
};
use super::{Definitions, Frame, LockId, MapId, MapInfo, StackId, TargetInfo, slice};
use crate::catalog::KeyFormat;

/// What stands for call sites beyond the limit.
const OTHER_CALLERS: &str = "(other)";

/// Bars of a lock's histogram; a narrower display joins neighbours.
const BARS: usize = 64;

/// What an object without a definition is called.
const UNKNOWN: &str = "unknown";

/// A map's id in the summary.
fn map_id(id: MapId) -> String {
    format!("m{}", u64::from(id) + 1)
}

/// A lock's id in the summary.
fn lock_id(id: LockId) -> String {
    format!("l{}", u64::from(id) + 1)
}

/// The summary of `sum` with at most `keys` keys of each map.
pub(super) fn summary(target: &TargetInfo, names: &Definitions, sum: &Sum, keys: usize) -> Summary {
    // Both are in the order of their ids, and the sort is stable.
    let mut maps: Vec<Map> =
        sum.maps.iter().map(|(&id, map)| map_summary(names, id, map, keys)).collect();
    maps.sort_by_key(|map| std::cmp::Reverse(map.ops.total()));
    let mut locks: Vec<Lock> =
        sum.locks.iter().map(|(&id, lock)| lock_summary(names, id, lock)).collect();
    locks.sort_by_key(|lock| std::cmp::Reverse(lock.wait.sum_ns));
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
        window: window(sum),
        maps,
        locks,
        findings: Vec::new(),
    }
}

fn window(sum: &Sum) -> Window {
    let share = |(probe, cpu): (u64, u64)| (cpu > 0).then(|| (probe as f64 / cpu as f64).min(1.0));
    Window {
        start_unix_ns: sum.start_unix_ns,
        duration_ns: sum.duration_ns,
        observed_ns: sum.observed_ns,
        events: sum.events,
        lost: sum.lost.clone(),
        cost: Cost { probe_ns: sum.probe_ns, target_cpu_share: sum.cpu.and_then(share) },
    }
}

fn map_summary(names: &Definitions, id: MapId, map: &MapSum, keys: usize) -> Map {
    let info = names.maps.get(&id);
    let mut callers: Vec<_> = map.callers.as_slice().iter().collect();
    callers.sort_by_key(|(address, ops)| (std::cmp::Reverse(ops.total()), *address));
    Map {
        id: map_id(id),
        address: info.and_then(|info| info.address).map(hex),
        kind: info.map_or_else(|| UNKNOWN.to_owned(), |info| info.kind.clone()),
        type_name: info.and_then(|info| info.type_name.clone()),
        label: info.and_then(|info| info.label.clone()),
        ops: map.ops.into(),
        unreadable_keys: map.unreadable_keys,
        keys: key_summaries(info, map, keys),
        keys_tracked: map.keys_tracked.unwrap_or(map.keys.len() as u64),
        callers: callers
            .into_iter()
            .map(|(address, ops)| Caller {
                frames: caller_frames(names, *address),
                ops: (*ops).into(),
            })
            .collect(),
    }
}

fn key_summaries(info: Option<&MapInfo>, map: &MapSum, keys: usize) -> Vec<Key> {
    type Row<'a> = (&'a [u8], u64, slice::Ops, u64);
    let by_ops =
        |a: &Row, b: &Row| b.2.total().cmp(&a.2.total()).then_with(|| (a.0, a.1).cmp(&(b.0, b.1)));
    let mut rows: Vec<Row> = map.keys.iter().collect();
    if keys < rows.len() {
        rows.select_nth_unstable_by(keys, by_ops);
        rows.truncate(keys);
    }
    rows.sort_unstable_by(by_ops);
    let format = info.map_or(KeyFormat::Bytes, |info| info.key_format);
    let total = map.ops.total().max(1) as f64;
    rows.into_iter()
        .map(|(bytes, len, ops, error)| {
            let key = slice::Key { bytes: bytes.into(), len };
            Key {
                key: key_text(&key, format),
                type_name: info.and_then(|info| info.key_type.clone()),
                ops: ops.into(),
                share: (ops.total() as f64 / total).min(1.0),
                margin: error,
                cut: is_cut(&key),
            }
        })
        .collect()
}

fn lock_summary(names: &Definitions, id: LockId, lock: &LockSum) -> Lock {
    let info = names.locks.get(&id);
    let mut waiters: Vec<_> = lock.waiters.iter().collect();
    waiters.sort_by_key(|waiter| std::cmp::Reverse((waiter.wait_ns, waiter.count)));
    Lock {
        id: lock_id(id),
        address: info.and_then(|info| info.address).map(hex),
        kind: info.map_or_else(|| UNKNOWN.to_owned(), |info| info.kind.clone()),
        label: info.and_then(|info| info.label.clone()),
        maps: Vec::new(),
        wait: lock.wait.h(),
        wait_buckets: lock.wait.buckets(BARS),
        hold: None,
        waiters: waiters
            .into_iter()
            .map(|waiter| Waiter {
                stack: stack_frames(names, waiter.stack),
                count: waiter.count,
                wait_ns: waiter.wait_ns,
            })
            .collect(),
        open_waits: lock.open,
        open_max_ns: lock.open_max_ns,
    }
}

fn caller_frames(names: &Definitions, address: u64) -> Vec<Frame> {
    if address == OTHER {
        return vec![Frame {
            function: OTHER_CALLERS.to_owned(),
            file: None,
            line: None,
            module: None,
        }];
    }
    frames_at(names, address)
}

fn stack_frames(names: &Definitions, stack: StackId) -> Vec<Frame> {
    let addresses = names.stacks.get(&stack).map(Vec::as_slice).unwrap_or_default();
    addresses.iter().flat_map(|&address| frames_at(names, address)).collect()
}

/// What stands at an address: itself where nothing is known of it.
fn frames_at(names: &Definitions, address: u64) -> Vec<Frame> {
    match names.frames.get(&address) {
        Some(frames) if !frames.is_empty() => frames.clone(),
        _ => vec![Frame { function: hex(address), file: None, line: None, module: None }],
    }
}

fn hex(address: u64) -> String {
    format!("{address:#x}")
}

impl From<slice::Ops> for Ops {
    fn from(ops: slice::Ops) -> Self {
        let [lookup, insert, delete, iterate, clear, grow] = ops.0;
        Self { lookup, insert, delete, iterate, clear, grow }
    }
}
