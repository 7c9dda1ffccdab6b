//! What has figures of its own, and what a summary says of it.
//!
//! In: a summary, and the numbers of its maps and locks. Out: every subject's amounts, so
//! that those of a whole part and of each of its intervals are told in the same way.

use std::collections::HashMap;

use serde::Serialize;

use crate::model::Frame;
use crate::model::hist::WaitHist;
use crate::model::lost;
use crate::model::names::{own_frame, short};
use crate::model::summary::{H, Key, Lock, Map, Mode, Ops, Party, Summary};

/// Kinds of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// All together.
    Run,
    /// A lock.
    Lock,
    /// A stack that waited for a lock.
    Waiter,
    /// A stack that had a lock while others waited.
    Holder,
    /// Who made whom wait.
    Pair,
    /// A map.
    Map,
    /// A key of a map.
    Key,
    /// A call site of a map.
    Site,
}

impl Kind {
    /// How many of one map or lock are compared: the heaviest.
    pub(super) fn most(self, keys: usize) -> usize {
        match self {
            Self::Key => keys,
            Self::Run | Self::Map | Self::Lock => 256,
            Self::Waiter | Self::Holder | Self::Pair | Self::Site => 8,
        }
    }
}

/// What has figures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Subject {
    pub(super) kind: Kind,
    /// Number of the map or lock.
    pub(super) of: usize,
    /// What tells it from others there: a key, functions; nothing for a map or lock.
    pub(super) which: String,
}

/// What is counted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Quantity {
    /// Map operations.
    Ops,
    /// Waits for locks.
    Wait,
    /// Times that a lock was held.
    Hold,
    /// Others' waits that are charged to it.
    Blame,
    /// Events that came.
    Events,
    /// Events that did not arrive.
    Lost,
    /// CPU time in probes; its sum is all that the target used.
    Overhead,
}

/// How much of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount<'a> {
    /// How many; of `Overhead`, ns.
    pub(super) count: f64,
    /// How long in all, ns.
    pub(super) sum_ns: f64,
    /// How far `count` may be off.
    pub(super) margin: f64,
    /// How far `sum_ns` may be off.
    pub(super) margin_ns: f64,
    /// By length, where that is known.
    pub(super) hist: Option<&'a WaitHist>,
}

/// Where names are looked up: this side's numbers of maps and locks.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    pub(super) maps: &'a HashMap<String, usize>,
    pub(super) locks: &'a HashMap<String, usize>,
}

/// One amount of one subject, and how to call the latter.
pub(super) struct Told<'a> {
    pub(super) subject: Subject,
    pub(super) name: String,
    pub(super) quantity: Quantity,
    pub(super) amount: Amount<'a>,
}

/// Everything that the summary says, one amount at a time.
pub(super) fn walk<'a>(
    summary: &'a Summary,
    numbers: Numbers<'_>,
    visit: &mut dyn FnMut(Told<'a>),
) {
    run(summary, visit);
    for map in &summary.maps {
        if let Some(&of) = numbers.maps.get(&map.id) {
            of_map(map, of, visit);
        }
    }
    for lock in &summary.locks {
        if let Some(&of) = numbers.locks.get(&lock.id) {
            of_lock(lock, of, numbers, visit);
        }
    }
}

fn count<'a>(count: u64, margin: u64) -> Amount<'a> {
    Amount { count: count as f64, margin: margin as f64, ..Amount::default() }
}

fn times<'a>(count: u64, sum_ns: u64) -> Amount<'a> {
    Amount { count: count as f64, sum_ns: sum_ns as f64, ..Amount::default() }
}

fn distribution<'a>(h: &H, hist: &'a WaitHist) -> Amount<'a> {
    let (margin, margin_ns) = (h.margin as f64, h.margin_ns as f64);
    Amount { hist: Some(hist), margin, margin_ns, ..times(h.count, h.sum_ns) }
}

fn told<'a>(
    (kind, of): (Kind, usize),
    which: &str,
    name: &str,
    quantity: Quantity,
    amount: Amount<'a>,
) -> Told<'a> {
    let subject = Subject { kind, of, which: which.to_owned() };
    Told { subject, name: name.to_owned(), quantity, amount }
}

fn run<'a>(summary: &'a Summary, visit: &mut dyn FnMut(Told<'a>)) {
    let window = &summary.window;
    let sum = |figures: &mut dyn Iterator<Item = u64>| figures.fold(0, u64::saturating_add);
    let ops = sum(&mut summary.maps.iter().map(|map| map.ops.total()));
    let waits = sum(&mut summary.locks.iter().map(|lock| lock.wait.count));
    let wait_ns = sum(&mut summary.locks.iter().map(|lock| lock.wait.sum_ns));
    // Windows are the same for all, so that they may all be off in the same way.
    let off = sum(&mut summary.maps.iter().map(|map| map.margin));
    let wait = Amount {
        margin: sum(&mut summary.locks.iter().map(|lock| lock.wait.margin)) as f64,
        margin_ns: sum(&mut summary.locks.iter().map(|lock| lock.wait.margin_ns)) as f64,
        ..times(waits, wait_ns)
    };
    let missing = window.lost.iter().filter(|(reason, _)| !lost::is_detail(reason));
    let probe_ns = window.cost.probe_ns as f64;
    let share = window.cost.target_cpu_share.filter(|share| *share > 0.0);
    let cost = share.map(|share| Amount {
        count: probe_ns,
        sum_ns: probe_ns / share,
        ..Amount::default()
    });
    for (quantity, amount) in [
        (Quantity::Ops, Some(count(ops, off))),
        (Quantity::Wait, Some(wait)),
        (Quantity::Events, Some(count(window.events, 0))),
        (Quantity::Lost, Some(count(sum(&mut missing.map(|(_, n)| *n)), 0))),
        (Quantity::Overhead, cost),
    ] {
        if let Some(amount) = amount {
            visit(told((Kind::Run, 0), "", "the run", quantity, amount));
        }
    }
}

fn of_map<'a>(map: &'a Map, of: usize, visit: &mut dyn FnMut(Told<'a>)) {
    let ops = |ops: &Ops, margin| count(ops.total(), margin);
    visit(told((Kind::Map, of), "", "", Quantity::Ops, ops(&map.ops, map.margin)));
    for key in &map.keys {
        of_key(key, of, visit);
    }
    for site in &map.callers {
        let (which, name) = place(&site.frames);
        visit(told((Kind::Site, of), &which, &name, Quantity::Ops, ops(&site.ops, site.margin)));
    }
}

fn of_key<'a>(key: &'a Key, of: usize, visit: &mut dyn FnMut(Told<'a>)) {
    let mut say = |quantity, amount| {
        visit(told((Kind::Key, of), &key.key, &key.key, quantity, amount));
    };
    say(Quantity::Ops, count(key.ops.total(), key.margin));
    if let Some(wait) = &key.wait {
        say(Quantity::Wait, distribution(wait, &key.wait_hist));
    }
    if let Some(blame) = &key.blame {
        say(Quantity::Blame, distribution(blame, &key.blame_hist));
    }
}

fn of_lock<'a>(lock: &'a Lock, of: usize, numbers: Numbers<'_>, visit: &mut dyn FnMut(Told<'a>)) {
    let whole = (Kind::Lock, of);
    visit(told(whole, "", "", Quantity::Wait, distribution(&lock.wait, &lock.wait_hist)));
    if let Some(hold) = &lock.hold {
        visit(told(whole, "", "", Quantity::Hold, distribution(hold, &lock.hold_hist)));
    }
    for row in &lock.waiters {
        let (which, name) = place_in(&row.stack, row.mode);
        let amount = times(row.count, row.wait_ns);
        visit(told((Kind::Waiter, of), &which, &name, Quantity::Wait, amount));
    }
    for row in &lock.holders {
        let (which, name) = place_in(&row.stack, row.mode);
        let amount = times(row.count, row.blame_ns);
        visit(told((Kind::Holder, of), &which, &name, Quantity::Blame, amount));
    }
    for row in &lock.pairs {
        let [(holder, held_by), (waiter, waits)] =
            [&row.holder, &row.waiter].map(|it| party(it, numbers));
        let amount = times(row.count, row.wait_ns);
        let (which, name) = (format!("{holder} → {waiter}"), format!("{held_by} → {waits}"));
        visit(told((Kind::Pair, of), &which, &name, Quantity::Wait, amount));
    }
}

/// What tells a stack, and what it is called. By functions alone: lines move when the
/// program is changed, which is what is often compared.
fn place(stack: &[Frame]) -> (String, String) {
    let functions: Vec<&str> = stack.iter().map(|frame| frame.function.as_str()).collect();
    let name = own_frame(stack).map(|frame| short(&frame.function).into_owned());
    (functions.join("\n"), name.unwrap_or_else(|| "(no stack)".to_owned()))
}

fn place_in(stack: &[Frame], mode: Option<Mode>) -> (String, String) {
    let (which, name) = place(stack);
    match mode {
        Some(Mode::Read) => (which + "\nread", name + " (read)"),
        Some(Mode::Write) => (which + "\nwrite", name + " (write)"),
        None => (which, name),
    }
}

fn party(party: &Party, numbers: Numbers<'_>) -> (String, String) {
    let (which, name) = place(&party.stack);
    let map = party.map.as_ref().and_then(|id| numbers.maps.get(id));
    match &party.key {
        Some(key) => (format!("{map:?} {key}\n{which}"), format!("{key} at {name}")),
        None => (which, name),
    }
}
