//! Rust: the slow paths of std's and parking_lot's locks, entered only when a lock
//! is contended, and out of line even under LTO. The lock is `&self`, in RDI.

use std::borrow::Cow;

use probe_ebpf::{Operand, Reg};

use super::{Entry, KeyFormat, KeySource, Mode, Point, Role, Symbol, Task, Waits};

/// Demangled names. Where std keeps its futex locks has moved between releases, and
/// Rust's newer mangling writes `<path::Type>::method` for `path::Type::method`.
const LOCKS: &[(&str, &str, Option<Mode>)] = &[
    ("*std::sys::*::Mutex*::lock_contended", "std::sync::Mutex", None),
    ("*std::sys::*::RwLock*::read_contended", "std::sync::RwLock", READ),
    ("*std::sys::*::RwLock*::write_contended", "std::sync::RwLock", WRITE),
    ("*parking_lot::raw_mutex::RawMutex*::lock_slow", "parking_lot::Mutex", None),
    ("*parking_lot::raw_rwlock::RawRwLock*::lock_shared_slow", "parking_lot::RwLock", READ),
    ("*parking_lot::raw_rwlock::RawRwLock*::lock_exclusive_slow", "parking_lot::RwLock", WRITE),
    // One that may become a writer shares the lock with readers until then.
    ("*parking_lot::raw_rwlock::RawRwLock*::lock_upgradable_slow", "parking_lot::RwLock", READ),
    ("*parking_lot::raw_rwlock::RawRwLock*::upgrade_slow", "parking_lot::RwLock", WRITE),
    ("*dashmap::lock::RawRwLock*::lock_shared_slow", "dashmap::RwLock", READ),
    ("*dashmap::lock::RawRwLock*::lock_exclusive_slow", "dashmap::RwLock", WRITE),
];

const READ: Option<Mode> = Some(Mode::Read);
const WRITE: Option<Mode> = Some(Mode::Write);

/// Entries for Rust.
pub(super) fn entries() -> impl Iterator<Item = Entry> {
    LOCKS.iter().map(|&(pattern, kind, mode)| Entry {
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
        mode,
        waits: Waits::Always,
        off: None,
        required: false,
    })
}
