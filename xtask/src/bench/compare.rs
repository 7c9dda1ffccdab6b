//! What moved since a run whose JSON was kept.
//!
//! In: that JSON, and the rows of now. Out: a table of both medians, their ratio, and
//! whether the spreads overlap, in which case the difference may be chance.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::figures::{Samples, number};
use super::machine::Machine;
use super::tables::{Rows, SCHEMA};

/// A run as it was written.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    schema: String,
    conditions: Then,
    rows: Vec<StoredRow>,
}

#[derive(Debug, Deserialize)]
struct Then {
    machine: Machine,
}

#[derive(Debug, Deserialize)]
struct StoredRow {
    row: String,
    samples: Vec<StoredSamples>,
}

#[derive(Debug, Deserialize)]
struct StoredSamples {
    variant: String,
    unit: String,
    /// What was not a number is null.
    values: Vec<Option<f64>>,
}

impl Stored {
    /// Of a file that `--json` wrote.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| {
            format!("{} is not what cargo xtask bench --json writes", path.display())
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let stored: Self = serde_json::from_str(text)?;
        ensure!(stored.schema == SCHEMA, "its schema is {:?}, not {SCHEMA:?}", stored.schema);
        Ok(stored)
    }

    fn find(&self, row: &str, now: &Samples) -> Option<Samples> {
        let row = self.rows.iter().find(|it| it.row == row)?;
        let then =
            row.samples.iter().find(|it| it.variant == now.variant && it.unit == now.unit)?;
        let mut samples = Samples::new(&*then.variant, &*then.unit);
        then.values.iter().flatten().for_each(|value| samples.push(*value));
        Some(samples)
    }

    /// What there was then and is now, as Markdown.
    pub(super) fn compare(&self, rows: &Rows, machine: &Machine) -> String {
        let then = &self.conditions.machine;
        let mut text = format!("Compared with a run on {then}.\n");
        if then != machine {
            text += "That is another machine: look at ratios between variants only.\n";
        }
        text += "\n| row | what | then | now | unit | now / then | spreads |\n|---|---|---|---|---|---|---|\n";
        for (name, row) in rows {
            for now in &row.samples {
                let Some(then) = self.find(name, now) else { continue };
                let ratio = now.median() / then.median();
                let spreads = if now.overlaps(&then) { "overlap" } else { "apart" };
                let _ = writeln!(
                    text,
                    "| {name} | {} | {} | {} | {} | {} | {spreads} |",
                    now.variant,
                    number(then.median()),
                    number(now.median()),
                    now.unit,
                    number(ratio),
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Row, samples};
    use super::super::machine::Conditions;
    use super::super::tables::json;
    use super::*;

    fn machine(kernel: &str) -> Machine {
        Machine { cpus: 2, cpu: "a CPU".into(), kernel: kernel.into() }
    }

    fn stored(rows: &Rows) -> Result<Stored> {
        let conditions = Conditions { machine: machine("6.18"), rounds: 3, load_before: 0.0 };
        Stored::parse(&json(rows, &conditions))
    }

    fn rows(alone: &[f64], exact: &[f64]) -> [(&'static str, Row); 1] {
        let samples = vec![samples("alone", alone), samples("mapprof exact", exact)];
        [("map-read", Row { samples, claims: vec![] })]
    }

    #[test]
    fn ratios_of_medians_and_whether_spreads_overlap() -> Result<()> {
        let then = rows(&[20.0, 21.0, 22.0], &[600.0, f64::NAN]);
        let stored = stored(&then)?;
        let now = rows(&[21.0, 23.0, 25.0], &[700.0]);
        let text = stored.compare(&now, &machine("6.18"));
        assert!(!text.contains("another machine"), "{text}");
        assert!(text.contains("| map-read | alone | 21 | 23 | ns | 1.095 | overlap |"), "{text}");
        assert!(text.contains("| mapprof exact | 600 | 700 | ns | 1.167 | apart |"), "{text}");
        assert!(stored.compare(&now, &machine("6.12")).contains("another machine"));
        Ok(())
    }

    #[test]
    fn only_what_there_is_in_both() -> Result<()> {
        let stored = stored(&rows(&[1.0], &[2.0]))?;
        let [(_, row)] = rows(&[1.0], &[2.0]);
        let text = stored.compare(&[("another", row)], &machine("6.18"));
        assert_eq!(text.lines().count(), 4, "{text}");
        Ok(())
    }

    #[test]
    fn other_files_are_refused() {
        assert!(Stored::parse("[]").is_err());
        let other =
            r#"{"schema":"x","conditions":{"machine":{"cpus":1,"cpu":"","kernel":""}},"rows":[]}"#;
        let error = Stored::parse(other).expect_err("another schema");
        assert!(error.to_string().contains("\"x\""), "{error}");
    }
}
