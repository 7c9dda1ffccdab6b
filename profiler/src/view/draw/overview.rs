//! What is wrong, at a glance: findings, rates, the worst pair, and the first rows of
//! the tables.
//!
//! In: a summary and the steps of the past. Out: at most so many lines, what matters most
//! first.

use std::cmp::Reverse;

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{
    detail::{pair_text, short_pair_text},
    over_time::{self, Sample},
    parts::{Lines, fitted, fitted_line},
    text::paragraph,
    theme::{Look, STRONG, Tint},
};
use crate::{
    model::{
        self, Step,
        names::{has_several_maps, lock_name, map_name},
        summary::{Finding, Key, Lock, Map, Pair, Summary},
    },
    units::{self, count, time},
    view::{blocks, tables},
};

/// Columns of a figure.
const FIGURE: usize = 7;
/// Columns of a bar.
const BAR: usize = 10;
/// Columns that a name needs at least.
const NAME: usize = 22;
/// From this width on rows have bars.
const WIDE: usize = 76;
/// From this height on sentences are whole ones.
const TALL: usize = 16;
/// Below this height there is room for the rates that matter most only.
const LOW: usize = 10;
/// Rows of a table that are enough where others have none yet.
const ENOUGH: usize = 3;

/// The page.
pub(in crate::view) fn lines(
    summary: &Summary,
    steps: &[Step],
    width: usize,
    height: usize,
    look: Look,
) -> Lines {
    let page = Page { summary, width, height, look };
    let blocks = vec![
        page.findings(),
        Block::of(1, if height < LOW { 2 } else { 3 }, page.rates(steps)),
        Block::of(2, if page.is_tall() { 3 } else { 2 }, page.worst_pair()).prose(""),
        Block::of(3, 2, page.locks()),
        Block::of(4, 2, page.waiting_keys()),
        Block::of(5, 2, page.used_keys()),
        Block::of(6, 2, page.maps()),
        Block::of(7, 1, page.cost()).prose(""),
    ];
    fitted(arrange(blocks, &page), width, look)
}

/// Lines that belong together.
struct Block {
    /// The lower, the sooner it gets room.
    rank: usize,
    /// With fewer lines it says nothing.
    least: usize,
    /// Where it is cut it says so, and how to see the rest.
    rest: Option<&'static str>,
    lines: Lines,
}

impl Block {
    fn of(rank: usize, least: usize, lines: Lines) -> Self {
        Self { rank, least: least.min(lines.len()), rest: None, lines }
    }

    fn prose(self, rest: &'static str) -> Self {
        Self { rest: Some(rest), ..self }
    }

    /// The first lines.
    fn cut(mut self, rows: usize, page: &Page<'_>) -> Lines {
        if self.lines.len() <= rows {
            return self.lines;
        }
        self.lines.truncate(rows);
        if let Some(rest) = self.rest
            && let Some(last) = self.lines.pop()
        {
            let mark = page.look.mark(3);
            let is_marked = last.to_string().ends_with(mark);
            let rest = if is_marked { rest.to_owned() } else { format!(" {mark}{rest}") };
            let room = page.width.saturating_sub(units::width(&rest));
            let mut last = fitted_line(last, room, page.look);
            last.spans.push(Span::raw(rest));
            self.lines.push(last);
        }
        self.lines
    }
}

/// As many lines of each as there is room for: first of each what it needs, then of each
/// enough, then a line between them, then the rest.
fn arrange(blocks: Vec<Block>, on: &Page<'_>) -> Lines {
    let height = on.height;
    let mut ranked: Vec<usize> = (0..blocks.len()).collect();
    ranked.sort_by_key(|&at| blocks[at].rank);
    let mut shown = vec![0; blocks.len()];
    let mut left = height;
    for &at in &ranked {
        if blocks[at].least <= left {
            shown[at] = blocks[at].least;
            left -= shown[at];
        }
    }
    let grow = |shown: &mut Vec<usize>, left: &mut usize, most: usize| {
        let mut grown = true;
        while *left > 0 && grown {
            grown = false;
            for &at in &ranked {
                if *left > 0 && shown[at] > 0 && shown[at] < blocks[at].lines.len().min(most) {
                    shown[at] += 1;
                    *left -= 1;
                    grown = true;
                }
            }
        }
    };
    grow(&mut shown, &mut left, ENOUGH + 1);
    let between = shown.iter().filter(|&&rows| rows > 0).count().saturating_sub(1);
    let parted = between <= left;
    if parted {
        left -= between;
    }
    grow(&mut shown, &mut left, usize::MAX);
    let mut page = Vec::with_capacity(height);
    for (block, rows) in blocks.into_iter().zip(shown) {
        if parted && rows > 0 && !page.is_empty() {
            page.push(Line::default());
        }
        page.extend(block.cut(rows, on));
    }
    page
}

struct Page<'a> {
    summary: &'a Summary,
    width: usize,
    height: usize,
    look: Look,
}

impl Page<'_> {
    fn is_tall(&self) -> bool {
        self.height >= TALL
    }

    fn findings(&self) -> Block {
        let findings = &self.summary.findings;
        if findings.is_empty() {
            let quiet = self.summary.locks.iter().all(|lock| lock.wait.count == 0);
            let text = match (quiet, self.summary.maps.is_empty()) {
                (true, true) => "Nobody waited for a lock, and no map was used.",
                (true, false) => "Nobody waited for a lock. No rule has found anything.",
                (false, _) => "No rule has found anything.",
            };
            return Block::of(0, 1, paragraph(text, self.width, self.look)).prose("");
        }
        let whole: Vec<Lines> =
            findings.iter().map(|finding| self.finding(finding, true)).collect();
        // In full where that leaves room for the rest: all of them, or the gravest.
        let room = self.height / 4;
        let all = whole.iter().map(Vec::len).sum::<usize>() <= room;
        let first = whole[0].len() <= room / 2 + 1;
        let mut lines = Lines::new();
        let mut least = 1;
        for (number, (finding, whole)) in findings.iter().zip(whole).enumerate() {
            if all || number == 0 && first {
                lines.extend(whole);
            } else {
                lines.extend(self.finding(finding, false));
            }
            if number == 0 {
                least = lines.len();
            }
        }
        Block::of(0, least, lines).prose(" (n: all)")
    }

    fn finding(&self, finding: &Finding, whole: bool) -> Lines {
        let look = self.look;
        let style = look.severity(&finding.severity);
        let severity = look.ours(&finding.severity).into_owned();
        let room = self.width.saturating_sub(units::width(&severity) + 1);
        let message = look.ours(&finding.message).into_owned();
        let texts = if whole {
            units::wrap(&message, room)
        } else {
            vec![look.head(&message, room).into_owned()]
        };
        let indent = " ".repeat(units::width(&severity));
        let mut first = Some(Span::styled(severity, style));
        let line = |text: String| {
            let start = first.take().unwrap_or_else(|| Span::raw(indent.clone()));
            Line::from(vec![start, Span::raw(" "), Span::raw(text)])
        };
        texts.into_iter().map(line).collect()
    }

    /// What happened per second, and how that was over time.
    fn rates(&self, steps: &[Step]) -> Lines {
        let span = self.summary.window.duration_ns;
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
        let ops = sum(&mut self.summary.maps.iter().map(|map| map.ops.total()));
        let waits = sum(&mut self.summary.locks.iter().map(|lock| lock.wait.count));
        let wait_ns = sum(&mut self.summary.locks.iter().map(|lock| lock.wait.sum_ns));
        let per_second = |n| units::per_second(n, span);
        let rate = |n| per_second(n).map(units::rate);
        let rows = [
            ("ops/s", Tint::Ops, rate(ops), samples(steps, |step| step.totals.ops)),
            ("waits/s", Tint::Wait, rate(waits), samples(steps, |step| step.totals.waits)),
            (
                "wait/s",
                Tint::Wait,
                per_second(wait_ns).map(|ns| time(ns as u64)),
                samples(steps, |step| step.totals.wait_ns),
            ),
        ];
        let is_low = self.height < LOW;
        let mut lines: Lines = rows
            .into_iter()
            .filter(|(what, ..)| !is_low || *what != "waits/s")
            .map(|(what, tint, figure, samples)| {
                let figure = figure.unwrap_or_else(|| "not known".to_owned());
                let text = format!("{what:<8}{figure:>FIGURE$}  ");
                let room = self.width.saturating_sub(units::width(&text));
                let spark = blocks::sparkline(&over_time::short_rates(&samples, room), self.look);
                Line::from(vec![
                    Span::raw(self.look.ours(&text).into_owned()),
                    Span::styled(spark, self.look.tint(tint)),
                ])
            })
            .collect();
        lines.extend(self.waiting_now());
        lines
    }

    /// The lock with the oldest wait that goes on.
    fn waiting_now(&self) -> Option<Line<'static>> {
        let open = self.summary.locks.iter().filter(|lock| lock.open_waits > 0);
        let lock = open.max_by_key(|lock| lock.open_max_ns)?;
        let name = format!("{} {}", lock.id, lock_name(lock));
        let name = self.look.theirs(&name);
        let (open, oldest) = (count(lock.open_waits), time(lock.open_max_ns));
        let text = format!("now     {open:>FIGURE$}  waiting, the oldest for {oldest}, for {name}");
        Some(Line::styled(self.look.ours(&text).into_owned(), STRONG))
    }

    /// The pair that cost most.
    fn worst_pair(&self) -> Lines {
        let of_several = has_several_maps(&self.summary.locks);
        let pairs = self.summary.locks.iter().flat_map(|lock| &lock.pairs);
        // Of equal ones the first.
        let Some(pair) = pairs.reduce(|a: &Pair, b| if b.wait_ns > a.wait_ns { b } else { a })
        else {
            return Vec::new();
        };
        if !self.is_tall() {
            return paragraph(&short_pair_text(pair, of_several, self.look), self.width, self.look);
        }
        let mut lines = vec![Line::styled("Who makes whom wait most", STRONG)];
        let text = pair_text(pair, of_several, self.look);
        lines.extend(paragraph(&text, self.width, self.look));
        lines
    }

    fn locks(&self) -> Lines {
        let span = self.summary.window.duration_ns;
        let locks =
            self.summary.locks.iter().filter(|lock| lock.wait.count > 0 || lock.open_waits > 0);
        let all = locks.clone().count();
        let most = self.summary.locks.first().map_or(0, |lock| lock.wait.sum_ns);
        let rows = locks.take(self.height).map(|lock: &Lock| {
            let h = &lock.wait;
            let waited = |ns| if h.count > 0 { time(ns) } else { String::new() };
            let rate = units::per_second(h.sum_ns, span).map(|ns| time(ns as u64));
            Row {
                figures: vec![
                    rate.unwrap_or_default(),
                    time(h.sum_ns),
                    waited(h.p50_ns),
                    waited(h.p99_ns),
                    count(lock.open_waits),
                ],
                bar: h.sum_ns as f64 / most.max(1) as f64,
                name: self.look.theirs(&format!("{} {}", lock.id, lock_name(lock))).into_owned(),
                of: String::new(),
            }
        });
        let columns = [("wait/s", 0), ("wait", 4), ("p50", 3), ("p99", 1), ("now", 2)];
        self.table(&some_of("Locks", all), Tint::Wait, &columns, rows.collect())
    }

    fn waiting_keys(&self) -> Lines {
        let waited = |key: &Key| key.wait.map_or(0, |h| h.sum_ns);
        let blamed = |key: &Key| key.blame.map_or(0, |h| h.sum_ns);
        let weight = |key: &Key| waited(key).max(blamed(key));
        let keys = self.keys(weight);
        let most = keys.first().map_or(0, |(_, key)| weight(key));
        let spent = |ns| if ns > 0 { time(ns) } else { String::new() };
        let row = |(map, key): &(&Map, &Key)| Row {
            figures: vec![spent(waited(key)), spent(blamed(key))],
            bar: weight(key) as f64 / most.max(1) as f64,
            ..self.key_row(map, key)
        };
        let columns = [("wait", 0), ("blame", 1)];
        let title = "Keys that wait or make others wait";
        self.table(title, Tint::Blame, &columns, keys.iter().map(row).collect())
    }

    fn used_keys(&self) -> Lines {
        let span = self.summary.window.duration_ns;
        let keys = self.keys(|key| key.ops.total());
        let row = |(map, key): &(&Map, &Key)| {
            let rate = units::per_second(key.ops.total(), span).map(units::rate);
            Row {
                figures: vec![rate.unwrap_or_default(), units::share(key.share)],
                bar: key.share,
                ..self.key_row(map, key)
            }
        };
        let columns = [("ops/s", 0), ("share", 1)];
        self.table("Keys used most", Tint::Ops, &columns, keys.iter().map(row).collect())
    }

    /// The keys that weigh most, heaviest first, and not those that weigh nothing.
    fn keys(&self, weight: impl Fn(&Key) -> u64) -> Vec<(&Map, &Key)> {
        let maps = self.summary.maps.iter();
        let keys = maps.flat_map(|map| map.keys.iter().map(move |key| (map, key)));
        let mut keys: Vec<(u64, usize, (&Map, &Key))> = keys
            .enumerate()
            .map(|(at, (map, key))| (weight(key), at, (map, key)))
            .filter(|(weight, ..)| *weight > 0)
            .collect();
        let order = |(weight, at, _): &(u64, usize, (&Map, &Key))| (Reverse(*weight), *at);
        if keys.len() > self.height {
            if self.height == 0 {
                return Vec::new();
            }
            keys.select_nth_unstable_by_key(self.height - 1, order);
            keys.truncate(self.height);
        }
        keys.sort_by_key(order);
        keys.into_iter().map(|(.., key)| key).collect()
    }

    fn key_row(&self, map: &Map, key: &Key) -> Row {
        let text = tables::key_text(key);
        Row {
            name: self.look.theirs(&text).into_owned(),
            of: self.look.theirs(&format!("{} {}", map.id, map_name(map))).into_owned(),
            ..Row::default()
        }
    }

    fn maps(&self) -> Lines {
        let span = self.summary.window.duration_ns;
        let maps = &self.summary.maps;
        let most = maps.first().map_or(0, |map| map.ops.total());
        let rows = maps.iter().take(self.height).map(|map| {
            let rate = units::per_second(map.ops.total(), span).map(units::rate);
            Row {
                figures: vec![
                    rate.unwrap_or_default(),
                    map.len.map(count).unwrap_or_default(),
                    count(map.keys_tracked),
                ],
                bar: map.ops.total() as f64 / most.max(1) as f64,
                name: self.look.theirs(&format!("{} {}", map.id, map_name(map))).into_owned(),
                of: String::new(),
            }
        });
        let columns = [("ops/s", 0), ("len", 1), ("keys", 2)];
        self.table(&some_of("Maps", maps.len()), Tint::Ops, &columns, rows.collect())
    }

    /// What it costs, what was lost and what is left out, as far as anything is.
    fn cost(&self) -> Lines {
        let window = &self.summary.window;
        let share = window
            .cost
            .target_cpu_share
            .map(|share| format!("probes took {} of the target's CPU time", units::share(share)));
        let cost = share
            .unwrap_or_else(|| format!("probes took {} of CPU time", time(window.cost.probe_ns)));
        let lost = window.lost.iter().filter(|(_, n)| **n > 0).map(|(reason, n)| {
            let what = if model::lost::is_detail(reason) { "details" } else { "events" };
            format!("{} {what} ({})", count(*n), self.look.theirs(&reason.replace('_', " ")))
        });
        let lost: Vec<String> = lost.collect();
        let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join(", ") };
        let mut text = format!("Cost: {cost}. Lost: {lost}.");
        if window.is_sampled() {
            text += " Figures are scaled from what was observed; their margins are in the tables.";
        }
        if !window.not_included.is_empty() {
            text = format!("{text} Not in the figures: {}.", window.not_included.join("; "));
        }
        let mut lines = paragraph(&text, self.width, self.look);
        for line in &mut lines {
            line.style = self.look.tint(Tint::Muted);
        }
        lines
    }

    /// Figures, bars and names below their heads; figures of the highest ranks go first
    /// where it is narrow.
    fn table(&self, title: &str, tint: Tint, columns: &[(&str, usize)], rows: Vec<Row>) -> Lines {
        if rows.is_empty() {
            return Vec::new();
        }
        let look = self.look;
        let room = (self.width.saturating_sub(NAME) / (FIGURE + 1)).max(1);
        let figures: Vec<usize> =
            (0..columns.len()).filter(|&column| columns[column].1 < room).collect();
        let bar = if self.width >= WIDE { BAR + 1 } else { 0 };
        let head = |&column: &usize| format!("{:>FIGURE$} ", columns[column].0);
        let mut heads: String = figures.iter().map(head).collect();
        heads.push_str(&" ".repeat(bar));
        let left = heads.len();
        heads.push_str(title);
        let mut lines = vec![Line::styled(heads, STRONG)];
        for row in rows {
            let mut text = String::new();
            for &column in &figures {
                let figure = look.ours(&row.figures[column]).into_owned();
                text.push_str(&" ".repeat(FIGURE.saturating_sub(units::width(&figure))));
                text.push_str(&figure);
                text.push(' ');
            }
            let mut spans = vec![Span::raw(text)];
            if bar > 0 {
                let drawn = blocks::bar(row.bar, BAR, look);
                let pad = " ".repeat(bar.saturating_sub(units::width(&drawn)));
                spans.extend([Span::styled(drawn, look.tint(tint)), Span::raw(pad)]);
            }
            spans.extend(self.name(&row, self.width.saturating_sub(left)));
            lines.push(Line::from(spans));
        }
        lines
    }

    /// The name, and what it is of where there is room.
    fn name(&self, row: &Row, room: usize) -> Vec<Span<'static>> {
        let of = if row.of.is_empty() || room < 2 * NAME { "" } else { row.of.as_str() };
        let mine = if of.is_empty() { room } else { room.saturating_sub(NAME + 2) };
        let name = self.look.head(&row.name, mine).into_owned();
        let rest = room.saturating_sub(units::width(&name) + 2);
        let of = self.look.head(of, rest).into_owned();
        let muted: Style = self.look.tint(Tint::Muted);
        vec![Span::raw(name), Span::raw("  "), Span::styled(of, muted)]
    }
}

/// A row of a table.
#[derive(Default)]
struct Row {
    figures: Vec<String>,
    bar: f64,
    name: String,
    of: String,
}

/// The head of a table that may be cut.
fn some_of(what: &str, all: usize) -> String {
    format!("{what} ({})", count(all as u64))
}

fn samples(steps: &[Step], of: fn(&Step) -> u64) -> Vec<Sample> {
    steps.iter().map(|step| Sample::of(step, of(step))).collect()
}
