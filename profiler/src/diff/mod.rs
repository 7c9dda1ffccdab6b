//! What differs between two recordings, or two parts of one, beyond chance.
//!
//! In: two [`Part`]s. Out: a [`Diff`], with a verdict on each figure; whether a condition on
//! them holds ([`gate`]); text. How verdicts are reached is
//! written down in `docs/diff.md`.

mod fields;
pub mod gate;
mod matching;
mod series;
mod stats;
mod subjects;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::summary::Summary;
use fields::Field;
use matching::Matched;
use series::Side;
use stats::Measure;
use subjects::{Numbers, Subject};

pub use series::Part;
pub use subjects::Kind;
pub use text::render as text;

/// Value of [`Diff::schema`].
pub const SCHEMA: &str = "mapprof.diff.v1";

/// How to compare.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Keys of each map that are compared, the heaviest of both sides.
    pub keys: usize,
    /// Changes that are smaller are not told, 0 to 1.
    pub least: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { keys: 100, least: 0.05 }
    }
}

/// What differs: the JSON contract `mapprof.diff.v1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The earlier one.
    pub before: Window,
    /// The later one.
    pub after: Window,
    /// Confidence of each interval, 0 to 1.
    pub confidence: f64,
    /// Changes that are smaller are not told, 0 to 1.
    pub least: f64,
    /// Figures that had enough events to be compared.
    pub compared: usize,
    /// What was compared, locks before maps, the heaviest first.
    pub subjects: Vec<Changes>,
    /// What came of the conditions that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<gate::Checked>,
}

/// What was observed on one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    /// Path of the executable.
    pub exe: String,
    /// Wall clock at the beginning, ns since the epoch.
    pub start_unix_ns: u64,
    /// Length, ns.
    pub duration_ns: u64,
    /// How much of it probes were attached, ns.
    pub observed_ns: u64,
    /// Intervals that tell how much figures differ by themselves.
    pub intervals: usize,
    /// Events that came.
    pub events: u64,
    /// Events that did not arrive or did not fit: figures are lower bounds.
    pub lost: u64,
}

/// The figures of one subject.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changes {
    /// What it is.
    pub kind: Kind,
    /// What it is called: a key's text, a function, a map's name.
    pub name: String,
    /// The name of the map or lock that it belongs to; absent of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Id of the map or lock in the earlier summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_id: Option<String>,
    /// Id of the map or lock in the later summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_id: Option<String>,
    /// Its figures.
    pub figures: Vec<Change>,
}

/// One figure on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// `lock.wait.p99`, …
    pub field: &'static str,
    /// What `before` and `after` are counted in.
    pub unit: &'static str,
    /// The earlier value; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// The later value; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// The later over the earlier, less 1: 0.2 is 20% more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// Least change that is within the margin; absent where there is no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_low: Option<f64>,
    /// Most change that is within the margin; absent where there is no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_high: Option<f64>,
    /// Probability that chance alone makes as much of a difference; absent where that
    /// cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// What to make of it.
    pub verdict: Verdict,
    /// Why there is no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// What to make of two figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Beyond the margin, and more.
    More,
    /// Beyond the margin, and less.
    Less,
    /// There was none of it.
    New,
    /// There is none of it any more.
    Gone,
    /// Within the margin, or less than what is told.
    Same,
    /// Too little to tell.
    TooFew,
}

impl Verdict {
    /// Whether something moved.
    pub fn is_news(self) -> bool {
        matches!(self, Self::More | Self::Less | Self::New | Self::Gone)
    }
}

/// Two parts side by side.
pub struct Comparison<'a> {
    parts: [&'a Part; 2],
    sides: [Side<'a>; 2],
    maps: &'a Matched,
    locks: &'a Matched,
    subjects: Vec<Subject>,
    options: Options,
}

/// Which things of two parts are the same.
#[derive(Debug, Default)]
pub struct Pairing {
    maps: Matched,
    locks: Matched,
}

impl Pairing {
    /// Of these.
    pub fn of(before: &Part, after: &Part) -> Self {
        let maps = matching::maps(&before.summary, &after.summary);
        let locks = matching::locks(&before.summary, &after.summary, &maps);
        Self { maps, locks }
    }
}

impl<'a> Comparison<'a> {
    /// Of these, whose things are the same as the pairing says.
    pub fn new(before: &'a Part, after: &'a Part, pairing: &'a Pairing, options: Options) -> Self {
        let Pairing { maps, locks } = pairing;
        let side = |part, side: usize| {
            Side::new(part, Numbers { maps: &maps.numbers[side], locks: &locks.numbers[side] })
        };
        let mut sides = [side(before, 0), side(after, 1)];
        let subjects = heaviest(&sides, options.keys);
        let kept: BTreeSet<Subject> = subjects.iter().cloned().collect();
        for side in &mut sides {
            side.keep(&kept);
        }
        Self { parts: [before, after], sides, maps, locks, subjects, options }
    }

    fn measures(&self, subject: &Subject, field: &Field) -> [Option<Measure>; 2] {
        [0, 1].map(|side| self.sides[side].measure(subject, field))
    }

    /// Events of both sides behind a figure.
    fn events(&self, subject: &Subject, field: &Field) -> f64 {
        self.sides.iter().map(|side| side.events(subject, field.quantity)).sum()
    }

    fn name(&self, subject: &Subject) -> &str {
        match subject.kind {
            Kind::Map => &self.maps.names[subject.of],
            Kind::Lock => &self.locks.names[subject.of],
            _ => {
                let names = self.sides.iter().rev().find_map(|side| side.names.get(subject));
                names.map_or("", String::as_str)
            }
        }
    }

    /// The map or lock that it belongs to.
    fn parent(&self, subject: &Subject) -> Option<&Matched> {
        match subject.kind {
            Kind::Run => None,
            Kind::Map | Kind::Key | Kind::Site => Some(self.maps),
            Kind::Lock | Kind::Waiter | Kind::Holder | Kind::Pair => Some(self.locks),
        }
    }

    /// A verdict on every figure.
    pub fn diff(&self) -> Diff {
        let mut subjects: Vec<Changes> =
            self.subjects.iter().map(|subject| self.changes(subject)).collect();
        subjects.retain(|changes| !changes.figures.is_empty());
        let figures = || subjects.iter().flat_map(|changes| &changes.figures);
        let p_values: Vec<f64> = figures().filter_map(|change| change.p).collect();
        let mut news = stats::news(&p_values).into_iter();
        for change in subjects.iter_mut().flat_map(|changes| &mut changes.figures) {
            if change.p.is_some() {
                let is_news = news.next().unwrap_or(false);
                change.verdict = change.verdict(is_news, self.options.least);
            }
        }
        Diff {
            schema: SCHEMA,
            before: window(self.parts[0]),
            after: window(self.parts[1]),
            confidence: 1.0 - stats::ALPHA,
            least: self.options.least,
            compared: p_values.len(),
            subjects,
            checks: Vec::new(),
        }
    }

    fn changes(&self, subject: &Subject) -> Changes {
        let parent = self.parent(subject);
        let id = |side: usize| parent.and_then(|parent| parent.ids[side][subject.of].clone());
        let is_part = !matches!(subject.kind, Kind::Run | Kind::Map | Kind::Lock);
        let of = parent.filter(|_| is_part).map(|parent| parent.names[subject.of].clone());
        let judged = fields::of(subject.kind).filter(|field| field.is_judged());
        Changes {
            kind: subject.kind,
            name: self.name(subject).to_owned(),
            of,
            before_id: id(0),
            after_id: id(1),
            figures: judged.filter_map(|field| self.change(subject, field)).collect(),
        }
    }

    /// `None` where neither side has any of it.
    fn change(&self, subject: &Subject, field: &Field) -> Option<Change> {
        let [before, after] = self.measures(subject, field);
        let values = [&before, &after].map(|side| side.as_ref().map(Measure::value));
        if values.iter().all(|value| value.is_none_or(|value| value == 0.0)) {
            return None;
        }
        let mut change = Change {
            field: field.name,
            unit: field.unit().name(),
            before: values[0],
            after: values[1],
            change: None,
            change_low: None,
            change_high: None,
            p: None,
            verdict: Verdict::TooFew,
            why: Some("one side has none"),
        };
        let (Some(before), Some(after)) = (before, after) else { return Some(change) };
        change.why = stats::too_few(&before, &after, self.events(subject, field));
        change.change = (before.value() > 0.0).then(|| after.value() / before.value() - 1.0);
        if change.why.is_none() {
            change.p = before.test(&after, 1.0).map(stats::Tested::p);
            let times = before.interval(&after);
            [change.change_low, change.change_high] = times.map(|times| times.map(|it| it - 1.0));
        }
        Some(change)
    }
}

impl Change {
    fn verdict(&self, is_news: bool, least: f64) -> Verdict {
        match self.change {
            _ if !is_news => Verdict::Same,
            None => Verdict::New,
            Some(-1.0) => Verdict::Gone,
            Some(change) if change.abs() < least => Verdict::Same,
            Some(change) if change > 0.0 => Verdict::More,
            Some(_) => Verdict::Less,
        }
    }
}

/// Which subjects are compared: of each map or lock and each quantity those that weigh
/// most on both sides together, which says nothing about how they differ.
fn heaviest(sides: &[Side<'_>; 2], keys: usize) -> Vec<Subject> {
    let mut weights = BTreeMap::new();
    for side in sides {
        for (subject, quantity, weight) in side.weights() {
            let of = match subject.kind {
                Kind::Map | Kind::Lock => None,
                _ => Some(subject.of),
            };
            let table: &mut BTreeMap<&Subject, f64> =
                weights.entry((subject.kind, of, quantity)).or_default();
            *table.entry(subject).or_default() += weight;
        }
    }
    let mut kept: BTreeMap<&Subject, f64> = BTreeMap::new();
    for ((kind, ..), table) in weights {
        let mut rows: Vec<(&Subject, f64)> = table.into_iter().collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (subject, weight) in rows.into_iter().take(kind.most(keys)) {
            let most = kept.entry(subject).or_default();
            *most = most.max(weight);
        }
    }
    let mut rows: Vec<(&Subject, f64)> = kept.into_iter().collect();
    rows.sort_by(|a, b| a.0.kind.cmp(&b.0.kind).then(b.1.total_cmp(&a.1)));
    rows.into_iter().map(|(subject, _)| subject.clone()).collect()
}

fn window(part: &Part) -> Window {
    let Summary { target, window, .. } = &part.summary;
    Window {
        exe: target.exe.clone(),
        start_unix_ns: window.start_unix_ns,
        duration_ns: window.duration_ns,
        observed_ns: window.observed_ns,
        intervals: part.steps.len(),
        events: window.events,
        lost: window.lost.values().fold(0, |sum, &lost| sum.saturating_add(lost)),
    }
}
