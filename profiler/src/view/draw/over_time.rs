//! Figures over time in columns of equal length, from steps that may differ in length:
//! old ones are longer.

use crate::model::{Step, SubjectStep};

/// A figure of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Wall clock at its beginning, ns since the epoch.
    pub(super) start_unix_ns: u64,
    /// Its length, ns.
    pub(super) duration_ns: u64,
    /// How much; `None` where that is not known.
    pub(super) amount: Option<u64>,
}

impl Sample {
    /// Of a step of the session.
    pub(super) fn of(step: &Step, amount: u64) -> Self {
        let totals = &step.totals;
        let (start_unix_ns, duration_ns) = (totals.start_unix_ns, totals.duration_ns);
        Self { start_unix_ns, duration_ns, amount: Some(amount) }
    }

    /// Of a step of a map, key or lock.
    pub(super) fn of_subject(step: &SubjectStep, amount: Option<u64>) -> Self {
        let (start_unix_ns, duration_ns) = (step.start_unix_ns, step.duration_ns);
        Self { start_unix_ns, duration_ns, amount }
    }
}

/// Where each step begins and ends, ns since the first one's beginning. Steps follow each
/// other; a time between them in which nothing was measured is left as long as it was,
/// unless it is longer than all steps together: then somebody set the clock.
pub(super) fn places(samples: &[Sample]) -> Vec<(f64, f64)> {
    let all: f64 = samples.iter().map(|sample| sample.duration_ns as f64).sum();
    let mut places: Vec<(f64, f64)> = Vec::with_capacity(samples.len());
    let mut previous: Option<&Sample> = None;
    for sample in samples {
        let end = places.last().map_or(0.0, |(_, end)| *end);
        let gap = previous.map_or(0, |previous| {
            let ended = previous.start_unix_ns.saturating_add(previous.duration_ns);
            sample.start_unix_ns.saturating_sub(ended)
        });
        let gap = Some(gap as f64).filter(|gap| *gap <= all).unwrap_or(0.0);
        places.push((end + gap, end + gap + sample.duration_ns as f64));
        previous = Some(sample);
    }
    places
}

/// Per second in each of so many columns; `None` where that is not known.
pub(super) fn rates(samples: &[Sample], columns: usize) -> Vec<Option<f64>> {
    let places = places(samples);
    let end = places.last().map_or(0.0, |(_, end)| *end);
    if columns == 0 || end <= 0.0 {
        return Vec::new();
    }
    let length = end / columns as f64;
    // How much in how long, column by column.
    let mut sums = vec![(0.0, 0.0); columns];
    for (sample, &(begins, ends)) in samples.iter().zip(&places) {
        let Some(amount) = sample.amount.filter(|_| ends > begins) else { continue };
        let rate = amount as f64 / (ends - begins);
        let first = ((begins / length) as usize).min(columns - 1);
        let last = ((ends / length).ceil() as usize).clamp(first + 1, columns);
        for (column, (sum, time)) in sums.iter_mut().enumerate().take(last).skip(first) {
            let from = begins.max(column as f64 * length);
            let part = (ends.min((column + 1) as f64 * length) - from).max(0.0);
            *sum += rate * part;
            *time += part;
        }
    }
    sums.into_iter().map(|(sum, time)| (time > 0.0).then(|| sum / time * 1e9)).collect()
}

/// The same in as many columns as the shortest step needs, at most so many.
pub(super) fn short_rates(samples: &[Sample], columns: usize) -> Vec<Option<f64>> {
    let end = places(samples).last().map_or(0.0, |(_, end)| *end);
    let lengths = samples.iter().map(|sample| sample.duration_ns).filter(|&length| length > 0);
    let shortest = lengths.min().unwrap_or(1) as f64;
    rates(samples, ((end / shortest).round() as usize).clamp(1, columns.max(1)).min(columns))
}

/// The columns that a step takes, of so many: at least one.
pub(super) fn columns_of(
    samples: &[Sample],
    step: usize,
    columns: usize,
) -> Option<(usize, usize)> {
    let places = places(samples);
    let (&(begins, ends), end) = (places.get(step)?, places.last()?.1);
    if columns == 0 || end <= 0.0 {
        return None;
    }
    let at = |ns: f64| ((ns / end * columns as f64).round() as usize).min(columns);
    let first = at(begins).min(columns - 1);
    Some((first, at(ends).max(first + 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn samples(steps: &[(u64, u64, Option<u64>)]) -> Vec<Sample> {
        let sample = |&(start, length, amount): &(u64, u64, Option<u64>)| Sample {
            start_unix_ns: start * SECOND,
            duration_ns: length * SECOND,
            amount,
        };
        steps.iter().map(sample).collect()
    }

    #[test]
    fn steps_of_different_lengths_are_drawn_by_time() {
        // Four seconds in one step, then two of a second.
        let steps = samples(&[(10, 4, Some(40)), (14, 1, Some(20)), (15, 1, None)]);
        let (ten, twenty) = (Some(10.0), Some(20.0));
        assert_eq!(rates(&steps, 6), [ten, ten, ten, ten, twenty, None]);
        assert_eq!(rates(&steps, 3), [ten, ten, twenty]);
        assert_eq!(short_rates(&steps, 100).len(), 6);
        assert_eq!(short_rates(&steps, 3).len(), 3);
        assert_eq!(
            [0, 1, 2].map(|step| columns_of(&steps, step, 6)),
            [Some((0, 4)), Some((4, 5)), Some((5, 6))]
        );
        assert_eq!(columns_of(&steps, 1, 1), Some((0, 1)));
        assert_eq!(columns_of(&steps, 3, 6), None);
    }

    #[test]
    fn gaps_stay_and_jumps_of_the_clock_do_not() {
        let gap = samples(&[(0, 2, Some(2)), (4, 2, Some(2))]);
        assert_eq!(rates(&gap, 6), [Some(1.0), Some(1.0), None, None, Some(1.0), Some(1.0)]);
        let jump = samples(&[(0, 1, Some(1)), (1_000_000, 1, Some(1)), (5, 1, Some(1))]);
        assert_eq!(rates(&jump, 3), [Some(1.0); 3]);
    }

    proptest! {
        #[test]
        fn any_steps_will_do(
            steps in prop::collection::vec((any::<u64>(), any::<u64>(), prop::option::of(any::<u64>())), 0..20),
            columns in 0_usize..300,
        ) {
            let steps: Vec<Sample> = steps
                .into_iter()
                .map(|(start_unix_ns, duration_ns, amount)| Sample { start_unix_ns, duration_ns, amount })
                .collect();
            for values in [rates(&steps, columns), short_rates(&steps, columns)] {
                prop_assert!(values.len() <= columns);
                prop_assert!(values.iter().flatten().all(|value| value.is_finite() && *value >= 0.0));
            }
            for step in 0..=steps.len() {
                if let Some((first, end)) = columns_of(&steps, step, columns) {
                    prop_assert!(first < end && end <= columns);
                }
            }
        }
    }
}
