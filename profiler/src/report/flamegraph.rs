//! Waits, blame or operations by stack as a flame graph: the wider, the more.

use std::collections::BTreeMap;

use inferno::flamegraph::{Options, from_lines};

use super::{By, ReportError, folded};
use crate::model::{names, summary::Summary};
use crate::units;

/// Columns of the executable's path that the title has room for.
const EXE_COLUMNS: usize = 60;

/// An SVG that is the same for the same summary.
pub(super) fn render(summary: &Summary, by: By) -> Result<Vec<u8>, ReportError> {
    let lines = folded::render(summary, by)?;
    let mut options = options(summary, by);
    options.subtitle = Some(subtitle(summary, by));
    // Colours by the functions' names instead of chance.
    options.hash = true;
    draw(&mut options, lines.lines())
}

/// The later of two summaries as a flame graph, red where there is more in a second of
/// the run than in the earlier one and blue where there is less.
pub fn render_diff(before: &Summary, after: &Summary, by: By) -> Result<Vec<u8>, ReportError> {
    // As if the earlier one had been as long as the later.
    let [was, is] = [before, after].map(|summary| summary.window.duration_ns.max(1) as f64);
    let mut stacks: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (side, (summary, scale)) in [(before, is / was), (after, 1.0)].into_iter().enumerate() {
        for (stack, weight) in folded::weights(summary, by) {
            stacks.entry(stack).or_default()[side] = (weight as f64 * scale).round() as u64;
        }
    }
    // Widths are those of the later one.
    if stacks.values().all(|[_, is]| *is == 0) {
        return Err(ReportError::nothing(by));
    }
    let lines: Vec<String> =
        stacks.iter().map(|(stack, [was, is])| format!("{stack} {was} {is}")).collect();
    let mut options = options(after, by);
    options.title.push_str(", red where more in a second than before");
    options.subtitle = Some(format!("{}, before {}", subtitle(after, by), subtitle(before, by)));
    draw(&mut options, lines.iter().map(String::as_str))
}

fn options(summary: &Summary, by: By) -> Options<'static> {
    let exe = units::clean(&summary.target.exe);
    let exe = units::tail(&exe, EXE_COLUMNS);
    // Several processes have none together.
    let pid = match summary.target.pid {
        0 => String::new(),
        pid => format!(" (pid {pid})"),
    };
    let mut options = Options::default();
    options.title = format!("{} of {exe}{pid}", by.title());
    by.unit().clone_into(&mut options.count_name);
    options.deterministic = true;
    options
}

fn draw<'a>(
    options: &mut Options<'_>,
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<u8>, ReportError> {
    let mut svg = Vec::new();
    from_lines(options, lines, &mut svg).map_err(ReportError::Flamegraph)?;
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
                + &names::waits_scaled(&summary.window)
        }
        By::Ops => {
            let stacks = || maps.iter().flat_map(|map| &map.stacks);
            let samples = sum(&mut stacks().map(|stack| stack.samples));
            let ops = sum(&mut stacks().map(|stack| stack.ops.total()));
            let (ops, samples) = (units::count(ops), units::count(samples));
            within(format!("{ops} operations, from {samples} sampled stacks"))
                + &names::ops_scaled(&summary.window)
        }
    }
}
