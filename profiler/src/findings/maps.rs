//! Rules about maps.

use serde_json::json;

use super::{Hit, Severity};
use crate::model::names::map_name;
use crate::model::summary::{Key, Map, Summary};
use crate::units;

/// Fewer operations of a map say nothing about its keys.
pub(super) const HOT_KEY_OPERATIONS: u64 = 1000;
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
/// How much of its length a map must have gained while it was watched.
pub(super) const GROWN_SHARE: f64 = 0.1;
/// Deletes over inserts, below which a map only grows.
pub(super) const GROWN_DELETES: f64 = 0.01;

/// Promotions in a second of a sync.Map from which they cost: each copies the map.
pub(super) const PROMOTIONS_PER_SECOND: f64 = 1.0;
/// Misses over operations from which the map's lock is part of the program's way.
pub(super) const MANY_MISSES: f64 = 0.05;
/// ... and from which reads are no faster than under a mutex.
pub(super) const TOO_MANY_MISSES: f64 = 0.25;

/// How functions begin that are called by Go's runtime only, whoever needs it.
pub(super) const INTERNAL: [&str; 2] = ["runtime.", "internal/"];

/// The maps that the program can do something about: not those that only the runtime
/// itself uses.
fn own(summary: &Summary) -> impl Iterator<Item = &Map> {
    let is_internal = |function: &str| INTERNAL.iter().any(|it| function.starts_with(it));
    let is_internal = move |map: &&Map| {
        let mut frames = map.callers.iter().flat_map(|caller| &caller.frames);
        !map.callers.is_empty() && frames.all(|frame| is_internal(&frame.function))
    };
    summary.maps.iter().filter(move |map| !is_internal(map))
}

/// Hot keys that are written.
pub(super) fn hot_keys(summary: &Summary) -> Vec<Hit> {
    let hot = own(summary).filter_map(hot_key).filter(|(_, key)| is_written(key));
    let severity = |key: &Key| Severity::critical_if(key.share >= VERY_HOT_KEY_SHARE);
    hot.map(|(map, key)| hot_key_hit(map, key, severity(key))).collect()
}

/// Hot keys that are only read, which is fast.
pub(super) fn hot_read_keys(summary: &Summary) -> Vec<Hit> {
    let hot = own(summary).filter_map(hot_key).filter(|(_, key)| !is_written(key));
    hot.map(|(map, key)| hot_key_hit(map, key, Severity::Info)).collect()
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
    let hot = map.ops.total() >= HOT_KEY_OPERATIONS
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
            "Key {} gets {} of the {} operations of {} {}, which has {} keys; {} of the key's are writes.",
            key.key,
            units::share(key.share),
            units::count(map.ops.total()),
            map.id,
            map_name(map),
            units::count(map.keys_tracked),
            if writes == 0 { "none".to_owned() } else { units::share(written) },
        ),
        evidence: json!({
            "key": key.key,
            "share": key.share,
            "operations": key.ops.total(),
            "writes": writes,
            "map_operations": map.ops.total(),
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
        && gained as f64 >= GROWN_SHARE * len as f64
        && map.ops.clear == 0
        && (deletes as f64) < GROWN_DELETES * inserts as f64;
    only_grows.then(|| Hit {
        severity: Severity::Warning,
        subject: map.id.clone(),
        message: format!(
            "{} {} only grows: {} elements, {} of them new, {} inserts against {} deletes, {} \
             growths of its table.",
            map.id,
            map_name(map),
            units::count(len),
            units::count(gained),
            units::count(inserts),
            units::count(deletes),
            units::count(map.ops.grow),
        ),
        evidence: json!({
            "len": len,
            "len_first": first,
            "inserts": inserts,
            "deletes": deletes,
            "growths": map.ops.grow,
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
    let hot = per_second >= PROMOTIONS_PER_SECOND && misses >= MANY_MISSES;
    hot.then(|| Hit {
        severity: Severity::critical_if(misses >= TOO_MANY_MISSES),
        subject: map.id.clone(),
        message: format!(
            "{} {}: {} of its operations missed and took its lock, and all entries were copied {} \
             times ({} per second).",
            map.id,
            map_name(map),
            units::share(misses.min(1.0)),
            units::count(ops.promote),
            units::rate(per_second),
        ),
        evidence: json!({
            "misses": ops.miss,
            "promotions": ops.promote,
            "operations": ops.total(),
            "len": map.len,
        }),
    })
}
