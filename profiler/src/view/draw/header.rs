//! What stands above the table: what is profiled, how much is seen of it, what
//! is missing, and where one is.

use ratatui::{
    style::Style,
    text::{Line, Span as Text},
};

use super::{
    parts::{self, Part},
    theme::{Look, SELECTED, STRONG},
};
use crate::{
    model::{self, SliceTotals, Step, names::map_name, summary::Summary},
    units,
    view::{
        blocks,
        grid::clock,
        state::{App, Page, Span, Tab},
    },
};

/// What is profiled, and whether the picture moves.
pub(super) fn title(app: &App, width: usize, look: Look) -> Line<'static> {
    let mut parts = vec![Part::new(5, "mapprof").styled(STRONG)];
    if let Some(summary) = app.summary() {
        let target = &summary.target;
        let exe = units::clean(&target.exe);
        let file = exe.rsplit('/').next().unwrap_or_default();
        if target.pid != 0 {
            parts.push(Part::new(2, format!("pid {}", target.pid)));
        }
        parts.push(Part::new(3, units::tail(&exe, 40).into_owned()).or(units::tail(file, 16)));
        for runtime in &target.runtimes {
            parts.push(Part::new(4, units::clean(&runtime.version).into_owned()));
        }
    }
    if app.paused() {
        parts.push(Part::new(0, " PAUSED ").styled(look.loud()));
    }
    if let Some(reason) = app.ended() {
        let text = format!(" ENDED {} ", units::clean(reason));
        parts.push(Part::new(1, text).or(" ENDED ").styled(look.loud()));
    }
    parts::line(parts, "  ", width, look)
}

/// Which time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::view) enum Time {
    /// Everything since the start.
    All,
    /// The newest interval.
    Last,
    /// A step of the past.
    Step {
        /// Its beginning, ns since the epoch.
        start_unix_ns: u64,
        /// From there to the end of the newest step, ns.
        ago_ns: u64,
    },
}

/// That in words, and in fewer words.
pub(in crate::view) fn span_text(time: Time, duration_ns: u64) -> [String; 2] {
    let duration = units::time(duration_ns);
    match time {
        Time::All => [format!("since start {duration}"), duration],
        Time::Last => [format!("last {duration}"), format!("last {duration}")],
        Time::Step { start_unix_ns, ago_ns } => {
            let (time, ago) = (clock(start_unix_ns), units::time(ago_ns));
            [
                format!("interval {time} UTC, {ago} ago, {duration} long"),
                format!("{time}, {ago} ago"),
            ]
        }
    }
}

/// Over what time, how much, how completely and at what cost.
pub(super) fn figures(app: &App, width: usize, look: Look) -> Line<'static> {
    let (Some(summary), Some(picture)) = (app.summary(), app.picture()) else {
        return Line::default();
    };
    let window = &summary.window;
    let time = match (app.span(), app.when()) {
        (Span::Total, _) => Time::All,
        (Span::Step, Some((start_unix_ns, ago_ns))) => Time::Step { start_unix_ns, ago_ns },
        _ => Time::Last,
    };
    let [long, short] = span_text(time, window.duration_ns);
    let style = if time == Time::All { Style::new() } else { STRONG };
    let mut parts = vec![Part::new(0, long).or(short).styled(style)];
    if let Some(events) = units::per_second(window.events, window.duration_ns) {
        let events = units::rate(events);
        parts.push(Part::new(1, format!("events {events}/s")).or(format!("{events} ev/s")));
        let (share, locks) = (window.observed_share(), window.locks_observed_share());
        // Figures scaled up from a part are to be read with care.
        let style = if share.min(locks.unwrap_or(1.0)) < 1.0 { STRONG } else { Style::new() };
        let observed = units::share(share);
        let of_locks = locks.map(|locks| format!(", locks {}", units::share(locks)));
        parts.push(
            Part::new(2, format!("observed {observed}{}", of_locks.unwrap_or_default()))
                .or(format!("seen {observed}"))
                .styled(style),
        );
    }
    parts.extend(cost(summary));
    parts.extend(slowed(summary));
    parts.push(Part::new(4, spark("events", &picture.steps, |step| step.events, look)));
    parts.push(Part::new(5, spark("waits", &picture.steps, |step| step.wait_ns, look)));
    parts::line(parts, "  ", width, look)
}

fn cost(summary: &Summary) -> Option<Part> {
    let window = &summary.window;
    if let Some(share) = window.cost.target_cpu_share {
        let mut long = units::share(share);
        if let Some(most) = window.cost.max_share {
            long = format!("{long} of {}", units::share(most));
        }
        let hit = window.cost.hit_ns.map(|hit| format!("  hit {}", units::time(hit)));
        let text = format!("probes {long} CPU{}", hit.unwrap_or_default());
        return Some(Part::new(3, text).or(format!("cost {}", units::share(share))));
    }
    let per_second = units::per_second(window.cost.probe_ns, window.duration_ns)?;
    let time = units::time(per_second as u64);
    Some(Part::new(3, format!("probes {time} CPU per s")).or(format!("cost {time}/s")))
}

/// Where the target does less while it is watched.
fn slowed(summary: &Summary) -> Option<Part> {
    let share = units::share(summary.window.slowed?);
    Some(
        Part::new(3, format!("slowed {share} while observed: operations ≥"))
            .or("operations ≥")
            .styled(STRONG),
    )
}

/// The newest intervals.
fn spark(what: &str, steps: &[Step], of: impl Fn(&SliceTotals) -> u64, look: Look) -> String {
    const INTERVALS: usize = 15;
    let newest = &steps[steps.len().saturating_sub(INTERVALS)..];
    let rate = |step: &Step| units::per_second(of(&step.totals), step.totals.duration_ns);
    let rates: Vec<Option<f64>> = newest.iter().map(rate).collect();
    match blocks::sparkline(&rates, look) {
        blocks if blocks.is_empty() => blocks,
        blocks => format!("{what} {blocks}"),
    }
}

/// What is missing from the figures, if anything is. Losses since the start are
/// also told where only the last interval is shown.
pub(super) fn lost(app: &App) -> Option<String> {
    let picture = app.picture()?;
    let reasons = |summary: &Summary| {
        // Where only details are missing, the figures shown here are whole.
        let whole = |reason: &str| model::lost::is_detail(reason);
        let lost = summary.window.lost.iter().filter(|(reason, n)| **n > 0 && !whole(reason));
        let reasons: Vec<String> = lost
            .map(|(reason, n)| {
                format!("{} {}", units::clean(&reason.replace('_', " ")), units::count(*n))
            })
            .collect();
        (!reasons.is_empty()).then(|| reasons.join(", "))
    };
    let in_last = reasons(&picture.last).filter(|_| app.span() == Span::Last);
    if let Some(reasons) = in_last {
        return Some(format!(" LOST in this interval: {reasons}. Figures may be too low. "));
    }
    let reasons = reasons(&picture.total)?;
    Some(format!(" LOST since start: {reasons}. Figures may be too low. "))
}

/// A line over the whole width that cannot be overlooked.
pub(super) fn loud(text: &str, width: usize, look: Look) -> Line<'static> {
    let text = look.ours(text);
    let text = look.head(&text, width);
    let pad = " ".repeat(width.saturating_sub(units::width(&text)));
    Line::styled(format!("{text}{pad}"), look.loud())
}

/// The tables to choose from, and how the one shown is arranged.
pub(super) fn tabs(app: &App, width: usize, look: Look) -> Line<'static> {
    let mut parts: Vec<Part> = Tab::ALL
        .into_iter()
        .map(|tab| {
            let chosen =
                tab == app.tab() && !matches!(app.page(), Some(Page::Help | Page::Notices));
            let style = if chosen { SELECTED } else { Style::new() };
            // The tab one is in goes last.
            let rank = if chosen { 0 } else { 2 };
            let title = tab.title();
            let digit = tab as usize + 1;
            let text = format!(" {digit} {title}{} {} ", of_map(app, tab), rows(app, tab));
            Part::new(rank, text.trim_end().to_owned() + " ")
                .or(format!(" {digit} {}{} ", tab.short(), of_id(app, tab)))
                .styled(style)
        })
        .collect();
    match app.page() {
        Some(Page::Help) => parts.push(Part::new(1, " Help ").styled(SELECTED)),
        Some(Page::Notices) => parts.push(Part::new(1, " Notices ").styled(SELECTED)),
        Some(Page::Columns(_)) => parts.push(Part::new(1, " Columns ").styled(SELECTED)),
        Some(Page::Flame(_)) => parts.push(Part::new(1, " Flame ").styled(SELECTED)),
        Some(Page::Detail(_)) => {}
        None => parts.extend(arrangement(app)),
    }
    parts::line(parts, " ", width, look)
}

/// How many there are to show; of keys also how many there are in all.
fn rows(app: &App, tab: Tab) -> String {
    let Some(listed) = app.len(tab).map(|len| len as u64) else { return String::new() };
    match app.keys_tracked() {
        tracked if tab == Tab::Keys && tracked > listed => {
            format!("{} of {}", units::count(listed), units::count(tracked))
        }
        _ => units::count(listed),
    }
}

fn of_id(app: &App, tab: Tab) -> String {
    let id = app.scope().filter(|_| tab == Tab::Keys);
    id.map(|id| format!(" of {}", units::clean(id))).unwrap_or_default()
}

fn of_map(app: &App, tab: Tab) -> String {
    let (Tab::Keys, Some(id), Some(summary)) = (tab, app.scope(), app.summary()) else {
        return String::new();
    };
    let name = summary.maps.iter().find(|map| map.id == id).map(map_name).unwrap_or_default();
    format!(" of {} {}", units::clean(id), units::head(&units::clean(&name), 24))
}

fn arrangement(app: &App) -> Vec<Part> {
    let (column, inverted) = app.sorted();
    let order = if inverted { "inverted" } else { "" };
    let mut parts = vec![Part::new(3, format!(" by {column} {order}").trim_end().to_owned())];
    if !app.filter().is_empty() {
        let shown = app.grid().rows.len();
        let all = app.grid().unfiltered;
        let filter = units::clean(app.filter());
        let text = format!("/{} {shown} of {all}", units::head(&filter, 24));
        parts.push(Part::new(1, text).or(format!("/{}", units::head(&filter, 12))).styled(STRONG));
    }
    parts
}

/// Where each tab is in the line of [`tabs`]: its first column, and the first behind it.
pub(super) fn tab_places(line: &Line<'_>) -> Vec<(u16, u16, Tab)> {
    let mut x = 0;
    let mut places = Vec::new();
    for span in &line.spans {
        let end = x + units::width(&span.content) as u16;
        let digit = span.content.trim_start().chars().next().and_then(|c| c.to_digit(10));
        let tab = digit.and_then(|digit| Tab::ALL.get((digit as usize).checked_sub(1)?));
        places.extend(tab.map(|tab| (x, end, *tab)));
        x = end;
    }
    places
}

/// Parts the table from the detail of its selected row.
pub(super) fn rule(width: usize, look: Look) -> Line<'static> {
    Line::from(Text::styled(
        (if look.is_ascii() { "-" } else { "─" }).repeat(width),
        look.graphic(),
    ))
}
