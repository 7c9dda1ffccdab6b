//! How figures are written: as Markdown for people, as JSON for machines and for a
//! later run to be compared with.

use std::fmt::Write;

use serde_json::{Value, json};

use super::beside::Beside;
use super::figures::{Row, Samples, number};
use super::machine::Conditions;

/// What the JSON is.
pub(super) const SCHEMA: &str = "mapprof.bench.v1";

/// What was measured, by the name of its row.
pub(super) type Rows = [(&'static str, Row)];

/// Three tables: loads beside each watcher, what else was measured, and what follows.
pub(super) fn markdown(rows: &Rows, conditions: &Conditions) -> String {
    let mut text = conditions.to_string();
    let watched: Vec<_> =
        rows.iter().filter_map(|(name, row)| Some((*name, alone(row)?, row))).collect();
    if !watched.is_empty() {
        text += "\nMedian (min–max), times alone:\n\n";
        beside_each_other(&mut text, &watched);
    }
    let others: Vec<_> = rows
        .iter()
        .flat_map(|(name, row)| {
            let rest = row.samples.iter().filter(|it| !is_cell(row, it));
            rest.map(|samples| (*name, samples))
        })
        .collect();
    if !others.is_empty() {
        text += "\n| row | what | median | min–max | unit |\n|---|---|---|---|---|\n";
        for (name, samples) in others {
            let (variant, unit) = (&samples.variant, &samples.unit);
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

/// The load without a watcher, where the row compares watchers.
fn alone(row: &Row) -> Option<&Samples> {
    row.samples.iter().find(|samples| samples.variant == Beside::Nothing.name())
}

/// Whether that stands in the table of watchers.
fn is_cell(row: &Row, samples: &Samples) -> bool {
    let is_watcher = Beside::ALL.iter().any(|beside| beside.name() == samples.variant);
    is_watcher && alone(row).is_some_and(|alone| alone.unit == samples.unit)
}

/// A column for each watcher that any of the rows has.
fn beside_each_other(text: &mut String, rows: &[(&str, &Samples, &Row)]) {
    let of = |row: &Row, beside: Beside| {
        let mut cells = row.samples.iter().filter(|it| is_cell(row, it));
        cells.find(|it| it.variant == beside.name()).cloned()
    };
    let columns: Vec<_> = Beside::ALL
        .into_iter()
        .filter(|beside| rows.iter().any(|(_, _, row)| of(row, *beside).is_some()))
        .collect();
    let heads: Vec<_> = columns.iter().map(|beside| beside.name()).collect();
    let _ = writeln!(text, "| row | unit | {} |", heads.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(columns.len()));
    for (name, alone, row) in rows {
        let cell = |beside: &Beside| {
            of(row, *beside).map_or_else(String::new, |samples| cell(&samples, alone))
        };
        let cells: Vec<_> = columns.iter().map(cell).collect();
        let _ = writeln!(text, "| {name} | {} | {} |", alone.unit, cells.join(" | "));
    }
}

fn cell(samples: &Samples, alone: &Samples) -> String {
    let [median, min, max] = [samples.median(), samples.min(), samples.max()].map(number);
    if samples.variant == alone.variant {
        return format!("{median} ({min}–{max})");
    }
    format!("{median} ({min}–{max}) ×{}", number(samples.median() / alone.median()))
}

/// The same for machines, with every single value. What is not a number is null.
pub(super) fn json(rows: &Rows, conditions: &Conditions) -> String {
    let row = |(name, row): &(&str, Row)| -> Value {
        let samples = row.samples.iter().map(|it| {
            json!({"variant": it.variant, "unit": it.unit, "median": it.median(), "values": it.values})
        });
        let claims = row.claims.iter().map(|it| {
            json!({"figure": it.what, "value": it.value, "wanted": it.bound(), "holds": it.holds()})
        });
        json!({"row": name, "samples": samples.collect::<Value>(), "figures": claims.collect::<Value>()})
    };
    let all = json!({
        "schema": SCHEMA,
        "conditions": conditions,
        "rows": rows.iter().map(row).collect::<Value>(),
    });
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Claim, samples};
    use super::super::machine::Machine;
    use super::*;

    fn rows() -> [(&'static str, Row); 2] {
        let mut cpu = samples("mapprof itself", &[2.5]);
        cpu.unit = "% of a core".into();
        let reads = Row {
            samples: vec![
                samples("alone", &[20.0, 22.0]),
                samples("mapprof exact", &[612.34, 598.0, 620.0]),
                cpu,
            ],
            claims: vec![Claim::at_most("times", 1.234, 1.2), Claim::plain("plain", f64::NAN)],
        };
        let other = Row { samples: vec![samples("10 keys", &[7.0])], claims: vec![] };
        [("map-read", reads), ("distinct", other)]
    }

    fn conditions(load_before: f64) -> Conditions {
        let machine = Machine { cpus: 2, cpu: "a CPU".into(), kernel: "6.18.0".into() };
        Conditions { machine, rounds: 3, load_before }
    }

    #[test]
    fn a_busy_machine_is_told() {
        assert!(markdown(&[], &conditions(2.5)).contains("busy (load average 2.5)"));
        assert!(!markdown(&[], &conditions(0.1)).contains("busy"));
    }

    #[test]
    fn a_load_has_a_column_for_each_watcher() {
        let text = markdown(&rows(), &conditions(0.0));
        assert_eq!(
            text,
            "\
Measured on 2 CPUs (a CPU), Linux 6.18.0, in 3 rounds.

Median (min–max), times alone:

| row | unit | alone | mapprof exact |
|---|---|---|---|
| map-read | ns | 21 (20–22) | 612.3 (598–620) ×29.16 |

| row | what | median | min–max | unit |
|---|---|---|---|---|
| map-read | mapprof itself | 2.500 | 2.500–2.500 | % of a core |
| distinct | 10 keys | 7 | 7–7 | ns |

| row | figure | value | wanted | |
|---|---|---|---|---|
| map-read | times | 1.234 | ≤ 1.200 | MISSED |
| map-read | plain | – |  |  |
"
        );
    }

    #[test]
    fn json_has_every_value() -> anyhow::Result<()> {
        let read: Value = serde_json::from_str(&json(&rows(), &conditions(0.0)))?;
        assert_eq!(read["schema"], SCHEMA);
        assert_eq!(read["rows"][0]["samples"][1]["values"], json!([612.34, 598.0, 620.0]));
        assert_eq!(read["rows"][0]["figures"][0]["holds"], false);
        assert_eq!(read["rows"][0]["figures"][1]["value"], Value::Null);
        Ok(())
    }
}
