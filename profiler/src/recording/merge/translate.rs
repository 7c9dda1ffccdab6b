//! From one recording's ids to those that all have in common.
//!
//! In: slices of one source, and its definitions. Out: the same slices with ids, and with
//! keys as text, that mean the same in all sources; and what the ids stand for.

use std::collections::HashMap;
use std::hash::Hash;

use probe_ebpf::CALLER_NOT_SAMPLED;

use crate::catalog::KeyFormat;
use crate::decode::Actor;
use crate::model::{
    ActorId, Definitions, Frame, Key, KeySlice, LockId, LockInfo, LockSlice, MapId, MapInfo,
    MapKey, MapSlice, NO_ACTOR, Row, Slice, StackId, Tables, Top, key_text,
};

/// Stands for call sites that did not fit.
const OTHER: u64 = 0;
/// Rows of a table: as many as the sources have.
const NO_LIMIT: usize = usize::MAX / 4;

/// What a map or a lock is known by in all sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// By what people call it.
    Same { kind: String, type_name: Option<String>, label: String },
    /// Only by its source and its id there.
    Own { source: usize, id: u32 },
}

/// Ids that all sources have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    maps: HashMap<Name, MapId>,
    locks: HashMap<Name, LockId>,
    stacks: HashMap<Vec<u64>, StackId>,
    actors: HashMap<Actor, ActorId>,
    /// Of call sites that read the same in one source, each has a number.
    addresses: HashMap<(Vec<Frame>, u32), u64>,
    /// What ids stand for that were not handed out yet.
    pub(super) new: Definitions,
}

/// The id of a thing, and whether it is new.
fn intern<T: Eq + Hash>(ids: &mut HashMap<T, u32>, thing: T) -> (u32, bool) {
    let next = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let id = *ids.entry(thing).or_insert(next);
    (id, id == next)
}

impl Common {
    fn address(&mut self, frames: &[Frame], number: u32) -> u64 {
        // Below are those that mean something else.
        let next = CALLER_NOT_SAMPLED + 1 + self.addresses.len() as u64;
        let address = *self.addresses.entry((frames.to_vec(), number)).or_insert(next);
        if address == next {
            self.new.frames.insert(address, frames.to_vec());
        }
        address
    }
}

/// One source's ids.
#[derive(Debug)]
pub(super) struct Translator {
    source: usize,
    /// Maps and locks of other sources may be the same.
    several: bool,
    names: Definitions,
    maps: HashMap<MapId, MapId>,
    locks: HashMap<LockId, LockId>,
    stacks: HashMap<StackId, StackId>,
    actors: HashMap<ActorId, ActorId>,
    addresses: HashMap<u64, u64>,
    /// How many addresses read like this so far.
    alike: HashMap<Vec<Frame>, u32>,
}

impl Translator {
    /// Of the source with this number. Its maps and locks get their ids at once, in order.
    pub(super) fn new(
        source: usize,
        several: bool,
        names: Definitions,
        common: &mut Common,
    ) -> Self {
        let mut own = Self {
            source,
            several,
            names,
            maps: HashMap::new(),
            locks: HashMap::new(),
            stacks: HashMap::new(),
            actors: HashMap::new(),
            addresses: HashMap::new(),
            alike: HashMap::new(),
        };
        let maps: Vec<MapId> = own.names.maps.keys().copied().collect();
        for id in maps {
            own.map(id, common);
        }
        let locks: Vec<LockId> = own.names.locks.keys().copied().collect();
        for id in locks {
            own.lock(id, common);
        }
        own
    }

    fn name(&self, id: u32, kind: &str, type_name: Option<&str>, label: Option<&str>) -> Name {
        match label.filter(|_| self.several) {
            Some(label) => Name::Same {
                kind: kind.to_owned(),
                type_name: type_name.map(str::to_owned),
                label: label.to_owned(),
            },
            None => Name::Own { source: self.source, id },
        }
    }

    pub(super) fn map(&mut self, id: MapId, common: &mut Common) -> MapId {
        if let Some(&known) = self.maps.get(&id) {
            return known;
        }
        let info = self.names.maps.get(&id);
        let name = match info {
            Some(MapInfo { kind, type_name, label, .. }) => {
                self.name(id, kind, type_name.as_deref(), label.as_deref())
            }
            None => Name::Own { source: self.source, id },
        };
        let (new_id, is_new) = intern(&mut common.maps, name);
        if let Some(info) = info {
            let mut info = info.clone();
            (info.key_format, info.key_type_at) = (KeyFormat::Text, None);
            match common.new.maps.get_mut(&new_id) {
                // Of several, each lies elsewhere.
                Some(known) if known.address != info.address => known.address = None,
                None if is_new => drop(common.new.maps.insert(new_id, info)),
                _ => {}
            }
        }
        self.maps.insert(id, new_id);
        new_id
    }

    pub(super) fn lock(&mut self, id: LockId, common: &mut Common) -> LockId {
        if let Some(&known) = self.locks.get(&id) {
            return known;
        }
        let info = self.names.locks.get(&id);
        let name = match info {
            Some(LockInfo { kind, label, .. }) => self.name(id, kind, None, label.as_deref()),
            None => Name::Own { source: self.source, id },
        };
        let (new_id, is_new) = intern(&mut common.locks, name);
        if let Some(info) = info {
            match common.new.locks.get_mut(&new_id) {
                Some(known) if known.address != info.address => known.address = None,
                None if is_new => drop(common.new.locks.insert(new_id, info.clone())),
                _ => {}
            }
        }
        self.locks.insert(id, new_id);
        new_id
    }

    /// Two addresses of one source stay two even if they read the same: the margins of call
    /// sites are made of each one's figures.
    fn address(&mut self, address: u64, common: &mut Common) -> u64 {
        if matches!(address, OTHER | CALLER_NOT_SAMPLED) {
            return address;
        }
        if let Some(&known) = self.addresses.get(&address) {
            return known;
        }
        let frames = match self.names.frames.get(&address) {
            Some(frames) if !frames.is_empty() => frames.clone(),
            // As it is shown where nothing is known of it.
            _ => vec![Frame {
                function: format!("{address:#x}"),
                file: None,
                line: None,
                module: None,
            }],
        };
        let number = self.alike.entry(frames.clone()).or_default();
        let new = common.address(&frames, *number);
        *number += 1;
        self.addresses.insert(address, new);
        new
    }

    fn stack(&mut self, id: StackId, common: &mut Common) -> StackId {
        if let Some(&known) = self.stacks.get(&id) {
            return known;
        }
        let addresses = self.names.stacks.get(&id).cloned().unwrap_or_default();
        let addresses: Vec<u64> =
            addresses.into_iter().map(|address| self.address(address, common)).collect();
        let (new_id, is_new) = intern(&mut common.stacks, addresses.clone());
        if is_new {
            common.new.stacks.insert(new_id, addresses);
        }
        self.stacks.insert(id, new_id);
        new_id
    }

    fn actor(&mut self, id: ActorId, common: &mut Common) -> ActorId {
        if id == NO_ACTOR {
            return id;
        }
        if let Some(&known) = self.actors.get(&id) {
            return known;
        }
        let Some(actor) = self.names.actors.get(&id).cloned() else { return NO_ACTOR };
        let stack = self.stack(actor.stack, common);
        let actor = Actor { stack, key: actor.key.map(|key| self.map_key(&key, common)) };
        let (new_id, is_new) = intern(&mut common.actors, actor.clone());
        if is_new {
            common.new.actors.insert(new_id, actor);
        }
        self.actors.insert(id, new_id);
        new_id
    }

    fn map_key(&mut self, key: &MapKey, common: &mut Common) -> MapKey {
        MapKey { map: self.map(key.map, common), key: self.key(key.map, &key.key) }
    }

    /// The key as the text that is shown.
    fn key(&self, map: MapId, key: &Key) -> Key {
        let info = self.names.maps.get(&map);
        let format = info.map_or(KeyFormat::Bytes, |info| info.key_format);
        let shape = info.and_then(|info| self.names.types.get(&info.key_type_at?));
        let is_cut = key.len > key.bytes.len() as u64;
        let mut text = key_text(key, format, shape, &self.names.types);
        if is_cut {
            // The mark is added when it is shown.
            text.pop();
        }
        let len = text.len() as u64 + u64::from(is_cut);
        Key { bytes: text.into_bytes().into(), len }
    }

    /// A slice of this source in the common ids. Maps and locks may be in it twice.
    pub(super) fn slice(&mut self, slice: Slice, common: &mut Common) -> Slice {
        let maps = slice.maps.iter().map(|map| self.map_slice(map, common)).collect();
        let locks = slice.locks.into_iter().map(|lock| self.lock_slice(lock, common)).collect();
        let tables = self.tables(&slice.tables, common);
        Slice { maps, locks, tables, ..slice }
    }

    fn map_slice(&mut self, slice: &MapSlice, common: &mut Common) -> MapSlice {
        let callers = slice.callers.iter();
        MapSlice {
            map: self.map(slice.map, common),
            keys: joined(
                slice
                    .keys
                    .iter()
                    .map(|row| KeySlice { key: self.key(slice.map, &row.key), ..row.clone() }),
            ),
            callers: callers.map(|(at, ops)| (self.address(*at, common), *ops)).collect(),
            ..*slice
        }
    }

    fn lock_slice(&mut self, mut slice: LockSlice, common: &mut Common) -> LockSlice {
        slice.lock = self.lock(slice.lock, common);
        for wait in &mut slice.open_longest {
            wait.stack = self.stack(wait.stack, common);
        }
        slice
    }

    fn tables(&mut self, from: &Tables, common: &mut Common) -> Tables {
        let mut to = Tables::default();
        for (key, row) in from.key_waits.iter() {
            add(&mut to.key_waits, self.map_key(key, common), row);
        }
        for ((map, stack), row) in from.op_stacks.iter() {
            add(&mut to.op_stacks, (self.map(*map, common), self.stack(*stack, common)), row);
        }
        for ((key, at), row) in from.key_sites.iter() {
            add(&mut to.key_sites, (self.map_key(key, common), self.address(*at, common)), row);
        }
        for ((lock, stack, mode), row) in from.waiters.iter() {
            let who = (self.lock(*lock, common), self.stack(*stack, common), *mode);
            add(&mut to.waiters, who, row);
        }
        for ((lock, actor, mode), row) in from.holders.iter() {
            let who = (self.lock(*lock, common), self.actor(*actor, common), *mode);
            add(&mut to.holders, who, row);
        }
        for ((lock, holder, waiter), row) in from.pairs.iter() {
            let (holder, waiter) = (self.actor(*holder, common), self.actor(*waiter, common));
            add(&mut to.pairs, (self.lock(*lock, common), holder, waiter), row);
        }
        to
    }
}

fn add<K: Ord, V: Row>(table: &mut Top<K, V>, key: K, row: &V) {
    table.row(key, NO_LIMIT, &mut 0).add(row);
}

/// Keys that read the same are one, in the place of the first.
fn joined(keys: impl Iterator<Item = KeySlice>) -> Vec<KeySlice> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut all: Vec<KeySlice> = Vec::new();
    for row in keys {
        if let Some(&place) = places.get(&row.key) {
            let known: &mut KeySlice = &mut all[place];
            known.add(&row);
        } else {
            places.insert(row.key.clone(), all.len());
            all.push(row);
        }
    }
    all
}
