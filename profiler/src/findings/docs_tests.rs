//! `docs/findings.md` against the rules.

use super::locks::{
    ALWAYS_CONTENDED, BLAMED_FOR_NEARLY_ALL, BLAMED_SHARE, CONTENDED, LEAST_LONG, LEAST_WAITED_NS,
    LEAST_WAITS, LONG_NS, STUCK_FOR_GOOD_NS, STUCK_NS, VERY_LONG_NS,
};
use super::maps::{
    COSTLY_KEY_PER_SECOND, COSTLY_PROMOTING_CPU, GROWN_DELETES, GROWN_LEN, GROWN_NEW, GROWN_SHARE,
    HOT_KEY_OPERATIONS, HOT_KEY_PER_SECOND, HOT_KEY_SHARE, HOT_KEY_TIMES_EVEN, MANY_MISSES,
    PROMOTING_CPU, PROMOTING_OPERATIONS, PROMOTIONS_PER_SECOND, TOO_MANY_MISSES,
    VERY_HOT_KEY_SHARE, WRITTEN_SHARE,
};
use super::{GRAVE_LOSS, RULES};

/// Name and text of each section.
fn sections() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../docs/findings.md");
    let sections = page.split("\n## `").skip(1);
    sections.map(|section| section.split_once('`').expect("a name in backquotes")).collect()
}

#[test]
fn every_rule_has_a_section_and_every_section_a_rule() {
    let documented: Vec<_> = sections().into_iter().map(|(name, _)| name).collect();
    let rules: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(documented, rules, "in the order of the rules");
    for (name, text) in sections() {
        for part in ["\n> ", "**Fires**", "**Means**", "**Do**"] {
            assert!(text.contains(part), "{name} lacks {part:?}");
        }
    }
}

#[test]
fn thresholds_are_those_of_the_code() {
    let percent = |share: f64| format!("{}%", share * 100.0);
    let seconds = |ns: u64| format!("{}s", ns / 1_000_000_000);
    let contended = format!("{CONTENDED} ");
    let ms = |ns: u64| format!("{} ms", ns / 1_000_000);
    for (rule, thresholds) in [
        ("stuck-waiters", vec![seconds(STUCK_NS), seconds(STUCK_FOR_GOOD_NS)]),
        (
            "lock-contention",
            vec![
                contended.clone(),
                format!("from {ALWAYS_CONTENDED}"),
                format!("{LEAST_WAITS} waits"),
                ms(LEAST_WAITED_NS),
            ],
        ),
        ("long-waits", vec![format!("{LEAST_LONG} waits"), ms(LONG_NS), seconds(VERY_LONG_NS)]),
        (
            "blamed-key",
            vec![
                contended,
                percent(BLAMED_SHARE),
                percent(BLAMED_FOR_NEARLY_ALL),
                ms(LEAST_WAITED_NS),
            ],
        ),
        (
            "hot-key",
            vec![
                format!("{HOT_KEY_OPERATIONS} operations"),
                format!("{HOT_KEY_PER_SECOND} of the key in a second"),
                format!("{COSTLY_KEY_PER_SECOND} operations in a second"),
                ms(LEAST_WAITED_NS),
                percent(HOT_KEY_SHARE),
                percent(VERY_HOT_KEY_SHARE),
                percent(WRITTEN_SHARE),
                format!("{HOT_KEY_TIMES_EVEN} times"),
            ],
        ),
        (
            "map-only-grows",
            vec![
                format!("{GROWN_LEN} elements"),
                format!("{GROWN_NEW} new"),
                percent(GROWN_SHARE),
                percent(GROWN_DELETES),
            ],
        ),
        (
            "hot-promotions",
            vec![
                format!("{PROMOTING_OPERATIONS} operations"),
                format!("{PROMOTIONS_PER_SECOND} times"),
                percent(PROMOTING_CPU),
                percent(COSTLY_PROMOTING_CPU),
                percent(MANY_MISSES),
                percent(TOO_MANY_MISSES),
            ],
        ),
        ("lost-events", vec![percent(GRAVE_LOSS)]),
    ] {
        let (_, text) = sections().into_iter().find(|(name, _)| *name == rule).expect(rule);
        let fires = text.split("**Fires**").nth(1).and_then(|it| it.split("\n\n").next());
        let fires = fires.expect(rule).split_whitespace().collect::<Vec<_>>().join(" ");
        for threshold in thresholds {
            assert!(fires.contains(&threshold), "{rule}: no {threshold:?} in {fires:?}");
        }
    }
}
