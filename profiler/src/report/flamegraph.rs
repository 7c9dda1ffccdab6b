//! Waits, blame or operations by stack as a flame graph: the wider, the more.

use inferno::flamegraph::{Options, from_lines};

use super::{By, ReportError, folded};
use crate::model::summary::Summary;
use crate::units;

/// Columns of the executable's path that the title has room for.
const EXE_COLUMNS: usize = 60;

/// An SVG that is the same for the same summary.
pub(super) fn render(summary: &Summary, by: By) -> Result<Vec<u8>, ReportError> {
    let lines = folded::render(summary, by)?;
    let exe = units::clean(&summary.target.exe);
    let mut options = Options::default();
    options.title = format!(
        "{} of {}{}",
        match by {
            By::Wait => "Lock waits",
            By::Blame => "Lock holders that others waited for",
            By::Ops => "Map operations",
        },
        units::tail(&exe, EXE_COLUMNS),
        match summary.target.pid {
            0 => String::new(),
            pid => format!(" (pid {pid})"),
        }
    );
    options.subtitle = Some(subtitle(summary, by));
    by.unit().clone_into(&mut options.count_name);
    // Colours by the functions' names instead of chance.
    options.hash = true;
    options.deterministic = true;
    let mut svg = Vec::new();
    from_lines(&mut options, lines.lines(), &mut svg).map_err(ReportError::Flamegraph)?;
    Ok(svg)
}

fn subtitle(summary: &Summary, by: By) -> String {
    let sum = |figures: &mut dyn Iterator<Item = u64>| figures.fold(0, u64::saturating_add);
    let (maps, locks) = (&summary.maps, &summary.locks);
    let duration = units::time(summary.window.duration_ns);
    let within = |what: String| format!("{what} within {duration}");
    match by {
        By::Wait | By::Blame => {
            let waits = sum(&mut locks.iter().map(|lock| lock.wait.count));
            let ns = match by {
                By::Wait => sum(&mut locks.iter().map(|lock| lock.wait.sum_ns)),
                _ => sum(&mut locks.iter().map(|lock| lock.blamed_ns)),
            };
            within(format!("{} in {} waits", units::time(ns), units::count(waits)))
        }
        By::Ops => {
            let stacks = || maps.iter().flat_map(|map| &map.stacks);
            let samples = sum(&mut stacks().map(|stack| stack.samples));
            let ops = sum(&mut stacks().map(|stack| stack.ops.total()));
            let (ops, samples) = (units::count(ops), units::count(samples));
            within(format!("{ops} operations, from {samples} sampled stacks"))
        }
    }
}
