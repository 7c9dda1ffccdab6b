use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::model::summary::Summary;
use crate::model::{Session, fixture};
use crate::recording::{Reader, Recorder, read};

const SECOND: u64 = 1_000_000_000;

/// A recording of these slices of the fixture's run, on its own host.
fn record(
    dir: &TempDir,
    name: &str,
    change: impl Fn(&mut TargetInfo),
    slices: &[Slice],
) -> PathBuf {
    let path = dir.path().join(name);
    let mut target = fixture::target();
    change(&mut target);
    let limits = crate::model::Limits::default();
    let mut recorder = Recorder::create(&path, u64::MAX, limits).unwrap();
    recorder.header(Header::new(target)).unwrap();
    let mut names = fixture::definitions();
    for slice in slices {
        recorder.interval(&std::mem::take(&mut names), slice).unwrap();
    }
    recorder.end("done").unwrap();
    path
}

fn summary(path: &Path) -> Summary {
    let recording = read(path).unwrap();
    assert_eq!(recording.damage, None);
    recording.session.summary(1000)
}

/// Without what a merge does not keep: ids of things that nothing is known of, and the order
/// of equal keys.
fn comparable(mut summary: Summary) -> Summary {
    for lock in summary.locks.iter_mut().filter(|lock| lock.kind == "unknown") {
        lock.id.clear();
    }
    for map in &mut summary.maps {
        map.keys.sort_by(|a, b| (b.ops.total(), &a.key).cmp(&(a.ops.total(), &b.key)));
    }
    summary
}

#[test]
fn one_recording_sums_up_as_before() {
    let dir = TempDir::new().unwrap();
    let one = record(&dir, "one", |_| {}, &fixture::slices());
    let output = dir.path().join("out");
    let merged = merge(std::slice::from_ref(&one), &output).unwrap();
    assert_eq!(merged, Merged { recordings: 1, intervals: 3, ..Merged::default() });
    let (before, after) = (comparable(summary(&one)), comparable(summary(&output)));
    assert_eq!(after.maps, before.maps);
    assert_eq!(after.locks, before.locks);
    assert_eq!(after, before);
    // And once more.
    let again = dir.path().join("again");
    merge(std::slice::from_ref(&output), &again).unwrap();
    assert_eq!(comparable(summary(&again)), after);
}

#[test]
fn two_hosts_are_one_service() {
    let dir = TempDir::new().unwrap();
    let names = {
        let mut names = fixture::definitions();
        names.maps.get_mut(&0).unwrap().label = Some("main.(*Cache).Get".to_owned());
        names
    };
    let mut paths = Vec::new();
    for (name, shift) in [("a", 0_u64), ("b", 1 << 40)] {
        let path = dir.path().join(name);
        let limits = crate::model::Limits::default();
        let mut recorder = Recorder::create(&path, u64::MAX, limits).unwrap();
        let target = TargetInfo { host: name.to_owned(), ..fixture::target() };
        recorder.header(Header::new(target)).unwrap();
        // The other process lies elsewhere in its memory.
        let mut names = names.clone();
        for info in names.locks.values_mut() {
            info.address = info.address.map(|at| at + shift);
        }
        names.maps.get_mut(&0).unwrap().address = Some(shift);
        for slice in fixture::slices() {
            recorder.interval(&names, &slice).unwrap();
        }
        recorder.end("done").unwrap();
        paths.push(path);
    }
    let output = dir.path().join("out");
    assert_eq!(merge(&paths, &output).unwrap().intervals, 3);
    let (one, both) = (summary(&paths[0]), summary(&output));
    assert_eq!((both.target.pid, &both.target.runtimes), (0, &one.target.runtimes));
    assert!(both.target.exe.ends_with(" (2 processes on 2 hosts)"), "{}", both.target.exe);
    assert_eq!(both.window.duration_ns, one.window.duration_ns, "they ran side by side");
    assert_eq!(both.window.observed_ns, one.window.observed_ns);
    assert_eq!(both.window.events, 2 * one.window.events);

    let cache = both.maps.iter().find(|map| map.label.is_some()).unwrap();
    let alone = one.maps.iter().find(|map| map.label.is_some()).unwrap();
    assert_eq!((cache.ops.total(), &cache.address), (2 * alone.ops.total(), &None));
    assert_eq!(cache.keys.len(), alone.keys.len());
    for (both, one) in comparable(summary(&output)).maps[0].keys.iter().zip(&alone.keys) {
        assert_eq!(both.ops.total(), 2 * one.ops.total(), "{}", both.key);
    }
    // A lock with a label is one, one without is two.
    let orders = both.locks.iter().find(|lock| lock.label.is_some()).unwrap();
    let alone = one.locks.iter().find(|lock| lock.label.is_some()).unwrap();
    assert_eq!(orders.wait.sum_ns, 2 * alone.wait.sum_ns);
    assert_eq!(orders.open_waits, 2 * alone.open_waits);
    assert_eq!(orders.waiters.len(), alone.waiters.len(), "stacks that read the same are one");
    assert_eq!(both.locks.iter().filter(|lock| lock.label.is_none()).count(), 4);
    assert_eq!(sums([&one, &one]), sums([&both]));

    let header = Reader::open(&output).unwrap().next();
    let Some(Record::Header(header)) = header else { panic!("{header:?}") };
    let hosts: Vec<_> = header.sources.iter().map(|source| source.host.as_str()).collect();
    assert_eq!(hosts, ["a", "b"]);
}

/// What adds up: operations by kind of map, their keys, waits by kind of lock, and events.
fn sums<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |what: String, count: u64| *sums.entry(what).or_default() += count;
    for summary in summaries {
        for map in &summary.maps {
            let name = format!("{} {:?}", map.kind, map.type_name);
            add(format!("{name} inserts"), map.ops.insert);
            add(format!("{name} ops"), map.ops.total());
            for key in &map.keys {
                add(format!("{name} {}", key.key), key.ops.total());
                add(format!("{name} {} wait", key.key), key.wait.map_or(0, |h| h.sum_ns));
                add(format!("{name} {} blame", key.key), key.blame.map_or(0, |h| h.sum_ns));
            }
        }
        for lock in &summary.locks {
            add(format!("{} waits", lock.kind), lock.wait.count);
            add(format!("{} wait", lock.kind), lock.wait.sum_ns);
            add(format!("{} held", lock.kind), lock.hold.map_or(0, |h| h.sum_ns));
        }
        add("events".to_owned(), summary.window.events);
        add("lost".to_owned(), summary.window.lost.values().sum());
    }
    sums
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_merged() {
    let dir = TempDir::new().unwrap();
    let whole = record(&dir, "whole", |_| {}, &fixture::slices());
    let cut = record(&dir, "cut", |_| {}, &fixture::slices());
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 40]).unwrap();
    let foreign = dir.path().join("foreign");
    fs::write(&foreign, "no recording").unwrap();
    let missing = dir.path().join("missing");
    let output = dir.path().join("out");
    let merged = merge(&[foreign.clone(), whole.clone(), cut, missing], &output).unwrap();
    assert_eq!((merged.recordings, merged.intervals, merged.problems.len()), (2, 3, 3));
    for (problem, part) in merged.problems.iter().zip(["foreign", "at byte", "missing"]) {
        assert!(problem.contains(part), "{problem}");
    }
    assert!(summary(&output).window.events > summary(&whole).window.events);
    assert!(matches!(merge(&[foreign], &output), Err(MergeError::Read(_))));
    let error = merge(std::slice::from_ref(&whole), &whole).unwrap_err().to_string();
    assert!(error.contains("choose another file"), "{error}");
    assert_eq!(summary(&whole).window.events, fixture::session().summary(1).window.events);
}

#[test]
fn a_part_that_waits_still_is_not_forgotten() {
    let dir = TempDir::new().unwrap();
    let mut quiet = fixture::slices();
    for slice in &mut quiet {
        slice.locks.clear();
    }
    let a = record(&dir, "a", |_| {}, &fixture::slices());
    let b = record(&dir, "b", |_| {}, &quiet);
    let output = dir.path().join("out");
    merge(&[a.clone(), b], &output).unwrap();
    let open = |path: &Path| summary(path).locks.iter().map(|it| it.open_waits).sum::<u64>();
    assert_eq!(open(&output), open(&a));
    assert!(open(&a) > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However the intervals of a run are dealt out to sources and shifted in time.
    #[test]
    fn nothing_is_lost_or_added(
        dealt in prop::collection::vec((0_usize..4, 0_u64..5, 0_u64..3 * SECOND), 1..12),
    ) {
        let dir = TempDir::new().unwrap();
        let mut parts: BTreeMap<usize, Vec<Slice>> = BTreeMap::new();
        for (source, which, shift) in dealt {
            let mut slice = fixture::slices().swap_remove(which as usize % 3);
            slice.start_unix_ns += shift;
            slice.duration_ns = 1 + shift % SECOND;
            parts.entry(source).or_default().push(slice);
        }
        let mut session = Session::new(fixture::target());
        session.define(fixture::definitions());
        let mut paths = Vec::new();
        for (source, slices) in &parts {
            for slice in slices {
                session.push(slice.clone());
            }
            paths.push(record(&dir, &source.to_string(), |it| it.pid = *source as u32, slices));
        }
        let output = dir.path().join("out");
        merge(&paths, &output).unwrap();
        let (merged, all) = (summary(&output), session.summary(1000));
        prop_assert_eq!(sums([&merged]), sums([&all]));
        let longest = parts.values().map(|it| it.iter().map(|it| it.duration_ns).sum::<u64>());
        prop_assert!(merged.window.duration_ns >= longest.max().unwrap());
        prop_assert!(merged.window.duration_ns <= all.window.duration_ns);
    }
}
