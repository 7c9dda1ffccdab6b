//! What the tables show: a summary's maps, keys and locks as rows.

use super::grid::{Cell, Column, Grid, Head, RowId};
use crate::{
    model::{
        Frame,
        names::{self, lock_name, map_name, own_frame},
        summary::{Key, Lock, Map, Summary},
    },
    units,
};

/// Column by which maps and keys are sorted at first.
pub(super) const OPS: &str = "ops";
/// Column by which locks are sorted at first.
pub(super) const WAIT: &str = "wait";

/// One row per map.
pub(super) fn maps(summary: &Summary) -> Grid {
    let span = summary.window.duration_ns;
    Grid::new(
        &summary.maps,
        |map| RowId::Map(map.id.clone()),
        &[
            (Head::text("Id", 1, 4), &|m| Cell::text(&m.id)),
            (Head::text("Map", 0, 14), &|m| Cell::text(&map_name(m))),
            (Head::figure("ops/s", 3), &|m| Cell::rate(m.ops.total(), span)),
            (Head::figure(OPS, 2), &|m| Cell::Count(m.ops.total())),
            (Head::figure("lookup", 6), &|m| Cell::Count(m.ops.lookup)),
            (Head::figure("insert", 7), &|m| Cell::Count(m.ops.insert)),
            (Head::figure("delete", 8), &|m| Cell::Count(m.ops.delete)),
            (Head::figure("iterate", 13), &|m| Cell::Count(m.ops.iterate)),
            (Head::figure("clear", 14), &|m| Cell::Count(m.ops.clear)),
            (Head::figure("grow", 12), &|m| Cell::Count(m.ops.grow)),
            (Head::figure("keys", 9), &|m| Cell::Count(m.keys_tracked)),
            (Head::figure("no key", 16), &|m| Cell::Count(m.unreadable_keys)),
            (Head::text("Hottest key", 4, 12), &|m| {
                m.keys.first().map_or(Cell::Absent, |key| Cell::Text(key_text(key)))
            }),
            (Head::figure("its share", 5), &|m| {
                m.keys.first().map_or(Cell::Absent, |key| Cell::Share(key.share))
            }),
            (Head::text("Used most in", 10, 14), &|m| {
                m.callers.first().map_or(Cell::Absent, |c| place(&c.frames))
            }),
            (Head::text("Address", 11, 12), &|m| Cell::maybe(m.address.as_deref())),
            (Head::text("Kind", 15, 6), &|m| Cell::text(&m.kind)),
        ],
    )
}

/// One row per key, of the map with this id or of all.
pub(super) fn keys(summary: &Summary, of: Option<&str>) -> Grid {
    let span = summary.window.duration_ns;
    let items: Vec<(&Map, &Key)> = keys_of(summary, of).collect();
    let columns: [Column<'_, (&Map, &Key)>; 11] = [
        (Head::text("Key", 0, 14), &|(_, k)| Cell::Text(key_text(k))),
        (Head::figure("share", 2), &|(_, k)| Cell::Share(k.share)),
        (Head::figure("ops/s", 4), &|(_, k)| Cell::rate(k.ops.total(), span)),
        (Head::figure(OPS, 1), &|(_, k)| Cell::Count(k.ops.total())),
        (Head::figure("margin", 3), &|(_, k)| Cell::Margin(k.margin)),
        (Head::figure("lookup", 6), &|(_, k)| Cell::Count(k.ops.lookup)),
        (Head::figure("insert", 7), &|(_, k)| Cell::Count(k.ops.insert)),
        (Head::figure("delete", 8), &|(_, k)| Cell::Count(k.ops.delete)),
        (Head::text("Type", 9, 8), &|(_, k)| Cell::maybe(k.type_name.as_deref())),
        (Head::text("Map", 5, 10), &|(m, _)| Cell::text(&map_name(m))),
        (Head::text("Id", 10, 4), &|(m, _)| Cell::text(&m.id)),
    ];
    // Within one map the last two say the same in every row.
    let shown = if of.is_some() { &columns[..9] } else { &columns[..] };
    Grid::new(&items, |(map, key)| RowId::Key(map.id.clone(), key.key.clone()), shown)
}

/// Keys of the map with this id or of all, with their map.
pub(super) fn keys_of<'a>(
    summary: &'a Summary,
    of: Option<&'a str>,
) -> impl Iterator<Item = (&'a Map, &'a Key)> {
    let wanted = summary.maps.iter().filter(move |map| of.is_none_or(|id| map.id == id));
    wanted.flat_map(|map| map.keys.iter().map(move |key| (map, key)))
}

/// One row per lock.
pub(super) fn locks(summary: &Summary) -> Grid {
    let span = summary.window.duration_ns;
    Grid::new(
        &summary.locks,
        |lock| RowId::Lock(lock.id.clone()),
        &[
            (Head::text("Id", 1, 4), &|l| Cell::text(&l.id)),
            (Head::text("Lock", 0, 14), &|l| Cell::text(&lock_name(l))),
            (Head::figure("wait/s", 5), &|l| Cell::time_rate(l.wait.sum_ns, span)),
            (Head::figure(WAIT, 2), &|l| Cell::Time(l.wait.sum_ns)),
            (Head::figure("waits", 3), &|l| Cell::Count(l.wait.count)),
            (Head::figure("waits/s", 10), &|l| Cell::rate(l.wait.count, span)),
            (Head::figure("p50", 7), &|l| waited(l, l.wait.p50_ns)),
            (Head::figure("p90", 13), &|l| waited(l, l.wait.p90_ns)),
            (Head::figure("p99", 6), &|l| waited(l, l.wait.p99_ns)),
            (Head::figure("p99.9", 14), &|l| waited(l, l.wait.p999_ns)),
            (Head::figure("max", 8), &|l| waited(l, l.wait.max_ns)),
            (Head::figure("now", 4), &|l| Cell::Count(l.open_waits)),
            (Head::figure("oldest", 12), &|l| match l.open_waits {
                0 => Cell::Absent,
                _ => Cell::Time(l.open_max_ns),
            }),
            (Head::text("Waits most in", 9, 14), &|l| {
                l.waiters.first().map_or(Cell::Absent, |w| place(&w.stack))
            }),
            (Head::text("Guards", 11, 8), &|l| guarded(summary, l)),
            (Head::text("Address", 15, 12), &|l| Cell::maybe(l.address.as_deref())),
        ],
    )
}

/// A figure of waits that there were.
fn waited(lock: &Lock, ns: u64) -> Cell {
    match lock.wait.count {
        0 => Cell::Absent,
        _ => Cell::Time(ns),
    }
}

/// The key as it is shown: cleaned, and marked where it was cut.
pub(super) fn key_text(key: &Key) -> String {
    let mut text = units::clean(&key.key).into_owned();
    if key.cut && !text.ends_with('…') {
        text.push('…');
    }
    text
}

/// Names of the maps a lock guards.
pub(super) fn guarded(summary: &Summary, lock: &Lock) -> Cell {
    if lock.maps.is_empty() {
        return Cell::Absent;
    }
    let name = |id: &String| {
        let map = summary.maps.iter().find(|map| map.id == *id);
        map.map_or(id.clone(), |map| format!("{id} {}", map_name(map)))
    };
    let names: Vec<String> = lock.maps.iter().map(name).collect();
    Cell::text(&names.join(", "))
}

/// The line of the program's own code that a stack stands for.
fn place(frames: &[Frame]) -> Cell {
    own_frame(frames).map_or(Cell::Absent, |frame| Cell::text(&frame_text(frame)))
}

/// `main.(*Cache).Get cache.go:42`.
pub(super) fn frame_text(frame: &Frame) -> String {
    let mut text = names::short(&frame.function).into_owned();
    if let Some(file) = &frame.file {
        let name = file.rsplit('/').next().unwrap_or(file);
        text = format!("{text} {name}");
        if let Some(line) = frame.line {
            text = format!("{text}:{line}");
        }
    } else if let Some(module) = &frame.module {
        text = format!("{text} ({module})");
    }
    text
}
