//! The memory of an interval and a session at 100,000 distinct keys, counted by
//! the allocator. A test binary of its own: nothing else may allocate meanwhile.
#![expect(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mapprof::model::{Builder, Limits, Session, SliceMeta, TargetInfo};
use probe_ebpf::Op;

/// Of mapprof's 64 MB in all.
const MOST: usize = 30_000_000;
const KEYS: usize = 100_000;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

/// What glibc's malloc uses for a request: 8 bytes more, in steps of 16.
fn footprint(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(footprint(layout.size()), Relaxed) + footprint(layout.size());
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(footprint(layout.size()), Relaxed);
        // SAFETY: the pointer came from `alloc` above, hence from System.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_hundred_thousand_keys_take_30_mb_at_most() {
    let before = LIVE.load(Relaxed);
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    for _ in 0..3 {
        for number in 0..KEYS {
            let key = format!("session:user:{number:07}");
            let key = (key.as_bytes(), key.len() as u64);
            builder.operation(0, Op::Lookup, Some(key), false, 0x1000);
        }
        session.push(builder.close(SliceMeta::default()));
    }
    let summary = session.summary(10);
    assert_eq!(summary.maps[0].keys_tracked, KEYS as u64);
    assert_eq!((summary.maps[0].keys[0].ops.lookup, summary.maps[0].keys[0].margin), (3, 0));
    let peak = PEAK.load(Relaxed) - before;
    assert!(peak <= MOST, "{peak} bytes at the peak");
    // Far below means that the counting is broken, not that the tables are small.
    assert!(peak > KEYS * 128, "{peak} bytes at the peak");
}
