//! Bytes of the rings to operations and waits.
//!
//! In: raw records, the plan's sites, and a [`Resolver`] that knows the target's
//! types and code. Out: calls of a [`Sink`], and the names of what they refer to.

mod attribution;
mod blame;
mod definitions;
mod holding;
mod keys;
mod known;
mod names;
mod native;
mod records;
mod settle;
mod waits;

use std::sync::Arc;

use probe_ebpf::{Op, OpHead, op_flags};

use attribution::{Attribution, Candidate, Charged, is_below};
use blame::{Blame, Holder};
use holding::{Holding, Made};

pub use definitions::{
    Actor, ActorId, Definitions, Key, LockId, LockInfo, MapId, MapInfo, MapKey, Mode, NO_ACTOR,
    StackId,
};
pub(crate) use known::{KnownOps, Meaning, Place, Places};
pub(crate) use names::MANY;
use names::Names;
pub use names::{Resolver, TOLD_APART, TypeText};
use records::{OpAt, Record, Released, read, read_op};
pub use settle::Open;
use waits::{Settled, Settler};

use crate::{
    catalog::{self, Role},
    placement::{Plan, Site},
    target::Layout,
};

/// Why an operation's key is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its memory could not be read.
    Memory,
    /// What says how to read it could not be read.
    Type,
}

/// A wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitEvent {
    /// The lock.
    pub lock: LockId,
    /// From where.
    pub stack: StackId,
    /// In which way it was wanted; `None` where the lock knows only one.
    pub mode: Option<Mode>,
    /// The goroutine's number, or the thread's id.
    pub task: u64,
    /// When it began, CLOCK_MONOTONIC ns; 0 where that is not known.
    pub start_ns: u64,
    /// How long, so far where it goes on.
    pub ns: u64,
}

/// A part of a wait, charged to who had the lock meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlameEvent {
    /// The lock.
    pub lock: LockId,
    /// Who had it; [`NO_ACTOR`] where that was not seen.
    pub holder: ActorId,
    /// In which way the holder had it.
    pub holder_mode: Option<Mode>,
    /// The holder's goroutine or thread.
    pub holder_task: u64,
    /// Who waited.
    pub waiter: ActorId,
    /// When the whole wait began, as in [`WaitEvent`].
    pub start_ns: u64,
    /// How long, ns.
    pub ns: u64,
}

/// Takes what is decoded.
pub trait Sink {
    /// `count` operations of a map; `key` is the bytes that were carried and
    /// its true length; `caller` the return address.
    fn operation(
        &mut self,
        map: MapId,
        op: Op,
        key: Option<(&[u8], u64)>,
        unreadable: Option<Unreadable>,
        caller: u64,
        count: u64,
    );
    /// The stack of one of many operations.
    fn op_stack(&mut self, map: MapId, op: Op, stack: StackId);
    /// A wait that ended.
    fn wait(&mut self, wait: &WaitEvent);
    /// A wait, told before, belongs to this key. The rest of a lock's waits belong to none.
    fn key_wait(&mut self, lock: LockId, key: &MapKey, ns: u64);
    /// A part of a wait that was told before. The parts of one wait sum up to it.
    fn blame(&mut self, part: &BlameEvent);
    /// How long a contended lock was held.
    fn hold(&mut self, lock: LockId, ns: u64);
    /// A wait that goes on.
    fn open_wait(&mut self, wait: &WaitEvent);
}

/// Turns one run's records into operations and waits.
pub struct Decoder<R> {
    sites: Vec<SiteInfo>,
    names: Names<R>,
    settler: Settler,
    blame: Blame,
    attribution: Attribution,
    holding: Holding,
    seen: Seen,
    /// Waits that are over, on their way; kept for its memory.
    over: Vec<Settled>,
    /// Direct-mapped cache in front of the maps' table: most programs use few at a time.
    recent: Box<[Recent; RECENT]>,
    /// Records that could not be read. Never expected: both sides share the ABI.
    pub malformed: u64,
    /// Waits that are none of a lock's (a WaitGroup's, the runtime's own).
    pub other_waits: u64,
}

/// What has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Operations, waits, and locks that others waited for let go.
    pub events: u64,
    /// Records that told of them: fewer, where operations on a key were combined.
    pub records: u64,
    /// Probe hits behind them.
    pub hits: u64,
}

impl Seen {
    /// What came to another.
    fn join(&mut self, other: Self) {
        self.events = self.events.saturating_add(other.events);
        self.records = self.records.saturating_add(other.records);
        self.hits = self.hits.saturating_add(other.hits);
    }

    #[inline]
    fn add(&mut self, events: u64, hits: u64) {
        self.records += 1;
        self.events = self.events.saturating_add(events);
        self.hits = self.hits.saturating_add(hits);
    }
}

/// Entries of the cache, a power of two.
const RECENT: usize = 256;

#[derive(Clone, Copy, Default)]
struct Recent {
    object: u64,
    aux: u64,
    site: u32,
    map: Option<MapId>,
    /// The map has its final name; until then, what tells a caller may name it.
    is_named: bool,
}

impl Recent {
    #[inline]
    fn slot(head: &OpHead) -> usize {
        ((head.object >> 4) ^ (head.object >> 12) ^ u64::from(head.site)) as usize % RECENT
    }

    #[inline]
    fn is_of(&self, head: &OpHead) -> bool {
        (self.object, self.aux, self.site) == (head.object, head.aux, head.site)
    }
}

/// What decoding needs to know of a site.
pub(crate) struct SiteInfo {
    op: Option<Op>,
    pub(crate) kind: Arc<str>,
    pub(crate) format: crate::catalog::KeyFormat,
    pub(crate) function: String,
    pub(crate) has_object: bool,
    pub(crate) is_go: bool,
    /// Its operations have a key.
    pub(crate) has_key: bool,
    /// In which way a lock is wanted or held, where the site tells.
    pub(crate) mode: Option<Mode>,
}

impl SiteInfo {
    fn new(site: &Site) -> Self {
        Self {
            op: if let Role::Map(op) = site.role { Some(op) } else { None },
            kind: site.kind.as_str().into(),
            format: site.format,
            function: site.function.raw().to_owned(),
            has_object: site.descriptor.object.is_present(),
            is_go: site.runtime == "go",
            has_key: site.descriptor.key_kind != probe_ebpf::key_kind::NONE,
            mode: site.mode,
        }
    }
}

impl<R: Resolver> Decoder<R> {
    /// For the sites of `plan`, in the order of their cookies.
    pub fn new(plan: &Plan, resolver: R) -> Self {
        Self {
            sites: plan.sites.iter().map(SiteInfo::new).collect(),
            names: Names::new(resolver, plan.key_limit()),
            settler: Settler::default(),
            blame: Blame::default(),
            attribution: Attribution::default(),
            holding: Holding::default(),
            seen: Seen::default(),
            over: Vec::new(),
            recent: Box::new([Recent::default(); RECENT]),
            malformed: 0,
            other_waits: 0,
        }
    }

    /// Takes in the sites that were added to the plan.
    pub fn add_sites(&mut self, sites: &[Site]) {
        self.sites.extend(sites.iter().map(SiteInfo::new));
    }

    /// Goes on with another program, in which no address means what it did. Numbers
    /// are not given twice. What has not been settled or asked for is forgotten.
    pub fn go_on(&mut self, plan: &Plan, resolver: R) {
        self.sites = plan.sites.iter().map(SiteInfo::new).collect();
        self.names.go_on(resolver);
        self.settler = Settler::default();
        self.blame = Blame::default();
        self.attribution = Attribution::default();
        self.holding = Holding::default();
        *self.recent = [Recent::default(); RECENT];
    }

    /// Decodes one record.
    #[inline]
    pub fn record(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        let Some((head, key, count)) = read_op(bytes) else {
            return self.other_record(bytes, sink);
        };
        self.seen.add(count, count);
        self.operation(&head, key, count, sink);
    }

    #[inline(never)]
    fn other_record(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        match read(bytes) {
            Some(Record::Wait(wait)) => {
                // It was hit where it began, where it parked, and where it ended.
                self.seen.add(1, 3);
                self.segment(&wait);
            }
            Some(Record::OpOfWait(op)) => self.op_of_wait(&op, sink),
            Some(Record::Release(release)) => {
                self.seen.add(1, 1);
                self.release(&release);
            }
            Some(Record::OpStack(head, mut frames)) => {
                let Some(site) = self.sites.get(head.site as usize) else {
                    self.malformed += 1;
                    return;
                };
                self.names.sound(site, &mut frames);
                self.op_stack(&head, &frames, sink);
            }
            None => self.malformed += 1,
        }
    }

    /// What the record that was decoded last and those like it mean, for who counts
    /// operations elsewhere; `None` where each has to come here.
    pub(crate) fn meaning(&self, bytes: &[u8]) -> Option<(Place, Meaning)> {
        let (head, key, _) = read_op(bytes)?;
        let op = self.sites.get(head.site as usize)?.op?;
        let recent = self.recent[Recent::slot(&head)];
        let map = recent.map.filter(|_| recent.is_of(&head))?;
        let form = self.names.key_form(map, &head, key)?;
        Some((Place::of(&head, key), Meaning { map, op, is_named: recent.is_named, form }))
    }

    /// Takes in how much came to who counts operations elsewhere.
    pub(crate) fn add_seen(&mut self, seen: Seen) {
        self.seen.join(seen);
    }

    /// How much has come since the last call.
    pub fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// The names given since the last call.
    pub fn definitions(&mut self) -> Definitions {
        self.names.take()
    }

    /// Names for code addresses that a slice mentions, where not yet given.
    pub fn define_addresses(&mut self, addresses: impl Iterator<Item = u64>) {
        for address in addresses {
            self.names.define_address(address);
        }
    }

    /// Layouts of types by address that the kernel side lacked; each is told once.
    pub fn take_layouts(&mut self) -> Vec<(u64, Layout)> {
        self.names.take_layouts()
    }

    /// What answers questions about the target.
    pub fn resolver(&mut self) -> &mut R {
        &mut self.names.resolver
    }

    #[inline]
    fn operation(&mut self, head: &OpHead, key: &[u8], count: u64, sink: &mut impl Sink) {
        let Some(op) = self.op(head) else { return };
        let Some(map) = self.map(head) else {
            // None of the program's own.
            self.seen.events = self.seen.events.saturating_sub(count);
            return;
        };
        let has_key = head.key_kind != probe_ebpf::key_kind::NONE;
        let is_typed = head.flags & op_flags::TYPE_UNREADABLE == 0;
        let key = (has_key && is_typed).then(|| self.names.key(map, head, key)).flatten();
        let unreadable = match key {
            _ if !is_typed => Some(Unreadable::Type),
            None if has_key => Some(Unreadable::Memory),
            _ => None,
        };
        let key = key.as_ref().map(|(bytes, len)| (&**bytes, *len));
        sink.operation(map, op, key, unreadable, head.caller, count);
    }

    #[inline]
    fn map(&mut self, head: &OpHead) -> Option<MapId> {
        let slot = Recent::slot(head);
        let recent = self.recent[slot];
        if let Some(map) = recent.map
            && recent.is_of(head)
            && (recent.is_named || head.caller == probe_ebpf::CALLER_NOT_SAMPLED)
        {
            return Some(map);
        }
        let site = &self.sites[head.site as usize];
        let map = self.names.map(site, head)?;
        let is_named = self.names.is_named(site, head);
        let OpHead { object, aux, site, .. } = *head;
        self.recent[slot] = Recent { object, aux, site, map: Some(map), is_named };
        Some(map)
    }

    fn op_of_wait(&mut self, op: &OpAt<'_>, sink: &mut impl Sink) {
        let key = self.map_key(&op.head, op.key);
        let candidate = Candidate { key, frames: op.frames.to_vec(), site: op.head.site };
        if op.is_inside {
            self.attribution.inside(op.head.task, op.wait_ns, candidate);
        } else if let Some((charged, operation)) =
            self.attribution.after(op.head.task, op.wait_ns, candidate)
        {
            self.charge_if_below(charged, operation, sink);
        }
    }

    /// Whether the operation is among the callers of what waited.
    fn is_inside(&mut self, wait: &Settled, operation: &Candidate) -> bool {
        let Some(site) = self.sites.get(operation.site as usize) else { return false };
        let frames = &wait.whole.place.frames;
        self.names.is_called_by(frames, &site.function)
            && (!site.is_go || self.names.is_programs_own(frames))
    }

    fn charge_if_below(&mut self, charged: Charged, operation: Candidate, sink: &mut impl Sink) {
        let place = &charged.wait.whole.place;
        let names = &mut self.names;
        let is_go = self.sites.get(operation.site as usize).is_some_and(|site| site.is_go);
        let is_own = !is_go || names.is_programs_own(&operation.frames);
        let is_below = is_own
            && place.taker.is_some_and(|taker| {
                is_below(&place.frames, taker, &operation.frames, |a, b| names.same_function(a, b))
            });
        self.charge(charged, operation.key.filter(|_| is_below), sink);
    }

    /// Tells whose wait it was, and who is to blame.
    fn charge(&mut self, charged: Charged, key: Option<MapKey>, sink: &mut impl Sink) {
        let Charged { wait, parts } = charged;
        if let Some(key) = &key {
            sink.key_wait(wait.whole.lock, key, wait.ns());
        }
        let place = &wait.whole.place;
        let waiter = self.names.actor(place.stack, key);
        // Only writers let go of the Mutex that is an RWMutex's first field, be it in a TryLock
        // that finds readers, and readers' sites say what they are; whoever has a file descriptor has it as those want it who wait. By
        // the lock and not by the stack, of which there may be little.
        let mode = match &*place.kind {
            names::RWMUTEX => Some(Mode::Write),
            catalog::FD_MUTEX => place.mode,
            _ => None,
        };
        for part in &parts {
            sink.blame(&BlameEvent {
                lock: wait.whole.lock,
                holder: part.holder.actor,
                holder_mode: part.holder.mode.or(mode.filter(|_| part.holder.is_seen())),
                holder_task: part.holder.goid,
                waiter,
                start_ns: wait.whole.start_ns,
                ns: part.ns,
            });
        }
        self.blame.take_back(parts);
    }

    fn release(&mut self, release: &Released<'_>) {
        let Some(site) = self.sites.get(release.site as usize) else {
            self.malformed += 1;
            return;
        };
        let mode = site.mode;
        // Inside an operation that is its key, whatever is done in there.
        let outer = release.outer.filter(|(head, _)| {
            let site = self.sites.get(head.site as usize);
            site.is_some_and(|site| self.names.is_called_by(&release.frames, &site.function))
        });
        let held = match outer {
            Some(outer) => Some(outer).filter(|_| self.names.is_programs_own(&release.frames)),
            None => release.last.filter(|&(head, _)| {
                let Some(site) = self.sites.get(head.site as usize) else { return false };
                let operation = Made { head, at: release.last_at, site };
                self.holding.covers(&mut self.names, release.live(), &operation)
            }),
        };
        let key = held.and_then(|(head, key)| self.map_key(&head, key));
        let stack = self.names.release_stack(&release.frames, release.is_short);
        let actor = self.names.actor(stack, key);
        let holder = Holder { actor, mode, goid: release.goid };
        self.blame.release(release.object, release.task, release.ts_ns, holder);
    }

    fn op_stack(&mut self, head: &OpHead, frames: &[u64], sink: &mut impl Sink) {
        let Some(op) = self.op(head) else { return };
        let Some(map) = self.map(head) else { return };
        // The map's own functions go without saying.
        let own = if op.is_asked_for() {
            frames.iter().position(|&frame| frame == head.caller).unwrap_or(1)
        } else {
            self.names.own_frame(frames)
        };
        let stack = self.names.stack(frames.get(own..).unwrap_or_default());
        sink.op_stack(map, op, stack);
    }

    /// The key of an operation inside another record, if it could be read.
    fn map_key(&mut self, head: &OpHead, key: &[u8]) -> Option<MapKey> {
        self.op(head)?;
        let map = self.map(head)?;
        if head.flags & op_flags::TYPE_UNREADABLE != 0 {
            return None;
        }
        let (bytes, len) = self.names.key(map, head, key)?;
        Some(MapKey { map, key: Key { bytes: (*bytes).into(), len } })
    }

    fn op(&mut self, head: &OpHead) -> Option<Op> {
        let op = self.sites.get(head.site as usize).and_then(|site| site.op);
        self.malformed += u64::from(op.is_none());
        op
    }
}

/// Looked into for each record or wait; seeded at random, as the standard one is.
type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A table that counts up and remembers.
struct Interned<K> {
    numbers: HashMap<K, u32>,
    /// The lowest number given.
    first: u32,
}

impl<K> Default for Interned<K> {
    fn default() -> Self {
        Self { numbers: HashMap::default(), first: 0 }
    }
}

impl<K: std::hash::Hash + Eq> Interned<K> {
    /// The key's number, and whether it is new.
    fn get(&mut self, key: K) -> (u32, bool) {
        let next = self.next();
        let number = *self.numbers.entry(key).or_insert(next);
        (number, number == next)
    }

    /// The number of a key that has one.
    fn known<Q: std::hash::Hash + Eq + ?Sized>(&self, key: &Q) -> Option<u32>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.numbers.get(key).copied()
    }

    /// Remembers nothing, but counts on.
    fn forget(&mut self) {
        self.first = self.next();
        self.numbers.clear();
    }

    fn next(&self) -> u32 {
        self.first + self.numbers.len() as u32
    }
}

#[cfg(test)]
mod tests;
