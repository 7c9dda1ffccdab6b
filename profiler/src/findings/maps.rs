//! Rules about maps.

use serde_json::json;

use super::locks::LEAST_WAITED_NS;
use super::{Hit, Severity, insufficient};
use crate::model::names::map_name;
use crate::model::summary::{H, Key, Map, Summary};
use crate::units;

/// Fewer operations of a map say nothing about its keys.
pub(super) const HOT_KEY_OPERATIONS: u64 = 1000;
/// Operations of the key in a second from which it costs anything: one takes some 20 ns.
pub(super) const HOT_KEY_PER_SECOND: f64 = 1000.0;
/// … and from which it costs some percent of a CPU.
pub(super) const COSTLY_KEY_PER_SECOND: f64 = 100_000.0;
/// Share of its map's operations from which a key is hot.
pub(super) const HOT_KEY_SHARE: f64 = 0.2;
/// … and from which it is very hot.
pub(super) const VERY_HOT_KEY_SHARE: f64 = 0.5;
/// Writes over operations from which a key is one that is written.
pub(super) const WRITTEN_SHARE: f64 = 0.1;
/// A hot key has this many times what it had if all keys were used alike, so that
/// no key of a map of a few is hot.
pub(super) const HOT_KEY_TIMES_EVEN: f64 = 10.0;

/// Elements from which a map that only grows is worth a word.
pub(super) const GROWN_LEN: u64 = 10_000;
/// New elements from which it costs memory: with what they lead to, some 100 bytes each.
pub(super) const GROWN_NEW: u64 = 1000;
/// How much of its length a map must have gained while it was watched.
pub(super) const GROWN_SHARE: f64 = 0.1;
/// Deletes over inserts, below which a map only grows.
pub(super) const GROWN_DELETES: f64 = 0.01;

/// Fewer operations of a map say nothing of how it is used.
pub(super) const PROMOTING_OPERATIONS: u64 = 1000;
/// Promotions in a second of a sync.Map from which they cost: each copies the map.
pub(super) const PROMOTIONS_PER_SECOND: f64 = 1.0;
/// What a promotion takes for each entry, and a miss, ns.
const COPY_NS: u64 = 50;
/// What both together take of a CPU from where they are worth a word.
pub(super) const PROMOTING_CPU: f64 = 0.001;
/// … and from which it is grave.
pub(super) const COSTLY_PROMOTING_CPU: f64 = 0.01;
/// Misses over operations from which the map's lock is part of the program's way.
pub(super) const MANY_MISSES: f64 = 0.05;
/// ... and from which reads are no faster than under a mutex.
pub(super) const TOO_MANY_MISSES: f64 = 0.25;

/// The maps that the program can do something about.
fn own(summary: &Summary) -> impl Iterator<Item = &Map> {
    summary.maps.iter().filter(|map| !map.internal)
}

/// Hot keys that are written.
pub(super) fn hot_keys(summary: &Summary) -> Vec<Hit> {
    let hot = hot(summary).filter(|(_, key, _)| is_written(key));
    let severity = |key: &Key, rate| {
        let waited = |h: Option<H>| h.map_or(0, |h| h.sum_ns);
        let is_costly = rate >= COSTLY_KEY_PER_SECOND
            || waited(key.wait).max(waited(key.blame)) >= LEAST_WAITED_NS;
        Severity::critical_if(is_costly && key.share >= VERY_HOT_KEY_SHARE)
    };
    hot.map(|(map, key, rate)| hot_key_hit(map, key, severity(key, rate))).collect()
}

/// Hot keys that are only read, which is fast.
pub(super) fn hot_read_keys(summary: &Summary) -> Vec<Hit> {
    let hot = hot(summary).filter(|(_, key, _)| !is_written(key));
    hot.map(|(map, key, _)| hot_key_hit(map, key, Severity::Info)).collect()
}

/// Maps with a hot key, and how often that is used in a second.
fn hot(summary: &Summary) -> impl Iterator<Item = (&Map, &Key, f64)> {
    own(summary).filter_map(|map| {
        let (map, key) = hot_key(map)?;
        let rate = units::per_second(key.ops.total(), summary.window.duration_ns)?;
        (rate >= HOT_KEY_PER_SECOND).then_some((map, key, rate))
    })
}

fn writes(key: &Key) -> u64 {
    key.ops.insert.saturating_add(key.ops.delete)
}

fn is_written(key: &Key) -> bool {
    writes(key) as f64 >= WRITTEN_SHARE * key.ops.total() as f64
}

/// A map's hottest key, if it is hot.
fn hot_key(map: &Map) -> Option<(&Map, &Key)> {
    let key = map.keys.first()?;
    let even = 1.0 / map.keys_tracked.max(1) as f64;
    // A key that rests on a handful of operations is not known to be hot.
    let hot = map.ops.total() >= HOT_KEY_OPERATIONS
        && !key.few
        && key.share >= HOT_KEY_SHARE
        && key.share >= HOT_KEY_TIMES_EVEN * even;
    hot.then_some((map, key))
}

fn hot_key_hit(map: &Map, key: &Key, severity: Severity) -> Hit {
    let writes = writes(key);
    let written = writes as f64 / key.ops.total().max(1) as f64;
    Hit {
        severity,
        subject: map.id.clone(),
        message: format!(
            "Key {} gets {} of the {} operations of {} {}, which has {} keys; {} of the key's are writes.{}",
            key.key,
            units::share(key.share),
            ops_text(map),
            map.id,
            map_name(map),
            units::count(map.keys_tracked),
            if writes == 0 { "none".to_owned() } else { units::share(written) },
            insufficient(map.few),
        ),
        evidence: json!({
            "key": key.key,
            "share": key.share,
            "operations": key.ops.total(),
            "writes": writes,
            "map_operations": map.ops.total(),
            "margin": key.margin,
            "map_margin": map.margin,
        }),
    }
}

pub(super) fn only_grow(summary: &Summary) -> Vec<Hit> {
    own(summary).filter_map(only_grows).collect()
}

fn only_grows(map: &Map) -> Option<Hit> {
    let (len, first) = (map.len?, map.len_first?);
    let gained = len.saturating_sub(first);
    let (inserts, deletes) = (map.ops.insert, map.ops.delete);
    let only_grows = len > GROWN_LEN
        && gained >= GROWN_NEW
        && gained as f64 >= GROWN_SHARE * len as f64
        && map.ops.clear == 0
        && (deletes as f64) < GROWN_DELETES * inserts as f64;
    only_grows.then(|| Hit {
        severity: Severity::Warning,
        subject: map.id.clone(),
        message: format!(
            "{} {} only grows: {} elements, {} of them new, {} inserts against {} deletes, {} \
             growths of its table.{}",
            map.id,
            map_name(map),
            units::count(len),
            units::count(gained),
            units::count(inserts),
            units::count(deletes),
            units::count(map.ops.grow),
            within(map),
        ),
        evidence: json!({
            "len": len,
            "len_first": first,
            "inserts": inserts,
            "deletes": deletes,
            "growths": map.ops.grow,
            "map_margin": map.margin,
        }),
    })
}

pub(super) fn hot_promotions(summary: &Summary) -> Vec<Hit> {
    let duration_ns = summary.window.duration_ns;
    own(summary).filter_map(|map| promotes(map, duration_ns)).collect()
}

fn promotes(map: &Map, duration_ns: u64) -> Option<Hit> {
    let ops = &map.ops;
    let per_second = units::per_second(ops.promote, duration_ns)?;
    let misses = ops.miss as f64 / ops.total().max(1) as f64;
    // What of a second the map does for itself, in ns: entries that are copied, and misses.
    let entries = ops.promote.saturating_mul(map.keys_tracked).saturating_add(ops.miss);
    let cpu = units::per_second(entries.saturating_mul(COPY_NS), duration_ns)? / 1e9;
    let hot = ops.total() >= PROMOTING_OPERATIONS
        && per_second >= PROMOTIONS_PER_SECOND
        && misses >= MANY_MISSES
        && cpu >= PROMOTING_CPU;
    let grave = misses >= TOO_MANY_MISSES && cpu >= COSTLY_PROMOTING_CPU && !map.few;
    hot.then(|| Hit {
        severity: Severity::critical_if(grave),
        subject: map.id.clone(),
        message: format!(
            "{} {}: {} of its {} operations missed and took its lock, and all entries were copied {} \
             times ({} per second), about {} of a CPU.{}",
            map.id,
            map_name(map),
            units::share(misses.min(1.0)),
            ops_text(map),
            units::count(ops.promote),
            units::rate(per_second),
            units::share(cpu),
            insufficient(map.few),
        ),
        evidence: json!({
            "misses": ops.miss,
            "promotions": ops.promote,
            "operations": ops.total(),
            "map_margin": map.margin,
            "keys": map.keys_tracked,
            "cpu_share": cpu,
            "len": map.len,
        }),
    })
}

/// `84.3k`, `84.3k ±1.2k`: a map's operations.
fn ops_text(map: &Map) -> String {
    let all = units::count(map.ops.total());
    match map.margin {
        margin if margin > 0 && !map.few => format!("{all} ±{}", units::count(margin)),
        _ => all,
    }
}

/// ` Its operations: 84.3k ±1.2k.`, where they are an estimate.
fn within(map: &Map) -> String {
    match map.margin {
        margin if margin > 0 && !map.few => format!(" Its operations: {}.", ops_text(map)),
        _ => insufficient(map.few).to_owned(),
    }
}
