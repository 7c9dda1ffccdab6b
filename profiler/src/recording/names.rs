//! Which definitions the slices of a recording need.
//!
//! In: slices and definitions. Out: the definitions in two parts, needed or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ActorId, Definitions, LockId, MapId, NO_ACTOR, Slice, StackId};

/// Adds definitions; later ones of an id replace earlier ones.
pub(super) fn extend(known: &mut Definitions, new: Definitions) {
    known.maps.extend(new.maps);
    known.locks.extend(new.locks);
    known.stacks.extend(new.stacks);
    known.actors.extend(new.actors);
    known.frames.extend(new.frames);
    known.types.extend(new.types);
}

/// Whether there are none.
pub(super) fn is_empty(names: &Definitions) -> bool {
    *names == Definitions::default()
}

/// Ids that slices mention, directly or by others.
#[derive(Debug, Default)]
pub(super) struct Used {
    maps: BTreeSet<MapId>,
    locks: BTreeSet<LockId>,
    stacks: BTreeSet<StackId>,
    actors: BTreeSet<ActorId>,
    addresses: BTreeSet<u64>,
}

impl Used {
    /// Takes in what a slice mentions itself.
    pub(super) fn note(&mut self, slice: &Slice) {
        for map in &slice.maps {
            self.maps.insert(map.map);
            self.addresses.extend(map.callers.iter().map(|(address, _)| address));
        }
        for lock in &slice.locks {
            self.locks.insert(lock.lock);
            self.stacks.extend(lock.open_longest.iter().map(|wait| wait.stack));
        }
        let tables = &slice.tables;
        for (key, _) in tables.key_waits.iter() {
            self.maps.insert(key.map);
        }
        for ((map, stack), _) in tables.op_stacks.iter() {
            self.maps.insert(*map);
            self.stacks.insert(*stack);
        }
        for ((key, address), _) in tables.key_sites.iter() {
            self.maps.insert(key.map);
            self.addresses.insert(*address);
        }
        for ((lock, stack, _), _) in tables.waiters.iter() {
            self.locks.insert(*lock);
            self.stacks.insert(*stack);
        }
        for ((lock, actor, _), _) in tables.holders.iter() {
            self.locks.insert(*lock);
            self.actors.insert(*actor);
        }
        for ((lock, holder, waiter), _) in tables.pairs.iter() {
            self.locks.insert(*lock);
            self.actors.extend([holder, waiter]);
        }
        self.actors.remove(&NO_ACTOR);
    }

    /// Takes in what those mention in turn, as far as these definitions know them.
    pub(super) fn follow(&mut self, names: &Definitions) {
        for actor in self.actors.iter().filter_map(|actor| names.actors.get(actor)) {
            self.stacks.insert(actor.stack);
            self.maps.extend(actor.key.as_ref().map(|key| key.map));
        }
        for stack in self.stacks.iter().filter_map(|stack| names.stacks.get(stack)) {
            self.addresses.extend(stack);
        }
    }

    /// Takes what is used out of the definitions. Types stay together: interfaces in keys
    /// mention them.
    pub(super) fn take_from(&self, names: &mut Definitions) -> Definitions {
        Definitions {
            maps: take(&mut names.maps, &self.maps),
            locks: take(&mut names.locks, &self.locks),
            stacks: take(&mut names.stacks, &self.stacks),
            actors: take(&mut names.actors, &self.actors),
            frames: take(&mut names.frames, &self.addresses),
            types: std::mem::take(&mut names.types),
        }
    }
}

fn take<K: Ord, V>(names: &mut BTreeMap<K, V>, used: &BTreeSet<K>) -> BTreeMap<K, V> {
    let all = std::mem::take(names).into_iter();
    let (taken, left) = all.partition(|(id, _)| used.contains(id));
    *names = left;
    taken
}
