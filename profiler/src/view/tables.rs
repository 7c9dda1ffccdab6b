//! What the tables show: a summary's maps, keys and locks as rows.

use std::borrow::Cow;

use super::grid::{Cell, Column, Grid, Head, RowId};
use crate::{
    model::{
        Frame,
        names::{self, lock_name, map_name, own_frame},
        summary::{H, Key, Lock, Map, Summary},
    },
    units,
};

/// Column by which maps and keys are sorted at first.
pub(super) const OPS: &str = "ops";
/// Waits; the column by which locks are sorted at first.
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
            (Head::figure("len", 9), &|m| m.len.map_or(Cell::Absent, Cell::Count)),
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

/// A key, or what stands for those that could not be read.
pub(super) struct KeyRow<'a> {
    map: &'a Map,
    key: Option<&'a Key>,
    name: Cow<'a, str>,
    ops: u64,
    share: f64,
}

impl<'a> KeyRow<'a> {
    fn of(map: &'a Map, key: &'a Key) -> Self {
        let name = Cow::Borrowed(key.key.as_str());
        Self { map, key: Some(key), name, ops: key.ops.total(), share: key.share }
    }

    fn unreadable(map: &'a Map, reason: &str, ops: u64) -> Self {
        let share = ops as f64 / map.ops.total().max(1) as f64;
        Self { map, key: None, name: Cow::Owned(names::unreadable(reason)), ops, share }
    }

    /// What is known of the key alone.
    fn cell(&self, of: impl FnOnce(&Key) -> Cell) -> Cell {
        self.key.map_or(Cell::Absent, of)
    }
}

/// One row per key, of the map with this id or of all.
pub(super) fn keys(summary: &Summary, of: Option<&str>) -> Grid {
    let span = summary.window.duration_ns;
    let items: Vec<KeyRow<'_>> = keys_of(summary, of).collect();
    let columns: [Column<'_, KeyRow<'_>>; 13] = [
        (Head::text("Key", 0, 14), &|r| {
            r.key.map_or_else(|| Cell::text(&r.name), |key| Cell::Text(key_text(key)))
        }),
        (Head::figure("share", 2), &|r| Cell::Share(r.share)),
        (Head::figure("ops/s", 4), &|r| Cell::rate(r.ops, span)),
        (Head::figure(OPS, 1), &|r| Cell::Count(r.ops)),
        (Head::figure("margin", 3), &|r| r.cell(|k| Cell::Margin(k.margin))),
        (Head::figure(WAIT, 4), &|r| r.cell(|k| spent(k.wait))),
        (Head::figure("blame", 4), &|r| r.cell(|k| spent(k.blame))),
        (Head::figure("lookup", 6), &|r| r.cell(|k| Cell::Count(k.ops.lookup))),
        (Head::figure("insert", 7), &|r| r.cell(|k| Cell::Count(k.ops.insert))),
        (Head::figure("delete", 8), &|r| r.cell(|k| Cell::Count(k.ops.delete))),
        (Head::text("Type", 9, 8), &|r| r.cell(|k| Cell::maybe(k.type_name.as_deref()))),
        (Head::text("Map", 5, 10), &|r| Cell::text(&map_name(r.map))),
        (Head::text("Id", 10, 4), &|r| Cell::text(&r.map.id)),
    ];
    // Within one map the last two say the same in every row.
    let shown = if of.is_some() { &columns[..11] } else { &columns[..] };
    Grid::new(&items, |row| RowId::Key(row.map.id.clone(), row.name.clone().into_owned()), shown)
}

/// Rows of the map with this id or of all.
pub(super) fn keys_of<'a>(
    summary: &'a Summary,
    of: Option<&'a str>,
) -> impl Iterator<Item = KeyRow<'a>> {
    let wanted = summary.maps.iter().filter(move |map| of.is_none_or(|id| map.id == id));
    wanted.flat_map(|map| {
        let unreadable = map.unreadable.iter();
        let unreadable = unreadable.map(|(reason, n)| KeyRow::unreadable(map, reason, *n));
        map.keys.iter().map(|key| KeyRow::of(map, key)).chain(unreadable)
    })
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

/// The sum of times that there were.
fn spent(times: Option<H>) -> Cell {
    times.map_or(Cell::Absent, |h| Cell::Time(h.sum_ns))
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
