//! The interval that is going on.
//!
//! In: operations and waits, one at a time, up to millions a second. Out: a
//! [`Slice`] for each interval. Everything is bounded by [`Limits`]; what they
//! drop is counted in [`Slice::lost`].

use std::collections::BTreeMap;

use probe_ebpf::{CALLER_NOT_SAMPLED, Op};

use super::callers::Callers;
use super::scaling::{Restless, WaitTally, scale_lock, scale_rows};
use super::space_saving::{Budget, SpaceSaving};
use super::spread::{Place, Rounding, Scale, Tally, Told, Windows};
use super::tables::{Dropped, KeySite, Tables};
use super::{
    LockId, LockSlice, MapId, MapKey, MapSlice, NO_ACTOR, OpenSlice, Ops, Slice, StackId,
    UnreadableKeys, Watched,
};
use crate::decode::{BlameEvent, Key, Unreadable, WaitEvent};

/// Bounds of what is kept, in an interval and in a session alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys of one map.
    pub keys_per_map: usize,
    /// Keys of all maps together, but for a few that each may have in any case.
    /// Counted in keys of up to 24 bytes; one of 128 bytes weighs as four.
    pub total_keys: usize,
    /// Maps.
    pub maps: usize,
    /// Call sites of one map.
    pub callers_per_map: usize,
    /// Locks.
    pub locks: usize,
    /// Keys of all maps that have waits of their own.
    pub key_waits: usize,
    /// Stacks of all maps together.
    pub op_stacks: usize,
    /// Call sites of keys, of all maps together.
    pub key_sites: usize,
    /// Stacks that waited, of all locks together.
    pub waiters: usize,
    /// Holders that made others wait, by stack and key, of all locks together.
    pub holders: usize,
    /// Pairs of a holder and a waiter, of all locks together.
    pub pairs: usize,
    /// Rows of all steps of a session's past together; a row is about 80 bytes.
    pub past_rows: usize,
}

impl Default for Limits {
    /// What keeps an interval and a session together within 20 MB, and another 8 MB
    /// where there are waits of very many stacks and keys.
    fn default() -> Self {
        Self {
            keys_per_map: 65_536,
            total_keys: 65_536,
            maps: 4096,
            callers_per_map: 256,
            locks: 1024,
            key_waits: 1024,
            op_stacks: 1024,
            key_sites: 1024,
            waiters: 2048,
            holders: 512,
            pairs: 2048,
            past_rows: 40_000,
        }
    }
}

impl Limits {
    pub(super) fn budget(&self) -> Budget {
        Budget { per_table: self.keys_per_map, left: self.total_keys }
    }
}

/// Names in [`Slice::lost`] of what the limits drop.
pub mod lost {
    /// Operations of maps beyond [`super::Limits::maps`].
    pub const MAPS: &str = "maps_beyond_limit";
    /// Waits for locks beyond [`super::Limits::locks`].
    pub const LOCKS: &str = "locks_beyond_limit";
    /// Waits of keys beyond [`super::Limits::key_waits`].
    pub const KEY_WAITS: &str = "key_waits_beyond_limit";
    /// Sampled operations beyond [`super::Limits::op_stacks`].
    pub const OP_STACKS: &str = "op_stacks_beyond_limit";
    /// Waits whose stack is beyond [`super::Limits::waiters`].
    pub const WAITERS: &str = "stacks_beyond_limit";
    /// Blame of holders beyond [`super::Limits::holders`].
    pub const HOLDERS: &str = "holders_beyond_limit";
    /// Waits of pairs beyond [`super::Limits::pairs`].
    pub const PAIRS: &str = "pairs_beyond_limit";

    /// Whether only a detail is missing: the figures of maps and locks have it.
    pub fn is_detail(reason: &str) -> bool {
        [KEY_WAITS, OP_STACKS, WAITERS, HOLDERS, PAIRS].contains(&reason)
    }
}

/// What a slice says beside its maps and locks; see the fields of [`Slice`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of Slice")]
pub struct SliceMeta {
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    pub observed_ns: u64,
    pub locks_observed_ns: u64,
    pub events: u64,
    pub hits: u64,
    pub probe_ns: u64,
    pub target_cpu_ns: Option<u64>,
    pub lost: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct MapTable {
    unreadable: UnreadableKeys,
    keys: SpaceSaving,
    /// Holds every operation, and thus the map's counts.
    callers: Callers,
    tally: Tally,
}

/// Builds one slice after another.
#[derive(Debug)]
pub struct Builder {
    limits: Limits,
    budget: Budget,
    maps: Vec<MapTable>,
    locks: Vec<LockSlice>,
    tables: Tables,
    lost_maps: u64,
    lost_locks: u64,
    dropped: Dropped,
    /// In which operations of maps are told, and what they cost.
    windows: Windows,
    window_probe_ns: u64,
    window_cpu_ns: u64,
    /// All waits of keys.
    key_waits: WaitTally,
    /// In which beginnings of waits are told.
    lock_windows: Windows,
    /// By lock, where there are any.
    lock_tallies: Vec<WaitTally>,
}

impl Builder {
    /// With nothing in it.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            budget: limits.budget(),
            maps: Vec::new(),
            locks: Vec::new(),
            tables: Tables::default(),
            lost_maps: 0,
            lost_locks: 0,
            dropped: Dropped::default(),
            windows: Windows::default(),
            window_probe_ns: 0,
            window_cpu_ns: 0,
            key_waits: WaitTally::default(),
            lock_windows: Windows::default(),
            lock_tallies: Vec::new(),
        }
    }

    /// Counts operations that are alike. `key` is the bytes that were carried and the key's
    /// true length; `None` where the operation has none or where it could not be
    /// read, which `unreadable` tells. `caller` is the return address.
    #[inline]
    pub fn operation(
        &mut self,
        map: MapId,
        op: Op,
        key: Option<(&[u8], u64)>,
        unreadable: Option<Unreadable>,
        caller: u64,
        count: u64,
    ) {
        let Some(table) = entry(&mut self.maps, map, self.limits.maps) else {
            self.lost_maps = self.lost_maps.saturating_add(count);
            return;
        };
        table.callers.count(caller, op, count, self.limits.callers_per_map);
        if let Some(why) = unreadable {
            table.unreadable.bump(why, count);
        }
        if let Some((bytes, len)) = key
            && op.is_asked_for()
        {
            table.keys.observe(bytes, len, op, count, &mut self.budget);
            if caller != CALLER_NOT_SAMPLED {
                self.key_site(map, (bytes, len), (op, count), caller);
            }
        }
    }

    /// Counts an operation on a key that told its call site.
    fn key_site(
        &mut self,
        map: MapId,
        (bytes, len): (&[u8], u64),
        (op, count): (Op, u64),
        caller: u64,
    ) {
        let sites = &mut self.tables.key_sites;
        let known: &dyn KeySite = &(map, bytes, len, caller);
        if let Some(row) = sites.known(known) {
            return row.bump_by(op, count);
        }
        let key = MapKey { map, key: Key { bytes: bytes.into(), len } };
        sites
            .row((key, caller), self.limits.key_sites, &mut self.dropped.key_sites)
            .bump_by(op, count);
    }

    /// Takes in the operations that `other` has counted since the last time, all in this
    /// interval, and since the last window if there are any. Nothing else may have been told
    /// to it. It is left empty.
    pub fn absorb(&mut self, other: &mut Self) {
        for (id, theirs) in other.maps.iter_mut().enumerate() {
            let callers = theirs.callers.take();
            if callers.is_empty() {
                continue;
            }
            let (keys, floor) = theirs.keys.take();
            let Some(table) = entry(&mut self.maps, id as MapId, self.limits.maps) else {
                let all = callers.iter().map(|(_, ops)| ops.all());
                self.lost_maps = all.fold(self.lost_maps, u64::saturating_add);
                continue;
            };
            for (caller, ops) in &callers {
                table.callers.add(*caller, ops, self.limits.callers_per_map);
            }
            table.unreadable.add(&std::mem::take(&mut theirs.unreadable));
            table.keys.merge(&keys, floor, &mut self.budget);
        }
        other.budget = other.limits.budget();
        self.lost_maps = self.lost_maps.saturating_add(std::mem::take(&mut other.lost_maps));
        let (sites, lost) = (&mut self.tables.key_sites, &mut self.dropped.key_sites);
        sites.merge(&std::mem::take(&mut other.tables.key_sites), self.limits.key_sites, lost);
        *lost = lost.saturating_add(std::mem::take(&mut other.dropped.key_sites));
    }

    /// Counts one of the operations that told their stack.
    pub fn op_stack(&mut self, map: MapId, op: Op, stack: StackId) {
        let lost = &mut self.dropped.op_stacks;
        self.tables.op_stacks.row((map, stack), self.limits.op_stacks, lost).bump(op);
    }

    /// Counts a wait that ended.
    pub fn wait(&mut self, wait: &WaitEvent) {
        let Some(lock) = self.lock(wait.lock) else {
            self.lost_locks += 1;
            return;
        };
        lock.wait(wait.mode, wait.ns);
        let row = (wait.lock, wait.stack, wait.mode);
        let waits = self.tables.waiters.row(row, self.limits.waiters, &mut self.dropped.waiters);
        waits.record(wait.ns);
        waits.tasks.note(wait.task);
    }

    /// Counts a wait, told before, as one of this key.
    pub fn key_wait(&mut self, lock: LockId, key: &MapKey, ns: u64) {
        let Some(lock) = self.lock(lock) else { return };
        lock.attributed_ns = lock.attributed_ns.saturating_add(ns);
        let lost = &mut self.dropped.key_waits;
        self.tables.key_waits.row(key.clone(), self.limits.key_waits, lost).record(ns);
    }

    /// Charges a part of a wait, told before, to who had the lock.
    pub fn blame(&mut self, part: &BlameEvent) {
        let Some(lock) = self.lock(part.lock) else { return };
        let pair = (part.lock, part.holder, part.waiter);
        if part.holder != NO_ACTOR {
            lock.blamed_ns = lock.blamed_ns.saturating_add(part.ns);
            let row = (part.lock, part.holder, part.holder_mode);
            let lost = &mut self.dropped.holders;
            let holder = self.tables.holders.row(row, self.limits.holders, lost);
            holder.blame.record(part.ns);
            holder.tasks.note(part.holder_task);
        }
        self.tables.pairs.row(pair, self.limits.pairs, &mut self.dropped.pairs).record(part.ns);
    }

    /// Counts how long a contended lock was held.
    pub fn hold(&mut self, lock: LockId, ns: u64) {
        if let Some(lock) = self.lock(lock) {
            lock.hold.record(ns);
        }
    }

    /// Counts a wait that goes on. To be told once for each at the interval's end.
    pub fn open_wait(&mut self, wait: &WaitEvent) {
        let &WaitEvent { stack, mode, task, ns: waited_ns, .. } = wait;
        match self.lock(wait.lock) {
            Some(lock) => lock.open_wait(OpenSlice { stack, mode, task, waited_ns }),
            None => self.lost_locks += 1,
        }
    }

    fn lock(&mut self, lock: LockId) -> Option<&mut LockSlice> {
        entry(&mut self.locks, lock, self.limits.locks)
    }

    /// Ends a window: the operations since the last one fell into it. To be told where
    /// the interval was not watched all the time, and then for all that was.
    pub fn window(&mut self, window: Watched) {
        let place = self.windows.end(window.observed_ns);
        self.window_probe_ns = self.window_probe_ns.saturating_add(window.probe_ns);
        self.window_cpu_ns = self.window_cpu_ns.saturating_add(window.cpu_ns);
        self.maps.iter_mut().for_each(|table| table.window(place));
        let (count, sum_ns) = self.waits_of_keys();
        self.key_waits.window(count, sum_ns, place);
    }

    /// Ends a window of beginnings of waits. A wait counts for the window before whose end
    /// it was told, which may be a later one than that in which it began.
    pub fn lock_window(&mut self, window: Watched) {
        let place = self.lock_windows.end(window.observed_ns);
        self.lock_tallies
            .resize(self.locks.len().max(self.lock_tallies.len()), WaitTally::default());
        for (tally, lock) in self.lock_tallies.iter_mut().zip(&self.locks) {
            tally.window(lock.wait.count(), lock.wait.sum_ns(), place);
        }
    }

    /// Waits of keys: how many, and how long they were.
    fn waits_of_keys(&self) -> (u64, u64) {
        let rows = self.tables.key_waits.iter().map(|(_, row)| (row.count(), row.sum_ns()));
        rows.fold((0, 0), |(n, ns), row| (row.0.saturating_add(n), row.1.saturating_add(ns)))
    }

    /// Ends the interval: what it held, scaled where it was watched in windows, and an empty
    /// builder for the next. What an interval without any window held is told with the next
    /// that has one.
    pub fn close(&mut self, meta: SliceMeta) -> Slice {
        let windows = self.windows.count();
        let told = self.windows.close(meta.duration_ns, meta.observed_ns);
        let locks_told = self.lock_windows.close(meta.duration_ns, meta.locks_observed_ns);
        let mut tables = std::mem::take(&mut self.tables);
        tables.prune(&self.limits, &mut self.dropped);
        let maps = self.close_maps(told);
        let locks = self.close_locks(told, locks_told, &mut tables);
        if told == Told::Later {
            self.tables.key_waits = std::mem::take(&mut tables.key_waits);
            self.tables.op_stacks = std::mem::take(&mut tables.op_stacks);
            self.tables.key_sites = std::mem::take(&mut tables.key_sites);
        }
        let mut lost = meta.lost;
        add_lost(&mut lost, lost::MAPS, std::mem::take(&mut self.lost_maps));
        add_lost(&mut lost, lost::LOCKS, std::mem::take(&mut self.lost_locks));
        for (reason, count) in std::mem::take(&mut self.dropped).named() {
            add_lost(&mut lost, reason, count);
        }
        Slice {
            start_unix_ns: meta.start_unix_ns,
            duration_ns: meta.duration_ns,
            observed_ns: meta.observed_ns,
            locks_observed_ns: meta.locks_observed_ns,
            windows,
            window_probe_ns: std::mem::take(&mut self.window_probe_ns),
            window_cpu_ns: std::mem::take(&mut self.window_cpu_ns),
            events: meta.events,
            hits: meta.hits,
            probe_ns: meta.probe_ns,
            target_cpu_ns: meta.target_cpu_ns,
            lost,
            maps,
            locks: locks.into_iter().filter(|lock| !lock.is_empty()).collect(),
            tables,
        }
    }

    fn close_maps(&mut self, told: Told) -> Vec<MapSlice> {
        if told == Told::Later {
            return Vec::new();
        }
        self.budget = self.limits.budget();
        let scale = told.scale();
        let tables = self.maps.iter_mut().enumerate();
        tables.filter_map(|(id, table)| table.close(id as MapId, scale)).collect()
    }

    /// The waits of locks and of keys. The latter are told where operations of maps are.
    fn close_locks(&mut self, maps: Told, locks: Told, tables: &mut Tables) -> Vec<LockSlice> {
        if locks == Told::Later {
            self.tables.waiters = std::mem::take(&mut tables.waiters);
            self.tables.holders = std::mem::take(&mut tables.holders);
            self.tables.pairs = std::mem::take(&mut tables.pairs);
            if let Some(scale) = maps.scale() {
                self.scale_key_waits(tables, *scale, u64::MAX);
            }
            return self.take_open();
        }
        let mut all = std::mem::take(&mut self.locks);
        all.iter_mut().zip(0..).for_each(|(slice, lock)| slice.lock = lock);
        if let Some(scale) = locks.scale() {
            self.scale_locks(&mut all, tables, scale);
        } else {
            self.lock_tallies = Vec::new();
        }
        match maps {
            Told::Exact => self.key_waits = WaitTally::default(),
            Told::Scaled(scale) => {
                let sum =
                    |of: fn(&LockSlice) -> u64| all.iter().map(of).fold(0, u64::saturating_add);
                let waits = sum(|lock| lock.wait.sum_ns());
                self.scale_key_waits(tables, scale, waits);
                for lock in &mut all {
                    lock.attributed_ns = scale.of(lock.attributed_ns).min(lock.wait.sum_ns());
                }
            }
            // They stay with their locks until the next interval tells them.
            Told::Later => {
                let told = all.iter_mut().map(|lock| LockSlice {
                    lock: lock.lock,
                    attributed_ns: std::mem::take(&mut lock.attributed_ns),
                    ..LockSlice::default()
                });
                self.locks = told.collect();
            }
        }
        all
    }

    fn scale_locks(&mut self, locks: &mut [LockSlice], tables: &mut Tables, scale: &Scale) {
        self.lock_tallies.resize(locks.len().max(self.lock_tallies.len()), WaitTally::default());
        let tallies = self.lock_tallies.iter();
        let restless: Vec<Restless> = locks
            .iter_mut()
            .zip(tallies)
            .map(|(lock, tally)| scale_lock(lock, tally, scale))
            .collect();
        let none = WaitTally::default().restless(0, scale);
        scale_rows(tables, scale, |lock| restless.get(lock as usize).copied().unwrap_or(none));
        self.lock_tallies.iter_mut().for_each(WaitTally::follow);
    }

    /// Scales waits of keys, but not beyond `most_ns`, which is all waits.
    fn scale_key_waits(&mut self, tables: &mut Tables, scale: Scale, most_ns: u64) {
        let rows = tables.key_waits.iter().map(|(_, row)| (row.count(), row.sum_ns()));
        let (count, sum_ns) =
            rows.fold((0, 0_u64), |(n, ns), row| (row.0 + n, row.1.saturating_add(ns)));
        let restless = self.key_waits.restless(count, &scale);
        let most = most_ns as f64 / sum_ns.max(1) as f64;
        let scale = Scale { factor: scale.factor.min(most).max(1.0), ..scale };
        for (_, row) in tables.key_waits.rows_mut() {
            *row = restless.scaled(row, &scale);
        }
        self.key_waits.follow();
    }

    /// The waits that go on, of locks that are told later.
    fn take_open(&mut self) -> Vec<LockSlice> {
        let open = self.locks.iter_mut().zip(0..).map(|(kept, lock)| {
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
}

impl MapTable {
    fn window(&mut self, place: Place) {
        self.tally.window(self.callers.total().total(), place);
        self.keys.window(place);
    }

    fn close(&mut self, map: MapId, scale: Option<&Scale>) -> Option<MapSlice> {
        let seen = self.callers.total();
        // A map that had no operation gives back its memory, too.
        let (keys, floor) = match scale {
            Some(scale) => self.keys.take_scaled(scale),
            None => self.keys.take(),
        };
        let mut callers = self.callers.take();
        let mut unreadable = std::mem::take(&mut self.unreadable);
        let mut ops = seen;
        let spread = scale.map(|scale| {
            scale_callers(&mut callers, scale);
            ops = Ops::default();
            for (_, scaled) in &callers {
                ops.add(scaled);
            }
            let mut counts = Rounding::new(scale);
            for count in [&mut unreadable.memory, &mut unreadable.types] {
                *count = counts.next(*count);
            }
            self.tally.spread(seen.total(), scale)
        });
        self.tally.follow(if scale.is_some() { self.tally.last() } else { [0.0; 2] });
        (ops.all() > 0).then_some(MapSlice {
            map,
            ops,
            spread,
            unreadable,
            len: None,
            keys,
            floor,
            callers,
        })
    }
}

fn scale_callers(callers: &mut [(u64, Ops)], scale: &Scale) {
    let mut rounding = [Rounding::new(scale); Op::ALL.len()];
    for (_, ops) in callers {
        for (count, rounding) in ops.0.iter_mut().zip(&mut rounding) {
            *count = rounding.next(*count);
        }
    }
}

/// Counts what was dropped, if anything.
pub(super) fn add_lost(lost: &mut BTreeMap<String, u64>, reason: &str, count: u64) {
    if count > 0 {
        let sum = lost.entry(reason.to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// The table of `id`, made where it is missing; `None` beyond `limit`.
#[inline]
fn entry<T: Default>(tables: &mut Vec<T>, id: u32, limit: usize) -> Option<&mut T> {
    let index = id as usize;
    if index >= tables.len() {
        if index >= limit {
            return None;
        }
        tables.resize_with(index + 1, T::default);
    }
    tables.get_mut(index)
}
