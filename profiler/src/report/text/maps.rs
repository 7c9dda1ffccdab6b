//! Maps: operations, length and growth, keys with their waits, and call sites.

use super::{
    COLUMNS, MOST_OBJECTS, MOST_PLACES, Page, SMALL, counted, margin_text, part, place, some, title,
};
use crate::model::names::{map_name, unreadable};
use crate::model::summary::{Caller, H, Key, Map, Window};
use crate::units::{clean, count, head, share, time, width};

/// Keys of a map.
const MOST_KEYS: usize = 10;
/// Further keys of a map, which have fewer operations but the longest waits.
const MOST_SLOW_KEYS: usize = 5;

pub(super) fn write(page: &mut Page, window: &Window, maps: &[Map]) {
    page.gap();
    if maps.is_empty() {
        page.line("MAPS  none: no map operation was seen");
        return;
    }
    page.line("MAPS");
    let all = maps.iter().fold(0, |sum: u64, map| sum.saturating_add(map.ops.total()));
    let own = maps.iter().filter(|map| !map.internal);
    let count_own = own.clone().count() as u64;
    for map in own.take(MOST_OBJECTS) {
        page.line(&format!("{:<4} {}", map.id, title(&map_name(map), map.address.as_deref())));
        page.line(&format!("     {}", ops_text(map, window.slowed.is_some())));
        if let Some(size) = size_text(map) {
            page.line(&format!("     {size}"));
        }
        if map.ops.total() >= all / SMALL {
            keys(page, map, window.is_sampled());
            callers(page, &map.callers);
        }
    }
    page.more("", count_own, MOST_OBJECTS, "maps");
    let internal = || maps.iter().filter(|map| map.internal);
    if internal().next().is_some() {
        let ops = internal().fold(0, |sum: u64, map| sum.saturating_add(map.ops.total()));
        let what = some(internal().count() as u64, "map", "maps");
        let ops = some(ops, "operation", "operations");
        page.line(&format!(
            "     {what} of the runtime's, reflection's or encoders' own: {ops} in all"
        ));
    }
}

/// `105 operations: 100 lookup, 5 insert`, `≥105k ±2.1k operations: …`
fn ops_text(map: &Map, slowed: bool) -> String {
    let ops = &map.ops;
    let kinds = [
        (ops.lookup, "lookup"),
        (ops.insert, "insert"),
        (ops.delete, "delete"),
        (ops.iterate, "iterate"),
        (ops.clear, "clear"),
    ];
    let used = kinds.iter().filter(|(n, _)| *n > 0);
    let used: Vec<String> = used.map(|(n, kind)| format!("{} {kind}", count(*n))).collect();
    let least = if slowed { "≥" } else { "" };
    let n = ops.total();
    let all = counted(n, map.margin, map.few, if n == 1 { "operation" } else { "operations" });
    let all = format!("{least}{all}");
    if used.is_empty() { all } else { format!("{all}: {}", used.join(", ")) }
}

/// `10.2k elements (+837), 3 growths; 144 inserts, 12 deletes`: what a map that
/// leaks shows, and what a map does by itself.
fn size_text(map: &Map) -> Option<String> {
    let ops = &map.ops;
    let len = map.len.map(|len| {
        let growth = match map.len_first.map(|first| (len >= first, len.abs_diff(first))) {
            None | Some((_, 0)) => String::new(),
            Some((true, more)) => format!(" (+{} since first seen)", count(more)),
            Some((false, fewer)) => format!(" (-{} since first seen)", count(fewer)),
        };
        some(len, "element", "elements") + &growth
    });
    let by_itself = [
        (ops.grow, "growth", "growths"),
        (ops.miss, "miss", "misses"),
        (ops.promote, "promotion", "promotions"),
    ];
    let by_itself = by_itself.into_iter().filter(|(n, ..)| *n > 0);
    let by_itself = by_itself.map(|(n, one, many)| some(n, one, many));
    let parts: Vec<String> = len.into_iter().chain(by_itself).collect();
    let sizes = !parts.is_empty() && ops.insert.max(ops.delete) > 0;
    let against = sizes.then(|| {
        let inserts = some(ops.insert, "insert", "inserts");
        format!("; {inserts}, {}", some(ops.delete, "delete", "deletes"))
    });
    (!parts.is_empty()).then(|| parts.join(", ") + &against.unwrap_or_default())
}

fn keys(page: &mut Page, map: &Map, sampled: bool) {
    if map.keys.is_empty() && map.unreadable.is_empty() {
        return;
    }
    let shown = shown(&map.keys);
    let exact = shown.iter().all(|key| key.margin == 0);
    let timed = shown.iter().any(|key| spent_ns(key) > 0);
    let more = match (exact, sampled) {
        (true, _) => "",
        (false, false) => "(+n: up to n more)",
        (false, true) => "(±n: 95% interval)",
    };
    if timed {
        page.line("     by key; its waits for locks, and others' waits while it held one");
        page.line(&format!("       share     ops             wait   blame  key  {more}"));
    } else {
        page.line(format!("     by key {more}").trim_end());
    }
    for key in &shown {
        page.line(&key_line(key, timed, sampled));
    }
    for (reason, &n) in &map.unreadable {
        let part = n as f64 / map.ops.total().max(1) as f64;
        let start = row_start(part, &count(n), "", timed, ["", ""]);
        page.line(&(start + &unreadable(reason)));
    }
    let others = map.other_keys.unwrap_or_default();
    let known = map.keys_tracked.saturating_sub(others.keys);
    page.more("       ", known, shown.len(), "keys");
    if others.keys > 0 {
        let part = others.ops as f64 / map.ops.total().max(1) as f64;
        let start = row_start(part, &count(others.ops), "", timed, ["", ""]);
        let keys = some(others.keys, "other key", "other keys");
        page.line(&format!("{start}{keys}, each with more operations missed than counted"));
    }
    if map.keys_floor > 0 {
        let most = count(map.keys_floor);
        page.line(&format!(
            "       keys that had no room are not listed; none has more than {most} operations"
        ));
    }
}

/// The first ones, and of the others those that waited longest or made others wait.
fn shown(keys: &[Key]) -> Vec<&Key> {
    let (first, others) = keys.split_at(keys.len().min(MOST_KEYS));
    let mut slow: Vec<&Key> = others.iter().filter(|key| spent_ns(key) > 0).collect();
    slow.sort_by_key(|key| std::cmp::Reverse(spent_ns(key)));
    first.iter().chain(slow.into_iter().take(MOST_SLOW_KEYS)).collect()
}

fn spent_ns(key: &Key) -> u64 {
    let sum = |h: Option<H>| h.map_or(0, |h| h.sum_ns);
    sum(key.wait).saturating_add(sum(key.blame))
}

fn key_line(key: &Key, timed: bool, sampled: bool) -> String {
    let margin = match key.margin {
        n if n > 0 && !sampled => format!("+{}", count(n)),
        n => margin_text(n, key.few),
    };
    let ops = count(key.ops.total());
    let sum = |h: Option<H>| h.map(|h| time(h.sum_ns)).unwrap_or_default();
    let spent = [&*sum(key.wait), &*sum(key.blame)];
    let start = row_start(key.share, &ops, &margin, timed, spent);
    let (text, mark) =
        if key.cut { (key.key.trim_end_matches('…'), "…") } else { (key.key.as_str(), "") };
    let text = clean(text);
    let shown = head(&text, COLUMNS - width(&start) - width(mark));
    // What the width cuts says so itself.
    let mark = if shown == text { mark } else { "" };
    format!("{start}{shown}{mark}")
}

fn row_start(part: f64, ops: &str, margin: &str, timed: bool, spent: [&str; 2]) -> String {
    let [wait, blame] = spent;
    let spent = if timed { format!("{wait:>7} {blame:>7}  ") } else { String::new() };
    format!("      {:>6} {ops:>7} {margin:<7} {spent}", share(part))
}

fn callers(page: &mut Page, callers: &[Caller]) {
    if callers.is_empty() {
        return;
    }
    let sampled = callers.iter().any(|caller| caller.margin > 0);
    page.line(if sampled { "     by call site, from a sample" } else { "     by call site" });
    let all = callers.iter().fold(0, |sum: u64, caller| sum.saturating_add(caller.ops.total()));
    for caller in callers.iter().take(MOST_PLACES) {
        let n = caller.ops.total();
        let place = caller_text(caller, callers);
        let margin = margin_text(caller.margin, caller.few);
        page.line(&format!("      {:>6} {:>7} {margin:<5} {place}", part(n, all), count(n)));
    }
    page.more("       ", callers.len() as u64, MOST_PLACES, "call sites");
}

/// A call site's innermost place, with what it was inlined into as far as it takes to
/// tell it from others.
fn caller_text(caller: &Caller, all: &[Caller]) -> String {
    let alike = |depth: usize| {
        let frames = caller.frames.iter().take(depth);
        all.iter().filter(|other| other.frames.iter().take(depth).eq(frames.clone())).count()
    };
    let depth = (1..caller.frames.len()).find(|&depth| alike(depth) < 2);
    let depth = depth.unwrap_or(caller.frames.len());
    let places: Vec<String> = caller.frames.iter().take(depth).map(place).collect();
    places.join(" ← ")
}
