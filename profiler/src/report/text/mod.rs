//! What `mapprof stat` prints: the header, the findings, then maps with their keys
//! and call sites and locks with their waits, at most [`COLUMNS`] wide.

mod locks;
mod maps;

use std::fmt::Write;

use crate::model::Frame;
use crate::model::names::short;
use crate::model::summary::{H, Margins, Runtime, Summary, Window};
use crate::units::{clean, count, head, per_second, rate, share, tail, time, width, wrap};

/// Widest line.
const COLUMNS: usize = 100;
/// Maps and locks told of in full; the rest is counted.
const MOST_OBJECTS: usize = 20;
/// A map or lock with less than one of so many parts of all operations or waits is
/// only counted.
const SMALL: u64 = 100;
/// Call sites of a map; stacks, pairs and open waits of a lock.
const MOST_PLACES: usize = 5;
/// Columns that a key gets in the middle of a line.
const KEY_COLUMNS: usize = 40;

/// The whole text, ended by a line feed.
pub(super) fn render(summary: &Summary) -> String {
    let mut page = Page::default();
    header(&mut page, summary);
    findings(&mut page, summary);
    let nothing_called = summary.lock_functions.is_empty();
    if summary.maps.is_empty() && summary.locks.is_empty() && nothing_called {
        nothing(&mut page, summary);
    } else {
        maps::write(&mut page, &summary.window, &summary.maps);
        locks::write(&mut page, summary);
    }
    page.0
}

/// Lines without control characters that fit.
#[derive(Default)]
struct Page(String);

impl Page {
    /// One line; what does not fit is cut.
    fn line(&mut self, text: &str) {
        let text = clean(text);
        let _ = writeln!(self.0, "{}", head(text.trim_end(), COLUMNS));
    }

    /// Text that is broken into lines, with spaces before all but the first.
    fn paragraph(&mut self, first: &str, text: &str) {
        let indent = " ".repeat(width(first));
        for (index, line) in wrap(&clean(text), COLUMNS - indent.len()).iter().enumerate() {
            self.line(&format!("{}{line}", if index == 0 { first } else { &indent }));
        }
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Says how many were left out, if any.
    fn more(&mut self, indent: &str, all: u64, shown: usize, what: &str) {
        let more = all.saturating_sub(shown as u64);
        if more > 0 {
            self.line(&format!("{indent}… and {} more {what}", count(more)));
        }
    }
}

fn header(page: &mut Page, summary: &Summary) {
    let (target, window) = (&summary.target, &summary.window);
    let runtimes: Vec<String> = target.runtimes.iter().map(runtime).collect();
    let runtimes =
        if runtimes.is_empty() { String::new() } else { format!("  ({})", runtimes.join(", ")) };
    let exe = clean(&target.exe);
    let room = COLUMNS.saturating_sub(24 + width(&runtimes));
    // Several processes have none in common.
    let pid = if target.pid == 0 { String::new() } else { format!("pid {}  ", target.pid) };
    page.line(&format!("mapprof  {pid}{}{runtimes}", tail(&exe, room)));

    let speed = per_second(window.events, window.duration_ns);
    page.line(&format!(
        "window   {}, observed {}, {} events{}",
        time(window.duration_ns),
        observed(window),
        count(window.events),
        speed.map(|speed| format!(", {} per second", rate(speed))).unwrap_or_default(),
    ));

    let cpu = window.cost.target_cpu_share;
    let cpu = cpu.map(|cpu| format!(", {} of the target's CPU time", share(cpu)));
    let cost = time(window.cost.probe_ns);
    let most = window.cost.max_share.map(|most| format!(" (at most {})", share(most)));
    let hit = window.cost.hit_ns.map(|hit| format!(", {} a hit", time(hit)));
    page.line(&format!(
        "cost     about {cost} in probes{}{}{}",
        cpu.unwrap_or_default(),
        most.unwrap_or_default(),
        hit.unwrap_or_default()
    ));
    sampling(page, window);

    let lost = window
        .lost
        .iter()
        .map(|(reason, lost)| format!("{} {}", count(*lost), reason.replace('_', " ")));
    let lost = lost.collect::<Vec<_>>().join(", ");
    page.paragraph("lost     ", if lost.is_empty() { "nothing" } else { &lost });
    if !window.not_included.is_empty() {
        page.paragraph("without  ", &window.not_included.join("; "));
    }
}

/// `100%`, `1.1% in 98 windows`
fn observed(window: &Window) -> String {
    let of = |ns| part(ns, window.duration_ns);
    let maps = match window.windows {
        0 => of(window.observed_ns),
        n => format!("{} in {}", of(window.observed_ns), some(n, "window", "windows")),
    };
    match window.locks_observed_ns {
        Some(locks) => format!("{maps}, locks {}", of(locks)),
        None => maps,
    }
}

/// What figures are that were scaled.
fn sampling(page: &mut Page, window: &Window) {
    if !window.is_sampled() {
        return;
    }
    page.paragraph(
        "sampled  ",
        "figures are scaled from what was observed; ±n is half the width of a 95% interval",
    );
    if let Some(slowed) = window.slowed {
        let why = format!(
            "while it is observed the target spends {} of its CPU time in probes and does less, so \
             operations are at least (≥) what is shown",
            share(slowed)
        );
        page.paragraph("         ", &why);
    }
}

/// How far a figure may be off: nothing where it is exact.
fn margin_text(margin: u64, few: bool) -> String {
    match margin {
        _ if few => "too few".to_owned(),
        0 => String::new(),
        n => format!("±{}", count(n)),
    }
}

/// `go1.27.3`, whose version says the name; else both.
fn runtime(runtime: &Runtime) -> String {
    if runtime.version.starts_with(&runtime.name) {
        runtime.version.clone()
    } else {
        format!("{} {}", runtime.name, runtime.version).trim_end().to_owned()
    }
}

fn findings(page: &mut Page, summary: &Summary) {
    if summary.findings.is_empty() {
        return;
    }
    page.gap();
    page.line("FINDINGS");
    for finding in &summary.findings {
        page.paragraph(&format!("  {:<9}", finding.severity), &finding.message);
        page.paragraph("           → ", &finding.advice);
    }
}

fn nothing(page: &mut Page, summary: &Summary) {
    page.gap();
    let window = &summary.window;
    let seen = format!(
        "Nothing was seen: no map operation and no lock wait in the {} that probes were attached.",
        time(window.observed_ns)
    );
    let why = if window.observed_ns == 0 {
        "The target ended, or was never probed, before anything could be measured."
    } else {
        "The probed functions were not called, or every lock was free: `mapprof probes` lists the \
         functions that are probed and those that are left out, and why."
    };
    page.paragraph("", &seen);
    page.paragraph("", why);
}

fn title(name: &str, address: Option<&str>) -> String {
    // Go reads from nil maps as from empty ones.
    let address = address.map(|address| if address == "0x0" { "nil" } else { address });
    [Some(name), address].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// So many of so many.
fn part(n: u64, all: u64) -> String {
    if all == 0 { share(0.0) } else { share((n as f64 / all as f64).min(1.0)) }
}

/// `main.(*Cache).Get (cache.go:42)`
fn place(frame: &Frame) -> String {
    let function = short(&frame.function);
    let file = frame.file.as_deref().map(|file| file.rsplit('/').next().unwrap_or(file));
    match (file, frame.line) {
        (Some(file), Some(line)) => format!("{function} ({file}:{line})"),
        (Some(file), None) => format!("{function} ({file})"),
        _ => function.into_owned(),
    }
}

/// A key amid other text: cleaned, and short.
fn short_key(key: &str) -> String {
    head(&clean(key), KEY_COLUMNS).into_owned()
}

/// `812 waits`, `2.33k ±313 waits`, `25 waits (too few for a margin)`
fn counted(n: u64, margin: u64, few: bool, what: &str) -> String {
    match margin {
        _ if few => format!("{} {what} (too few for a margin)", count(n)),
        0 => format!("{} {what}", count(n)),
        _ => format!("{} ±{} {what}", count(n), count(margin)),
    }
}

/// `812 waits, 310ms in all: p50 180µs, p90 1.10ms, p99 2.10ms, max 4.81ms`
fn times_text(h: &H, one: &str, many: &str) -> String {
    let times = [("p50", h.p50_ns), ("p90", h.p90_ns), ("p99", h.p99_ns), ("max", h.max_ns)];
    let times = times.map(|(name, ns)| format!("{name} {}", time(ns))).join(", ");
    let many = if h.count == 1 { one } else { many };
    let in_sum =
        if h.few || h.margin_ns == 0 { String::new() } else { format!(" ±{}", time(h.margin_ns)) };
    let all = counted(h.count, h.margin, h.few, many);
    format!("{all}, {}{in_sum} in all: {times}", time(h.sum_ns))
}

/// `310ms ±20ms` before ` in 812 ±40 waits`, each without what is exact.
fn summed(n: u64, ns: u64, margins: &Margins) -> (String, String) {
    let Margins { margin, margin_ns, few } = *margins;
    let off = if few || margin_ns == 0 { String::new() } else { format!(" ±{}", time(margin_ns)) };
    let waits = counted(n, margin, few, if n == 1 { "wait" } else { "waits" });
    (format!("{}{off}", time(ns)), waits)
}

/// `1 wait`, `39.5k waits`
fn some(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}
