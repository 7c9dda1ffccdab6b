//! Rust: the slow paths of std's and parking_lot's locks, entered only when a lock
//! is contended, and out of line even under LTO. The lock is `&self`, in RDI.

use std::borrow::Cow;

use probe_ebpf::{Operand, Reg};

use super::{Entry, KeyFormat, KeySource, Point, Role, Symbol, Task};

/// Demangled names. Where std keeps its futex locks has moved between releases, and
/// Rust's newer mangling writes `<path::Type>::method` for `path::Type::method`.
const LOCKS: &[(&str, &str)] = &[
    ("*std::sys::*::Mutex*::lock_contended", "std::sync::Mutex"),
    ("*std::sys::*::RwLock*::read_contended", "std::sync::RwLock"),
    ("*std::sys::*::RwLock*::write_contended", "std::sync::RwLock"),
    ("*parking_lot::raw_mutex::RawMutex*::lock_slow", "parking_lot::Mutex"),
    ("*parking_lot::raw_rwlock::RawRwLock*::lock_shared_slow", "parking_lot::RwLock"),
    ("*parking_lot::raw_rwlock::RawRwLock*::lock_exclusive_slow", "parking_lot::RwLock"),
    ("*parking_lot::raw_rwlock::RawRwLock*::lock_upgradable_slow", "parking_lot::RwLock"),
    ("*parking_lot::raw_rwlock::RawRwLock*::upgrade_slow", "parking_lot::RwLock"),
    ("*dashmap::lock::RawRwLock*::lock_shared_slow", "dashmap::RwLock"),
    ("*dashmap::lock::RawRwLock*::lock_exclusive_slow", "dashmap::RwLock"),
];

/// Entries for Rust.
pub(super) fn entries() -> impl Iterator<Item = Entry> {
    LOCKS.iter().map(|&(pattern, kind)| Entry {
        runtime: "rust",
        symbol: Symbol::Glob(Cow::Borrowed(pattern)),
        module: None,
        role: Role::Acquire,
        point: Point::Start,
        object: Operand::reg(Reg::Rdi),
        key: KeySource::None,
        format: KeyFormat::Bytes,
        aux: Operand::NONE,
        task: Task::Thread,
        kind: Cow::Borrowed(kind),
        forwards_to: &[],
        may_wait: false,
        mode: None,
        off: None,
        required: false,
    })
}
