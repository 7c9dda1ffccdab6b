//! Calls of native functions that return once they have their lock.
//!
//! In: hits where such a function is entered and where it returns. Out: a wait for each
//! call in which the thread waited, and counts of all calls by what became of them.

use aya_ebpf::{
    EbpfContext, Global,
    btf_maps::Array,
    helpers::{
        bpf_probe_read_kernel,
        generated::{bpf_get_current_task, bpf_get_smp_processor_id},
    },
    macros::btf_map,
};
use probe_ebpf::{Call, MAX_CPUS, MAX_SITES, Switches};

use crate::{
    context::{Hit, MMAPABLE, gates, now},
    locks,
};

/// Offsets of `nvcsw` and `nivcsw` in this kernel's `task_struct`, which user space writes
/// before it loads; 0: not known.
#[unsafe(no_mangle)]
static ASLEEP_AT: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static PREEMPTED_AT: Global<u32> = Global::new(0);

/// Calls of each site on each CPU by [`Call`]: [`MAX_SITES`] times that for each CPU in
/// turn. User space makes it as large as the machine takes, and maps it into its memory.
#[btf_map]
static CALLS: Array<u64, { Call::ALL.len() * MAX_SITES * MAX_CPUS }, MMAPABLE> = Array::new();

/// A call begins.
#[inline(always)]
pub(crate) fn enter<C: EbpfContext>(ctx: &C, hit: &Hit) {
    let id = locks::call_id(hit.cookie);
    if gates().locks == 0 {
        // Lest the end of this call be taken for that of one that never returned.
        locks::forget(id);
        return;
    }
    locks::begin(ctx, hit, id);
    if let Some(open) = locks::open(id) {
        // SAFETY: the thread's own entry, which nobody else writes.
        unsafe { (*open).switches = switches() };
    }
}

/// A call returns. Its site follows that of the entry.
#[inline(always)]
pub(crate) fn leave<C: EbpfContext>(ctx: &C, hit: &Hit) {
    let now_ns = now();
    let entry = hit.cookie.wrapping_sub(1);
    let id = locks::call_id(entry);
    let Some(open) = locks::open(id) else { return };
    // SAFETY: as above.
    let (start_ns, before) = unsafe { ((*open).start_ns, (*open).switches) };
    let lasted_ns = now_ns.saturating_sub(start_ns).saturating_sub(u64::from(hit.site.call_ns));
    let call = Call::of(hit.site, before, switches(), lasted_ns);
    count(entry, call);
    if call.is_wait() {
        locks::end(ctx, id, hit.task(), start_ns + lasted_ns);
    } else {
        locks::forget(id);
    }
}

/// What the current thread has gone through.
#[inline(always)]
fn switches() -> Switches {
    let (asleep_at, preempted_at) = (ASLEEP_AT.load(), PREEMPTED_AT.load());
    if asleep_at == 0 || preempted_at == 0 {
        return Switches::default();
    }
    // SAFETY: takes nothing.
    let task = unsafe { bpf_get_current_task() };
    let read = |at: u32| {
        let address = task.wrapping_add(u64::from(at)) as *const u64;
        // SAFETY: the helper checks the address and fails on a bad one.
        unsafe { bpf_probe_read_kernel(address) }.unwrap_or(0)
    };
    Switches { asleep: read(asleep_at), preempted: read(preempted_at) }
}

/// Counts a call. A preempted probe may count one too few, of thousands.
#[inline(always)]
fn count(site: u32, call: Call) {
    // SAFETY: takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let index = (cpu * MAX_SITES as u32 + site) * Call::ALL.len() as u32 + call as u32;
    if let Some(calls) = CALLS.get_ptr_mut(index) {
        // SAFETY: the map's value lives as long as the program.
        unsafe { *calls += 1 };
    }
}
