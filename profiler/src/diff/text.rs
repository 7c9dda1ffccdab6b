//! What `mapprof diff` prints: what moved, most first, at most 100 columns wide.

use std::fmt::Write;

use super::fields::{self, Field, Unit};
use super::{Change, Changes, Diff, Kind, Verdict, Window};
use crate::units::{clean, count, head, rate, share, tail, time, width};

/// Widest line.
const COLUMNS: usize = 100;
/// Subjects of a section that are told.
const MOST: usize = 12;

/// Which kinds stand together, and under what.
const SECTIONS: [(&str, &[Kind]); 5] = [
    ("THE RUN", &[Kind::Run]),
    ("LOCKS", &[Kind::Lock]),
    ("WHO WAITS, AND WHO MAKES THEM WAIT", &[Kind::Pair, Kind::Waiter, Kind::Holder]),
    ("MAPS", &[Kind::Map, Kind::Site]),
    ("KEYS", &[Kind::Key]),
];

/// The whole text, ended by a line feed.
pub fn render(diff: &Diff) -> String {
    let mut text = String::new();
    window(&mut text, "before", &diff.before);
    window(&mut text, "after", &diff.after);
    if diff.before.lost.max(diff.after.lost) > 0 {
        line(
            &mut text,
            "lost     events were lost: figures are lower bounds, and may differ for that alone",
        );
    }
    let mut moved = 0;
    for (title, kinds) in SECTIONS {
        moved += section(&mut text, diff, title, kinds);
    }
    text.push('\n');
    for told in summary(diff, moved) {
        line(&mut text, &told);
    }
    text
}

fn line(text: &mut String, told: &str) {
    let told = clean(told);
    let _ = writeln!(text, "{}", head(told.trim_end(), COLUMNS));
}

fn window(text: &mut String, name: &str, window: &Window) {
    let exe = clean(&window.exe).into_owned();
    let told = format!(
        "{name:<8} {} in {} intervals{}, {} events",
        time(window.duration_ns),
        window.intervals,
        observed(window),
        count(window.events)
    );
    let lost =
        if window.lost > 0 { format!(", {} lost", count(window.lost)) } else { String::new() };
    let room = COLUMNS.saturating_sub(width(&told) + width(&lost) + 2);
    line(text, &format!("{told}{lost}  {}", tail(&exe, room)));
}

/// `, observed 0.8%`, where figures are scaled from a part.
fn observed(window: &Window) -> String {
    if window.observed_ns == 0 || window.observed_ns >= window.duration_ns {
        return String::new();
    }
    format!(", observed {}", share(window.observed_ns as f64 / window.duration_ns as f64))
}

/// Returns how many figures it tells.
fn section(text: &mut String, diff: &Diff, title: &str, kinds: &[Kind]) -> usize {
    let is_news = |change: &&Change| change.verdict.is_news();
    let mut rows: Vec<(&Changes, Vec<&Change>)> = diff
        .subjects
        .iter()
        .filter(|changes| kinds.contains(&changes.kind))
        .map(|changes| (changes, changes.figures.iter().filter(is_news).collect()))
        .filter(|(_, news): &(_, Vec<_>)| !news.is_empty())
        .collect();
    let moved = rows.iter().map(|(_, news)| news.len()).sum();
    if moved == 0 {
        return 0;
    }
    rows.sort_by(|a, b| weight(&b.1).total_cmp(&weight(&a.1)));
    text.push('\n');
    line(text, title);
    for (changes, news) in rows.iter().take(MOST) {
        line(text, &name(changes));
        for change in news {
            line(text, &figure(change));
        }
    }
    if rows.len() > MOST {
        line(text, &format!("… and {} more, all of which --format json tells", rows.len() - MOST));
    }
    moved
}

/// By how much of its kind a subject moved.
fn weight(news: &[&Change]) -> f64 {
    let moved =
        |change: &&Change| (change.after.unwrap_or(0.0) - change.before.unwrap_or(0.0)).abs();
    // Of figures in different units the first is that of most of its kind.
    news.first().map_or(0.0, moved)
}

fn name(changes: &Changes) -> String {
    let id = changes.after_id.as_ref().or(changes.before_id.as_ref());
    let with_id = |name: &str| match id {
        Some(id) => format!("{id:<4} {name}"),
        None => name.to_owned(),
    };
    match (&changes.of, changes.kind) {
        (None, _) => with_id(&changes.name),
        (Some(of), Kind::Waiter) => with_id(&format!("{} waits for {of}", changes.name)),
        (Some(of), Kind::Holder) => with_id(&format!("{} holds {of}", changes.name)),
        (Some(of), Kind::Key) => with_id(&format!("{}  of {of}", head(&changes.name, 48))),
        (Some(of), _) => with_id(&format!("{}  ({of})", changes.name)),
    }
}

fn figure(change: &Change) -> String {
    let unit = fields::field(change.field).map_or(Unit::Count, Field::unit);
    let told =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| self::value(it, unit));
    let name = change.field.split_once('.').map_or(change.field, |(_, name)| name);
    let verdict = match (change.verdict, change.change) {
        (Verdict::New, _) => "new".to_owned(),
        (Verdict::Gone, _) => "gone".to_owned(),
        (_, Some(by)) => self::change(by) + &margin([change.change_low, change.change_high]),
        (_, None) => String::new(),
    };
    format!("     {name:<12}{:>10} → {:<10} {verdict}", told(change.before), told(change.after))
}

/// `+38.0%`, `-12.0%`, `×3.10`.
pub(super) fn change(by: f64) -> String {
    if by >= 1.0 {
        return format!("×{}", rate(1.0 + by));
    }
    let sign = if by < 0.0 { "-" } else { "+" };
    format!("{sign}{}", share(by.abs()))
}

/// ` (+31.0% to +45.0%)`; nothing where the margin is not known.
pub(super) fn margin(interval: [Option<f64>; 2]) -> String {
    match interval {
        [Some(low), Some(high)] => format!(" ({} to {})", change(low), change(high)),
        [Some(low), None] => format!(" ({} or more)", change(low)),
        [None, Some(high)] => format!(" ({} or less)", change(high)),
        [None, None] => String::new(),
    }
}

/// With its unit.
pub(super) fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => rate(value) + "/s",
        Unit::NsPerSecond => time(value as u64) + "/s",
        Unit::Ns => time(value as u64),
        Unit::Count => count(value as u64),
        Unit::Share => share(value),
    }
}

fn summary(diff: &Diff, moved: usize) -> Vec<String> {
    let too_few = diff.subjects.iter().flat_map(|changes| &changes.figures);
    let too_few = too_few.filter(|change| change.verdict == Verdict::TooFew).count();
    let least = share(diff.least);
    let compared = count(diff.compared as u64);
    let first = match (moved, diff.compared) {
        (_, 0) => "Nothing can be compared: there are too few events or intervals.".to_owned(),
        (0, _) => format!(
            "Nothing moved by {least} or more beyond the margin, of {compared} figures compared."
        ),
        (1, _) => format!("1 of {compared} figures moved by {least} or more beyond the margin."),
        _ => format!("{moved} of {compared} figures moved by {least} or more beyond the margin."),
    };
    let mut lines = vec![first];
    if too_few > 0 {
        lines.push(format!(
            "{} more have too few events or intervals to tell.",
            count(too_few as u64)
        ));
    }
    if diff.compared > 0 {
        lines.push(
            "In brackets: the change with 95% confidence. It covers chance within these runs; what"
                .to_owned(),
        );
        lines.push(
            "differs from run to run, as the machine or the load, it cannot know.".to_owned(),
        );
    }
    lines
}
