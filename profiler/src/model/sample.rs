//! How far figures may be off that are scaled from a sample.
//!
//! The kernel reads the callers of the first operations of each tick of each CPU
//! ([`probe_ebpf::CALLERS_PER_TICK`]), and stacks of fewer. Operations in a row are
//! alike, so they count for less than as many drawn one by one. How alike they are is
//! seen from how the shares differ between intervals: the intervals are the clusters of
//! a cluster sample, and a share is a ratio of two sums over them (Cochran, Sampling
//! Techniques, 6.3 and 9A). Where there are too few of them, all that are read in a row
//! count as one, as if they were all alike, which is the worst that they can be.
//!
//! In: sampled operations of each interval. Out: half the width of 95% intervals.

use std::collections::HashMap;

use probe_ebpf::{CALLER_NOT_SAMPLED, Op};

use super::Ops;
use super::spread::{FEW, Spread, Z, student};

/// Sums over intervals, one for each kind of operation.
type Sums = [f64; Op::ALL.len()];

/// What the operations of one map told of their callers, interval by interval.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Intervals with sampled operations of a kind.
    intervals: [u32; Op::ALL.len()],
    /// Squares of the sampled operations.
    squares: Sums,
    callers: HashMap<u64, Habit>,
}

/// Of one caller.
#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    /// Squares of its operations.
    squares: Sums,
    /// Its operations times all that were sampled.
    products: Sums,
}

impl Sample {
    /// Takes in one interval's operations by caller; at most `limit` callers are
    /// kept.
    pub(crate) fn add(&mut self, callers: &[(u64, Ops)], limit: usize) {
        let told = || callers.iter().filter(|(caller, _)| *caller != CALLER_NOT_SAMPLED);
        let mut sampled = Ops::default();
        told().for_each(|(_, ops)| sampled.add(ops));
        for (index, &count) in sampled.0.iter().enumerate() {
            self.intervals[index] += u32::from(count > 0);
            self.squares[index] += (count as f64).powi(2);
        }
        for (caller, ops) in told() {
            if self.callers.len() >= limit && !self.callers.contains_key(caller) {
                continue;
            }
            let spread = self.callers.entry(*caller).or_default();
            for (index, &count) in ops.0.iter().enumerate() {
                spread.squares[index] += (count as f64).powi(2);
                spread.products[index] += count as f64 * sampled.0[index] as f64;
            }
        }
    }

    /// The variance of a caller's share of the operations of a kind, and how many
    /// intervals tell it; `None` where too few do.
    fn variance(&self, caller: u64, op: Op, share: f64, sampled: u64) -> Option<(f64, u32)> {
        let index = op as usize;
        let spread = self.callers.get(&caller)?;
        let intervals = self.intervals[index];
        let sum = spread.squares[index] - 2.0 * share * spread.products[index]
            + share.powi(2) * self.squares[index];
        let correction = f64::from(intervals) / f64::from(intervals.checked_sub(1)?);
        (intervals > 1).then(|| (correction * sum.max(0.0) / (sampled as f64).powi(2), intervals))
    }
}

/// The operations of a map or of a kind: at one place, those whose place is known, and
/// all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts<'a> {
    pub(crate) here: &'a Ops,
    pub(crate) sampled: &'a Ops,
    pub(crate) all: &'a Ops,
    /// What part of `here` and `sampled` was seen: less than 1 where both are scaled from
    /// windows.
    pub(crate) told: f64,
    /// Of `all` where it is scaled from windows.
    pub(crate) spread: Option<Spread>,
}

impl Counts<'_> {
    /// The operations at the place as a part of all, kind by kind.
    pub(crate) fn scaled(&self) -> Ops {
        let mut scaled = Ops::default();
        for (index, count) in scaled.0.iter_mut().enumerate() {
            let [part, of, whole] =
                [self.here, self.sampled, self.all].map(|ops| u128::from(ops.0[index]));
            *count = (part * whole).checked_div(of).unwrap_or(0) as u64;
        }
        scaled
    }

    /// Whether too few were seen in windows to tell how far the figure may be off.
    pub(crate) fn is_few(&self) -> bool {
        let seen = self.here.total() as f64 * self.told;
        let all = self.all.total();
        self.spread.is_some_and(|it| it.is_few(all) || (it.variance > 0.0 && seen < f64::from(FEW)))
    }
}

/// How far the operations of a place, scaled from a sample, may be off in all.
/// `callers` are the place's addresses in `sample`, and what each of them did;
/// `per_run` operations are read in a row. How far the place's share is off, and how far
/// all are, are independent of each other.
pub(crate) fn margin(
    counts: Counts<'_>,
    per_run: u64,
    sample: Option<(&Sample, &[(u64, Ops)])>,
) -> u64 {
    let asked_for = Op::ALL.into_iter().filter(|op| op.is_asked_for());
    let of_share = asked_for
        .fold(0, |sum: u64, op| sum.saturating_add(kind_margin(counts, op, per_run, sample)));
    let Some(spread) = counts.spread else { return of_share };
    let all = counts.all.total();
    let part = counts.scaled().total() as f64 / all.max(1) as f64;
    (spread.margin(all) as f64 * part).hypot(of_share as f64).ceil() as u64
}

fn kind_margin(
    counts: Counts<'_>,
    op: Op,
    per_run: u64,
    sample: Option<(&Sample, &[(u64, Ops)])>,
) -> u64 {
    let [here, sampled, all] = [counts.here, counts.sampled, counts.all].map(|it| it.get(op));
    let seen = sampled as f64 * counts.told;
    let unknown = all.saturating_sub(seen as u64);
    if unknown == 0 || here == 0 || here == sampled {
        return 0;
    }
    let share = here as f64 / sampled as f64;
    let runs = (seen / per_run as f64).max(1.0);
    let worst = Z * (share * (1.0 - share)).max(0.0).sqrt() / runs.sqrt();
    let deviation = sample.and_then(|(sample, callers)| deviation(sample, callers, op, sampled));
    let deviation = deviation.map_or(worst, |it| it.min(worst));
    // Of the operations that told their place it is known.
    let margin = deviation * (unknown as f64).sqrt() * (all as f64).sqrt();
    // No more can be here than all whose place is unknown, and no fewer than none.
    let estimate = share * all as f64;
    let here = here as f64 * counts.told;
    let most = (estimate - here).max(here + unknown as f64 - estimate);
    // 0 would mean that it is exact.
    margin.min(most).ceil().max(1.0) as u64
}

/// Half the width of the 95% interval of a place's share. Its callers' deviations are
/// added up, as if they all went the same way.
fn deviation(sample: &Sample, callers: &[(u64, Ops)], op: Op, sampled: u64) -> Option<f64> {
    callers.iter().filter(|(_, ops)| ops.get(op) > 0).try_fold(0.0, |sum, (caller, ops)| {
        let share = ops.get(op) as f64 / sampled as f64;
        let (variance, intervals) = sample.variance(*caller, op, share, sampled)?;
        Some(sum + student(f64::from(intervals - 1)) * variance.sqrt())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookups(count: u64) -> Ops {
        let mut ops = Ops::default();
        ops.0[Op::Lookup as usize] = count;
        ops
    }

    fn margin_of(here: u64, sampled: u64, all: u64, sample: Option<&Sample>) -> u64 {
        let (here, sampled, all) = (&lookups(here), &lookups(sampled), &lookups(all));
        let callers = [(11, *here)];
        margin(
            Counts { here, sampled, all, told: 1.0, spread: None },
            64,
            sample.map(|sample| (sample, &callers[..])),
        )
    }

    /// Intervals with so many sampled operations of caller 11 and of caller 12.
    fn sample(intervals: &[(u64, u64)]) -> Sample {
        let mut sample = Sample::default();
        for &(one, two) in intervals {
            sample.add(
                &[(11, lookups(one)), (12, lookups(two)), (CALLER_NOT_SAMPLED, lookups(900))],
                256,
            );
        }
        sample
    }

    #[test]
    fn what_all_operations_told_is_exact() {
        assert_eq!(margin_of(10, 40, 40, None), 0);
        assert_eq!(margin_of(40, 40, 4_000, None), 0, "nobody else was seen");
    }

    #[test]
    fn the_worst_case_takes_each_run_for_one_observation() {
        // 6.25 runs: 1.96 · √(0.75 · 0.25 / 6.25) · √(3600 · 4000) = 1288.2.
        assert_eq!(margin_of(300, 400, 4_000, None), 1_289);
        assert_eq!(margin_of(300, 400, 4_000, Some(&sample(&[(300, 100)]))), 1_289);
    }

    #[test]
    fn shares_that_are_the_same_in_all_intervals_are_nearly_certain() {
        let steady = sample(&[(75, 25); 4]);
        assert_eq!(margin_of(300, 400, 4_000, Some(&steady)), 1);
        // Shares of 0.74 and 0.76: 3.18 · √(4/3 · 4 · 1² / 400²) · √(3600 · 4000) = 69.7.
        let restless = sample(&[(74, 26), (76, 24), (74, 26), (76, 24)]);
        assert_eq!(margin_of(300, 400, 4_000, Some(&restless)), 70);
        let wild = sample(&[(100, 0), (0, 100), (100, 0), (100, 0)]);
        assert_eq!(margin_of(300, 400, 4_000, Some(&wild)), 1_289, "never above the worst");
    }

    #[test]
    fn nothing_beyond_what_is_possible_is_within_the_margin() {
        // 4 of 6, of 8 in all: between 4 and 6, and 5.3 is estimated.
        assert_eq!(margin_of(4, 6, 8, None), 2);
        assert_eq!(margin_of(1, 2, 1_000, None), 499);
    }

    #[test]
    fn students_quantiles_fall_to_the_normal_ones() {
        let quantiles: Vec<f64> = (1..200).map(|degrees| student(f64::from(degrees))).collect();
        assert!(quantiles.is_sorted_by(|a, b| a >= b), "{quantiles:?}");
        assert!((quantiles[29] - 2.042).abs() < 0.02 && quantiles[198] > Z);
    }

    /// Runs of operations that are alike, of which the first 64 are sampled.
    #[test]
    fn nineteen_of_twenty_intervals_hold_the_true_count() {
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let (mut within, mut wide, trials) = (0, 0, 400);
        for _ in 0..trials {
            let (mut sample, mut here, mut sampled, mut truth) = (Sample::default(), 0, 0, 0);
            let (intervals, ticks, per_tick) = (8, 10, 640);
            for _ in 0..intervals {
                let mut told = 0;
                for _ in 0..ticks {
                    let share = 0.2 + 0.2 * next();
                    let mut count = |n: u64| (0..n).filter(|_| next() < share).count() as u64;
                    let first = count(64);
                    told += first;
                    truth += first + count(per_tick - 64);
                }
                sample.add(&[(11, lookups(told)), (12, lookups(64 * ticks - told))], 256);
                (here, sampled) = (here + told, sampled + 64 * ticks);
            }
            let all = intervals * ticks * per_tick;
            let margin = margin_of(here, sampled, all, Some(&sample));
            let estimate = here * (all / sampled);
            within += u32::from(estimate.abs_diff(truth) <= margin);
            wide += u32::from(margin >= margin_of(here, sampled, all, None) / 2);
        }
        assert!(within >= trials * 93 / 100, "{within} of {trials}");
        assert!(wide <= trials / 100, "{wide} of {trials} are half as wide as the worst");
    }
}
