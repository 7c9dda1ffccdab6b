//! Pages of text: help, notices, and why a table is empty.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{
    parts::Lines,
    theme::{Look, SELECTED, STRONG},
};
use crate::model::summary::Summary;
use crate::units;
use crate::view::{
    keys::{BINDINGS, Mode},
    state::App,
};

/// Every key there is.
pub(super) fn help(app: &App, width: usize, look: Look) -> Lines {
    let mut lines = Vec::new();
    for (mode, title) in Mode::ALL {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(paragraph(title, width, look).into_iter().map(|line| line.style(STRONG)));
        for binding in BINDINGS.iter().filter(|binding| binding.mode == mode) {
            lines.extend(key_and_help(&look.ours(&binding.names()), binding.help, width));
        }
    }
    if let Some(summary) = app.summary() {
        lines.extend(not_included(summary, width, look));
    }
    lines
}

fn key_and_help(keys: &str, help: &str, width: usize) -> Lines {
    const KEYS: usize = 17;
    let pad = KEYS.saturating_sub(units::width(keys));
    let mut first = Some(format!("  {keys}{}", " ".repeat(pad)));
    let indent = KEYS + 2;
    units::wrap(help, width.saturating_sub(indent))
        .into_iter()
        .map(|text| Line::from(first.take().unwrap_or_else(|| " ".repeat(indent)) + &text))
        .collect()
}

/// The columns to choose from, the one that one is at reversed.
pub(super) fn columns(app: &App, at: usize) -> Lines {
    let title = format!("Columns of {}", app.tab().title());
    let mut lines = vec![Line::styled(title, STRONG)];
    lines.extend(app.columns().enumerate().map(|(column, (head, on))| {
        let mark = if on { 'x' } else { ' ' };
        let style = if column == at { SELECTED } else { Style::new() };
        Line::styled(format!(" [{mark}] {:<16} {} ", head.title, head.field.to_lowercase()), style)
    }));
    lines
}

/// What the figures leave out, where they leave out anything.
fn not_included(summary: &Summary, width: usize, look: Look) -> Lines {
    let left_out = &summary.window.not_included;
    if left_out.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::default(), Line::styled("Not in the figures", STRONG)];
    for what in left_out {
        lines.extend(paragraph(what, width.saturating_sub(2), look).into_iter().map(indented));
    }
    lines
}

fn indented(mut line: Line<'static>) -> Line<'static> {
    line.spans.insert(0, Span::raw("  "));
    line
}

/// Notices and findings in full.
pub(super) fn notices(app: &App, width: usize, look: Look) -> Lines {
    let mut lines = Vec::new();
    let notices = app.picture().map(|picture| picture.notices.as_slice()).unwrap_or_default();
    for notice in notices {
        lines.extend(paragraph(notice, width, look));
    }
    for finding in app.summary().into_iter().flat_map(|summary| &summary.findings) {
        lines.push(Line::default());
        let title = format!("{} {}: {}", finding.severity, finding.subject, finding.rule);
        let style = look.severity(&finding.severity);
        lines.push(Line::styled(look.ours(&title).into_owned(), style));
        lines.extend(paragraph(&finding.message, width, look));
        lines.extend(paragraph(&finding.advice, width, look));
    }
    if lines.is_empty() {
        lines.push(Line::from("Nothing to say."));
    }
    if let Some(summary) = app.summary() {
        lines.extend(not_included(summary, width, look));
    }
    lines
}

/// Why there are no rows, and what else there is to say about that.
pub(super) fn why_empty(app: &App, width: usize, look: Look) -> Lines {
    let why = paragraph(&app.why_empty(), width, look).into_iter();
    let mut lines: Vec<_> = why.map(|line| line.style(STRONG)).collect();
    for remark in app.remarks() {
        lines.push(Line::default());
        lines.extend(paragraph(&remark, width, look));
    }
    lines
}

/// As many remarks as there are rows, a row each.
pub(super) fn remarks(remarks: &[String], rows: usize, width: usize, look: Look) -> Lines {
    let more = remarks.len().saturating_sub(rows);
    let line = |(row, remark): (usize, &String)| {
        let hint =
            if more > 0 && row + 1 == rows { format!(" (n: {more} more)") } else { String::new() };
        let room = width.saturating_sub(units::width(&hint) + 2);
        let text = look.ours(remark);
        Line::from(vec![
            Span::raw("! "),
            Span::raw(look.head(&text, room).into_owned()),
            Span::raw(hint),
        ])
    };
    remarks.iter().take(rows).enumerate().map(line).collect()
}

/// Text from elsewhere, wrapped.
pub(super) fn paragraph(text: &str, width: usize, look: Look) -> Lines {
    text.lines().flat_map(|line| units::wrap(&look.ours(line), width)).map(Line::from).collect()
}
