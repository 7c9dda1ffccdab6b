//! Made-up recordings whose truth is known.

use std::collections::BTreeMap;

use jsonschema::Validator;
use probe_ebpf::Op;
use serde_json::Value;

use super::gate::{Checked, Gate};
use super::*;
use crate::decode::{BlameEvent, Definitions, LockInfo, MapInfo};
use crate::model::{Builder, Limits, Session, SliceMeta, fixture};

const SECOND: u64 = 1_000_000_000;
/// More than an interval of a session's past tells.
const KEYS: usize = 60;
const LOCKS: u32 = 3;

/// xorshift64: Marsaglia, "Xorshift RNGs", 2003.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..10 {
            random.unit();
        }
        random
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// How many there are where so many are expected.
    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (mut count, mut product) = (0, self.unit());
        while product > (-mean).exp() {
            count += 1;
            product *= self.unit();
        }
        count
    }
}

/// A load that goes on for a while.
#[derive(Clone)]
struct Load {
    intervals: u64,
    /// Operations per interval of each key.
    keys: Vec<f64>,
    /// Waits per interval of each lock.
    waits: f64,
    /// Of the first lock, how many times as long as usual.
    times: f64,
    /// How much intervals differ beyond chance: the standard deviation of their logarithm.
    restless: f64,
}

impl Load {
    fn steady() -> Self {
        Self {
            intervals: 20,
            keys: (1..=KEYS).map(|rank| 400.0 / rank as f64).collect(),
            waits: 60.0,
            times: 1.0,
            restless: 0.2,
        }
    }

    fn run(&self, seed: u64) -> Session {
        let mut random = Random::new(seed);
        let mut session = Session::with_limits(
            fixture::target(),
            Limits { past_rows: 1_000_000, ..Limits::default() },
        );
        session.define(definitions());
        let mut builder = Builder::new(Limits::default());
        for at in 0..self.intervals {
            let busy = (self.restless * random.normal()).exp();
            self.interval(&mut builder, &mut random, busy);
            session.push(builder.close(SliceMeta {
                start_unix_ns: at * SECOND,
                duration_ns: SECOND,
                observed_ns: SECOND,
                locks_observed_ns: SECOND,
                events: 1000,
                ..SliceMeta::default()
            }));
        }
        session
    }

    fn interval(&self, builder: &mut Builder, random: &mut Random, busy: f64) {
        for (rank, mean) in self.keys.iter().enumerate() {
            let key = format!("user:{rank}");
            for _ in 0..random.poisson(mean * busy) {
                builder.operation(
                    0,
                    Op::Lookup,
                    Some((key.as_bytes(), key.len() as u64)),
                    None,
                    7,
                    1,
                );
            }
        }
        for lock in 0..LOCKS {
            let times = if lock == 0 { self.times } else { 1.0 };
            for _ in 0..random.poisson(self.waits * busy) {
                // Lognormal, with a tail as that of waits.
                let ns = (1e6 * times * (1.2 * random.normal()).exp()) as u64;
                let stack = random.poisson(0.5).min(2) as u32;
                builder.wait(&fixture::wait(lock, stack, ns));
                let holder = 3;
                builder.blame(&BlameEvent {
                    lock,
                    holder,
                    holder_mode: None,
                    holder_task: 1,
                    waiter: stack,
                    start_ns: 0,
                    ns,
                });
            }
        }
    }
}

fn definitions() -> Definitions {
    let mut definitions = fixture::definitions();
    let names = |lock| format!("lock {lock}");
    let lock = |lock| LockInfo {
        address: Some(0x1000 + u64::from(lock)),
        kind: "sync.Mutex".to_owned(),
        label: Some(names(lock)),
    };
    definitions.locks = (0..LOCKS).map(|id| (id, lock(id))).collect();
    let map = definitions.maps.remove(&0).unwrap();
    definitions.maps = BTreeMap::from([(0, MapInfo { label: Some("sessions".to_owned()), ..map })])
        .into_iter()
        .collect();
    definitions
}

struct Compared {
    diff: Diff,
    checks: Vec<Checked>,
}

fn compare(before: &Session, after: &Session, conditions: &[&str]) -> Compared {
    let [before, after] = [before, after].map(Part::of);
    let pairing = Pairing::of(&before, &after);
    let comparison = Comparison::new(&before, &after, &pairing, Options::default());
    let gates = conditions.iter().map(|condition| condition.parse::<Gate>().unwrap());
    Compared {
        checks: gates.map(|gate| gate.check(&comparison)).collect(),
        diff: comparison.diff(),
    }
}

fn news(diff: &Diff) -> Vec<String> {
    let of = |changes: &Changes| {
        let news = changes.figures.iter().filter(|change| change.verdict.is_news());
        let told =
            |change: &Change| format!("{} {:?} {:?}", changes.name, change.field, change.verdict);
        news.map(told).collect::<Vec<_>>()
    };
    diff.subjects.iter().flat_map(of).collect()
}

fn change<'a>(diff: &'a Diff, name: &str, field: &str) -> &'a Change {
    let figures =
        diff.subjects.iter().filter(|it| it.name.contains(name)).flat_map(|it| &it.figures);
    figures.into_iter().find(|it| it.field == field).unwrap_or_else(|| panic!("{name} {field}"))
}

/// Of 100 pairs of recordings of the same load at most one in twenty says that something
/// moved, which is what is promised.
#[test]
fn the_same_load_is_no_news() {
    const CONDITIONS: [&str; 2] = ["lock.wait.p99 > +0%", "key.ops.rate > +0%"];
    let load = Load::steady();
    let pairs = 100;
    let (mut alarms, mut compared, mut failed) = (0, 0, [0; 2]);
    for pair in 0..pairs {
        let [before, after] = [2 * pair, 2 * pair + 1].map(|seed| load.run(seed + 1));
        let told = compare(&before, &after, &CONDITIONS);
        alarms += u32::from(!news(&told.diff).is_empty());
        compared = told.diff.compared;
        for (failed, check) in failed.iter_mut().zip(&told.checks) {
            *failed += u32::from(check.holds);
        }
    }
    println!("false alarms: {alarms} of {pairs}, {compared} figures each; conditions {failed:?}");
    assert!(compared > 60, "{compared}");
    assert!(alarms <= 5, "{alarms} of {pairs}");
    assert!(failed.iter().all(|&failed| failed <= 5), "{failed:?} of {pairs}");
}

/// An interval that is to hold the truth in 95 of 100 cases does.
#[test]
fn intervals_hold_the_true_change() {
    let load = Load::steady();
    let mut hotter = load.clone();
    (hotter.keys[3], hotter.times) = (hotter.keys[3] * 2.0, 2.0);
    let (pairs, mut within) = (60, [0; 3]);
    for pair in 0..pairs {
        let before = load.run(1000 + 2 * pair);
        let after = hotter.run(1001 + 2 * pair);
        let diff = compare(&before, &after, &[]).diff;
        let wanted =
            [("user:3", "key.ops.rate"), ("lock 0", "lock.wait.p50"), ("lock 0", "lock.wait.p90")];
        for (within, (name, field)) in within.iter_mut().zip(wanted) {
            let change = change(&diff, name, field);
            let (low, high) = (change.change_low.unwrap(), change.change_high.unwrap());
            *within += u32::from((low..=high).contains(&1.0));
        }
    }
    println!("intervals with the truth, of {pairs}: {within:?}");
    assert!(within.iter().all(|&within| within >= 52), "{within:?} of {pairs}");
}

#[test]
fn what_changed_is_found_and_nothing_else() {
    // Of a lock with enough waits for its p99.
    let load = Load { waits: 300.0, ..Load::steady() };
    let mut hotter = load.clone();
    (hotter.keys[4], hotter.times) = (hotter.keys[4] * 3.0, 2.0);
    let told = compare(
        &load.run(11),
        &hotter.run(12),
        &[
            "lock.wait.p99 > +20%",
            "lock.wait.p99 > +20% and name ~ \"lock 1\"",
            "key.ops.rate > +100% and key ~ user:4",
            "key.ops.rate > +500%",
            "lock.wait.p99 > 1ms",
            "lock.wait.p99 > 10s",
            "lock.wait.rate > +1%",
            "lock.wait.max > +10%",
            "key.ops.rate > +20% and map ~ orders",
            "run.events.lost > 0",
        ],
    );
    let news = news(&told.diff);
    assert!(news.iter().any(|it| it.contains("user:4\" \"key.ops.rate\" More")), "{news:?}");
    assert!(news.iter().any(|it| it.contains("lock 0 \"lock.wait.p99\" More")), "{news:?}");
    assert!(!news.iter().any(|it| it.starts_with("sync.Mutex in lock 1")), "{news:?}");
    let p99 = change(&told.diff, "lock 0", "lock.wait.p99");
    assert!((0.5..2.0).contains(&p99.change.unwrap()), "{p99:?}");
    let held: Vec<bool> = told.checks.iter().map(|check| check.holds).collect();
    let expected = [true, false, true, false, true, false, false, false, false, false];
    assert_eq!(held, expected, "{:#?}", told.checks);
    let said = |index: usize| told.checks[index].lines.join("\n");
    assert!(said(0).contains("lock.wait.p99 went from"), "{}", said(0));
    assert!(said(7).contains("has no margin"), "{}", said(7));
    assert!(said(8).contains("nothing that"), "{}", said(8));
    assert!(said(9).is_empty(), "{}", said(9));
}

#[test]
fn a_key_that_comes_is_new_and_one_that_goes_is_gone() {
    let load = Load::steady();
    let mut other = load.clone();
    other.keys[5] = 0.0;
    other.keys.push(80.0);
    let diff = compare(&load.run(21), &other.run(22), &[]).diff;
    let verdict = |name| change(&diff, name, "key.ops.rate").verdict;
    assert_eq!(verdict("user:5\""), Verdict::Gone);
    assert_eq!(verdict("user:60"), Verdict::New);
    assert_eq!(verdict("user:6"), Verdict::Same);
}

#[test]
fn too_little_is_no_verdict() {
    let load = Load { intervals: 2, ..Load::steady() };
    let diff = compare(&load.run(31), &load.run(32), &[]).diff;
    assert_eq!(diff.compared, 0);
    assert!(text(&diff).contains("too few events or intervals"), "{}", text(&diff));
    let few = Load { waits: 2.0, ..Load::steady() };
    let mut slow = few.clone();
    slow.times = 10.0;
    let told = compare(&few.run(33), &slow.run(34), &["lock.wait.p99 > +20%"]);
    let p99 = change(&told.diff, "lock 0", "lock.wait.p99");
    assert_eq!(
        (p99.verdict, p99.why),
        (Verdict::TooFew, Some("too few events for this percentile"))
    );
    assert!(
        !told.checks[0].holds && told.checks[0].lines[0].contains("too few"),
        "{:?}",
        told.checks
    );
}

#[test]
fn recordings_of_different_length_are_compared_by_the_second() {
    let load = Load::steady();
    let long = Load { intervals: 60, ..Load::steady() };
    let told = compare(&load.run(41), &long.run(42), &["lock.wait.count > +50%"]);
    assert_eq!(news(&told.diff), [""; 0]);
    assert!(!told.checks[0].holds, "{:?}", told.checks);
}

#[test]
fn a_recording_does_not_differ_from_itself() {
    let session = Load::steady().run(51);
    let diff = compare(&session, &session, &[]).diff;
    assert_eq!(news(&diff), [""; 0]);
    let all = || diff.subjects.iter().flat_map(|changes| &changes.figures);
    assert!(all().all(|change| change.change.is_none_or(|change| change == 0.0)));
    assert!(text(&diff).contains("Nothing moved"));
}

#[test]
fn conditions_that_are_wrong_say_where() {
    for (condition, place) in [
        ("", "character 1"),
        ("lock.wait.p98 > +20%", "no figure is called \"lock.wait.p98\", at character 1"),
        ("lock.wait.p99 > +20% and spam > 1", "no figure is called \"spam\", at character 26"),
        ("lock.wait.p99 ~ 5", "compared by > or <, at character 1"),
        ("lock.wait.p99 > 5", "a time such as 5ms"),
        ("key.share > 5ms", "a share such as 20%"),
        ("name ~ x", "no figure is compared"),
        ("lock.wait.p99 > 5ms and key.share > 5%", "of another kind"),
        ("lock.wait.p99 > 5ms and key ~ x", "has no key"),
        ("run.ops.rate > 5 and name ~ x", "has no name"),
    ] {
        let error = condition.parse::<Gate>().unwrap_err().to_string();
        assert!(error.contains(place), "{condition}: {error}");
    }
    let unknown = "x > 1".parse::<Gate>().unwrap_err().to_string();
    assert!(unknown.contains("lock.wait.p99") && unknown.contains("run.overhead"), "{unknown}");
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(include_str!("../../schema/diff.v1.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_json_is_as_the_schema_says() {
    let validator = validator();
    let load = Load::steady();
    let mut other = load.clone();
    (other.keys[5], other.times) = (0.0, 2.0);
    other.keys.push(80.0);
    let empty = Session::new(fixture::target());
    let mut cases =
        vec![compare(&empty, &empty, &[]).diff, compare(&empty, &load.run(1), &[]).diff];
    let told = compare(&load.run(1), &other.run(2), &["lock.wait.p99 > +20%"]);
    cases.push(Diff { checks: told.checks, ..told.diff });
    cases.push(compare(&fixture::session(), &load.run(3), &[]).diff);
    for diff in &cases {
        let json = serde_json::to_value(diff).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&json)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0]);
    }
    let valid = serde_json::to_value(&cases[2]).unwrap();
    for (path, value) in [
        ("/schema", Value::from("mapprof.diff.v2")),
        ("/before/events", Value::from(-1)),
        ("/subjects/0/kind", Value::from("thing")),
        ("/subjects/0/figures/0/verdict", Value::from("perhaps")),
        ("/subjects/0/figures/0/p", Value::from(2)),
        ("/subjects/0/surprise", Value::from(1)),
        ("/subjects/0/figures/0/surprise", Value::from(1)),
        ("/checks/0/holds", Value::from("yes")),
        ("/surprise", Value::from(1)),
    ] {
        let mut broken = valid.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        broken.pointer_mut(parent).unwrap()[field] = value;
        assert!(!validator.is_valid(&broken), "{path}");
    }
}

#[test]
fn the_text_is_narrow_and_obeys_nothing() {
    let load = Load::steady();
    for (before, after) in [
        (fixture::session(), load.run(61)),
        (load.run(62), fixture::session()),
        (load.run(63), Load { times: 4.0, ..Load::steady() }.run(64)),
    ] {
        let text = text(&compare(&before, &after, &[]).diff);
        for line in text.lines() {
            assert!(crate::units::width(line) <= 100, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}

/// What was watched in windows: the hot key is twice as hot, and nothing else has moved.
#[test]
fn golden_text_of_windows() {
    let [before, after] = [1, 2].map(|times| fixture::windowed_for(20, times));
    let diff = compare(&before, &after, &[]).diff;
    insta::assert_snapshot!("windowed", text(&diff));
    let json = serde_json::to_value(&diff).unwrap();
    assert!(validator().is_valid(&json), "{json}");
}
