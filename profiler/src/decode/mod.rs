//! Bytes of the rings to operations and waits.
//!
//! In: raw records, the plan's sites, and a [`Resolver`] that knows the target's
//! types and code. Out: calls of a [`Sink`], and the names of what they refer to.

mod definitions;
mod names;
mod records;
mod waits;

use std::collections::HashMap;

use probe_ebpf::{Op, OpHead, OpenWait, op_flags};

pub use definitions::{Definitions, LockId, LockInfo, MapId, MapInfo, StackId};
use names::Names;
pub use names::{Resolver, TypeText};
use records::{Record, read};
use waits::{Segment, Settled, Settler};

use crate::{catalog::Role, placement::Plan};

/// Takes what is decoded.
pub trait Sink {
    /// One operation of a map; `key` is the bytes that were carried and
    /// its true length; `caller` the return address.
    fn operation(
        &mut self,
        map: MapId,
        op: Op,
        key: Option<(&[u8], u64)>,
        unreadable: bool,
        caller: u64,
    );
    /// A wait that ended.
    fn wait(&mut self, lock: LockId, stack: StackId, duration_ns: u64);
    /// A wait that goes on.
    fn open_wait(&mut self, lock: LockId, waited_ns: u64);
}

/// Turns one run's records into operations and waits.
pub struct Decoder<R> {
    sites: Vec<SiteInfo>,
    names: Names<R>,
    settler: Settler,
    /// Direct-mapped cache in front of the maps' table: most programs use few at a time.
    recent: Box<[Recent; RECENT]>,
    /// Records that could not be read. Never expected: both sides share the ABI.
    pub malformed: u64,
    /// Waits that are none of a lock's (a WaitGroup's, the runtime's own).
    pub other_waits: u64,
}

/// Entries of the cache, a power of two.
const RECENT: usize = 256;

#[derive(Clone, Copy, Default)]
struct Recent {
    object: u64,
    aux: u64,
    site: u32,
    map: Option<MapId>,
}

/// What decoding needs to know of a site.
pub(crate) struct SiteInfo {
    op: Option<Op>,
    pub(crate) kind: String,
    pub(crate) format: crate::catalog::KeyFormat,
    pub(crate) function: String,
    pub(crate) has_object: bool,
    pub(crate) is_go: bool,
}

impl<R: Resolver> Decoder<R> {
    /// For the sites of `plan`, in the order of their cookies.
    pub fn new(plan: &Plan, resolver: R) -> Self {
        let sites = plan
            .sites
            .iter()
            .map(|site| SiteInfo {
                op: if let Role::Map(op) = site.role { Some(op) } else { None },
                kind: site.kind.clone(),
                format: site.format,
                function: site.function.clone(),
                has_object: site.descriptor.object.is_present(),
                is_go: site.runtime == "go",
            })
            .collect();
        Self {
            sites,
            names: Names::new(resolver),
            settler: Settler::default(),
            recent: Box::new([Recent::default(); RECENT]),
            malformed: 0,
            other_waits: 0,
        }
    }

    /// Decodes one record.
    #[inline]
    pub fn record(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        match read(bytes) {
            Some(Record::Op(head, key)) => self.operation(&head, key, sink),
            Some(Record::Wait(wait)) => self.segment(&wait, sink),
            Some(Record::Rewait { task, ts_ns }) => self.settler.rewait(task, ts_ns),
            None => self.malformed += 1,
        }
    }

    /// Hands over the waits that are surely over by `now_ns` (CLOCK_MONOTONIC).
    pub fn settle(&mut self, now_ns: u64, sink: &mut impl Sink) {
        self.settler.settle(now_ns, |settled| deliver(settled, sink));
    }

    /// Hands over every wait that has ended; nothing more will come.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        self.settler.finish(|settled| deliver(settled, sink));
    }

    /// A wait that has begun and not ended at `now_ns`.
    pub fn open_wait(&mut self, task: u64, open: &OpenWait, now_ns: u64, sink: &mut impl Sink) {
        let Some(site) = self.sites.get(open.site as usize) else { return };
        if site.is_go && open.parks == 0 {
            return;
        }
        let frames = frames(&open.frames, open.frame_count, open.caller);
        let Some((lock, _)) = self.names.lock(site, open.object, &frames) else { return };
        let began = self.settler.began(task).unwrap_or(open.start_ns).min(open.start_ns);
        sink.open_wait(lock, now_ns.saturating_sub(began));
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

    /// What answers questions about the target.
    pub fn resolver(&mut self) -> &mut R {
        &mut self.names.resolver
    }

    #[inline]
    fn operation(&mut self, head: &OpHead, key: &[u8], sink: &mut impl Sink) {
        let Some(op) = self.sites.get(head.site as usize).and_then(|site| site.op) else {
            self.malformed += 1;
            return;
        };
        let map = self.map(head);
        let unreadable = head.flags & op_flags::KEY_UNREADABLE != 0;
        let key = (head.key_kind != probe_ebpf::key_kind::NONE && !unreadable)
            .then_some((key, head.key_len));
        sink.operation(map, op, key, unreadable, head.caller);
    }

    #[inline]
    fn map(&mut self, head: &OpHead) -> MapId {
        let slot =
            ((head.object >> 4) ^ (head.object >> 12) ^ u64::from(head.site)) as usize % RECENT;
        let recent = self.recent[slot];
        if let Some(map) = recent.map
            && (recent.object, recent.aux, recent.site) == (head.object, head.aux, head.site)
        {
            return map;
        }
        let site = &self.sites[head.site as usize];
        let map = self.names.map(site, head);
        if !self.names.is_named(site, head) {
            return map;
        }
        self.recent[slot] =
            Recent { object: head.object, aux: head.aux, site: head.site, map: Some(map) };
        map
    }

    fn segment(&mut self, wait: &probe_ebpf::Wait, sink: &mut impl Sink) {
        let Some(site) = self.sites.get(wait.site as usize) else {
            self.malformed += 1;
            return;
        };
        let frames = frames(&wait.frames, wait.frame_count, wait.caller);
        let Some((lock, skip)) = self.names.lock(site, wait.object, &frames) else {
            self.other_waits += 1;
            return;
        };
        let stack = self.names.stack(&frames[skip.min(frames.len())..]);
        let segment = Segment {
            lock,
            stack,
            start_ns: wait.start_ns,
            end_ns: wait.end_ns,
            continued: wait.aux != 0,
        };
        if site.is_go {
            self.settler.segment(wait.task, segment, |settled| deliver(settled, sink));
        } else {
            sink.wait(lock, stack, wait.end_ns.saturating_sub(wait.start_ns));
        }
    }
}

fn deliver(settled: Settled, sink: &mut impl Sink) {
    sink.wait(settled.lock, settled.stack, settled.duration_ns);
}

/// The stack as return addresses, innermost first. The probed instruction stands
/// first, one byte on so that "the byte before" lies in it as it does for a
/// return address; the caller stands second, even on kernels that skip the caller
/// at a function's first instructions.
fn frames(raw: &[u64], count: u32, caller: u64) -> Vec<u64> {
    let mut frames: Vec<u64> = raw.iter().take(count as usize).copied().collect();
    if let Some(first) = frames.first_mut() {
        *first += 1;
    }
    if caller != 0 && frames.get(1) != Some(&caller) {
        frames.insert(frames.len().min(1), caller);
    }
    frames
}

/// A table that counts up and remembers.
struct Interned<K>(HashMap<K, u32>);

impl<K> Default for Interned<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: std::hash::Hash + Eq> Interned<K> {
    /// The key's number, and whether it is new.
    fn get(&mut self, key: K) -> (u32, bool) {
        let next = self.0.len() as u32;
        let number = *self.0.entry(key).or_insert(next);
        (number, number == next)
    }
}

#[cfg(test)]
mod tests;
