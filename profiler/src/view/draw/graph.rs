//! The session over time: operations and waits as columns, with a scale and a time axis.
//!
//! In: the steps of the past, of which one may be selected. Out: at most so many lines.

use ratatui::text::{Line, Span};

use super::{
    over_time::{self, Sample},
    parts::{Lines, fitted},
    theme::{Look, SELECTED, STRONG, Tint},
};
use crate::{
    model::{Step, Subject},
    units::{self, count, time},
    view::blocks,
};

/// Columns of the scale.
const SCALE: usize = 8;
/// Lines below the graphs: the axis, its times, and two about one step.
const BELOW: usize = 4;

/// A figure over time.
struct Graph {
    what: &'static str,
    tint: Tint,
    /// Its unit per second.
    text: fn(f64) -> String,
    samples: Vec<Sample>,
}

/// The page.
pub(in crate::view) fn lines(
    steps: &[Step],
    selected: Option<usize>,
    width: usize,
    height: usize,
    look: Look,
) -> Lines {
    if steps.is_empty() {
        let lines = vec![Line::from("No interval is complete yet.")];
        return fitted(lines.into_iter().take(height).collect(), width, look);
    }
    let selected = selected.filter(|&step| step < steps.len());
    let graphs = graphs(steps);
    let columns = width.saturating_sub(SCALE + 1);
    let marked = selected.and_then(|step| over_time::columns_of(&graphs[0].samples, step, columns));
    let rows = height.saturating_sub(BELOW) / graphs.len();
    let mut lines = Vec::new();
    for graph in &graphs {
        // A title takes a line of its own.
        if rows >= 3 {
            lines.extend(tall(graph, columns, rows - 1, marked, look));
        } else {
            lines.push(flat(graph, columns, marked, look));
        }
    }
    lines.extend(axis(&graphs[0].samples, columns, marked, look));
    lines.extend(about(steps, selected, look));
    lines.truncate(height);
    fitted(lines, width, look)
}

fn graphs(steps: &[Step]) -> [Graph; 2] {
    let samples = |of: fn(&Step) -> u64| {
        steps.iter().map(|step| Sample::of(step, of(step))).collect::<Vec<_>>()
    };
    [
        Graph {
            what: "ops/s",
            tint: Tint::Ops,
            text: units::rate,
            samples: samples(|step| step.totals.ops),
        },
        Graph {
            what: "wait/s",
            tint: Tint::Wait,
            text: |per_second| time(per_second as u64),
            samples: samples(|step| step.totals.wait_ns),
        },
    ]
}

/// A title, and columns of several rows with a scale.
fn tall(
    graph: &Graph,
    columns: usize,
    rows: usize,
    marked: Option<(usize, usize)>,
    look: Look,
) -> Lines {
    let rates = over_time::rates(&graph.samples, columns);
    let most = blocks::largest(&rates);
    let mut lines = vec![Line::styled(graph.what, STRONG)];
    let edge = if look.is_ascii() { '|' } else { '│' };
    for (row, text) in blocks::columns(&rates, rows, look).into_iter().enumerate() {
        // The figure at the top of the row, at the top and halfway down.
        let scale = match row {
            0 => (graph.text)(most),
            _ if rows >= 6 && row == rows / 2 => {
                (graph.text)(most * (rows - row) as f64 / rows as f64)
            }
            _ => String::new(),
        };
        let scale = look.ours(&scale).into_owned();
        let pad = " ".repeat(SCALE.saturating_sub(units::width(&scale)));
        let mut spans = vec![Span::raw(format!("{pad}{scale}{edge}"))];
        spans.extend(with_mark(&text, graph.tint, marked, look));
        lines.push(Line::from(spans));
    }
    lines
}

/// The same in one line.
fn flat(
    graph: &Graph,
    columns: usize,
    marked: Option<(usize, usize)>,
    look: Look,
) -> Line<'static> {
    let rates = over_time::rates(&graph.samples, columns);
    let mut spans = vec![Span::raw(format!("{:<width$}", graph.what, width = SCALE + 1))];
    spans.extend(with_mark(&blocks::sparkline(&rates, look), graph.tint, marked, look));
    Line::from(spans)
}

/// The columns of the selected step reversed.
fn with_mark(
    text: &str,
    tint: Tint,
    marked: Option<(usize, usize)>,
    look: Look,
) -> Vec<Span<'static>> {
    let style = look.tint(tint);
    let Some((first, end)) = marked else {
        return vec![Span::styled(text.to_owned(), style)];
    };
    let part = |from: usize, to: usize| text.chars().skip(from).take(to - from).collect::<String>();
    vec![
        Span::styled(part(0, first), style),
        Span::styled(part(first, end), style.patch(SELECTED)),
        Span::styled(part(end, usize::MAX), style),
    ]
}

/// The time axis with the selected step's columns marked, and its times.
fn axis(samples: &[Sample], columns: usize, marked: Option<(usize, usize)>, look: Look) -> Lines {
    let (line, corner, mark) =
        if look.is_ascii() { ("-", "+", "^") } else { ("─", "└", "▲") };
    let (first, end) = marked.unwrap_or((0, 0));
    let spans = vec![
        Span::raw(format!("{}{corner}{}", " ".repeat(SCALE), line.repeat(first))),
        Span::styled(mark.repeat(end - first), STRONG),
        Span::raw(line.repeat(columns.saturating_sub(end))),
    ];
    let all = over_time::places(samples).last().map_or(0.0, |(_, end)| *end);
    let mut times = " ".repeat(SCALE + 1);
    // A time every so many columns, as many as there is room for.
    let parts = (columns / 16).clamp(1, 8);
    for part in 0..=parts {
        let at = SCALE + 1 + columns * part / parts;
        let text = time((all * part as f64 / parts as f64) as u64);
        let text = look.ours(if part == 0 { "0" } else { &text }).into_owned();
        let start = if part == parts { at.saturating_sub(text.chars().count()) } else { at };
        let used = times.chars().count();
        if start >= used {
            times.push_str(&" ".repeat(start - used));
            times.push_str(&text);
        }
    }
    vec![Line::from(spans), Line::from(times)]
}

/// The selected step in words, else the newest.
fn about(steps: &[Step], selected: Option<usize>, look: Look) -> Lines {
    let at = selected.unwrap_or(steps.len() - 1);
    let totals = &steps[at].totals;
    let which = match selected {
        Some(_) => format!("Step {} of {}", at + 1, steps.len()),
        None => format!("Newest of {} steps", steps.len()),
    };
    let lost =
        if totals.lost > 0 { format!(" · {} lost", count(totals.lost)) } else { String::new() };
    let first = format!(
        "{which}, {} long: {} operations · {} in {} waits{lost}",
        time(totals.duration_ns),
        count(totals.ops),
        time(totals.wait_ns),
        count(totals.waits),
    );
    let subject = |subject: &Subject| match subject {
        Subject::Map(id) | Subject::Lock(id) => look.theirs(id).into_owned(),
        Subject::Key { map, key } => {
            format!("{} of {}", look.head(&look.theirs(key), 40), look.theirs(map))
        }
    };
    let none = || "none".to_owned();
    let second = format!(
        "Most used key: {} · most waited for: {}",
        steps[at].top_key.as_ref().map_or_else(none, subject),
        steps[at].top_lock.as_ref().map_or_else(none, subject),
    );
    [first, second].map(|text| Line::from(look.ours(&text).into_owned())).into()
}
