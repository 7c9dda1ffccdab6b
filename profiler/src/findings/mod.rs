//! Rules that say what in a summary deserves attention.
//!
//! In: a [`Summary`]. Out: its [`Finding`]s, gravest first. Each rule is a line of
//! `RULES`; what it takes to fire stands beside it.

mod locks;
mod maps;

use std::cmp::Reverse;

use serde_json::{Map as Evidence, Value, json};

use crate::model::lost;
use crate::model::summary::{Finding, Summary};
use crate::units;

/// How grave a finding is; the last is the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
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
const RULES: [Rule; 9] = [
    Rule {
        name: "stuck-waiters",
        check: locks::stuck_waiters,
        advice: "Look for the task that holds the lock: it is blocked, deadlocked, or does slow work \
                 such as I/O inside the critical section.",
    },
    Rule {
        name: "lock-contention",
        check: locks::contention,
        advice: "Shorten what is done under the lock, split the lock by key, or let readers share it.",
    },
    Rule {
        name: "long-waits",
        check: locks::long_waits,
        advice: "Do the holder's long work in parts, and release the lock in between, or work on a copy: \
                 whoever comes meanwhile waits for all of it.",
    },
    Rule {
        name: "blamed-key",
        check: locks::blamed_keys,
        advice: "Do this key's slow work (I/O, encoding, copying) before the lock is taken, or give the \
                 key a lock of its own.",
    },
    Rule {
        name: "hot-key",
        check: maps::hot_keys,
        advice: "Keep this key's value outside the map, gather updates before they are written, or \
                 spread them over several keys.",
    },
    Rule {
        name: "hot-read-key",
        check: maps::hot_read_keys,
        advice: "Reads alone make nobody wait. Where they cost time or take a lock, keep this key's \
                 value outside the map or closer to its users.",
    },
    Rule {
        name: "map-only-grows",
        check: maps::only_grow,
        advice: "If its keys are not a fixed set, it leaks: delete what is no longer needed, bound it, \
                 or let entries expire.",
    },
    Rule {
        name: "hot-promotions",
        check: maps::hot_promotions,
        advice: "New keys and misses take the map's lock and copy it. Use a map under a mutex, one per \
                 shard, or build with Go 1.24 or later, whose sync.Map has no promotions.",
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

/// Behind the sentence of a finding whose figure rests on too little.
fn insufficient(few: bool) -> &'static str {
    if few { " It rests on insufficient samples." } else { "" }
}

fn lost_events(summary: &Summary) -> Vec<Hit> {
    let window = &summary.window;
    // Where only details are missing, the figures of maps and locks are whole.
    let mut lost_by_reason = window.lost.clone();
    lost_by_reason.retain(|reason, _| !lost::is_detail(reason));
    let lost = lost_by_reason.values().fold(0, |sum: u64, &count| sum.saturating_add(count));
    if lost == 0 {
        return Vec::new();
    }
    let share = lost as f64 / (lost as f64 + window.events as f64);
    let reasons: Vec<String> = lost_by_reason
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
        evidence: json!({ "lost": lost_by_reason, "share": share }),
    }]
}

#[cfg(test)]
mod docs_tests;
#[cfg(test)]
mod tests;
