//! The tables: which there are, how each is arranged, and where one is in it.

use crate::view::{
    grid::{Arrangement, Grid, Row, RowId},
    tables::{self, OPS, TIME, WAIT},
};

use super::App;

/// The tables, and the overview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// What matters of all of them.
    Overview,
    /// Maps.
    Maps,
    /// Keys, of one map or of all.
    Keys,
    /// Locks.
    Locks,
    /// Where maps are used.
    Sites,
    /// Who makes whom wait.
    Contention,
    /// The past, step by step.
    Timeline,
}

/// How many there are.
pub(super) const TABS: usize = 7;

impl Tab {
    /// In the order of their digits.
    pub(in crate::view) const ALL: [Self; TABS] = [
        Self::Overview,
        Self::Maps,
        Self::Keys,
        Self::Locks,
        Self::Sites,
        Self::Contention,
        Self::Timeline,
    ];

    /// Its name.
    pub(in crate::view) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Maps => "Maps",
            Self::Keys => "Keys",
            Self::Locks => "Locks",
            Self::Sites => "Call sites",
            Self::Contention => "Contention",
            Self::Timeline => "Timeline",
        }
    }

    /// The same where room is short.
    pub(in crate::view) fn short(self) -> &'static str {
        match self {
            Self::Overview => "All",
            Self::Sites => "Sites",
            Self::Contention => "Pairs",
            Self::Timeline => "Time",
            other => other.title(),
        }
    }

    /// What its rows are called.
    pub(super) fn rows(self) -> &'static str {
        match self {
            Self::Overview => "rows",
            Self::Maps => "maps",
            Self::Keys => "keys",
            Self::Locks => "locks",
            Self::Sites => "call sites",
            Self::Contention => "pairs of holder and waiter",
            Self::Timeline => "steps",
        }
    }

    pub(super) fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % TABS]
    }

    /// The column by which it is sorted at first.
    fn sort(self) -> &'static str {
        match self {
            Self::Overview | Self::Maps | Self::Keys | Self::Sites => OPS,
            Self::Locks | Self::Contention => WAIT,
            Self::Timeline => TIME,
        }
    }
}

/// A place in a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    /// The row it stays on; `None` stays at the top, whichever row that is.
    on: Option<RowId>,
    pub(super) index: usize,
    /// First row shown.
    pub(super) offset: usize,
}

impl Cursor {
    /// After the rows have changed.
    pub(super) fn find(&mut self, rows: &[Row]) {
        let Some(on) = &self.on else {
            self.index = 0;
            return;
        };
        // Rows may look alike: the one it is on counts before the first one.
        if rows.get(self.index).is_none_or(|row| row.id != *on) {
            let found = rows.iter().position(|row| row.id == *on);
            self.index = found.unwrap_or(self.index.min(rows.len().saturating_sub(1)));
        }
    }

    /// To a row, or the nearest there is.
    pub(super) fn go(&mut self, index: usize, rows: &[Row]) {
        self.index = index.min(rows.len().saturating_sub(1));
        self.on = rows.get(self.index).map(|row| row.id.clone());
    }

    /// Scrolls until it is within `height` rows.
    pub(super) fn fit(&mut self, height: usize, len: usize) {
        let least = (self.index + 1).saturating_sub(height);
        self.offset =
            self.offset.clamp(least, self.index).min(len.saturating_sub(height).max(least));
    }
}

/// A table's settings.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) by: Arrangement,
    pub(super) cursor: Cursor,
}

impl List {
    pub(super) fn of(tab: Tab) -> Self {
        Self { by: Arrangement::by(tab.sort()), cursor: Cursor::default() }
    }
}

impl App {
    /// Makes the rows anew.
    pub(super) fn rebuild(&mut self) {
        let tab = self.tab;
        let Some(mut grid) = self.grid_by(&self.list().by) else { return };
        if !grid.heads.is_empty()
            && !grid.heads.iter().any(|head| head.title == self.list().by.sort)
        {
            // One map's keys lack the columns that say which map.
            self.list_mut().by.sort = tab.sort();
            grid = self.grid_by(&self.list().by).unwrap_or_default();
        }
        self.grid = grid;
        self.lists[tab as usize].cursor.find(&self.grid.rows);
    }

    fn grid_by(&self, by: &Arrangement) -> Option<Grid> {
        let (picture, summary) = (self.picture()?, self.summary()?);
        Some(match self.tab {
            Tab::Overview => Grid::default(),
            Tab::Maps => tables::maps(summary, by),
            Tab::Keys => tables::keys(summary, self.scope(), by),
            Tab::Locks => tables::locks(summary, by),
            Tab::Sites => tables::sites(summary, by),
            Tab::Contention => tables::contention(summary, by),
            // The names of all that there ever was.
            Tab::Timeline => tables::timeline(&picture.steps, &picture.total, by),
        })
    }

    /// Sorts by a neighbour of the column that it is sorted by, among those shown.
    pub(super) fn sort_by_neighbour(&mut self, forwards: bool) {
        let heads = self.grid.heads.iter().enumerate();
        let shown = heads.filter(|(column, _)| self.grid.shows(*column));
        let titles: Vec<&'static str> = shown.map(|(_, head)| head.title).collect();
        let sort = self.list().by.sort;
        let next = match titles.iter().position(|title| *title == sort) {
            None => 0,
            Some(now) if forwards => (now + 1) % titles.len(),
            Some(now) => (now + titles.len() - 1) % titles.len(),
        };
        if let Some(title) = titles.get(next) {
            let by = &mut self.list_mut().by;
            by.sort = title;
            by.inverted = false;
            self.rebuild();
        }
    }

    pub(super) fn list(&self) -> &List {
        &self.lists[self.tab as usize]
    }

    pub(super) fn list_mut(&mut self) -> &mut List {
        &mut self.lists[self.tab as usize]
    }

    /// Tells how many rows of the table are visible.
    pub(in crate::view) fn fit_table(&mut self, height: usize) {
        self.height = height;
        let len = self.grid.rows.len();
        self.list_mut().cursor.fit(height.max(1), len);
    }

    /// Id of the map whose keys are shown.
    pub(in crate::view) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// What the rows are filtered by.
    pub(in crate::view) fn filter(&self) -> &str {
        &self.list().by.filter
    }

    /// Why the filter is no condition although it looks like one.
    pub(in crate::view) fn complaint(&self) -> Option<&str> {
        self.grid.complaint.as_deref()
    }

    /// The table as it is shown.
    pub(in crate::view) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Title of the column that rows are sorted by, and whether it is inverted.
    pub(in crate::view) fn sorted(&self) -> (&'static str, bool) {
        let by = &self.list().by;
        (by.sort, by.inverted)
    }

    /// Index of the selected row and of the first one shown.
    pub(in crate::view) fn cursor(&self) -> (usize, usize) {
        let cursor = &self.list().cursor;
        (cursor.index, cursor.offset)
    }

    /// What the selected row is about.
    pub(in crate::view) fn selected(&self) -> Option<&RowId> {
        self.grid.rows.get(self.list().cursor.index).map(|row| &row.id)
    }

    /// Rows of a table before its filter; the overview has none.
    pub(in crate::view) fn len(&self, tab: Tab) -> Option<usize> {
        let steps = self.picture().map_or(0, |picture| picture.steps.len());
        let summary = self.summary()?;
        match tab {
            Tab::Overview => None,
            Tab::Maps => Some(summary.maps.len()),
            Tab::Keys => Some(tables::keys_in(summary, self.scope())),
            Tab::Locks => Some(summary.locks.len()),
            Tab::Sites => Some(summary.maps.iter().map(|map| map.callers.len()).sum()),
            Tab::Contention => Some(summary.locks.iter().map(|lock| lock.pairs.len()).sum()),
            Tab::Timeline => Some(steps),
        }
    }
}
