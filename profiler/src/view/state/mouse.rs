//! What a click means: `draw` tells where tabs and rows are.

use super::{App, Flow, Page, Tab};

/// Where what can be clicked was drawn.
#[derive(Clone, Debug, Default)]
pub(in crate::view) struct Places {
    /// Row of the tabs.
    pub(in crate::view) tabs_y: u16,
    /// First column of each tab, and the first one behind it.
    pub(in crate::view) tabs: Vec<(u16, u16, Tab)>,
    /// First row of the table's rows, or of a page's lines.
    pub(in crate::view) rows_y: u16,
    /// How many of them are there.
    pub(in crate::view) rows: u16,
}

impl App {
    /// Tells where everything was drawn.
    pub(in crate::view) fn place(&mut self, places: Places) {
        self.places = places;
    }

    /// Whether the mouse is to be taken from the terminal.
    pub(super) fn take_mouse(&mut self, on: bool) -> Flow {
        self.mouse = on;
        self.tell(if on {
            "The mouse is taken: the wheel scrolls, a click selects. m gives it back."
        } else {
            "The terminal has the mouse again."
        });
        Flow::Mouse(on)
    }

    /// The mouse is taken from the start on.
    pub(in crate::view) fn has_mouse(&mut self) {
        self.mouse = true;
    }

    /// Shows the tab or selects the row that is there; opens the one that is selected.
    pub(super) fn click(&mut self, x: u16, y: u16) {
        self.editing = false;
        if y == self.places.tabs_y {
            let hit = self.places.tabs.iter().find(|(from, to, _)| (*from..*to).contains(&x));
            if let Some((_, _, tab)) = hit {
                self.show(*tab);
            }
            return;
        }
        let Some(row) = y.checked_sub(self.places.rows_y) else { return };
        if row >= self.places.rows {
            return;
        }
        let row = usize::from(row);
        match &mut self.page {
            Some(Page::Columns(at)) => {
                let line = (row + self.scroll).checked_sub(super::COLUMNS_TITLE);
                if let Some(line) = line.filter(|line| *line < self.grid.heads.len()) {
                    *at = line;
                    self.toggle_column();
                }
            }
            None if self.tab != Tab::Overview => {
                let cursor = &mut self.lists[self.tab as usize].cursor;
                let to = cursor.offset + row;
                if to == cursor.index && to < self.grid.rows.len() {
                    self.open();
                } else if to < self.grid.rows.len() {
                    cursor.go(to, &self.grid.rows);
                }
            }
            _ => {}
        }
    }
}
