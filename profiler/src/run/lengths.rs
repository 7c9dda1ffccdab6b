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
/// Bytes of a map's header that are read.
pub(super) const HEADER: usize = 40;
/// Entries that a group or bucket of either layout has room for.
const ROOM: u64 = 8;
/// Most entries of a table of Go 1.24 and later: 7/8 of `maxTableCapacity`
/// (internal/runtime/maps/table.go).
const TABLE: u64 = 1024 / 8 * 7;
/// More buckets or tables than this have no room in memory: so many bits number them.
const MOST_BITS: u8 = 40;
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

    /// Fills in the lengths, with `read` for the header at an address. What contradicts
    /// itself is no map: one that was freed leaves its memory to something else.
    pub(super) fn fill(
        &self,
        slice: &mut Slice,
        layout: Layout,
        read: impl Fn(u64) -> Option<[u8; HEADER]>,
    ) {
        let maps = slice.maps.iter_mut();
        let placed = maps.filter_map(|map| Some((*self.0.get(&map.map)?, map)));
        for (address, map) in placed.take(MOST_MAPS) {
            map.len = read(address).and_then(|header| layout.len(&header));
        }
    }
}

/// How the headers of a program's maps lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `hmap` (runtime/map.go) up to 1.23, and later where the program was built so.
    Buckets,
    /// `Map` (internal/runtime/maps/map.go) since 1.24.
    Tables,
}

impl Layout {
    /// That of a program that has a function or has not.
    pub(super) fn of(has: impl FnOnce(&str) -> bool) -> Self {
        if has("runtime.hashGrow") { Self::Buckets } else { Self::Tables }
    }

    /// How many elements the map has, if the rest of its header agrees with that.
    fn len(self, header: &[u8; HEADER]) -> Option<u64> {
        let word = |at: usize| {
            let bytes = header.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let len = word(0)?;
        let is_whole = match self {
            // count int; flags, B uint8; noverflow uint16; hash0 uint32; buckets, oldbuckets
            // unsafe.Pointer; nevacuate uintptr
            Self::Buckets => {
                let (flags, bits, buckets) = (header[8], header[9], word(16)?);
                // It grows beyond 13 entries for each two buckets.
                let most = ROOM.max((13_u64 << bits.min(MOST_BITS)) / 2 + 1);
                flags < 16
                    && bits <= MOST_BITS
                    && len <= most
                    && buckets.is_multiple_of(8)
                    && (buckets != 0 || len == 0)
            }
            // used uint64; seed uintptr; dirPtr unsafe.Pointer; dirLen int; globalDepth,
            // globalShift, writing uint8; tombstonePossible bool
            Self::Tables => {
                let (directory, tables) = (word(16)?, word(24)?);
                let (depth, shift) = (header[32], header[33]);
                let is_small = tables == 0 && depth == 0 && len <= ROOM;
                let is_large = depth <= MOST_BITS
                    && tables == 1 << depth
                    && u64::from(shift) & 63 == (64 - u64::from(depth)) & 63
                    && len <= tables.saturating_mul(TABLE);
                (is_small || is_large)
                    && directory.is_multiple_of(8)
                    && (directory != 0 || len == 0)
            }
        };
        is_whole.then_some(len)
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

    fn header(words: [u64; 5]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header.chunks_exact_mut(8).zip(words).for_each(|(to, word)| {
            to.copy_from_slice(&word.to_le_bytes());
        });
        header
    }

    fn buckets(len: u64, flags: u64, bits: u64, buckets: u64) -> [u8; HEADER] {
        header([len, 0xdead_beef_0000_0000 | bits << 8 | flags, buckets, 0, 0])
    }

    fn tables(len: u64, directory: u64, tables: u64, depth: u64) -> [u8; HEADER] {
        header([len, 0x1234_5678, directory, tables, depth | (64 - depth) << 8])
    }

    /// Limits of Go's own code: a map grows beyond 13/2 entries for each bucket, a table
    /// beyond 896.
    #[test]
    fn counts_that_a_header_contradicts_are_none() {
        let len = |header| Layout::Buckets.len(&header);
        assert_eq!(len(buckets(0, 0, 0, 0)), Some(0));
        assert_eq!((len(buckets(8, 4, 0, 8)), len(buckets(9, 4, 0, 8))), (Some(8), None));
        assert_eq!((len(buckets(105, 0, 4, 8)), len(buckets(106, 0, 4, 8))), (Some(105), None));
        assert_eq!(len(buckets(3, 16, 0, 8)), None, "there are no such flags");
        assert_eq!(len(buckets(3, 0, 0, 12)), None, "buckets are aligned");
        assert_eq!(len(buckets(3, 0, 0, 0)), None, "and there are some");
        assert_eq!(len(buckets(14_496_256, 0x40, 0x7f, 0xc000)), None);
        let len = |header| Layout::Tables.len(&header);
        assert_eq!((len(tables(0, 0, 0, 0)), len(tables(8, 8, 0, 0))), (Some(0), Some(8)));
        assert_eq!(len(tables(9, 8, 0, 0)), None, "a small map has one group");
        assert_eq!((len(tables(896, 8, 1, 0)), len(tables(897, 8, 1, 0))), (Some(896), None));
        assert_eq!(len(tables(3000, 8, 4, 2)), Some(3000));
        assert_eq!(len(tables(3000, 8, 5, 2)), None, "tables are a power of two");
        let mut odd = tables(3000, 8, 4, 2);
        odd[33] = 7;
        assert_eq!(len(odd), None, "the shift belongs to the depth");
    }

    #[test]
    fn the_layout_is_told_by_what_the_program_has() {
        assert_eq!(Layout::of(|name| name == "runtime.hashGrow"), Layout::Buckets);
        assert_eq!(Layout::of(|_| false), Layout::Tables);
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
        lengths.fill(&mut slice, Layout::Buckets, |address| match address {
            0x10 => Some(buckets(12, 0, 1, 0xc000)),
            0x20 => Some(buckets(14_496_256, 0, 1, 0xc000)),
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
        lengths.fill(&mut slice, Layout::Buckets, |_| Some(buckets(1, 0, 0, 0xc000)));
        assert_eq!(slice.maps.iter().filter(|map| map.len.is_some()).count(), MOST_MAPS);
    }
}
