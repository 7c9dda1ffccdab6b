//! Everything that crosses the kernel boundary: site descriptors and the run's
//! configuration on the way in, records and loss counters on the way out.

use crate::{call::Switches, operand::Operand};

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
/// Tasks whose newest operation is remembered, a power of two: the table is
/// direct-mapped, and of two tasks in one place the newer stays.
pub const TASK_SLOTS: usize = 8192;
/// Places of each CPU where records of long keys are made: of the probes that are preempted
/// in the middle few have the same.
pub const SCRATCHES: usize = 32;
/// Key types whose [`Layout`] the kernel side can be told.
pub const MAX_LAYOUTS: usize = 8192;
/// Types of the target that the kernel side remembers, a power of two.
pub const TYPE_SLOTS: usize = 1024;
/// Strings and interfaces in one key that are followed. With twice as many, what the
/// verifier of Linux 6.1 has to walk through comes near its limit.
pub const MAX_PIECES: usize = 4;
/// Bytes for a long key while its record is made: what fits a key, and room behind it so
/// that each copy of a piece is in bounds wherever it starts.
pub const DRAFT_KEY: usize = 2 * LONG_KEY;

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
    /// A read that had to take the lock (Go's sync.Map up to 1.23).
    Miss = 6,
    /// All entries are copied under the lock for the first new key after a promotion
    /// (Go's sync.Map up to 1.23).
    Promote = 7,
}

impl Op {
    /// Every operation in the order of its discriminant.
    pub const ALL: [Self; 8] = [
        Self::Lookup,
        Self::Insert,
        Self::Delete,
        Self::Iterate,
        Self::Clear,
        Self::Grow,
        Self::Miss,
        Self::Promote,
    ];

    /// Whether the program asked for it; the others are what the map does by itself.
    pub const fn is_asked_for(self) -> bool {
        (self as u8) < Self::Grow as u8
    }

    /// The name used on the command line, in JSON and on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Iterate => "iterate",
            Self::Clear => "clear",
            Self::Grow => "grow",
            Self::Miss => "miss",
            Self::Promote => "promote",
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
    /// Key operand: pointer to a Go value; aux operand: `*abi.MapType`, whose
    /// key type (at +48) gives size and kind. Records carry STR, BYTES or IFACE instead.
    pub const GO: u8 = 5;
    /// Key operand: the type word of a Go `any`; length operand: its data word. In
    /// records: the dynamic type's address, then the value.
    pub const IFACE: u8 = 6;
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
    /// The task may wait for a lock inside this operation (Go's sync.Map).
    pub const MAY_WAIT: u16 = 8;
    /// The wait begins where the task is put to sleep, or cannot be seen to: it is a real one.
    pub const IS_PARK: u16 = 16;
    /// The instruction is not at the function's start: the stack's top is no return address.
    pub const IS_INSIDE: u16 = 32;
    /// The map does this by itself, inside of an operation that somebody asked for.
    pub const BY_ITSELF: u16 = 64;
    /// The task has released the lock once it comes here: it does not release it again for
    /// another that waits.
    pub const ENDS_HOLD: u16 = 128;
    /// The function is only called where the lock is taken: each call is a wait.
    pub const ONLY_WAITS: u16 = 256;
    /// Who waits in the function sleeps: a call that lasts without sleeping is no wait.
    pub const WAITS_ASLEEP: u16 = 512;
}

/// One probed instruction as the programs see it: the attach cookie is its index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// One of [`key_kind`].
    pub key_kind: u8,
    /// Most bytes of a key that are read, 1 to [`LONG_KEY`]; 0: as many as fit. Of a key
    /// with strings or interfaces in it, those of their contents; numbers come whole.
    pub key_limit: u8,
    /// Bits of [`site_flags`].
    pub flags: u16,
    /// Bytes of an INT (1, 2, 4 or 8) or BYTES key.
    pub key_size: u32,
    /// Thread group to take hits from, as the initial PID namespace numbers it;
    /// 0 where the attachment itself filters.
    pub tgid: u32,
    /// Offset of `goid` in `runtime.g`; 0: the task has no number of its own.
    pub goid_offset: u32,
    /// How long a timed call that does nothing lasts with its two probes, ns.
    pub call_ns: u32,
    /// What a timed call must last beyond that to be a wait, where it did not sleep, ns.
    pub spin_ns: u32,
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
    /// Value of `aux` whose operations are another map's inside; 0: none.
    pub skip_aux: u64,
}

/// What the kernel side does with strings and interfaces inside a key.
pub mod piece_kind {
    /// A Go string.
    pub const STRING: u8 = 1;
    /// A Go interface without methods: its first word is the type.
    pub const EFACE: u8 = 2;
    /// A Go interface with methods: its first word is the itab.
    pub const IFACE: u8 = 3;
}

/// A string or an interface inside a key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Where in the key, bytes; a multiple of 8.
    pub offset: u16,
    /// One of [`piece_kind`].
    pub kind: u8,
    /// Padding, zero.
    pub pad: u8,
}

/// What a type of keys holds that lies elsewhere in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Size of the whole value, bytes, at most [`LONG_KEY`].
    pub size: u32,
    /// Valid entries of `pieces`; 0: the bytes are all there is.
    pub count: u32,
    /// In the order of their offsets.
    pub pieces: [Piece; MAX_PIECES],
}

/// First byte of each record.
pub mod record_kind {
    /// [`super::ShortOp`].
    pub const SHORT_OP: u8 = 1;
    /// [`super::LongOp`].
    pub const LONG_OP: u8 = 2;
    /// [`super::Wait`].
    pub const WAIT: u8 = 3;
    /// [`super::OpOfWait`]: the first operation after the wait.
    pub const AFTER_WAIT: u8 = 5;
    /// [`super::OpOfWait`]: the operation that the wait is inside of.
    pub const INSIDE_OP: u8 = 6;
    /// [`super::Release`].
    pub const RELEASE: u8 = 7;
    /// [`super::OpStack`].
    pub const OP_STACK: u8 = 8;
    /// [`super::CombinedOp`].
    pub const COMBINED_OP: u8 = 9;
    /// [`super::CombinedLongOp`].
    pub const COMBINED_LONG_OP: u8 = 10;
}

/// Callers of map operations that each CPU reads in one tick of the kernel's clock
/// (1 to 10 ms); the further ones are [`CALLER_NOT_SAMPLED`]. Reading one costs a
/// third of the whole event, two reads where a wrapper lies between.
pub const CALLERS_PER_TICK: u64 = 64;
/// Operations whose stack each CPU reads in one tick, for the same reason.
pub const STACKS_PER_TICK: u64 = 4;
/// Frames of a release whose stack is not read as a whole: those among the first
/// [`STACKS_PER_TICK`] of the CPU's tick are, and tell the rest of the same beginning.
pub const SHORT_STACK: usize = 3;
/// Frames of a release whose pointers are read where an operation may have been made in one
/// of them: a lock's own functions, wrappers of it, and who took it.
pub const LIVE_FRAMES: usize = 5;
/// Value of [`OpHead::caller`] where it was not read, to spare the target: which
/// call sites there are, and their shares, are told by those that were.
pub const CALLER_NOT_SAMPLED: u64 = 1;

/// What is told at this moment, in memory that user space writes and programs read.
/// Probes cannot be put in and taken out at a moment, gates can be opened and shut: so
/// all probes watch for the same time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    /// Number of the window in which operations of maps are told; 0: none is open.
    pub maps: u64,
    /// The same for beginnings of waits: a wait that has begun is told to its end.
    pub locks: u64,
}

/// Bits of [`OpHead::flags`].
pub mod op_flags {
    /// The key could not be read: a probe cannot wait for a page that the program has
    /// yet to touch. `key` is then its address and how many of its bytes are wanted, behind
    /// an interface's dynamic type; with [`KEY_RAW`] the raw memory of the value, of which
    /// a string or an interface could not be followed; otherwise nothing.
    pub const KEY_UNREADABLE: u8 = 1;
    /// `key` holds only the first bytes of `key_len`.
    pub const KEY_CUT: u8 = 2;
    /// The map's address could not be read and is 0.
    pub const OBJECT_UNREADABLE: u8 = 4;
    /// The key's type has strings or interfaces whose layout was not known yet: `key`
    /// is the raw memory of the value.
    pub const KEY_RAW: u8 = 8;
    /// What says how the key is read could not be read itself; `key` is all zero.
    pub const TYPE_UNREADABLE: u8 = 16;
}

/// What both operation records begin with. It carries no time: reading the clock
/// costs the target a quarter of the whole event (38 of 141 ns measured), and the
/// reader, who drains every few milliseconds, knows the interval anyway.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpHead {
    /// SHORT_OP or LONG_OP.
    pub kind: u8,
    /// NONE, INT, STR, CSTR, BYTES or IFACE: what the key is.
    pub key_kind: u8,
    /// Bits of [`op_flags`].
    pub flags: u8,
    /// Bytes of the key that are carried.
    pub carried: u8,
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

impl OpHead {
    /// As it lies in memory.
    #[inline(always)]
    pub fn words(&self) -> [u64; size_of::<Self>() / 8] {
        let first = u64::from(self.kind)
            | u64::from(self.key_kind) << 8
            | u64::from(self.flags) << 16
            | u64::from(self.carried) << 24
            | u64::from(self.site) << 32;
        [first, self.task, self.caller, self.object, self.aux, self.key_len]
    }
}

/// An operation whose key fits [`SHORT_KEY`] bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortOp {
    /// Fixed part.
    pub head: OpHead,
    /// First `carried` bytes are the key, the rest is zero.
    pub key: [u8; SHORT_KEY],
}

/// Several operations that differ in nothing but who made them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CombinedOp {
    /// What they have in common. Of no one task, and no caller was read.
    pub head: OpHead,
    /// As in [`ShortOp`].
    pub key: [u8; SHORT_KEY],
    /// How many.
    pub count: u64,
}

/// An operation with a longer key. Of one that holds strings or interfaces: the raw value
/// with their pointers blanked, then what they point to, in the order of the [`Layout`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongOp {
    /// Fixed part.
    pub head: OpHead,
    /// First `carried` bytes are the key; the rest is unspecified.
    pub key: [u8; LONG_KEY],
}

/// Several operations with one long key that differ in nothing but who made them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CombinedLongOp {
    /// What they have in common. Of no one task, and no caller was read.
    pub op: LongOp,
    /// How many.
    pub count: u64,
}

/// A [`LongOp`] that is being made; where that happens in the ring, the record is as large.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Fixed part.
    pub head: OpHead,
    /// As in [`LongOp`].
    pub key: [u8; DRAFT_KEY],
    /// Bytes of the key that are there.
    pub filled: u64,
}

/// A wait for a lock that ended. In Go one park: a wait of several parks arrives as
/// several records with the same `task` and `wait_ns`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// WAIT.
    pub kind: u8,
    /// How many parks of the same wait ended before, 255 at most.
    pub part: u8,
    /// Padding, zero.
    pub pad: [u8; 2],
    /// Index of the site where the wait began.
    pub site: u32,
    /// Beginning of this park, CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    /// Its end, CLOCK_MONOTONIC ns.
    pub end_ns: u64,
    /// Goroutine or thread id.
    pub task: u64,
    /// The goroutine's number; the thread's id elsewhere.
    pub goid: u64,
    /// Address of the lock, or of the semaphore in it.
    pub object: u64,
    /// Beginning of the whole wait as far as it was seen, CLOCK_MONOTONIC ns: with the
    /// task, this names it.
    pub wait_ns: u64,
    /// Return address read from the stack top at the begin site.
    pub caller: u64,
    /// Valid entries of `frames`.
    pub frame_count: u32,
    /// Thread that ended the wait.
    pub tid: u32,
    /// User stack at the begin site, innermost first; `frames[0]` is the site.
    pub frames: [u64; MAX_FRAMES],
}

/// An operation that a wait belongs to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpOfWait {
    /// AFTER_WAIT or INSIDE_OP.
    pub kind: u8,
    /// Padding, zero.
    pub pad: [u8; 3],
    /// Valid entries of `frames`.
    pub frame_count: u32,
    /// Which wait of the task: its end where the operation came after it, its
    /// beginning ([`Wait::wait_ns`]) where it is inside; CLOCK_MONOTONIC ns.
    pub wait_ns: u64,
    /// The operation; it has been told in a record of its own, too.
    pub op: LongOp,
    /// User stack of an operation after the wait, innermost first.
    pub frames: [u64; MAX_FRAMES],
}

/// A lock that others wait for is let go.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// RELEASE.
    pub kind: u8,
    /// 1: `last` is the newest operation of the task with a key, no older than its newest wait,
    /// nor than its release of the same lock before.
    pub has_last: u8,
    /// 1: `outer` is its newest inside of which a task may wait.
    pub has_outer: u8,
    /// 1: `frames` are the innermost [`SHORT_STACK`] only.
    pub is_short: u8,
    /// Index of the site.
    pub site: u32,
    /// CLOCK_MONOTONIC ns.
    pub ts_ns: u64,
    /// Goroutine or thread id.
    pub task: u64,
    /// The goroutine's number; the thread's id elsewhere.
    pub goid: u64,
    /// Address of the lock.
    pub object: u64,
    /// Return address read from the stack top.
    pub caller: u64,
    /// Valid entries of `frames`.
    pub frame_count: u32,
    /// Thread.
    pub tid: u32,
    /// The newest operation of the task.
    pub last: LongOp,
    /// The newest inside of which a task may wait or let go.
    pub outer: LongOp,
    /// Where `last` was made.
    pub last_at: MadeAt,
    /// Valid entries of `live`.
    pub live_count: u64,
    /// The innermost frames by their pointers; `live[0]` is the site's.
    pub live: [LiveFrame; LIVE_FRAMES],
    /// User stack, innermost first.
    pub frames: [u64; MAX_FRAMES],
}

/// The stack of one of many operations.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpStack {
    /// OP_STACK.
    pub kind: u8,
    /// Padding, zero.
    pub pad: [u8; 3],
    /// Index of the site.
    pub site: u32,
    /// Address of the map.
    pub object: u64,
    /// The site's extra value.
    pub aux: u64,
    /// The goroutine's number; the thread's id elsewhere.
    pub goid: u64,
    /// Return address of the operation's function.
    pub caller: u64,
    /// Valid entries of `frames`.
    pub frame_count: u32,
    /// Thread.
    pub tid: u32,
    /// User stack, innermost first.
    pub frames: [u64; MAX_FRAMES],
}

/// A frame of a stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveFrame {
    /// Where execution goes on in its function; the probed instruction in the innermost.
    pub pc: u64,
    /// Its frame pointer: there lies its caller's, and behind that the address that the
    /// caller goes on at.
    pub pointer: u64,
}

/// The frame that made an operation, by the registers that its callee found.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MadeAt {
    /// Its frame pointer (RBP).
    pub pointer: u64,
    /// Where it pushed the return address (RSP).
    pub stack: u64,
}

/// An operation of a task.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Whose it is; 0 while it is being written.
    pub owner: u64,
    /// Number of the window of operations that it fell into.
    pub window: u64,
    /// Where it was made.
    pub at: MadeAt,
    /// The lock that the task has released since, and that others waited for; 0: none.
    pub released: u64,
    /// The operation.
    pub op: LongOp,
}

/// What the kernel side remembers of a task; several tasks may share a slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskSlot {
    /// Task whose wait ended and which has done no operation since; 0: none.
    pub waited: u64,
    /// When that wait ended, CLOCK_MONOTONIC ns.
    pub wait_end_ns: u64,
    /// Number of the window of operations in which it ended; 0: in none. Operations
    /// between its end and the next window were not seen.
    pub wait_window: u64,
    /// Task that is about to wait, and was seen where it began to spin; 0: none.
    pub spinning: u64,
    /// The lock that it spins for.
    pub spin_object: u64,
    /// When it began to, CLOCK_MONOTONIC ns.
    pub spin_ns: u64,
    /// The newest operation.
    pub last: Remembered,
    /// The newest of those inside of which a task may wait: it may do others inside.
    pub outer: Remembered,
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
    /// Beginning of this park, or of the spinning before it, CLOCK_MONOTONIC ns; 0 while
    /// nothing is known.
    pub start_ns: u64,
    /// When the begin site was hit, CLOCK_MONOTONIC ns.
    pub entered_ns: u64,
    /// As in [`Wait`].
    pub wait_ns: u64,
    /// How many parks of the same wait ended before.
    pub part: u64,
    /// Number of the window in which it began where more parks may follow; 0 elsewhere.
    pub window: u64,
    /// The goroutine's number; the thread's id elsewhere.
    pub goid: u64,
    /// Address of the lock, or of the semaphore in it.
    pub object: u64,
    /// Return address read from the stack top.
    pub caller: u64,
    /// How often the task was put to sleep. 0: the semaphore may have been free after all,
    /// and the entry is stale.
    pub parks: u64,
    /// What the thread had gone through when it entered a native function.
    pub switches: Switches,
    /// User stack, innermost first.
    pub frames: [u64; MAX_FRAMES],
}

/// The newest park of a task that has ended; what tells whether the next one is of the
/// same wait.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastPark {
    /// Address of the semaphore; 0 once the task has done what it does not do in the middle
    /// of a wait.
    pub object: u64,
    /// As in [`Wait`].
    pub wait_ns: u64,
    /// When it ended, or the semaphore was entered again since; CLOCK_MONOTONIC ns.
    pub seen_ns: u64,
    /// Number of the window in which its beginning was seen.
    pub window: u64,
    /// How many parks of the same wait ended before it.
    pub part: u64,
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
    assert!(size_of::<CombinedOp>() == 80);
    assert!(size_of::<LongOp>() == 176);
    assert!(size_of::<CombinedLongOp>() == 184);
    assert!(size_of::<Draft>() == 312);
    assert!(size_of::<Wait>() == 72 + 8 * MAX_FRAMES);
    assert!(size_of::<OpOfWait>() == 192 + 8 * MAX_FRAMES);
    assert!(size_of::<Release>() == 432 + 16 * LIVE_FRAMES + 8 * MAX_FRAMES);
    assert!(size_of::<OpStack>() == 48 + 8 * MAX_FRAMES);
    assert!(size_of::<Layout>() == 24);
    assert!(size_of::<Site>() == 112);
    assert!(TASK_SLOTS.is_power_of_two() && TYPE_SLOTS.is_power_of_two());
};
