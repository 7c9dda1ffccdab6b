//! One load under each watcher in turn.
//!
//! In: a load, as a function of the watcher. Out: what was measured, by watcher. Each
//! round runs every variant once, and begins with the next one, so that a machine
//! whose speed drifts favours none.

use anyhow::Result;

use super::beside::Beside;
use super::figures::{Claim, Samples};

/// What was measured of one load, by watcher.
#[derive(Debug)]
pub(super) struct Measured {
    by: Vec<(Beside, Samples)>,
}

/// Runs a load under each of the watchers that there are, `rounds` times. Where bpftrace
/// fails, which is nobody's fault here, its column stays empty and the reason is told.
pub(super) fn interleave(
    watchers: &[Beside],
    rounds: u32,
    unit: &'static str,
    run: impl FnMut(Beside) -> Result<f64>,
) -> Result<Measured> {
    let there: Vec<_> = watchers.iter().copied().filter(|beside| beside.is_there()).collect();
    take_turns(&there, rounds, unit, run)
}

fn take_turns(
    watchers: &[Beside],
    rounds: u32,
    unit: &'static str,
    mut run: impl FnMut(Beside) -> Result<f64>,
) -> Result<Measured> {
    let mut by: Vec<_> =
        watchers.iter().map(|beside| (*beside, Samples::new(beside.name(), unit))).collect();
    for round in 0..rounds {
        let order: Vec<_> = by.iter().map(|(beside, _)| *beside).collect();
        for beside in rotated(&order, round) {
            match run(beside) {
                Ok(value) => {
                    if let Some((_, samples)) = by.iter_mut().find(|(it, _)| *it == beside) {
                        samples.push(value);
                    }
                }
                Err(error) if beside == Beside::Bpftrace => {
                    eprintln!("without bpftrace, which failed: {error:#}");
                    by.retain(|(it, _)| *it != beside);
                }
                Err(error) => return Err(error.context(beside.name())),
            }
        }
    }
    Ok(Measured { by })
}

impl Measured {
    /// Not a number where there is none.
    pub(super) fn median(&self, beside: Beside) -> f64 {
        self.by.iter().find(|(it, _)| *it == beside).map_or(f64::NAN, |(_, it)| it.median())
    }

    /// What a watcher adds to the load alone.
    pub(super) fn added(&self, beside: Beside) -> f64 {
        self.median(beside) - self.median(Beside::Nothing)
    }

    /// The load under a watcher, times the load alone.
    pub(super) fn ratio(&self, beside: Beside) -> f64 {
        self.median(beside) / self.median(Beside::Nothing)
    }

    pub(super) fn has(&self, beside: Beside) -> bool {
        self.by.iter().any(|(it, _)| *it == beside)
    }

    /// What is claimed of map operations: mapprof's cost beside the limit, and bpftrace's
    /// beside mapprof's, if that is to be so many times higher.
    pub(super) fn claims(&self, bpftrace_at_least: Option<f64>) -> Vec<Claim> {
        let exact = self.added(Beside::Exact);
        let mut claims = vec![
            Claim::plain("an empty probe adds, ns", self.added(Beside::EmptyProbe)),
            Claim::plain("exact adds, ns", exact),
            Claim::at_most(
                "exact adds, times the empty probe",
                exact / self.added(Beside::EmptyProbe),
                1.15,
            ),
            Claim::plain("at 1%, times alone", self.ratio(Beside::Budget)),
        ];
        if self.has(Beside::Bpftrace) {
            let bpftrace = self.added(Beside::Bpftrace);
            let times = "that is, times what exact adds";
            claims.push(Claim::plain("bpftrace adds, ns", bpftrace));
            claims.push(match bpftrace_at_least {
                Some(least) => Claim::at_least(times, bpftrace / exact, least),
                None => Claim::plain(times, bpftrace / exact),
            });
        }
        claims
    }

    pub(super) fn into_samples(self) -> Vec<Samples> {
        self.by.into_iter().map(|(_, samples)| samples).collect()
    }
}

/// The variants in the order of a round: each round begins with the next one.
pub(super) fn rotated<T: Clone>(variants: &[T], round: u32) -> Vec<T> {
    let mut order = variants.to_vec();
    if !order.is_empty() {
        order.rotate_left(round as usize % variants.len());
    }
    order
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn every_variant_begins_once() {
        let firsts: Vec<_> = (0..3).map(|round| rotated(&['a', 'b', 'c'], round)[0]).collect();
        assert_eq!(firsts, ['a', 'b', 'c']);
        assert_eq!(rotated(&['a', 'b', 'c'], 4), ['b', 'c', 'a']);
        assert_eq!(rotated::<char>(&[], 4), []);
    }

    /// Costs by watcher, as if measured.
    fn cost(beside: Beside) -> f64 {
        match beside {
            Beside::EmptyProbe => 600.0,
            Beside::Exact => 650.0,
            Beside::Bpftrace => 11_000.0,
            _ => 20.0,
        }
    }

    const WITHOUT_BPFTRACE: [Beside; 3] = [Beside::Nothing, Beside::EmptyProbe, Beside::Exact];

    #[test]
    fn what_is_added_is_over_the_load_alone() -> Result<()> {
        let mut runs = 0;
        let measured = take_turns(&WITHOUT_BPFTRACE, 4, "ns", |beside| {
            runs += 1;
            Ok(cost(beside))
        })?;
        assert_eq!(runs, 12);
        assert!((measured.added(Beside::Exact) - 630.0).abs() < 1e-9);
        assert!((measured.ratio(Beside::EmptyProbe) - 30.0).abs() < 1e-9);
        assert!(measured.median(Beside::Bpftrace).is_nan());
        assert_eq!(measured.into_samples().len(), 3);
        Ok(())
    }

    #[test]
    fn bpftrace_that_fails_leaves_the_others() -> Result<()> {
        let run = |beside| if beside == Beside::Bpftrace { bail!("no") } else { Ok(1.0) };
        let measured = take_turns(&Beside::MAPS, 2, "ns", run)?;
        assert!(!measured.has(Beside::Bpftrace));
        assert_eq!(measured.into_samples().len(), 4);
        Ok(())
    }

    #[test]
    fn a_watcher_that_fails_fails_the_row() {
        let run = |beside| if beside == Beside::Exact { bail!("no") } else { Ok(1.0) };
        let error = take_turns(&WITHOUT_BPFTRACE, 1, "ns", run).expect_err("it failed");
        assert_eq!(format!("{error:#}"), "mapprof exact: no");
    }
}
