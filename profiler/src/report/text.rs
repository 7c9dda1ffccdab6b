//! What `mapprof stat` prints: the header, the findings, then maps with their keys
//! and call sites and locks with their waits, at most [`COLUMNS`] wide.

use std::fmt::Write;

use crate::catalog;
use crate::model::Frame;
use crate::model::names::{lock_name, map_name, short};
use crate::model::summary::{Caller, H, Key, Lock, Map, Ops, Runtime, Summary, Waiter};
use crate::units::{clean, count, head, per_second, rate, share, tail, time, width, wrap};

/// Widest line.
const COLUMNS: usize = 100;
/// Maps and locks told of in full; the rest is counted.
const MOST_OBJECTS: usize = 20;
/// A map or lock with less than one of so many parts of all operations or waits is
/// only counted.
const SMALL: u64 = 100;
/// Keys of a map.
const MOST_KEYS: usize = 10;
/// Call sites of a map, waiting stacks of a lock.
const MOST_PLACES: usize = 5;
/// Callers of a waiting function.
const MOST_FRAMES: usize = 8;

/// The whole text, ended by a line feed.
pub(super) fn render(summary: &Summary) -> String {
    let mut page = Page::default();
    header(&mut page, summary);
    findings(&mut page, summary);
    if summary.maps.is_empty() && summary.locks.is_empty() {
        nothing(&mut page, summary);
    } else {
        maps(&mut page, &summary.maps);
        locks(&mut page, &summary.locks);
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
    page.line(&format!("mapprof  pid {}  {}{runtimes}", target.pid, tail(&exe, room)));

    let speed = per_second(window.events, window.duration_ns);
    page.line(&format!(
        "window   {}, observed {}, {} events{}",
        time(window.duration_ns),
        part(window.observed_ns, window.duration_ns),
        count(window.events),
        speed.map(|speed| format!(", {} per second", rate(speed))).unwrap_or_default(),
    ));

    let cpu = window.cost.target_cpu_share;
    let cpu = cpu.map(|cpu| format!(", {} of the target's CPU time", share(cpu)));
    let cost = time(window.cost.probe_ns);
    page.line(&format!("cost     about {cost} in probes{}", cpu.unwrap_or_default()));

    let lost = window
        .lost
        .iter()
        .map(|(reason, lost)| format!("{} {}", count(*lost), reason.replace('_', " ")));
    let lost = lost.collect::<Vec<_>>().join(", ");
    page.paragraph("lost     ", if lost.is_empty() { "nothing" } else { &lost });
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

fn maps(page: &mut Page, maps: &[Map]) {
    page.gap();
    if maps.is_empty() {
        page.line("MAPS  none: no map operation was seen");
        return;
    }
    page.line("MAPS");
    let all = maps.iter().fold(0, |sum: u64, map| sum.saturating_add(map.ops.total()));
    for map in maps.iter().take(MOST_OBJECTS) {
        page.line(&format!("{:<4} {}", map.id, title(&map_name(map), map.address.as_deref())));
        page.line(&format!("     {}", ops_text(&map.ops)));
        if map.ops.total() >= all / SMALL {
            keys(page, map);
            callers(page, &map.callers);
        }
    }
    page.more("", maps.len() as u64, MOST_OBJECTS, "maps");
}

fn title(name: &str, address: Option<&str>) -> String {
    // Go reads from nil maps as from empty ones.
    let address = address.map(|address| if address == "0x0" { "nil" } else { address });
    [Some(name), address].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// `105 operations: 100 lookup, 5 insert`
fn ops_text(ops: &Ops) -> String {
    let kinds = [
        (ops.lookup, "lookup"),
        (ops.insert, "insert"),
        (ops.delete, "delete"),
        (ops.iterate, "iterate"),
        (ops.clear, "clear"),
        (ops.grow, "grow"),
    ];
    let used = kinds.iter().filter(|(n, _)| *n > 0);
    let used: Vec<String> = used.map(|(n, kind)| format!("{} {kind}", count(*n))).collect();
    format!("{} operations: {}", count(ops.total()), used.join(", "))
}

fn keys(page: &mut Page, map: &Map) {
    if map.unreadable_keys > 0 {
        let unreadable = count(map.unreadable_keys);
        page.line(&format!("     {unreadable} operations had a key that could not be read"));
    }
    if map.keys.is_empty() {
        return;
    }
    let shown = &map.keys[..map.keys.len().min(MOST_KEYS)];
    let exact = shown.iter().all(|key| key.margin == 0);
    page.line(if exact { "     by key" } else { "     by key (+n: up to n more)" });
    for key in shown {
        page.line(&key_line(key));
    }
    page.more("       ", map.keys_tracked, shown.len(), "keys");
}

fn key_line(key: &Key) -> String {
    let margin = if key.margin == 0 { String::new() } else { format!("+{}", count(key.margin)) };
    let ops = count(key.ops.total());
    let start = format!("      {:>6} {ops:>7}{margin:<6} ", share(key.share));
    let (text, mark) =
        if key.cut { (key.key.trim_end_matches('…'), "…") } else { (key.key.as_str(), "") };
    let text = clean(text);
    let shown = head(&text, COLUMNS - width(&start) - width(mark));
    // What the width cuts says so itself.
    let mark = if shown == text { mark } else { "" };
    format!("{start}{shown}{mark}")
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
        let place = caller.frames.first().map(place).unwrap_or_default();
        let margin =
            if caller.margin > 0 { format!("±{}", count(caller.margin)) } else { String::new() };
        page.line(&format!("      {:>6} {:>7} {margin:<5} {place}", part(n, all), count(n)));
    }
    page.more("       ", callers.len() as u64, MOST_PLACES, "call sites");
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

fn locks(page: &mut Page, locks: &[Lock]) {
    page.gap();
    if locks.is_empty() {
        page.line("LOCKS  none: nobody waited for a lock");
        return;
    }
    page.line("LOCKS");
    let all = locks.iter().fold(0, |sum: u64, lock| sum.saturating_add(lock.wait.sum_ns));
    for lock in locks.iter().take(MOST_OBJECTS) {
        page.line(&format!("{:<4} {}", lock.id, title(&lock_name(lock), lock.address.as_deref())));
        page.line(&format!("     {}", waits_text(&lock.wait)));
        if lock.open_waits > 0 {
            let (open, longest) = (count(lock.open_waits), time(lock.open_max_ns));
            page.line(&format!("     {open} still waiting at the end, the oldest for {longest}"));
        }
        if lock.wait.sum_ns >= all / SMALL {
            waiters(page, lock);
        }
    }
    page.more("", locks.len() as u64, MOST_OBJECTS, "locks");
}

/// `812 waits, 310ms in all: p50 180µs, p90 1.10ms, p99 2.10ms, max 4.81ms`
fn waits_text(h: &H) -> String {
    if h.count == 0 {
        return "no wait has ended".to_owned();
    }
    let times = [("p50", h.p50_ns), ("p90", h.p90_ns), ("p99", h.p99_ns), ("max", h.max_ns)];
    let times = times.map(|(name, ns)| format!("{name} {}", time(ns))).join(", ");
    format!("{}, {} in all: {times}", waits(h.count), time(h.sum_ns))
}

/// `1 wait`, `39.5k waits`
fn waits(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "wait" } else { "waits" })
}

fn waiters(page: &mut Page, lock: &Lock) {
    for waiter in lock.waiters.iter().take(MOST_PLACES) {
        let part = part(waiter.wait_ns, lock.wait.sum_ns);
        let start = format!("      {part:>6} {:>7} ", time(waiter.wait_ns));
        page.paragraph(&start, &waiter_text(waiter));
    }
    page.more("       ", lock.waiters.len() as u64, MOST_PLACES, "stacks");
}

/// `in 12 waits of sync.(*Mutex).Lock ← main.f (f.go:7) ← main.g (g.go:9) ← …`: the
/// program's own code, and briefly what it called.
fn waiter_text(waiter: &Waiter) -> String {
    let is_runtime = |frame: &Frame| catalog::is_runtime(&frame.function);
    let all = &waiter.stack;
    let own = all.iter().position(|frame| !is_runtime(frame)).unwrap_or_default();
    let end = all.iter().rposition(|frame| !is_runtime(frame)).map_or(all.len(), |last| last + 1);
    let inside = all[..own].iter().map(|frame| short(&frame.function).into_owned());
    let mut places: Vec<String> =
        inside.chain(all[own..end].iter().take(MOST_FRAMES).map(place)).collect();
    if end - own > MOST_FRAMES {
        places.push("…".to_owned());
    }
    let places =
        if places.is_empty() { "an unknown place".to_owned() } else { places.join(" ← ") };
    format!("in {} of {places}", waits(waiter.count))
}
