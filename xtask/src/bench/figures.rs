//! Measured figures and how they are shown.

use std::fmt::Write;

use serde_json::{Value, json};

/// One thing measured several times.
#[derive(Debug)]
pub(super) struct Samples {
    /// What of.
    pub(super) variant: &'static str,
    /// Of what.
    pub(super) unit: &'static str,
    values: Vec<f64>,
}

impl Samples {
    pub(super) fn new(variant: &'static str, unit: &'static str) -> Self {
        Self { variant, unit, values: Vec::new() }
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
}

/// A figure derived from the medians, and what it should be.
#[derive(Debug)]
pub(super) struct Claim {
    what: String,
    value: f64,
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

    fn holds(&self) -> Option<bool> {
        // Neither holds for a figure that is not a number.
        self.bound.map(|bound| match bound {
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => self.value >= least,
        })
    }

    fn bound(&self) -> String {
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
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Two tables: what was measured, and what follows.
pub(super) fn markdown(rows: &[(&str, Row)]) -> String {
    let mut text =
        String::from("| row | variant | median | min–max | unit |\n|---|---|---|---|---|\n");
    for (name, row) in rows {
        for samples in &row.samples {
            let (variant, unit) = (samples.variant, samples.unit);
            let [median, min, max] = [samples.median(), samples.min(), samples.max()].map(number);
            let _ = writeln!(text, "| {name} | {variant} | {median} | {min}–{max} | {unit} |");
        }
    }
    text += "\n| row | figure | value | wanted | |\n|---|---|---|---|---|\n";
    for (name, row) in rows {
        for claim in &row.claims {
            let verdict = match claim.holds() {
                Some(true) => "holds",
                Some(false) => "MISSED",
                None => "",
            };
            let (what, value, bound) = (&claim.what, number(claim.value), claim.bound());
            let _ = writeln!(text, "| {name} | {what} | {value} | {bound} | {verdict} |");
        }
    }
    text
}

/// The same for machines, with every single value.
pub(super) fn json(rows: &[(&str, Row)]) -> String {
    let row = |(name, row): &(&str, Row)| -> Value {
        let samples = row.samples.iter().map(|it| {
            json!({"variant": it.variant, "unit": it.unit, "median": it.median(), "values": it.values})
        });
        let claims = row.claims.iter().map(|it| {
            json!({"figure": it.what, "value": it.value, "wanted": it.bound(), "holds": it.holds()})
        });
        json!({"row": name, "samples": samples.collect::<Value>(), "figures": claims.collect::<Value>()})
    };
    format!("{:#}\n", rows.iter().map(row).collect::<Value>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples { values: values.to_vec(), ..Samples::new("alone", "ns") }
    }

    #[test]
    fn medians() {
        assert!(samples(&[]).median().is_nan());
        assert!((samples(&[3.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-9);
        assert!((samples(&[4.0, 1.0, 2.0, 3.0]).median() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_figure_that_was_not_measured_holds_nothing() {
        assert_eq!(Claim::at_most("x", f64::NAN, 1.0).holds(), Some(false));
        assert_eq!(Claim::at_least("x", f64::NAN, 1.0).holds(), Some(false));
        assert_eq!(Claim::at_most("x", 1.0, 1.0).holds(), Some(true));
        assert_eq!(Claim::plain("x", 1.0).holds(), None);
    }

    #[test]
    fn tables() {
        let row = Row {
            samples: vec![samples(&[612.34, 598.0])],
            claims: vec![Claim::at_most("times", 1.234, 1.2)],
        };
        let rows = [("map-read", row)];
        let text = markdown(&rows);
        assert!(text.contains("| map-read | alone | 605.2 | 598–612.3 | ns |"), "{text}");
        assert!(text.contains("| map-read | times | 1.234 | ≤ 1.200 | MISSED |"), "{text}");
        assert!(json(&rows).contains("612.34"));
    }
}
