//! Bars that show how far something has come and how long it will take.
//!
//! In: marks of work that goes on. Out: a line on standard error, only where that is a
//! terminal, only once it has taken a moment, and gone afterwards.

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::out;
use crate::meter::{Mark, watched};
use crate::outside::Shown as _;
use crate::units;

/// What is over sooner is not worth a bar.
const MOMENT: Duration = Duration::from_millis(300);
/// How often a bar is drawn that nothing else moves.
const TICK: Duration = Duration::from_millis(200);

const READING: &str = "reading {wide_msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left";
const LOADING: &str = "reading symbols [{bar:30}] {pos} of {len} files, {eta} left  {wide_msg}";
const TIMED: &str = "recording [{wide_bar}] {gone}, {left} left  {msg}";
const ENDLESS: &str = "recording {spinner} {gone}, Ctrl-C ends it  {msg}";

/// The bar that is on the terminal, which messages must not run into.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes something to standard error, with no bar in its way.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A bar that is gone when this is dropped; none where there is no terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(all: Option<u64>, style: ProgressStyle) -> Self {
        if !out::notes_to_terminal() {
            return Self(None);
        }
        let bar = all.map_or_else(ProgressBar::no_length, ProgressBar::new).with_style(style);
        *shown() = Some(bar.clone());
        Self(Some(bar))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
            *shown() = None;
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// Reads a file, with a bar of its bytes.
pub(super) fn reading<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    let style = style(READING);
    metered(style, Some(bytes), path.shown().to_string(), work)
}

/// Reads a program and its libraries, with a bar of these.
pub(super) fn loading<T>(work: impl FnOnce() -> T) -> T {
    let style = style(LOADING);
    metered(style, None, String::new(), work)
}

/// Work that tells how far it has come.
fn metered<T>(
    style: ProgressStyle,
    all: Option<u64>,
    message: String,
    work: impl FnOnce() -> T,
) -> T {
    if !out::notes_to_terminal() {
        return work();
    }
    let began = Instant::now();
    let bar: RefCell<Option<Bar>> = RefCell::new(None);
    let heard = move |mark: Mark<'_>| {
        if began.elapsed() < MOMENT {
            return;
        }
        let mut bar = bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| Bar::new(mark.all.or(all), style.clone()));
        if let Some(bar) = &bar.0 {
            let on = if mark.on.is_empty() { &message } else { mark.on };
            bar.set_message(units::clean(on).into_owned());
            if let Some(all) = mark.all {
                bar.set_length(all);
            }
            bar.set_position(mark.done);
        }
    };
    watched(heard, work)
}

/// A run that is recorded: how long it has gone on and has still to go, and what came.
pub(super) struct Recording {
    bar: Bar,
    events: u64,
    ns: u64,
}

impl Recording {
    /// From now on, for `duration` where that is known.
    pub(super) fn new(duration: Option<Duration>) -> Self {
        let left = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let left = duration.unwrap_or_default().saturating_sub(state.elapsed());
            let _ = out.write_str(&units::time(whole_seconds(left)));
        };
        let gone = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&units::time(whole_seconds(state.elapsed())));
        };
        let template = if duration.is_some() { TIMED } else { ENDLESS };
        let style = style(template).with_key("left", left).with_key("gone", gone);
        let all = duration.map(|all| u64::try_from(all.as_nanos()).unwrap_or(u64::MAX));
        let bar = Bar::new(all, style);
        if let Bar(Some(bar)) = &bar {
            bar.enable_steady_tick(TICK);
        }
        Self { bar, events: 0, ns: 0 }
    }

    /// An interval of `ns` with so many events is over; the file has so many bytes.
    pub(super) fn tick(&mut self, events: u64, ns: u64, bytes: Option<u64>) {
        self.ns = self.ns.saturating_add(ns);
        self.events = self.events.saturating_add(events);
        if let Bar(Some(bar)) = &self.bar {
            let rate = units::per_second(events, ns).unwrap_or(0.0);
            let size = bytes.map(|bytes| format!(", {} KiB", units::count(bytes.div_ceil(1024))));
            bar.set_position(self.ns);
            bar.set_message(format!("{} events/s{}", units::rate(rate), size.unwrap_or_default()));
        }
    }
}

/// ns, without what is below a second.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_work_is_done_all_the_same() {
        assert_eq!(reading(Path::new("/nowhere"), || 7), 7);
        assert_eq!(loading(|| 8), 8);
        assert_eq!(aside(|| 9), 9);
    }

    #[test]
    fn every_template_is_understood() {
        for template in [READING, LOADING, TIMED, ENDLESS] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
