//! What was when: the steps of the session, and the heaviest subjects over them.
//!
//! In: a [`Session`]'s past. Out: rows and columns of figures, oldest first.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::summary::{Key, Summary};
use crate::model::{Session, Step, Subject, SubjectStep};
use crate::units::clean;

/// Maps and locks, each, that are told over time.
pub(super) const MOST_OBJECTS: usize = 32;
/// Keys that are told over time: so many by operations, by wait, and by blame. Finding one
/// means to look through the whole past.
const MOST_KEYS: usize = 12;

/// An interval, or several where they are long ago.
#[derive(Debug, Serialize)]
pub(super) struct StepRow {
    /// Its beginning, ns since the first began.
    at_ns: u64,
    duration_ns: u64,
    observed_ns: u64,
    events: u64,
    ops: u64,
    waits: u64,
    wait_ns: u64,
    #[serde(skip_serializing_if = "super::data::is_zero")]
    lost: u64,
    /// The map's id and the key's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_key: Option<(String, String)>,
    /// The lock's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_lock: Option<String>,
}

/// All steps.
pub(super) fn steps(session: &Session) -> Vec<StepRow> {
    let steps = session.steps();
    let start = steps.first().map_or(0, |step| step.totals.start_unix_ns);
    steps.iter().map(|step| row(step, start)).collect()
}

fn row(step: &Step, start: u64) -> StepRow {
    let totals = &step.totals;
    let top_key = match &step.top_key {
        Some(Subject::Key { map, key }) => Some((map.clone(), clean(key).into_owned())),
        _ => None,
    };
    let top_lock = match &step.top_lock {
        Some(Subject::Lock(id)) => Some(id.clone()),
        _ => None,
    };
    StepRow {
        at_ns: totals.start_unix_ns.saturating_sub(start),
        duration_ns: totals.duration_ns,
        observed_ns: totals.observed_ns,
        events: totals.events,
        ops: totals.ops,
        waits: totals.waits,
        wait_ns: totals.wait_ns,
        lost: totals.lost,
        top_key,
        top_lock,
    }
}

/// One subject over the same steps; a figure that is 0 throughout is left out.
#[derive(Debug, Serialize)]
pub(super) struct Past {
    /// Absent where the step did not keep it.
    #[serde(skip_serializing_if = "is_idle")]
    ops: Vec<Option<u64>>,
    #[serde(skip_serializing_if = "is_flat")]
    wait_ns: Vec<u64>,
    #[serde(skip_serializing_if = "is_flat")]
    blame_ns: Vec<u64>,
    #[serde(skip_serializing_if = "is_idle")]
    len: Vec<Option<u64>>,
}

fn is_idle(figures: &[Option<u64>]) -> bool {
    figures.iter().all(|figure| figure.is_none_or(|n| n == 0))
}

fn is_flat(figures: &[u64]) -> bool {
    figures.iter().all(|&n| n == 0)
}

impl Past {
    /// `None` where there is but one step, which is the whole.
    pub(super) fn of(session: &Session, subject: &Subject) -> Option<Self> {
        let steps = session.subject_steps(subject);
        let each = |figure: fn(&SubjectStep) -> u64| steps.iter().map(figure).collect();
        (steps.len() > 1).then(|| Self {
            ops: steps.iter().map(|step| step.ops).collect(),
            wait_ns: each(|step| step.wait_ns),
            blame_ns: each(|step| step.blame_ns),
            len: steps.iter().map(|step| step.len).collect(),
        })
    }
}

/// The keys that are told over time: numbers of their maps, and in these.
pub(super) fn heaviest_keys(summary: &Summary) -> BTreeSet<(usize, usize)> {
    let maps = summary.maps.iter().enumerate();
    let all =
        maps.flat_map(|(m, map)| map.keys.iter().enumerate().map(move |(k, key)| (m, k, key)));
    let all: Vec<(usize, usize, &Key)> = all.collect();
    let weights: [fn(&Key) -> u64; 3] = [
        |key| key.ops.total(),
        |key| key.wait.map_or(0, |h| h.sum_ns),
        |key| key.blame.map_or(0, |h| h.sum_ns),
    ];
    let mut chosen = BTreeSet::new();
    for weight in weights {
        let mut by = all.clone();
        by.retain(|(_, _, key)| weight(key) > 0);
        by.sort_by_key(|(m, k, key)| (Reverse(weight(key)), *m, *k));
        chosen.extend(by.iter().take(MOST_KEYS).map(|&(m, k, _)| (m, k)));
    }
    chosen
}
