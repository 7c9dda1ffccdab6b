//! What cannot be: more tasks that wait than there are.
//!
//! In: the sum of all slices. Out: the same, but waits of a lock that were scaled from
//! windows to more than all tasks of the process can have waited are taken back to that, with
//! all that is a part of them. A convoy's waits begin together and rarely, so that a window
//! with one of them stands for far too many and one without for none: such figures are
//! bounds, rest on insufficient samples, and say both.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::hist::{WaitHist, WaitSpread};
use super::session::Sum;
use super::spread::Scale;
use super::tables::{Blamed, Tables, Waits};
use super::{LockId, LockSlice};

/// Locks and rows within what is possible.
#[derive(Debug)]
pub(super) struct Bounded<'a> {
    pub(super) locks: Cow<'a, BTreeMap<LockId, LockSlice>>,
    pub(super) tables: Cow<'a, Tables>,
    /// What was estimated of all waits of a lock that is bounded, ns.
    pub(super) estimates: BTreeMap<LockId, u64>,
}

impl<'a> Bounded<'a> {
    pub(super) fn of(sum: &'a Sum) -> Self {
        let mut bounded = Self {
            locks: Cow::Borrowed(&sum.locks),
            tables: Cow::Borrowed(&sum.tables),
            estimates: BTreeMap::new(),
        };
        let Some(tasks) = sum.tasks else { return bounded };
        let most = tasks.saturating_mul(sum.duration_ns);
        let beyond = sum.locks.iter().filter(|(_, lock)| {
            // What was seen itself is no estimate.
            lock.wait.spread().is_some() && lock.wait.sum_ns() > most
        });
        let beyond: Vec<LockId> = beyond.map(|(&id, _)| id).collect();
        for id in beyond {
            if let Some(lock) = bounded.locks.to_mut().get_mut(&id) {
                let estimate = lock.wait.sum_ns();
                let scale = Scale::by(most as f64 / estimate.max(1) as f64);
                lower_lock(lock, &scale);
                lower_rows(bounded.tables.to_mut(), id, &scale);
                bounded.estimates.insert(id, estimate);
            }
        }
        bounded.lower_keys(sum);
        bounded
    }

    /// Waits of keys are those of all locks together.
    fn lower_keys(&mut self, sum: &Sum) {
        if self.estimates.is_empty() {
            return;
        }
        let all = |locks: &BTreeMap<LockId, LockSlice>| {
            locks.values().fold(0, |sum: u64, lock| sum.saturating_add(lock.wait.sum_ns()))
        };
        let scale = Scale::by(all(&self.locks) as f64 / all(&sum.locks).max(1) as f64);
        for (_, row) in self.tables.to_mut().key_waits.rows_mut() {
            *row = lowered(row, &scale);
        }
    }
}

fn lowered(waits: &WaitHist, scale: &Scale) -> WaitHist {
    let spread = waits.spread().copied().unwrap_or_default();
    let unsure = |spread: super::Spread| super::Spread {
        seen: 0,
        variance: spread.variance.max(1.0),
        degrees: spread.degrees,
    };
    let spread = WaitSpread { count: unsure(spread.count), sum: unsure(spread.sum) };
    waits.scaled(scale, spread)
}

fn lower_lock(lock: &mut LockSlice, scale: &Scale) {
    lock.wait = lowered(&lock.wait, scale);
    for waits in [&mut lock.read, &mut lock.write] {
        lower(waits, scale);
    }
    lock.attributed_ns = scale.down(lock.attributed_ns);
    lock.blamed_ns = scale.down(lock.blamed_ns);
}

fn lower(waits: &mut Waits, scale: &Scale) {
    (waits.count, waits.wait_ns) = (scale.down(waits.count), scale.down(waits.wait_ns));
}

fn lower_rows(tables: &mut Tables, id: LockId, scale: &Scale) {
    let waiters = tables.waiters.rows_mut().filter(|((lock, ..), _)| *lock == id);
    waiters.for_each(|(_, row)| lower(row, scale));
    let pairs = tables.pairs.rows_mut().filter(|((lock, ..), _)| *lock == id);
    pairs.for_each(|(_, row)| lower(row, scale));
    for (_, row) in tables.holders.rows_mut().filter(|((lock, ..), _)| *lock == id) {
        *row = Blamed { blame: lowered(&row.blame, scale), tasks: row.tasks.clone() };
    }
}
