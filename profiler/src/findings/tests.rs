use super::locks::{STUCK_FOR_GOOD_NS, STUCK_NS};
use super::*;
use crate::model::hist::WaitHist;
use crate::model::lost;
use crate::model::summary::{H, Holder, Key, KeyPart, Lock, Ops, Waiter};
use crate::model::{Session, TargetInfo, fixture};

fn empty() -> Summary {
    let mut summary = Session::new(TargetInfo::default()).summary(0);
    summary.window.duration_ns = 10_000_000_000;
    summary.window.duration_ns = 10_000_000_000;
    summary
}

/// A map of 100 keys whose first one has this many of its inserts.
fn with_map(hottest: u64, total: u64) -> Summary {
    let mut summary = fixture::session().summary(1);
    summary.locks.clear();
    summary.window.lost.clear();
    summary.maps.truncate(1);
    summary.window.duration_ns = 100_000_000;
    let map = &mut summary.maps[0];
    map.ops = Ops { insert: total, ..Ops::default() };
    map.keys_tracked = 100;
    let share = hottest as f64 / total as f64;
    let ops = Ops { insert: hottest, ..Ops::default() };
    map.keys[0] = Key { key: "\"hot\"".to_owned(), ops, share, ..map.keys[0].clone() };
    summary
}

fn with_lock(wait: H, open_waits: u64, open_max_ns: u64) -> Summary {
    let mut summary = empty();
    let mut lock = fixture::session().summary(0).locks.swap_remove(0);
    (lock.wait, lock.open_waits, lock.open_max_ns) = (wait, open_waits, open_max_ns);
    (lock.holders, lock.blamed_ns) = (Vec::new(), 0);
    summary.locks = vec![lock];
    summary
}

fn waited(sum_ns: u64) -> H {
    H { count: 5, sum_ns, ..H::default() }
}

/// Rule, severity and subject of each finding.
fn found(summary: &Summary) -> Vec<(String, String, String)> {
    find(summary).into_iter().map(|f| (f.rule, f.severity, f.subject)).collect()
}

fn expected(rule: &str, severity: &str, subject: &str) -> Vec<(String, String, String)> {
    vec![(rule.to_owned(), severity.to_owned(), subject.to_owned())]
}

#[test]
fn nothing_is_found_in_nothing() {
    assert_eq!(find(&empty()), []);
}

#[test]
fn a_hot_key_is_found_and_named() {
    let summary = with_map(300, 1000);
    assert_eq!(found(&summary), expected("hot-key", "warning", "m1"));
    let finding = &find(&summary)[0];
    assert!(
        finding.message.contains("\"hot\"") && finding.message.contains("30.0%"),
        "{}",
        finding.message
    );
    assert_eq!(finding.evidence["operations"], 300);
    assert_eq!(found(&with_map(500, 1000)), expected("hot-key", "critical", "m1"));
}

#[test]
fn a_hot_key_that_is_only_read_is_told_without_alarm() {
    let with = |insert, delete| {
        let mut summary = with_map(600, 1000);
        let ops = Ops { lookup: 600 - insert - delete, insert, delete, ..Ops::default() };
        summary.maps[0].keys[0].ops = ops;
        summary
    };
    let finding = &find(&with(0, 0))[0];
    assert_eq!(found(&with(0, 0)), expected("hot-read-key", "info", "m1"));
    assert!(finding.message.ends_with("; none of the key's are writes."), "{}", finding.message);
    assert_eq!(finding.evidence["writes"], 0);
    assert_eq!(found(&with(30, 29)), expected("hot-read-key", "info", "m1"));
    assert_eq!(found(&with(30, 30)), expected("hot-key", "critical", "m1"));
}

#[test]
fn nothing_is_said_of_maps_that_nobody_can_do_anything_about() {
    let mut summary = with_map(600, 1000);
    assert_eq!(found(&summary).len(), 1);
    summary.maps[0].internal = true;
    assert_eq!(found(&summary), []);
}

#[test]
fn no_key_is_hot_by_little_use_a_small_share_or_for_want_of_others() {
    assert_eq!(found(&with_map(300, 999)), []);
    assert_eq!(found(&with_map(199, 1000)), []);
    let mut few_keys = with_map(600, 1000);
    few_keys.maps[0].keys_tracked = 3;
    assert_eq!(found(&few_keys), []);
    few_keys.maps[0].keys.clear();
    assert_eq!(found(&few_keys), []);
}

#[test]
fn only_the_busiest_maps_are_told_of() {
    let mut summary = with_map(300, 1000);
    summary.maps = vec![summary.maps[0].clone(); 50];
    assert_eq!(find(&summary).len(), MOST_PER_RULE);
}

#[test]
fn who_waits_for_a_channel_may_be_idle() {
    let mut summary = with_lock(waited(10_000_000_000), 5, 60_000_000_000);
    assert!(!find(&summary).is_empty());
    summary.locks[0].kind = "chan".to_owned();
    assert!(find(&summary).is_empty());
}

#[test]
fn contention_is_found_and_the_waiting_function_named() {
    let summary = with_lock(waited(1_000_000_000), 0, 0);
    assert_eq!(found(&summary), expected("lock-contention", "warning", "l1"));
    let finding = &find(&summary)[0];
    assert_eq!(finding.evidence["top_waiter"], "main.(*Cache).Get");
    assert!(finding.message.contains("1.00s in 10.0s"), "{}", finding.message);
    assert_eq!(
        found(&with_lock(waited(10_000_000_000), 0, 0)),
        expected("lock-contention", "critical", "l1")
    );
}

#[test]
fn a_little_waiting_is_no_contention() {
    assert_eq!(found(&with_lock(waited(999_999_999), 0, 0)), []);
    let mut unobserved = with_lock(waited(u64::MAX), 0, 0);
    unobserved.window.duration_ns = 0;
    assert_eq!(found(&unobserved), []);
}

#[test]
fn little_data_and_little_cost_are_no_contention() {
    let within = |count, sum_ns| {
        let mut summary = with_lock(H { count, ..waited(sum_ns) }, 0, 0);
        summary.window.duration_ns = 500_000_000;
        found(&summary)
    };
    assert_eq!(within(5, 100_000_000).len(), 1);
    assert_eq!(within(4, 100_000_000), []);
    assert_eq!(within(5, 99_999_999), []);
}

#[test]
fn findings_say_how_far_their_figures_may_be_off() {
    let with = |margin_ns, few| {
        let wait = H { margin: 2, margin_ns, few, ..waited(10_500_000_000) };
        find(&with_lock(wait, 0, 0)).remove(0)
    };
    let sure = with(300_000_000, false);
    assert!(sure.message.contains("10.5s ±300ms in 10.0s (1.05 ±0.03 at a time)"), "{sure:?}");
    assert_eq!(
        (sure.severity.as_str(), &sure.evidence["margin_ns"]),
        ("critical", &300_000_000.into())
    );
    assert_eq!(with(600_000_000, false).severity, "warning", "it may be less than 1");
    let few = with(900_000_000, true);
    assert!(few.message.ends_with("It rests on insufficient samples."), "{few:?}");
    assert_eq!(
        (few.severity.as_str(), &few.evidence["insufficient_samples"]),
        ("warning", &true.into())
    );
    let mut map = with_map(600, 1000);
    (map.maps[0].margin, map.maps[0].keys[0].margin) = (90, 70);
    assert!(find(&map)[0].message.contains("of the 1.00k ±90 operations"), "{:?}", find(&map));
    map.maps[0].keys[0].few = true;
    assert_eq!(found(&map), [], "a key of a handful of operations");
}

/// A lock that is free nearly all the time, but held for long now and then.
#[test]
fn rare_waits_that_are_long_are_found_by_the_longest() {
    let with = |long: u64, ns| {
        let mut summary = with_lock(H::default(), 0, 0);
        let mut hist = WaitHist::default();
        hist.record_n(20_000, 5_000);
        hist.record_n(ns, long);
        let lock = &mut summary.locks[0];
        (lock.wait, lock.wait_hist) = (hist.h(), hist);
        summary
    };
    let summary = with(5, 104_000_000);
    assert_eq!(found(&summary), expected("long-waits", "warning", "l1"));
    let finding = &find(&summary)[0];
    assert!(
        finding
            .message
            .contains("5 of its 5.00k waits (0.1%) took 50.0ms or longer, the longest 104ms"),
        "{finding:?}"
    );
    assert_eq!(finding.evidence["long_waits"], 5);
    assert_eq!(found(&with(3, 40_000_000)), []);
    assert_eq!(found(&with(2, 104_000_000)), []);
    // One that is contended has its finding already.
    assert_eq!(found(&with(20, 104_000_000)), expected("lock-contention", "warning", "l1"));
    assert_eq!(found(&with(3, 250_000_000)), expected("long-waits", "warning", "l1"));
    let mut slow = with(3, 1_500_000_000);
    slow.window.duration_ns = 100_000_000_000;
    assert_eq!(found(&slow), expected("long-waits", "critical", "l1"));
}

#[test]
fn a_key_of_an_encoders_cache_is_not_blamed() {
    let mut summary = with_blame(900_000_000);
    let mut map = fixture::session().summary(1).maps.remove(0);
    map.id = "m3".to_owned();
    map.internal = true;
    summary.maps = vec![map];
    assert!(!found(&summary).iter().any(|it| it.0 == "blamed-key"));
}

#[test]
fn a_lock_without_waiters_is_contended_all_the_same() {
    let nobody = Summary {
        locks: vec![Lock {
            waiters: Vec::<Waiter>::new(),
            ..with_lock(waited(u64::MAX), 0, 0).locks.remove(0)
        }],
        ..empty()
    };
    assert!(find(&nobody)[0].evidence.get("top_waiter").is_none());
}

#[test]
fn stuck_waiters_are_found() {
    assert_eq!(found(&with_lock(waited(0), 1, STUCK_NS - 1)), []);
    let stuck = with_lock(waited(0), 1, STUCK_NS);
    assert_eq!(found(&stuck), expected("stuck-waiters", "warning", "l1"));
    assert!(find(&stuck)[0].message.contains("1 task is still waiting"));
    assert_eq!(
        found(&with_lock(waited(0), 3, STUCK_FOR_GOOD_NS)),
        expected("stuck-waiters", "critical", "l1")
    );
}

#[test]
fn losses_are_found_with_their_reasons() {
    let mut summary = empty();
    summary.window.events = 1_000_000;
    summary.window.lost = [("ring_full".to_owned(), 17), ("no_ring".to_owned(), 0)].into();
    assert_eq!(found(&summary), expected("lost-events", "warning", "run"));
    assert!(find(&summary)[0].message.contains("ring full 17"));
    summary.window.lost = [("ring_full".to_owned(), 20_000)].into();
    assert_eq!(found(&summary), expected("lost-events", "critical", "run"));
    summary.window.lost = [("ring_full".to_owned(), 0)].into();
    assert_eq!(found(&summary), []);
}

#[test]
fn missing_details_are_no_lost_events() {
    let mut summary = empty();
    summary.window.lost = [(lost::PAIRS.to_owned(), 20_000)].into();
    assert_eq!(found(&summary), []);
    summary.window.lost.insert("ring_full".to_owned(), 1);
    assert_eq!(found(&summary).len(), 1);
    assert!(!find(&summary)[0].message.contains("pairs"), "{}", find(&summary)[0].message);
}

/// A contended lock whose holders' blame is 1 s, so much of it for one key at two
/// places.
fn with_blame(key_ns: u64) -> Summary {
    let mut summary = with_lock(waited(1_500_000_000), 0, 0);
    let lock = &mut summary.locks[0];
    lock.blamed_ns = 1_000_000_000;
    let stack = lock.waiters[0].stack.clone();
    let holder = |ns| Holder {
        stack: stack.clone(),
        blame_ns: ns,
        keys: vec![
            KeyPart { map: "m3".to_owned(), key: "\"slow\"".to_owned(), count: 4, wait_ns: ns },
            KeyPart { map: "m3".to_owned(), key: "\"ok\"".to_owned(), count: 1, wait_ns: 1 },
        ],
        ..Holder::default()
    };
    lock.holders = vec![holder(key_ns - 1000), holder(1000)];
    summary
}

#[test]
fn a_key_that_makes_others_wait_is_named_with_its_place() {
    let rules = |ns| -> Vec<_> {
        let found = found(&with_blame(ns)).into_iter();
        found.filter(|it| it.0 == "blamed-key").map(|it| (it.1, it.2)).collect()
    };
    assert!(rules(500_000_000).is_empty());
    assert_eq!(rules(500_000_001), [("warning".to_owned(), "l1".to_owned())]);
    assert_eq!(rules(900_000_000), [("critical".to_owned(), "l1".to_owned())]);
    let finding = find(&with_blame(700_000_000)).into_iter().find(|it| it.rule == "blamed-key");
    let finding = finding.unwrap();
    for words in ["\"slow\" of m3", "700ms", "70.0%", "main.(*Cache).Get"] {
        assert!(finding.message.contains(words), "{}", finding.message);
    }
    assert_eq!(finding.evidence["blame_ns"], 700_000_000);
    let mut uncontended = with_blame(900_000_000);
    uncontended.locks[0].wait = waited(999_999_999);
    assert_eq!(found(&uncontended), []);
}

#[test]
fn a_map_that_only_grows_is_found() {
    let grown = |len: u64, first: u64, inserts: u64, deletes: u64| {
        let mut summary = with_map(1, 1);
        let map = &mut summary.maps[0];
        (map.len, map.len_first) = (Some(len), Some(first));
        map.ops = Ops { insert: inserts, delete: deletes, grow: 3, ..Ops::default() };
        map.keys.clear();
        summary
    };
    let summary = grown(10_240, 0, 10_240, 0);
    assert_eq!(found(&summary), expected("map-only-grows", "warning", "m1"));
    let finding = &find(&summary)[0];
    assert!(finding.message.contains("10.2k elements, 10.2k of them new"), "{}", finding.message);
    assert_eq!(finding.evidence["growths"], 3);
    assert_eq!(found(&grown(10_240, 0, 10_240, 102)).len(), 1);
    for no_leak in [
        grown(10_000, 0, 10_240, 0),
        grown(10_240, 9_217, 10_240, 0),
        grown(10_240, 0, 10_240, 103),
        grown(10_240, 20_000, 10_240, 0),
    ] {
        assert_eq!(found(&no_leak), []);
    }
    let mut cleared = grown(10_240, 0, 10_240, 0);
    cleared.maps[0].ops.clear = 1;
    assert_eq!(found(&cleared), []);
    let mut unknown = grown(10_240, 0, 10_240, 0);
    unknown.maps[0].len_first = None;
    assert_eq!(found(&unknown), []);
}

#[test]
fn a_sync_map_that_copies_itself_is_found() {
    let promoting = |misses, promotions| {
        let mut summary = with_map(1, 1000);
        summary.window.duration_ns = 10_000_000_000;
        summary.maps[0].ops.miss = misses;
        summary.maps[0].ops.promote = promotions;
        summary.maps[0].keys_tracked = 300_000;
        summary
    };
    assert_eq!(found(&promoting(50, 10)), expected("hot-promotions", "warning", "m1"));
    assert_eq!(found(&promoting(250, 10)), expected("hot-promotions", "critical", "m1"));
    assert!(find(&promoting(50, 10))[0].message.contains("5.0% of its 1.00k operations missed"));
    assert_eq!(found(&promoting(49, 10)), []);
    assert_eq!(found(&promoting(50, 9)), []);
    let mut small = promoting(250, 10);
    small.maps[0].keys_tracked = 1000;
    assert_eq!(found(&small), [], "copies of a small map cost nothing");
    let mut at_the_start = promoting(24, 12);
    at_the_start.maps[0].ops =
        Ops { insert: 24, lookup: 24, miss: 24, promote: 12, ..Ops::default() };
    assert_eq!(found(&at_the_start), []);
}

#[test]
fn the_gravest_come_first_and_attach_puts_them_in() {
    let mut summary = with_map(600, 1000);
    summary.window.lost = [("ring_full".to_owned(), 1)].into();
    summary.window.events = 1_000_000;
    summary.locks = with_lock(waited(0), 1, STUCK_NS).locks;
    attach(&mut summary);
    let rules: Vec<_> = summary.findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(rules, ["hot-key", "stuck-waiters", "lost-events"]);
}
