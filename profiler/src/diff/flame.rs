//! Two recordings as one flame graph: as wide as the later one, red where it is more in a
//! second, blue where it is less.

use std::collections::BTreeMap;

use inferno::flamegraph::{Options, from_lines};
use thiserror::Error;

use super::Part;
use crate::model::Frame;
use crate::model::flame::{By, NO_STACK, stacks};
use crate::units;

/// Why there is no flame graph.
#[derive(Debug, Error)]
pub enum FlameError {
    /// Neither side has stacks.
    #[error("no stack on either side has any {0}, so there is nothing to draw; try another --by")]
    Nothing(By),
    /// The drawing failed.
    #[error("cannot draw the flame graph: {0}; the text and json formats may still work")]
    Draw(#[source] std::io::Error),
}

/// An SVG that is the same for the same parts.
pub fn render(before: &Part, after: &Part, by: By) -> Result<Vec<u8>, FlameError> {
    let mut folded: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    // As if the earlier one had been as long as the later.
    let [was, is] = [before, after].map(|part| part.summary.window.observed_ns.max(1) as f64);
    for (side, (part, scale)) in [(before, is / was), (after, 1.0)].into_iter().enumerate() {
        for row in stacks(&part.summary, by) {
            folded.entry(line(row.stack)).or_default()[side] += row.weight as f64 * scale;
        }
    }
    let lines: Vec<String> = folded
        .into_iter()
        .map(|(stack, weights)| (stack, weights.map(|weight| weight.round() as u64)))
        .filter(|(_, weights)| weights[1] > 0 || weights[0] > 0)
        .map(|(stack, [was, is])| format!("{stack} {was} {is}"))
        .collect();
    if lines.is_empty() {
        return Err(FlameError::Nothing(by));
    }
    let mut options = Options::default();
    let exe = units::clean(&after.summary.target.exe).into_owned();
    options.title = format!("What changed in {}: {by}", units::tail(&exe, 60));
    options.subtitle = Some("red: more in a second than before, blue: less".to_owned());
    by.unit().clone_into(&mut options.count_name);
    options.deterministic = true;
    let mut svg = Vec::new();
    from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(FlameError::Draw)?;
    Ok(svg)
}

/// Outermost first.
fn line(stack: &[Frame]) -> String {
    if stack.is_empty() {
        return NO_STACK.to_owned();
    }
    let names: Vec<String> = stack.iter().rev().map(|frame| name(&frame.function)).collect();
    names.join(";")
}

/// Without what has a meaning in the format: semicolons, line feeds, and numbers at its end.
fn name(function: &str) -> String {
    let plain = |c: char| match c {
        ';' => ':',
        c if c.is_control() || c.is_whitespace() => '_',
        c => c,
    };
    function.trim().chars().map(plain).collect()
}
