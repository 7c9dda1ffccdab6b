//! Builder and session together.

use probe_ebpf::Op;

use super::fixture::wait;
use super::summary::Summary;
use super::*;
use crate::{
    catalog::KeyFormat,
    decode::{BlameEvent, Unreadable, WaitEvent},
};

fn meta(start: u64) -> SliceMeta {
    SliceMeta {
        start_unix_ns: start,
        duration_ns: 1_000,
        observed_ns: 1_000,
        locks_observed_ns: 1_000,
        events: 10,
        hits: 12,
        probe_ns: 100,
        target_cpu_ns: Some(400),
        ..SliceMeta::default()
    }
}

fn lookup(builder: &mut Builder, map: MapId, key: &[u8]) {
    builder.operation(map, Op::Lookup, Some((key, key.len() as u64)), None, 0x1000, 1);
}

fn frame(function: &str) -> Frame {
    Frame { function: function.to_owned(), file: None, line: None, module: None }
}

fn keys(summary: &Summary, map: usize) -> Vec<(&str, u64)> {
    summary.maps[map].keys.iter().map(|key| (key.key.as_str(), key.ops.total())).collect()
}

#[test]
fn operations_become_a_slice_and_the_builder_is_empty_again() {
    let mut builder = Builder::new(Limits::default());
    lookup(&mut builder, 2, b"a");
    builder.operation(2, Op::Clear, None, None, 0x2000, 1);
    builder.operation(2, Op::Insert, None, Some(Unreadable::Memory), 0x1000, 1);
    let slice = builder.close(meta(5));
    assert_eq!((slice.start_unix_ns, slice.hits, slice.target_cpu_ns), (5, 12, Some(400)));
    let [map] = &slice.maps[..] else { panic!("{slice:?}") };
    assert_eq!((map.map, map.ops.0, map.unreadable.memory), (2, [1, 1, 0, 0, 1, 0, 0, 0], 1));
    assert_eq!(map.keys.len(), 1);
    assert_eq!(
        map.callers.iter().map(|(at, ops)| (*at, ops.total())).collect::<Vec<_>>(),
        [(0x1000, 2), (0x2000, 1)]
    );
    let next = builder.close(meta(6));
    assert!(next.maps.is_empty() && next.locks.is_empty() && next.lost.is_empty());
}

#[test]
fn what_the_limits_drop_is_counted() {
    let limits = Limits { maps: 1, locks: 1, waiters: 1, ..Limits::default() };
    let mut builder = Builder::new(limits);
    for map in [0, 1, u32::MAX] {
        lookup(&mut builder, map, b"a");
    }
    for (lock, stack) in [(0, 0), (0, 1), (1, 0)] {
        builder.wait(&wait(lock, stack, 10));
    }
    builder.open_wait(&wait(7, 0, 10));
    let lost =
        builder.close(SliceMeta { lost: [("ring_full".to_owned(), 3)].into(), ..meta(0) }).lost;
    let lost: Vec<_> = lost.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(lost, [(lost::LOCKS, 2), (lost::MAPS, 2), ("ring_full", 3), (lost::WAITERS, 1)]);
    assert!(builder.close(meta(0)).lost.is_empty());
}

#[test]
fn a_session_sums_and_sorts() {
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo { pid: 7, ..TargetInfo::default() });
    for round in 0..3 {
        for key in ["b", "a", "a", "c"] {
            lookup(&mut builder, 0, key.as_bytes());
        }
        for _ in 0..5 {
            lookup(&mut builder, 1, &round.to_string().into_bytes());
        }
        session.push(builder.close(meta(round)));
    }
    session.define(Definitions {
        maps: (0..2)
            .map(|id| {
                let info = MapInfo {
                    address: Some(0xc0 + u64::from(id)),
                    kind: "go.map".to_owned(),
                    type_name: None,
                    key_type: Some("string".to_owned()),
                    label: None,
                    key_format: KeyFormat::Str,
                    key_type_at: None,
                };
                (id, info)
            })
            .collect(),
        frames: [(0x1000, vec![frame("main.inlined"), frame("main.get")])].into(),
        ..Definitions::default()
    });

    let all = session.summary(2);
    assert_eq!(all.maps.iter().map(|map| map.id.as_str()).collect::<Vec<_>>(), ["m2", "m1"]);
    assert_eq!(all.maps[1].address.as_deref(), Some("0xc0"));
    assert_eq!(keys(&all, 0), [("\"0\"", 5), ("\"1\"", 5)], "ties by key");
    assert_eq!(keys(&all, 1), [("\"a\"", 6), ("\"b\"", 3)]);
    assert!((all.maps[1].keys[0].share - 0.5).abs() < 1e-9);
    assert_eq!((all.maps[1].keys_tracked, all.maps[1].keys[0].margin), (3, 0));
    assert_eq!(all.maps[1].callers[0].frames, [frame("main.inlined"), frame("main.get")]);
    assert_eq!(
        (all.window.duration_ns, all.window.observed_ns, all.window.events),
        (3_000, 3_000, 30)
    );
    assert_eq!((all.window.start_unix_ns, all.target.pid), (0, 7));
    assert_eq!(all.window.cost.target_cpu_share, Some(0.25));

    let last = session.last_summary(10);
    assert_eq!(keys(&last, 0), [("\"2\"", 5)]);
    assert_eq!((last.window.start_unix_ns, last.window.duration_ns), (2, 1_000));
    assert_eq!(session.history().map(|slice| slice.ops).collect::<Vec<_>>(), [9, 9, 9]);
}

#[test]
fn locks_are_sorted_by_wait_and_open_waits_are_those_of_the_end() {
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    builder.wait(&wait(0, 0, 10));
    builder.open_wait(&wait(0, 0, 77));
    builder.open_wait(&wait(0, 0, 99));
    session.push(builder.close(meta(0)));
    let first = session.summary(0);
    assert_eq!((first.locks[0].open_waits, first.locks[0].open_max_ns), (2, 99));
    builder.wait(&wait(1, 3, 500));
    builder.wait(&wait(0, 0, 20));
    builder.wait(&wait(0, 4, 40));
    session.push(builder.close(meta(1)));
    session.define(Definitions {
        stacks: [(0, vec![0x10, 0x20]), (3, vec![])].into(),
        frames: [(0x20, vec![frame("main.main")])].into(),
        ..Definitions::default()
    });
    let all = session.summary(0);
    assert_eq!(all.locks.iter().map(|lock| lock.id.as_str()).collect::<Vec<_>>(), ["l2", "l1"]);
    let lock = &all.locks[1];
    assert_eq!((lock.wait.count, lock.wait.sum_ns, lock.wait.max_ns), (3, 70, 40));
    assert_eq!((lock.open_waits, lock.kind.as_str()), (0, "unknown"));
    assert_eq!(lock.waiters[0].wait_ns, 40);
    assert_eq!(lock.waiters[1].stack, [frame("0x10"), frame("main.main")]);
    assert_eq!(lock.wait_hist.buckets(64).iter().map(|bar| bar.count).sum::<u64>(), 3);
}

#[test]
fn keys_that_had_no_room_are_told_of() {
    let limits = Limits { keys_per_map: 10, ..Limits::default() };
    let mut builder = Builder::new(limits);
    let mut session = Session::with_limits(TargetInfo::default(), limits);
    for number in 0..1000_u16 {
        lookup(&mut builder, 0, &number.to_le_bytes());
    }
    for _ in 0..200 {
        lookup(&mut builder, 0, &7_u16.to_le_bytes());
    }
    session.push(builder.close(meta(0)));
    for summary in [session.summary(3), session.last_summary(3)] {
        let map = &summary.maps[0];
        // A thousand keys of one operation each, in ten entries: of all but one of them a
        // row would say nothing.
        assert_eq!((map.keys_tracked, map.keys.len(), map.ops.total()), (10, 1, 1200));
        assert_eq!(map.keys_floor, 100);
        assert!(map.keys[0].ops.total() >= 200 && map.keys[0].margin <= 100);
        let others = map.other_keys.expect("there are other keys");
        assert_eq!((others.keys, others.ops), (9, 9));
    }
}

#[test]
fn the_newest_slice_keeps_its_first_keys_and_knows_how_many_there_were() {
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    for number in 0..2_000_u16 {
        lookup(&mut builder, 0, &number.to_le_bytes());
    }
    lookup(&mut builder, 0, &1_999_u16.to_le_bytes());
    session.push(builder.close(meta(0)));
    let last = session.last_summary(usize::MAX);
    assert_eq!((last.maps[0].keys.len(), last.maps[0].keys_tracked), (LAST_KEYS, 2_000));
    assert_eq!(last.maps[0].keys_floor, 0, "all had room");
    assert_eq!(last.maps[0].keys[0].key, "cf 07");
    assert_eq!(session.summary(usize::MAX).maps[0].keys.len(), 2_000);
}

#[test]
fn nothing_at_all_is_an_empty_summary() {
    let session = Session::new(TargetInfo::default());
    for summary in [session.summary(9), session.last_summary(9)] {
        assert!(summary.maps.is_empty() && summary.locks.is_empty());
        assert_eq!(summary.window.cost.target_cpu_share, None);
    }
}

#[test]
fn a_session_is_bounded_and_says_so() {
    let limits = Limits { maps: 1, locks: 1, waiters: 1, ..Limits::default() };
    let mut builder = Builder::new(Limits::default());
    lookup(&mut builder, 0, b"a");
    lookup(&mut builder, 5, b"a");
    for (lock, stack) in [(0, 0), (0, 1), (1, 0)] {
        builder.wait(&wait(lock, stack, 10));
    }
    let mut session = Session::with_limits(TargetInfo::default(), limits);
    session.push(builder.close(meta(0)));
    let lost = session.summary(1).window.lost;
    assert_eq!(
        lost,
        [(lost::LOCKS.to_owned(), 1), (lost::MAPS.to_owned(), 1), (lost::WAITERS.to_owned(), 1)]
            .into()
    );
}

#[test]
fn call_sites_of_a_sample_are_scaled_with_a_margin() {
    let mut builder = Builder::new(Limits::default());
    for (caller, times) in [(0x10, 300), (0x20, 100), (probe_ebpf::CALLER_NOT_SAMPLED, 3600)] {
        for _ in 0..times {
            builder.operation(0, Op::Lookup, None, None, caller, 1);
        }
    }
    let mut session = Session::new(TargetInfo::default());
    session.push(builder.close(meta(0)));
    let summary = session.summary(0);
    let callers: Vec<_> =
        summary.maps[0].callers.iter().map(|caller| (caller.ops.lookup, caller.margin)).collect();
    // 400 of 4000 in 6.25 runs: 1.96 · √(0.75 · 0.25 / 6.25) · √(3600 · 4000) = 1288.2.
    assert_eq!(callers, [(3000, 1289), (1000, 1289)]);
    assert_eq!(summary.maps[0].ops.lookup, 4000);
}

#[test]
fn places_that_read_the_same_are_one() {
    let mut builder = Builder::new(Limits::default());
    for (caller, times) in [(0x10, 3), (0x20, 4), (0x30, 2), (0x40, 2)] {
        for _ in 0..times {
            builder.operation(0, Op::Lookup, None, None, caller, 1);
        }
    }
    for (stack, wait_ns) in [(0, 50), (1, 70), (2, 30)] {
        builder.wait(&wait(0, stack, wait_ns));
    }
    let mut session = Session::new(TargetInfo::default());
    session.define(Definitions {
        stacks: [(0, vec![0x10, 0x40]), (1, vec![0x20]), (2, vec![0x30, 0x40])].into(),
        frames: [(0x10, "f"), (0x20, "g"), (0x30, "f")]
            .map(|(at, function)| (at, vec![frame(function)]))
            .into(),
        ..Definitions::default()
    });
    session.push(builder.close(meta(0)));
    let summary = session.summary(0);
    let callers: Vec<_> = summary.maps[0]
        .callers
        .iter()
        .map(|caller| (caller.frames[0].function.as_str(), caller.ops.lookup))
        .collect();
    assert_eq!(callers, [("f", 5), ("g", 4), ("0x40", 2)]);
    let waiters: Vec<_> = summary.locks[0]
        .waiters
        .iter()
        .map(|waiter| (waiter.stack[0].function.as_str(), waiter.count, waiter.wait_ns))
        .collect();
    assert_eq!(waiters, [("f", 2, 80), ("g", 1, 70)]);
}

/// `key` of map 0, held or waited for at `stack`.
fn actor(stack: StackId, key: &[u8]) -> Actor {
    Actor { stack, key: Some(map_key(key)) }
}

fn map_key(key: &[u8]) -> MapKey {
    MapKey { map: 0, key: Key { bytes: key.into(), len: key.len() as u64 } }
}

fn blame(holder: ActorId, waiter: ActorId, ns: u64) -> BlameEvent {
    BlameEvent { lock: 0, holder, holder_mode: None, holder_task: 5, waiter, start_ns: 0, ns }
}

#[test]
fn waits_and_blame_reach_keys_holders_and_pairs() {
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    for round in 0..2 {
        lookup(&mut builder, 0, b"x");
        lookup(&mut builder, 0, b"y");
        for (part, holder) in [(600, 0), (300, 2), (100, NO_ACTOR)] {
            builder.wait(&WaitEvent { task: 7, ..wait(0, 1, part) });
            builder.blame(&blame(holder, 1, part));
            if holder != NO_ACTOR {
                builder.key_wait(0, &map_key(b"y"), part);
            }
        }
        builder.hold(0, 40);
        session.push(builder.close(meta(round)));
    }
    session.define(Definitions {
        // The third reads as the first does.
        actors: [(0, actor(0, b"x")), (1, actor(1, b"y")), (2, actor(2, b"x"))].into(),
        stacks: [(0, vec![0x10]), (1, vec![0x20]), (2, vec![0x30])].into(),
        frames: [(0x10, "hold"), (0x20, "wait"), (0x30, "hold")]
            .map(|(at, function)| (at, vec![frame(function)]))
            .into(),
        ..Definitions::default()
    });
    let summary = session.summary(9);
    let [x, y] = &summary.maps[0].keys[..] else { panic!("{:?}", summary.maps[0].keys) };
    assert_eq!((x.wait, x.blame.map(|h| (h.count, h.sum_ns))), (None, Some((4, 1800))));
    assert_eq!((y.wait.map(|h| (h.count, h.max_ns)), y.blame), (Some((4, 600)), None));
    let lock = &summary.locks[0];
    assert_eq!((lock.attributed_ns, lock.blamed_ns, lock.wait.sum_ns), (1800, 1800, 2000));
    assert_eq!((lock.hold.map(|h| h.sum_ns), &lock.maps[..]), (Some(80), &["m1".to_owned()][..]));
    let [holder] = &lock.holders[..] else { panic!("{:?}", lock.holders) };
    assert_eq!((holder.count, holder.blame_ns, &holder.goroutines[..]), (4, 1800, &[5][..]));
    assert_eq!((holder.keys[0].key.as_str(), holder.keys[0].wait_ns), ("78", 1800));
    let [pair] = &lock.pairs[..] else { panic!("{:?}", lock.pairs) };
    assert_eq!((pair.count, pair.wait_ns), (4, 1800));
    assert_eq!(
        (&pair.holder.stack[..], &pair.waiter.stack[..]),
        (&[frame("hold")][..], &[frame("wait")][..])
    );
    // Who has waited is known even where the holder is not.
    let [waiter] = &lock.waiters[..] else { panic!("{:?}", lock.waiters) };
    assert_eq!((waiter.wait_ns, waiter.keys[0].wait_ns), (2000, 2000));
    assert_eq!(waiter.goroutines, [7]);
    let attribution = summary.window.attribution.unwrap();
    assert_eq!((attribution.wait_ns, attribution.attributed_ns), (2000, 1800));
}

#[test]
fn a_slow_key_with_few_operations_is_listed() {
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    for number in 0..2_000_u16 {
        lookup(&mut builder, 0, &number.to_le_bytes());
        lookup(&mut builder, 0, &number.to_le_bytes());
    }
    lookup(&mut builder, 0, b"slow");
    for _ in 0..5_000 {
        lookup(&mut builder, 0, b"hot");
    }
    builder.key_wait(0, &map_key(b"slow"), 99);
    builder.key_wait(0, &map_key(b"unseen"), 98);
    builder.wait(&wait(0, 0, 197));
    session.push(builder.close(meta(0)));
    let all = session.summary(2);
    let hot = "68 6f 74";
    assert_eq!(
        keys(&all, 0),
        [(hot, 5_000), ("00 00", 2), ("73 6c 6f 77", 1), ("75 6e 73 65 65 6e", 0)]
    );
    assert_eq!(all.maps[0].keys[3].margin, 0, "no other key has had an operation");
    // The newest slice has dropped most keys, and says how many operations they may have had.
    let last = session.last_summary(2);
    let slow = last.maps[0].keys.iter().find(|key| key.key == "73 6c 6f 77").unwrap();
    assert_eq!((slow.ops.total(), slow.margin, slow.wait.unwrap().sum_ns), (0, 2, 99));
}

#[test]
fn what_a_map_does_by_itself_is_in_no_total() {
    let mut builder = Builder::new(Limits::default());
    for op in [Op::Insert, Op::Grow, Op::Miss, Op::Promote] {
        builder.operation(0, op, None, None, 0x10, 1);
    }
    builder.operation(1, Op::Grow, None, None, 0x10, 1);
    let mut session = Session::new(TargetInfo::default());
    session.push(builder.close(meta(0)));
    let summary = session.summary(0);
    let ops: Vec<_> =
        summary.maps.iter().map(|map| (map.ops.total(), map.ops.grow, map.callers.len())).collect();
    assert_eq!(ops, [(1, 1, 1), (0, 1, 0)]);
    assert_eq!(session.history().map(|slice| slice.ops).collect::<Vec<_>>(), [1]);
}

#[test]
fn stacks_of_operations_are_scaled_and_equal_ones_are_one() {
    let mut builder = Builder::new(Limits::default());
    for _ in 0..1_000 {
        lookup(&mut builder, 0, b"a");
    }
    for stack in [0, 1, 2, 0] {
        builder.op_stack(0, Op::Lookup, stack);
    }
    builder.op_stack(1, Op::Lookup, 0);
    let mut session = Session::new(TargetInfo::default());
    session.push(builder.close(meta(0)));
    session.define(Definitions {
        stacks: [(0, vec![0x10]), (1, vec![0x20]), (2, vec![0x30])].into(),
        frames: [(0x10, "f"), (0x20, "g"), (0x30, "f")]
            .map(|(at, function)| (at, vec![frame(function)]))
            .into(),
        ..Definitions::default()
    });
    let stacks: Vec<_> = session.summary(0).maps[0]
        .stacks
        .iter()
        .map(|it| (it.stack[0].function.clone(), it.ops.lookup, it.samples, it.margin))
        .collect();
    // Four in a row say little: any but the 4 may be anywhere.
    assert_eq!(stacks, [("f".to_owned(), 750, 3, 747), ("g".to_owned(), 250, 1, 747)]);
}

#[test]
fn the_length_is_that_of_the_first_and_of_the_newest_interval_that_knew() {
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    let mut push = |len, inserts| {
        lookup(&mut builder, 0, b"a");
        for _ in 0..inserts {
            builder.operation(0, Op::Insert, None, None, 0x10, 1);
        }
        let mut slice = builder.close(meta(0));
        slice.maps[0].len = len;
        session.push(slice);
        let [map, last] =
            [session.summary(0), session.last_summary(0)].map(|mut it| it.maps.remove(0));
        (map.len_first, map.len, last.len)
    };
    push(None, 0);
    push(Some(7), 0);
    assert_eq!(push(Some(900), 893), (Some(7), Some(900), Some(900)));
    assert_eq!(push(None, 0), (Some(7), Some(900), None));
    assert_eq!(push(Some(902), 1), (None, None, Some(902)), "more than were inserted");
}

#[test]
fn readers_and_writers_are_told_apart_and_the_longest_open_waits_are_kept() {
    let mut builder = Builder::new(Limits::default());
    let mut session = Session::new(TargetInfo::default());
    for (mode, ns) in [(Mode::Read, 10), (Mode::Write, 300), (Mode::Read, 20)] {
        builder.wait(&WaitEvent { mode: Some(mode), ..wait(0, 0, ns) });
    }
    for ns in 0..40 {
        builder.open_wait(&WaitEvent { task: ns, ..wait(0, 0, ns * 17 % 40) });
    }
    session.push(builder.close(meta(0)));
    let lock = session.summary(0).locks.remove(0);
    let sums = [lock.read, lock.write].map(|sum| sum.map(|sum| (sum.count, sum.wait_ns)));
    assert_eq!(sums, [Some((2, 30)), Some((1, 300))]);
    let modes: Vec<_> = lock.waiters.iter().map(|waiter| (waiter.mode, waiter.count)).collect();
    assert_eq!(modes, [(Some(summary::Mode::Write), 1), (Some(summary::Mode::Read), 2)]);
    let open: Vec<_> = lock.open.iter().map(|open| open.waited_ns).collect();
    assert_eq!(open, (24..40).rev().collect::<Vec<_>>());
    assert_eq!((lock.open_waits, lock.open_max_ns), (40, 39));
    session.push(builder.close(meta(1)));
    assert!(session.summary(0).locks[0].open.is_empty());
}
