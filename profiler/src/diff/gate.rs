//! Conditions on a comparison, for load tests: `lock.wait.p99 > +20%`.
//!
//! In: text, and a [`Comparison`]. Out: whether the condition holds beyond the margin, of
//! what, and by how much.

use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::fields::{self, FIELDS, Field, How, Unit};
use super::stats::{self, Measure};
use super::subjects::{Kind, Subject};
use super::{Comparison, text};
use crate::expr::{Expr, Figure, Relation, Term, Value};

/// A condition that was understood.
#[derive(Clone, Debug)]
pub struct Gate {
    text: String,
    kind: Kind,
    /// What must be beyond what.
    figures: Vec<(&'static Field, Bound)>,
    /// Which things are meant, by their names.
    names: Vec<Term>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    more: bool,
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// So many times what it was.
    Times(f64),
    /// This, whatever it was.
    Value(f64),
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}, at character {} of {text:?}{hint}", at + 1)]
pub struct GateError {
    text: String,
    /// In characters.
    at: usize,
    what: String,
    hint: String,
}

/// Names that select, instead of figures.
const NAMES: [&str; 4] = ["name", "lock", "map", "key"];

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let error = |at: usize, what: String, hint: String| {
            let at = text.get(..at).map_or(0, |before| before.chars().count());
            GateError { text: text.to_owned(), at, what, hint }
        };
        let Expr(terms) = Expr::parse(text)
            .map_err(|wrong| error(wrong.at, "no condition".to_owned(), format!(": {wrong}")))?;
        let (names, terms): (Vec<Term>, Vec<Term>) =
            terms.into_iter().partition(|term| NAMES.contains(&term.field.as_str()));
        let mut figures = Vec::new();
        for term in &terms {
            let field = fields::field(&term.field).ok_or_else(|| {
                error(term.at, format!("no figure is called {:?}", term.field), known())
            })?;
            let bound = bound(field, term).map_err(|what| error(term.at, what, String::new()))?;
            figures.push((field, bound));
        }
        let Some((first, _)) = figures.first() else {
            return Err(error(0, "no figure is compared".to_owned(), known()));
        };
        let kind = first.kind;
        if let Some(index) = figures.iter().position(|(field, _)| field.kind != kind) {
            let what = format!("{} is of another kind than {}", figures[index].0.name, first.name);
            return Err(error(terms[index].at, what, "; give two conditions".to_owned()));
        }
        if let Some(term) = names.iter().find(|term| !selects(kind, &term.field)) {
            let what = format!("{} has no {}", first.name, term.field);
            return Err(error(term.at, what, "; `name` is what it is called itself".to_owned()));
        }
        Ok(Self { text: text.to_owned(), kind, figures, names })
    }
}

fn known() -> String {
    let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
    format!("; there are {}", names.join(", "))
}

/// Whether things of the kind have a name of this sort.
fn selects(kind: Kind, name: &str) -> bool {
    match name {
        "lock" => matches!(kind, Kind::Lock | Kind::Waiter | Kind::Holder | Kind::Pair),
        "map" => matches!(kind, Kind::Map | Kind::Key | Kind::Site),
        "key" => kind == Kind::Key,
        _ => kind != Kind::Run,
    }
}

fn bound(field: &Field, term: &Term) -> Result<Bound, String> {
    let more = match term.relation {
        Relation::More | Relation::AtLeast => true,
        Relation::Less | Relation::AtMost => false,
        _ => return Err(format!("{} is compared by > or <", field.name)),
    };
    let unit = field.unit();
    let limit = match (&term.value, unit) {
        (Value::Share { of_one, signed: true }, _) => Limit::Times(1.0 + of_one),
        (Value::Share { of_one, .. }, Unit::Share)
        | (Value::Number(of_one), Unit::Share | Unit::Count | Unit::PerSecond) => {
            Limit::Value(*of_one)
        }
        (Value::Time(ns), Unit::Ns | Unit::NsPerSecond) => Limit::Value(*ns),
        (Value::Number(number), Unit::Ns | Unit::NsPerSecond) if *number == 0.0 => {
            Limit::Value(0.0)
        }
        _ => {
            let wanted = match unit {
                Unit::Ns | Unit::NsPerSecond => "a time such as 5ms",
                Unit::Share => "a share such as 20%",
                Unit::PerSecond | Unit::Count => "a number such as 10k",
            };
            return Err(format!(
                "{} is compared with {wanted}, or with a change such as +20%",
                field.name
            ));
        }
    };
    Ok(Bound { more, limit })
}

/// What came of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// As it was typed.
    pub condition: String,
    /// Whether it holds of anything beyond the margin.
    pub holds: bool,
    /// Of what, with both figures and the margin; or why that cannot be told.
    pub lines: Vec<String>,
}

/// What came of one thing.
enum One {
    /// Beyond the margin.
    Holds(String),
    /// It does, but not beyond the margin.
    Within(String),
    Unknown(String),
    No,
}

impl Gate {
    /// Whether it holds of these. Where many things are meant each must be the clearer
    /// (Bonferroni): one false alarm among them is enough to fail a build.
    pub fn check(&self, comparison: &Comparison<'_>) -> Checked {
        let meant: Vec<&Subject> =
            comparison.subjects.iter().filter(|subject| self.means(comparison, subject)).collect();
        if meant.is_empty() {
            let what = format!("nothing that {:?} speaks of is in either recording", self.text);
            return Checked { condition: self.text.clone(), holds: false, lines: vec![what] };
        }
        let alpha = stats::ALPHA / 2.0 / meant.len() as f64;
        let (mut held, mut within, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for subject in &meant {
            match self.check_one(comparison, subject, alpha) {
                One::Holds(line) => held.push(line),
                One::Within(line) => within.push(line),
                One::Unknown(line) => unknown.push(line),
                One::No => {}
            }
        }
        let all_unknown = unknown.len() == meant.len();
        let holds = !held.is_empty();
        let mut lines = if holds { held } else { within };
        if !holds && all_unknown {
            lines = unknown;
        }
        lines.truncate(MOST_LINES);
        Checked { condition: self.text.clone(), holds, lines }
    }

    fn means(&self, comparison: &Comparison<'_>, subject: &Subject) -> bool {
        let parent = comparison.parent(subject).map(|parent| parent.names[subject.of].clone());
        let own = comparison.name(subject).to_owned();
        let figure = |field: &str| match (field, subject.kind) {
            ("lock" | "map", _) => parent.clone().map(Figure::Text),
            _ => Some(Figure::Text(own.clone())),
        };
        subject.kind == self.kind && Expr(self.names.clone()).holds(figure)
    }

    fn check_one(&self, comparison: &Comparison<'_>, subject: &Subject, alpha: f64) -> One {
        let what = named(comparison, subject);
        let (mut clear, mut lines) = (true, Vec::new());
        for (field, bound) in &self.figures {
            // Counts of recordings that differ in length are compared by the second.
            let how = match (field.how, bound.limit) {
                (How::Count, Limit::Times(_)) => How::Rate,
                (how, _) => how,
            };
            let field = &Field { how, ..**field };
            let measures = comparison.measures(subject, field);
            match bound.beyond(field, measures, comparison.events(subject, field)) {
                Beyond::No => return One::No,
                Beyond::Unknown(why) => {
                    return One::Unknown(format!("{what}: {}: {why}", field.name));
                }
                Beyond::By(p, line) => {
                    clear &= p <= alpha;
                    lines.push(line);
                }
            }
        }
        let line = format!("{what}: {}", lines.join(", "));
        if clear { One::Holds(line) } else { One::Within(format!("{line}: within the margin")) }
    }
}

/// What came of one bound.
enum Beyond {
    No,
    Unknown(&'static str),
    /// With the probability that chance alone does it, and both figures.
    By(f64, String),
}

impl Bound {
    fn beyond(&self, field: &Field, measures: [Option<Measure>; 2], events: f64) -> Beyond {
        let [before, Some(after)] = measures else { return Beyond::No };
        let is_beyond = |limit: f64| {
            if self.more { after.value() > limit } else { after.value() < limit }
        };
        match self.limit {
            Limit::Value(limit) if !is_beyond(limit) => Beyond::No,
            Limit::Value(limit) => {
                let line =
                    format!("{} is {}", field.name, text::value(after.value(), field.unit()));
                if is_certain(field, limit) {
                    Beyond::By(0.0, line)
                } else if after.is_enough() {
                    Beyond::By(after.test_value(limit).p_one_sided(self.more), line)
                } else {
                    Beyond::Unknown("too few events or intervals to tell")
                }
            }
            Limit::Times(times) => {
                let Some(before) = before else { return Beyond::Unknown("there is none before") };
                if before.value() + after.value() <= 0.0 {
                    return Beyond::No;
                }
                if let Some(why) = too_few(field, &before, &after, events) {
                    return Beyond::Unknown(why);
                }
                if !is_beyond(before.value() * times) {
                    return Beyond::No;
                }
                let tested = before.test(&after, times);
                let p = tested.map_or(1.0, |tested| tested.p_one_sided(self.more));
                Beyond::By(p, changed(field, &before, &after))
            }
        }
    }
}

/// Lines that a condition says at most.
const MOST_LINES: usize = 10;

/// Whether the figure has no margin: it is what happened, or it is more than nothing.
fn is_certain(field: &Field, limit: f64) -> bool {
    matches!(field.how, How::Max | How::Count) || limit <= 0.0
}

/// Why a change cannot be told, if so.
fn too_few(field: &Field, before: &Measure, after: &Measure, events: f64) -> Option<&'static str> {
    match field.how {
        How::Max => Some("a maximum has no margin, so no change of it is certain; p999 has one"),
        _ => stats::too_few(before, after, events),
    }
}

fn named(comparison: &Comparison<'_>, subject: &Subject) -> String {
    let name = comparison.name(subject);
    let of = comparison.parent(subject).map_or("", |parent| parent.names[subject.of].as_str());
    match subject.kind {
        Kind::Run | Kind::Map | Kind::Lock => name.to_owned(),
        Kind::Key => format!("key {name} of {of}"),
        _ => format!("{name} of {of}"),
    }
}

fn changed(field: &Field, before: &Measure, after: &Measure) -> String {
    let [was, is] = [before, after].map(|it| text::value(it.value(), field.unit()));
    let change = (before.value() > 0.0).then(|| after.value() / before.value() - 1.0);
    let margin = text::margin(before.interval(after).map(|it| it.map(|it| it - 1.0)));
    match change {
        Some(change) => {
            format!("{} went from {was} to {is}, {}{margin}", field.name, text::change(change))
        }
        None => format!("{} is new at {is}", field.name),
    }
}
