//! The reader over rings in plain memory.

use proptest::prelude::*;

use super::simulated::Simulated;
use super::*;

const CAPACITY: usize = 4096;
/// Written by another thread.
const RECORDS: usize = 50_000;

fn ring() -> (Simulated, Ring<Simulated>) {
    let memory = Simulated::new(CAPACITY, 0);
    (memory.clone(), Ring::new(memory))
}

fn read(ring: &mut Ring<Simulated>, most: usize) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let taken = ring.drain(most, &mut |record| records.push(record.to_vec()));
    assert_eq!(taken, records.len());
    records
}

/// A record that tells its number and its length.
fn record(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at) as u8).collect()
}

#[test]
fn an_empty_ring_has_nothing() {
    let (_, mut ring) = ring();
    assert!(read(&mut ring, 10).is_empty());
}

#[test]
fn a_busy_record_holds_up_those_behind_it() {
    let (memory, mut ring) = ring();
    assert!(memory.push(b"first"));
    let busy = memory.reserve(9).expect("room");
    assert!(memory.push(b"third"));
    assert_eq!(read(&mut ring, 10), [b"first"]);
    assert_eq!(memory.freed(), 16);
    assert!(read(&mut ring, 10).is_empty());
    memory.submit(busy, b"the other");
    assert_eq!(read(&mut ring, 10), [&b"the other"[..], b"third"]);
}

#[test]
fn a_discarded_record_is_skipped_and_gives_its_room_back() {
    let (memory, mut ring) = ring();
    let discarded = memory.reserve(100).expect("room");
    assert!(memory.push(b"kept"));
    memory.discard(discarded, 100);
    assert_eq!(read(&mut ring, 1), [b"kept"]);
    assert_eq!(memory.freed(), 112 + 16);
}

#[test]
fn a_turn_ends_after_so_many_records() {
    let (memory, mut ring) = ring();
    for number in 0..5 {
        assert!(memory.push(&record(number, 20)));
    }
    assert_eq!(read(&mut ring, 3).len(), 3);
    assert_eq!(memory.freed(), 3 * 32);
    assert_eq!(read(&mut ring, 3), [record(3, 20), record(4, 20)]);
}

#[test]
fn room_is_given_back_before_all_is_read() {
    let capacity = 4 * FREED_AT_ONCE;
    let memory = Simulated::new(capacity, 0);
    let mut ring = Ring::new(memory.clone());
    while memory.push(&[0; 1000]) {}
    let mut most_freed_meanwhile = 0;
    ring.drain(usize::MAX, &mut |_| most_freed_meanwhile = memory.freed());
    assert!(most_freed_meanwhile >= 2 * FREED_AT_ONCE, "{most_freed_meanwhile}");
    assert!(memory.freed() > most_freed_meanwhile);
}

#[test]
fn a_length_that_cannot_be_true_ends_the_batch_and_not_the_reader() {
    let (memory, mut ring) = ring();
    assert!(memory.push(b"good"));
    let bad = memory.reserve(8).expect("room");
    memory.store(bad, 0x0fff_fff0);
    assert_eq!(read(&mut ring, 10), [b"good"]);
    assert!(memory.push(b"again"));
    assert_eq!(read(&mut ring, 10), [b"again"]);
}

#[test]
fn a_reader_goes_on_where_the_last_one_ended() {
    let (memory, mut first) = ring();
    assert!(memory.push(b"one") && memory.push(b"two"));
    assert_eq!(read(&mut first, 1), [b"one"]);
    assert_eq!(read(&mut Ring::new(memory), 9), [b"two"]);
}

#[test]
fn a_writer_on_another_thread_loses_nothing() {
    let (memory, mut ring) = ring();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..RECORDS {
                let record = record(number, 1 + number % 200);
                while !memory.push(&record) {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < RECORDS {
            ring.drain(usize::MAX, &mut |bytes| {
                assert_eq!(bytes, record(next, 1 + next % 200));
                next += 1;
            });
        }
    });
    assert!(read(&mut ring, 1).is_empty());
}

proptest! {
    /// Everything comes out once, whole and in order, also where the ring wraps around and
    /// where positions overflow.
    #[test]
    fn what_goes_in_comes_out(
        lens in prop::collection::vec((0_usize..400, any::<bool>(), 1_usize..9), 1..300),
        start in prop::sample::select(vec![0, 8, CAPACITY - 8, usize::MAX - 1023]),
    ) {
        let memory = Simulated::new(CAPACITY, start);
        let mut ring = Ring::new(memory.clone());
        let (mut wanted, mut got) = (Vec::new(), Vec::new());
        for (number, (len, is_kept, turn)) in lens.into_iter().enumerate() {
            let record = record(number, len);
            let at = loop {
                if let Some(at) = memory.reserve(len) {
                    break at;
                }
                let records = read(&mut ring, turn);
                prop_assert!(!records.is_empty() || got.len() == wanted.len());
                got.extend(records);
            };
            if is_kept {
                memory.submit(at, &record);
                wanted.push(record);
            } else {
                memory.discard(at, len);
            }
        }
        got.extend(read(&mut ring, usize::MAX));
        prop_assert_eq!(got, wanted);
    }
}
