//! The interval that is going on.
//!
//! In: operations and waits, one at a time, up to millions a second. Out: a
//! [`Slice`] for each interval. Everything is bounded by [`Limits`]; what they
//! drop is counted in [`Slice::lost`].

use std::collections::BTreeMap;

use probe_ebpf::{CALLER_NOT_SAMPLED, Op};

use super::callers::Callers;
use super::calls::CallSlice;
use super::lock_builder::{LockBuilder, entry, open_slice};
use super::scaling::WaitTally;
use super::space_saving::{Budget, SpaceSaving};
use super::spread::{Place, Rounding, Scale, Tally, Told, Windows};
use super::tables::{Dropped, KeySite, Tables};
use super::{
    LockId, LockSlice, MapId, MapKey, MapSlice, Ops, Slice, StackId, UnreadableKeys, Watched,
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
    pub tasks: Option<u64>,
    pub lost: BTreeMap<String, u64>,
    pub calls: Vec<CallSlice>,
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
    locks: LockBuilder,
    /// Of maps and keys.
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
    /// How much was told of waits, and not yet of those of keys, ns.
    keyless_ns: u64,
}

impl Builder {
    /// With nothing in it.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            budget: limits.budget(),
            maps: Vec::new(),
            locks: LockBuilder::default(),
            tables: Tables::default(),
            lost_maps: 0,
            lost_locks: 0,
            dropped: Dropped::default(),
            windows: Windows::default(),
            window_probe_ns: 0,
            window_cpu_ns: 0,
            key_waits: WaitTally::default(),
            keyless_ns: 0,
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
        if !self.locks.wait(wait, &self.limits, &mut self.dropped.waiters) {
            self.lost_locks += 1;
        }
    }

    /// Counts a wait, told before, as one of this key.
    pub fn key_wait(&mut self, lock: LockId, key: &MapKey, ns: u64) {
        let Some(lock) = self.locks.lock(lock, &self.limits) else { return };
        lock.attributed_ns = lock.attributed_ns.saturating_add(ns);
        let lost = &mut self.dropped.key_waits;
        self.tables.key_waits.row(key.clone(), self.limits.key_waits, lost).record(ns);
    }

    /// Charges a part of a wait, told before, to who had the lock.
    pub fn blame(&mut self, part: &BlameEvent) {
        self.locks.blame(part, &self.limits, &mut self.dropped);
    }

    /// Counts how long a contended lock was held.
    pub fn hold(&mut self, lock: LockId, ns: u64) {
        if let Some(lock) = self.locks.lock(lock, &self.limits) {
            lock.hold.record(ns);
        }
    }

    /// Counts a wait that goes on. To be told once for each at the interval's end.
    pub fn open_wait(&mut self, wait: &WaitEvent) {
        match self.locks.lock(wait.lock, &self.limits) {
            Some(lock) => lock.open_wait(open_slice(wait)),
            None => self.lost_locks += 1,
        }
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

    /// A window of beginnings of waits is opened, or the one that is open goes on in the
    /// next interval; `at_ns` is of CLOCK_MONOTONIC. Where that is not told waits count for
    /// the window before whose end they are.
    pub fn lock_opens(&mut self, at_ns: u64) {
        self.locks.opens(at_ns);
    }

    /// Ends a window of beginnings of waits.
    pub fn lock_window(&mut self, window: Watched) {
        self.locks.window(window);
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
        let locks_told = self.locks.told(meta.duration_ns, meta.locks_observed_ns);
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
            tasks: meta.tasks,
            lost,
            calls: meta.calls,
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
        let (mut all, rows) = self.locks.close(locks, &self.limits, &mut self.dropped);
        tables.merge(&rows, &self.limits, &mut self.dropped);
        tables.prune(&self.limits, &mut self.dropped);
        let waits = all.iter().map(|lock| lock.wait.sum_ns()).fold(0, u64::saturating_add);
        self.keyless_ns = self.keyless_ns.saturating_add(waits);
        match maps {
            Told::Exact => self.key_waits = WaitTally::default(),
            Told::Scaled(scale) => {
                self.scale_key_waits(tables, scale);
                for lock in &mut all {
                    lock.attributed_ns = scale.of(lock.attributed_ns).min(lock.wait.sum_ns());
                }
            }
            // They stay with their locks until the next interval tells them.
            Told::Later => {
                for lock in &mut all {
                    let attributed_ns = std::mem::take(&mut lock.attributed_ns);
                    if let Some(kept) = self.locks.lock(lock.lock, &self.limits) {
                        kept.attributed_ns = kept.attributed_ns.saturating_add(attributed_ns);
                    }
                }
                return all;
            }
        }
        let of_keys = tables.key_waits.iter().map(|(_, row)| row.sum_ns());
        self.keyless_ns = of_keys.fold(self.keyless_ns, u64::saturating_sub);
        all
    }

    /// Scales waits of keys, but not beyond those of locks that have been told.
    fn scale_key_waits(&mut self, tables: &mut Tables, scale: Scale) {
        let rows = tables.key_waits.iter().map(|(_, row)| (row.count(), row.sum_ns()));
        let (count, sum_ns) =
            rows.fold((0, 0_u64), |(n, ns), row| (row.0 + n, row.1.saturating_add(ns)));
        let restless = self.key_waits.restless(count, &scale);
        let most = self.keyless_ns as f64 / sum_ns.max(1) as f64;
        let scale = Scale { factor: scale.factor.min(most), ..scale };
        for (_, row) in tables.key_waits.rows_mut() {
            *row = restless.scaled(row, &scale);
        }
        self.key_waits.follow();
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
            self.tally.spread(seen.total(), seen.total(), scale)
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
    if count == 0 {
        return;
    }
    // What mapprof writes has some twenty; a file may have any.
    let is_odd = reason.len() > MOST_REASON || lost.len() >= MOST_REASONS;
    let reason = if is_odd && !lost.contains_key(reason) { "other" } else { reason };
    let sum = lost.entry(reason.to_owned()).or_default();
    *sum = sum.saturating_add(count);
}

/// Reasons that are told apart.
pub(super) const MOST_REASONS: usize = 64;
/// Longest name of a reason, bytes.
const MOST_REASON: usize = 64;
