//! Go: built-in maps and `sync.Map`; its locks are in `go_locks.rs`.
//!
//! Operands are those of Go's register ABI (amd64, since 1.17): arguments in RAX,
//! RBX, RCX, RDI, …, the goroutine in R14. Which functions exist differs between
//! versions and experiments; all are listed and those present are used. What calls
//! what was read from the disassembly of programs built by 1.21, 1.22, 1.24 and 1.27.

use std::borrow::Cow;

use probe_ebpf::{Op, Operand, Reg};

use super::{Entry, KeyFormat, KeySource, Point, Role, Symbol, Task, Waits, With, go_locks};

const RAX: Operand = Operand::reg(Reg::Rax);
const RBX: Operand = Operand::reg(Reg::Rbx);
const RCX: Operand = Operand::reg(Reg::Rcx);
const RDI: Operand = Operand::reg(Reg::Rdi);

const NO_KEY: (KeySource, KeyFormat) = (KeySource::None, KeyFormat::Bytes);
const KEY_32: (KeySource, KeyFormat) = (KeySource::Int { value: RCX, size: 4 }, KeyFormat::Int);
const KEY_64: (KeySource, KeyFormat) = (KeySource::Int { value: RCX, size: 8 }, KeyFormat::Int);
const KEY_PTR: (KeySource, KeyFormat) = (KeySource::Int { value: RCX, size: 8 }, KeyFormat::Hex);
const KEY_STR: (KeySource, KeyFormat) = (KeySource::Str { pointer: RCX, len: RDI }, KeyFormat::Str);
const KEY_ANY: (KeySource, KeyFormat) = (KeySource::Go { pointer: RCX }, KeyFormat::Bytes);

/// A function of the map: name, operation, key, and whom it may forward to.
type Line = (&'static str, Op, (KeySource, KeyFormat), &'static [&'static str]);

/// `func(t *maptype, m *hmap or *maps.Map, key …)`: `src/runtime/map*.go` up to 1.23,
/// `src/internal/runtime/maps/runtime*.go` and `src/runtime/map.go` since 1.24.
const MAPS: &[Line] = &[
    // 1.27 turned mapaccess1* into callers of mapaccess2*.
    ("runtime.mapaccess1", Op::Lookup, KEY_ANY, &["runtime.mapaccess2"]),
    ("runtime.mapaccess1_fast32", Op::Lookup, KEY_32, &["runtime.mapaccess2_fast32"]),
    ("runtime.mapaccess1_fast64", Op::Lookup, KEY_64, &["runtime.mapaccess2_fast64"]),
    ("runtime.mapaccess1_faststr", Op::Lookup, KEY_STR, &["runtime.mapaccess2_faststr"]),
    // Both call mapaccess1 up to 1.26 and mapaccess2 in 1.27.
    ("runtime.mapaccess1_fat", Op::Lookup, KEY_ANY, &["runtime.mapaccess1", "runtime.mapaccess2"]),
    ("runtime.mapaccess2_fat", Op::Lookup, KEY_ANY, &["runtime.mapaccess1", "runtime.mapaccess2"]),
    ("runtime.mapaccess2", Op::Lookup, KEY_ANY, &[]),
    ("runtime.mapaccess2_fast32", Op::Lookup, KEY_32, &[]),
    ("runtime.mapaccess2_fast64", Op::Lookup, KEY_64, &[]),
    ("runtime.mapaccess2_faststr", Op::Lookup, KEY_STR, &[]),
    ("runtime.mapassign", Op::Insert, KEY_ANY, &[]),
    ("runtime.mapassign_fast32", Op::Insert, KEY_32, &[]),
    ("runtime.mapassign_fast32ptr", Op::Insert, KEY_32, &[]),
    ("runtime.mapassign_fast64", Op::Insert, KEY_64, &[]),
    ("runtime.mapassign_fast64ptr", Op::Insert, KEY_PTR, &[]),
    ("runtime.mapassign_faststr", Op::Insert, KEY_STR, &[]),
    // Since 1.24 they call (*Map).Delete, which therefore is not listed.
    ("runtime.mapdelete", Op::Delete, KEY_ANY, &[]),
    ("runtime.mapdelete_fast32", Op::Delete, KEY_32, &[]),
    ("runtime.mapdelete_fast64", Op::Delete, KEY_64, &[]),
    ("runtime.mapdelete_faststr", Op::Delete, KEY_STR, &[]),
    ("runtime.mapiterinit", Op::Iterate, NO_KEY, &["runtime.mapIterStart"]),
    ("runtime.mapIterStart", Op::Iterate, NO_KEY, &[]),
    ("runtime.mapclear", Op::Clear, NO_KEY, &[]),
    // `func hashGrow(t *maptype, h *hmap)`, up to 1.23.
    ("runtime.hashGrow", Op::Grow, NO_KEY, &[]),
];

/// Growth since 1.24: name, the map, its type. `src/internal/runtime/maps`:
/// `func (t *table) rehash(typ *abi.MapType, m *Map)` (grow and split are behind it)
/// and `func (m *Map) growToTable(typ *abi.MapType)`.
const GROWTH: &[(&str, Operand, Operand)] = &[
    ("internal/runtime/maps.(*table).rehash", RCX, RBX),
    ("internal/runtime/maps.(*Map).growToTable", RAX, RBX),
];

/// The name of a method of the trie inside of `sync.Map` since 1.24; its other
/// instantiations are the runtime's own (package `unique`).
macro_rules! trie {
    ($method:literal) => {
        concat!(
            "internal/sync.(*HashTrieMap[go.shape.interface {},go.shape.interface {}]).",
            $method
        )
    };
}

/// `func (m *Map) X(key any, …)`.
const OUTER: KeySource = KeySource::GoIface { type_word: RBX, data: RCX };
/// The same with the dictionary of generic methods in between.
const TRIE: KeySource = KeySource::GoIface { type_word: RCX, data: RDI };
const NONE: KeySource = KeySource::None;

/// A method of `sync.Map`: name, operation, key, whom it may forward to, and whether it
/// may wait for a lock.
type Method = (&'static str, Op, KeySource, &'static [&'static str], bool);

/// `src/sync/map.go`, `oldmap.go`, `hashtriemap.go`; `src/internal/sync/hashtriemap.go`.
/// The map is in RAX. Up to 1.23, and with GOEXPERIMENT=nosynchashtriemap, `sync.Map`
/// does the work itself; since 1.24 its methods, mostly inlined, call the trie's.
const SYNC_MAP: &[Method] = &[
    ("sync.(*Map).Load", Op::Lookup, OUTER, &[trie!("Load")], true),
    // Inlined from 1.22 on. 1.19 and 1.20 have no Swap.
    (
        "sync.(*Map).Store",
        Op::Insert,
        OUTER,
        &["sync.(*Map).Swap", trie!("Store"), trie!("Swap")],
        true,
    ),
    ("sync.(*Map).LoadOrStore", Op::Insert, OUTER, &[trie!("LoadOrStore")], true),
    ("sync.(*Map).Swap", Op::Insert, OUTER, &[trie!("Swap")], true),
    ("sync.(*Map).CompareAndSwap", Op::Insert, OUTER, &[trie!("CompareAndSwap")], true),
    ("sync.(*Map).LoadAndDelete", Op::Delete, OUTER, &[trie!("LoadAndDelete")], true),
    (
        "sync.(*Map).Delete",
        Op::Delete,
        OUTER,
        &["sync.(*Map).LoadAndDelete", trie!("Delete"), trie!("LoadAndDelete")],
        true,
    ),
    ("sync.(*Map).CompareAndDelete", Op::Delete, OUTER, &[trie!("CompareAndDelete")], true),
    ("sync.(*Map).Range", Op::Iterate, NONE, &[trie!("Range")], true),
    ("sync.(*Map).Clear", Op::Clear, NONE, &[trie!("Clear")], true),
    // `func (m *Map) missLocked()`, and `dirtyLocked()` for the first new key after it
    // has promoted the dirty map.
    ("sync.(*Map).missLocked", Op::Miss, NONE, &[], false),
    ("sync.(*Map).dirtyLocked", Op::Promote, NONE, &[], false),
    (trie!("Load"), Op::Lookup, TRIE, &[], false),
    (trie!("Store"), Op::Insert, TRIE, &[trie!("Swap")], true),
    (trie!("LoadOrStore"), Op::Insert, TRIE, &[], true),
    (trie!("Swap"), Op::Insert, TRIE, &[], true),
    (trie!("CompareAndSwap"), Op::Insert, TRIE, &[], true),
    (trie!("LoadAndDelete"), Op::Delete, TRIE, &[], true),
    (trie!("Delete"), Op::Delete, TRIE, &[trie!("LoadAndDelete")], true),
    (trie!("CompareAndDelete"), Op::Delete, TRIE, &[], true),
    (trie!("Range"), Op::Iterate, NONE, &[], false),
    (trie!("Clear"), Op::Clear, NONE, &[], false),
    // `func (ht *HashTrieMap[K, V]) expand(oldEntry, newEntry *entry[K, V], …)`.
    (trie!("expand"), Op::Grow, NONE, &[], false),
];

/// Types of the maps inside of `sync.Map`, up to 1.23: their operations are none of
/// the program's own.
pub const INNER_TYPES: [&str; 1] = ["map[interface {}]*sync.entry"];

/// Whether a map of this type is the inside of another one that is told by itself.
pub fn is_inner_type(name: &str) -> bool {
    INNER_TYPES.contains(&name)
}

/// Offset of `goid` in `runtime.g`, bytes, from this minor version on (DWARF of
/// programs built by 1.19, 1.21 to 1.27).
const GOID_OFFSETS: [(u32, u32); 3] = [(18, 152), (23, 160), (25, 152)];
/// Newest minor version of Go that all of this was read from.
const NEWEST: u32 = 27;

/// Where a goroutine keeps its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goid {
    /// Offset in `runtime.g`, bytes.
    pub offset: u32,
    /// It was seen in this very version.
    pub is_certain: bool,
}

/// Where the goroutines of a Go version (`go1.24.11`) keep their number; unknown
/// versions are taken for the newest known one.
pub fn goid(version: &str) -> Goid {
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let minor = version.split_once("go1.").and_then(|(_, rest)| digits(rest));
    let since = |minor| GOID_OFFSETS.iter().rev().find(move |(since, _)| *since <= minor);
    let &(_, offset) = minor.and_then(since).unwrap_or(&GOID_OFFSETS[GOID_OFFSETS.len() - 1]);
    Goid { offset, is_certain: minor.is_some_and(|minor| (18..=NEWEST).contains(&minor)) }
}

/// Entries for Go.
pub(super) fn entries(with: &[With]) -> impl Iterator<Item = Entry> {
    let maps = MAPS.iter().map(|&(name, op, (key, format), forwards_to)| Entry {
        key,
        format,
        forwards_to,
        ..map(name, op, RBX, RAX)
    });
    let growth = GROWTH.iter().map(|&(name, object, aux)| map(name, Op::Grow, object, aux));
    let sync_map = SYNC_MAP.iter().map(|&(name, op, key, forwards_to, may_wait)| Entry {
        key,
        format: KeyFormat::Interface,
        kind: Cow::Borrowed("sync.Map"),
        forwards_to,
        may_wait,
        ..map(name, op, RAX, Operand::NONE)
    });
    maps.chain(growth).chain(sync_map).chain(go_locks::entries(with))
}

pub(super) fn map(name: &'static str, op: Op, object: Operand, aux: Operand) -> Entry {
    Entry {
        runtime: "go",
        symbol: Symbol::Exact(Cow::Borrowed(name)),
        module: None,
        role: Role::Map(op),
        point: Point::Start,
        object,
        key: KeySource::None,
        format: KeyFormat::Bytes,
        aux,
        task: Task::Goroutine,
        kind: Cow::Borrowed("go.map"),
        forwards_to: &[],
        may_wait: false,
        mode: None,
        waits: Waits::default(),
        off: None,
        required: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_keeps_its_goroutine_numbers_somewhere() {
        let known = |version: &str| (goid(version).offset, goid(version).is_certain);
        for version in ["go1.19.8", "go1.21.13", "go1.22", "go1.25.5", "go1.27rc1"] {
            assert_eq!(known(version), (152, true), "{version}");
        }
        assert_eq!(known("go1.23.9"), (160, true));
        assert_eq!(known("go1.24.11 X:noswissmap"), (160, true));
        for version in ["go1.28.1", "unknown", "", "go1.", "devel go1.99-0123", "go2.1"] {
            assert_eq!(known(version), (152, false), "{version}");
        }
    }
}
