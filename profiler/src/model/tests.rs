//! Builder and session together.

use probe_ebpf::Op;

use super::summary::Summary;
use super::*;
use crate::catalog::KeyFormat;

fn meta(start: u64) -> SliceMeta {
    SliceMeta {
        start_unix_ns: start,
        duration_ns: 1_000,
        observed_ns: 900,
        events: 10,
        hits: 12,
        probe_ns: 100,
        target_cpu_ns: Some(400),
        ..SliceMeta::default()
    }
}

fn lookup(builder: &mut Builder, map: MapId, key: &[u8]) {
    builder.operation(map, Op::Lookup, Some((key, key.len() as u64)), false, 0x1000);
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
    builder.operation(2, Op::Clear, None, false, 0x2000);
    builder.operation(2, Op::Insert, None, true, 0x1000);
    let slice = builder.close(meta(5));
    assert_eq!((slice.start_unix_ns, slice.hits, slice.target_cpu_ns), (5, 12, Some(400)));
    let [map] = &slice.maps[..] else { panic!("{slice:?}") };
    assert_eq!((map.map, map.ops.0, map.unreadable_keys), (2, [1, 1, 0, 0, 1, 0], 1));
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
    let limits = Limits { maps: 1, locks: 1, stacks_per_lock: 1, ..Limits::default() };
    let mut builder = Builder::new(limits);
    for map in [0, 1, u32::MAX] {
        lookup(&mut builder, map, b"a");
    }
    for (lock, stack) in [(0, 0), (0, 1), (1, 0)] {
        builder.wait(lock, stack, 10);
    }
    builder.open_wait(7, 10);
    let lost =
        builder.close(SliceMeta { lost: [("ring_full".to_owned(), 3)].into(), ..meta(0) }).lost;
    let lost: Vec<_> = lost.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(lost, [(lost::LOCKS, 2), (lost::MAPS, 2), ("ring_full", 3), (lost::STACKS, 1)]);
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
        (3_000, 2_700, 30)
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
    builder.wait(0, 0, 10);
    builder.open_wait(0, 77);
    builder.open_wait(0, 99);
    session.push(builder.close(meta(0)));
    let first = session.summary(0);
    assert_eq!((first.locks[0].open_waits, first.locks[0].open_max_ns), (2, 99));
    builder.wait(1, 3, 500);
    builder.wait(0, 0, 20);
    builder.wait(0, 4, 40);
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
    assert_eq!(lock.wait_buckets.iter().map(|bar| bar.count).sum::<u64>(), 3);
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
    let limits = Limits { maps: 1, locks: 1, stacks_per_lock: 1, ..Limits::default() };
    let mut builder = Builder::new(Limits::default());
    lookup(&mut builder, 0, b"a");
    lookup(&mut builder, 5, b"a");
    for (lock, stack) in [(0, 0), (0, 1), (1, 0)] {
        builder.wait(lock, stack, 10);
    }
    let mut session = Session::with_limits(TargetInfo::default(), limits);
    session.push(builder.close(meta(0)));
    let lost = session.summary(1).window.lost;
    assert_eq!(
        lost,
        [(lost::LOCKS.to_owned(), 1), (lost::MAPS.to_owned(), 1), (lost::STACKS.to_owned(), 1)]
            .into()
    );
}

#[test]
fn call_sites_of_a_sample_are_scaled_with_a_margin() {
    let mut builder = Builder::new(Limits::default());
    for (caller, times) in [(0x10, 300), (0x20, 100), (probe_ebpf::CALLER_NOT_SAMPLED, 3600)] {
        for _ in 0..times {
            builder.operation(0, Op::Lookup, None, false, caller);
        }
    }
    let mut session = Session::new(TargetInfo::default());
    session.push(builder.close(meta(0)));
    let summary = session.summary(0);
    let callers: Vec<_> =
        summary.maps[0].callers.iter().map(|caller| (caller.ops.lookup, caller.margin)).collect();
    // 400 of 4000 in 6.25 runs: 1.96 · √(0.75 · 0.25 / 6.25) · 4000 = 1357.9.
    assert_eq!(callers, [(3000, 1358), (1000, 1358)]);
    assert_eq!(summary.maps[0].ops.lookup, 4000);
}

#[test]
fn places_that_read_the_same_are_one() {
    let mut builder = Builder::new(Limits::default());
    for (caller, times) in [(0x10, 3), (0x20, 4), (0x30, 2), (0x40, 2)] {
        for _ in 0..times {
            builder.operation(0, Op::Lookup, None, false, caller);
        }
    }
    for (stack, wait_ns) in [(0, 50), (1, 70), (2, 30)] {
        builder.wait(0, stack, wait_ns);
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
