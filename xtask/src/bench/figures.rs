//! Measured figures, and what is claimed of them.

/// One thing measured several times.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    /// What of.
    pub(super) variant: String,
    /// Of what.
    pub(super) unit: String,
    pub(super) values: Vec<f64>,
}

impl Samples {
    pub(super) fn new(variant: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { variant: variant.into(), unit: unit.into(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    pub(super) fn min(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn max(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            len if len % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    /// Whether the values of both could be of one thing: their spreads share a value.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.min() <= other.max() && other.min() <= self.max()
    }
}

/// A figure derived from the medians, and what it should be.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) what: String,
    pub(super) value: f64,
    bound: Option<Bound>,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Claim {
    /// A figure that should not be above its bound.
    pub(super) fn at_most(what: impl Into<String>, value: f64, bound: f64) -> Self {
        Self { what: what.into(), value, bound: Some(Bound::AtMost(bound)) }
    }

    /// A figure that should not be below its bound.
    pub(super) fn at_least(what: impl Into<String>, value: f64, bound: f64) -> Self {
        Self { what: what.into(), value, bound: Some(Bound::AtLeast(bound)) }
    }

    /// A figure of which nothing is claimed.
    pub(super) fn plain(what: impl Into<String>, value: f64) -> Self {
        Self { what: what.into(), value, bound: None }
    }

    /// `None` where nothing is claimed.
    pub(super) fn holds(&self) -> Option<bool> {
        // Neither holds for a figure that is not a number.
        self.bound.map(|bound| match bound {
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => self.value >= least,
        })
    }

    /// What is wanted, in words.
    pub(super) fn bound(&self) -> String {
        match self.bound {
            Some(Bound::AtMost(most)) => format!("≤ {}", number(most)),
            Some(Bound::AtLeast(least)) => format!("≥ {}", number(least)),
            None => String::new(),
        }
    }
}

/// What one benchmark found.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) samples: Vec<Samples>,
    pub(super) claims: Vec<Claim>,
}

/// Four significant digits, and no more decimals than that takes.
pub(super) fn number(value: f64) -> String {
    // Adding turns -0, which a sum of nothing is, into 0.
    let value = value + 0.0;
    match value.abs() {
        _ if !value.is_finite() => "–".into(),
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
pub(super) fn samples(variant: &str, values: &[f64]) -> Samples {
    Samples { values: values.to_vec(), ..Samples::new(variant, "ns") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let median = |values: &[f64]| samples("", values).median();
        assert!(median(&[]).is_nan());
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn spreads_that_touch_overlap() {
        let overlap = |a: &[f64], b: &[f64]| samples("", a).overlaps(&samples("", b));
        assert!(overlap(&[1.0, 3.0], &[3.0, 4.0]));
        assert!(overlap(&[1.0, 9.0], &[2.0, 3.0]));
        assert!(!overlap(&[1.0, 2.0], &[2.1, 3.0]));
        assert!(!overlap(&[5.0], &[2.1, 3.0]));
        assert!(!overlap(&[], &[1.0]), "nothing was measured");
    }

    #[test]
    fn a_figure_that_was_not_measured_holds_nothing() {
        assert_eq!(Claim::at_most("x", f64::NAN, 1.0).holds(), Some(false));
        assert_eq!(Claim::at_least("x", f64::NAN, 1.0).holds(), Some(false));
        assert_eq!(Claim::at_most("x", 1.0, 1.0).holds(), Some(true));
        assert_eq!(Claim::plain("x", 1.0).holds(), None);
    }

    #[test]
    fn numbers() {
        let numbers = [-0.0, 1.0, 0.123_45, 12.345, 123.45, 12_345.6, f64::NAN, f64::INFINITY];
        assert_eq!(numbers.map(number), ["0", "1", "0.123", "12.35", "123.5", "12346", "–", "–"]);
    }
}
