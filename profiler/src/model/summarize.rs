//! From sums and names to the contract.
//!
//! In: a [`Sum`] of slices and the [`Definitions`] of its ids. Out: a [`Summary`],
//! sorted, with every tie broken by id or key, and without findings.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use probe_ebpf::{CALLER_NOT_SAMPLED, CALLERS_PER_TICK};

use super::callers::OTHER;
use super::key_text::{is_cut, key_text};
use super::session::{LockSum, MapSum, Sum};
use super::summary::{
    Caller, Cost, Key, Lock, Map, Ops, Runtime, SCHEMA, Summary, Target, Waiter, Window,
};
use super::{Definitions, Frame, LockId, MapId, MapInfo, StackId, TargetInfo, WaiterSlice, slice};
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
    maps.sort_by_key(|map| Reverse(map.ops.total()));
    let mut locks: Vec<Lock> =
        sum.locks.iter().map(|(&id, lock)| lock_summary(names, id, lock)).collect();
    locks.sort_by_key(|lock| Reverse(lock.wait.sum_ns));
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
        callers: caller_summaries(names, map),
    }
}

/// Call sites that read the same are one; ties are broken by the lowest address.
/// Where only some operations told theirs, the counts are scaled to all.
fn caller_summaries(names: &Definitions, map: &MapSum) -> Vec<Caller> {
    let mut places: HashMap<Vec<Frame>, (u64, slice::Ops)> = HashMap::new();
    let mut sampled = slice::Ops::default();
    for (address, ops) in map.callers.as_slice() {
        if *address == CALLER_NOT_SAMPLED {
            continue;
        }
        sampled.add(ops);
        let frames = caller_frames(names, *address);
        let (first, sum) = places.entry(frames).or_insert((*address, slice::Ops::default()));
        *first = (*first).min(*address);
        sum.add(ops);
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by_key(|(_, (address, ops))| (Reverse(ops.total()), *address));
    places
        .into_iter()
        .map(|(frames, (_, ops))| Caller {
            frames,
            margin: caller_margin(ops.total(), sampled.total(), map.ops.total()),
            ops: scaled(&ops, &sampled, &map.ops).into(),
        })
        .collect()
}

/// `ops` of the `sampled` operations as a part of `all`, kind by kind.
fn scaled(ops: &slice::Ops, sampled: &slice::Ops, all: &slice::Ops) -> slice::Ops {
    let mut scaled = slice::Ops::default();
    for (index, count) in scaled.0.iter_mut().enumerate() {
        let (part, of, whole) =
            (u128::from(ops.0[index]), u128::from(sampled.0[index]), u128::from(all.0[index]));
        *count = (part * whole).checked_div(of).unwrap_or(0) as u64;
    }
    scaled
}

/// Half the width of the 95% interval of a scaled count. Callers are read in runs of
/// [`CALLERS_PER_TICK`], so each run counts as one observation: as if all its
/// operations came from one place, which is the worst that a run can be.
fn caller_margin(ops: u64, sampled: u64, all: u64) -> u64 {
    if sampled == 0 || sampled == all {
        return 0;
    }
    let share = ops as f64 / sampled as f64;
    let runs = (sampled as f64 / CALLERS_PER_TICK as f64).max(1.0);
    (1.96 * (share * (1.0 - share) / runs).sqrt() * all as f64).ceil() as u64
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
    Lock {
        id: lock_id(id),
        address: info.and_then(|info| info.address).map(hex),
        kind: info.map_or_else(|| UNKNOWN.to_owned(), |info| info.kind.clone()),
        label: info.and_then(|info| info.label.clone()),
        maps: Vec::new(),
        wait: lock.wait.h(),
        wait_buckets: lock.wait.buckets(BARS),
        hold: None,
        waiters: waiter_summaries(names, lock),
        open_waits: lock.open,
        open_max_ns: lock.open_max_ns,
    }
}

/// Stacks that read the same are one; ties are broken by the lowest id.
fn waiter_summaries(names: &Definitions, lock: &LockSum) -> Vec<Waiter> {
    let mut stacks: HashMap<Vec<Frame>, WaiterSlice> = HashMap::new();
    // In the order of their ids, so that the first is the lowest.
    for waiter in lock.waiters.iter() {
        match stacks.entry(stack_frames(names, waiter.stack)) {
            Entry::Vacant(slot) => {
                slot.insert(waiter);
            }
            Entry::Occupied(mut slot) => {
                let sum = slot.get_mut();
                sum.count = sum.count.saturating_add(waiter.count);
                sum.wait_ns = sum.wait_ns.saturating_add(waiter.wait_ns);
            }
        }
    }
    let mut stacks: Vec<_> = stacks.into_iter().collect();
    stacks.sort_by_key(|(_, sum)| (Reverse((sum.wait_ns, sum.count)), sum.stack));
    let waiter = |(stack, sum): (Vec<Frame>, WaiterSlice)| Waiter {
        stack,
        count: sum.count,
        wait_ns: sum.wait_ns,
    };
    stacks.into_iter().map(waiter).collect()
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
