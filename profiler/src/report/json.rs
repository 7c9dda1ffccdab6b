//! The JSON contract, for tools.

use super::ReportError;
use crate::model::summary::Summary;

/// Indented, and ended by a line feed.
pub(super) fn render(summary: &Summary) -> Result<Vec<u8>, ReportError> {
    let mut json = serde_json::to_vec_pretty(summary).map_err(ReportError::Json)?;
    json.push(b'\n');
    Ok(json)
}
