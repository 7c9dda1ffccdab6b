//! Rules about locks.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Hit, Severity, insufficient};
use crate::catalog;
use crate::model::names::{lock_name, own_frame, short};
use crate::model::summary::{H, Holder, Lock, Summary};
use crate::units;

/// Waiting tasks on average, from which a lock is contended.
pub(super) const CONTENDED: f64 = 0.1;
/// … and from which there is always somebody waiting.
pub(super) const ALWAYS_CONTENDED: f64 = 1.0;
/// Fewer waits say nothing of a lock.
pub(super) const LEAST_WAITS: u64 = 5;
/// Less time waited costs nothing, ns.
pub(super) const LEAST_WAITED_NS: u64 = 100_000_000;

/// A wait of a lock that is free nearly all the time is long from here on, ns: somebody
/// notices it.
pub(super) const LONG_NS: u64 = 50_000_000;
/// … and from here on somebody complains, ns.
pub(super) const VERY_LONG_NS: u64 = 1_000_000_000;
/// Fewer long waits may be an accident.
pub(super) const LEAST_LONG: u64 = 3;

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
    if !is_contended(lock, duration_ns) {
        return None;
    }
    let waiting = waiting(lock.wait.sum_ns, duration_ns);
    let top = lock.waiters.first().and_then(|waiter| own_frame(&waiter.stack));
    let place =
        top.map(|frame| format!(", most in {}", short(&frame.function))).unwrap_or_default();
    let mut evidence = json!({
        "waits": lock.wait.count,
        "wait_ns": lock.wait.sum_ns,
        "average_waiting_tasks": waiting,
    });
    note_margins(&mut evidence, &lock.wait);
    if let Some(frame) = top {
        evidence["top_waiter"] = json!(frame.function);
    }
    let off = waiting_text(&lock.wait, duration_ns);
    Some(Hit {
        severity: Severity::critical_if(waits_for_sure(lock, duration_ns) >= ALWAYS_CONTENDED),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: tasks waited {} in {} ({}{waiting:.2}{off} at a time){place}.{}",
            lock.id,
            lock_name(lock),
            sum_text(&lock.wait),
            units::time(duration_ns),
            if lock.estimate_ns.is_some() { "at most " } else { "" },
            insufficient(lock.wait.few),
        ),
        evidence,
    })
}

/// Whether enough waits of it were seen, and they cost enough.
fn is_contended(lock: &Lock, duration_ns: u64) -> bool {
    let H { count, sum_ns, .. } = lock.wait;
    count >= LEAST_WAITS && sum_ns >= LEAST_WAITED_NS && waiting(sum_ns, duration_ns) >= CONTENDED
}

/// Waiting tasks on average.
fn waiting(sum_ns: u64, duration_ns: u64) -> f64 {
    if duration_ns == 0 { 0.0 } else { sum_ns as f64 / duration_ns as f64 }
}

/// The least that it is, if any is known.
fn waits_for_sure(lock: &Lock, duration_ns: u64) -> f64 {
    let H { sum_ns, margin_ns, few, .. } = lock.wait;
    if few { 0.0 } else { waiting(sum_ns.saturating_sub(margin_ns), duration_ns) }
}

/// ` ±0.03`
fn waiting_text(wait: &H, duration_ns: u64) -> String {
    let off = waiting(wait.margin_ns, duration_ns);
    if wait.few || wait.margin_ns == 0 { String::new() } else { format!(" ±{off:.2}") }
}

/// `1.80s ±20ms`
fn sum_text(wait: &H) -> String {
    let sum = units::time(wait.sum_ns);
    match wait.margin_ns {
        margin if margin > 0 && !wait.few => format!("{sum} ±{}", units::time(margin)),
        _ => sum,
    }
}

fn note_margins(evidence: &mut Value, wait: &H) {
    if wait.few {
        evidence["insufficient_samples"] = json!(true);
    } else if wait.margin_ns > 0 {
        evidence["margin_ns"] = json!(wait.margin_ns);
    }
}

/// Locks that are free nearly all the time, but not when it matters.
pub(super) fn long_waits(summary: &Summary) -> Vec<Hit> {
    let duration_ns = summary.window.duration_ns;
    let free = locks(summary).filter(|lock| !is_contended(lock, duration_ns));
    let mut long: Vec<(&Lock, u64)> =
        free.map(|lock| (lock, long_of(lock))).filter(|(_, count)| *count >= LEAST_LONG).collect();
    long.sort_by_key(|(lock, _)| Reverse(lock.wait.max_ns));
    long.into_iter().map(|(lock, count)| long_hit(lock, count)).collect()
}

/// Its long waits.
fn long_of(lock: &Lock) -> u64 {
    let long = lock.wait_hist.iter().filter(|(ns, _)| *ns >= LONG_NS);
    long.fold(0, |sum, (_, count)| sum.saturating_add(count))
}

fn long_hit(lock: &Lock, count: u64) -> Hit {
    let H { max_ns, p50_ns, .. } = lock.wait;
    let holder = lock.holders.first().and_then(|holder| own_frame(&holder.stack));
    let holder = holder.map(|frame| short(&frame.function).into_owned());
    let mut evidence = json!({
        "waits": lock.wait.count,
        "long_waits": count,
        "max_ns": max_ns,
        "p50_ns": p50_ns,
        "holder": holder,
    });
    note_margins(&mut evidence, &lock.wait);
    let share = count as f64 / lock.wait.count.max(1) as f64;
    Hit {
        severity: Severity::critical_if(max_ns >= VERY_LONG_NS),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: {} of its {} waits ({}) took {} or longer, the longest {}; half of all took less \
             than {}{}.{}",
            lock.id,
            lock_name(lock),
            units::count(count),
            units::count(lock.wait.count),
            units::share(share.min(1.0)),
            units::time(LONG_NS),
            units::time(max_ns),
            units::time(p50_ns.saturating_add(1)),
            holder.map(|it| format!("; most is charged to {it}")).unwrap_or_default(),
            insufficient(lock.wait.few),
        ),
        evidence,
    }
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
    let contended = summary.locks.iter().filter(|lock| is_contended(lock, duration_ns));
    contended.filter_map(|lock| blamed_key(summary, lock)).collect()
}

/// The key for which the lock was held most while others waited.
fn blamed_key(summary: &Summary, lock: &Lock) -> Option<Hit> {
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
    let is_nobodys = summary.maps.iter().any(|it| it.id == map && it.internal);
    if is_nobodys || cost_ns < LEAST_WAITED_NS {
        return None;
    }
    let share = cost_ns as f64 / lock.blamed_ns.max(1) as f64;
    let place = own_frame(&holder.stack).map(|frame| short(&frame.function).into_owned());
    let mut evidence = json!({
        "map": map,
        "key": key,
        "blame_ns": cost_ns,
        "lock_blame_ns": lock.blamed_ns,
        "share": share.min(1.0),
        "holder": place,
    });
    note_margins(&mut evidence, &lock.wait);
    let grave = share >= BLAMED_FOR_NEARLY_ALL && !lock.wait.few;
    (share > BLAMED_SHARE).then(|| Hit {
        severity: Severity::critical_if(grave),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: key {key} of {map} made others wait {}, {} of what holders are charged with{}; \
             it is held in {}.{}",
            lock.id,
            lock_name(lock),
            units::time(cost_ns),
            units::share(share.min(1.0)),
            // Of a part it is taken that it comes as restlessly as the whole.
            match lock.wait.margin_ns {
                margin if margin > 0 && !lock.wait.few => format!(
                    " (the lock's waits: {} ±{})",
                    units::time(lock.wait.sum_ns),
                    units::time(margin)
                ),
                _ => String::new(),
            },
            place.as_deref().unwrap_or("an unknown place"),
            insufficient(lock.wait.few),
        ),
        evidence,
    })
}
