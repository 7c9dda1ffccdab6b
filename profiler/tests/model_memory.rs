//! The memory of an interval and a session at very many distinct keys, counted by
//! the allocator. A test binary of its own: nothing else may allocate meanwhile.
#![expect(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mapprof::decode::{BlameEvent, WaitEvent};
use mapprof::model::{Builder, Key, Limits, MapKey, Session, SliceMeta, TargetInfo, lost};
use probe_ebpf::Op;

/// Of mapprof's 64 MB in all.
const MOST: usize = 21_000_000;
/// Of tables that are empty in most runs.
const MOST_SLOW: usize = 8 << 20;
/// As many as all have room for.
const KEYS: usize = 65_536;
const SLOW_KEYS: usize = 100_000;

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

/// In one test, since two would run at the same time.
#[test]
fn an_interval_and_a_session_are_bounded() {
    all_keys_that_have_room_take_21_mb_at_most();
    a_hundred_thousand_slow_keys_take_8_mb_at_most();
}

/// All of which wait at a stack of their own and make others wait.
fn a_hundred_thousand_slow_keys_take_8_mb_at_most() {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    for _ in 0..3 {
        for number in 0..SLOW_KEYS as u32 {
            let ns = u64::from(number) << (number % 20);
            let bytes = format!("session:user:{number:07}").into_bytes();
            let key = Key { len: bytes.len() as u64, bytes: bytes.into() };
            let lock = number % 4;
            builder.wait(&WaitEvent { lock, stack: number, mode: None, task: ns, start_ns: 0, ns });
            builder.key_wait(lock, &MapKey { map: 0, key }, ns);
            builder.blame(&BlameEvent {
                lock,
                holder: number,
                holder_mode: None,
                holder_task: ns,
                waiter: number + 1,
                start_ns: 0,
                ns,
            });
            builder.op_stack(0, Op::Lookup, number);
        }
        session.push(builder.close(SliceMeta::default()));
    }
    let summary = session.summary(10);
    assert!(summary.window.lost[lost::PAIRS] > 0);
    assert_eq!(summary.locks.iter().map(|lock| lock.wait.count).sum::<u64>(), 3 * SLOW_KEYS as u64);
    let peak = PEAK.load(Relaxed) - before;
    assert!(peak <= MOST_SLOW, "{peak} bytes at the peak");
    assert!(peak > MOST_SLOW / 10, "{peak} bytes at the peak");
}

fn all_keys_that_have_room_take_21_mb_at_most() {
    let before = LIVE.load(Relaxed);
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    for _ in 0..3 {
        for number in 0..KEYS {
            let key = format!("session:user:{number:07}");
            let key = (key.as_bytes(), key.len() as u64);
            builder.operation(0, Op::Lookup, Some(key), None, 0x1000, 1);
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
