//! How far two figures must lie apart to be told from chance.
//!
//! In: a figure on both sides, interval by interval. Out: a test of whether the later one
//! is so many times the earlier one, and from it p values and intervals.
//!
//! Intervals are the clusters of a cluster sample, since what happens within one is alike:
//! a figure is a ratio of two sums over them (Cochran, Sampling Techniques, 6.3 and 9A).
//! Two of them are compared by Welch's test. A percentile is compared by how many waits lie
//! above the one that both have in common, which needs no assumption about their
//! distribution, and is such a ratio, too.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::model::hist::WaitHist;

/// Of an interval that is told: 1 minus this is its confidence.
pub(super) const ALPHA: f64 = 0.05;
/// Intervals that a side must have to show how they differ.
pub(super) const FEWEST_STEPS: f64 = 4.0;
/// Events that both sides together must have.
pub(super) const FEWEST_EVENTS: f64 = 10.0;
/// Events that both sides together must have above a percentile.
pub(super) const FEWEST_ABOVE: f64 = 10.0;
/// Correlation of neighbours beyond which more intervals would be needed to tell.
const MOST_CORRELATED: f64 = 0.8;
/// How many times more or less an interval may reach.
const WIDEST: f64 = 1e4;

/// A sum over another, as events per second or a key's share of its map.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ratio {
    pub(super) sum: f64,
    /// What it is per.
    pub(super) per: f64,
    /// Sum of the squares of what each event adds to `sum`; how much that would differ if
    /// events came one by one, by chance.
    pub(super) squares: f64,
    /// How far `sum` itself may be off.
    pub(super) margin: f64,
    /// Both sums in each interval.
    pub(super) steps: Vec<(f64, f64)>,
}

/// The value, its variance, and how many values the variance is made of.
struct Estimate {
    value: f64,
    variance: f64,
    degrees: f64,
}

impl Ratio {
    /// 0 where there is nothing to divide by.
    pub(super) fn value(&self) -> f64 {
        if self.per > 0.0 { self.sum / self.per } else { 0.0 }
    }

    /// How many intervals of equal length would tell as much.
    pub(super) fn effective_steps(&self) -> f64 {
        let sum: f64 = self.steps.iter().map(|(_, per)| per).sum();
        let squares: f64 = self.steps.iter().map(|(_, per)| per * per).sum();
        if squares > 0.0 { sum * sum / squares } else { 0.0 }
    }

    fn estimate(&self) -> Estimate {
        let all: f64 = self.steps.iter().map(|(_, per)| per).sum();
        let sum: f64 = self.steps.iter().map(|(sum, _)| sum).sum();
        let rate = if all > 0.0 { sum / all } else { 0.0 };
        let off: Vec<f64> = self.steps.iter().map(|(sum, per)| sum - rate * per).collect();
        let squares: f64 = off.iter().map(|off| off * off).sum();
        let degrees = (self.effective_steps() - 1.0).max(1.0);
        let variance = match all {
            0.0 => 0.0,
            all => squares * (degrees + 1.0) / degrees / (all * all),
        };
        Estimate { value: self.value(), variance: variance * inflation(&off, squares), degrees }
    }
}

/// How many times more a sum varies than its parts say, where neighbours are alike.
fn inflation(off: &[f64], squares: f64) -> f64 {
    let products: f64 = off.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let correlation = if squares > 0.0 { products / squares } else { 0.0 };
    // As much comes by chance where they have nothing to do with each other.
    if correlation * (off.len() as f64).sqrt() <= 1.0 {
        return 1.0;
    }
    let correlation = correlation.min(MOST_CORRELATED);
    (1.0 + correlation) / (1.0 - correlation)
}

/// A difference in units of its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tested {
    /// Positive where the later one is more.
    pub(super) t: f64,
    /// Degrees of freedom.
    degrees: f64,
}

impl Tested {
    fn new(difference: f64, margin: f64, variance: f64, degrees: f64) -> Self {
        let beyond = (difference.abs() - margin).max(0.0);
        let t = match (beyond, variance.sqrt()) {
            (0.0, _) => 0.0,
            (_, 0.0) => f64::INFINITY,
            (beyond, error) => beyond / error,
        };
        Self { t: t.copysign(difference), degrees }
    }

    /// Probability that chance alone lets them differ so much, in either direction.
    pub(super) fn p(self) -> f64 {
        let Ok(student) = StudentsT::new(0.0, 1.0, self.degrees.max(1.0)) else { return 1.0 };
        if self.t.is_infinite() { 0.0 } else { (2.0 * student.sf(self.t.abs())).min(1.0) }
    }

    /// The same of being so much more; or less, where `more` is false.
    pub(super) fn p_one_sided(self, more: bool) -> f64 {
        let half = self.p() / 2.0;
        if (self.t > 0.0) == more { half } else { 1.0 - half }
    }
}

/// A figure that can be compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Measure {
    Ratio(Ratio),
    Quantile(Quantile),
    /// What is no estimate of anything: it was so.
    Exact(f64),
}

/// A percentile of times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quantile {
    /// 0 to 1.
    pub(super) at: f64,
    /// As the summary has it, ns.
    pub(super) value: f64,
    pub(super) all: Counts,
    /// Interval by interval.
    pub(super) steps: Vec<Counts>,
}

/// How many times were at most so long; by length.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts(Vec<(f64, f64)>);

impl Counts {
    pub(super) fn of(hist: &WaitHist) -> Self {
        let mut sum = 0.0;
        let cumulated = hist.iter().map(|(ns, count)| {
            sum += count as f64;
            (ns as f64, sum)
        });
        Self(cumulated.collect())
    }

    pub(super) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// How many are longer than `ns`, if all were `times` as long.
    fn above(&self, ns: f64, times: f64) -> f64 {
        let within = self.0.partition_point(|(it, _)| it * times <= ns);
        self.count() - within.checked_sub(1).map_or(0.0, |last| self.0[last].1)
    }
}

impl Quantile {
    /// The share of times above `ns`, if all were `times` as long.
    fn above(&self, ns: f64, times: f64) -> Ratio {
        let (sum, per) = (self.all.above(ns, times), self.all.count());
        let share = if per > 0.0 { sum / per } else { 0.0 };
        let steps = self.steps.iter().filter(|step| step.count() > 0.0);
        Ratio {
            sum,
            per,
            squares: sum * (1.0 - share),
            margin: 0.0,
            steps: steps.map(|step| (step.above(ns, times), step.count())).collect(),
        }
    }

    /// What this share of all times on both sides is within, the first `times` as long.
    fn common(&self, other: &Self, times: f64) -> f64 {
        let wanted = self.at * (self.all.count() + other.all.count());
        let below = |ns: f64| {
            let all = self.all.count() + other.all.count();
            all - self.all.above(ns, times) - other.all.above(ns, 1.0)
        };
        let mine = self.all.0.iter().map(|(ns, _)| ns * times).collect::<Vec<_>>();
        let theirs = other.all.0.iter().map(|(ns, _)| *ns).collect::<Vec<_>>();
        let first = |times: &[f64]| {
            let at = times.partition_point(|ns| below(*ns) < wanted);
            times.get(at).copied().unwrap_or(f64::INFINITY)
        };
        first(&mine).min(first(&theirs))
    }
}

impl Measure {
    /// In its own unit.
    pub(super) fn value(&self) -> f64 {
        match self {
            Self::Ratio(ratio) => ratio.value(),
            Self::Quantile(quantile) => quantile.value,
            Self::Exact(value) => *value,
        }
    }

    /// Whether `after` is `times` as much as this; `None` where that cannot be tested.
    pub(super) fn test(&self, after: &Self, times: f64) -> Option<Tested> {
        match (self, after) {
            (Self::Ratio(before), Self::Ratio(after)) => Some(compare(before, after, times)),
            (Self::Quantile(before), Self::Quantile(after)) => {
                let ns = before.common(after, times);
                Some(compare(&before.above(ns, times), &after.above(ns, 1.0), 1.0))
            }
            _ => None,
        }
    }

    /// Whether this is more or less than a value that is certain.
    pub(super) fn test_value(&self, value: f64) -> Tested {
        let of = |ratio: &Ratio, value: f64| {
            let Estimate { value: mine, variance, degrees } = ratio.estimate();
            let chance = ratio.squares / (ratio.per * ratio.per).max(f64::MIN_POSITIVE);
            let margin = ratio.margin / ratio.per.max(f64::MIN_POSITIVE);
            Tested::new(mine - value, margin, variance.max(chance), degrees)
        };
        match self {
            Self::Ratio(ratio) => of(ratio, value),
            Self::Quantile(quantile) => of(&quantile.above(value, 1.0), 1.0 - quantile.at),
            Self::Exact(mine) => Tested::new(mine - value, 0.0, 0.0, 1.0),
        }
    }

    /// How many times this `after` is at least and at most, with 95% confidence; `None`
    /// where there is no end.
    pub(super) fn interval(&self, after: &Self) -> [Option<f64>; 2] {
        let estimate = after.value() / self.value();
        if !estimate.is_finite() || estimate <= 0.0 {
            return [None, None];
        }
        [1.0 / WIDEST, WIDEST].map(|far| {
            let rejected =
                |times: f64| self.test(after, times).is_some_and(|tested| tested.p() < ALPHA);
            let (mut within, mut beyond) = (0.0, far.ln());
            if !rejected(estimate * far) {
                return None;
            }
            for _ in 0..24 {
                let middle = f64::midpoint(within, beyond);
                if rejected(estimate * middle.exp()) { beyond = middle } else { within = middle }
            }
            Some(estimate * beyond.exp())
        })
    }
}

/// Welch's test of `after = times · before`.
fn compare(before: &Ratio, after: &Ratio, times: f64) -> Tested {
    let (a, b) = (before.estimate(), after.estimate());
    let [va, vb] = [times * times * a.variance, b.variance];
    let variance = (va + vb).max(by_chance(before, after, times));
    let degrees = match va + vb {
        0.0 => a.degrees + b.degrees,
        sum => sum * sum / (va * va / a.degrees + vb * vb / b.degrees),
    };
    let per = |ratio: &Ratio| ratio.margin / ratio.per.max(f64::MIN_POSITIVE);
    let margin = per(after) + times * per(before);
    Tested::new(b.value - times * a.value, margin, variance, degrees)
}

/// The variance of the difference if events came one by one by chance, as often as both
/// sides together say. Intervals that happen to be alike say less.
fn by_chance(before: &Ratio, after: &Ratio, times: f64) -> f64 {
    let sum = before.sum + after.sum;
    let per = before.per + times * after.per;
    if before.per <= 0.0 || after.per <= 0.0 || sum <= 0.0 {
        return 0.0;
    }
    let (weight, rate) = ((before.squares + after.squares) / sum, sum / per);
    weight * rate * (times * times / before.per + times / after.per)
}

/// Which of many p values are news: at most one in twenty of those told is chance, and
/// where nothing moved at all, something is told in one of twenty cases (Benjamini and
/// Hochberg, 1995).
pub(super) fn news(p_values: &[f64]) -> Vec<bool> {
    let mut sorted = p_values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let all = sorted.len() as f64;
    let most = sorted
        .iter()
        .enumerate()
        .rev()
        .find_map(|(index, &p)| (p <= ALPHA * (index + 1) as f64 / all).then_some(p));
    p_values.iter().map(|&p| most.is_some_and(|most| p <= most)).collect()
}

/// Why two measures are not compared, if so.
pub(super) fn too_few(before: &Measure, after: &Measure, events: f64) -> Option<&'static str> {
    match (before, after) {
        (Measure::Quantile(a), Measure::Quantile(b)) => {
            let count = a.all.count() + b.all.count();
            if a.all.count() == 0.0 || b.all.count() == 0.0 {
                return Some("one side has none");
            }
            if count * (1.0 - a.at) < FEWEST_ABOVE
                || a.all.count().min(b.all.count()) < FEWEST_EVENTS
            {
                return Some("too few events for this percentile");
            }
            let steps = |it: &Quantile| it.above(f64::INFINITY, 1.0).effective_steps();
            (steps(a).min(steps(b)) < FEWEST_STEPS).then_some("too few intervals with events")
        }
        (Measure::Ratio(a), Measure::Ratio(b)) => {
            if events < FEWEST_EVENTS {
                return Some("too few events");
            }
            let steps = a.effective_steps().min(b.effective_steps());
            (steps < FEWEST_STEPS).then_some("too few intervals; record longer")
        }
        _ => Some("a maximum has no margin"),
    }
}

impl Measure {
    /// Whether there is enough to compare it with a value that is certain.
    pub(super) fn is_enough(&self) -> bool {
        let steps = |ratio: &Ratio| ratio.effective_steps() >= FEWEST_STEPS;
        match self {
            Self::Ratio(ratio) => steps(ratio),
            Self::Quantile(it) => {
                it.all.count() * (1.0 - it.at) >= FEWEST_ABOVE
                    && steps(&it.above(f64::INFINITY, 1.0))
            }
            Self::Exact(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(counts: &[f64]) -> Measure {
        let sum = counts.iter().sum();
        let steps = counts.iter().map(|&count| (count, 1.0)).collect();
        Measure::Ratio(Ratio { sum, per: counts.len() as f64, squares: 0.0, margin: 0.0, steps })
    }

    /// NIST/SEMATECH, e-Handbook of Statistical Methods, 1.3.5.3 has the formula.
    #[test]
    fn rates_are_compared_by_welchs_test() {
        let before = rate(&[10.0, 12.0, 9.0, 11.0, 13.0]);
        let after = rate(&[14.0, 15.0, 11.0, 16.0, 14.0]);
        let tested = before.test(&after, 1.0).unwrap();
        // Means 11 and 14, variances 2.5 and 3.5: 3 / √(0.5 + 0.7).
        assert!((tested.t - 2.7386).abs() < 1e-3, "{tested:?}");
        assert!((tested.degrees - 7.7838).abs() < 1e-3, "{tested:?}");
        assert!((tested.p() - 0.0262).abs() < 1e-3, "{}", tested.p());
        let reverse = after.test(&before, 1.0).unwrap();
        assert!((reverse.t + tested.t).abs() < 1e-9);
    }

    #[test]
    fn an_interval_holds_what_the_test_does_not_reject() {
        let before = rate(&[10.0, 12.0, 9.0, 11.0, 13.0]);
        let after = rate(&[24.0, 25.0, 21.0, 26.0, 24.0]);
        let [Some(low), Some(high)] = before.interval(&after) else { panic!("no interval") };
        assert!(low < 24.0 / 11.0 && 24.0 / 11.0 < high, "{low} to {high}");
        for (times, rejected) in [(low * 0.99, true), (low * 1.01, false), (high * 1.01, true)] {
            let p = before.test(&after, times).unwrap().p();
            assert_eq!(p < ALPHA, rejected, "{times}: {p}");
        }
    }

    #[test]
    fn intervals_that_are_alike_by_chance_say_less_than_chance() {
        let steady = |count: f64| {
            let Measure::Ratio(ratio) = rate(&[count; 5]) else { unreachable!() };
            Measure::Ratio(Ratio { squares: ratio.sum, ..ratio })
        };
        assert!(steady(10.0).test(&steady(11.0), 1.0).unwrap().p() > 0.3);
        assert!(rate(&[10.0; 5]).test(&rate(&[11.0; 5]), 1.0).unwrap().p() < 1e-9);
    }

    #[test]
    fn a_margin_of_its_own_must_be_passed_as_well() {
        let Measure::Ratio(after) = rate(&[14.0, 15.0, 11.0, 16.0, 14.0]) else { unreachable!() };
        let before = rate(&[10.0, 12.0, 9.0, 11.0, 13.0]);
        let after = Measure::Ratio(Ratio { margin: 15.0, ..after });
        assert!((before.test(&after, 1.0).unwrap().p() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn neighbours_that_are_alike_count_for_less() {
        let slow: Vec<f64> = (0..20).map(|at| 10.0 + f64::from(at / 5)).collect();
        let mixed: Vec<f64> = (0..20).map(|at| 10.0 + f64::from(at % 4)).collect();
        let p = |counts: &[f64]| rate(counts).test(&rate(&[13.0; 20]), 1.0).unwrap().p();
        assert!(p(&slow) > 3.0 * p(&mixed), "{} and {}", p(&slow), p(&mixed));
    }

    fn quantile(at: f64, steps: &[&[u64]]) -> Measure {
        let of = |values: &[u64]| {
            let mut hist = WaitHist::default();
            for &ns in values {
                hist.record(ns);
            }
            hist
        };
        let all = of(&steps.concat());
        let value = all.h().p50_ns as f64;
        let steps = steps.iter().map(|step| Counts::of(&of(step))).collect();
        Measure::Quantile(Quantile { at, value, all: Counts::of(&all), steps })
    }

    #[test]
    fn percentiles_are_compared_by_what_lies_above() {
        let steps: Vec<Vec<u64>> =
            (0..10).map(|step| (0..20).map(|n| 1000 + 97 * n + 13 * step).collect()).collect();
        let twice: Vec<Vec<u64>> =
            steps.iter().map(|step| step.iter().map(|ns| ns * 2).collect()).collect();
        let of = |steps: &[Vec<u64>]| {
            quantile(0.5, &steps.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let (before, after) = (of(&steps), of(&twice));
        assert!(before.test(&after, 1.0).unwrap().p() < 1e-6);
        assert!(before.test(&after, 2.0).unwrap().p() > 0.5);
        assert!(before.test(&before, 1.0).unwrap().t.abs() < 1e-9);
        let [Some(low), Some(high)] = before.interval(&after) else { panic!("no interval") };
        assert!(low < 2.0 && 2.0 < high && high / low < 1.3, "{low} to {high}");
    }

    #[test]
    fn news_are_what_benjamini_and_hochberg_let_pass() {
        // The least of 10 must be below 0.005, the second below 0.01.
        let mut p = vec![0.5; 10];
        (p[3], p[7]) = (0.006, 0.009);
        assert_eq!(news(&p).iter().filter(|&&it| it).count(), 2);
        p[7] = 0.011;
        assert_eq!(news(&p), [false; 10]);
        assert_eq!(news(&[]), [false; 0]);
    }
}
