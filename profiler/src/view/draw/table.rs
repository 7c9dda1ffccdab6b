//! The table: heads, and the rows around the cursor.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Rect},
    text::Line,
    widgets::{Row, Table, TableState},
};

use super::theme::{Look, SELECTED, STRONG};
use crate::view::{
    grid::{Cell, Grid, Head},
    state::App,
};

/// Rows that an area has room for below the heads.
pub(super) fn visible_rows(area: Rect) -> usize {
    usize::from(area.height - heads_in(area))
}

/// A single line is better spent on a row.
pub(super) fn heads_in(area: Rect) -> u16 {
    u16::from(area.height >= 2)
}

/// Paints the rows from the cursor's offset on.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    let grid = app.grid();
    let columns = grid.fit(area.width);
    let (selected, first) = app.cursor();

    let rows = grid.rows.iter().skip(first).take(visible_rows(area));
    let rows = rows.map(|row| {
        Row::new(columns.iter().map(|&(column, width)| {
            let cell = &row.cells[column];
            let text = cell.show();
            let text = match cell {
                Cell::Text(_) => look.theirs(&text),
                _ => look.ours(&text),
            };
            aligned(&look.head(&text, usize::from(width)), grid.heads[column])
        }))
    });
    let widths = columns.iter().map(|&(_, width)| Constraint::Length(width));
    let mut table = Table::new(rows, widths).column_spacing(1).row_highlight_style(SELECTED);
    if heads_in(area) > 0 {
        table = table.header(heads(grid, &columns, app.sorted(), look));
    }
    let mut state = TableState::new().with_selected(selected.checked_sub(first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn heads(grid: &Grid, columns: &[(usize, u16)], sorted: (&str, bool), look: Look) -> Row<'static> {
    let titles = columns.iter().map(|&(column, width)| {
        let head = grid.heads[column];
        let text = if head.title == sorted.0 {
            // Texts run from A to Z and figures from most to least, unless inverted.
            let down = head.text == sorted.1;
            format!("{}{}", head.title, if down { '▼' } else { '▲' })
        } else {
            head.title.to_owned()
        };
        aligned(&look.head(&look.ours(&text), usize::from(width)), head)
    });
    Row::new(titles).style(STRONG)
}

fn aligned(text: &str, head: Head) -> Line<'static> {
    let alignment = if head.text { Alignment::Left } else { Alignment::Right };
    Line::from(text.to_owned()).alignment(alignment)
}
