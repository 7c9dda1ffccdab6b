//! Lock waits: from wanting a contended lock to going on.
//!
//! In: hits where a wait begins and ends. Out: a [`Wait`] record per finished
//! wait; the table of open ones.

use aya_ebpf::{
    EbpfContext,
    btf_maps::{Array, HashMap},
    helpers::generated::bpf_get_stack,
    macros::btf_map,
};
use aya_log_ebpf::debug;
use probe_ebpf::{Loss, MAX_FRAMES, MAX_WAITERS, OpenWait, Rewait, Wait, record_kind};

use crate::{
    context::{Hit, now, thread},
    transport::{lose, reserve, submit},
};

/// `BPF_F_USER_STACK`, include/uapi/linux/bpf.h.
const USER_STACK: u64 = 1 << 8;

/// Waits that have begun, by goroutine or by [`call_id`].
#[btf_map]
static WAITS: HashMap<u64, OpenWait, MAX_WAITERS> = HashMap::new();

/// A wait of which nothing is known yet: `start_ns` 0 tells readers to skip it.
#[btf_map]
static BLANK: Array<OpenWait, 1> = Array::new();

/// Names a call in progress: a thread is in one call of a lock function at a time.
#[inline(always)]
pub(crate) fn call_id(site: u32) -> u64 {
    u64::from(thread()) | u64::from(site) << 32
}

/// Opens the wait of `task`; replaces one that ended without being seen (a
/// semaphore that was free after all).
#[inline(always)]
pub(crate) fn begin<C: EbpfContext>(ctx: &C, hit: &Hit, task: u64) {
    let start_ns = now();
    let Some(object) = hit.value(&hit.site.object) else {
        lose(Loss::LockUnreadable);
        return;
    };
    // A Go bool is the register's low byte; the rest of it is undefined.
    let aux = hit.value(&hit.site.aux).unwrap_or(0) & 0xff;
    if aux != 0 {
        rewait(hit, task, object, start_ns);
    }
    // Filled in place: with its stack, the value is too large for the BPF stack.
    let Some(blank) = BLANK.get(0) else { return };
    if WAITS.insert(&task, blank, 0).is_err() {
        lose(Loss::WaitTableFull);
        return;
    }
    let Some(open) = WAITS.get_ptr_mut(&task) else { return };
    // SAFETY: the value is the map's, of the size given; nobody else removes or
    // writes the task's own entry while the task is here.
    unsafe {
        (*open).site = hit.cookie;
        (*open).object = object;
        (*open).aux = aux;
        (*open).caller = hit.caller();
        let frames = (&raw mut (*open).frames).cast();
        let bytes = bpf_get_stack(ctx.as_ptr(), frames, (MAX_FRAMES * 8) as u32, USER_STACK);
        (*open).frame_count = if bytes > 0 { bytes as u32 / 8 } else { 0 };
        (*open).start_ns = start_ns;
    }
    debug!(ctx, "wait begins: task {:x} lock {:x} again {}", task, object, aux);
}

/// Says that the wait recorded last was not the end.
#[inline(always)]
fn rewait(hit: &Hit, task: u64, object: u64, ts_ns: u64) {
    let Some(mut entry) = reserve::<Rewait>() else { return };
    entry.write(Rewait {
        kind: record_kind::REWAIT,
        pad: [0; 3],
        site: hit.cookie,
        ts_ns,
        task,
        object,
    });
    submit(entry);
}

/// Notes that `task` is put to sleep: its open wait is a real one.
#[inline(always)]
pub(crate) fn park(task: u64) {
    if let Some(open) = WAITS.get_ptr_mut(&task) {
        // SAFETY: the task's own entry, which nobody else writes.
        unsafe { (*open).parks += 1 };
    }
}

/// Closes the wait of `task`, if it has one.
#[inline(always)]
pub(crate) fn end<C: EbpfContext>(ctx: &C, task: u64) {
    let end_ns = now();
    let Some(open) = WAITS.get_ptr(&task) else { return };
    if let Some(mut entry) = reserve::<Wait>() {
        let record = entry.as_mut_ptr();
        // SAFETY: the reservation is large enough and wholly written; the value
        // stays in place until removed below.
        unsafe {
            (*record).kind = record_kind::WAIT;
            (*record).pad = [0; 3];
            (*record).site = (*open).site;
            (*record).start_ns = (*open).start_ns;
            (*record).end_ns = end_ns;
            (*record).task = task;
            (*record).object = (*open).object;
            (*record).aux = (*open).aux;
            (*record).caller = (*open).caller;
            (*record).frame_count = (*open).frame_count;
            (*record).tid = thread();
            (*record).frames = (*open).frames;
        }
        submit(entry);
    }
    let _ = WAITS.remove(&task);
    debug!(ctx, "wait ends: task {:x}", task);
}
