//! One side's figures, interval by interval.
//!
//! In: a [`Part`]'s summaries. Out: a [`Measure`] of any subject's figure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fields::{Field, How};
use super::stats::{Counts, Measure, Quantile, Ratio};
use super::subjects::{Amount, Kind, Numbers, Quantity, Subject, walk};
use crate::model::Session;
use crate::model::hist::WaitHist;
use crate::model::summary::Summary;

/// Keys of each map that are looked at: all that a session has.
const KEYS: usize = 100_000;

/// What is compared: a recording or a part of one.
#[derive(Debug)]
pub struct Part {
    /// All of it.
    pub summary: Summary,
    /// Of its intervals; each tells only the heaviest.
    pub(super) steps: Vec<Summary>,
}

impl Part {
    /// All that the session has.
    pub fn of(session: &Session) -> Self {
        let steps = (0..).map_while(|step| session.step_summary(step, KEYS)).collect();
        Self { summary: session.summary(KEYS), steps }
    }
}

/// One quantity of one subject.
#[derive(Debug, Default)]
struct Series<'a> {
    whole: Amount<'a>,
    /// `None` where an interval does not tell.
    steps: Vec<Option<Amount<'a>>>,
}

/// One side.
pub(super) struct Side<'a> {
    part: &'a Part,
    numbers: Numbers<'a>,
    /// How long each interval was.
    seconds: Vec<f64>,
    series: BTreeMap<(Subject, Quantity), Series<'a>>,
    /// What subjects are called.
    pub(super) names: HashMap<Subject, String>,
    /// By map, how many operations a key may have had that is not told.
    untold: HashMap<usize, u64>,
}

fn seconds(summary: &Summary) -> f64 {
    summary.window.duration_ns as f64 / 1e9
}

impl Amount<'_> {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.margin += other.margin;
        self.margin_ns += other.margin_ns;
    }
}

impl<'a> Side<'a> {
    /// What the whole part tells.
    pub(super) fn new(part: &'a Part, numbers: Numbers<'a>) -> Self {
        let mut side = Self {
            part,
            numbers,
            seconds: part.steps.iter().map(seconds).collect(),
            series: BTreeMap::new(),
            names: HashMap::new(),
            untold: HashMap::new(),
        };
        walk(&part.summary, numbers, &mut |told| {
            side.names.entry(told.subject.clone()).or_insert(told.name);
            let series = side.series.entry((told.subject, told.quantity)).or_default();
            series.whole.add(&told.amount);
            series.whole.hist = told.amount.hist;
        });
        for map in &part.summary.maps {
            if let Some(&number) = numbers.maps.get(&map.id) {
                let most = map.keys.iter().map(|key| key.margin).max();
                side.untold.insert(number, most.unwrap_or(0));
            }
        }
        side
    }

    /// What each subject weighs in a second, by quantity.
    pub(super) fn weights(&self) -> impl Iterator<Item = (&Subject, Quantity, f64)> {
        let per = self.whole_seconds().max(f64::MIN_POSITIVE);
        self.series.iter().map(move |((subject, quantity), series)| {
            let weight = match quantity {
                Quantity::Ops => series.whole.count,
                _ => series.whole.sum_ns,
            };
            (subject, *quantity, weight / per)
        })
    }

    pub(super) fn whole_seconds(&self) -> f64 {
        seconds(&self.part.summary)
    }

    /// Reads what the intervals tell of these subjects, and forgets all others.
    pub(super) fn keep(&mut self, subjects: &BTreeSet<Subject>) {
        self.series.retain(|(subject, _), _| subjects.contains(subject));
        for series in self.series.values_mut() {
            series.steps = vec![None; self.seconds.len()];
        }
        for (index, step) in self.part.steps.iter().enumerate() {
            walk(step, self.numbers, &mut |told| {
                let Some(series) = self.series.get_mut(&(told.subject, told.quantity)) else {
                    return;
                };
                let amount = series.steps[index].get_or_insert_default();
                amount.add(&told.amount);
                amount.hist = told.amount.hist;
            });
        }
    }

    /// The figure's value and all that says how far it may be off; `None` where this side
    /// has none of it.
    pub(super) fn measure(&self, subject: &Subject, field: &Field) -> Option<Measure> {
        let series = self.series.get(&(subject.clone(), field.quantity));
        match field.how {
            How::Rate => Some(self.per_second(subject, field.quantity, |it| it.count)),
            How::Sum => Some(self.per_second(subject, field.quantity, |it| it.sum_ns)),
            How::Count => Some(Measure::Exact(series.map_or(0.0, |it| it.whole.count))),
            How::Max => Some(Measure::Exact(hist(series)?.h().max_ns as f64)),
            How::Percentile(at) => percentile(series?, at),
            How::Share if subject.kind == Kind::Run => Some(overhead(series?)),
            How::Share => self.share(subject),
        }
    }

    /// How many events there are behind the figure.
    pub(super) fn events(&self, subject: &Subject, quantity: Quantity) -> f64 {
        self.series.get(&(subject.clone(), quantity)).map_or(0.0, |it| it.whole.count)
    }

    fn per_second(
        &self,
        subject: &Subject,
        quantity: Quantity,
        of: fn(&Amount<'_>) -> f64,
    ) -> Measure {
        let per = self.whole_seconds();
        let Some(series) = self.series.get(&(subject.clone(), quantity)) else {
            let steps = self.seconds.iter().map(|&seconds| (0.0, seconds)).collect();
            return Measure::Ratio(Ratio {
                per,
                steps,
                margin: self.untold(subject),
                ..Ratio::default()
            });
        };
        let (whole, sum) = (&series.whole, of(&series.whole));
        let squares = match whole.hist {
            _ if sum <= 0.0 => 0.0,
            // An event adds as much as it lasts, or 1.
            _ if whole.sum_ns <= 0.0 || (sum - whole.count).abs() < f64::EPSILON * sum => sum,
            Some(hist) => hist.iter().map(|(ns, count)| (ns as f64).powi(2) * count as f64).sum(),
            None => sum * sum / whole.count.max(1.0),
        };
        let steps = self.steps(subject, quantity, of);
        let off = Amount { count: whole.margin, sum_ns: whole.margin_ns, ..Amount::default() };
        Measure::Ratio(Ratio { sum, per, squares, margin: of(&off), steps })
    }

    fn untold(&self, subject: &Subject) -> f64 {
        match subject.kind {
            Kind::Key => self.untold.get(&subject.of).copied().unwrap_or(0) as f64,
            _ => 0.0,
        }
    }

    /// By interval. What those that tell nothing have together is known; it is taken to
    /// come and go with what the subject belongs to.
    fn steps(
        &self,
        subject: &Subject,
        quantity: Quantity,
        of: fn(&Amount<'_>) -> f64,
    ) -> Vec<(f64, f64)> {
        let Some(series) = self.series.get(&(subject.clone(), quantity)) else {
            return self.seconds.iter().map(|&seconds| (0.0, seconds)).collect();
        };
        let told: f64 = series.steps.iter().flatten().map(of).sum();
        let rest = (of(&series.whole) - told).max(0.0);
        let activity = self.activity(subject, quantity);
        let silent = series.steps.iter().zip(&activity).filter(|(step, _)| step.is_none());
        let silent: f64 = silent.map(|(_, activity)| activity).sum();
        let value = |(step, activity): (&Option<Amount<'_>>, &f64)| {
            let part = if silent > 0.0 { rest * activity / silent } else { 0.0 };
            step.as_ref().map_or(part, of)
        };
        let values = series.steps.iter().zip(&activity).map(value);
        values.zip(self.seconds.iter().copied()).collect()
    }

    /// How much there was in each interval of what the subject is a part of; of its time
    /// where that is not known.
    fn activity(&self, subject: &Subject, quantity: Quantity) -> Vec<f64> {
        let (kind, quantity) = match (subject.kind, quantity) {
            (Kind::Key | Kind::Site, Quantity::Ops) => (Kind::Map, quantity),
            (Kind::Waiter | Kind::Holder | Kind::Pair, _) => (Kind::Lock, Quantity::Wait),
            (_, Quantity::Ops) => (Kind::Run, Quantity::Ops),
            _ => (Kind::Run, Quantity::Wait),
        };
        let of = if kind == Kind::Run { 0 } else { subject.of };
        let whole = self.series.get(&(Subject { kind, of, which: String::new() }, quantity));
        let activity = whole.map(|whole| {
            let count = |step: &Option<Amount<'_>>| step.as_ref().map_or(0.0, |it| it.count);
            whole.steps.iter().map(count).collect::<Vec<f64>>()
        });
        let known = activity.filter(|activity| activity.iter().sum::<f64>() > 0.0);
        known.unwrap_or_else(|| self.seconds.clone())
    }

    /// Of what its map has.
    fn share(&self, subject: &Subject) -> Option<Measure> {
        let map = Subject { kind: Kind::Map, of: subject.of, which: String::new() };
        let whole = self.series.get(&(map.clone(), Quantity::Ops))?.whole.count;
        let per: Vec<f64> = self
            .steps(&map, Quantity::Ops, |amount| amount.count)
            .into_iter()
            .map(|(sum, _)| sum)
            .collect();
        let Measure::Ratio(key) = self.per_second(subject, Quantity::Ops, |it| it.count) else {
            return None;
        };
        let per_step = key.steps.iter().zip(&per);
        let steps = per_step.map(|((sum, _), &per)| (*sum, per)).filter(|(_, per)| *per > 0.0);
        let steps = steps.collect();
        Some(Measure::Ratio(Ratio { per: whole, steps, ..key })).filter(|_| whole > 0.0)
    }
}

fn hist<'a>(series: Option<&Series<'a>>) -> Option<&'a WaitHist> {
    series?.whole.hist.filter(|hist| !hist.is_empty())
}

fn percentile(series: &Series<'_>, at: f64) -> Option<Measure> {
    let all = hist(Some(series))?;
    let h = all.h();
    let told = [(0.5, h.p50_ns), (0.9, h.p90_ns), (0.99, h.p99_ns), (0.999, h.p999_ns)];
    let (_, value) = told.into_iter().find(|(quantile, _)| (quantile - at).abs() < 1e-9)?;
    let steps = series.steps.iter().flatten().filter_map(|step| step.hist).map(Counts::of);
    let steps = steps.collect();
    Some(Measure::Quantile(Quantile { at, value: value as f64, all: Counts::of(all), steps }))
}

/// Of the CPU time of the target.
fn overhead(series: &Series<'_>) -> Measure {
    let of = |amount: &Amount<'_>| (amount.count, amount.sum_ns);
    let (sum, per) = of(&series.whole);
    let steps = series.steps.iter().flatten().map(of).collect();
    Measure::Ratio(Ratio { sum, per, squares: 0.0, margin: 0.0, steps })
}
