//! Everything that crosses the kernel boundary: site descriptors and the run's
//! configuration on the way in, records and loss counters on the way out.

use crate::operand::Operand;

/// Most sites one run can have: the size of the descriptor array.
pub const MAX_SITES: usize = 1024;
/// Key bytes carried in the short operation record.
pub const SHORT_KEY: usize = 24;
/// Key bytes carried in the long operation record; longer keys are cut and say so.
pub const LONG_KEY: usize = 128;
/// Most user-space frames of a stack, innermost first.
pub const MAX_FRAMES: usize = 32;
/// Tasks that can be waiting at the same moment and still be timed.
pub const MAX_WAITERS: usize = 16_384;

/// Most CPUs that can have a ring.
pub const MAX_CPUS: usize = 1024;
/// Size of the inner-map template, bytes. Kernels take rings of any size in its
/// place (`bpf_map_meta_equal` does not compare ring sizes).
pub const RING_TEMPLATE_BYTES: usize = 4096;

/// What a map site's operation does. The discriminants are the index into
/// operation counts everywhere.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Reads one key.
    Lookup = 0,
    /// Writes one key.
    Insert = 1,
    /// Removes one key.
    Delete = 2,
    /// Starts a walk over all keys.
    Iterate = 3,
    /// Removes all keys.
    Clear = 4,
    /// The table grows.
    Grow = 5,
}

impl Op {
    /// Every operation in the order of its discriminant.
    pub const ALL: [Self; 6] =
        [Self::Lookup, Self::Insert, Self::Delete, Self::Iterate, Self::Clear, Self::Grow];

    /// The name used on the command line, in JSON and on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Iterate => "iterate",
            Self::Clear => "clear",
            Self::Grow => "grow",
        }
    }
}

/// How the kernel side fetches a key. Constants, not an enum: the value is read
/// from a map and must not be trusted to be in range.
pub mod key_kind {
    /// The operation has no key.
    pub const NONE: u8 = 0;
    /// The key operand's value is the key: `key_size` bytes of it.
    pub const INT: u8 = 1;
    /// Key operand: pointer; length operand: length in bytes.
    pub const STR: u8 = 2;
    /// Key operand: pointer to a NUL-terminated string.
    pub const CSTR: u8 = 3;
    /// Key operand: pointer to `key_size` bytes.
    pub const BYTES: u8 = 4;
    /// Key operand: pointer to a Go value; type operand: `*abi.MapType`, whose
    /// key type (at +48) gives size and kind. Records carry STR or BYTES instead.
    pub const GO: u8 = 5;
}

/// Bits of [`Site::flags`].
pub mod site_flags {
    /// Ignore the hit when the saved flags say that the probed `jbe` is taken.
    pub const SKIP_IF_GUARD_TAKEN: u16 = 1;
    /// The task is the goroutine in R14; without it, the thread.
    pub const TASK_IS_R14: u16 = 2;
    /// When the caller lies in `wrapper_lo..wrapper_hi`, the call site is the
    /// return address above that wrapper's frame, `*(rbp + 8)`.
    pub const THROUGH_WRAPPER: u16 = 4;
}

/// One probed instruction as the programs see it: the attach cookie is its index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// One of [`key_kind`].
    pub key_kind: u8,
    /// Padding, zero.
    pub pad: u8,
    /// Bits of [`site_flags`].
    pub flags: u16,
    /// Bytes of an INT (1, 2, 4 or 8) or BYTES key.
    pub key_size: u32,
    /// Thread group to take hits from, as the initial PID namespace numbers it;
    /// 0 where the attachment itself filters.
    pub tgid: u32,
    /// Padding, zero.
    pub pad2: u32,
    /// The map's address, or the lock's.
    pub object: Operand,
    /// The key or the pointer to it.
    pub key: Operand,
    /// Key length for STR.
    pub key_len: Operand,
    /// Extra value carried along: a Go map's `*abi.MapType`, a semaphore's `lifo`.
    pub aux: Operand,
    /// Start of the wrapper function (virtual address in the target).
    pub wrapper_lo: u64,
    /// End of the wrapper function, exclusive.
    pub wrapper_hi: u64,
}

/// First byte of each record.
pub mod record_kind {
    /// [`super::ShortOp`].
    pub const SHORT_OP: u8 = 1;
    /// [`super::LongOp`].
    pub const LONG_OP: u8 = 2;
    /// [`super::Wait`].
    pub const WAIT: u8 = 3;
    /// [`super::Rewait`].
    pub const REWAIT: u8 = 4;
}

/// Callers of map operations that each CPU reads in one tick of the kernel's clock
/// (1 to 10 ms); the further ones are [`CALLER_NOT_SAMPLED`]. Reading one costs a
/// third of the whole event, two reads where a wrapper lies between.
pub const CALLERS_PER_TICK: u64 = 64;
/// Value of [`OpHead::caller`] where it was not read, to spare the target: which
/// call sites there are, and their shares, are told by those that were.
pub const CALLER_NOT_SAMPLED: u64 = 1;

/// Bits of [`OpHead::flags`].
pub mod op_flags {
    /// The key could not be read; `key` is all zero.
    pub const KEY_UNREADABLE: u8 = 1;
    /// `key` holds only the first bytes of `key_len`.
    pub const KEY_CUT: u8 = 2;
    /// The map's address could not be read and is 0.
    pub const OBJECT_UNREADABLE: u8 = 4;
}

/// What both operation records begin with. It carries no time: reading the clock
/// costs the target a quarter of the whole event (38 of 141 ns measured), and the
/// reader, who drains every few milliseconds, knows the interval anyway.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpHead {
    /// SHORT_OP or LONG_OP.
    pub kind: u8,
    /// NONE, INT, STR, CSTR or BYTES: how to read the key.
    pub key_kind: u8,
    /// Bits of [`op_flags`].
    pub flags: u8,
    /// Padding, zero.
    pub pad: u8,
    /// Index of the site.
    pub site: u32,
    /// Goroutine (`*g`) or thread id.
    pub task: u64,
    /// Return address of the operation's function; 0 where it cannot be read,
    /// [`CALLER_NOT_SAMPLED`] where it was not.
    pub caller: u64,
    /// Address of the map.
    pub object: u64,
    /// The site's extra value.
    pub aux: u64,
    /// The key's true length in bytes, which may exceed what is carried.
    pub key_len: u64,
}

/// An operation whose key fits [`SHORT_KEY`] bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortOp {
    /// Fixed part.
    pub head: OpHead,
    /// First `min(key_len, 24)` bytes are the key, the rest is zero.
    pub key: [u8; SHORT_KEY],
}

/// An operation with a longer key.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongOp {
    /// Fixed part.
    pub head: OpHead,
    /// First `min(key_len, 128)` bytes are the key; the rest is unspecified.
    pub key: [u8; LONG_KEY],
}

/// A finished wait for a lock. In Go one park; a wait of several parks arrives
/// as several records, the later ones with `aux` (the semaphore's `lifo`) set.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// WAIT.
    pub kind: u8,
    /// Padding, zero.
    pub pad: [u8; 3],
    /// Index of the site where the wait began.
    pub site: u32,
    /// Beginning of the wait, CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    /// End of the wait, CLOCK_MONOTONIC ns.
    pub end_ns: u64,
    /// Goroutine or thread id.
    pub task: u64,
    /// Address of the lock, or of the semaphore in it.
    pub object: u64,
    /// The begin site's extra value.
    pub aux: u64,
    /// Return address read from the stack top at the begin site.
    pub caller: u64,
    /// Valid entries of `frames`.
    pub frame_count: u32,
    /// Thread that ended the wait.
    pub tid: u32,
    /// User stack at the begin site, innermost first; `frames[0]` is the site.
    pub frames: [u64; MAX_FRAMES],
}

/// A task that was woken without getting the lock waits again: the [`Wait`]
/// record before it was not the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewait {
    /// REWAIT.
    pub kind: u8,
    /// Padding, zero.
    pub pad: [u8; 3],
    /// Index of the site.
    pub site: u32,
    /// CLOCK_MONOTONIC ns.
    pub ts_ns: u64,
    /// Goroutine or thread id.
    pub task: u64,
    /// Address of the semaphore.
    pub object: u64,
}

/// A wait that has begun, by task, in the kernel's table; read from user space
/// for waits that are still open.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenWait {
    /// Index of the site where the wait began.
    pub site: u32,
    /// Valid entries of `frames`.
    pub frame_count: u32,
    /// Beginning of the wait, CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    /// Address of the lock, or of the semaphore in it.
    pub object: u64,
    /// The begin site's extra value.
    pub aux: u64,
    /// Return address read from the stack top.
    pub caller: u64,
    /// How often the task was put to sleep. 0 in Go: the semaphore may have been
    /// free after all, and the entry is stale.
    pub parks: u64,
    /// User stack, innermost first.
    pub frames: [u64; MAX_FRAMES],
}

/// Why a hit did not become a record. The discriminant indexes the per-CPU counters.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// The CPU's ring had no room.
    RingFull = 0,
    /// The CPU has no ring: it came online after the run began.
    NoRing = 1,
    /// More than [`MAX_WAITERS`] tasks were waiting.
    WaitTableFull = 2,
    /// The lock's address could not be read.
    LockUnreadable = 3,
    /// The attach cookie names no site. Never expected.
    NoSite = 4,
}

impl Loss {
    /// Every reason in the order of its discriminant.
    pub const ALL: [Self; 5] =
        [Self::RingFull, Self::NoRing, Self::WaitTableFull, Self::LockUnreadable, Self::NoSite];

    /// The name used in JSON and on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::NoRing => "no_ring",
            Self::WaitTableFull => "wait_table_full",
            Self::LockUnreadable => "lock_unreadable",
            Self::NoSite => "no_site",
        }
    }
}

/// Per-CPU counters: the losses, then hits that rightly make no record.
pub const COUNTER_SKIPPED: u32 = Loss::ALL.len() as u32;
/// Number of per-CPU counters.
pub const COUNTERS: u32 = COUNTER_SKIPPED + 1;

const _: () = {
    assert!(size_of::<OpHead>() == 48);
    assert!(size_of::<ShortOp>() == 72);
    assert!(size_of::<LongOp>() == 176);
    assert!(size_of::<Wait>() == 64 + 8 * MAX_FRAMES);
    assert!(size_of::<Rewait>() == 32);
    assert!(size_of::<Site>() == 96);
};
