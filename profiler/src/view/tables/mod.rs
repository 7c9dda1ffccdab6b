//! What the tables show: a summary's maps, keys, locks, call sites and pairs, and the
//! steps of the past, as rows.

mod contention;
mod keys;
mod locks;
mod maps;
mod sites;
mod timeline;

pub(super) use contention::{contention, pair_of};
pub(super) use keys::{keys, keys_in};
pub(super) use locks::{guarded, locks};
pub(super) use maps::maps;
pub(super) use sites::{site_of, sites};
pub(super) use timeline::timeline;

use super::grid::{Cell, Head};
use crate::{
    model::{
        Frame,
        names::{self, own_frame},
        summary::{H, Key, Summary},
    },
    units,
};

/// Column by which maps, keys and call sites are sorted at first.
pub(super) const OPS: &str = "ops";
/// Waits; the column by which locks and pairs are sorted at first.
pub(super) const WAIT: &str = "wait";
/// The column by which steps are sorted at first.
pub(super) const TIME: &str = "Time UTC";

/// The sum of times that there were.
fn spent(times: Option<H>) -> Cell {
    times.map_or(Cell::Absent, |h| Cell::Time(h.sum_ns))
}

/// A figure of times that there were.
fn timed(times: Option<H>, ns: impl Fn(&H) -> u64) -> Cell {
    times.filter(|h| h.count > 0).map_or(Cell::Absent, |h| Cell::Time(ns(&h)))
}

/// The key as it is shown: cleaned, and marked where it was cut.
pub(super) fn key_text(key: &Key) -> String {
    let mut text = units::clean(&key.key).into_owned();
    if key.cut && !text.ends_with('…') {
        text.push('…');
    }
    text
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

/// The name of the map with this id, after it.
fn map_text(summary: &Summary, id: &str) -> String {
    let map = summary.maps.iter().find(|map| map.id == id);
    map.map_or(id.to_owned(), |map| format!("{id} {}", names::map_name(map)))
}

/// A column of text that is not shown unless it is chosen.
const fn extra_text(title: &'static str, width: u16) -> Head {
    let mut head = Head::text(title, u8::MAX, width);
    head.extra = true;
    head
}
