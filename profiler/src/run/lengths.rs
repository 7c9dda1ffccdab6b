//! How many elements maps have.
//!
//! In: where maps lie, and the target's memory. Out: [`MapSlice::len`] of the maps
//! that an interval speaks of.
//!
//! [`MapSlice::len`]: crate::model::MapSlice::len

use std::collections::BTreeMap;

use crate::model::{Definitions, MapId, Slice};

/// What Go's own maps are called.
const GO_MAP: &str = "go.map";
/// More elements than any map has: what was read is no count, but often an address. A
/// map that was freed leaves its memory to something else.
const MOST_ELEMENTS: u64 = 1 << 32;
/// Maps that are looked at in one interval: reading one costs a system call.
const MOST_MAPS: usize = 1024;
/// Addresses that are remembered, as many as a session has maps.
const MOST_ADDRESSES: usize = 4096;

/// Where the maps lie whose length can be read.
#[derive(Debug, Default)]
pub(super) struct Lengths(BTreeMap<MapId, u64>);

impl Lengths {
    /// Takes in where new maps lie.
    pub(super) fn define(&mut self, new: &Definitions) {
        for (&id, info) in &new.maps {
            let known = self.0.contains_key(&id);
            let wanted = info.kind == GO_MAP && (known || self.0.len() < MOST_ADDRESSES);
            // Reads of a nil map are operations, too.
            if let Some(address) = info.address.filter(|&address| wanted && address != 0) {
                self.0.insert(id, address);
            }
        }
    }

    /// Fills in the lengths, with `read` for the eight bytes at an address.
    ///
    /// A Go map's header begins with its count: `hmap.count` up to 1.23
    /// (runtime/map.go), `Map.used` since 1.24 (internal/runtime/maps/map.go).
    pub(super) fn fill(&self, slice: &mut Slice, read: impl Fn(u64) -> Option<u64>) {
        let maps = slice.maps.iter_mut();
        let placed = maps.filter_map(|map| Some((*self.0.get(&map.map)?, map)));
        for (address, map) in placed.take(MOST_MAPS) {
            map.len = read(address).filter(|&len| len <= MOST_ELEMENTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::KeyFormat,
        model::{MapInfo, MapSlice, Ops, UnreadableKeys},
    };

    fn info(kind: &str, address: Option<u64>) -> MapInfo {
        MapInfo {
            address,
            kind: kind.to_owned(),
            type_name: None,
            key_type: None,
            label: None,
            key_format: KeyFormat::Bytes,
            key_type_at: None,
        }
    }

    fn slice(maps: u32) -> Slice {
        let map = |map| MapSlice {
            map,
            ops: Ops::default(),
            spread: None,
            unreadable: UnreadableKeys::default(),
            len: None,
            keys: Vec::new(),
            floor: 0,
            callers: Vec::new(),
        };
        Slice { maps: (0..maps).map(map).collect(), ..Slice::default() }
    }

    #[test]
    fn plausible_counts_of_go_maps_are_taken() {
        let mut lengths = Lengths::default();
        lengths.define(&Definitions {
            maps: [
                (0, info(GO_MAP, Some(0x10))),
                (1, info("sync.Map", Some(0x10))),
                (2, info(GO_MAP, None)),
                (3, info(GO_MAP, Some(0))),
                (4, info(GO_MAP, Some(0x20))),
                (5, info(GO_MAP, Some(0x30))),
            ]
            .into(),
            ..Definitions::default()
        });
        let mut slice = slice(7);
        lengths.fill(&mut slice, |address| match address {
            0x10 => Some(12),
            0x20 => Some(MOST_ELEMENTS + 1),
            0x30 => None,
            _ => panic!("{address:#x} is no Go map"),
        });
        let lens: Vec<_> = slice.maps.iter().map(|map| map.len).collect();
        assert_eq!(lens, [Some(12), None, None, None, None, None, None]);
    }

    #[test]
    fn no_interval_reads_more_than_its_share() {
        let mut lengths = Lengths::default();
        let maps = (0..5000).map(|id| (id, info(GO_MAP, Some(0x1000)))).collect();
        lengths.define(&Definitions { maps, ..Definitions::default() });
        assert_eq!(lengths.0.len(), MOST_ADDRESSES);
        let mut slice = slice(5000);
        lengths.fill(&mut slice, |_| Some(1));
        assert_eq!(slice.maps.iter().filter(|map| map.len.is_some()).count(), MOST_MAPS);
    }
}
