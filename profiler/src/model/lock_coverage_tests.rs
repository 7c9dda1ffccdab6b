//! Whether waits that are watched in windows are told as often and as long as they were:
//! waits far longer than a window, in bursts and one by one, over many made-up runs.

use super::coverage_tests::{MS, Random, SECOND};
use super::*;
use crate::decode::{Mode, WaitEvent};

/// Windows on waits.
const WINDOW: u64 = 10 * MS;
const PERIOD: u64 = 500 * MS;
/// How long an interval waits for a window.
const GRACE: u64 = 250 * MS;
const RUN: u64 = 40 * SECOND;

/// A wait: when it began, and how long it was, ns.
type Made = (u64, u64);

/// One in four is a reader's.
fn mode(ns: u64) -> Mode {
    if ns.is_multiple_of(4) { Mode::Read } else { Mode::Write }
}

/// Mostly some milliseconds, some a hundred: a few make up most of the time waited.
fn length(random: &mut Random) -> u64 {
    ((5.0 * MS as f64) * (1.2 * random.normal()).exp()) as u64 + 1
}

/// Waits that begin one by one, or in bursts of about 3 ms with 10 ms between them.
fn waits(bursts: bool, random: &mut Random) -> Vec<Made> {
    let mut all = Vec::new();
    let (mut at, mut ends) = (0.0, 0.0);
    while at < RUN as f64 {
        let gap = -(1.0 - random.unit()).ln() * MS as f64;
        at += gap / 2.0;
        if bursts && at > ends {
            at += 20.0 * gap;
            ends = at + 6.0 * random.unit() * MS as f64;
        }
        all.push((at as u64, length(random)));
    }
    all
}

/// What mapprof tells of them: those that began in windows, each followed to its end
/// before the next window opens. When that is due depends on the last window, not on waits:
/// after long ones there would be less of what they are scaled by. The truth is of those
/// that ended by the run's end: how many and how long, and the same of readers.
fn run(bursts: bool, seed: u64) -> (Session, [u64; 4]) {
    let mut random = Random::new(seed);
    let waits = waits(bursts, &mut random);
    let done = waits.iter().filter(|(at, ns)| at + ns <= RUN);
    let truth = done.fold([0; 4], |[count, sum, reads, read], &(_, ns)| {
        let of_reader = u64::from(mode(ns) == Mode::Read);
        [count + 1, sum + ns, reads + of_reader, read + of_reader * ns]
    });
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    let (mut began, mut watched, mut now) = (0, 0, 0);
    let mut due = (random.unit() * PERIOD as f64) as u64;
    while began < RUN {
        let opens = now.max(due);
        let shuts = opens + WINDOW;
        due = shuts + ((0.5 + random.unit()) * (PERIOD - WINDOW) as f64) as u64;
        let first = waits.partition_point(|wait| wait.0 < opens);
        let last = waits.partition_point(|wait| wait.0 < shuts);
        let mut told: Vec<_> = waits[first..last].iter().map(|(at, ns)| (at + ns, *ns)).collect();
        told.sort_unstable();
        now = told.last().map_or(shuts, |wait| wait.0.max(shuts));
        let mut told = told.into_iter().peekable();
        let mut is_open = shuts <= RUN;
        while began < RUN {
            // An interval waits for the ends of a window's waits, but not for long.
            let end = began + SECOND;
            let end = if opens < end { end.max(now.min(end + GRACE)) } else { end };
            while let Some((_, ns)) = told.next_if(|wait| wait.0 <= end) {
                let (stack, mode, task) = (0, Some(mode(ns)), 7);
                builder.wait(&WaitEvent { lock: 0, stack, mode, task, start_ns: 0, ns });
            }
            // A window is told when its last wait has ended, or with the interval.
            if is_open && shuts <= end {
                builder.lock_window(Watched { observed_ns: WINDOW, ..Watched::default() });
                (is_open, watched) = (false, watched + WINDOW);
            }
            if now <= end {
                break;
            }
            session.push(builder.close(SliceMeta {
                start_unix_ns: began,
                duration_ns: end - began,
                observed_ns: end - began,
                locks_observed_ns: std::mem::take(&mut watched),
                ..SliceMeta::default()
            }));
            began = end;
        }
    }
    (session, truth)
}

#[test]
fn waits_longer_than_windows_are_told_without_bias() {
    for bursts in [false, true] {
        let (mut within, mut off) = ([0; 4], [0.0; 4]);
        let runs = 200;
        for seed in 1..=runs {
            let (session, truth) = run(bursts, seed);
            let lock = &session.summary(1).locks[0];
            let (wait, read) = (lock.wait, lock.read.expect("there are readers"));
            let told = [
                (wait.count, wait.margin),
                (wait.sum_ns, wait.margin_ns),
                (read.count, read.margins.margin),
                (read.wait_ns, read.margins.margin_ns),
            ];
            for (index, (figure, margin)) in told.into_iter().enumerate() {
                within[index] += u32::from(figure.abs_diff(truth[index]) <= margin);
                off[index] += (figure as f64 / truth[index] as f64 - 1.0) / runs as f64;
            }
        }
        println!("bursts {bursts}: within {within:?} of {runs}, off {off:?}");
        // Those of readers lie within some 40% in a run, so their mean within some 6%.
        let most = [0.02, 0.02, 0.06, 0.06];
        assert!(off.iter().zip(most).all(|(off, most)| off.abs() < most), "{bursts}: {off:?}");
        let [all @ .., reads, read] = within;
        assert!(all.iter().all(|it| (180..=199).contains(it)), "bursts {bursts}: {within:?}");
        // A part that is drawn from bursts at random is less restless than they are.
        assert!((180..=200).contains(&reads), "bursts {bursts}: {within:?}");
        assert!((180..=200).contains(&read), "bursts {bursts}: {within:?}");
    }
}
