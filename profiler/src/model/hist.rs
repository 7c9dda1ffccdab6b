//! Waiting times, as a distribution that can be added up.
//!
//! In: durations in ns. Out: percentiles ([`H`]) and bars to draw.
//!
//! The buckets are those of an HdrHistogram with two significant digits. They
//! are kept sparse, because a run has up to a thousand locks of which each
//! fills a few dozen of some three thousand buckets; the dense histogram is
//! built where percentiles are asked for.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::spread::{Rounding, Scale, Spread, join};
use super::summary::{Bucket, H, Margins};

/// Significant decimal digits of a bucket: values are off by less than 1%.
const DIGITS: u8 = 2;

/// Waits by duration. Count, sum, min and max are exact; all counts saturate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitHist {
    /// Waits by the highest duration of their bucket, ns.
    #[serde(with = "packed")]
    buckets: BTreeMap<u64, u64>,
    count: u64,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
    /// Where they were scaled from windows: what is known of that.
    spread: Option<Box<WaitSpread>>,
}

/// What is known of waits that were scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitSpread {
    /// Of how many they are.
    pub count: Spread,
    /// Of how long they were in all, ns.
    pub sum: Spread,
}

impl WaitHist {
    /// Counts one wait of `ns`.
    pub fn record(&mut self, ns: u64) {
        let bucket = self.buckets.entry(bucket_of(ns)).or_default();
        *bucket = bucket.saturating_add(1);
        self.min_ns = if self.count == 0 { ns } else { self.min_ns.min(ns) };
        self.max_ns = self.max_ns.max(ns);
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// Has half as many buckets, of which each takes in its lower neighbour.
    pub(super) fn coarsen(&mut self) {
        let mut coarse = BTreeMap::new();
        let mut below = 0_u64;
        for (index, (&highest, &count)) in self.buckets.iter().rev().enumerate() {
            if index % 2 == 0 {
                below = highest;
            }
            let sum: &mut u64 = coarse.entry(below).or_default();
            *sum = sum.saturating_add(count);
        }
        self.buckets = coarse;
    }

    /// Counts all waits of another.
    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.add_spread(other);
        for (&highest, &count) in &other.buckets {
            let mine = self.buckets.entry(bucket_of(highest)).or_default();
            *mine = mine.saturating_add(count);
        }
        self.min_ns = if self.count == 0 { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    fn add_spread(&mut self, other: &Self) {
        if self.spread.is_none() && other.spread.is_none() {
            return;
        }
        let part = |hist: &Self, of: fn(&WaitSpread) -> Spread| hist.spread.as_deref().map(of);
        let (mut count, mut sum) = (part(self, |it| it.count), part(self, |it| it.sum));
        join(&mut count, self.count, part(other, |it| it.count), other.count);
        join(&mut sum, self.count, part(other, |it| it.sum), other.count);
        self.spread = count.zip(sum).map(|(count, sum)| Box::new(WaitSpread { count, sum }));
    }

    /// The same scaled, with what is known of that.
    pub(super) fn scaled(&self, scale: &Scale, spread: WaitSpread) -> Self {
        let mut rounding = Rounding::new(scale);
        let buckets = self.buckets.iter();
        let buckets: BTreeMap<u64, u64> =
            buckets.map(|(&highest, &count)| (highest, rounding.next(count))).collect();
        Self {
            count: buckets.values().fold(0, |sum, &count| sum.saturating_add(count)),
            buckets,
            sum_ns: scale.of(self.sum_ns),
            spread: (self.count > 0).then(|| Box::new(spread)),
            ..*self
        }
    }

    /// The sum of all squares, ns².
    pub(super) fn squares(&self) -> f64 {
        self.iter().map(|(ns, count)| (ns as f64).powi(2) * count as f64).sum()
    }

    /// What is known of waits that were scaled.
    pub(super) fn spread(&self) -> Option<&WaitSpread> {
        self.spread.as_deref()
    }

    /// Counts as many waits of `ns`.
    pub fn record_n(&mut self, ns: u64, count: u64) {
        if count > 0 {
            let buckets = [(bucket_of(ns), count)].into();
            let sum_ns = ns.saturating_mul(count);
            self.add(&Self { buckets, count, sum_ns, min_ns: ns, max_ns: ns, spread: None });
        }
    }

    /// Each bucket's highest duration, ns, and how many waits it has; shortest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.buckets.iter().map(|(&highest, &count)| (highest, count))
    }

    /// Number of buckets.
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Number of waits.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all waits, ns.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// Whether there was no wait.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The distribution as HdrHistogram's own formats have it. Their readers know signed
    /// numbers only, so that the largest values and counts are less than they were.
    pub(crate) fn dense(&self) -> Histogram<u64> {
        const MOST: u64 = i64::MAX as u64;
        let mut dense = dense(self.max_ns.min(MOST / 2));
        let most = MOST / self.buckets.len().max(1) as u64;
        for (&highest, &count) in &self.buckets {
            dense.saturating_record_n(highest, count.min(most));
        }
        dense
    }

    /// The figures of the contract.
    pub fn h(&self) -> H {
        let all = self.buckets.values().fold(0_u64, |sum, &count| sum.saturating_add(count));
        let (mut buckets, mut before) = (self.buckets.iter(), 0_u64);
        let mut reached = 0;
        // The bucket of the nearest rank, as HdrHistogram's `value_at_quantile` has it; a
        // dense histogram would take a hundred times as long to fill and to search.
        let mut at = |quantile: f64| {
            let rank = ((quantile * all as f64).ceil() as u64).max(1);
            while before < rank
                && let Some((&highest, &count)) = buckets.next()
            {
                before = before.saturating_add(count);
                reached = highest;
            }
            // A bucket's edge lies up to 1% outside what was seen. Not `clamp`, which
            // panics where a damaged recording has min above max.
            reached.max(self.min_ns).min(self.max_ns)
        };
        H {
            count: self.count,
            sum_ns: self.sum_ns,
            min_ns: self.min_ns,
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.max_ns,
            margin: self.spread().map_or(0, |it| it.count.margin(self.count)),
            margin_ns: self.spread().map_or(0, |it| it.sum.margin(self.sum_ns)),
            few: self
                .spread()
                .is_some_and(|it| it.count.is_few(self.count) || it.sum.is_few(self.sum_ns)),
        }
    }

    /// How far `count` of these waits may be off, which took `sum_ns`. Of a part it is taken
    /// that it comes as restlessly as the whole, and that its waits are as unequal.
    pub(super) fn margins_of(&self, count: u64, sum_ns: u64) -> Margins {
        let Some(spread) = self.spread() else { return Margins::default() };
        let share = |part: u64, all: u64| (part as f64 / all.max(1) as f64).min(1.0);
        let count_spread = spread.count.of_part(share(count, self.count));
        let sum_spread = spread.sum.of_part(share(sum_ns, self.sum_ns));
        Margins {
            margin: count_spread.margin(count),
            margin_ns: sum_spread.margin(sum_ns),
            few: count_spread.is_few(count)
                || sum_spread.is_few(sum_ns)
                || (count == 0 && spread.count.variance > 0.0),
        }
    }

    /// At most `bars` adjacent bars of equal width on a logarithmic axis that
    /// together hold all waits; the last one's upper bound is in it. Fewer where the
    /// times lie closer than that, none where there was no wait.
    pub fn buckets(&self, bars: usize) -> Vec<Bucket> {
        if self.count == 0 || bars == 0 {
            return Vec::new();
        }
        let (low, high) = (self.min_ns.max(1) as f64, self.max_ns.max(1) as f64);
        let mut edges: Vec<u64> = (1..bars)
            .map(|i| (low * (high / low).powf(i as f64 / bars as f64)) as u64)
            .filter(|&edge| edge > self.min_ns && edge < self.max_ns)
            .collect();
        edges.dedup();
        edges.insert(0, self.min_ns);
        edges.push(self.max_ns);
        let mut drawn: Vec<Bucket> = edges
            .windows(2)
            .map(|pair| Bucket { lo_ns: pair[0], hi_ns: pair[1], count: 0 })
            .collect();
        for (&highest, &count) in &self.buckets {
            let value = highest.max(self.min_ns).min(self.max_ns);
            let bar = drawn.partition_point(|bar| bar.lo_ns <= value).saturating_sub(1);
            drawn[bar].count = drawn[bar].count.saturating_add(count);
        }
        drawn
    }
}

/// The highest value that shares its bucket with `ns`.
fn bucket_of(ns: u64) -> u64 {
    static LAYOUT: OnceLock<Histogram<u64>> = OnceLock::new();
    // The largest of all would be said to have a bucket of its own.
    LAYOUT.get_or_init(|| dense(u64::MAX)).highest_equivalent(ns).min(u64::MAX - 1)
}

/// Buckets as recordings have them: pairs of how many buckets lie between this one and the
/// one before, and how many waits it has. Most of them fit in two bytes.
///
/// Bucket 0 is the duration 0; from 0 to 255 they are one apart, and from there on 128
/// buckets cover each doubling.
mod packed {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Buckets to a doubling.
    const HALF: u64 = 128;

    pub(super) fn serialize<S: Serializer>(
        buckets: &BTreeMap<u64, u64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut next = 0;
        let pairs = buckets.iter().map(|(&highest, &count)| {
            let index = index(highest);
            let gap = index.saturating_sub(next);
            next = index + 1;
            (gap, count)
        });
        pairs.collect::<Vec<(u64, u64)>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<u64, u64>, D::Error> {
        let mut next = 0_u64;
        let pairs = Vec::<(u64, u64)>::deserialize(from)?;
        let buckets = pairs.into_iter().map(|(gap, count)| {
            let index = next.saturating_add(gap);
            next = index.saturating_add(1);
            (highest(index), count)
        });
        Ok(buckets.collect())
    }

    /// A bucket's place among all of them, by a duration in it.
    pub(super) fn index(ns: u64) -> u64 {
        let shift = u64::from((ns | (2 * HALF - 1)).ilog2() - (2 * HALF - 1).ilog2());
        shift * HALF + (ns >> shift)
    }

    /// The longest duration in a bucket; of the last, and of those that there are not, what
    /// an HdrHistogram says of its last one.
    pub(super) fn highest(index: u64) -> u64 {
        let shift = (index / HALF).saturating_sub(1);
        let next = u128::from(index - shift * HALF + 1) << shift.min(64);
        u64::try_from(next - 1).unwrap_or(u64::MAX).min(u64::MAX - 1)
    }
}

/// An empty histogram for values up to `high`; the buckets do not depend on it.
fn dense(high: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1, high.max(2), DIGITS).expect("1 <= high / 2, and 2 digits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_hdr_histograms(
            values in prop::collection::vec(0_u64..1 << 40, 1..300),
        ) {
            let hist = hist(&values);
            let (h, dense) = (hist.h(), hist.dense());
            for (mine, quantile) in
                [(h.p50_ns, 0.5), (h.p90_ns, 0.9), (h.p99_ns, 0.99), (h.p999_ns, 0.999)]
            {
                let theirs = dense.value_at_quantile(quantile).clamp(h.min_ns, h.max_ns);
                prop_assert_eq!(mine, theirs);
            }
        }
    }

    fn hist(values: &[u64]) -> WaitHist {
        let mut hist = WaitHist::default();
        for &ns in values {
            hist.record(ns);
        }
        hist
    }

    /// The nearest-rank percentile of sorted values.
    fn nearest_rank(sorted: &[u64], quantile: f64) -> u64 {
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    #[test]
    fn no_wait_is_all_zero_and_draws_nothing() {
        assert_eq!(WaitHist::default().h(), H::default());
        assert!(WaitHist::default().buckets(10).is_empty());
    }

    #[test]
    fn exact_fields_are_exact() {
        let h = hist(&[1_000_003, 17, 5_000_000_007]).h();
        assert_eq!((h.count, h.sum_ns, h.min_ns, h.max_ns), (3, 5_001_000_027, 17, 5_000_000_007));
        assert_eq!(h.p999_ns, h.max_ns, "clamped to what was seen");
    }

    #[test]
    fn extremes_saturate() {
        let mut all = hist(&[0, u64::MAX, u64::MAX]);
        all.add(&all.clone());
        let h = all.h();
        assert_eq!((h.count, h.sum_ns, h.min_ns, h.max_ns), (6, u64::MAX, 0, u64::MAX));
        assert_eq!(all.buckets(7).iter().map(|bar| bar.count).sum::<u64>(), 6);
    }

    #[test]
    fn extremes_can_be_written_for_readers_of_signed_numbers() {
        use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
        let mut all = hist(&[0, 1, u64::MAX]);
        all.record_n(1 << 40, u64::MAX);
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&all.dense(), &mut bytes).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert!(read.len() > i64::MAX as u64 / 8 && read.max() > 1 << 61, "{read:?}");
        let few = hist(&[3, 70_000, 5_000_000]);
        assert_eq!((few.dense().len(), few.dense().min()), (3, 3));
    }

    #[test]
    fn damaged_limits_do_not_panic() {
        let damaged = WaitHist { min_ns: 9, max_ns: 3, ..hist(&[5, 5]) };
        assert_eq!(damaged.h().count, 2);
        assert_eq!(damaged.buckets(4).iter().map(|bar| bar.count).sum::<u64>(), 2);
    }

    #[test]
    fn one_value_is_one_bar() {
        assert_eq!(hist(&[40, 40, 40]).buckets(10), [Bucket { lo_ns: 40, hi_ns: 40, count: 3 }]);
    }

    #[test]
    fn buckets_are_numbered() {
        for (ns, index) in [(0, 0), (255, 255), (256, 256), (257, 256), (511, 383), (512, 384)] {
            assert_eq!(packed::index(ns), index, "{ns}");
        }
        assert_eq!(packed::highest(packed::index(u64::MAX)), bucket_of(u64::MAX));
        assert_eq!([7423, 7424, u64::MAX].map(packed::highest), [bucket_of(u64::MAX); 3]);
    }

    proptest! {
        #[test]
        fn numbers_mean_the_same_buckets(ns in any::<u64>().prop_map(|v| v >> (v % 64))) {
            prop_assert_eq!(packed::highest(packed::index(ns)), bucket_of(ns));
        }

        #[test]
        fn percentiles_are_within_one_percent(mut values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 60)), 1..300)) {
            let h = hist(&values).h();
            values.sort_unstable();
            for (quantile, got) in [(0.5, h.p50_ns), (0.9, h.p90_ns), (0.99, h.p99_ns), (0.999, h.p999_ns)] {
                let want = nearest_rank(&values, quantile);
                prop_assert!(got.abs_diff(want) <= want / 100 + 1, "p{quantile}: {got} for {want}");
            }
        }

        #[test]
        fn adding_equals_recording_in_one(a in prop::collection::vec(any::<u64>(), 0..50), b in prop::collection::vec(0_u64..1_000_000, 0..50)) {
            let mut sum = hist(&a);
            sum.add(&hist(&b));
            prop_assert_eq!(sum, hist(&[a, b].concat()));
        }

        #[test]
        fn bars_are_adjacent_and_hold_all(values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 60)), 1..100), bars in 1_usize..40) {
            let drawn = hist(&values).buckets(bars);
            prop_assert!(drawn.len() <= bars);
            prop_assert_eq!(drawn[0].lo_ns, *values.iter().min().unwrap());
            prop_assert_eq!(drawn[drawn.len() - 1].hi_ns, *values.iter().max().unwrap());
            prop_assert!(drawn.windows(2).all(|pair| pair[0].hi_ns == pair[1].lo_ns && pair[0].lo_ns < pair[0].hi_ns));
            prop_assert_eq!(drawn.iter().map(|bar| bar.count).sum::<u64>(), values.len() as u64);
        }

        #[test]
        fn survives_serialisation(values in prop::collection::vec(any::<u64>(), 0..50)) {
            let before = hist(&values);
            let bytes = postcard::to_stdvec(&before).unwrap();
            prop_assert_eq!(postcard::from_bytes::<WaitHist>(&bytes).unwrap(), before);
        }
    }
}
