//! Which functions matter, as data: one file per runtime.
//!
//! In: nothing but the symbols a program has. Out: [`Entry`] values that say
//! which function, in which role, with its operands where. A user's own
//! `--probe` is read into the same type.

pub mod custom;
mod demo;
mod go;
mod go_locks;
mod native;
mod programs;
mod rust;
mod sema;

use std::borrow::Cow;

use probe_ebpf::{Op, Operand};
use serde::{Deserialize, Serialize};

pub use crate::target::KeyFormat;
pub use go::{Goid, INNER_TYPES, goid, is_inner_type};
pub use native::{Known, known_lock};
pub use programs::{ELSEWHERE, WORTH, Worth};
pub use sema::{
    FD_MUTEX, LockCall, SEMA_DEPTH, SemaUser, fd_mode, is_forwarding, is_internal, is_lock,
    is_of_rwmutex, is_package_init, is_runtime, is_semaphore, lock_call, mutex_inside,
    own_function, passes_lock_on, sema_user,
};

/// In which way a lock is wanted or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// Shared with other readers.
    Read,
    /// Alone.
    Write,
}

/// What is looked at only when asked for: it is no lock of the program's, or it
/// costs where nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum With {
    /// Waits for Go's `sync.WaitGroup`.
    Waitgroup,
    /// Waits for Go's `sync.Cond`.
    Cond,
    /// Waits for Go's channels, and in `select`.
    Chan,
    /// Waits for the Go runtime's own locks.
    Runtime,
    /// The spinning before a wait for a Go mutex, as a part of that wait.
    Spin,
}

impl With {
    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waitgroup => "waitgroup",
            Self::Cond => "cond",
            Self::Chan => "chan",
            Self::Runtime => "runtime",
            Self::Spin => "spin",
        }
    }

    /// What is not seen without it, in a few words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Waitgroup => "WaitGroups",
            Self::Cond => "Conds",
            Self::Chan => "channels",
            Self::Runtime => "the runtime's own locks",
            Self::Spin => "spinning before a goroutine is put to sleep",
        }
    }
}

/// Which calls of a function that returns once it has the lock are waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Waits {
    /// Those in which the thread slept, or that lasted longer than a free lock explains.
    #[default]
    AsleepOrLong,
    /// Those in which the thread slept: it does not spin, or not for long.
    Asleep,
    /// All: the function is only called where the lock is taken.
    Always,
}

/// What a probe at the function tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// One operation of a map.
    Map(Op),
    /// A task is about to wait for a lock.
    WaitBegin,
    /// The task that began to wait is put to sleep.
    WaitPark,
    /// The task that began to wait goes on.
    WaitEnd,
    /// A task finds a lock taken and tries for a while before it sleeps.
    SpinBegin,
    /// A lock that others wait for is let go.
    Release,
    /// A native function that returns once it has the lock: timed from entry to
    /// return. Never for Go, whose stacks move.
    Acquire,
}

/// How a key is fetched; the operands are those at the function's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// The operation has no key.
    None,
    /// The value itself: its low `size` bytes (1, 2, 4 or 8).
    Int {
        /// Where the value is.
        value: Operand,
        /// Bytes.
        size: u32,
    },
    /// Pointer and length.
    Str {
        /// Where the pointer is.
        pointer: Operand,
        /// Where the length in bytes is.
        len: Operand,
    },
    /// Pointer to a NUL-terminated string.
    CStr {
        /// Where the pointer is.
        pointer: Operand,
    },
    /// Pointer to a fixed number of bytes.
    Bytes {
        /// Where the pointer is.
        pointer: Operand,
        /// Bytes.
        size: u32,
    },
    /// A Go interface without methods (`any`).
    GoIface {
        /// Where its type word is.
        type_word: Operand,
        /// Where its data word is.
        data: Operand,
    },
    /// Pointer to a Go value whose type the map's own type (the entry's `aux`
    /// operand) names.
    Go {
        /// Where the pointer is.
        pointer: Operand,
    },
}

/// Who performs the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// The goroutine, `*g` in R14 (Go's register ABI, since 1.17).
    Goroutine,
    /// The thread.
    Thread,
}

/// Which functions an entry means. Names are demangled ones for Rust and C++.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// This name exactly.
    Exact(Cow<'static, str>),
    /// Any of the names that a `*` pattern matches (`*` stands for any text).
    Glob(Cow<'static, str>),
}

/// Where in the function the operands are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// At its start, once per call.
    Start,
    /// At each direct call to the named function, before it is made.
    CallTo(Cow<'static, str>),
    /// Behind each direct call to the named function, soon after it has returned;
    /// other ways may lead there, too.
    After(Cow<'static, str>),
}

/// One line of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `go`, `rust`, `demo` or `custom`.
    pub runtime: &'static str,
    /// The functions.
    pub symbol: Symbol,
    /// File name of the module to look in (`libc.so.6`); `None`: the executable
    /// first, then every library.
    pub module: Option<String>,
    /// What a hit means.
    pub role: Role,
    /// Where the probe belongs.
    pub point: Point,
    /// The map's or lock's address; absent: all hits belong to one object.
    pub object: Operand,
    /// The key.
    pub key: KeySource,
    /// How the key is shown unless type information says better.
    pub format: KeyFormat,
    /// Extra operand: a Go map's `*abi.MapType`, a semaphore's `lifo`.
    pub aux: Operand,
    /// Who performs it.
    pub task: Task,
    /// What the object is called: `go.map`, `sync.Mutex`, `pthread_mutex`, …
    pub kind: Cow<'static, str>,
    /// Functions that do this one's work when it merely calls them: where its
    /// body contains a direct call to one of them, that one carries the probe
    /// and this one is left out, else each operation would count twice.
    pub forwards_to: &'static [&'static str],
    /// The operation may wait for a lock of the map's own.
    pub may_wait: bool,
    /// In which way the lock was held or wanted, where the function knows but one.
    pub mode: Option<Mode>,
    /// Which of its calls are waits, where it is timed.
    pub waits: Waits,
    /// The switch that turns it on; `None`: it is on.
    pub off: Option<With>,
    /// The user named this function, so that its absence is an error.
    pub required: bool,
}

/// Whether `text` matches `pattern`, in which `*` stands for any text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((before, last)) = pattern.rsplit_once('*') else { return pattern == text };
    // Most names end in another way, which is soonest seen.
    let Some(text) = text.strip_suffix(last) else { return false };
    let mut parts = before.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

impl Entry {
    /// A probe at a function's start that reads nothing, to see whether it can be had.
    pub fn at(function: String, module: String) -> Self {
        Self {
            runtime: "custom",
            symbol: Symbol::Exact(Cow::Owned(function)),
            module: Some(module),
            role: Role::Map(Op::Iterate),
            point: Point::Start,
            object: Operand::NONE,
            key: KeySource::None,
            format: KeyFormat::Bytes,
            aux: Operand::NONE,
            task: Task::Thread,
            kind: Cow::Borrowed("custom.map"),
            forwards_to: &[],
            may_wait: false,
            mode: None,
            waits: Waits::default(),
            off: None,
            required: true,
        }
    }
}

/// Everything mapprof knows by itself; of what is off by default, `with` is on.
pub fn builtin(with: &[With]) -> Vec<Entry> {
    let mut entries: Vec<_> =
        go::entries(with).chain(rust::entries()).chain(demo::entries()).collect();
    for entry in &mut entries {
        entry.off = entry.off.filter(|switch| !with.contains(switch));
    }
    entries
}
