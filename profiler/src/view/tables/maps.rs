//! Maps as rows.

use super::{OPS, extra_text, key_text, place};
use crate::{
    model::{
        names::map_name,
        summary::{Map, Summary},
    },
    view::grid::{Arrangement, Cell, Grid, Head, RowId},
};

/// One row per map.
pub(in crate::view) fn maps(summary: &Summary, by: &Arrangement) -> Grid {
    let span = summary.window.duration_ns;
    let hottest = |m: &Map| m.keys.first().map(key_text);
    Grid::new(
        &summary.maps,
        |map| RowId::Map(map.id.clone()),
        &[
            (Head::text("Id", 1, 4).named("id"), &|m: &Map| Cell::text(&m.id)),
            (Head::text("Map", 0, 14).named("map"), &|m| Cell::text(&map_name(m))),
            (Head::figure("ops/s", 3).named("ops.rate"), &|m| Cell::rate(m.ops.total(), span)),
            (Head::figure(OPS, 2), &|m| Cell::Count(m.ops.total())),
            (Head::figure("margin", 4), &|m| Cell::within(m.margin, m.few)),
            (Head::figure("lookup", 6).named("ops.lookup"), &|m| Cell::Count(m.ops.lookup)),
            (Head::figure("insert", 7).named("ops.insert"), &|m| Cell::Count(m.ops.insert)),
            (Head::figure("delete", 8).named("ops.delete"), &|m| Cell::Count(m.ops.delete)),
            (Head::figure("iterate", 13).named("ops.iterate"), &|m| Cell::Count(m.ops.iterate)),
            (Head::figure("clear", 14).named("ops.clear"), &|m| Cell::Count(m.ops.clear)),
            (Head::figure("grow", 12).named("ops.grow"), &|m| Cell::Count(m.ops.grow)),
            (Head::extra("miss").named("ops.miss"), &|m| Cell::Count(m.ops.miss)),
            (Head::extra("promote").named("ops.promote"), &|m| Cell::Count(m.ops.promote)),
            (Head::figure("len", 9), &|m| count(m.len)),
            (Head::extra("len at first").named("len.first"), &|m| count(m.len_first)),
            (Head::figure("keys", 9), &|m| Cell::Count(m.keys_tracked)),
            (Head::figure("no key", 16).named("unreadable"), &|m| Cell::Count(m.unreadable_keys)),
            (Head::text("Hottest key", 4, 12).named("key"), &|m| {
                hottest(m).map_or(Cell::Absent, Cell::Text)
            }),
            (Head::figure("its share", 5).named("key.share"), &|m| {
                m.keys.first().map_or(Cell::Absent, |key| Cell::Share(key.share))
            }),
            (Head::text("Used most in", 10, 14).named("site"), &|m| {
                m.callers.first().map_or(Cell::Absent, |c| place(&c.frames))
            }),
            (Head::text("Address", 11, 12).named("address"), &|m| {
                Cell::maybe(m.address.as_deref())
            }),
            (Head::text("Kind", 15, 6).named("kind"), &|m| Cell::text(&m.kind)),
            (extra_text("Type", 8).named("type"), &|m| Cell::maybe(m.type_name.as_deref())),
        ],
        by,
    )
}

fn count(n: Option<u64>) -> Cell {
    n.map_or(Cell::Absent, Cell::Count)
}
