//! The tables that CSV and Parquet write.
//!
//! In: a [`Document`]. Out: one of its [`Table`]s as a [`Grid`]. Every row begins with
//! what tells its run, so that many files can be kept together.

pub(super) mod grid;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Document, folded};
use crate::model::Frame;
use crate::model::summary::{Caller, Key, Lock, Map, Pair, Summary};
use crate::model::{Session, SliceTotals};
use grid::{Column, Columns, Grid};

/// What a table has a row for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Table {
    /// Each key of each map.
    #[default]
    Keys,
    /// Each map.
    Maps,
    /// Each lock.
    Locks,
    /// Each call site of each map.
    Callers,
    /// Each pair of who held a lock and who waited for it.
    Pairs,
    /// Each interval of the session, or several where they are long ago.
    Steps,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 6] =
        [Self::Keys, Self::Maps, Self::Locks, Self::Callers, Self::Pairs, Self::Steps];

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Maps => "maps",
            Self::Locks => "locks",
            Self::Callers => "callers",
            Self::Pairs => "pairs",
            Self::Steps => "steps",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A table that there is not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no table {0:?}; choose keys, maps, locks, callers, pairs or steps")]
pub struct UnknownTable(String);

impl FromStr for Table {
    type Err = UnknownTable;

    fn from_str(name: &str) -> Result<Self, UnknownTable> {
        let found = Self::ALL.into_iter().find(|table| table.name() == name);
        found.ok_or_else(|| UnknownTable(name.to_owned()))
    }
}

/// The table, each row with its run.
pub(super) fn grid<'a>(table: Table, document: &Document<'a>) -> Grid<'a> {
    let Document { session, summary } = *document;
    let grid = match table {
        Table::Keys => keys(summary),
        Table::Maps => maps(summary),
        Table::Locks => locks(summary),
        Table::Callers => callers(summary),
        Table::Pairs => pairs(summary),
        Table::Steps => steps(session),
    };
    beside(run(document), grid)
}

/// The columns that are the same in all rows.
fn run<'a>(document: &Document<'a>) -> Grid<'a> {
    let Document { session, summary } = *document;
    let target = session.target();
    Columns::new()
        .text("host", move |()| Some(&target.host))
        .int("pid", |()| Some(summary.target.pid.into()))
        .text("exe", |()| Some(&summary.target.exe))
        .int("start_unix_ns", |()| Some(summary.window.start_unix_ns))
        .int("duration_ns", |()| Some(summary.window.duration_ns))
        .of(std::iter::once(()))
}

/// The only row of the one before each row of the other.
fn beside<'a>(one: Grid<'a>, many: Grid<'a>) -> Grid<'a> {
    let columns: Vec<Column> = [one.columns, many.columns].concat();
    let first = one.rows.into_iter().next().unwrap_or_default();
    let rows = many.rows.into_iter().map(|row| first.iter().cloned().chain(row).collect());
    Grid { columns, rows: rows.collect() }
}

fn keys(summary: &Summary) -> Grid<'_> {
    let rows = summary.maps.iter().flat_map(|map| map.keys.iter().map(move |key| (map, key)));
    Columns::<(&Map, &Key)>::new()
        .text("map", |(map, _)| Some(&map.id))
        .text("map_kind", |(map, _)| Some(&map.kind))
        .text("map_type", |(map, _)| map.type_name.as_deref())
        .text("map_name", |(map, _)| map.label.as_deref())
        .text("key", |(_, key)| Some(&key.key))
        .text("key_type", |(_, key)| key.type_name.as_deref())
        .flag("cut", |(_, key)| key.cut)
        .ops(|(_, key)| &key.ops)
        .float("share", |(_, key)| key.share)
        .int("margin", |(_, key)| Some(key.margin))
        .flag("few", |(_, key)| key.few)
        .times("wait", |(_, key)| key.wait.as_ref())
        .times("blame", |(_, key)| key.blame.as_ref())
        .of(rows)
}

fn maps(summary: &Summary) -> Grid<'_> {
    Columns::<&Map>::new()
        .text("map", |map| Some(&map.id))
        .text("map_kind", |map| Some(&map.kind))
        .text("map_type", |map| map.type_name.as_deref())
        .text("map_name", |map| map.label.as_deref())
        .text("address", |map| map.address.as_deref())
        .int("len", |map| map.len)
        .int("len_first", |map| map.len_first)
        .ops(|map| &map.ops)
        .int("margin", |map| Some(map.margin))
        .flag("few", |map| map.few)
        .int("unreadable_keys", |map| Some(map.unreadable_keys))
        .int("keys_tracked", |map| Some(map.keys_tracked))
        .of(summary.maps.iter())
}

fn locks(summary: &Summary) -> Grid<'_> {
    Columns::<&Lock>::new()
        .text("lock", |lock| Some(&lock.id))
        .text("lock_kind", |lock| Some(&lock.kind))
        .text("lock_name", |lock| lock.label.as_deref())
        .text("address", |lock| lock.address.as_deref())
        .owned("maps", |lock| (!lock.maps.is_empty()).then(|| lock.maps.join(" ").into()))
        .times("wait", |lock| Some(&lock.wait))
        .times("hold", |lock| lock.hold.as_ref())
        .int("read_count", |lock| lock.read.map(|read| read.count))
        .int("read_wait_ns", |lock| lock.read.map(|read| read.wait_ns))
        .int("write_count", |lock| lock.write.map(|write| write.count))
        .int("write_wait_ns", |lock| lock.write.map(|write| write.wait_ns))
        .int("attributed_ns", |lock| Some(lock.attributed_ns))
        .int("blamed_ns", |lock| Some(lock.blamed_ns))
        .int("open_waits", |lock| Some(lock.open_waits))
        .int("open_max_ns", |lock| Some(lock.open_max_ns))
        .flag("few", |lock| lock.wait.few)
        .of(summary.locks.iter())
}

fn callers(summary: &Summary) -> Grid<'_> {
    let rows = summary.maps.iter().flat_map(|map| map.callers.iter().map(move |at| (map, at)));
    Columns::<(&Map, &Caller)>::new()
        .text("map", |(map, _)| Some(&map.id))
        .text("map_type", |(map, _)| map.type_name.as_deref())
        .text("map_name", |(map, _)| map.label.as_deref())
        .text("function", |(_, at)| at.frames.first().map(|frame| frame.function.as_str()))
        .text("file", |(_, at)| at.frames.first()?.file.as_deref())
        .int("line", |(_, at)| at.frames.first()?.line.map(u64::from))
        .owned("stack", |(_, at)| stack(&at.frames))
        .ops(|(_, at)| &at.ops)
        .int("margin", |(_, at)| Some(at.margin))
        .flag("few", |(_, at)| at.few)
        .of(rows)
}

fn pairs(summary: &Summary) -> Grid<'_> {
    let window = &summary.window;
    let observed_ns = window.locks_observed_ns.unwrap_or(window.observed_ns);
    let rows =
        summary.locks.iter().flat_map(|lock| lock.pairs.iter().map(move |pair| (lock, pair)));
    Columns::<(&Lock, &Pair)>::new()
        .text("lock", |(lock, _)| Some(&lock.id))
        .text("lock_kind", |(lock, _)| Some(&lock.kind))
        .text("lock_name", |(lock, _)| lock.label.as_deref())
        .text("holder_map", |(_, pair)| pair.holder.map.as_deref())
        .text("holder_key", |(_, pair)| pair.holder.key.as_deref())
        .owned("holder_stack", |(_, pair)| stack(&pair.holder.stack))
        .text("waiter_map", |(_, pair)| pair.waiter.map.as_deref())
        .text("waiter_key", |(_, pair)| pair.waiter.key.as_deref())
        .owned("waiter_stack", |(_, pair)| stack(&pair.waiter.stack))
        .int("count", |(_, pair)| Some(pair.count))
        .int("wait_ns", |(_, pair)| Some(pair.wait_ns))
        // They have no margins of their own.
        .int("locks_observed_ns", move |_| Some(observed_ns))
        .of(rows)
}

fn steps(session: &Session) -> Grid<'static> {
    let steps = session.steps();
    Columns::<SliceTotals>::new()
        .int("step_unix_ns", |step| Some(step.start_unix_ns))
        .int("step_ns", |step| Some(step.duration_ns))
        .int("observed_ns", |step| Some(step.observed_ns))
        .int("events", |step| Some(step.events))
        .int("hits", |step| Some(step.hits))
        .int("target_cpu_ns", |step| step.target_cpu_ns)
        .int("ops", |step| Some(step.ops))
        .int("waits", |step| Some(step.waits))
        .int("wait_ns", |step| Some(step.wait_ns))
        .int("lost", |step| Some(step.lost))
        .of(steps.into_iter().map(|step| step.totals))
}

/// `outermost;…;innermost`, as in the folded format.
fn stack(frames: &[Frame]) -> Option<Cow<'_, str>> {
    (!frames.is_empty()).then(|| folded::line(frames).into())
}
