//! Go: built-in maps and the semaphore under `sync.Mutex` and `sync.RWMutex`.
//!
//! Operands are those of Go's register ABI (amd64, since 1.17): arguments in RAX,
//! RBX, RCX, RDI, …, the goroutine in R14. Which functions exist differs between
//! versions and experiments; all are listed and those present are used. What calls
//! what was read from the disassembly of programs built by 1.21, 1.22, 1.24 and 1.27.

use std::borrow::Cow;

use probe_ebpf::{Op, Operand, Reg};

use super::{Entry, KeyFormat, KeySource, Point, Role, Symbol, Task};

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

/// Entries for Go.
pub(super) fn entries() -> impl Iterator<Item = Entry> {
    let maps = MAPS.iter().map(|&(name, op, (key, format), forwards_to)| Entry {
        key,
        format,
        forwards_to,
        ..map(name, op, RBX, RAX)
    });
    let growth = GROWTH.iter().map(|&(name, object, aux)| map(name, Op::Grow, object, aux));
    maps.chain(growth).chain(semaphore())
}

fn map(name: &'static str, op: Op, object: Operand, aux: Operand) -> Entry {
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
        required: false,
    }
}

/// `func semacquire1(addr *uint32, lifo bool, …)` in `src/runtime/sema.go`: every
/// wait of sync's locks goes through it, and every wait that parked gives its sudog
/// back. Which lock it is, the stack and the semaphore's place tell later.
fn semaphore() -> [Entry; 3] {
    let begin = Entry {
        role: Role::WaitBegin,
        kind: Cow::Borrowed("go.sema"),
        ..map("runtime.semacquire1", Op::Lookup, RAX, RBX)
    };
    let end = Entry {
        role: Role::WaitEnd,
        point: Point::CallTo(Cow::Borrowed("runtime.releaseSudog")),
        object: Operand::NONE,
        aux: Operand::NONE,
        ..begin.clone()
    };
    let park = Entry {
        role: Role::WaitPark,
        point: Point::CallTo(Cow::Borrowed("runtime.gopark")),
        ..end.clone()
    };
    [begin, park, end]
}
