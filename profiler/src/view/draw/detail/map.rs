//! A map: its operations, its size, its hottest keys and its call sites.

use ratatui::text::{Line, Span};

use super::super::{
    over_time::Sample,
    parts::{Lines, fitted},
    theme::{Look, Tint},
};
use super::facts::{
    self, OverTime, callers, facts, head, operations, over_time, padded_bar, some, time_rate,
};
use crate::{
    model::{SubjectStep, names::map_name, summary::Map},
    units::{self, count},
    view::tables,
};

/// Keys that are shown without opening the map.
const HOTTEST: usize = 5;

/// All about a map; `steps` are its figures over time, where there are any.
pub(in crate::view) fn map(map: &Map, steps: &[SubjectStep], width: usize, look: Look) -> Lines {
    let name = look.theirs(&map_name(map)).into_owned();
    let mut lines = facts::title(&[&look.theirs(&map.id), &name], width, look);
    let known = [map.type_name.as_ref(), Some(&map.kind), map.address.as_ref()];
    let known = known.map(|text| text.map(|text| look.theirs(text).into_owned()));
    lines.extend(facts(known, width, look));
    lines.extend(operations(&map.ops, &facts::within(map.margin, map.few), width, look));
    lines.extend(size(map, width, look));
    let (tracked, listed) = (map.keys_tracked, map.keys.len() as u64);
    let keys = [
        Some(format!("{} keys tracked", count(tracked))),
        (listed < tracked).then(|| format!("{} listed", count(listed))),
        some(map.keys_floor)
            .map(|n| format!("none of the others has more than {} operations", count(n))),
        some(map.unreadable_keys).map(|n| format!("{} operations with unreadable key", count(n))),
    ];
    lines.extend(facts(keys, width, look));
    lines.extend(past(steps, width, look));
    lines.extend(hottest(map, look));
    if !map.callers.is_empty() {
        lines.extend(callers("Used in, most operations first", &map.callers, width, look));
    }
    fitted(lines, width, look)
}

/// How long the map is, and what became of its length.
fn size(map: &Map, width: usize, look: Look) -> Lines {
    let Some(len) = map.len else { return Vec::new() };
    let first = map.len_first.filter(|&first| first != len);
    let parts = [
        Some(format!("{} elements", count(len))),
        first.map(|first| format!("{} when first seen", count(first))),
        Some(format!("{} inserts, {} deletes", count(map.ops.insert), count(map.ops.delete))),
    ];
    facts(parts, width, look)
}

fn past(steps: &[SubjectStep], width: usize, look: Look) -> Lines {
    let samples = |of: fn(&SubjectStep) -> Option<u64>| {
        steps.iter().map(|step| Sample::of_subject(step, of(step))).collect()
    };
    let rows = [
        OverTime { what: "ops/s", tint: Tint::Ops, text: units::rate, samples: samples(|s| s.ops) },
        OverTime {
            what: "wait/s",
            tint: Tint::Wait,
            text: time_rate,
            samples: samples(|s| Some(s.wait_ns)),
        },
    ];
    over_time(&rows, width, look)
}

/// The first keys, with bars of their shares.
fn hottest(map: &Map, look: Look) -> Lines {
    if map.keys.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![head("Hottest keys")];
    for key in map.keys.iter().take(HOTTEST) {
        let figures = format!("{:>7}  {:>6} ", count(key.ops.total()), units::share(key.share));
        let text = tables::key_text(key);
        let [bar, pad] = padded_bar(key.share, Tint::Ops, look);
        let key = Span::raw(look.theirs(&text).into_owned());
        lines.push(Line::from(vec![Span::raw(figures), bar, pad, key]));
    }
    lines
}
