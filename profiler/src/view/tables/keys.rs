//! Keys as rows, of one map or of all.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{OPS, WAIT, key_text, spent, timed};
use crate::{
    model::{
        names::{self, map_name},
        summary::{H, Key, Map, Summary},
    },
    units,
    view::grid::{Arrangement, Cell, Column, Grid, Head, RowId},
};

/// A key, or what stands for those that could not be read.
struct KeyRow<'a> {
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

    fn wait(&self, ns: fn(&H) -> u64) -> Cell {
        self.cell(|key| timed(key.wait, ns))
    }

    fn blame(&self, ns: fn(&H) -> u64) -> Cell {
        self.cell(|key| timed(key.blame, ns))
    }
}

/// One row per key, of the map with this id or of all.
pub(in crate::view) fn keys(summary: &Summary, of: Option<&str>, by: &Arrangement) -> Grid {
    let span = summary.window.duration_ns;
    let sampled = summary.window.is_sampled();
    let items: Vec<KeyRow<'_>> = rows(summary, of).collect();
    // Made once for all of their keys.
    let names: HashMap<&str, String> = summary
        .maps
        .iter()
        .map(|map| (map.id.as_str(), units::clean(&map_name(map)).into_owned()))
        .collect();
    let name = |map: &Map| names.get(map.id.as_str()).cloned().map_or(Cell::Absent, Cell::Text);
    let many = |h: Option<H>| h.map_or(Cell::Absent, |h| Cell::Count(h.count));
    let columns: [Column<'_, KeyRow<'_>>; 24] = [
        (Head::text("Key", 0, 14).named("key"), &|r| {
            r.key.map_or_else(|| Cell::text(&r.name), |key| Cell::Text(key_text(key)))
        }),
        (Head::figure("share", 2), &|r| Cell::Share(r.share)),
        (Head::figure("ops/s", 4).named("ops.rate"), &|r| Cell::rate(r.ops, span)),
        (Head::figure(OPS, 1), &|r| Cell::Count(r.ops)),
        (Head::figure("margin", 3), &|r| r.cell(|k| margin(k, sampled))),
        (Head::figure(WAIT, 4).named("wait.sum"), &|r| r.cell(|k| spent(k.wait))),
        (Head::figure("blame", 4).named("blame.sum"), &|r| r.cell(|k| spent(k.blame))),
        (Head::figure("lookup", 6).named("ops.lookup"), &|r| r.cell(|k| Cell::Count(k.ops.lookup))),
        (Head::figure("insert", 7).named("ops.insert"), &|r| r.cell(|k| Cell::Count(k.ops.insert))),
        (Head::figure("delete", 8).named("ops.delete"), &|r| r.cell(|k| Cell::Count(k.ops.delete))),
        (Head::extra("waits").named("wait.count"), &|r| r.cell(|k| many(k.wait))),
        (Head::extra("wait p50").named("wait.p50"), &|r| r.wait(|h| h.p50_ns)),
        (Head::extra("wait p90").named("wait.p90"), &|r| r.wait(|h| h.p90_ns)),
        (Head::extra("wait p99").named("wait.p99"), &|r| r.wait(|h| h.p99_ns)),
        (Head::extra("wait p99.9").named("wait.p999"), &|r| r.wait(|h| h.p999_ns)),
        (Head::extra("wait max").named("wait.max"), &|r| r.wait(|h| h.max_ns)),
        (Head::extra("blames").named("blame.count"), &|r| r.cell(|k| many(k.blame))),
        (Head::extra("blame p50").named("blame.p50"), &|r| r.blame(|h| h.p50_ns)),
        (Head::extra("blame p99").named("blame.p99"), &|r| r.blame(|h| h.p99_ns)),
        (Head::extra("blame p99.9").named("blame.p999"), &|r| r.blame(|h| h.p999_ns)),
        (Head::extra("blame max").named("blame.max"), &|r| r.blame(|h| h.max_ns)),
        (Head::text("Type", 9, 8).named("type"), &|r| {
            r.cell(|k| Cell::maybe(k.type_name.as_deref()))
        }),
        (Head::text("Map", 5, 10).named("map"), &|r| name(r.map)),
        (Head::text("Id", 10, 4).named("id"), &|r| Cell::text(&r.map.id)),
    ];
    // Within one map the last two say the same in every row.
    let shown = if of.is_some() { &columns[..22] } else { &columns[..] };
    let id = |row: &KeyRow<'_>| RowId::Key(row.map.id.clone(), row.name.clone().into_owned());
    Grid::new(&items, id, shown, by)
}

/// Without windows it is certain, and goes one way.
fn margin(key: &Key, sampled: bool) -> Cell {
    if sampled { Cell::within(key.margin, key.few) } else { Cell::Margin(key.margin) }
}

/// Rows of the map with this id or of all.
pub(in crate::view) fn keys_in(summary: &Summary, of: Option<&str>) -> usize {
    maps_of(summary, of).map(|map| map.keys.len() + map.unreadable.len()).sum()
}

fn maps_of<'a>(summary: &'a Summary, of: Option<&'a str>) -> impl Iterator<Item = &'a Map> {
    summary.maps.iter().filter(move |map| of.is_none_or(|id| map.id == id))
}

fn rows<'a>(summary: &'a Summary, of: Option<&'a str>) -> impl Iterator<Item = KeyRow<'a>> {
    maps_of(summary, of).flat_map(|map| {
        let unreadable = map.unreadable.iter();
        let unreadable = unreadable.map(|(reason, n)| KeyRow::unreadable(map, reason, *n));
        map.keys.iter().map(|key| KeyRow::of(map, key)).chain(unreadable)
    })
}
