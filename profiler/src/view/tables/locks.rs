//! Locks as rows.

use super::{WAIT, extra_text, map_text, place, timed};
use crate::{
    model::{
        names::lock_name,
        summary::{H, Lock, Summary, WaitSum},
    },
    view::grid::{Arrangement, Cell, Grid, Head, RowId},
};

/// One row per lock.
pub(in crate::view) fn locks(summary: &Summary, by: &Arrangement) -> Grid {
    let span = summary.window.duration_ns;
    let wait = |l: &Lock, ns: fn(&H) -> u64| timed(Some(l.wait), ns);
    let hold = |l: &Lock, ns: fn(&H) -> u64| timed(l.hold, ns);
    let sum = |w: Option<WaitSum>| w.map_or(Cell::Absent, |w| Cell::Time(w.wait_ns));
    let many = |w: Option<WaitSum>| w.map_or(Cell::Absent, |w| Cell::Count(w.count));
    Grid::new(
        &summary.locks,
        |lock| RowId::Lock(lock.id.clone()),
        &[
            (Head::text("Id", 1, 4).named("id"), &|l: &Lock| Cell::text(&l.id)),
            (Head::text("Lock", 0, 14).named("lock"), &|l| Cell::text(&lock_name(l))),
            (Head::figure("wait/s", 5).named("wait.rate"), &|l| {
                Cell::time_rate(l.wait.sum_ns, span)
            }),
            (Head::figure(WAIT, 2).named("wait.sum"), &|l| Cell::Time(l.wait.sum_ns)),
            (Head::figure("margin", 4).named("wait.margin"), &|l| {
                Cell::within_time(l.wait.margin_ns, l.wait.few)
            }),
            (Head::figure("waits", 3).named("wait.count"), &|l| Cell::Count(l.wait.count)),
            (Head::extra("waits' margin").named("wait.count.margin"), &|l| {
                Cell::within(l.wait.margin, l.wait.few)
            }),
            (Head::figure("waits/s", 10).named("wait.count.rate"), &|l| {
                Cell::rate(l.wait.count, span)
            }),
            (Head::extra("min").named("wait.min"), &|l| wait(l, |h| h.min_ns)),
            (Head::figure("p50", 7).named("wait.p50"), &|l| wait(l, |h| h.p50_ns)),
            (Head::figure("p90", 13).named("wait.p90"), &|l| wait(l, |h| h.p90_ns)),
            (Head::figure("p99", 6).named("wait.p99"), &|l| wait(l, |h| h.p99_ns)),
            (Head::figure("p99.9", 14).named("wait.p999"), &|l| wait(l, |h| h.p999_ns)),
            (Head::figure("max", 8).named("wait.max"), &|l| wait(l, |h| h.max_ns)),
            (Head::figure("now", 4).named("open.count"), &|l| Cell::Count(l.open_waits)),
            (Head::figure("oldest", 12).named("open.max"), &|l| match l.open_waits {
                0 => Cell::Absent,
                _ => Cell::Time(l.open_max_ns),
            }),
            (Head::extra("read wait").named("read.sum"), &|l| sum(l.read)),
            (Head::extra("read waits").named("read.count"), &|l| many(l.read)),
            (Head::extra("write wait").named("write.sum"), &|l| sum(l.write)),
            (Head::extra("write waits").named("write.count"), &|l| many(l.write)),
            (Head::extra("hold").named("hold.sum"), &|l| hold(l, |h| h.sum_ns)),
            (Head::extra("holds").named("hold.count"), &|l| {
                l.hold.map_or(Cell::Absent, |h| Cell::Count(h.count))
            }),
            (Head::extra("hold p50").named("hold.p50"), &|l| hold(l, |h| h.p50_ns)),
            (Head::extra("hold p99").named("hold.p99"), &|l| hold(l, |h| h.p99_ns)),
            (Head::extra("hold max").named("hold.max"), &|l| hold(l, |h| h.max_ns)),
            (Head::extra("of keys").named("attributed"), &|l| Cell::Time(l.attributed_ns)),
            (Head::extra("charged").named("blamed"), &|l| Cell::Time(l.blamed_ns)),
            (Head::text("Waits most in", 9, 14).named("waiter"), &|l| {
                l.waiters.first().map_or(Cell::Absent, |w| place(&w.stack))
            }),
            (extra_text("Held most in", 14).named("holder"), &|l| {
                l.holders.first().map_or(Cell::Absent, |h| place(&h.stack))
            }),
            (Head::text("Guards", 11, 8).named("map"), &|l| guarded(summary, l)),
            (Head::text("Address", 15, 12).named("address"), &|l| {
                Cell::maybe(l.address.as_deref())
            }),
            (extra_text("Kind", 6).named("kind"), &|l| Cell::text(&l.kind)),
        ],
        by,
    )
}

/// Names of the maps a lock guards.
pub(in crate::view) fn guarded(summary: &Summary, lock: &Lock) -> Cell {
    if lock.maps.is_empty() {
        return Cell::Absent;
    }
    let names: Vec<String> = lock.maps.iter().map(|id| map_text(summary, id)).collect();
    Cell::text(&names.join(", "))
}
