//! What the numbers in records' stead stand for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{catalog::KeyFormat, target::Frame};

/// Index of a map in [`Definitions::maps`], unique in a run.
pub type MapId = u32;
/// Index of a lock in [`Definitions::locks`], unique in a run.
pub type LockId = u32;
/// Index of a stack in [`Definitions::stacks`], unique in a run.
pub type StackId = u32;

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
    /// How its keys are shown.
    pub key_format: KeyFormat,
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
    /// What stands at a code address (callers and stack entries alike); several
    /// frames where functions were inlined, innermost first.
    pub frames: BTreeMap<u64, Vec<Frame>>,
}
