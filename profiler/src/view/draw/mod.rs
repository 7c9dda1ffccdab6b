//! Paints the state. In: the [`App`] and a [`Look`]. Out: a frame of any size,
//! down to nothing.

#[allow(dead_code, reason = "opened by the pages")]
pub(in crate::view) mod detail;
#[allow(dead_code, reason = "opened by the pages")]
pub(in crate::view) mod flame;
#[allow(dead_code, reason = "opened by the pages")]
pub(in crate::view) mod graph;
#[allow(dead_code, reason = "opened by the pages")]
pub(in crate::view) mod header;
mod histogram;
mod over_time;
#[allow(dead_code, reason = "opened by the pages")]
pub(in crate::view) mod overview;
mod parts;
mod table;
mod text;
mod theme;

#[cfg(test)]
mod frame_times;
#[cfg(test)]
mod tests;

use ratatui::{Frame, layout::Rect, text::Line};

use super::{
    keys::{BINDINGS, Mode},
    state::{App, Page},
};
use parts::Part;
use theme::STRONG;
pub use theme::{Look, ThemeChoice};

/// Paints everything, and tells the app how much of it was visible.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look) {
    let width = usize::from(frame.area().width);
    let lost = header::lost(app).map(|lost| header::loud(&lost, width, look));
    let remarks = remarks(app);
    let panel = panel(app, width, look);
    let slots = Slots::new(
        frame.area(),
        &Wanted {
            lost: lost.iter().len(),
            remarks: remarks.len(),
            rows: app.grid().unfiltered,
            panel: !panel.is_empty(),
        },
    );
    put(frame, slots.title, &[header::title(app, width, look)]);
    put(frame, slots.figures, &[header::figures(app, width, look)]);
    put(frame, slots.lost, lost.as_slice());
    put(frame, slots.tabs, &[header::tabs(app, width, look)]);
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
        None if app.grid().rows.is_empty() => Vec::new(),
        _ => app.remarks(),
    }
}

/// The detail of the selected row, for the room that the table does not need.
fn panel(app: &App, width: usize, look: Look) -> Vec<Line<'static>> {
    let Some(row) = app.selected().filter(|_| app.page().is_none()) else {
        return Vec::new();
    };
    let mut lines = vec![header::rule(width, look)];
    lines.extend(detail::lines(app, row, width, look));
    lines
}

fn body(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: Look) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let page = app.page().cloned();
    let lines = match page {
        Some(Page::Help) => text::help(app, width, look),
        Some(Page::Notices) => text::notices(app, width, look),
        Some(Page::Detail(row)) => detail::lines(app, &row, width, look),
        None if app.grid().rows.is_empty() => text::why_empty(app, width, look),
        None => {
            app.fit_table(table::visible_rows(area));
            return table::draw(frame, area, app, look);
        }
    };
    app.fit_page(height, lines.len());
    put(frame, area, lines.get(app.scroll()..).unwrap_or_default());
}

/// The bottom line: the filter while it is typed, else the keys.
fn footer(app: &App, width: usize, look: Look) -> Line<'static> {
    let mode = if app.editing() { Mode::Filter } else { Mode::Command };
    let mut parts = Vec::new();
    if app.editing() {
        // The end of a long filter is where one types.
        let filter = format!("/{}▏", crate::units::clean(app.filter()));
        let room = width.saturating_sub(2);
        parts.push(Part::new(0, crate::units::tail(&filter, room).into_owned()).styled(STRONG));
    }
    let bindings = BINDINGS.iter().filter(|binding| binding.mode == mode);
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
