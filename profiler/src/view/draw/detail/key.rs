//! A key and a call site: what they do to a map.

use ratatui::text::{Line, Span};

use super::super::{
    histogram,
    over_time::Sample,
    parts::{Lines, fitted},
    text::paragraph,
    theme::{Look, STRONG, Tint},
};
use super::facts::{
    self, BARS, OverTime, callers, facts, frames, head, operations, over_time, padded_bar, part,
    time_rate,
};
use crate::{
    model::{
        SubjectStep,
        hist::WaitHist,
        names::{map_name, own_frame, unreadable},
        summary::{Caller, H, Key, Map, Summary},
    },
    units::{self, count},
    view::tables,
};

/// Keys and stacks of a call site.
const MOST: usize = 5;

/// All about a key; `steps` are its figures over time, where there are any.
pub(in crate::view) fn key(
    summary: &Summary,
    map: &Map,
    key: &Key,
    steps: &[SubjectStep],
    width: usize,
    look: Look,
) -> Lines {
    // Every space of a key counts, so it is not wrapped as prose.
    let text = tables::key_text(key);
    let text = units::chunks(&look.theirs(&text), width).into_iter();
    let mut lines: Lines = text.map(|line| Line::styled(line, STRONG)).collect();
    if key.cut {
        let cut = "Longer than what was carried: keys that begin the same may be counted as one.";
        lines.extend(paragraph(cut, width, look));
    }
    let type_name = key.type_name.as_ref().map(|name| look.theirs(name).into_owned());
    let of_map = format!("{} of the map's operations", units::share(key.share));
    lines.extend(facts([type_name, Some(in_map(map, look)), Some(of_map)], width, look));
    let span = summary.window.duration_ns;
    let per_second = |n, text: fn(f64) -> String| units::per_second(n, span).map(text);
    let rates = [
        per_second(key.ops.total(), units::rate).map(|rate| format!("{rate} operations/s")),
        key.wait
            .and_then(|wait| per_second(wait.sum_ns, time_rate))
            .map(|t| format!("waits {t}/s")),
        key.blame
            .and_then(|blame| per_second(blame.sum_ns, time_rate))
            .map(|t| format!("makes others wait {t}/s")),
    ];
    lines.extend(facts(rates, width, look));
    let margin = match facts::some(key.margin) {
        Some(n) if !summary.window.is_sampled() => format!("up to {} more", count(n)),
        _ => facts::within(key.margin, key.few),
    };
    lines.extend(operations(&key.ops, &margin, width, look));
    lines.extend(past(steps, width, look));
    let waits = ("Waited for locks", Tint::Wait);
    lines.extend(times(waits, key.wait.as_ref(), &key.wait_hist, width, look));
    let blame = ("Made others wait", Tint::Blame);
    lines.extend(times(blame, key.blame.as_ref(), &key.blame_hist, width, look));
    if !key.callers.is_empty() {
        lines.extend(callers("Used in, most operations first", &key.callers, width, look));
    } else if map.callers.is_empty() {
        lines.push(Line::from("Where it is used is not known."));
    } else {
        lines.extend(paragraph("Where this key is used was not sampled. Its map is", width, look));
        lines.extend(callers("used in, most operations first", &map.callers, width, look));
    }
    fitted(lines, width, look)
}

fn in_map(map: &Map, look: Look) -> String {
    format!("in {} {}", look.theirs(&map.id), look.theirs(&map_name(map)))
}

fn times(what: (&str, Tint), h: Option<&H>, hist: &WaitHist, width: usize, look: Look) -> Lines {
    let Some(h) = h.filter(|h| h.count > 0) else { return Vec::new() };
    let title = format!("{} {}", what.0, facts::waited(h));
    let mut lines = facts::title(&[&title], width, look);
    lines.extend(histogram::lines(("  time", what.1), h, &hist.buckets(BARS), width, look));
    lines
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
        OverTime {
            what: "blame/s",
            tint: Tint::Blame,
            text: time_rate,
            samples: samples(|s| Some(s.blame_ns)),
        },
    ];
    over_time(&rows, width, look)
}

/// Operations whose keys could not be read.
pub(super) fn without_name(map: &Map, reason: &str, n: u64, width: usize, look: Look) -> Lines {
    let mut lines = facts::title(&[&look.theirs(&unreadable(reason))], width, look);
    lines.extend(facts([Some(in_map(map, look))], width, look));
    let part = part(n, map.ops.total());
    let figures = [
        Some(format!("{} operations", count(n))),
        Some(format!("{part} of the map's, in whose figures they are counted")),
    ];
    lines.extend(facts(figures, width, look));
    let why = "A probe cannot wait for memory that the program has yet to touch or that is away, \
               and pointers may lead nowhere.";
    lines.extend(paragraph(why, width, look));
    fitted(lines, width, look)
}

/// All about a place in the code that uses a map.
pub(in crate::view) fn site(
    summary: &Summary,
    map: &Map,
    caller: &Caller,
    width: usize,
    look: Look,
) -> Lines {
    let place = caller.frames.first().map(|frame| facts::place(frame, look));
    let place = place.unwrap_or_else(|| "An unknown place".to_owned());
    let mut lines = facts::title(&[&place], width, look);
    if caller.frames.len() > 1 {
        lines.push(Line::from("inlined into"));
        lines.extend(frames(&caller.frames[1..], 2, width, look));
    }
    let all = caller.ops.total();
    let rate = units::per_second(all, summary.window.duration_ns);
    let figures = [
        Some(in_map(map, look)),
        Some(format!("{} of the map's operations", part(all, map.ops.total()))),
        rate.map(|rate| format!("{} operations/s", units::rate(rate))),
    ];
    lines.extend(facts(figures, width, look));
    let margin = facts::some(caller.margin)
        .map_or("exact".to_owned(), |n| format!("give or take {} in 95% of cases", count(n)));
    lines.extend(operations(&caller.ops, &margin, width, look));
    lines.extend(keys_of_site(map, caller, width, look));
    lines.extend(ways_to_site(map, caller, width, look));
    fitted(lines, width, look)
}

/// Keys that were sampled at this call site.
fn keys_of_site(map: &Map, caller: &Caller, width: usize, look: Look) -> Lines {
    let here = |key: &'_ Key| {
        key.callers.iter().find(|at| at.frames == caller.frames).map(|at| at.ops.total())
    };
    let mut keys: Vec<(u64, &Key)> =
        map.keys.iter().filter_map(|key| Some((here(key)?, key))).collect();
    keys.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    if keys.is_empty() {
        return vec![facts::cut("Which keys are used here was not sampled.", width, look)];
    }
    let mut lines = vec![head("Keys used here, of those that were sampled")];
    for (n, key) in keys.into_iter().take(MOST) {
        let share = n as f64 / caller.ops.total().max(1) as f64;
        let text = tables::key_text(key);
        let [bar, pad] = padded_bar(share, Tint::Ops, look);
        let text = Span::raw(look.theirs(&text).into_owned());
        lines.push(Line::from(vec![Span::raw(format!("{:>7}  ", count(n))), bar, pad, text]));
    }
    lines
}

/// Stacks that lead to the call site.
fn ways_to_site(map: &Map, caller: &Caller, width: usize, look: Look) -> Lines {
    let Some(place) = caller.frames.first() else { return Vec::new() };
    let ways = map.stacks.iter().filter(|way| own_frame(&way.stack) == Some(place));
    let mut lines = Vec::new();
    for way in ways.take(MOST) {
        if lines.is_empty() {
            lines.push(head("Reached by, most operations first"));
        }
        let margin = match way.margin {
            0 => String::new(),
            n => format!(" ±{}", count(n)),
        };
        let figure = format!("  {}{margin} operations", count(way.ops.total()));
        lines.push(facts::cut(&figure, width, look));
        lines.extend(frames(&way.stack, 6, width, look));
    }
    lines
}
