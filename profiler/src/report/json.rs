//! The JSON contract, for tools.

use std::fmt::Write;

use serde::Serialize;

use super::ReportError;
use crate::model::summary::Summary;
use crate::units;

/// Indented, and ended by a line feed.
pub(super) fn render(summary: &Summary) -> Result<Vec<u8>, ReportError> {
    written(summary)
}

/// Any value as JSON that a terminal may be shown.
pub(super) fn written(value: &impl Serialize) -> Result<Vec<u8>, ReportError> {
    let json = serde_json::to_string_pretty(value).map_err(ReportError::Json)?;
    Ok(safe(json + "\n").into_bytes())
}

/// What serde_json writes as it is although it commands or confuses a terminal, written as
/// escapes; outside of strings there is none of it.
fn safe(json: String) -> String {
    let is_safe = |c| c == '\n' || !units::is_unsafe(c);
    if json.chars().all(is_safe) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_safe(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}
