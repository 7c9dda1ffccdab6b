//! Rules about locks.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::json;

use super::{Hit, Severity};
use crate::catalog;
use crate::model::names::{lock_name, own_frame, short};
use crate::model::summary::{Holder, Lock, Summary};
use crate::units;

/// Waiting tasks on average, from which a lock is contended.
pub(super) const CONTENDED: f64 = 0.1;
/// … and from which there is always somebody waiting.
pub(super) const ALWAYS_CONTENDED: f64 = 1.0;

/// A wait that goes on for this long is stuck, ns.
pub(super) const STUCK_NS: u64 = 1_000_000_000;
/// … and for this long, very likely for ever, ns.
pub(super) const STUCK_FOR_GOOD_NS: u64 = 10_000_000_000;

/// Share of a lock's blame from which one key has most of it.
pub(super) const BLAMED_SHARE: f64 = 0.5;
/// ... and from which it has nearly all.
pub(super) const BLAMED_FOR_NEARLY_ALL: f64 = 0.9;

/// What somebody has while others wait for it.
fn locks(summary: &Summary) -> impl Iterator<Item = &Lock> {
    summary.locks.iter().filter(|lock| catalog::is_lock(&lock.kind))
}

pub(super) fn contention(summary: &Summary) -> Vec<Hit> {
    let duration_ns = summary.window.duration_ns;
    locks(summary).filter_map(|lock| contended(lock, duration_ns)).collect()
}

fn contended(lock: &Lock, duration_ns: u64) -> Option<Hit> {
    let waiting = waiting(lock, duration_ns);
    let top = lock.waiters.first().and_then(|waiter| own_frame(&waiter.stack));
    let place =
        top.map(|frame| format!(", most in {}", short(&frame.function))).unwrap_or_default();
    let mut evidence = json!({
        "waits": lock.wait.count,
        "wait_ns": lock.wait.sum_ns,
        "average_waiting_tasks": waiting,
    });
    if let Some(frame) = top {
        evidence["top_waiter"] = json!(frame.function);
    }
    (waiting >= CONTENDED).then(|| Hit {
        severity: Severity::critical_if(waiting >= ALWAYS_CONTENDED),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: tasks waited {} in {} ({waiting:.2} at a time){place}.",
            lock.id,
            lock_name(lock),
            units::time(lock.wait.sum_ns),
            units::time(duration_ns),
        ),
        evidence,
    })
}

/// Waiting tasks on average.
fn waiting(lock: &Lock, duration_ns: u64) -> f64 {
    if duration_ns == 0 { 0.0 } else { lock.wait.sum_ns as f64 / duration_ns as f64 }
}

pub(super) fn stuck_waiters(summary: &Summary) -> Vec<Hit> {
    let mut stuck: Vec<&Lock> =
        locks(summary).filter(|lock| lock.open_max_ns >= STUCK_NS).collect();
    stuck.sort_by_key(|lock| Reverse(lock.open_max_ns));
    let hit = |lock: &Lock| Hit {
        severity: Severity::critical_if(lock.open_max_ns >= STUCK_FOR_GOOD_NS),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: {} still waiting, the oldest for {}.",
            lock.id,
            lock_name(lock),
            if lock.open_waits == 1 {
                "1 task is".to_owned()
            } else {
                format!("{} tasks are", lock.open_waits)
            },
            units::time(lock.open_max_ns),
        ),
        evidence: json!({ "open_waits": lock.open_waits, "open_max_ns": lock.open_max_ns }),
    };
    stuck.into_iter().map(hit).collect()
}

pub(super) fn blamed_keys(summary: &Summary) -> Vec<Hit> {
    let duration_ns = summary.window.duration_ns;
    let contended = summary.locks.iter().filter(|lock| waiting(lock, duration_ns) >= CONTENDED);
    contended.filter_map(blamed_key).collect()
}

/// The key for which the lock was held most while others waited.
fn blamed_key(lock: &Lock) -> Option<Hit> {
    let mut keys: BTreeMap<(&str, &str), (u64, u64, &Holder)> = BTreeMap::new();
    for holder in &lock.holders {
        for key in &holder.keys {
            let sum = keys.entry((&key.map, &key.key)).or_insert((0, 0, holder));
            sum.0 = sum.0.saturating_add(key.wait_ns);
            // Where it was held longest.
            if key.wait_ns > sum.1 {
                (sum.1, sum.2) = (key.wait_ns, holder);
            }
        }
    }
    let ((map, key), (cost_ns, _, holder)) = keys.into_iter().max_by_key(|(_, (sum, ..))| *sum)?;
    let share = cost_ns as f64 / lock.blamed_ns.max(1) as f64;
    let place = own_frame(&holder.stack).map(|frame| short(&frame.function).into_owned());
    (share > BLAMED_SHARE).then(|| Hit {
        severity: Severity::critical_if(share >= BLAMED_FOR_NEARLY_ALL),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: key {key} of {map} made others wait {}, {} of what holders are charged with; it \
             is held in {}.",
            lock.id,
            lock_name(lock),
            units::time(cost_ns),
            units::share(share.min(1.0)),
            place.as_deref().unwrap_or("an unknown place"),
        ),
        evidence: json!({
            "map": map,
            "key": key,
            "blame_ns": cost_ns,
            "lock_blame_ns": lock.blamed_ns,
            "share": share.min(1.0),
            "holder": place,
        }),
    })
}
