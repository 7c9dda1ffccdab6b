//! Once maps, keys and stacks are known, records are decoded and counted without an
//! allocation. A test binary of its own: nothing else may allocate meanwhile.
#![expect(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mapprof::bench::{Input, Machine, hand_over, operation, pieces, text_key};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, hence from System.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations while this runs.
fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.load(Relaxed);
    let value = run();
    (ALLOCATIONS.load(Relaxed) - before, value)
}

/// In one test, since two would run at the same time.
#[test]
fn nothing_is_allocated_for_what_is_known() {
    let (some, _) = allocations(|| vec![1_u8, 2, 3]);
    assert!(some > 0, "the counting is broken");
    operations();
    rings();
    waits();
}

/// Name of a load, and its record with this number.
type Load = (&'static str, fn(u64) -> Vec<u8>);

/// Short and long keys, structs, callers that are told and not, few maps and many.
fn operations() {
    const NO_CALLER: u64 = probe_ebpf::CALLER_NOT_SAMPLED;
    let loads: [Load; 5] = [
        ("short keys", |n| operation(n % 3, &text_key(n, 16), NO_CALLER)),
        ("long keys", |n| operation(0, &text_key(n, 100), NO_CALLER)),
        ("structs", |n| pieces(0, n, &text_key(n, 16))),
        ("callers", |n| operation(0, &text_key(n, 40), 2000 + 100 * (n % 8))),
        ("many maps", |n| operation(n, &text_key(n % 9, 16), NO_CALLER)),
    ];
    for (name, record) in loads {
        let records: Vec<_> = (0..900).map(record).collect();
        let mut input = Input::default();
        input.records(&records);
        let (count, ()) = allocations(|| input.records(&records));
        assert_eq!(count, 0, "{name}");
        let slice = input.close();
        let total: u64 = slice.maps.iter().map(|map| map.ops.total()).sum();
        assert_eq!(total, 1800, "{name}");
    }
}

/// The reader included, where records wrap around.
fn rings() {
    let records: Vec<_> = (0..50).map(|n| operation(0, &text_key(n, 16), 1)).collect();
    let mut machine = Machine::new(2, 4096);
    let mut turn = |most| {
        let filled = machine.fill(&records, most);
        let (count, drained) = allocations(|| machine.drain());
        assert_eq!(filled, drained);
        count
    };
    (0..50).for_each(|_| {
        turn(33);
    });
    assert_eq!((0..200).map(|_| turn(33)).sum::<usize>(), 0);
}

/// Waits of known stacks, with holders of known stacks.
fn waits() {
    /// More than are remembered of one lock's releases.
    const WARM: u64 = 70_000;
    let mut input = Input::default();
    let mut pass = |number: u64| {
        let records = hand_over(number, 7 + number % 64);
        let (count, ()) = allocations(|| {
            input.records(&records);
            if number.is_multiple_of(100) {
                input.settle(1000 * number);
            }
        });
        count
    };
    (0..WARM).for_each(|number| {
        pass(number);
    });
    let count: usize = (WARM..WARM + 5000).map(&mut pass).sum();
    assert_eq!(count, 0);
    // They are held back for a moment, in which other CPUs' records come.
    input.settle(u64::MAX);
    let slice = input.close();
    assert!(slice.locks[0].wait.count() > WARM, "{} waits", slice.locks[0].wait.count());
    assert!(slice.locks[0].blamed_ns > 0, "nobody is to blame");
}
