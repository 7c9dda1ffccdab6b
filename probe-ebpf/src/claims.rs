//! What only one probe at a time may use: a slot's count, or a place where a record is made.
//!
//! In: the word that says whose it is. Out: whether it could be had. Nobody waits: a probe may
//! have interrupted the one that has it.

use core::{
    arch::asm,
    sync::atomic::{Ordering, compiler_fence},
};

/// The same pointer, of which the compiler knows nothing: otherwise it works out the addresses
/// of all words behind it once, and has no room to keep them.
#[inline(always)]
pub(crate) fn opaque<T>(mut pointer: *mut T) -> *mut T {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Takes what the word is about, unless somebody has it.
///
/// # Safety
///
/// `word` is an aligned one of a map's.
#[inline(always)]
pub(crate) unsafe fn claim(word: *mut u64) -> bool {
    let mut was = 1_u64;
    // SAFETY: see above. By hand because this target's `AtomicU64` has no `swap`; the kernel
    // has it since 5.12.
    unsafe { asm!("{0} = xchg_64({1} + 0, {0})", inout(reg) was, in(reg) word) };
    was == 0
}

/// Gives it back. On this processor stores are seen in the order of the program.
///
/// # Safety
///
/// The word is claimed.
#[inline(always)]
pub(crate) unsafe fn release(word: *mut u64) {
    compiler_fence(Ordering::SeqCst);
    // SAFETY: see above.
    unsafe { word.write_volatile(0) };
}
