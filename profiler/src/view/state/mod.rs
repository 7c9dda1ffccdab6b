//! What is shown and where one stands in it. In: pictures and actions. Out: the
//! rows, the cursor and the texts that `draw` paints, and what is asked of the world
//! outside. No terminal, no I/O.

mod flame;
mod lists;
mod mouse;
mod page;
mod past;

pub use lists::Tab;
pub use past::Span;

pub(super) use mouse::Places;
pub(super) use page::Page;

use super::{Action, Picture, grid::Grid};
use crate::model::flame::Flame;
use flame::Way;
use lists::{Cursor, List};

/// What is to be done outside of the view's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Show what has changed.
    Continue,
    /// Leave the view.
    Quit,
    /// Save the summary that is shown, and tell where.
    Save,
    /// Put this into the terminal's clipboard.
    Copy(String),
    /// Take the mouse from the terminal, or give it back.
    Mouse(bool),
}

/// Lines above the columns to choose from.
pub(super) const COLUMNS_TITLE: usize = 1;
/// Rows that a notch of the wheel is.
const NOTCH: usize = 3;

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
    /// Beginning of the step that is wanted, ns since the epoch.
    step: Option<u64>,
    tab: Tab,
    lists: [List; lists::TABS],
    /// Id of the map whose keys are shown; all maps' otherwise.
    scope: Option<String>,
    page: Option<Page>,
    /// Of the page that is one.
    flame: Option<Flame>,
    /// First line of the page that is shown.
    scroll: usize,
    editing: bool,
    grid: Grid,
    /// Rows or lines that the body had when last drawn.
    height: usize,
    /// What came of the last key, until the next.
    message: Option<String>,
    mouse: bool,
    places: Places,
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
            step: None,
            tab: Tab::Overview,
            lists: Tab::ALL.map(List::of),
            scope: None,
            page: None,
            flame: None,
            scroll: 0,
            editing: false,
            grid: Grid::default(),
            height: 1,
            message: None,
            mouse: false,
            places: Places::default(),
        }
    }

    /// No more pictures will come; whether that is new.
    pub(super) fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closed, true)
    }

    /// Does what a key asks for.
    pub fn on_action(&mut self, action: Action) -> Flow {
        self.message = None;
        match action {
            Action::Quit => return Flow::Quit,
            Action::Save => return self.save(),
            Action::Copy => return self.copy(),
            Action::Mouse => return self.take_mouse(!self.mouse),
            Action::Up => self.go(|at, _| at.saturating_sub(1)),
            Action::Down => self.go(|at, _| at.saturating_add(1)),
            Action::PageUp => self.go(usize::saturating_sub),
            Action::PageDown => self.go(usize::saturating_add),
            Action::WheelUp => self.go(|at, _| at.saturating_sub(NOTCH)),
            Action::WheelDown => self.go(|at, _| at.saturating_add(NOTCH)),
            Action::Bottom => self.go(|_, _| usize::MAX),
            Action::Top => self.top(),
            Action::Click(x, y) => self.click(x, y),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::NextTab => self.show(self.tab.step(1)),
            Action::PreviousTab => self.show(self.tab.step(lists::TABS - 1)),
            Action::Show(tab) => self.show(tab),
            Action::Sort => self.sort_by_neighbour(true),
            Action::SortBack => self.sort_by_neighbour(false),
            Action::Invert => {
                self.list_mut().by.inverted ^= true;
                self.rebuild();
            }
            Action::Columns => self.choose_columns(),
            Action::Toggle => self.toggle_column(),
            Action::Span => self.next_span(),
            Action::Earlier => self.step_by(true),
            Action::Later => self.step_by(false),
            Action::Oldest => self.oldest(),
            Action::Newest => self.newest(),
            Action::Pause => self.pause(),
            Action::Help => self.toggle(Page::Help),
            Action::Notices => self.toggle(Page::Notices),
            Action::Flame => self.open_flame(),
            Action::NextBy => self.next_by(),
            Action::Outwards => self.walk(Way::Out),
            Action::Inwards => self.walk(Way::In),
            Action::Left => self.walk(Way::Left),
            Action::Right => self.walk(Way::Right),
            Action::ZoomIn => self.zoom_in(),
            Action::ZoomOut => self.zoom_out(),
            Action::Filter => self.begin_filter(),
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
        match &mut self.page {
            Some(Page::Columns(at)) => {
                let most = self.grid.heads.len().saturating_sub(1);
                *at = to(*at, height).min(most);
            }
            None if self.tab != Tab::Overview => {
                let cursor = &mut self.lists[self.tab as usize].cursor;
                cursor.go(to(cursor.index, height), &self.grid.rows);
            }
            _ => self.scroll = to(self.scroll, height),
        }
    }

    fn top(&mut self) {
        match &mut self.page {
            Some(Page::Columns(at)) => *at = 0,
            None if self.tab != Tab::Overview => self.list_mut().cursor = Cursor::default(),
            _ => self.scroll = 0,
        }
    }

    fn begin_filter(&mut self) {
        if self.tab == Tab::Overview {
            return self.tell("The overview has no rows to filter.");
        }
        self.page = None;
        self.flame = None;
        self.editing = true;
    }

    fn edit(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.list_mut().by.filter);
        self.rebuild();
    }

    fn save(&mut self) -> Flow {
        if self.shown.is_some() {
            return Flow::Save;
        }
        self.tell("There is nothing to save yet.");
        Flow::Continue
    }

    fn copy(&mut self) -> Flow {
        let row = self.grid.rows.get(self.list().cursor.index);
        let row = || row.map(|row| self.grid.tab_separated(row));
        if let Some(text) = self.flame_row().or_else(row) {
            return Flow::Copy(text);
        }
        self.tell("There is no row to copy here.");
        Flow::Continue
    }

    /// Says what came of the last key.
    pub(super) fn tell(&mut self, message: impl Into<String>) {
        self.message = Some(message.into());
    }

    /// What came of the last key.
    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The table that is shown.
    pub(super) fn tab(&self) -> Tab {
        self.tab
    }

    /// Whether a filter is being typed.
    pub(super) fn editing(&self) -> bool {
        self.editing
    }

    /// Keys that were tracked, of which the table has the first few of each map.
    pub(super) fn keys_tracked(&self) -> u64 {
        let maps = self.summary().into_iter().flat_map(|summary| &summary.maps);
        let maps = maps.filter(|map| self.scope().is_none_or(|id| map.id == id));
        maps.fold(0, |sum, map| sum.saturating_add(map.keys_tracked))
    }

    /// What is to be said about the run.
    pub(super) fn notices(&self) -> &[String] {
        self.shown.as_ref().map_or(&[], |picture| &picture.notices)
    }

    /// What is to be said beside the tables: notices, then findings.
    pub(super) fn remarks(&self) -> Vec<String> {
        let notices = self.notices().iter().cloned();
        let findings = self.summary().into_iter().flat_map(|summary| &summary.findings);
        let findings = findings.map(|f| format!("{}: {}", f.severity, f.message));
        notices.chain(findings).collect()
    }

    /// Why there are no rows.
    pub(super) fn why_empty(&self) -> String {
        let what = self.tab.rows();
        if self.shown.is_none() {
            return if self.closed {
                "Measuring ended before the first interval was complete.".to_owned()
            } else {
                "Waiting for the first interval.".to_owned()
            };
        }
        if self.grid.unfiltered > 0 {
            let wrong = self.complaint().map(|complaint| format!(" As a condition: {complaint}."));
            return format!(
                "None of {} {what} matches \"{}\".{}",
                self.grid.unfiltered,
                self.filter(),
                wrong.unwrap_or_default()
            );
        }
        let whose = match (self.tab, self.scope()) {
            (Tab::Keys, Some(map)) => format!(" of {map}"),
            _ => String::new(),
        };
        match self.span {
            Span::Total => format!("No {what}{whose} seen since the start."),
            Span::Last => format!("No {what}{whose} seen in the last interval."),
            Span::Step => format!("No {what}{whose} among what was kept of this interval."),
        }
    }
}
