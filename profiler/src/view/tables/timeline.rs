//! The steps of the past as rows.

use super::{TIME, WAIT, extra_text, map_text};
use crate::{
    model::{
        SliceTotals, Step, Subject,
        names::lock_name,
        summary::{Lock, Summary},
    },
    view::grid::{Arrangement, Cell, Grid, Head, RowId},
};

/// One row per step; names are the summary's.
pub(in crate::view) fn timeline(steps: &[Step], summary: &Summary, by: &Arrangement) -> Grid {
    let began = steps.first().map_or(0, |step| step.totals.start_unix_ns);
    let rate =
        |n: fn(&SliceTotals) -> u64, s: &Step| Cell::rate(n(&s.totals), s.totals.duration_ns);
    let text = |subject: Option<&Subject>| match subject {
        Some(Subject::Key { key, .. }) => Cell::text(key),
        Some(Subject::Map(id)) => Cell::text(&map_text(summary, id)),
        Some(Subject::Lock(id)) => {
            let lock = summary.locks.iter().find(|lock| lock.id == *id);
            let name = |lock: &Lock| format!("{id} {}", lock_name(lock));
            Cell::text(&lock.map_or(id.clone(), name))
        }
        None => Cell::Absent,
    };
    let map = |subject: Option<&Subject>| match subject {
        Some(Subject::Key { map, .. }) => Cell::text(&map_text(summary, map)),
        _ => Cell::Absent,
    };
    Grid::new(
        steps,
        |step| RowId::Step(step.totals.start_unix_ns),
        &[
            (Head::clock(TIME, 0).named("time"), &|s: &Step| Cell::Clock(s.totals.start_unix_ns)),
            (Head::figure("after", 5), &|s| {
                Cell::Time(s.totals.start_unix_ns.saturating_sub(began))
            }),
            (Head::figure("length", 4), &|s| Cell::Time(s.totals.duration_ns)),
            (Head::figure("ops/s", 1).named("ops.rate"), &|s| rate(|t| t.ops, s)),
            (Head::figure("waits/s", 3).named("wait.count.rate"), &|s| rate(|t| t.waits, s)),
            (Head::figure("wait/s", 4).named("wait.rate"), &|s| {
                Cell::time_rate(s.totals.wait_ns, s.totals.duration_ns)
            }),
            (Head::figure(WAIT, 2).named("wait.sum"), &|s| Cell::Time(s.totals.wait_ns)),
            (Head::figure("lost", 3), &|s| match s.totals.lost {
                0 => Cell::Absent,
                n => Cell::Count(n),
            }),
            (Head::extra("ops"), &|s| Cell::Count(s.totals.ops)),
            (Head::extra("waits").named("wait.count"), &|s| Cell::Count(s.totals.waits)),
            (Head::extra("events"), &|s| Cell::Count(s.totals.events)),
            (Head::extra("observed"), &|s| Cell::Time(s.totals.observed_ns)),
            (Head::text("Top key", 4, 10).named("key"), &|s| text(s.top_key.as_ref())),
            (Head::text("Top lock", 4, 10).named("lock"), &|s| text(s.top_lock.as_ref())),
            (extra_text("Its map", 8).named("map"), &|s| map(s.top_key.as_ref())),
        ],
        by,
    )
}
