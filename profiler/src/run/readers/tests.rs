//! Groups of rings in plain memory, read by hand and by threads.

use std::collections::BTreeMap;

use probe_ebpf::CALLER_NOT_SAMPLED;
use proptest::prelude::*;

use super::*;
use crate::{
    bench::{Input, hand_over, operation, pieces, text_key},
    kernel::ring::simulated::Simulated,
    model::{Slice, Watched},
};

const CAPACITY: usize = 1 << 16;
const NO_CALLER: u64 = CALLER_NOT_SAMPLED;
/// A record's kind that the decoder knows nothing of.
const UNKNOWN: u8 = 200;

fn memory(count: usize) -> (Vec<Simulated>, Vec<Ring<Simulated>>) {
    let memory: Vec<_> = (0..count).map(|_| Simulated::new(CAPACITY, 0)).collect();
    (memory.clone(), memory.into_iter().map(Ring::new).collect())
}

/// Rings that nobody reads but who is told to.
fn rings(count: usize, per_reader: usize) -> (Vec<Simulated>, Intake<Simulated>) {
    let (memory, rings) = memory(count);
    (memory, Intake::by_hand(rings, Some(per_reader), Limits::default()))
}

fn groups(intake: &Intake<Simulated>) -> Vec<Arc<Group<Simulated>>> {
    intake.groups().cloned().collect()
}

fn drain(intake: &mut Intake<Simulated>, input: &mut Input) -> usize {
    let (decoder, tally) = input.parts();
    intake.drain(decoder, tally)
}

fn gather(intake: &mut Intake<Simulated>, input: &mut Input) {
    let (decoder, tally) = input.parts();
    intake.gather(decoder, tally);
}

/// Has the places of these records learned by all groups.
fn teach(
    memory: &[Simulated],
    intake: &mut Intake<Simulated>,
    input: &mut Input,
    records: &[Vec<u8>],
) {
    for ring in memory {
        assert!(records.iter().all(|record| ring.push(record)));
    }
    for group in groups(intake) {
        while group.turn() {}
    }
    // What was learned is told the next time.
    drain(intake, input);
    drain(intake, input);
}

/// Counts by address of the map and key.
type Counts = BTreeMap<(u64, Vec<u8>), u64>;

/// Adds a slice's; maps are told apart by where they are.
fn add(counts: &mut Counts, addresses: &mut BTreeMap<u32, u64>, input: &mut Input) -> Slice {
    let definitions = input.parts().0.definitions();
    let new = definitions.maps.iter().filter_map(|(map, info)| Some((*map, info.address?)));
    addresses.extend(new);
    let slice = input.close();
    for map in &slice.maps {
        let of_keys: u64 = map.keys.iter().map(|key| key.ops.total()).sum();
        assert_eq!(of_keys, map.ops.all(), "all have a key");
        let of_callers: u64 = map.callers.iter().map(|(_, ops)| ops.all()).sum();
        assert_eq!(of_callers, map.ops.all());
        for key in &map.keys {
            assert_eq!(key.error, 0);
            let place = (addresses[&map.map], key.key.bytes.to_vec());
            *counts.entry(place).or_default() += key.ops.total();
        }
    }
    slice
}

/// Where [`operation`] has a map.
fn address(map: u64) -> u64 {
    0xc000_0000 + 48 * map
}

#[test]
fn few_rings_are_read_by_the_collecting_thread_alone() {
    for (count, per_reader, sizes) in [
        (1, Some(1), &[][..]),
        (8, None, &[]),
        (9, None, &[5, 4]),
        (20, None, &[7, 7, 6]),
        (2, Some(1), &[1, 1]),
        (3, Some(0), &[1, 1, 1]),
        (0, None, &[]),
    ] {
        let intake = Intake::by_hand(memory(count).1, per_reader, Limits::default());
        let found: Vec<_> = intake.groups().map(|group| group.lock().rings.len()).collect();
        assert_eq!(found, sizes, "{count} rings");
        assert_eq!(intake.rings.len(), if sizes.is_empty() { count } else { 0 });
    }
}

#[test]
fn alone_it_reads_as_ever() {
    let (memory, mut intake) = rings(2, 2);
    let mut input = Input::default();
    assert!(memory.iter().all(|ring| ring.push(&operation(0, b"a", NO_CALLER))));
    assert_eq!((drain(&mut intake, &mut input), intake.is_behind()), (2, false));
    gather(&mut intake, &mut input);
    assert_eq!(input.close().maps[0].ops.all(), 2);
}

#[test]
fn what_is_known_is_not_handed_on() {
    let (memory, mut intake) = rings(2, 1);
    let mut input = Input::default();
    let known = [operation(3, b"any", 2000), pieces(4, 0, b"text")];
    teach(&memory, &mut intake, &mut input, &known);
    let long = text_key(1, 100);
    for record in [operation(3, b"b", NO_CALLER), operation(3, &long, 3000), pieces(4, 7, b"t")] {
        assert!(memory[0].push(&record));
    }
    let unknown = operation(5, b"b", NO_CALLER);
    assert!(memory[0].push(&unknown));
    let group = &groups(&intake)[0];
    assert!(!group.turn());
    let handed: Vec<_> = group.lock().handed.records().map(<[u8]>::to_vec).collect();
    assert_eq!(handed, [unknown]);
    gather(&mut intake, &mut input);
    let mut counts = Counts::new();
    let slice = add(&mut counts, &mut BTreeMap::new(), &mut input);
    let structs = |number: u64, text: &[u8]| {
        let words = [number, 0, text.len() as u64].map(u64::to_le_bytes).concat();
        (address(4), [&words, text].concat())
    };
    let wanted = [
        ((address(3), b"any".to_vec()), 2),
        ((address(3), b"b".to_vec()), 1),
        ((address(3), long), 1),
        (structs(0, b"text"), 2),
        (structs(7, b"t"), 1),
        ((address(5), b"b".to_vec()), 1),
    ];
    assert_eq!(counts, wanted.into());
    assert_eq!(slice.tables.key_sites.iter().count(), 2, "of the two callers that were told");
    assert_eq!(input.parts().0.take_seen().events, 8);
}

/// Until it is known what a map is called, whoever tells a caller may name it.
#[test]
fn what_may_name_a_map_is_handed_on() {
    let (memory, mut intake) = rings(2, 1);
    let mut input = Input::default();
    teach(&memory, &mut intake, &mut input, &[operation(3, b"a", NO_CALLER)]);
    let group = groups(&intake).swap_remove(0);
    let handed = |caller| {
        assert!(memory[0].push(&operation(3, b"a", caller)));
        group.turn();
        group.lock().handed.records().count()
    };
    assert_eq!((handed(NO_CALLER), handed(2000)), (0, 1));
    drain(&mut intake, &mut input);
    drain(&mut intake, &mut input);
    let label = input.parts().0.definitions().maps[&0].label.clone();
    assert_eq!((label.as_deref(), handed(2000)), (Some("main.f20"), 0));
}

/// Another type at a map's address is another map, also where both were known.
#[test]
fn memory_that_is_reused_is_told_apart() {
    let (memory, mut intake) = rings(2, 1);
    let mut input = Input::default();
    teach(&memory, &mut intake, &mut input, &[operation(3, b"a", 2000)]);
    teach(&memory, &mut intake, &mut input, &[pieces(3, 1, b"a")]);
    assert!(memory[0].push(&operation(3, b"a", NO_CALLER)));
    groups(&intake)[0].turn();
    assert_eq!(groups(&intake)[0].lock().handed.records().count(), 1);
    gather(&mut intake, &mut input);
    assert_eq!(input.close().maps.len(), 3, "as one thread would have it");
}

#[test]
fn all_else_keeps_its_order_and_stops_the_reader_where_nobody_takes_it() {
    let (memory, rings) = memory(3);
    let mut intake = Intake::by_hand(rings, Some(2), Limits::default());
    let mut input = Input::default();
    let known = operation(3, b"a", NO_CALLER);
    teach(&memory, &mut intake, &mut input, std::slice::from_ref(&known));
    let group = groups(&intake).swap_remove(0);
    let (mut pushed, mut taken) = ([0_u64; 2], [Vec::new(), Vec::new()]);
    let mut push = |ring: usize| {
        let mut record = vec![UNKNOWN, ring as u8];
        record.resize(500, 0);
        record.extend(pushed[ring].to_le_bytes());
        if memory[ring].push(&record) {
            pushed[ring] += 1;
            // Those in between are counted.
            memory[ring].push(&known);
        }
    };
    let mut take = |group: &Group<Simulated>| {
        let mut work = group.work();
        for record in work.handed.records() {
            let (ring, number) = (usize::from(record[1]), record[500..].try_into());
            taken[ring].push(u64::from_le_bytes(number.expect("a number")));
        }
        let bytes = work.handed.bytes.len();
        work.handed.bytes.clear();
        bytes
    };
    let mut rounds = 0;
    while !group.lock().handed.is_full() {
        (0..40).for_each(|_| {
            push(0);
            push(1);
        });
        group.turn();
        rounds += 1;
        assert!(rounds < 1000, "it is never full");
    }
    let freed = [memory[0].freed(), memory[1].freed()];
    (0..40).for_each(|_| {
        push(0);
        push(1);
    });
    assert!(!group.turn() && !group.turn(), "it reads on");
    assert_eq!([memory[0].freed(), memory[1].freed()], freed);
    assert!(take(&group) < FULL + 600 * PIECE);
    while group.turn() {}
    take(&group);
    assert!(pushed[0] > 1000);
    assert_eq!(taken, pushed.map(|count| (0..count).collect::<Vec<_>>()));
}

/// A ring that fills the room each time does not keep those behind it out.
#[test]
fn reading_goes_on_where_it_stopped() {
    let large = Simulated::new(4 * FULL, 0);
    let (mut memory, mut rings) = memory(3);
    memory.insert(0, large.clone());
    rings.insert(0, Ring::new(large.clone()));
    let mut intake = Intake::by_hand(rings, Some(2), Limits::default());
    let group = groups(&intake).swap_remove(0);
    let record = vec![UNKNOWN; 32 << 10];
    while large.push(&record) {}
    assert!(memory[1].push(b"another"));
    assert!(!group.turn());
    assert_eq!(memory[1].freed(), 0, "there was room");
    drain(&mut intake, &mut Input::default());
    while large.push(&record) {}
    assert!(!group.turn());
    assert!(memory[1].freed() > 0, "it has no turn");
}

/// What a reader has handed on is older than what is in the ring: numbers go by age.
#[test]
fn what_was_handed_on_is_decoded_first() {
    let (memory, mut intake) = rings(2, 1);
    let mut input = Input::default();
    for map in [5, 3, 4] {
        assert!(memory[0].push(&operation(map, b"a", NO_CALLER)));
        if map == 5 {
            groups(&intake)[0].turn();
        }
    }
    gather(&mut intake, &mut input);
    let maps = input.parts().0.definitions().maps;
    let addresses: Vec<_> = maps.values().map(|map| map.address).collect();
    assert_eq!(addresses, [5, 3, 4].map(|map| Some(address(map))));
}

#[test]
fn what_arrived_is_in_the_slice_and_in_the_window() {
    let (memory, mut intake) = rings(4, 2);
    let (mut split, mut alone) = (Input::default(), Input::default());
    let watched = Watched { observed_ns: 1000, probe_ns: 1, cpu_ns: 1 };
    for window in 0..6 {
        for number in 0..50 * (window + 1) {
            let record = operation(0, &text_key(number % 7, 12), NO_CALLER);
            assert!(memory[(number % 4) as usize].push(&record));
            alone.record(&record);
            // Some have been read by then, some have not.
            if number % 20 == 0 {
                groups(&intake)[(number % 2) as usize].turn();
            }
        }
        gather(&mut intake, &mut split);
        split.parts().1.window(watched);
        alone.parts().1.window(watched);
    }
    let close = |input: &mut Input| {
        let mut slice = input.close();
        slice.maps[0].keys.sort_by(|a, b| a.key.cmp(&b.key));
        slice
    };
    let (split, alone) = (close(&mut split), close(&mut alone));
    assert_eq!(alone.maps[0].ops.all(), 50 * 21);
    assert_eq!(split.maps, alone.maps, "with what windows tell of their spread");
    assert_eq!((split.windows, alone.windows), (6, 6));
}

#[test]
fn what_is_discarded_leaves_nothing() {
    let (memory, mut intake) = rings(2, 1);
    let mut input = Input::default();
    let record = operation(3, b"a", NO_CALLER);
    teach(&memory, &mut intake, &mut input, std::slice::from_ref(&record));
    input.close();
    for ring in &memory {
        assert!(ring.push(&record) && ring.push(&operation(4, b"a", NO_CALLER)));
    }
    groups(&intake)[0].turn();
    assert_eq!((intake.discard(), intake.discard()), (4, 0));
    gather(&mut intake, &mut input);
    assert!(input.close().maps.is_empty());
    // Its meaning may be another now.
    assert!(memory[0].push(&record));
    groups(&intake)[0].turn();
    assert_eq!(groups(&intake)[0].lock().handed.records().count(), 1);
}

/// Tables that are too small for all keys promise of each what those of one thread do.
#[test]
fn bounds_of_keys_hold_where_tables_overflow() {
    let limits = Limits { keys_per_map: 64, total_keys: 64, ..Limits::default() };
    let (memory, rings) = memory(4);
    let mut intake = Intake::by_hand(rings, Some(2), limits);
    let mut input = Input::default();
    let tally = input.parts().1;
    *tally = Tally::new(limits);
    let mut truth = BTreeMap::new();
    for number in 0..4000_u64 {
        let key = if number % 3 == 0 { 7 } else { number * 7919 % 500 };
        let record = operation(0, &text_key(key, 12), NO_CALLER);
        *truth.entry(text_key(key, 12)).or_insert(0) += 1;
        assert!(memory[(number % 4) as usize].push(&record));
        groups(&intake)[(number % 2) as usize].turn();
        if number % 100 == 0 {
            drain(&mut intake, &mut input);
        }
        if number % 1000 == 999 {
            gather(&mut intake, &mut input);
        }
    }
    let slice = input.close();
    let map = &slice.maps[0];
    assert_eq!((map.ops.all(), map.keys.len()), (4000, 64));
    assert!(map.floor > 0 && map.floor < 4000 / 20, "{}", map.floor);
    for key in &map.keys {
        let (count, all) = (key.ops.total(), truth[&*key.key.bytes]);
        assert!(count <= all && all <= count + key.error, "{count}+{} {all}", key.error);
    }
    let hot = map.keys.iter().find(|key| *key.key.bytes == text_key(7, 12)[..]);
    assert!(hot.is_some_and(|hot| hot.ops.total() > 1200));
}

/// Records of a CPU, by turns with others', and readers whenever they like.
#[test]
fn threads_lose_nothing() {
    const RECORDS: u64 = 60_000;
    let (memory, rings) = memory(4);
    let mut intake = Intake::new(rings, Some(2), Limits::default()).expect("threads");
    let mut input = Input::default();
    let (mut counts, mut addresses, mut waits) = (Counts::new(), BTreeMap::new(), 0);
    let mut slices = 0;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .zip(&memory)
            .map(|(cpu, ring)| {
                scope.spawn(move || {
                    for number in 0..RECORDS {
                        let caller = if number % 100 == 0 { 2000 } else { NO_CALLER };
                        let key = text_key(number % 97, 8 + (number % 30) as usize);
                        let mut records = vec![operation(number % 5, &key, caller)];
                        if number % 16 == cpu {
                            records.extend(hand_over(number * 4 + cpu, 7 + cpu));
                        }
                        for record in records {
                            while !ring.push(&record) {
                                std::thread::yield_now();
                            }
                        }
                    }
                })
            })
            .collect();
        loop {
            let is_last = writers.iter().all(std::thread::ScopedJoinHandle::is_finished);
            for _ in 0..20 {
                drain(&mut intake, &mut input);
                if !intake.is_behind() {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            gather(&mut intake, &mut input);
            if is_last {
                let (decoder, tally) = input.parts();
                decoder.finish(tally);
            }
            let slice = add(&mut counts, &mut addresses, &mut input);
            waits += slice.locks.iter().map(|lock| lock.wait.count()).sum::<u64>();
            slices += 1;
            if is_last {
                break;
            }
        }
    });
    assert!(slices > 1);
    let mut truth = Counts::new();
    for number in 0..RECORDS {
        let key = text_key(number % 97, 8 + (number % 30) as usize);
        *truth.entry((address(number % 5), key)).or_default() += 4;
    }
    assert_eq!(counts, truth);
    assert_eq!(waits, 4 * RECORDS / 16);
}

#[derive(Clone, Debug)]
enum Step {
    Push { ring: usize, map: u64, key: u64, caller: u64 },
    Turn(usize),
    Drain,
    Gather,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0_usize..4, 0_u64..3, 0_u64..20, prop::sample::select(vec![NO_CALLER, 2000, 3000]))
            .prop_map(|(ring, map, key, caller)| Step::Push { ring, map, key, caller }),
        6 => (0_usize..2).prop_map(Step::Turn),
        3 => Just(Step::Drain),
        2 => Just(Step::Gather),
        1 => Just(Step::Close),
    ]
}

proptest! {
    /// Whoever reads when: each operation is counted once, in the slice that was gathered
    /// after it came.
    #[test]
    fn each_operation_is_counted_once(steps in prop::collection::vec(step(), 1..400)) {
        let (memory, mut intake) = rings(4, 2);
        let mut input = Input::default();
        let (mut counts, mut addresses) = (Counts::new(), BTreeMap::new());
        let (mut truth, mut gathered) = (Counts::new(), 0);
        for step in steps.into_iter().chain([Step::Gather, Step::Close]) {
            match step {
                Step::Push { ring, map, key, caller } => {
                    let key = text_key(key, 4 + key as usize * 5);
                    prop_assert!(memory[ring].push(&operation(map, &key, caller)));
                    *truth.entry((address(map), key)).or_default() += 1;
                }
                Step::Turn(group) => while groups(&intake)[group].turn() {},
                Step::Drain => _ = drain(&mut intake, &mut input),
                Step::Gather => {
                    gather(&mut intake, &mut input);
                    gathered = truth.values().sum();
                }
                Step::Close => {
                    add(&mut counts, &mut addresses, &mut input);
                    prop_assert!(counts.values().sum::<u64>() >= gathered);
                }
            }
        }
        prop_assert_eq!(counts, truth);
    }
}
