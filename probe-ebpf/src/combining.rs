//! The tables in which operations on hot keys are counted, two for each CPU.
//!
//! In: an operation. Out: one more in its slot's count, which user space
//! collects from memory that both share, or which goes through the ring where another key
//! takes its place. What is done with a slot is decided in [`probe_ebpf::Resident`].

use core::arch::asm;

use aya_ebpf::{btf_maps::Array, macros::btf_map};
use probe_ebpf::{
    CombinedLongOp, CombinedOp, HINTS, Identifies, Identity, LONG_HINTS, LONG_SLOTS, LongOp,
    MAX_CPUS, Offered, Resident, SHORT_KEY, SLOTS, SLOTS_PER_HINT, ShortOp, Slot, record_kind,
};

use crate::{
    claims::{claim, opaque, release},
    context::MMAPABLE,
    transport::{cpu, submit, try_reserve},
};

/// [`SLOTS`] for each CPU in turn; user space makes it as large as the machine takes.
#[btf_map]
static COMBINED: Array<Slot<Identity>, { SLOTS * MAX_CPUS }, MMAPABLE> = Array::new();

/// [`HINTS`] for each CPU in turn: which slots have counted something.
#[btf_map]
static HINTED: Array<u64, { HINTS * MAX_CPUS }, MMAPABLE> = Array::new();

/// [`LONG_SLOTS`] for each CPU in turn, of long keys.
#[btf_map]
static LONG_COMBINED: Array<Slot<LongOp>, { LONG_SLOTS * MAX_CPUS }, MMAPABLE> = Array::new();

/// [`LONG_HINTS`] for each CPU in turn.
#[btf_map]
static LONG_HINTED: Array<u64, { LONG_HINTS * MAX_CPUS }, MMAPABLE> = Array::new();

/// Counts the operation, if its key has a slot; where not, it is still to be told.
///
/// # Safety
///
/// `record` is an operation's, and whole.
#[inline(always)]
pub(crate) unsafe fn count(record: *const ShortOp) -> bool {
    // SAFETY: see above; a slot is the map's and lives as long as the program, and is
    // nobody else's while it is claimed.
    unsafe {
        // Read anew: verifiers know nothing of what was written there in pieces, so what
        // follows looks the same to them whatever led here.
        let mut words = [0; size_of::<ShortOp>() / 8];
        for (index, word) in words.iter_mut().enumerate() {
            *word = record.cast::<u64>().add(index).read_volatile();
        }
        let Some(identity) = Identity::of_words(words) else { return false };
        let (cpu, index) = (cpu(), identity.index());
        let Some(slot) = COMBINED.get_ptr_mut(cpu * SLOTS as u32 + index) else { return false };
        let hint = || hint(HINTED.get_ptr_mut(cpu * HINTS as u32 + word_of(index)), index);
        count_in(slot, &identity, hint, tell)
    }
}

/// The same of a long key.
///
/// # Safety
///
/// `record` is an operation's, and whole.
#[inline(always)]
pub(crate) unsafe fn count_long(record: *mut LongOp) -> bool {
    // SAFETY: as in `count`.
    unsafe {
        let operation = &*opaque(record);
        if !operation.can_be_combined() {
            return false;
        }
        let (cpu, index) = (cpu(), operation.index());
        let slot = LONG_COMBINED.get_ptr_mut(cpu * LONG_SLOTS as u32 + index);
        let Some(slot) = slot else { return false };
        let word = cpu * LONG_HINTS as u32 + word_of(index);
        count_in(slot, &*opaque(record), || hint(LONG_HINTED.get_ptr_mut(word), index), tell_long)
    }
}

/// Counts the operation in its slot, unless another key has it or somebody uses it.
///
/// # Safety
///
/// `slot` is one.
#[inline(always)]
unsafe fn count_in<I: Identifies>(
    slot: *mut Slot<I>,
    identity: &I,
    hint: impl FnOnce(),
    tell: impl FnOnce(&Resident<I>) -> bool,
) -> bool {
    // SAFETY: see above; nobody else uses what is claimed.
    unsafe {
        if !claim(&raw mut (*slot).claim) {
            return false;
        }
        let resident = &mut (*slot).resident;
        let offered = resident.offer(identity);
        match offered {
            Offered::Counted { is_first: true } => hint(),
            Offered::Evicts if tell(resident) => resident.replace(identity),
            _ => {}
        }
        release(&raw mut (*slot).claim);
        matches!(offered, Offered::Counted { .. })
    }
}

/// The word among a CPU's hints that is about a slot.
#[inline(always)]
fn word_of(index: u32) -> u32 {
    index / SLOTS_PER_HINT as u32
}

/// Says that the slot has something for user space. While it is claimed: who sees the hint
/// finds the count.
#[inline(always)]
fn hint(word: Option<*mut u64>, index: u32) {
    let Some(word) = word else { return };
    let bit = 1_u64 << (index % SLOTS_PER_HINT as u32);
    // SAFETY: an aligned word of the map's. By hand because this target's `AtomicU64` has no
    // `fetch_or`.
    unsafe { asm!("lock *(u64 *)({0} + 0) |= {1}", in(reg) word, in(reg) bit) };
}

/// Tells what a slot has counted, before another key takes it. Where there is no room for
/// that the key stays, and nothing is lost.
#[inline(always)]
fn tell(resident: &Resident<Identity>) -> bool {
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

/// The same of a long key.
#[inline(always)]
fn tell_long(resident: &Resident<LongOp>) -> bool {
    if resident.count == 0 {
        return true;
    }
    let Ok(mut entry) = try_reserve::<CombinedLongOp>() else { return false };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is large enough.
    unsafe {
        resident.identity.copy_to(&raw mut (*record).op);
        (*record).op.head.kind = record_kind::COMBINED_LONG_OP;
        (*record).count = u64::from(resident.count);
    }
    submit(entry);
    true
}
