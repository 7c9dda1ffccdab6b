//! Call sites as rows: where which map is used.

use super::{OPS, extra_text, place};
use crate::{
    model::{
        Frame,
        names::{map_name, own_frame},
        summary::{Caller, Map, Summary},
    },
    view::grid::{Arrangement, Cell, Grid, Head, RowId},
};

type Site<'a> = (&'a Map, &'a Caller);

/// One row per map and place in the code.
pub(in crate::view) fn sites(summary: &Summary, by: &Arrangement) -> Grid {
    let span = summary.window.duration_ns;
    let items: Vec<Site<'_>> = sites_in(summary).collect();
    Grid::new(
        &items,
        |(map, caller)| RowId::Site(map.id.clone(), frames_text(&caller.frames)),
        &[
            (Head::text("Call site", 0, 16).named("site"), &|(_, c): &Site<'_>| place(&c.frames)),
            (Head::figure("share", 3), &|(map, c)| {
                Cell::Share(c.ops.total() as f64 / map.ops.total().max(1) as f64)
            }),
            (Head::figure("ops/s", 4).named("ops.rate"), &|(_, c)| Cell::rate(c.ops.total(), span)),
            (Head::figure(OPS, 1), &|(_, c)| Cell::Count(c.ops.total())),
            (Head::figure("margin", 3), &|(_, c)| Cell::within(c.margin, c.few)),
            (Head::figure("lookup", 7).named("ops.lookup"), &|(_, c)| Cell::Count(c.ops.lookup)),
            (Head::figure("insert", 8).named("ops.insert"), &|(_, c)| Cell::Count(c.ops.insert)),
            (Head::figure("delete", 9).named("ops.delete"), &|(_, c)| Cell::Count(c.ops.delete)),
            (Head::extra("iterate").named("ops.iterate"), &|(_, c)| Cell::Count(c.ops.iterate)),
            (Head::extra("clear").named("ops.clear"), &|(_, c)| Cell::Count(c.ops.clear)),
            (Head::text("Id", 2, 4).named("id"), &|(map, _)| Cell::text(&map.id)),
            (Head::text("Map", 5, 10).named("map"), &|(map, _)| Cell::text(&map_name(map))),
            (Head::text("File", 6, 12).named("file"), &|(_, c)| file(&c.frames)),
            (extra_text("Inlined into", 14).named("outer"), &|(_, c)| {
                c.frames.get(1).map_or(Cell::Absent, |frame| Cell::text(&super::frame_text(frame)))
            }),
        ],
        by,
    )
}

/// All of a summary.
fn sites_in(summary: &Summary) -> impl Iterator<Item = Site<'_>> {
    summary.maps.iter().flat_map(|map| map.callers.iter().map(move |caller| (map, caller)))
}

/// The one that a row is about.
pub(in crate::view) fn site_of<'a>(
    summary: &'a Summary,
    map: &str,
    frames: &str,
) -> Option<Site<'a>> {
    sites_in(summary).find(|(of, caller)| of.id == map && frames_text(&caller.frames) == frames)
}

/// Tells one place from another.
fn frames_text(frames: &[Frame]) -> String {
    let line = |frame: &Frame| {
        let file = frame.file.as_deref().unwrap_or_default();
        format!("{} {file}:{}", frame.function, frame.line.unwrap_or(0))
    };
    frames.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The whole path, to open it elsewhere.
fn file(frames: &[Frame]) -> Cell {
    let frame = own_frame(frames);
    let Some((frame, file)) = frame.and_then(|frame| Some((frame, frame.file.as_ref()?))) else {
        return Cell::Absent;
    };
    Cell::text(&frame.line.map_or(file.clone(), |line| format!("{file}:{line}")))
}
