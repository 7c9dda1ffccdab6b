//! What is shown and where one stands in it. In: pictures and actions. Out: the
//! rows, the cursor and the texts that `draw` paints. No terminal, no I/O.

use super::{
    Action, Picture, Request,
    grid::{Grid, Row, RowId},
    tables,
};
use crate::model::summary::Summary;

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// Maps.
    Maps,
    /// Keys, of one map or of all.
    Keys,
    /// Locks.
    Locks,
}

impl Tab {
    /// In the order of their digits.
    pub(super) const ALL: [Self; 3] = [Self::Maps, Self::Keys, Self::Locks];

    /// Its name.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Maps => "Maps",
            Self::Keys => "Keys",
            Self::Locks => "Locks",
        }
    }

    fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Show what has changed.
    Continue,
    /// Leave the view.
    Quit,
}

/// Which summary is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Everything since the start.
    Total,
    /// The newest interval.
    Last,
}

/// What is opened in place of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The keys.
    Help,
    /// Notices and findings.
    Notices,
    /// All about a row.
    Detail(RowId),
}

/// A place in a list.
#[derive(Clone, Debug, Default)]
struct Cursor {
    /// The row it stays on; `None` stays at the top, whichever row that is.
    on: Option<RowId>,
    index: usize,
    /// First row shown.
    offset: usize,
}

impl Cursor {
    /// After the rows have changed.
    fn find(&mut self, rows: &[Row]) {
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
    fn go(&mut self, index: usize, rows: &[Row]) {
        self.index = index.min(rows.len().saturating_sub(1));
        self.on = rows.get(self.index).map(|row| row.id.clone());
    }

    /// Scrolls until it is within `height` rows.
    fn fit(&mut self, height: usize, len: usize) {
        let least = (self.index + 1).saturating_sub(height);
        self.offset =
            self.offset.clamp(least, self.index).min(len.saturating_sub(height).max(least));
    }
}

/// A table's settings.
#[derive(Clone, Debug)]
struct List {
    /// Title of the column.
    sort: &'static str,
    inverted: bool,
    filter: String,
    cursor: Cursor,
}

impl List {
    fn by(sort: &'static str) -> Self {
        Self { sort, inverted: false, filter: String::new(), cursor: Cursor::default() }
    }
}

/// The state of the view.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is on or off by itself")]
pub struct App {
    shown: Option<Picture>,
    /// The newest picture, while another is held.
    newer: Option<Picture>,
    paused: bool,
    closed: bool,
    span: Span,
    tab: Tab,
    /// Whether a key was pressed.
    touched: bool,
    lists: [List; 3],
    /// Id of the map whose keys are shown; all maps' otherwise.
    scope: Option<String>,
    page: Option<Page>,
    /// First line of the page that is shown.
    scroll: usize,
    editing: bool,
    grid: Grid,
    /// Rows or lines that the body had when last drawn.
    height: usize,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// Before the first picture.
    pub fn new() -> Self {
        Self {
            shown: None,
            newer: None,
            paused: false,
            closed: false,
            span: Span::Total,
            tab: Tab::Maps,
            touched: false,
            lists: [tables::OPS, tables::OPS, tables::WAIT].map(List::by),
            scope: None,
            page: None,
            scroll: 0,
            editing: false,
            grid: Grid::default(),
            height: 1,
        }
    }

    /// Takes a newer picture; holds it back while paused.
    pub fn update(&mut self, picture: Picture) {
        if self.paused && self.shown.is_some() {
            self.newer = Some(picture);
        } else {
            // Where only locks are in the picture, one need not look for them.
            if !self.touched && picture.total.maps.is_empty() && !picture.total.locks.is_empty() {
                self.tab = Tab::Locks;
            }
            self.shown = Some(picture);
            self.rebuild();
        }
    }

    /// What the next pictures are to have.
    pub fn request(&self) -> Request {
        Request::default()
    }

    /// No more pictures will come; whether that is new.
    pub(super) fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closed, true)
    }

    /// Does what a key asks for.
    pub fn on_action(&mut self, action: Action) -> Flow {
        self.touched = true;
        match action {
            Action::Quit => return Flow::Quit,
            Action::Up => self.go(|at, _| at.saturating_sub(1)),
            Action::Down => self.go(|at, _| at.saturating_add(1)),
            Action::PageUp => self.go(usize::saturating_sub),
            Action::PageDown => self.go(usize::saturating_add),
            Action::Bottom => self.go(|_, _| usize::MAX),
            Action::Top => self.top(),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::NextTab => self.show(self.tab.step(1)),
            Action::PreviousTab => self.show(self.tab.step(Tab::ALL.len() - 1)),
            Action::Show(tab) => self.show(tab),
            Action::Sort => self.sort_by_next(),
            Action::Invert => {
                self.list_mut().inverted ^= true;
                self.rebuild();
            }
            Action::Span => {
                self.span = match self.span {
                    Span::Total => Span::Last,
                    Span::Last => Span::Total,
                };
                self.rebuild();
            }
            Action::Pause => self.pause(),
            Action::Help => self.toggle(Page::Help),
            Action::Notices => self.toggle(Page::Notices),
            Action::Filter => {
                self.page = None;
                self.editing = true;
            }
            Action::Accept => self.editing = false,
            Action::Cancel => {
                self.editing = false;
                self.edit(String::clear);
            }
            Action::Type(c) => self.edit(|filter| filter.push(c)),
            Action::Erase => self.edit(|filter| {
                filter.pop();
            }),
            Action::EraseAll => self.edit(String::clear),
        }
        Flow::Continue
    }

    /// Moves the cursor, or the page where one is open; `to` is given the present
    /// place and the height of a page.
    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        let height = self.height.max(1);
        if self.page.is_some() {
            self.scroll = to(self.scroll, height);
        } else {
            let cursor = &mut self.lists[self.tab as usize].cursor;
            cursor.go(to(cursor.index, height), &self.grid.rows);
        }
    }

    fn top(&mut self) {
        if self.page.is_some() {
            self.scroll = 0;
        } else {
            self.list_mut().cursor = Cursor::default();
        }
    }

    fn open(&mut self) {
        if self.page.is_some() {
            return;
        }
        match self.selected().cloned() {
            Some(RowId::Map(id)) => {
                self.look_into(Some(id));
                self.show(Tab::Keys);
            }
            Some(row) => self.toggle(Page::Detail(row)),
            None => {}
        }
    }

    fn back(&mut self) {
        if self.page.take().is_some() {
            self.scroll = 0;
        } else if !self.list().filter.is_empty() {
            self.edit(String::clear);
        } else if self.tab == Tab::Keys && self.scope.is_some() {
            self.look_into(None);
            self.show(Tab::Maps);
        }
    }

    /// Chooses the map whose keys are shown.
    fn look_into(&mut self, map: Option<String>) {
        self.scope = map;
        let keys = &mut self.lists[Tab::Keys as usize];
        keys.cursor = Cursor::default();
        keys.filter.clear();
    }

    fn show(&mut self, tab: Tab) {
        self.page = None;
        self.editing = false;
        self.tab = tab;
        self.rebuild();
    }

    fn toggle(&mut self, page: Page) {
        self.scroll = 0;
        self.page = if self.page.as_ref() == Some(&page) { None } else { Some(page) };
    }

    fn sort_by_next(&mut self) {
        let heads = &self.grid.heads;
        let now = heads.iter().position(|head| head.title == self.list().sort);
        let next = now.map_or(0, |now| (now + 1) % heads.len().max(1));
        if let Some(title) = heads.get(next).map(|head| head.title) {
            let list = self.list_mut();
            list.sort = title;
            list.inverted = false;
            self.rebuild();
        }
    }

    fn pause(&mut self) {
        self.paused ^= true;
        if !self.paused
            && let Some(newer) = self.newer.take()
        {
            self.update(newer);
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.list_mut().filter);
        self.rebuild();
    }

    fn rebuild(&mut self) {
        let Some(summary) = self.summary() else {
            return;
        };
        let grid = match self.tab {
            Tab::Maps => tables::maps(summary),
            Tab::Keys => tables::keys(summary, self.scope()),
            Tab::Locks => tables::locks(summary),
        };
        let list = &mut self.lists[self.tab as usize];
        if !grid.heads.iter().any(|head| head.title == list.sort) {
            // One map's keys lack the columns that say which map.
            list.sort = tables::OPS;
        }
        self.grid = grid.arrange(&list.filter, list.sort, list.inverted);
        list.cursor.find(&self.grid.rows);
    }

    fn list(&self) -> &List {
        &self.lists[self.tab as usize]
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.lists[self.tab as usize]
    }
}

/// What `draw` reads.
impl App {
    /// Tells how many rows of the table are visible.
    pub(super) fn fit_table(&mut self, height: usize) {
        self.height = height;
        let len = self.grid.rows.len();
        self.list_mut().cursor.fit(height.max(1), len);
    }

    /// Tells how many of the page's lines are visible.
    pub(super) fn fit_page(&mut self, height: usize, lines: usize) {
        self.height = height;
        self.scroll = self.scroll.min(lines.saturating_sub(height));
    }

    pub(super) fn picture(&self) -> Option<&Picture> {
        self.shown.as_ref()
    }

    pub(super) fn summary(&self) -> Option<&Summary> {
        self.shown.as_ref().map(|picture| match self.span {
            Span::Total => &picture.total,
            Span::Last => &picture.last,
        })
    }

    pub(super) fn tab(&self) -> Tab {
        self.tab
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(super) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    pub(super) fn scroll(&self) -> usize {
        self.scroll
    }

    pub(super) fn paused(&self) -> bool {
        self.paused
    }

    pub(super) fn editing(&self) -> bool {
        self.editing
    }

    pub(super) fn filter(&self) -> &str {
        &self.list().filter
    }

    pub(super) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Title of the column that rows are sorted by, and whether it is inverted.
    pub(super) fn sorted(&self) -> (&'static str, bool) {
        (self.list().sort, self.list().inverted)
    }

    /// Index of the selected row and of the first one shown.
    pub(super) fn cursor(&self) -> (usize, usize) {
        let cursor = &self.list().cursor;
        (cursor.index, cursor.offset)
    }

    pub(super) fn selected(&self) -> Option<&RowId> {
        self.grid.rows.get(self.list().cursor.index).map(|row| &row.id)
    }

    /// Rows of a table before its filter.
    pub(super) fn len(&self, tab: Tab) -> usize {
        self.summary().map_or(0, |summary| match tab {
            Tab::Maps => summary.maps.len(),
            Tab::Keys => tables::keys_of(summary, self.scope()).count(),
            Tab::Locks => summary.locks.len(),
        })
    }

    /// Keys that were tracked, of which the table has the first few of each map.
    pub(super) fn keys_tracked(&self) -> u64 {
        let maps = self.summary().into_iter().flat_map(|summary| &summary.maps);
        let maps = maps.filter(|map| self.scope().is_none_or(|id| map.id == id));
        maps.fold(0, |sum, map| sum.saturating_add(map.keys_tracked))
    }

    /// Why measuring has ended, also while an older picture is held.
    pub(super) fn ended(&self) -> Option<&str> {
        let newest = self.newer.as_ref().or(self.shown.as_ref());
        let reason = newest.and_then(|picture| picture.ended.as_deref());
        reason.or(self.closed.then_some("no more data"))
    }

    /// What is to be said beside the tables: notices, then findings.
    pub(super) fn remarks(&self) -> Vec<String> {
        let notices = self.shown.iter().flat_map(|picture| picture.notices.iter().cloned());
        let findings = self.summary().into_iter().flat_map(|summary| &summary.findings);
        let findings = findings.map(|f| format!("{}: {}", f.severity, f.message));
        notices.chain(findings).collect()
    }

    /// Why there are no rows.
    pub(super) fn why_empty(&self) -> String {
        let what = self.tab.title().to_lowercase();
        if self.shown.is_none() {
            return if self.closed {
                "Measuring ended before the first interval was complete.".to_owned()
            } else {
                "Waiting for the first interval.".to_owned()
            };
        }
        if self.grid.unfiltered > 0 {
            return format!(
                "None of {} {what} matches \"{}\".",
                self.grid.unfiltered,
                self.filter()
            );
        }
        let whose = match (self.tab, self.scope()) {
            (Tab::Keys, Some(map)) => format!(" of {map}"),
            _ => String::new(),
        };
        match self.span {
            Span::Total => format!("No {what}{whose} seen since the start."),
            Span::Last => format!("No {what}{whose} seen in the last interval."),
        }
    }
}
