//! Pages of text: help, notices, and why a table is empty.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::theme::{SELECTED, STRONG};
use crate::units;
use crate::view::{
    keys::{BINDINGS, Mode},
    state::App,
};

/// Every key there is.
pub(super) fn help(width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (mode, title) in Mode::ALL {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(paragraph(title, width).into_iter().map(|line| line.style(STRONG)));
        for binding in BINDINGS.iter().filter(|binding| binding.mode == mode) {
            lines.extend(key_and_help(&binding.names(), binding.help, width));
        }
    }
    lines
}

fn key_and_help(keys: &str, help: &str, width: usize) -> Vec<Line<'static>> {
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
pub(super) fn columns(app: &App, at: usize) -> Vec<Line<'static>> {
    let title = format!("Columns of {}", app.tab().title());
    let mut lines = vec![Line::styled(title, STRONG)];
    lines.extend(app.columns().enumerate().map(|(column, (head, on))| {
        let mark = if on { 'x' } else { ' ' };
        let style = if column == at { SELECTED } else { Style::new() };
        Line::styled(format!(" [{mark}] {:<16} {} ", head.title, head.field.to_lowercase()), style)
    }));
    lines
}

/// Notices and findings in full.
pub(super) fn notices(app: &App, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let notices = app.picture().map(|picture| picture.notices.as_slice()).unwrap_or_default();
    for notice in notices {
        lines.extend(paragraph(notice, width));
    }
    for finding in app.summary().into_iter().flat_map(|summary| &summary.findings) {
        lines.push(Line::default());
        let title = format!("{} {}: {}", finding.severity, finding.subject, finding.rule);
        lines.push(Line::styled(units::clean(&title).into_owned(), STRONG));
        lines.extend(paragraph(&finding.message, width));
        lines.extend(paragraph(&finding.advice, width));
    }
    if lines.is_empty() {
        lines.push(Line::from("Nothing to say."));
    }
    lines
}

/// Why there are no rows, and what else there is to say about that.
pub(super) fn why_empty(app: &App, width: usize) -> Vec<Line<'static>> {
    let why = paragraph(&app.why_empty(), width).into_iter();
    let mut lines: Vec<_> = why.map(|line| line.style(STRONG)).collect();
    for remark in app.remarks() {
        lines.push(Line::default());
        lines.extend(paragraph(&remark, width));
    }
    lines
}

/// As many remarks as there are rows, a row each.
pub(super) fn remarks(remarks: &[String], rows: usize, width: usize) -> Vec<Line<'static>> {
    let more = remarks.len().saturating_sub(rows);
    let line = |(row, remark): (usize, &String)| {
        let hint =
            if more > 0 && row + 1 == rows { format!(" (n: {more} more)") } else { String::new() };
        let room = width.saturating_sub(units::width(&hint) + 2);
        let text = units::clean(remark);
        Line::from(vec![
            Span::raw("! "),
            Span::raw(units::head(&text, room).into_owned()),
            Span::raw(hint),
        ])
    };
    remarks.iter().take(rows).enumerate().map(line).collect()
}

/// Text from elsewhere, wrapped.
pub(super) fn paragraph(text: &str, width: usize) -> Vec<Line<'static>> {
    text.lines().flat_map(|line| units::wrap(&units::clean(line), width)).map(Line::from).collect()
}
