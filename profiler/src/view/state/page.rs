//! What is opened in place of the table: a row's detail, the help, the notices, the choice
//! of columns, a flame graph.

use crate::view::{
    grid::{Head, RowId},
    keys::Mode,
};

use super::{App, Tab, flame::Walk};

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::view) enum Page {
    /// The keys.
    Help,
    /// Notices and findings.
    Notices,
    /// All about a row.
    Detail(RowId),
    /// The columns of the table, and the one that one is at.
    Columns(usize),
    /// A flame graph, and where one is in it.
    Flame(Walk),
}

impl App {
    /// What keys mean now.
    pub(in crate::view) fn mode(&self) -> Mode {
        match &self.page {
            _ if self.editing => Mode::Filter,
            Some(Page::Columns(_)) => Mode::Columns,
            Some(Page::Flame(_)) => Mode::Flame,
            _ => Mode::Command,
        }
    }

    /// Opens the selected row.
    pub(super) fn open(&mut self) {
        if self.page.is_some() {
            return;
        }
        match self.selected().cloned() {
            Some(RowId::Map(id)) => {
                self.look_into(Some(id));
                self.show(Tab::Keys);
            }
            Some(RowId::Step(start)) => {
                self.show(Tab::Overview);
                self.see_step(start);
            }
            Some(row) => self.toggle(Page::Detail(row)),
            None => {}
        }
    }

    /// Closes what is open, or goes where one came from.
    pub(super) fn back(&mut self) {
        if self.page.take().is_some() {
            self.scroll = 0;
            self.flame = None;
        } else if !self.list().by.filter.is_empty() {
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
        keys.cursor = super::lists::Cursor::default();
        keys.by.filter.clear();
    }

    /// Shows a table.
    pub(super) fn show(&mut self, tab: Tab) {
        self.page = None;
        self.flame = None;
        self.scroll = 0;
        self.editing = false;
        self.tab = tab;
        self.rebuild();
    }

    /// Opens a page, or closes it.
    pub(super) fn toggle(&mut self, page: Page) {
        self.scroll = 0;
        self.flame = None;
        self.page = if self.page.as_ref() == Some(&page) { None } else { Some(page) };
    }

    /// Opens the choice of columns, or closes it.
    pub(super) fn choose_columns(&mut self) {
        match self.page {
            Some(Page::Columns(_)) => self.back(),
            _ if self.grid.heads.is_empty() => self.tell("There are no columns to choose from."),
            _ => self.toggle(Page::Columns(0)),
        }
    }

    /// Shows the column that one is at, or no longer.
    pub(super) fn toggle_column(&mut self) {
        let Some(Page::Columns(at)) = self.page else { return };
        let Some(head) = self.grid.heads.get(at).copied() else { return };
        if head.rank == 0 {
            return self.tell("This column says what a row is about, and stays.");
        }
        self.list_mut().by.toggle(&head);
        self.rebuild();
    }

    /// The columns there are to choose from, and which are shown.
    pub(in crate::view) fn columns(&self) -> impl Iterator<Item = (Head, bool)> {
        let heads = self.grid.heads.iter().enumerate();
        heads.map(|(column, head)| (*head, self.grid.shows(column)))
    }

    /// What is open.
    pub(in crate::view) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// First line of it that is shown.
    pub(in crate::view) fn scroll(&self) -> usize {
        self.scroll
    }

    /// Tells how many of the page's lines are visible.
    pub(in crate::view) fn fit_page(&mut self, height: usize, lines: usize) {
        self.height = height;
        self.scroll = self.scroll.min(lines.saturating_sub(height));
        if let Some(Page::Columns(at)) = self.page {
            // One line each, below the title.
            let line = at + super::COLUMNS_TITLE;
            let least = (line + 1).saturating_sub(height);
            let most = if at == 0 { 0 } else { line };
            self.scroll = self.scroll.clamp(least.min(most), most.max(least));
        }
    }
}
