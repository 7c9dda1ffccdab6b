//! Rules that say what in a summary deserves attention.
//!
//! In: a [`Summary`]. Out: its [`Finding`]s, gravest first. Each rule is a line of
//! `RULES`; what it takes to fire stands beside it.

use std::cmp::Reverse;

use serde_json::{Map as Evidence, Value, json};

use crate::model::names::{lock_name, map_name, own_frame, short};
use crate::model::summary::{Finding, Lock, Map, Summary};
use crate::units;

/// How grave a finding is; the last is the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Warning,
    Critical,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    fn critical_if(grave: bool) -> Self {
        if grave { Self::Critical } else { Self::Warning }
    }
}

/// What a rule says; its name and advice are in the table.
struct Hit {
    severity: Severity,
    subject: String,
    message: String,
    evidence: Value,
}

struct Rule {
    name: &'static str,
    check: fn(&Summary) -> Vec<Hit>,
    advice: &'static str,
}

/// Every rule, in the order in which findings of the same severity are told.
const RULES: [Rule; 4] = [
    Rule {
        name: "stuck-waiters",
        check: stuck_waiters,
        advice: "Look for the task that holds the lock: it is blocked, deadlocked, or does slow work \
                 such as I/O inside the critical section.",
    },
    Rule {
        name: "lock-contention",
        check: lock_contention,
        advice: "Shorten what is done under the lock, split the lock by key, or let readers share it.",
    },
    Rule {
        name: "hot-key",
        check: hot_keys,
        advice: "Keep this key's value outside the map, cache it closer to its users, or spread its \
                 updates over several keys.",
    },
    Rule {
        name: "lost-events",
        check: lost_events,
        advice: "Read all figures as lower bounds. A larger --ring-mib, fewer functions (--only), or a \
                 calmer moment loses less.",
    },
];

/// Most findings of one rule: the first objects of the summary are the gravest.
const MOST_PER_RULE: usize = 3;

/// Fewer operations of a map say nothing about its keys.
const HOT_KEY_OPERATIONS: u64 = 1000;
/// Share of its map's operations from which a key is hot.
const HOT_KEY_SHARE: f64 = 0.2;
/// … and from which it is very hot.
const VERY_HOT_KEY_SHARE: f64 = 0.5;
/// A hot key has this many times what it had if all keys were used alike, so that
/// no key of a map of a few is hot.
const HOT_KEY_TIMES_EVEN: f64 = 10.0;

/// Waiting tasks on average, from which a lock is contended.
const CONTENDED: f64 = 0.1;
/// … and from which there is always somebody waiting.
const ALWAYS_CONTENDED: f64 = 1.0;

/// A wait that goes on for this long is stuck, ns.
const STUCK_NS: u64 = 1_000_000_000;
/// … and for this long, very likely for ever, ns.
const STUCK_FOR_GOOD_NS: u64 = 10_000_000_000;

/// Share of all events from which a loss falsifies the picture.
const GRAVE_LOSS: f64 = 0.01;

/// Puts the findings into the summary.
pub fn attach(summary: &mut Summary) {
    summary.findings = find(summary);
}

/// What the rules have to say about the summary.
pub fn find(summary: &Summary) -> Vec<Finding> {
    let mut found: Vec<(Severity, Finding)> = RULES
        .iter()
        .flat_map(|rule| {
            let hits = (rule.check)(summary).into_iter().take(MOST_PER_RULE);
            hits.map(|hit| (hit.severity, rule.finding(hit)))
        })
        .collect();
    found.sort_by_key(|(severity, _)| Reverse(*severity));
    found.into_iter().map(|(_, finding)| finding).collect()
}

impl Rule {
    fn finding(&self, hit: Hit) -> Finding {
        let evidence = match hit.evidence {
            Value::Object(evidence) => evidence,
            other => Evidence::from_iter([("value".to_owned(), other)]),
        };
        Finding {
            rule: self.name.to_owned(),
            severity: hit.severity.name().to_owned(),
            subject: hit.subject,
            message: hit.message,
            evidence,
            advice: self.advice.to_owned(),
        }
    }
}

fn hot_keys(summary: &Summary) -> Vec<Hit> {
    summary.maps.iter().filter_map(hot_key).collect()
}

fn hot_key(map: &Map) -> Option<Hit> {
    let key = map.keys.first()?;
    let even = 1.0 / map.keys_tracked.max(1) as f64;
    let hot = map.ops.total() >= HOT_KEY_OPERATIONS
        && key.share >= HOT_KEY_SHARE
        && key.share >= HOT_KEY_TIMES_EVEN * even;
    hot.then(|| Hit {
        severity: Severity::critical_if(key.share >= VERY_HOT_KEY_SHARE),
        subject: map.id.clone(),
        message: format!(
            "Key {} gets {} of the {} operations of {} {}, which has {} keys.",
            key.key,
            units::share(key.share),
            units::count(map.ops.total()),
            map.id,
            map_name(map),
            units::count(map.keys_tracked),
        ),
        evidence: json!({
            "key": key.key,
            "share": key.share,
            "operations": key.ops.total(),
            "map_operations": map.ops.total(),
        }),
    })
}

fn lock_contention(summary: &Summary) -> Vec<Hit> {
    let observed_ns = summary.window.observed_ns;
    summary.locks.iter().filter_map(|lock| contended(lock, observed_ns)).collect()
}

fn contended(lock: &Lock, observed_ns: u64) -> Option<Hit> {
    if observed_ns == 0 {
        return None;
    }
    let waiting = lock.wait.sum_ns as f64 / observed_ns as f64;
    let top = lock.waiters.first().and_then(|waiter| own_frame(&waiter.stack));
    let place =
        top.map(|frame| format!(", most in {}", short(&frame.function))).unwrap_or_default();
    let mut evidence = json!({
        "waits": lock.wait.count,
        "wait_ns": lock.wait.sum_ns,
        "average_waiting_tasks": waiting,
    });
    if let Some(frame) = top {
        evidence["top_waiter"] = json!(frame.function);
    }
    (waiting >= CONTENDED).then(|| Hit {
        severity: Severity::critical_if(waiting >= ALWAYS_CONTENDED),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: tasks waited {} in {} ({waiting:.2} at a time){place}.",
            lock.id,
            lock_name(lock),
            units::time(lock.wait.sum_ns),
            units::time(observed_ns),
        ),
        evidence,
    })
}

fn stuck_waiters(summary: &Summary) -> Vec<Hit> {
    let mut stuck: Vec<&Lock> =
        summary.locks.iter().filter(|lock| lock.open_max_ns >= STUCK_NS).collect();
    stuck.sort_by_key(|lock| Reverse(lock.open_max_ns));
    let hit = |lock: &Lock| Hit {
        severity: Severity::critical_if(lock.open_max_ns >= STUCK_FOR_GOOD_NS),
        subject: lock.id.clone(),
        message: format!(
            "{} {}: {} still waiting, the oldest for {}.",
            lock.id,
            lock_name(lock),
            if lock.open_waits == 1 {
                "1 task is".to_owned()
            } else {
                format!("{} tasks are", lock.open_waits)
            },
            units::time(lock.open_max_ns),
        ),
        evidence: json!({ "open_waits": lock.open_waits, "open_max_ns": lock.open_max_ns }),
    };
    stuck.into_iter().map(hit).collect()
}

fn lost_events(summary: &Summary) -> Vec<Hit> {
    let window = &summary.window;
    let lost = window.lost.values().fold(0, |sum: u64, &count| sum.saturating_add(count));
    if lost == 0 {
        return Vec::new();
    }
    let share = lost as f64 / (lost as f64 + window.events as f64);
    let reasons: Vec<String> = window
        .lost
        .iter()
        .map(|(reason, count)| format!("{} {}", reason.replace('_', " "), units::count(*count)))
        .collect();
    vec![Hit {
        severity: Severity::critical_if(share >= GRAVE_LOSS),
        subject: "run".to_owned(),
        message: format!(
            "{} events ({}) were lost, so all figures are lower bounds: {}.",
            units::count(lost),
            units::share(share),
            reasons.join(", "),
        ),
        evidence: json!({ "lost": window.lost, "share": share }),
    }]
}

#[cfg(test)]
mod tests;
