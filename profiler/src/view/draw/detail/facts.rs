//! Pieces that the pages about single things share.

use ratatui::text::{Line, Span};

use super::super::{
    over_time::{self, Sample},
    parts::Lines,
    text::paragraph,
    theme::{Look, STRONG, Tint},
};
use crate::{
    catalog,
    model::{
        Frame,
        names::{self, own_frame},
        summary::{Caller, H, Margins, Ops, Pair, Party, Summary},
    },
    units::{self, count, time},
    view::{blocks, tables},
};

/// Bars of a histogram; a narrower display joins neighbours.
pub(super) const BARS: usize = 64;
/// Columns that a key gets amid other text.
const KEY_COLUMNS: usize = 24;
/// Columns of the bar of what is all.
const BAR: usize = 20;
/// Columns of a line that are no sparkline.
const LEFT: usize = 22;

/// `n` unless it is nothing.
pub(super) fn some(n: u64) -> Option<u64> {
    (n > 0).then_some(n)
}

/// `1 wait`, `2 waits`.
pub(super) fn waits(n: u64) -> String {
    if n == 1 { "1 wait".to_owned() } else { format!("{} waits", count(n)) }
}

/// `478ms ±124ms in 2.33k ±313 waits`.
pub(super) fn waited(h: &H) -> String {
    let H { margin, margin_ns, few, .. } = *h;
    summed(h.count, h.sum_ns, Margins { margin, margin_ns, few })
}

/// The same of a part of all waits.
pub(super) fn summed(n: u64, sum_ns: u64, margins: Margins) -> String {
    let sum = time(sum_ns);
    match margins.margin {
        margin if margins.few => format!("{sum} in {}, {}", waits(n), within(margin, true)),
        0 => format!("{sum} in {}", waits(n)),
        margin => {
            let off = time(margins.margin_ns);
            format!("{sum} ±{off} in {} ±{} waits", count(n), count(margin))
        }
    }
}

/// A part of all.
pub(super) fn part(n: u64, all: u64) -> String {
    units::share((n as f64 / all.max(1) as f64).min(1.0))
}

/// A head.
pub(super) fn head(text: &str) -> Line<'static> {
    Line::styled(text.to_owned(), STRONG)
}

/// What it is all about.
pub(super) fn title(texts: &[&str], width: usize, look: Look) -> Lines {
    let lines = paragraph(&texts.join("  "), width, look).into_iter();
    lines.map(|line| line.style(STRONG)).collect()
}

/// What is known, in a row.
pub(super) fn facts(
    texts: impl IntoIterator<Item = Option<String>>,
    width: usize,
    look: Look,
) -> Lines {
    let known: Vec<String> = texts.into_iter().flatten().collect();
    if known.is_empty() { Vec::new() } else { paragraph(&known.join(" · "), width, look) }
}

/// A line of ours with texts of theirs, cut at the width.
pub(super) fn cut(text: &str, width: usize, look: Look) -> Line<'static> {
    Line::from(look.head(&look.ours(text), width).into_owned())
}

/// A key amid other text.
pub(super) fn short_key(key: &str, look: Look) -> String {
    look.head(&look.theirs(key), KEY_COLUMNS).into_owned()
}

/// A function and its line.
pub(super) fn place(frame: &Frame, look: Look) -> String {
    look.theirs(&tables::frame_text(frame)).into_owned()
}

/// `goroutine`, or what a task is elsewhere.
pub(super) fn task(summary: &Summary) -> &'static str {
    let go = summary.target.runtimes.iter().any(|runtime| runtime.name == "go");
    if go { "goroutine" } else { "thread" }
}

/// A stack, a frame in each line; the program's own code stands out.
pub(super) fn frames(stack: &[Frame], indent: usize, width: usize, look: Look) -> Lines {
    let pad = " ".repeat(indent);
    if stack.is_empty() {
        return vec![Line::styled(format!("{pad}(stack not known)"), look.tint(Tint::Muted))];
    }
    let line = |frame: &Frame| {
        let line = cut(&format!("{pad}{}", place(frame, look)), width, look);
        let inside = catalog::is_runtime(&frame.function);
        if inside { line.style(look.tint(Tint::Muted)) } else { line }
    };
    stack.iter().map(line).collect()
}

/// The key of one side of a pair; with its map where those that stand together are of several.
fn party_key(party: &Party, of_several: bool, look: Look) -> Option<String> {
    let key = short_key(party.key.as_deref()?, look);
    Some(names::key_of(&key, party.map.as_deref(), of_several).into_owned())
}

/// `"X" held at main.(*Cache).Refresh cache.go:88 costs "Y" at main.(*Cache).Get
/// cache.go:42 1.80s in 320 waits`.
pub(in super::super) fn pair_text(pair: &Pair, of_several: bool, look: Look) -> String {
    let key = |party: &Party| party_key(party, of_several, look);
    let at = |party: &Party| {
        let frame = own_frame(&party.stack);
        frame.map_or_else(|| "an unknown place".to_owned(), |frame| place(frame, look))
    };
    let holder = match key(&pair.holder) {
        Some(key) => format!("{key} held at {}", at(&pair.holder)),
        None if pair.holder.stack.is_empty() => "An unknown holder".to_owned(),
        None => format!("The holder at {}", at(&pair.holder)),
    };
    let waiter = match key(&pair.waiter) {
        Some(key) => format!("{key} at {}", at(&pair.waiter)),
        None => format!("those at {}", at(&pair.waiter)),
    };
    format!("{holder} costs {waiter} {}", summed(pair.count, pair.wait_ns, pair.margins))
}

/// The same in few words: `1.80s "X" in main.(*Cache).Refresh > "Y" in main.(*Cache).Get`.
pub(in super::super) fn short_pair_text(pair: &Pair, of_several: bool, look: Look) -> String {
    let party = |party: &Party| {
        let key = party_key(party, of_several, look);
        let function = own_frame(&party.stack)
            .map(|frame| look.theirs(&names::short(&frame.function)).into_owned());
        match (key, function) {
            (Some(key), Some(function)) => format!("{key} in {function}"),
            (key, function) => key.or(function).unwrap_or_else(|| "(not known)".to_owned()),
        }
    };
    format!("{} {} → {}", time(pair.wait_ns), party(&pair.holder), party(&pair.waiter))
}

/// How far a figure may be off that is scaled from a sample.
pub(super) fn within(margin: u64, few: bool) -> String {
    match margin {
        _ if few => "too few seen to say how far that is off".to_owned(),
        0 => "exact".to_owned(),
        n => format!("±{}", count(n)),
    }
}

/// Operations by kind with their shares, and what the map did by itself.
/// `margin` says how far their sum may be off.
pub(super) fn operations(ops: &Ops, margin: &str, width: usize, look: Look) -> Lines {
    let all = ops.total();
    let text = format!("{} operations, {margin}", count(all));
    let mut lines = title(&[&text], width, look);
    let asked_for = [
        (ops.lookup, "lookup"),
        (ops.insert, "insert"),
        (ops.delete, "delete"),
        (ops.iterate, "iterate"),
        (ops.clear, "clear"),
    ];
    for (n, kind) in asked_for.into_iter().filter(|(n, _)| *n > 0) {
        let share = n as f64 / all.max(1) as f64;
        let text = format!("  {kind:<8}{:>7}  {:>6} ", count(n), units::share(share));
        let room = width.saturating_sub(text.len()).min(BAR);
        let bar = blocks::bar(share, room, look);
        lines.push(Line::from(vec![Span::raw(text), Span::styled(bar, look.tint(Tint::Ops))]));
    }
    let by_itself = [(ops.grow, "grow"), (ops.miss, "miss"), (ops.promote, "promote")];
    let by_itself = by_itself.map(|(n, kind)| some(n).map(|n| format!("{kind} {}", count(n))));
    lines.extend(facts(by_itself, width.saturating_sub(2), look).into_iter().map(|mut line| {
        line.spans.insert(0, Span::raw("  "));
        line
    }));
    lines
}

/// A bar of a share in a room of its own, so that what follows is aligned.
pub(super) fn padded_bar(share: f64, tint: Tint, look: Look) -> [Span<'static>; 2] {
    let bar = blocks::bar(share, BAR, look);
    let pad = " ".repeat((BAR + 1).saturating_sub(units::width(&bar)));
    [Span::styled(bar, look.tint(tint)), Span::raw(pad)]
}

/// A figure over time.
pub(super) struct OverTime {
    pub(super) what: &'static str,
    pub(super) tint: Tint,
    /// Its unit per second.
    pub(super) text: fn(f64) -> String,
    pub(super) samples: Vec<Sample>,
}

/// Nanoseconds per second.
pub(super) fn time_rate(per_second: f64) -> String {
    time(per_second as u64)
}

/// Figures over time, a line each; what was nothing all the time is left out.
pub(super) fn over_time(rows: &[OverTime], width: usize, look: Look) -> Lines {
    let Some(duration) = rows.first().map(|row| {
        row.samples.iter().fold(0_u64, |sum, sample| sum.saturating_add(sample.duration_ns))
    }) else {
        return Vec::new();
    };
    if duration == 0 {
        return Vec::new();
    }
    let mut lines = vec![
        cut(&format!("Over {}: the highest, and the course", time(duration)), width, look)
            .style(STRONG),
    ];
    let mut unknown = false;
    for row in rows {
        if row.samples.iter().all(|sample| sample.amount == Some(0)) {
            continue;
        }
        let rates = over_time::short_rates(&row.samples, width.saturating_sub(LEFT));
        unknown |= row.samples.iter().any(|sample| sample.amount.is_none());
        let most = if rates.iter().all(Option::is_none) {
            "not known".to_owned()
        } else {
            (row.text)(blocks::largest(&rates))
        };
        let text = format!("  {:<8}{most:>9}  ", row.what);
        lines.push(Line::from(vec![
            Span::raw(look.ours(&text).into_owned()),
            Span::styled(blocks::sparkline(&rates, look), look.tint(row.tint)),
        ]));
    }
    if lines.len() == 1 {
        lines.push(Line::from("  nothing in all that time"));
    }
    if unknown {
        let mark = blocks::unknown(look);
        let text = format!("  {mark} not known: not among the keys that this step kept");
        lines.push(cut(&text, width, look).style(look.tint(Tint::Muted)));
    }
    lines
}

/// Call sites with their operations.
pub(super) fn callers(what: &str, callers: &[Caller], width: usize, look: Look) -> Lines {
    let mut lines = vec![cut(what, width, look).style(STRONG)];
    for caller in callers {
        let mut figure = count(caller.ops.total());
        if caller.few {
            figure += " (too few)";
        } else if caller.margin > 0 {
            figure = format!("{figure} ±{}", count(caller.margin));
        }
        if caller.frames.is_empty() {
            lines.push(cut(&format!("{figure:>7}  an unknown place"), width, look));
        }
        for frame in &caller.frames {
            lines.push(cut(&format!("{figure:>7}  {}", place(frame, look)), width, look));
            // The next one is what this one is inlined into.
            figure.clear();
        }
    }
    lines
}
