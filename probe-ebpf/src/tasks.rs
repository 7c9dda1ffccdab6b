//! What is remembered of a task between two hits: its newest operation, and the
//! wait that has no operation yet.
//!
//! In: operations and ends of waits. Out: the operation that a wait belongs to. A
//! direct-mapped table: two tasks in one slot push each other out, which costs an
//! attribution and never invents one.

use core::sync::atomic::{Ordering, compiler_fence};

use aya_ebpf::{EbpfContext, btf_maps::Array, helpers::generated::bpf_get_stack, macros::btf_map};
use probe_ebpf::{
    LongOp, MAX_FRAMES, MadeAt, OpHead, OpOfWait, Remembered, SHORT_KEY, ShortOp, TASK_SLOTS,
    TaskSlot, record_kind,
};

use crate::transport::{reserve, submit};

/// `BPF_F_USER_STACK`, include/uapi/linux/bpf.h.
const USER_STACK: u64 = 1 << 8;

/// The slots, by [`index`].
#[btf_map]
static TASKS: Array<TaskSlot, TASK_SLOTS> = Array::new();

/// Fibonacci hashing: tasks are addresses of equal objects, or small numbers.
#[inline(always)]
fn index(task: u64) -> u32 {
    (task.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TASK_SLOTS.trailing_zeros())) as u32
}

/// Where the task is remembered.
#[inline(always)]
pub(crate) fn slot(task: u64) -> Option<*mut TaskSlot> {
    TASKS.get_ptr_mut(index(task))
}

/// Remembers the newest operation of `task`, in this window: a record's head and the first
/// `KEY_WORDS` words of its key.
///
/// # Safety
///
/// `place` is in one of [`slot`]'s, `record` an operation's record of at least that size.
#[inline(always)]
pub(crate) unsafe fn remember<const KEY_WORDS: usize>(
    place: *mut Remembered,
    task: u64,
    window: u64,
    at: MadeAt,
    record: *const u64,
) {
    // SAFETY: both sides are large enough; see above. Volatile, lest the loop become
    // a call of memcpy.
    unsafe {
        // Whoever reads meanwhile sees that nobody's operation is complete.
        (&raw mut (*place).owner).write_volatile(0);
        compiler_fence(Ordering::SeqCst);
        (*place).window = window;
        (*place).at = at;
        (*place).released = 0;
        let to = (&raw mut (*place).op).cast::<u64>();
        for word in 0..size_of::<OpHead>() / 8 + KEY_WORDS {
            to.add(word).write_volatile(record.add(word).read_volatile());
        }
        compiler_fence(Ordering::SeqCst);
        (&raw mut (*place).owner).write_volatile(task);
    }
}

/// Forgets the newest operation of whoever is in the slot: one without a key came after it.
#[inline(always)]
pub(crate) fn forget(task: u64) {
    if let Some(slot) = slot(task) {
        // SAFETY: the slot is the map's and lives as long as the program.
        unsafe { (&raw mut (*slot).last.owner).write_volatile(0) };
    }
}

/// Copies a remembered operation, where it is still that of `task` and of this window:
/// what was done in between windows is not known.
///
/// # Safety
///
/// `place` is in one of [`slot`]'s, and `to` has room.
#[inline(always)]
pub(crate) unsafe fn recall(
    place: *const Remembered,
    task: u64,
    window: u64,
    to: *mut LongOp,
) -> bool {
    // SAFETY: see above.
    unsafe {
        if window == 0 || (*place).owner != task || (*place).window != window {
            return false;
        }
        let from = (&raw const (*place).op).cast::<u64>();
        let to = to.cast::<u64>();
        for word in 0..size_of::<ShortOp>() / 8 {
            to.add(word).write_volatile(from.add(word).read_volatile());
        }
        if (*place).op.head.carried as usize > SHORT_KEY {
            for word in size_of::<ShortOp>() / 8..size_of::<LongOp>() / 8 {
                to.add(word).write_volatile(from.add(word).read_volatile());
            }
        }
        compiler_fence(Ordering::SeqCst);
        (&raw const (*place).owner).read_volatile() == task
    }
}

/// Writes a record's kind and the padding behind it. In one go: zeroing three bytes would
/// be a call, for whose stack there is no room.
///
/// # Safety
///
/// `record` begins with both.
#[inline(always)]
pub(crate) unsafe fn set_kind(record: *mut u32, kind: u8) {
    // SAFETY: see above.
    unsafe { record.write(u32::from(kind)) };
}

/// Says that a remembered operation of `task` belongs to one of its waits.
#[inline(always)]
pub(crate) fn tell(place: *const Remembered, task: u64, window: u64, kind: u8, wait_ns: u64) {
    tell_with(place, task, window, kind, wait_ns, |_| 0);
}

#[inline(always)]
fn tell_with(
    place: *const Remembered,
    task: u64,
    window: u64,
    kind: u8,
    wait_ns: u64,
    stack: impl FnOnce(*mut u64) -> u32,
) {
    let Some(mut entry) = reserve::<OpOfWait>() else { return };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is large enough; frames are only read up to their count.
    let whole = unsafe {
        set_kind(record.cast(), kind);
        (*record).wait_ns = wait_ns;
        (*record).frame_count = stack((&raw mut (*record).frames).cast());
        recall(place, task, window, &raw mut (*record).op)
    };
    if whole {
        submit(entry);
    } else {
        entry.discard(0);
    }
}

/// The user stack, innermost first; how many frames.
#[inline(always)]
pub(crate) fn read_stack<C: EbpfContext>(ctx: &C, frames: *mut u64) -> u32 {
    // SAFETY: callers give room for MAX_FRAMES.
    let bytes =
        unsafe { bpf_get_stack(ctx.as_ptr(), frames.cast(), (MAX_FRAMES * 8) as u32, USER_STACK) };
    if bytes > 0 { bytes as u32 / 8 } else { 0 }
}

/// Whether the operation just remembered is the first after a wait that ended in the same
/// window; once.
#[inline(always)]
pub(crate) fn tell_if_first_after_wait<C: EbpfContext>(
    ctx: &C,
    slot: *mut TaskSlot,
    task: u64,
    window: u64,
) {
    // SAFETY: the slot is the map's and lives as long as the program.
    unsafe {
        if (*slot).waited == task {
            (*slot).waited = 0;
            if (*slot).wait_window != window {
                return;
            }
            let wait_ns = (*slot).wait_end_ns;
            let kind = record_kind::AFTER_WAIT;
            tell_with(&raw const (*slot).last, task, window, kind, wait_ns, |frames| {
                read_stack(ctx, frames)
            });
        }
    }
}
