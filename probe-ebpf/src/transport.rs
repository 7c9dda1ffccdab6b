//! The way out: one ring per CPU, written without wake-ups, and counters for
//! what did not get through.
//!
//! In: the size of a record. Out: room for it in this CPU's ring, or a counted loss.

use core::arch::asm;

use aya_ebpf::{
    btf_maps::{ArrayOfMaps, PerCpuArray, RingBuf},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ringbuf_submit},
    macros::btf_map,
    maps::ring_buf::RingBufEntry,
};
use probe_ebpf::{COUNTERS, Loss, MAX_CPUS, RING_TEMPLATE_BYTES};

/// `BPF_RB_NO_WAKEUP`, include/uapi/linux/bpf.h: user space drains by the clock,
/// for a wake-up would run in the traced thread.
const NO_WAKEUP: u64 = 1;

/// One ring per CPU; user space puts them in and chooses their size.
#[btf_map]
static RINGS: ArrayOfMaps<RingBuf<u64, RING_TEMPLATE_BYTES>, MAX_CPUS> = ArrayOfMaps::new();

/// By [`Loss`], then [`probe_ebpf::COUNTER_SKIPPED`].
#[btf_map]
static COUNTS: PerCpuArray<u64, { COUNTERS as usize }> = PerCpuArray::new();

/// Room for one record; a failure is counted.
#[inline(always)]
pub(crate) fn reserve<T: 'static>() -> Option<RingBufEntry<T>> {
    match try_reserve() {
        Ok(entry) => Some(entry),
        Err(reason) => {
            lose(reason);
            None
        }
    }
}

/// Room for one record of what is not lost without it.
#[inline(always)]
pub(crate) fn try_reserve<T: 'static>() -> Result<RingBufEntry<T>, Loss> {
    let Some(ring) = RINGS.get(cpu()) else { return Err(Loss::NoRing) };
    ring.reserve_untyped::<T>(0).ok_or(Loss::RingFull)
}

/// The CPU that a program runs on, from its beginning to its end.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: takes nothing.
    unsafe { bpf_get_smp_processor_id() }
}

/// Hands the record over.
#[inline(always)]
pub(crate) fn submit<T>(entry: RingBufEntry<T>) {
    entry.submit(NO_WAKEUP);
}

/// The same of what was reserved there.
///
/// # Safety
///
/// `record` was reserved, and is not used any more.
#[inline(always)]
pub(crate) unsafe fn submit_at<T>(record: *mut T) {
    // SAFETY: see above.
    unsafe { bpf_ringbuf_submit(record.cast(), NO_WAKEUP) };
}

/// Counts a loss.
#[inline(always)]
pub(crate) fn lose(reason: Loss) {
    count(reason as u32);
}

/// Adds one to a counter. Atomic although it is per CPU: a preempted probe may
/// be interrupted by another on the same CPU.
#[inline(always)]
pub(crate) fn count(counter: u32) {
    if let Some(count) = COUNTS.get_ptr_mut(counter) {
        // SAFETY: the map's values are aligned u64s that live as long as the
        // program. By hand because this target's `AtomicU64` has no `fetch_add`.
        unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) count, in(reg) 1u64) };
    }
}
