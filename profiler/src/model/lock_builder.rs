//! The waits of the interval that goes on.
//!
//! In: waits with the moments at which they began, their parts, and windows. Out: the
//! locks and their rows of an interval, scaled where waits were watched in windows.
//!
//! A wait is told with the interval in which it ended, and stands for as many as the
//! window in which it *began* does: how likely it was to be seen was decided there. So are
//! its parts, which are told up to some seconds later. Waits whose windows belong to an
//! interval that is over are kept apart from those of the one that goes on, and are scaled
//! as that one was: otherwise a wait that began while everything was watched and ended a
//! moment later would stand for hundreds, and its parts for more than it.

use std::collections::{BTreeMap, VecDeque};

use super::builder::Limits;
use super::scaling::{Restless, WaitTally, scale_lock, scale_rows, scale_whole};
use super::spread::{Place, Scale, Told, Windows};
use super::tables::{Dropped, Row, Tables};
use super::{LockId, LockSlice, NO_ACTOR, OpenSlice, Watched};
use crate::decode::{BlameEvent, WaitEvent};

/// Openings that are remembered; a wait that began before counts for the oldest.
const MOST_OPENED: usize = 512;
/// Intervals whose scales are remembered, likewise.
const MOST_CLOSED: usize = 64;

/// Waits that are scaled alike.
#[derive(Debug, Default)]
struct Pool {
    locks: Vec<LockSlice>,
    tables: Tables,
    /// By lock: numbers of windows, and what began in them: how many, how long in all.
    began: Vec<BTreeMap<u64, (u64, u64)>>,
}

/// An interval that is over.
#[derive(Clone, Copy, Debug)]
struct Closed {
    /// The first window that is no longer in it.
    end: u64,
    scale: Option<Scale>,
}

#[derive(Debug, Default)]
pub(super) struct LockBuilder {
    current: Pool,
    /// Waits that began in intervals that are over, by the `end` of these.
    late: BTreeMap<u64, Pool>,
    closed: VecDeque<Closed>,
    /// When windows were opened (CLOCK_MONOTONIC, ns), and their numbers.
    opened: VecDeque<(u64, u64)>,
    /// The window that is open, or will be.
    number: u64,
    /// The windows of this interval.
    places: Vec<(u64, Place)>,
    windows: Windows,
    /// By lock, where there are any.
    tallies: Vec<WaitTally>,
    /// How restlessly the waits of each lock came in the newest interval that told.
    restless: Vec<Restless>,
}

impl LockBuilder {
    /// Counts a wait that ended; whether there was room for its lock.
    pub(super) fn wait(&mut self, wait: &WaitEvent, limits: &Limits, lost: &mut u64) -> bool {
        let number = self.window_of(wait.start_ns);
        let pool = self.pool(number);
        let Some(lock) = entry(&mut pool.locks, wait.lock, limits.locks) else { return false };
        lock.wait(wait.mode, wait.ns);
        if let Some(began) = entry(&mut pool.began, wait.lock, limits.locks) {
            let (count, sum_ns) = began.entry(number).or_default();
            *count += 1;
            *sum_ns = sum_ns.saturating_add(wait.ns);
        }
        let row = (wait.lock, wait.stack, wait.mode);
        let waits = pool.tables.waiters.row(row, limits.waiters, lost);
        waits.record(wait.ns);
        waits.tasks.note(wait.task);
        true
    }

    /// Charges a part of a wait, told before, to who had the lock.
    pub(super) fn blame(&mut self, part: &BlameEvent, limits: &Limits, dropped: &mut Dropped) {
        let number = self.window_of(part.start_ns);
        let pool = self.pool(number);
        let Some(lock) = entry(&mut pool.locks, part.lock, limits.locks) else { return };
        if part.holder != NO_ACTOR {
            lock.blamed_ns = lock.blamed_ns.saturating_add(part.ns);
            let row = (part.lock, part.holder, part.holder_mode);
            let holder = pool.tables.holders.row(row, limits.holders, &mut dropped.holders);
            holder.blame.record(part.ns);
            holder.tasks.note(part.holder_task);
        }
        let pair = (part.lock, part.holder, part.waiter);
        pool.tables.pairs.row(pair, limits.pairs, &mut dropped.pairs).record(part.ns);
    }

    /// The lock, in this interval, for what is not scaled with waits or by itself.
    pub(super) fn lock(&mut self, lock: LockId, limits: &Limits) -> Option<&mut LockSlice> {
        entry(&mut self.current.locks, lock, limits.locks)
    }

    /// A window is opened, or goes on in the next interval.
    pub(super) fn opens(&mut self, at_ns: u64) {
        if self.opened.back().is_some_and(|(_, number)| *number == self.number) {
            self.number += 1;
        }
        if self.opened.len() == MOST_OPENED {
            self.opened.pop_front();
        }
        self.opened.push_back((at_ns, self.number));
    }

    /// Ends a window.
    pub(super) fn window(&mut self, window: Watched) {
        let place = self.windows.end(window.observed_ns);
        self.places.push((self.number, place));
        self.number += 1;
    }

    /// How the interval is told.
    pub(super) fn told(&mut self, duration_ns: u64, observed_ns: u64) -> Told {
        self.windows.close(duration_ns, observed_ns)
    }

    /// Ends the interval: its locks with their open waits, and their rows. Where it is told
    /// later only what began before it is.
    pub(super) fn close(
        &mut self,
        told: Told,
        limits: &Limits,
        dropped: &mut Dropped,
    ) -> (Vec<LockSlice>, Tables) {
        let (mut locks, mut tables) = if told == Told::Later {
            (self.take_open(), Tables::default())
        } else {
            self.close_current(told)
        };
        for (end, pool) in std::mem::take(&mut self.late) {
            self.add_late(end, pool, &mut locks, &mut tables, limits, dropped);
        }
        (locks, tables)
    }

    fn close_current(&mut self, told: Told) -> (Vec<LockSlice>, Tables) {
        let Pool { mut locks, mut tables, began } = std::mem::take(&mut self.current);
        let places = std::mem::take(&mut self.places);
        locks.iter_mut().zip(0..).for_each(|(slice, lock)| slice.lock = lock);
        if let Some(scale) = told.scale() {
            let count = locks.len().max(self.tallies.len());
            self.tallies.resize(count, WaitTally::default());
            let none = BTreeMap::new();
            for (lock, tally) in self.tallies.iter_mut().enumerate() {
                let began = began.get(lock).unwrap_or(&none);
                let (mut count, mut sum_ns) = (0_u64, 0_u64);
                for (number, place) in &places {
                    let (more, ns) = began.get(number).copied().unwrap_or_default();
                    count = count.saturating_add(more);
                    sum_ns = sum_ns.saturating_add(ns);
                    tally.window(count, sum_ns, *place);
                }
            }
            let tallies = self.tallies.iter();
            self.restless = locks
                .iter_mut()
                .zip(tallies)
                .map(|(lock, tally)| scale_lock(lock, tally, scale))
                .collect();
            let none = Restless::none(scale);
            let restless = |lock| self.restless.get(lock as usize).copied().unwrap_or(none);
            scale_rows(&mut tables, scale, restless);
            self.tallies.iter_mut().for_each(WaitTally::follow);
        } else {
            self.tallies = Vec::new();
        }
        if self.closed.len() == MOST_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(Closed { end: self.number, scale: told.scale().copied() });
        (locks, tables)
    }

    /// Scales waits as the interval was in which they began, and adds them.
    fn add_late(
        &self,
        end: u64,
        pool: Pool,
        locks: &mut Vec<LockSlice>,
        tables: &mut Tables,
        limits: &Limits,
        dropped: &mut Dropped,
    ) {
        let Pool { locks: mut late, tables: mut rows, .. } = pool;
        if let Some(scale) = self.closed.iter().find(|it| it.end == end).and_then(|it| it.scale) {
            let none = Restless::none(&scale);
            let restless = |lock| self.restless.get(lock as usize).copied().unwrap_or(none);
            for (lock, id) in late.iter_mut().zip(0..) {
                scale_whole(lock, restless(id), &scale);
            }
            scale_rows(&mut rows, &scale, restless);
        }
        for (slice, id) in late.iter().zip(0..) {
            if slice.is_empty() {
                continue;
            }
            if let Some(lock) = entry(locks, id, limits.locks) {
                lock.lock = id;
                lock.add_waits(slice);
            }
        }
        tables.merge(&rows, limits, dropped);
    }

    /// The waits that go on, of locks that are told later.
    fn take_open(&mut self) -> Vec<LockSlice> {
        let open = self.current.locks.iter_mut().zip(0..).map(|(kept, lock)| {
            let open = LockSlice {
                lock,
                open: kept.open,
                open_max_ns: kept.open_max_ns,
                open_longest: kept.open_longest.clone(),
                ..LockSlice::default()
            };
            kept.forget_open();
            open
        });
        open.collect()
    }

    /// The window in which a wait began; where that was not told, the one that is open.
    fn window_of(&self, start_ns: u64) -> u64 {
        let after = self.opened.partition_point(|(at_ns, _)| *at_ns <= start_ns);
        let opened = self.opened.get(after.saturating_sub(1)).filter(|_| start_ns > 0);
        opened.map_or(self.number, |(_, number)| *number)
    }

    fn pool(&mut self, number: u64) -> &mut Pool {
        match self.closed.iter().find(|closed| number < closed.end) {
            Some(closed) => self.late.entry(closed.end).or_default(),
            None => &mut self.current,
        }
    }
}

impl LockSlice {
    /// Adds another's waits and their parts; those that are open stay.
    fn add_waits(&mut self, late: &Self) {
        self.wait.add(&late.wait);
        self.read.add(&late.read);
        self.write.add(&late.write);
        self.blamed_ns = self.blamed_ns.saturating_add(late.blamed_ns);
    }
}

/// A wait that goes on, as slices have it.
pub(super) fn open_slice(wait: &WaitEvent) -> OpenSlice {
    let &WaitEvent { stack, mode, task, ns: waited_ns, .. } = wait;
    OpenSlice { stack, mode, task, waited_ns }
}

/// The table of `id`, made where it is missing; `None` beyond `limit`.
#[inline]
pub(super) fn entry<T: Default>(tables: &mut Vec<T>, id: u32, limit: usize) -> Option<&mut T> {
    let index = id as usize;
    if index >= tables.len() {
        if index >= limit {
            return None;
        }
        tables.resize_with(index + 1, T::default);
    }
    tables.get_mut(index)
}
