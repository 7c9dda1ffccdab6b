//! Scales an interval's waits from windows to the whole.
//!
//! In: what was seen, and what is known of the windows. Out: the same, scaled, with spreads.
//! Counts and sums of all waits of a lock have tallies of their own. Of parts of them it is
//! taken that they come as restlessly as the whole (its design effect; Kish, Survey
//! Sampling, 8.2), at least one by one.

use super::hist::{WaitHist, WaitSpread};
use super::spread::{Place, Rounding, Scale, Spread, Tally};
use super::tables::{Blamed, Tables, Waits};
use super::{LockId, LockSlice};

/// Count and sum of waits, window by window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WaitTally {
    count: Tally,
    sum: Tally,
}

impl WaitTally {
    /// Ends a window with the waits since the interval began.
    pub(super) fn window(&mut self, count: u64, sum_ns: u64, place: Place) {
        self.count.window(count, place);
        self.sum.window(sum_ns, place);
    }

    /// Begins the next interval.
    pub(super) fn follow(&mut self) {
        self.count.follow(self.count.last());
        self.sum.follow(self.sum.last());
    }

    fn spread(&self, count: u64, sum_ns: u64, scale: &Scale) -> WaitSpread {
        let sum = self.sum.spread(sum_ns, count, scale);
        WaitSpread { count: self.count.spread(count, count, scale), sum }
    }

    /// How much more restless than one by one the waits came, of which there were `count`.
    pub(super) fn restless(&self, count: u64, scale: &Scale) -> Restless {
        let Spread { variance, degrees, .. } = self.count.spread(count, count, scale);
        let alone = one_by_one(count as f64, scale);
        let times = if alone > 0.0 { (f64::from(variance) / alone).max(1.0) } else { 1.0 };
        Restless { times, degrees: degrees.max(1.0) }
    }
}

/// The variance of a scaled count of events that come one by one.
fn one_by_one(count: f64, scale: &Scale) -> f64 {
    scale.factor * (scale.factor - 1.0) * count
}

/// How restlessly waits come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restless {
    times: f64,
    degrees: f32,
}

impl Restless {
    /// Of waits of which nothing is known.
    pub(super) fn none(scale: &Scale) -> Self {
        WaitTally::default().restless(0, scale)
    }

    fn spread(&self, waits: &WaitHist, scale: &Scale) -> WaitSpread {
        // What is lowered to what is possible is a bound, and rests on insufficient samples.
        let is_bound = scale.factor < 1.0;
        let (seen, least) = if is_bound { (0, 1.0) } else { (waits.count(), 0.0) };
        let of = |sum| Spread {
            seen: u32::try_from(seen).unwrap_or(u32::MAX),
            variance: (self.times * one_by_one(sum, scale)).clamp(least, f64::from(f32::MAX))
                as f32,
            degrees: self.degrees,
        };
        WaitSpread { count: of(waits.count() as f64), sum: of(waits.squares()) }
    }

    pub(super) fn scaled(&self, waits: &WaitHist, scale: &Scale) -> WaitHist {
        waits.scaled(scale, self.spread(waits, scale))
    }
}

/// Scales a lock, but for what belongs to keys and for open waits.
pub(super) fn scale_lock(lock: &mut LockSlice, tally: &WaitTally, scale: &Scale) -> Restless {
    let restless = tally.restless(lock.wait.count(), scale);
    let spread = tally.spread(lock.wait.count(), lock.wait.sum_ns(), scale);
    lock.wait = lock.wait.scaled(scale, spread);
    lock.hold = restless.scaled(&lock.hold, scale);
    let mut counts = Rounding::new(scale);
    for waits in [&mut lock.read, &mut lock.write] {
        scale_waits(waits, scale, &mut counts);
    }
    lock.blamed_ns = scale.of(lock.blamed_ns);
    restless
}

/// Scales a lock's waits by themselves, without windows to compare.
pub(super) fn scale_whole(lock: &mut LockSlice, restless: Restless, scale: &Scale) {
    lock.wait = restless.scaled(&lock.wait, scale);
    let mut counts = Rounding::new(scale);
    for waits in [&mut lock.read, &mut lock.write] {
        scale_waits(waits, scale, &mut counts);
    }
    lock.blamed_ns = scale.of(lock.blamed_ns);
}

fn scale_waits(waits: &mut Waits, scale: &Scale, counts: &mut Rounding) {
    waits.count = counts.next(waits.count);
    waits.wait_ns = scale.of(waits.wait_ns);
}

/// Scales the rows of locks.
pub(super) fn scale_rows(
    tables: &mut Tables,
    scale: &Scale,
    restless: impl Fn(LockId) -> Restless,
) {
    let mut counts = Rounding::new(scale);
    tables.waiters.rows_mut().for_each(|(_, row)| scale_waits(row, scale, &mut counts));
    let mut counts = Rounding::new(scale);
    tables.pairs.rows_mut().for_each(|(_, row)| scale_waits(row, scale, &mut counts));
    for ((lock, ..), row) in tables.holders.rows_mut() {
        let blame = restless(*lock).scaled(&row.blame, scale);
        *row = Blamed { blame, tasks: std::mem::take(&mut row.tasks) };
    }
}
