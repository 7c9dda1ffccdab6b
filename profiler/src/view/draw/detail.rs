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
        names::{lock_name, map_name},
        summary::{Key, Lock, Map, Ops, Summary},
    },
    units::{self, count, time},
    view::{
        blocks,
        grid::{Cell, RowId},
        state::App,
        tables,
    },
};

/// Keys of a map that are shown without opening it.
const HOTTEST: usize = 5;
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
            let key = map.keys.iter().find(|key| key.key == *text)?;
            Some(about_key(map, key, width))
        }
        RowId::Lock(id) => {
            let lock = summary.locks.iter().find(|lock| lock.id == *id)?;
            Some(about_lock(summary, lock, width, theme))
        }
    });
    found.unwrap_or_else(|| vec![Line::from("Not seen in this interval (t: since start).")])
}

fn about_map(map: &Map, width: usize, theme: Theme) -> Lines {
    let mut lines = title(&[&map.id, &map_name(map)], width);
    let kind = Some(map.kind.clone());
    lines.extend(facts([map.type_name.clone(), kind, map.address.clone()], width));
    lines.extend(operations(&map.ops, width));
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

fn about_key(map: &Map, key: &Key, width: usize) -> Lines {
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
    lines.extend(histogram::lines("Waits", &lock.wait, &lock.wait_buckets, width, theme));
    if let Some(hold) = &lock.hold {
        lines.extend(histogram::lines("Holds", hold, &[], width, theme));
    }
    if !lock.waiters.is_empty() {
        lines.push(Line::styled("Waiters, longest total first", STRONG));
    }
    for waiter in &lock.waiters {
        let figures = format!("  {} in {} waits", time(waiter.wait_ns), count(waiter.count));
        lines.push(cut(&figures, width));
        let frames = waiter.stack.iter().map(tables::frame_text);
        lines.extend(frames.map(|frame| cut(&format!("      {frame}"), width)));
    }
    lines
}

fn operations(ops: &Ops, width: usize) -> Lines {
    let kinds = [
        (ops.lookup, "lookup"),
        (ops.insert, "insert"),
        (ops.delete, "delete"),
        (ops.iterate, "iterate"),
        (ops.clear, "clear"),
        (ops.grow, "grow"),
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
