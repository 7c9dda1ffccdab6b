//! A table whose columns are data: a name, a kind, and how a row's cell is found.
//!
//! In: rows of any kind. Out: a [`Grid`] of typed cells, for formats that are tables.

use std::borrow::Cow;

use crate::model::summary::{H, Ops};

/// What a column's cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// A count, or a time in ns.
    Int,
    /// A share.
    Float,
    /// Yes or no.
    Flag,
}

/// One figure or text of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Not known, or not there.
    None,
    Text(Cow<'a, str>),
    Int(u64),
    Float(f64),
    Flag(bool),
}

/// A column's name and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Kind,
}

/// A table; every row has a cell for every column.
#[derive(Debug, Default)]
pub(crate) struct Grid<'a> {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell<'a>>>,
}

/// A figure's name, and where it is found.
type Figure<T> = (&'static str, fn(&T) -> u64);

type Get<'a, R> = Box<dyn Fn(R) -> Cell<'a> + 'a>;

/// The columns of rows of this kind, put down one by one.
pub(super) struct Columns<'a, R> {
    columns: Vec<Column>,
    cells: Vec<Get<'a, R>>,
}

impl<'a, R: Copy + 'a> Columns<'a, R> {
    pub(super) fn new() -> Self {
        Self { columns: Vec::new(), cells: Vec::new() }
    }

    fn push(
        mut self,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        get: impl Fn(R) -> Cell<'a> + 'a,
    ) -> Self {
        self.columns.push(Column { name: name.into(), kind });
        self.cells.push(Box::new(get));
        self
    }

    /// A text that may be missing.
    pub(super) fn text(self, name: &'static str, get: impl Fn(R) -> Option<&'a str> + 'a) -> Self {
        self.owned(name, move |row| get(row).map(Cow::Borrowed))
    }

    /// A text that may have to be made.
    pub(super) fn owned(
        self,
        name: &'static str,
        get: impl Fn(R) -> Option<Cow<'a, str>> + 'a,
    ) -> Self {
        self.push(name, Kind::Text, move |row| get(row).map_or(Cell::None, Cell::Text))
    }

    /// A count or a time that may be missing.
    pub(super) fn int(
        self,
        name: impl Into<Cow<'static, str>>,
        get: impl Fn(R) -> Option<u64> + 'a,
    ) -> Self {
        self.push(name, Kind::Int, move |row| get(row).map_or(Cell::None, Cell::Int))
    }

    /// A share.
    pub(super) fn float(self, name: &'static str, get: impl Fn(R) -> f64 + 'a) -> Self {
        self.push(name, Kind::Float, move |row| Cell::Float(get(row)))
    }

    /// Yes or no.
    pub(super) fn flag(self, name: &'static str, get: impl Fn(R) -> bool + 'a) -> Self {
        self.push(name, Kind::Flag, move |row| Cell::Flag(get(row)))
    }

    /// A column for each kind of operation, and for all.
    pub(super) fn ops(self, get: fn(R) -> &'a Ops) -> Self {
        const KINDS: [Figure<Ops>; 9] = [
            ("ops", Ops::total),
            ("lookup", |ops| ops.lookup),
            ("insert", |ops| ops.insert),
            ("delete", |ops| ops.delete),
            ("iterate", |ops| ops.iterate),
            ("clear", |ops| ops.clear),
            ("grow", |ops| ops.grow),
            ("miss", |ops| ops.miss),
            ("promote", |ops| ops.promote),
        ];
        KINDS
            .into_iter()
            .fold(self, |columns, (name, of)| columns.int(name, move |row| Some(of(get(row)))))
    }

    /// A column for each figure of a distribution that may be missing.
    pub(super) fn times(self, prefix: &'static str, get: fn(R) -> Option<&'a H>) -> Self {
        const FIGURES: [Figure<H>; 10] = [
            ("count", |h| h.count),
            ("sum_ns", |h| h.sum_ns),
            ("min_ns", |h| h.min_ns),
            ("p50_ns", |h| h.p50_ns),
            ("p90_ns", |h| h.p90_ns),
            ("p99_ns", |h| h.p99_ns),
            ("p999_ns", |h| h.p999_ns),
            ("max_ns", |h| h.max_ns),
            ("margin", |h| h.margin),
            ("margin_ns", |h| h.margin_ns),
        ];
        FIGURES.into_iter().fold(self, |columns, (name, of)| {
            columns.int(format!("{prefix}_{name}"), move |row| get(row).map(of))
        })
    }

    /// The table of these rows.
    pub(super) fn of(self, rows: impl Iterator<Item = R>) -> Grid<'a> {
        let Self { columns, cells } = self;
        let row = |row: R| cells.iter().map(|cell| cell(row)).collect();
        Grid { columns, rows: rows.map(row).collect() }
    }
}
