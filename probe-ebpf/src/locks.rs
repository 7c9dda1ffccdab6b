//! Lock waits: from wanting a contended lock to going on.
//!
//! In: hits where a wait begins and ends. Out: a [`Wait`] record per finished
//! wait; the table of open ones.

use aya_ebpf::{
    EbpfContext,
    btf_maps::{Array, HashMap, LruHashMap},
    macros::btf_map,
};
use aya_log_ebpf::debug;
use probe_ebpf::{
    LIVE_FRAMES, LastPark, LiveFrame, Loss, MAX_WAITERS, OpenWait, Reg, Release, SHORT_STACK,
    STACKS_PER_TICK, SemaEntry, TaskSlot, Wait, record_kind, site_flags,
};

use crate::{
    context::{Counted, Hit, gates, now, number_in_tick, read, thread},
    tasks,
    transport::{lose, reserve, submit},
};

/// Where the semaphore lies in the lock that a task spins for before it waits for the
/// semaphore: `sema` in sync.Mutex, behind `state` (internal/sync/mutex.go).
const SEMA_IN_SPUN_LOCK: u64 = 4;

/// Waits that have begun, by goroutine or by [`call_id`].
#[btf_map]
static WAITS: HashMap<u64, OpenWait, MAX_WAITERS> = HashMap::new();

/// A wait of which nothing is known yet: `start_ns` 0 tells readers to skip it.
#[btf_map]
static BLANK: Array<OpenWait, 1> = Array::new();

/// The newest park that ended, by goroutine: its wait may go on. What is pushed out costs
/// the tie between two parks.
#[btf_map]
static PARKS: LruHashMap<u64, LastPark, MAX_WAITERS> = LruHashMap::new();
/// The wait that is open under this name.
#[inline(always)]
pub(crate) fn open(id: u64) -> Option<*mut OpenWait> {
    WAITS.get_ptr_mut(&id)
}

/// Forgets the wait of this name: it was none.
#[inline(always)]
pub(crate) fn forget(id: u64) {
    let _ = WAITS.remove(&id);
}

/// Names a call in progress: a thread is in one call of a lock function at a time.
#[inline(always)]
pub(crate) fn call_id(site: u32) -> u64 {
    u64::from(thread()) | u64::from(site) << 32
}

/// Opens the wait `id` of the hit's task; replaces one that ended without being seen (a
/// semaphore that was free after all).
#[inline(always)]
pub(crate) fn begin<C: EbpfContext>(ctx: &C, hit: &Hit, id: u64) {
    let gates = gates();
    if gates.locks == 0 {
        return;
    }
    let task = hit.task();
    let entered_ns = now();
    let Some(object) = hit.value(&hit.site.object) else {
        lose(Loss::LockUnreadable);
        return;
    };
    let mut start_ns = entered_ns;
    // Of what waits in parks, only the semaphore has a value of its own.
    let window = if hit.site.aux.is_present() { gates.locks } else { 0 };
    // A Go bool is the register's low byte; the rest of it is undefined.
    let lifo = hit.value(&hit.site.aux).unwrap_or(0) & 0xff != 0;
    let entry = SemaEntry { object, lifo, window, now_ns: entered_ns };
    let before = if window == 0 { None } else { goes_on(task, &entry) };
    let (wait_ns, part) = if let Some(before) = before {
        before
    } else {
        if let Some(slot) = tasks::slot(task) {
            start_ns = spinning_since(slot, task, object).unwrap_or(start_ns);
            tell_operation(slot, task, gates.maps, start_ns);
        }
        (start_ns, 0)
    };
    // Filled in place: with its stack, the value is too large for the BPF stack.
    let Some(blank) = BLANK.get(0) else { return };
    if WAITS.insert(&id, blank, 0).is_err() {
        lose(Loss::WaitTableFull);
        return;
    }
    let Some(open) = WAITS.get_ptr_mut(&id) else { return };
    // SAFETY: the value is the map's, of the size given; nobody else removes or
    // writes the task's own entry while the task is here.
    unsafe {
        (*open).site = hit.cookie;
        (*open).goid = hit.goid(task);
        (*open).object = object;
        (*open).entered_ns = entered_ns;
        (*open).wait_ns = wait_ns;
        (*open).part = part;
        (*open).window = window;
        (*open).caller = hit.caller();
        (*open).frame_count = tasks::read_stack(ctx, (&raw mut (*open).frames).cast());
        (*open).parks = u64::from(hit.site.flags & site_flags::IS_PARK != 0);
        (*open).start_ns = start_ns;
    }
    debug!(ctx, "wait begins: task {:x} lock {:x} parts before {}", task, object, part);
}

/// The beginning of the wait that goes on with this entry, and its parks so far. Where none
/// does, the newest park was its wait's last.
#[inline(always)]
fn goes_on(task: u64, entry: &SemaEntry) -> Option<(u64, u64)> {
    let mut found = None;
    // An entry that came to no park. Whether one call goes on from there is told by `lifo`.
    if entry.lifo
        && let Some(open) = WAITS.get_ptr(&task)
    {
        // SAFETY: the task's own entry, which nobody else writes.
        let before = unsafe {
            LastPark {
                object: (*open).object,
                wait_ns: (*open).wait_ns,
                seen_ns: (*open).entered_ns,
                window: (*open).window,
                part: (*open).part,
            }
        };
        if entry.goes_on(&before) {
            found = Some((before.wait_ns, before.part));
        }
    }
    if let Some(last) = PARKS.get_ptr_mut(&task) {
        // SAFETY: as above.
        unsafe {
            if found.is_none() && entry.goes_on(&*last) {
                found = Some(((*last).wait_ns, (*last).part + 1));
            }
            match found {
                Some((wait_ns, _)) if wait_ns == (*last).wait_ns => (*last).seen_ns = entry.now_ns,
                _ => (*last).object = 0,
            }
        }
    }
    found
}

/// Since when the task has spun for the lock that it now waits for; forgotten then.
#[inline(always)]
fn spinning_since(slot: *mut TaskSlot, task: u64, sema: u64) -> Option<u64> {
    // SAFETY: the slot is the map's and lives as long as the program.
    unsafe {
        if (*slot).spinning != task || sema.wrapping_sub((*slot).spin_object) != SEMA_IN_SPUN_LOCK {
            return None;
        }
        (*slot).spinning = 0;
        Some((*slot).spin_ns)
    }
}

/// Notes that `task` begins to spin for a lock.
#[inline(always)]
pub(crate) fn spin(hit: &Hit, task: u64) {
    let Some(slot) = tasks::slot(task) else { return };
    // SAFETY: the slot is the map's and lives as long as the program.
    unsafe {
        (*slot).spin_ns = now();
        (*slot).spin_object = hit.value(&hit.site.object).unwrap_or(0);
        (*slot).spinning = task;
    }
}

/// Tells the operation that the wait may be inside of: whether it is, the wait's stack
/// tells.
#[inline(always)]
fn tell_operation(slot: *const TaskSlot, task: u64, window: u64, wait_ns: u64) {
    // SAFETY: the slot is the map's and lives as long as the program.
    unsafe {
        if (*slot).outer.owner == task {
            let kind = record_kind::INSIDE_OP;
            tasks::tell(&raw const (*slot).outer, task, window, kind, wait_ns);
        }
    }
}

/// A lock that others want is let go.
#[inline(always)]
pub(crate) fn release<C: EbpfContext>(ctx: &C, hit: &Hit, task: u64) {
    let ts_ns = now();
    let Some(object) = hit.value(&hit.site.object) else {
        lose(Loss::LockUnreadable);
        return;
    };
    if let Some(last) = PARKS.get_ptr_mut(&task) {
        // SAFETY: the task's own entry, which nobody else writes.
        unsafe { (*last).object = 0 };
    }
    let Some(slot) = tasks::slot(task) else { return };
    let window = gates().maps;
    let Some(mut entry) = reserve::<Release>() else { return };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is large enough; frames are only read up to their count.
    unsafe {
        (*record).kind = record_kind::RELEASE;
        (*record).site = hit.cookie;
        (*record).ts_ns = ts_ns;
        (*record).task = task;
        (*record).goid = hit.goid(task);
        (*record).object = object;
        (*record).caller = hit.caller();
        (*record).tid = thread();
        // What was done before the task waited was not done with what it waited for, and what
        // was done before it released this lock not since it took it again.
        let last = &raw mut (*slot).last;
        let is_stale = (*slot).waited == task || (*last).released == object;
        let to = &raw mut (*record).last;
        let has_last = !is_stale && tasks::recall(last, task, window, to);
        (*record).has_last = u8::from(has_last);
        if has_last {
            (*record).last_at = (*last).at;
        }
        if hit.site.flags & site_flags::ENDS_HOLD != 0 {
            (*last).released = object;
        }
        let (outer, to) = (&raw const (*slot).outer, &raw mut (*record).outer);
        (*record).has_outer = u8::from(tasks::recall(outer, task, window, to));
        let live = (&raw mut (*record).live).cast();
        let count = live_frames(hit, live, if has_last { LIVE_FRAMES } else { SHORT_STACK });
        (*record).live_count = count as u64;
        let frames = (&raw mut (*record).frames).cast();
        let is_short = number_in_tick(Counted::Release) > STACKS_PER_TICK;
        (*record).is_short = u8::from(is_short);
        (*record).frame_count = if is_short {
            short_stack(live, count, frames)
        } else {
            tasks::read_stack(ctx, frames)
        };
    }
    submit(entry);
}

/// The innermost frames, by frame pointers, and how many: reading the whole stack takes as
/// long as all the rest, and whoever waits is woken later for it.
///
/// # Safety
///
/// There is room for [`LIVE_FRAMES`].
#[inline(always)]
unsafe fn live_frames(hit: &Hit, live: *mut LiveFrame, wanted: usize) -> usize {
    let mut frame = LiveFrame { pc: hit.ip, pointer: hit.regs[Reg::Rbp as usize] };
    for index in 0..LIVE_FRAMES {
        // SAFETY: see above.
        unsafe { live.add(index).write(frame) };
        if index + 1 >= wanted {
            return index + 1;
        }
        let Some([pointer, pc]) = read::<[u64; 2]>(frame.pointer) else { return index + 1 };
        frame = LiveFrame { pc, pointer };
    }
    LIVE_FRAMES
}

/// The first [`SHORT_STACK`] of them as a stack.
///
/// # Safety
///
/// There is room, and `count` of them are there.
#[inline(always)]
unsafe fn short_stack(live: *const LiveFrame, count: usize, frames: *mut u64) -> u32 {
    for index in 0..SHORT_STACK {
        if index >= count {
            return index as u32;
        }
        // SAFETY: see above.
        unsafe { frames.add(index).write((*live.add(index)).pc) };
    }
    SHORT_STACK as u32
}

/// Notes that `task` is put to sleep: its open wait is a real one.
#[inline(always)]
pub(crate) fn park(task: u64) {
    if let Some(open) = WAITS.get_ptr_mut(&task) {
        // SAFETY: the task's own entry, which nobody else writes.
        unsafe { (*open).parks += 1 };
    }
}

/// Closes the wait `id` of `task` that ended at `end_ns`, if it goes on.
#[inline(always)]
pub(crate) fn end<C: EbpfContext>(ctx: &C, id: u64, task: u64, end_ns: u64) {
    let Some(open) = WAITS.get_ptr(&id) else { return };
    if let Some(mut entry) = reserve::<Wait>() {
        let record = entry.as_mut_ptr();
        // SAFETY: the reservation is large enough and wholly written; the value
        // stays in place until removed below.
        unsafe {
            (*record).kind = record_kind::WAIT;
            (*record).part = if (*open).part < 255 { (*open).part as u8 } else { 255 };
            (*record).pad = [0; 2];
            (*record).site = (*open).site;
            (*record).start_ns = (*open).start_ns;
            (*record).end_ns = end_ns;
            (*record).task = task;
            (*record).goid = (*open).goid;
            (*record).object = (*open).object;
            (*record).wait_ns = (*open).wait_ns;
            (*record).caller = (*open).caller;
            (*record).frame_count = (*open).frame_count;
            (*record).tid = thread();
            (*record).frames = (*open).frames;
        }
        submit(entry);
    }
    remember(task, open, end_ns);
    if let Some(slot) = tasks::slot(task) {
        // SAFETY: the slot is the map's and lives as long as the program.
        unsafe {
            (*slot).wait_end_ns = end_ns;
            (*slot).wait_window = gates().maps;
            (*slot).waited = task;
        }
    }
    let _ = WAITS.remove(&id);
    debug!(ctx, "wait ends: task {:x}", task);
}

/// Remembers the park that ends, where more of the same wait may follow.
#[inline(always)]
fn remember(task: u64, open: *const OpenWait, end_ns: u64) {
    // SAFETY: the value is the map's.
    let park = unsafe {
        LastPark {
            object: (*open).object,
            wait_ns: (*open).wait_ns,
            seen_ns: end_ns,
            window: (*open).window,
            part: (*open).part,
        }
    };
    if park.window == 0 {
        return;
    }
    if let Some(last) = PARKS.get_ptr_mut(&task) {
        // SAFETY: the task's own entry, which nobody else writes.
        unsafe { *last = park };
    } else {
        // Where that fails two parks of one wait are two waits.
        let _ = PARKS.insert(&task, &park, 0);
    }
}
