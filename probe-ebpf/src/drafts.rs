//! Where records of long keys are made: the stack has no room for them.
//!
//! In: nothing. Out: a place for a [`Draft`], and what becomes of what was made there: one
//! more in the count of a hot key, or a [`LongOp`] in the ring.

use core::{arch::asm, mem, ptr};

use aya_ebpf::{btf_maps::Array, macros::btf_map};
use probe_ebpf::{CALLER_NOT_SAMPLED, Draft, LONG_KEY, LongOp, MAX_CPUS, SCRATCHES};

use crate::{
    claims::{self, opaque},
    combining,
    context::thread,
    transport::{cpu, reserve, submit, submit_at},
};

/// A draft that may come to nothing.
#[repr(C)]
struct Scratch {
    /// 0: nobody's; 1: somebody uses it.
    claim: u64,
    /// What is there is of an earlier operation.
    draft: Draft,
}

/// Words from a scratch's claim to its draft.
const CLAIM_BEFORE: usize = mem::offset_of!(Scratch, draft) / 8;

/// [`SCRATCHES`] for each CPU in turn; user space makes it as large as the machine takes.
#[btf_map]
static SCRATCH: Array<Scratch, { SCRATCHES * MAX_CPUS }> = Array::new();

/// Claims a scratch of this CPU; null where a probe that was interrupted has it. It must be
/// submitted.
#[inline(always)]
pub(crate) fn claim_scratch() -> *mut Draft {
    let index = cpu() * SCRATCHES as u32 + thread() % SCRATCHES as u32;
    let Some(scratch) = SCRATCH.get_ptr_mut(index) else { return ptr::null_mut() };
    // SAFETY: the map's value lives as long as the program, and is nobody else's once it is
    // claimed.
    unsafe {
        if !claims::claim(&raw mut (*scratch).claim) {
            return ptr::null_mut();
        }
        let draft = &raw mut (*scratch).draft;
        // Keys that are equal should be so to their ends. Word by word: an array's zeroes
        // would be a call.
        let key = (&raw mut (*draft).key).cast::<u64>();
        for word in 0..LONG_KEY / 8 {
            key.add(word).write_volatile(0);
        }
        draft
    }
}

/// Counts the operation, or tells it.
///
/// # Safety
///
/// `draft` is a scratch that was claimed, and is not used any more.
#[inline(always)]
pub(crate) unsafe fn submit_scratch(draft: *mut Draft, caller: u64) {
    // SAFETY: see above; a draft begins as the record does.
    unsafe {
        let record = draft.cast::<LongOp>();
        if (caller != CALLER_NOT_SAMPLED || !combining::count_long(record))
            && let Some(mut entry) = reserve::<LongOp>()
        {
            (*opaque(record)).copy_to(entry.as_mut_ptr());
            submit(entry);
        }
        claims::release(draft.cast::<u64>().sub(CLAIM_BEFORE));
    }
}

/// A draft in a scratch, or else in the ring.
pub(crate) struct Place {
    pub(crate) draft: *mut Draft,
    /// 1: it is in the ring, and will be told, hot or not.
    in_ring: u64,
}

/// A number of which the compiler must not conclude where it is from: it would look there
/// instead, and verifiers before 6.8 do not remember what a number was compared with.
macro_rules! number {
    ($of:literal, $why:literal) => {{
        let mut number: u64 = $of;
        // SAFETY: no instruction at all. With a text of its own, lest two become one.
        unsafe { asm!(concat!("/* {0}: ", $why, " */"), inout(reg) number, options(nomem, nostack)) };
        number
    }};
}

impl Place {
    /// One for an operation; it must be submitted. `None`, and counted as lost, where even the
    /// ring is full.
    #[inline(always)]
    pub(crate) fn find() -> Option<Self> {
        let draft = claim_scratch();
        if !draft.is_null() {
            return Some(Self { draft, in_ring: number!(0, "in a scratch") });
        }
        let draft = reserve::<Draft>()?.as_mut_ptr();
        Some(Self { draft, in_ring: number!(1, "in the ring") })
    }

    /// Counts the operation, or tells it.
    #[inline(always)]
    pub(crate) fn submit(self, caller: u64) {
        // SAFETY: what was reserved is in the ring, and a claimed scratch anywhere else.
        unsafe {
            if self.in_ring != 0 {
                submit_at(self.draft);
            } else {
                submit_scratch(self.draft, caller);
            }
        }
    }
}
