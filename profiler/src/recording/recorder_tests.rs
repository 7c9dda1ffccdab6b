use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::decode::{BlameEvent, WaitEvent};
use crate::model::summary::Summary;
use crate::model::{
    Builder, Definitions, Key, Limits, LockInfo, MapInfo, MapKey, Slice, SliceMeta, fixture,
};
use probe_ebpf::Op;

const SECOND: u64 = 1_000_000_000;
const NO_LIMIT: u64 = u64::MAX;

fn folder() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run.mprof");
    (dir, path)
}

fn summary(path: &Path) -> Summary {
    let recording = read(path).unwrap();
    assert_eq!(recording.damage, None);
    recording.session.summary(1000)
}

/// Sums of maps and locks, which no compaction may change.
fn sums(summary: &Summary) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut maps: Vec<_> = summary.maps.iter().map(|map| (map.id.clone(), map.ops)).collect();
    maps.sort_by(|a, b| a.0.cmp(&b.0));
    let mut locks: Vec<_> =
        summary.locks.iter().map(|it| (it.id.clone(), it.wait, it.hold, it.open.clone())).collect();
    locks.sort_by(|a, b| a.0.cmp(&b.0));
    let window = &summary.window;
    (maps, locks, window.duration_ns, window.observed_ns, window.events, window.start_unix_ns)
}

/// A second in which some of the keys are used, and one stack of its own waits.
fn busy(at: u64, keys: std::ops::Range<u64>) -> (Definitions, Slice) {
    let mut builder = Builder::new(Limits::default());
    for number in keys {
        let bytes = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        for _ in 0..=number % 3 {
            builder.operation(0, Op::Lookup, Some((&bytes, 8)), None, 0x40_0000 + at % 5, 1);
        }
        let key = MapKey { map: 0, key: Key { bytes: bytes.into(), len: 8 } };
        builder.key_wait(0, &key, number);
    }
    let stack = at as u32;
    builder.wait(&WaitEvent { lock: 0, stack, mode: None, task: at, start_ns: 0, ns: 1000 + at });
    builder.blame(&BlameEvent {
        lock: 0,
        holder: stack,
        holder_mode: None,
        holder_task: 1,
        waiter: stack,
        start_ns: 0,
        ns: 1000 + at,
    });
    let mut names = Definitions::default();
    if at == 0 {
        let MapInfo { .. } = names.maps.entry(0).or_insert(fixture::definitions().maps[&1].clone());
        let LockInfo { .. } =
            names.locks.entry(0).or_insert(fixture::definitions().locks[&0].clone());
    }
    names.stacks.insert(stack, vec![0x50_0000 + at]);
    names.actors.insert(stack, crate::decode::Actor { stack, key: None });
    names.frames.insert(0x50_0000 + at, fixture::definitions().frames[&0x40_0000].clone());
    let slice = builder.close(SliceMeta {
        start_unix_ns: 1_000 * SECOND + at * SECOND,
        duration_ns: SECOND,
        observed_ns: SECOND,
        locks_observed_ns: SECOND,
        events: at,
        ..SliceMeta::default()
    });
    (names, slice)
}

#[test]
fn a_recorded_run_sums_up_like_the_run() {
    let (_dir, path) = folder();
    let mut recorder = Recorder::create(&path, NO_LIMIT, Limits::default()).unwrap();
    recorder.header(Header::new(fixture::target())).unwrap();
    for (index, slice) in fixture::slices().iter().enumerate() {
        let names = if index == 0 { fixture::definitions() } else { Definitions::default() };
        recorder.interval(&names, slice).unwrap();
    }
    recorder.end("done").unwrap();
    assert_eq!(recorder.bytes(), std::fs::metadata(&path).unwrap().len());
    assert_eq!(summary(&path), fixture::session().summary(1000));
}

#[test]
fn it_stays_within_its_size_and_loses_nothing() {
    let (_dir, path) = folder();
    let most = 24_000;
    let mut recorder = Recorder::create(&path, most, Limits::default()).unwrap();
    recorder.header(Header::new(fixture::target())).unwrap();
    let mut session = crate::model::Session::new(fixture::target());
    // An early reader keeps what it opened.
    let mut early = None;
    for at in 0..300 {
        let (names, slice) = busy(at, 0..40 + at % 7);
        recorder.interval(&names, &slice).unwrap();
        session.define(names);
        session.push(slice);
        let len = std::fs::metadata(&path).unwrap().len();
        assert!(len <= most && len == recorder.bytes(), "{len} bytes after {at}");
        assert!(!recorder.is_too_large());
        if at == 3 {
            early = Some(Reader::open(&path).unwrap());
        }
    }
    recorder.end("done").unwrap();
    assert!(recorder.bytes() <= most && recorder.compactions() > 2);
    assert_eq!(sums(&summary(&path)), sums(&session.summary(1000)));

    let mut early = early.unwrap();
    assert!(early.by_ref().filter(|it| matches!(it, Record::Slice(_))).count() > 3);
    assert!(early.is_replaced());

    let starts: Vec<(u64, u64)> = Reader::open(&path)
        .unwrap()
        .filter_map(|record| match record {
            Record::Slice(slice) => Some((slice.start_unix_ns, slice.duration_ns)),
            _ => None,
        })
        .collect();
    assert!(starts.is_sorted());
    assert_eq!(starts.last().unwrap().1, SECOND, "the newest stay as they were");
    assert!(starts[0].1 > SECOND);
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_slice_that_is_too_large_alone_is_said_to_be() {
    let (_dir, path) = folder();
    let mut recorder = Recorder::create(&path, 2_000, Limits::default()).unwrap();
    let (names, slice) = busy(0, 0..2_000);
    recorder.interval(&names, &slice).unwrap();
    assert!(recorder.is_too_large());
    for at in 1..5 {
        let (names, slice) = busy(at, 0..2_000);
        recorder.interval(&names, &slice).unwrap();
    }
    recorder.end("done").unwrap();
    assert_eq!(summary(&path).window.duration_ns, 5 * SECOND);
}

/// Names that were dropped with their rows come back with them.
#[test]
fn names_that_are_not_used_go_and_come_back() {
    let (_dir, path) = folder();
    let limits = Limits { waiters: 4, pairs: 4, holders: 4, ..Limits::default() };
    let mut recorder = Recorder::create(&path, 9_000, limits).unwrap();
    for at in 0..200 {
        let (names, slice) = busy(at, 0..20);
        recorder.interval(&names, &slice).unwrap();
    }
    assert!(recorder.compactions() > 0);
    let known = || read(&path).unwrap().session.definitions().clone();
    assert!(known().stacks.len() < 150, "{}", known().stacks.len());
    assert!(!known().stacks.contains_key(&1) && known().maps.contains_key(&0));
    // The stack of the second interval waits again, and is not defined again.
    recorder.interval(&Definitions::default(), &busy(1, 0..20).1).unwrap();
    let known = known();
    assert!(known.stacks.contains_key(&1) && known.actors.contains_key(&1));
    assert!(known.frames.contains_key(&(0x50_0000 + 1)));
}

#[test]
fn two_writers_do_not_share_a_file() {
    let (_dir, path) = folder();
    let mut first = Recorder::create(&path, NO_LIMIT, Limits::default()).unwrap();
    let (names, slice) = busy(0, 0..5);
    first.interval(&names, &slice).unwrap();
    let error = Recorder::create(&path, NO_LIMIT, Limits::default()).unwrap_err();
    assert!(matches!(error, WriteError::InUse { .. }), "{error}");
    assert_eq!(summary_of_growing(&path).window.duration_ns, SECOND);
    drop(first);
    let recording = read(&path).unwrap();
    assert!(!recording.growing);
    assert!(recording.damage.unwrap().to_string().contains("broken off"));
    Recorder::create(&path, NO_LIMIT, Limits::default()).unwrap();
}

fn summary_of_growing(path: &Path) -> Summary {
    let recording = read(path).unwrap();
    assert!(recording.growing && recording.end.is_none());
    assert_eq!(recording.damage, None);
    recording.session.summary(10)
}

#[test]
fn a_reader_follows_a_writer() {
    let (_dir, path) = folder();
    let mut recorder = Recorder::create(&path, NO_LIMIT, Limits::default()).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    for at in 0..5 {
        assert!(reader.next().is_none() && reader.growing() && reader.damage().is_none());
        let (names, slice) = busy(at, 0..5);
        recorder.interval(&names, &slice).unwrap();
        assert!(matches!(reader.next(), Some(Record::Definitions(_))));
        assert!(matches!(reader.next(), Some(Record::Slice(read)) if *read == slice));
    }
    recorder.end("done").unwrap();
    drop(recorder);
    assert!(matches!(reader.next(), Some(Record::End { .. })));
    assert!(reader.next().is_none() && !reader.growing() && reader.damage().is_none());
}

#[test]
fn a_file_that_is_removed_is_missed() {
    let (_dir, path) = folder();
    let mut recorder = Recorder::create(&path, NO_LIMIT, Limits::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (names, slice) = busy(0, 0..5);
    let error = recorder.interval(&names, &slice).unwrap_err().to_string();
    assert!(error.contains("run.mprof") && error.contains("removed"), "{error}");
    assert_eq!(recorder.missing().unwrap().duration_ns, SECOND);
    assert!(recorder.end("done").is_err());
}

#[test]
fn parts_begin_where_they_are_asked_to() {
    let (_dir, path) = folder();
    let mut recorder = Recorder::create(&path, NO_LIMIT, Limits::default()).unwrap();
    for at in 0..10 {
        let (names, slice) = busy(at, 0..5);
        recorder.interval(&names, &slice).unwrap();
    }
    recorder.end("done").unwrap();
    let part = |from: &str, to: &str| {
        let moment = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let part = Part { from: moment(from), to: moment(to) };
        let options = ReadOptions { part, ..ReadOptions::default() };
        read_with(&path, &options).map(|it| it.session.summary(9).window.events)
    };
    // The event count of a slice is its number.
    assert_eq!(part("", "").unwrap(), 45);
    assert_eq!(part("2s", "4s").unwrap(), 2 + 3);
    assert_eq!(part("-3s", "").unwrap(), 7 + 8 + 9);
    assert_eq!(part("", "-8s").unwrap(), 1);
    assert_eq!(part("1970-01-01T00:16:41Z", "1970-01-01T00:16:43Z").unwrap(), 1 + 2);
    for (from, to) in [("10s", ""), ("4s", "4s"), ("5s", "2s"), ("", "0"), ("2s", "2.5s")] {
        let Err(error) = part(from, to) else {
            assert_eq!((from, to), ("2s", "2.5s"));
            continue;
        };
        let error = error.to_string();
        assert!(error.contains("covers 10.0s, from 1970-01-01T00:16:40"), "{error}");
    }
}

/// Bytes of the first slice alone, with all names.
fn alone(path: &Path) -> u64 {
    let records: Vec<_> = Reader::open(path).unwrap().collect();
    let names = records.iter().filter(|it| matches!(it, Record::Definitions(_)));
    let first = records.iter().find(|it| matches!(it, Record::Slice(_)));
    let header = Record::Header(std::borrow::Cow::Owned(Header::new(fixture::target())));
    let bytes = |it: &Record<'_>| super::format::encode(it).unwrap().len() as u64;
    let all = names.chain(first).map(bytes).sum::<u64>() + bytes(&header);
    all + super::format::FILE_HEAD as u64 + 64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_size_keeps_the_sums(
        sizes in prop::collection::vec(0_u64..300, 1..30),
        most in 1_000_u64..20_000,
    ) {
        let (_dir, path) = folder();
        let mut recorder = Recorder::create(&path, most, Limits::default()).unwrap();
        let mut session = crate::model::Session::new(fixture::target());
        recorder.header(Header::new(fixture::target())).unwrap();
        let mut from = 0;
        for (at, keys) in sizes.into_iter().enumerate() {
            // Keys of their own for each third slice.
            from += if at % 3 == 0 { keys } else { 0 };
            let (names, slice) = busy(at as u64, from..from + keys);
            recorder.interval(&names, &slice).unwrap();
            session.define(names);
            session.push(slice);
            if recorder.is_too_large() {
                prop_assert!(alone(&path) > most, "more than one slice and its names");
            }
        }
        recorder.end("done").unwrap();
        prop_assert_eq!(sums(&summary(&path)), sums(&session.summary(1000)));
    }
}
