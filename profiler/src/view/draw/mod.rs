//! Paints the state. In: the [`App`] and a [`Look`]. Out: a frame of any size,
//! down to nothing.

pub(in crate::view) mod detail;
pub(in crate::view) mod flame;
pub(in crate::view) mod graph;
pub(in crate::view) mod header;
mod histogram;
mod over_time;
pub(in crate::view) mod overview;
mod parts;
mod table;
mod text;
mod theme;

#[cfg(test)]
mod tests;

use ratatui::{Frame, layout::Rect, text::Line};

use super::{
    grid::RowId,
    keys::BINDINGS,
    state::{App, Page, Places, Tab},
    step_at,
};
use crate::units;
use parts::{Lines, Part};
use theme::STRONG;
pub use theme::{Look, ThemeChoice};

/// Paints everything, and tells the app how much of it was visible.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look) {
    let width = usize::from(frame.area().width);
    let lost = header::lost(app).map(|lost| header::loud(&lost, width, look));
    let remarks = remarks(app);
    let slots = Slots::new(
        frame.area(),
        &Wanted {
            lost: lost.iter().len(),
            remarks: remarks.len(),
            rows: app.grid().unfiltered,
            panel: app.page().is_none() && app.selected().is_some(),
        },
    );
    let tabs = header::tabs(app, width, look);
    let below_heads = if app.page().is_none() { table::heads_in(slots.body) } else { 0 };
    app.place(Places {
        tabs_y: slots.tabs.y,
        tabs: if slots.tabs.is_empty() { Vec::new() } else { header::tab_places(&tabs) },
        rows_y: slots.body.y + below_heads,
        rows: slots.body.height - below_heads,
    });
    let panel = panel(app, width, usize::from(slots.panel.height), look);
    put(frame, slots.title, &[header::title(app, width, look)]);
    put(frame, slots.figures, &[header::figures(app, width, look)]);
    put(frame, slots.lost, lost.as_slice());
    put(frame, slots.tabs, &[tabs]);
    body(frame, slots.body, app, look);
    put(frame, slots.panel, &panel);
    put(
        frame,
        slots.remarks,
        &text::remarks(&remarks, usize::from(slots.remarks.height), width, look),
    );
    put(frame, slots.footer, &[footer(app, width, look)]);
    if look.is_ascii() {
        make_ascii(frame);
    }
}

/// What is to be said below the table; an empty one and the notices' page say it
/// themselves.
fn remarks(app: &App) -> Vec<String> {
    match app.page() {
        Some(Page::Notices) => Vec::new(),
        // The overview has the findings.
        None if app.tab() == Tab::Overview => app.notices().to_vec(),
        None if app.grid().rows.is_empty() => Vec::new(),
        _ => app.remarks(),
    }
}

/// The detail of the selected row, for the room that the table does not need; the past
/// around a step.
fn panel(app: &App, width: usize, height: usize, look: Look) -> Lines {
    let Some(row) = app.selected().filter(|_| height > 0) else { return Vec::new() };
    let mut lines = vec![header::rule(width, look)];
    lines.extend(match row {
        RowId::Step(start) => {
            let step = step_at(app.steps(), *start);
            graph::lines(app.steps(), step, width, height - 1, look)
        }
        row => detail::lines(app, row, width, look),
    });
    lines
}

/// A flame graph below its title.
fn flame_page(app: &App, width: usize, height: usize, look: Look) -> Lines {
    let Some((walk, flame)) = app.flame() else { return Vec::new() };
    let title = app.flame_title().unwrap_or_default();
    let title = look.head(&look.theirs(&title), width).into_owned();
    // Where there is room for little, that is for where one is.
    let titled = usize::from(height > 3);
    let mut lines = vec![Line::styled(title, STRONG)];
    lines.truncate(titled);
    let height = height - titled;
    lines.extend(flame::lines(flame, walk.by, &walk.path, walk.zoom, width, height, look));
    lines
}

fn body(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: Look) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let page = app.page().cloned();
    let lines = match page {
        Some(Page::Help) => text::help(app, width, look),
        Some(Page::Notices) => text::notices(app, width, look),
        Some(Page::Detail(row)) => detail::lines(app, &row, width, look),
        Some(Page::Columns(at)) => text::columns(app, at),
        Some(Page::Flame(_)) => flame_page(app, width, height, look),
        None => match (app.tab(), app.summary()) {
            (Tab::Overview, Some(summary)) => {
                overview::lines(summary, app.steps(), width, height, look)
            }
            _ if app.grid().rows.is_empty() => text::why_empty(app, width, look),
            _ => {
                app.fit_table(table::visible_rows(area));
                return table::draw(frame, area, app, look);
            }
        },
    };
    app.fit_page(height, lines.len());
    put(frame, area, lines.get(app.scroll()..).unwrap_or_default());
}

/// The bottom line: what came of the last key; the filter while it is typed, and what is
/// wrong with it; else the keys.
fn footer(app: &App, width: usize, look: Look) -> Line<'static> {
    if let Some(message) = app.message() {
        let message = look.ours(message);
        return Line::styled(look.head(&message, width).into_owned(), STRONG);
    }
    let mut parts = Vec::new();
    if app.editing() {
        let filter = format!("/{}▏", units::clean(app.filter()));
        let complaint = app.complaint().map(|complaint| look.ours(complaint));
        // The end of a long filter is where one types.
        let room = width.saturating_sub(2);
        let room = if complaint.is_some() { room.min(width / 2) } else { room };
        let filter = units::tail(&filter, room).into_owned();
        let left = width.saturating_sub(units::width(&filter) + 2);
        parts.push(Part::new(0, filter).styled(STRONG));
        if let Some(complaint) = complaint {
            parts.push(Part::new(0, look.head(&complaint, left)).styled(look.warning()));
        }
    }
    let bindings = BINDINGS.iter().filter(|binding| binding.mode == app.mode());
    parts.extend(bindings.enumerate().filter_map(|(rank, binding)| {
        let label = binding.footer?;
        Some(Part::new(rank + 1, format!("{} {label}", binding.name())))
    }));
    parts::line(parts, "  ", width, look)
}

/// Whatever was not written in ASCII, in as many columns.
fn make_ascii(frame: &mut Frame<'_>) {
    for cell in &mut frame.buffer_mut().content {
        if !cell.symbol().is_ascii() {
            let ascii = theme::ascii_cell(cell.symbol());
            cell.set_symbol(ascii);
        }
    }
}

/// Paints as many of the lines as the area has.
fn put(frame: &mut Frame<'_>, area: Rect, lines: &[Line<'_>]) {
    let area = area.intersection(frame.area());
    for (y, line) in (area.top()..area.bottom()).zip(lines) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
}

/// Where everything stands.
#[derive(Debug, Default)]
struct Slots {
    title: Rect,
    figures: Rect,
    lost: Rect,
    tabs: Rect,
    body: Rect,
    panel: Rect,
    remarks: Rect,
    footer: Rect,
}

/// Rows that the slots could use.
struct Wanted {
    lost: usize,
    remarks: usize,
    /// Of the table.
    rows: usize,
    panel: bool,
}

impl Slots {
    /// Shares out the rows: what matters most gets them first.
    fn new(area: Rect, wanted: &Wanted) -> Self {
        const BODY_AT_LEAST: u16 = 4;
        const PANEL_AT_LEAST: u16 = 5;
        let rows = |n: usize| n.min(usize::from(u16::MAX)) as u16;
        let mut left = area.height;
        let mut take = |wanted: u16| {
            let before = left;
            left = left.saturating_sub(wanted);
            before - left
        };
        let lost = take(rows(wanted.lost));
        let mut body = take(1);
        let title = take(1);
        body += take(BODY_AT_LEAST - 1);
        let tabs = take(1);
        let footer = take(1);
        let figures = take(1);
        let remarks = take(rows(wanted.remarks).min(3).min(area.height / 8));
        // A long table leaves the panel two fifths. The panel's own length does not
        // count: nothing should jump when another row is selected.
        let table = rows(wanted.rows).saturating_add(2).saturating_sub(body);
        let two_fifths = (area.height * 2 / 5).min(left.saturating_sub(6));
        let spare = left.saturating_sub(table).max(two_fifths);
        let panel = if wanted.panel && spare >= PANEL_AT_LEAST { spare } else { 0 };
        body += left - panel;

        let mut y = area.y;
        let mut place = |height: u16| {
            let slot = Rect { y, height, ..area };
            y += height;
            slot
        };
        Self {
            title: place(title),
            figures: place(figures),
            lost: place(lost),
            tabs: place(tabs),
            body: place(body),
            panel: place(panel),
            remarks: place(remarks),
            footer: place(footer),
        }
    }
}
