//! Who made whom wait as rows.

use super::{WAIT, extra_text, map_text, place};
use crate::{
    model::{
        names::lock_name,
        summary::{Lock, Pair, Party, Summary},
    },
    view::grid::{Arrangement, Cell, Grid, Head, RowId},
};

type Row<'a> = (&'a Lock, &'a Pair);

/// One row per lock and pair.
pub(in crate::view) fn contention(summary: &Summary, by: &Arrangement) -> Grid {
    let span = summary.window.duration_ns;
    let items: Vec<Row<'_>> = pairs(summary).collect();
    let key = |party: &Party| Cell::maybe(party.key.as_deref());
    let map = |party: &Party| match &party.map {
        Some(id) => Cell::text(&map_text(summary, id)),
        None => Cell::Absent,
    };
    Grid::new(
        &items,
        |(lock, pair)| {
            let parties = (pair.holder.clone(), pair.waiter.clone());
            RowId::Pair(lock.id.clone(), Box::new(parties))
        },
        &[
            (Head::figure(WAIT, 1).named("wait.sum"), &|(_, p): &Row<'_>| Cell::Time(p.wait_ns)),
            (Head::figure("wait/s", 8).named("wait.rate"), &|(_, p)| {
                Cell::time_rate(p.wait_ns, span)
            }),
            (Head::figure("waits", 4).named("wait.count"), &|(_, p)| Cell::Count(p.count)),
            (Head::text("Holder", 0, 14).named("holder"), &|(_, p)| place(&p.holder.stack)),
            (Head::text("holds for", 3, 8).named("holder.key"), &|(_, p)| key(&p.holder)),
            (Head::text("Waiter", 2, 14).named("waiter"), &|(_, p)| place(&p.waiter.stack)),
            (Head::text("waits for", 3, 8).named("waiter.key"), &|(_, p)| key(&p.waiter)),
            (Head::text("Id", 5, 4).named("id"), &|(lock, _)| Cell::text(&lock.id)),
            (Head::text("Lock", 6, 10).named("lock"), &|(lock, _)| Cell::text(&lock_name(lock))),
            (extra_text("Holder's map", 8).named("holder.map"), &|(_, p)| map(&p.holder)),
            (extra_text("Waiter's map", 8).named("waiter.map"), &|(_, p)| map(&p.waiter)),
        ],
        by,
    )
}

/// All of a summary.
fn pairs(summary: &Summary) -> impl Iterator<Item = Row<'_>> {
    summary.locks.iter().flat_map(|lock| lock.pairs.iter().map(move |pair| (lock, pair)))
}

/// The one that a row is about.
pub(in crate::view) fn pair_of<'a>(
    summary: &'a Summary,
    lock: &str,
    (holder, waiter): &(Party, Party),
) -> Option<Row<'a>> {
    let is =
        |(of, pair): &Row<'_>| of.id == lock && pair.holder == *holder && pair.waiter == *waiter;
    pairs(summary).find(is)
}
