//! All about one row: a map and who uses it, a key in full, a lock with its
//! wait histogram and its waiters. Shown below the table, and alone when opened.

use ratatui::text::{Line, Span};

use super::{
    histogram,
    text::paragraph,
    theme::{STRONG, Theme},
};
use crate::{
    model::{
        Frame,
        names::{lock_name, map_name, own_frame, unreadable},
        summary::{Key, KeyPart, Lock, Map, Ops, Party, Summary},
    },
    units::{self, count, time},
    view::{
        blocks,
        grid::{Cell, RowId},
        state::App,
        tables,
    },
};

/// Bars of a histogram; a narrower display joins neighbours.
const BARS: usize = 64;

/// Keys of a map that are shown without opening it.
const HOTTEST: usize = 5;
/// Pairs of a lock.
const MOST_PAIRS: usize = 3;
/// Columns that a key gets amid other text.
const KEY_COLUMNS: usize = 24;
/// Columns of the bar of a key that gets everything.
const BAR: usize = 20;

type Lines = Vec<Line<'static>>;

/// All about the row, as the summary shown has it.
pub(super) fn lines(app: &App, row: &RowId, width: usize, theme: Theme) -> Lines {
    let map = |id: &str| app.summary()?.maps.iter().find(|map| map.id == id);
    let found = app.summary().and_then(|summary| match row {
        RowId::Map(id) => Some(about_map(map(id)?, width, theme)),
        RowId::Key(id, text) => {
            let map = map(id)?;
            let key = map.keys.iter().find(|key| key.key == *text);
            let nameless = || {
                let (reason, n) =
                    map.unreadable.iter().find(|(reason, _)| unreadable(reason) == *text)?;
                Some(about_unreadable(map, reason, *n, width))
            };
            key.map(|key| about_key(map, key, width, theme)).or_else(nameless)
        }
        RowId::Lock(id) => {
            let lock = summary.locks.iter().find(|lock| lock.id == *id)?;
            Some(about_lock(summary, lock, width, theme))
        }
        _ => Some(Vec::new()),
    });
    found.unwrap_or_else(|| vec![Line::from("Not seen in this interval (t: since start).")])
}

fn about_map(map: &Map, width: usize, theme: Theme) -> Lines {
    let mut lines = title(&[&map.id, &map_name(map)], width);
    let kind = Some(map.kind.clone());
    lines.extend(facts([map.type_name.clone(), kind, map.address.clone()], width));
    lines.extend(operations(&map.ops, width));
    lines.extend(size(map, width));
    let (tracked, listed) = (map.keys_tracked, map.keys.len() as u64);
    let keys = [
        Some(format!("{} keys tracked", count(tracked))),
        (listed < tracked).then(|| format!("{} listed", count(listed))),
        some(map.unreadable_keys).map(|n| format!("{} operations with unreadable key", count(n))),
    ];
    lines.extend(facts(keys, width));
    lines.extend(hottest(map, width, theme));
    lines.extend(callers(map, width));
    lines
}

/// How long the map is, and what became of its length.
fn size(map: &Map, width: usize) -> Lines {
    let Some(len) = map.len else { return Vec::new() };
    let first = map.len_first.filter(|&first| first != len);
    let parts = [
        Some(format!("{} elements", count(len))),
        first.map(|first| format!("{} when first seen", count(first))),
        Some(format!("{} inserts, {} deletes", count(map.ops.insert), count(map.ops.delete))),
    ];
    facts(parts, width)
}

/// The first keys, with bars of their shares.
fn hottest(map: &Map, width: usize, theme: Theme) -> Lines {
    if map.keys.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::styled("Hottest keys", STRONG)];
    for key in map.keys.iter().take(HOTTEST) {
        let figures = format!("{:>7}  {:>6} ", count(key.ops.total()), units::share(key.share));
        let bar = blocks::bar(key.share, BAR);
        let pad = " ".repeat(BAR + 1 - units::width(&bar));
        let room = width.saturating_sub(units::width(&figures) + BAR + 1);
        let text = tables::key_text(key);
        lines.push(Line::from(vec![
            Span::raw(figures),
            Span::styled(bar, theme.graphic()),
            Span::raw(pad),
            Span::raw(units::head(&text, room).into_owned()),
        ]));
    }
    lines
}

/// Operations whose keys could not be read.
fn about_unreadable(map: &Map, reason: &str, n: u64, width: usize) -> Lines {
    let mut lines = title(&[&unreadable(reason)], width);
    lines.extend(facts([Some(format!("in {} {}", map.id, map_name(map)))], width));
    let part = units::share(n as f64 / map.ops.total().max(1) as f64);
    let figures = [
        Some(format!("{} operations", count(n))),
        Some(format!("{part} of the map's, in whose figures they are counted")),
    ];
    lines.extend(facts(figures, width));
    let why = "A probe cannot wait for memory that the program has yet to touch or that is away, \
               and pointers may lead nowhere.";
    lines.extend(paragraph(why, width));
    lines
}

fn about_key(map: &Map, key: &Key, width: usize, theme: Theme) -> Lines {
    // Every space of a key counts, so it is not wrapped as prose.
    let text = units::chunks(&tables::key_text(key), width).into_iter();
    let mut lines: Lines = text.map(|line| Line::styled(line, STRONG)).collect();
    if key.cut {
        let cut = "Longer than what was carried: keys that begin the same may be counted as one.";
        lines.extend(paragraph(cut, width));
    }
    let of = Some(format!("in {} {}", map.id, map_name(map)));
    lines.extend(facts([key.type_name.clone(), of], width));
    let margin =
        some(key.margin).map_or("exact".to_owned(), |n| format!("up to {} more", count(n)));
    let figures = [
        Some(format!("{} operations, {margin}", count(key.ops.total()))),
        Some(format!("{} of the map's", units::share(key.share))),
    ];
    lines.extend(facts(figures, width));
    lines.extend(operations(&key.ops, width));
    for (what, times) in [("Waited for locks", key.wait), ("Made others wait", key.blame)] {
        if let Some(times) = times {
            lines.extend(histogram::lines(what, &times, &[], width, theme));
        }
    }
    lines.extend(callers(map, width));
    lines
}

fn about_lock(summary: &Summary, lock: &Lock, width: usize, theme: Theme) -> Lines {
    let mut lines = title(&[&lock.id, &lock_name(lock)], width);
    let guarded = match tables::guarded(summary, lock) {
        Cell::Text(maps) => Some(format!("guards {maps}")),
        _ => None,
    };
    lines.extend(facts([Some(lock.kind.clone()), lock.address.clone(), guarded], width));
    let longest = || time(lock.open_max_ns);
    let waits = [
        Some(match lock.wait.count {
            0 => "no wait has ended".to_owned(),
            n => format!("{} in {} waits", time(lock.wait.sum_ns), count(n)),
        }),
        some(lock.open_waits)
            .map(|n| format!("{} waiting now, the oldest for {}", count(n), longest())),
    ];
    lines.extend(facts(waits, width));
    lines.extend(told(lock, width));
    lines.extend(pairs(lock, width));
    lines.extend(histogram::lines(
        "Waits",
        &lock.wait,
        &lock.wait_hist.buckets(BARS),
        width,
        theme,
    ));
    if let Some(hold) = &lock.hold {
        lines.extend(histogram::lines("Holds", hold, &lock.hold_hist.buckets(BARS), width, theme));
    }
    if !lock.waiters.is_empty() {
        lines.push(Line::styled("Waiters, longest total first", STRONG));
    }
    for waiter in &lock.waiters {
        lines.extend(stack((waiter.wait_ns, waiter.count), &waiter.keys, &waiter.stack, width));
    }
    if !lock.holders.is_empty() {
        lines.push(Line::styled("Held meanwhile, longest total first", STRONG));
    }
    for holder in &lock.holders {
        lines.extend(stack((holder.blame_ns, holder.count), &holder.keys, &holder.stack, width));
    }
    lines
}

/// How much of the waits is told of keys and of holders, where anything is.
fn told(lock: &Lock, width: usize) -> Lines {
    if lock.attributed_ns == 0 && lock.blamed_ns == 0 {
        return Vec::new();
    }
    let all = lock.wait.sum_ns.max(1) as f64;
    let share = |ns: u64| units::share((ns as f64 / all).min(1.0));
    let parts = [
        format!("{} of the wait belongs to keys", share(lock.attributed_ns)),
        format!("{} is charged to a holder", share(lock.blamed_ns)),
    ];
    facts(parts.map(Some), width)
}

/// Who made whom wait, in a sentence each.
fn pairs(lock: &Lock, width: usize) -> Lines {
    let mut lines = Vec::new();
    if !lock.pairs.is_empty() {
        lines.push(Line::styled("Who made whom wait", STRONG));
    }
    for pair in lock.pairs.iter().take(MOST_PAIRS) {
        let party = |party: &Party| {
            let place = own_frame(&party.stack).map(tables::frame_text);
            let place = place.unwrap_or_else(|| "an unknown place".to_owned());
            let key = party.key.as_ref().map(|key| format!("{} at ", short_key(key)));
            key.unwrap_or_default() + &place
        };
        let waits = format!("{} in {} waits", time(pair.wait_ns), count(pair.count));
        let text = format!("{} cost {} {waits}", party(&pair.holder), party(&pair.waiter));
        lines.extend(paragraph(&text, width));
    }
    lines
}

/// Waits of a stack: time and number, keys and frames.
fn stack((ns, waits): (u64, u64), keys: &[KeyPart], frames: &[Frame], width: usize) -> Lines {
    let keys: Vec<String> = keys.iter().map(|part| short_key(&part.key)).collect();
    let keys = if keys.is_empty() { String::new() } else { format!(" for {}", keys.join(", ")) };
    let figures = format!("  {} in {} waits{keys}", time(ns), count(waits));
    let frames = frames.iter().map(|frame| format!("      {}", tables::frame_text(frame)));
    [figures].into_iter().chain(frames).map(|line| cut(&line, width)).collect()
}

/// A key amid other text.
fn short_key(key: &str) -> String {
    units::head(&units::clean(key), KEY_COLUMNS).into_owned()
}

fn operations(ops: &Ops, width: usize) -> Lines {
    let kinds = [
        (ops.lookup, "lookup"),
        (ops.insert, "insert"),
        (ops.delete, "delete"),
        (ops.iterate, "iterate"),
        (ops.clear, "clear"),
        (ops.grow, "grow"),
        (ops.miss, "miss"),
        (ops.promote, "promote"),
    ];
    facts(kinds.map(|(n, kind)| some(n).map(|n| format!("{kind} {}", count(n)))), width)
}

fn callers(map: &Map, width: usize) -> Lines {
    if map.callers.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::styled("Map used in, most operations first", STRONG)];
    for caller in &map.callers {
        let mut figure = count(caller.ops.total());
        if caller.margin > 0 {
            figure = format!("{figure} ±{}", count(caller.margin));
        }
        for frame in &caller.frames {
            lines.push(cut(&format!("{figure:>7}  {}", tables::frame_text(frame)), width));
            // The next one is what this one is inlined into.
            figure.clear();
        }
    }
    lines
}

/// `n` unless it is nothing.
fn some(n: u64) -> Option<u64> {
    (n > 0).then_some(n)
}

fn title(texts: &[&str], width: usize) -> Lines {
    let lines = paragraph(&texts.join("  "), width).into_iter();
    lines.map(|line| line.style(STRONG)).collect()
}

/// What is known, in a row.
fn facts(texts: impl IntoIterator<Item = Option<String>>, width: usize) -> Lines {
    let known: Vec<String> = texts.into_iter().flatten().collect();
    if known.is_empty() { Vec::new() } else { paragraph(&known.join(" · "), width) }
}

fn cut(text: &str, width: usize) -> Line<'static> {
    Line::from(units::head(&units::clean(text), width).into_owned())
}
