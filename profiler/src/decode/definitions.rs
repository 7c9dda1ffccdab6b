//! What the numbers in records' stead stand for.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use crate::catalog::Mode;
use crate::{
    catalog::KeyFormat,
    target::{Frame, KeyShape},
};

/// Index of a map in [`Definitions::maps`], unique in a run.
pub type MapId = u32;
/// Index of a lock in [`Definitions::locks`], unique in a run.
pub type LockId = u32;
/// Index of a stack in [`Definitions::stacks`], unique in a run.
pub type StackId = u32;

/// Index of an actor in [`Definitions::actors`], unique in a run.
pub type ActorId = u32;
/// Stands for an actor of whom nothing is known.
pub const NO_ACTOR: ActorId = ActorId::MAX;

/// A key as it lay in the target's memory, with what its pointers led to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The bytes that were carried.
    #[serde(deserialize_with = "short")]
    pub bytes: Box<[u8]>,
    /// The key's length in bytes; where it was cut, one more than `bytes.len()`.
    pub len: u64,
}

/// Most bytes that a recorded key may have: of a merged one, that is its text.
const MOST_BYTES: usize = 2048;

fn short<'de, D: Deserializer<'de>>(from: D) -> Result<Box<[u8]>, D::Error> {
    let bytes = Box::<[u8]>::deserialize(from)?;
    if bytes.len() > MOST_BYTES {
        return Err(D::Error::invalid_length(bytes.len(), &"a key of at most 2048 bytes"));
    }
    Ok(bytes)
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MapKey {
    /// The map.
    pub map: MapId,
    /// The key.
    pub key: Key,
}

/// Who waits for a lock or holds it: from where in the code, and for which key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Actor {
    /// Where.
    pub stack: StackId,
    /// For which key; `None` where it is not known.
    pub key: Option<MapKey>,
}

/// What is known of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapInfo {
    /// Where it lies; `None` where the catalog does not say.
    pub address: Option<u64>,
    /// `go.map`, or what the catalog calls it.
    pub kind: String,
    /// The type as the program writes it, `map[string]*main.Session`.
    pub type_name: Option<String>,
    /// The key's type as the program writes it.
    pub key_type: Option<String>,
    /// What a person would call it.
    pub label: Option<String>,
    /// How its keys are shown where their type is not known.
    pub key_format: KeyFormat,
    /// The key's type in [`Definitions::types`].
    pub key_type_at: Option<u64>,
}

/// What is known of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockInfo {
    /// Where it lies; `None` where the catalog does not say.
    pub address: Option<u64>,
    /// `sync.Mutex`, `sync.RWMutex`, or what the catalog calls it.
    pub kind: String,
    /// What a person would call it.
    pub label: Option<String>,
}

/// Names for the ids that slices use; later definitions of an id replace earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definitions {
    /// Maps.
    pub maps: BTreeMap<MapId, MapInfo>,
    /// Locks.
    pub locks: BTreeMap<LockId, LockInfo>,
    /// Stacks as code addresses, innermost first.
    pub stacks: BTreeMap<StackId, Vec<u64>>,
    /// Who waits and who holds.
    pub actors: BTreeMap<ActorId, Actor>,
    /// What stands at a code address (callers and stack entries alike); several
    /// frames where functions were inlined, innermost first.
    pub frames: BTreeMap<u64, Vec<Frame>>,
    /// Types of keys, and those that interfaces in keys hold, by address; bounded.
    pub types: BTreeMap<u64, KeyShape>,
}
