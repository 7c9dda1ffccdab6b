//! The tables in which operations on hot keys are counted, one for each CPU.
//!
//! In: an operation. Out: one more in its slot's count, which user space
//! collects from memory that both share, or which goes through the ring where another key
//! takes its place. What is done with a slot is decided in [`probe_ebpf::Resident`].

use core::{
    arch::asm,
    sync::atomic::{Ordering, compiler_fence},
};

use aya_ebpf::{btf_maps::Array, macros::btf_map};
use probe_ebpf::{
    CombinedOp, HINTS, Identity, MAX_CPUS, Offered, OpHead, Resident, SHORT_KEY, SLOT_KEY, SLOTS,
    SLOTS_PER_HINT, Slot, record_kind,
};

use crate::{
    context::MMAPABLE,
    transport::{cpu, submit, try_reserve},
};

/// [`SLOTS`] for each CPU in turn; user space makes it as large as the machine takes.
#[btf_map]
static COMBINED: Array<Slot, { SLOTS * MAX_CPUS }, MMAPABLE> = Array::new();

/// [`HINTS`] for each CPU in turn: which slots have counted something.
#[btf_map]
static HINTED: Array<u64, { HINTS * MAX_CPUS }, MMAPABLE> = Array::new();

/// Counts the operation, if its key has a slot; where not, it is still to be told.
///
/// # Safety
///
/// `key` has [`SLOT_KEY`] words.
#[inline(always)]
pub(crate) unsafe fn count(head: &OpHead, key: *const u64) -> bool {
    // SAFETY: see above; a slot is the map's and lives as long as the program, and is
    // nobody else's while it is claimed.
    unsafe {
        let key = key.cast::<[u64; SLOT_KEY]>().read_volatile();
        let Some(identity) = Identity::of(head, key) else { return false };
        let (cpu, index) = (cpu(), identity.index());
        let Some(slot) = COMBINED.get_ptr_mut(cpu * SLOTS as u32 + index) else { return false };
        if !claim(slot) {
            return false;
        }
        let resident = &mut (*slot).resident;
        let offered = resident.offer(&identity);
        match offered {
            Offered::Counted { is_first: true } => hint(cpu, index),
            Offered::Evicts if tell(resident) => resident.replace(&identity),
            _ => {}
        }
        release(slot);
        matches!(offered, Offered::Counted { .. })
    }
}

/// Takes a slot, unless somebody has it.
///
/// # Safety
///
/// `slot` is one.
#[inline(always)]
unsafe fn claim(slot: *mut Slot) -> bool {
    let mut was = 1_u64;
    // SAFETY: an aligned word, see above. By hand because this target's `AtomicU64` has no
    // `swap`; the kernel has it since 5.12.
    unsafe {
        asm!("{0} = xchg_64({1} + 0, {0})", inout(reg) was, in(reg) &raw mut (*slot).claim);
    }
    was == 0
}

/// Gives it back. On this processor stores are seen in the order of the program.
///
/// # Safety
///
/// `slot` is claimed.
#[inline(always)]
unsafe fn release(slot: *mut Slot) {
    compiler_fence(Ordering::SeqCst);
    // SAFETY: see above.
    unsafe { (&raw mut (*slot).claim).write_volatile(0) };
}

/// Says that the slot has something for user space. While it is claimed: who sees the hint
/// finds the count.
#[inline(always)]
fn hint(cpu: u32, index: u32) {
    let Some(hint) = HINTED.get_ptr_mut(cpu * HINTS as u32 + index / SLOTS_PER_HINT as u32) else {
        return;
    };
    let bit = 1_u64 << (index % SLOTS_PER_HINT as u32);
    // SAFETY: an aligned word of the map's; as in `claim`.
    unsafe { asm!("lock *(u64 *)({0} + 0) |= {1}", in(reg) hint, in(reg) bit) };
}

/// Tells what a slot has counted, before another key takes it. Where there is no room for
/// that the key stays, and nothing is lost.
#[inline(always)]
fn tell(resident: &Resident) -> bool {
    if resident.count == 0 {
        return true;
    }
    let Ok(mut entry) = try_reserve::<CombinedOp>() else { return false };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is large enough.
    unsafe {
        (*record).head = resident.identity.head(record_kind::COMBINED_OP);
        let words = (&raw mut (*record).key).cast::<u64>();
        for word in 0..SHORT_KEY / 8 {
            words.add(word).write(resident.identity.key[word]);
        }
        (*record).count = u64::from(resident.count);
    }
    submit(entry);
    true
}
