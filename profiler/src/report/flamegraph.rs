//! Waits by stack as a flame graph: the wider, the longer the wait.

use inferno::flamegraph::{Options, from_lines};

use super::{ReportError, folded};
use crate::model::summary::Summary;
use crate::units;

/// Columns of the executable's path that the title has room for.
const EXE_COLUMNS: usize = 60;

/// An SVG that is the same for the same summary.
pub(super) fn render(summary: &Summary) -> Result<Vec<u8>, ReportError> {
    let lines = folded::render(summary)?;
    let exe = units::clean(&summary.target.exe);
    let waits = summary.locks.iter().fold(0, |sum: u64, lock| sum.saturating_add(lock.wait.count));
    let total = summary.locks.iter().fold(0, |sum: u64, lock| sum.saturating_add(lock.wait.sum_ns));
    let mut options = Options::default();
    options.title =
        format!("Lock waits of {} (pid {})", units::tail(&exe, EXE_COLUMNS), summary.target.pid);
    options.subtitle = Some(format!(
        "{} in {} waits within {}",
        units::time(total),
        units::count(waits),
        units::time(summary.window.duration_ns),
    ));
    "ns".clone_into(&mut options.count_name);
    // Colours by the functions' names instead of chance.
    options.hash = true;
    options.deterministic = true;
    let mut svg = Vec::new();
    from_lines(&mut options, lines.lines(), &mut svg).map_err(ReportError::Flamegraph)?;
    Ok(svg)
}
