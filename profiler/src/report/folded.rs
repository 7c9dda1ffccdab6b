//! Waits, blame or operations by stack, for flame graph tools: `outermost;…;innermost
//! weight` lines, those of all locks or maps together.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{By, ReportError};
use crate::model::Frame;
use crate::model::flame::{self, NO_STACK};
use crate::model::summary::Summary;
use crate::units;

/// One line for each stack, in the order of their text.
pub(super) fn render(summary: &Summary, by: By) -> Result<String, ReportError> {
    let text = lines(summary, by);
    if text.is_empty() { Err(ReportError::nothing(by)) } else { Ok(text) }
}

/// The same, of which there may be none.
fn lines(summary: &Summary, by: By) -> String {
    let mut text = String::new();
    for (stack, weight) in weights(summary, by) {
        let _ = writeln!(text, "{stack} {weight}");
    }
    text
}

/// What each line weighs: more than nothing.
pub(super) fn weights(summary: &Summary, by: By) -> BTreeMap<String, u64> {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for row in flame::stacks(summary, by) {
        let sum = stacks.entry(line(row.stack)).or_default();
        *sum = sum.saturating_add(row.weight);
    }
    // What took no time has no width, and some tools take it for an error.
    stacks.retain(|_, &mut weight| weight > 0);
    // Tools add them up, and what a damaged recording says may be any number.
    let most = u64::MAX / stacks.len().max(1) as u64;
    for weight in stacks.values_mut() {
        *weight = most.min(*weight);
    }
    stacks
}

/// `outermost;…;innermost`
pub(super) fn line(stack: &[Frame]) -> String {
    if stack.is_empty() {
        return NO_STACK.to_owned();
    }
    let names: Vec<String> = stack.iter().rev().map(|frame| name(&frame.function)).collect();
    names.join(";")
}

/// A function's name without what has a meaning in the format: a semicolon parts
/// frames, a line feed lines, and a number after a space is a weight.
fn name(function: &str) -> String {
    let plain: String = function
        .trim()
        .chars()
        .map(|c| match c {
            ';' => ':',
            c if units::is_unsafe(c) => '_',
            c => c,
        })
        .collect();
    let numeric = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
    match plain.rsplit_once(char::is_whitespace) {
        Some((before, last)) if numeric(last) => {
            format!("{}_{last}", before.replace(char::is_whitespace, "_"))
        }
        None if plain.is_empty() => "(no name)".to_owned(),
        _ => plain,
    }
}
