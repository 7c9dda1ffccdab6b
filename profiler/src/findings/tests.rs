use super::*;
use crate::model::summary::{H, Key, Ops, Waiter};
use crate::model::{Session, TargetInfo, fixture};

fn empty() -> Summary {
    let mut summary = Session::new(TargetInfo::default()).summary(0);
    summary.window.observed_ns = 10_000_000_000;
    summary.window.duration_ns = 10_000_000_000;
    summary
}

/// A map of 100 keys whose first one has this many of its lookups.
fn with_map(hottest: u64, total: u64) -> Summary {
    let mut summary = fixture::session().summary(1);
    summary.locks.clear();
    summary.window.lost.clear();
    summary.maps.truncate(1);
    let map = &mut summary.maps[0];
    map.ops = Ops { lookup: total, ..Ops::default() };
    map.keys_tracked = 100;
    let share = hottest as f64 / total as f64;
    let ops = Ops { lookup: hottest, ..Ops::default() };
    map.keys[0] = Key { key: "\"hot\"".to_owned(), ops, share, ..map.keys[0].clone() };
    summary
}

fn with_lock(wait: H, open_waits: u64, open_max_ns: u64) -> Summary {
    let mut summary = empty();
    let mut lock = fixture::session().summary(0).locks.swap_remove(0);
    (lock.wait, lock.open_waits, lock.open_max_ns) = (wait, open_waits, open_max_ns);
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
    unobserved.window.observed_ns = 0;
    assert_eq!(found(&unobserved), []);
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
fn the_gravest_come_first_and_attach_puts_them_in() {
    let mut summary = with_map(600, 1000);
    summary.window.lost = [("ring_full".to_owned(), 1)].into();
    summary.window.events = 1_000_000;
    summary.locks = with_lock(waited(0), 1, STUCK_NS).locks;
    attach(&mut summary);
    let rules: Vec<_> = summary.findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(rules, ["hot-key", "stuck-waiters", "lost-events"]);
}
