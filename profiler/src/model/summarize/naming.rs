//! What ids stand for.
//!
//! In: [`Definitions`]. Out: texts and frames, and one id for all that read the same.

use std::collections::{BTreeMap, HashMap};

use crate::catalog::{KeyFormat, is_runtime};
use crate::model::key_text::key_text;
use crate::model::summary::Party;
use crate::model::{
    ActorId, Definitions, Frame, Key, LockId, LockInfo, MapId, MapInfo, MapKey, StackId, Tables,
    hist::WaitHist,
};

/// What an object without a definition is called.
pub(super) const UNKNOWN: &str = "unknown";

/// The names of one run.
pub(in crate::model) struct Naming<'a> {
    names: &'a Definitions,
    /// Of stacks that read the same, one.
    stacks: HashMap<StackId, StackId>,
    /// Others' waits while a lock was held for a key.
    blame: BTreeMap<&'a MapKey, WaitHist>,
}

/// Who waits or holds, with one id for all stacks that read the same; `None` where
/// nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::model) struct Who<'a> {
    pub(super) stack: Option<StackId>,
    pub(in crate::model) key: Option<&'a MapKey>,
}

/// A frame, or the address where none is known.
#[derive(PartialEq, Eq, Hash)]
enum Place<'a> {
    Frame(&'a Frame),
    Address(u64),
}

impl<'a> Naming<'a> {
    pub(super) fn new(names: &'a Definitions, tables: &'a Tables) -> Self {
        let stacks = alike(names);
        let mut naming = Self { names, stacks, blame: BTreeMap::new() };
        for ((_, holder, _), blamed) in tables.holders.iter() {
            if let Some(key) = naming.who(*holder).key {
                naming.blame.entry(key).or_default().add(&blamed.blame);
            }
        }
        naming
    }

    /// For keys alone.
    pub(in crate::model) fn of_keys(names: &'a Definitions) -> Self {
        Self { names, stacks: HashMap::new(), blame: BTreeMap::new() }
    }

    pub(super) fn map(&self, id: MapId) -> Option<&'a MapInfo> {
        self.names.maps.get(&id)
    }

    pub(super) fn lock(&self, id: LockId) -> Option<&'a LockInfo> {
        self.names.locks.get(&id)
    }

    /// Others' waits while a lock was held for a key of this map.
    pub(super) fn blame_of(&self, map: MapId) -> impl Iterator<Item = (&'a Key, &WaitHist)> {
        let rows = self.blame.range(first_key(map)..).map(|(key, hist)| (*key, hist));
        rows.take_while(move |(key, _)| key.map == map).map(|(key, hist)| (&key.key, hist))
    }

    /// The key as the program would write it.
    pub(in crate::model) fn key_text(&self, map: MapId, key: &Key) -> String {
        let info = self.map(map);
        let format = info.map_or(KeyFormat::Bytes, |info| info.key_format);
        let shape = info.and_then(|info| self.names.types.get(&info.key_type_at?));
        key_text(key, format, shape, &self.names.types)
    }

    /// One id for all stacks that read the same.
    pub(super) fn stack(&self, stack: StackId) -> StackId {
        self.stacks.get(&stack).copied().unwrap_or(stack)
    }

    pub(in crate::model) fn who(&self, actor: ActorId) -> Who<'a> {
        let actor = self.names.actors.get(&actor);
        Who {
            stack: actor.map(|actor| self.stack(actor.stack)),
            key: actor.and_then(|actor| actor.key.as_ref()),
        }
    }

    pub(super) fn party(&self, who: Who<'_>) -> Party {
        Party {
            map: who.key.map(|key| map_id(key.map)),
            key: who.key.map(|key| self.key_text(key.map, &key.key)),
            stack: who.stack.map(|stack| self.stack_frames(stack)).unwrap_or_default(),
        }
    }

    /// Innermost first; none where the stack is not known.
    pub(super) fn stack_frames(&self, stack: StackId) -> Vec<Frame> {
        let addresses = self.names.stacks.get(&stack).map(Vec::as_slice).unwrap_or_default();
        addresses.iter().flat_map(|&address| self.frames_at(address)).collect()
    }

    /// What stands at an address: itself where nothing is known of it.
    pub(super) fn frames_at(&self, address: u64) -> Vec<Frame> {
        let frame = |place| match place {
            Place::Frame(frame) => frame.clone(),
            Place::Address(address) => nameless(hex(address)),
        };
        places(self.names, address).map(frame).collect()
    }
}

/// Of stacks that read the same one, which says most: what the runtime does outside of the
/// program's own code is not read in all of them.
fn alike(names: &Definitions) -> HashMap<StackId, StackId> {
    let all: Vec<(StackId, Vec<Place<'_>>)> = names
        .stacks
        .iter()
        .map(|(&stack, addresses)| {
            (stack, addresses.iter().flat_map(|&address| places(names, address)).collect())
        })
        .collect();
    let is_own = |place: &Place<'_>| match place {
        Place::Frame(frame) => !is_runtime(&frame.function),
        Place::Address(_) => true,
    };
    let read = |places: &[Place<'_>]| {
        places.iter().rposition(is_own).map_or(places.len(), |last| last + 1)
    };
    let mut best: HashMap<&[Place<'_>], (StackId, usize)> = HashMap::new();
    // In the order of their ids, so that of equal ones the first stays.
    for (stack, places) in &all {
        let best = best.entry(&places[..read(places)]).or_insert((*stack, places.len()));
        if places.len() > best.1 {
            *best = (*stack, places.len());
        }
    }
    let of = |(stack, places): &(StackId, Vec<Place<'_>>)| {
        (*stack, best.get(&places[..read(places)]).map_or(*stack, |(stack, _)| *stack))
    };
    all.iter().map(of).collect()
}

fn places(names: &Definitions, address: u64) -> impl Iterator<Item = Place<'_>> {
    let frames = names.frames.get(&address).map(Vec::as_slice).unwrap_or_default();
    let address = frames.is_empty().then_some(Place::Address(address));
    frames.iter().map(Place::Frame).chain(address)
}

/// A frame with nothing but a name.
pub(super) fn nameless(function: String) -> Frame {
    Frame { function, file: None, line: None, module: None }
}

/// What sorts before all keys of a map and after those of the maps before it.
pub(super) fn first_key(map: MapId) -> MapKey {
    MapKey { map, key: Key { bytes: Box::default(), len: 0 } }
}

/// A map's id in the summary.
pub(in crate::model) fn map_id(id: MapId) -> String {
    format!("m{}", u64::from(id) + 1)
}

/// A lock's id in the summary.
pub(in crate::model) fn lock_id(id: LockId) -> String {
    format!("l{}", u64::from(id) + 1)
}

pub(super) fn hex(address: u64) -> String {
    format!("{address:#x}")
}
