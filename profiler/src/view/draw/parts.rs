//! Lines made of parts of which the less important give way where room is short.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::theme::{Look, begin};
use crate::units;

/// Lines of a page.
pub(super) type Lines = Vec<Line<'static>>;

/// A piece of a line.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The lower, the longer it stays.
    rank: usize,
    long: String,
    short: Option<String>,
    style: Style,
}

impl Part {
    /// Plain text.
    pub(super) fn new(rank: usize, text: impl Into<String>) -> Self {
        Self { rank, long: text.into(), short: None, style: Style::new() }
    }

    /// With other words for narrow terminals.
    pub(super) fn or(mut self, short: impl Into<String>) -> Self {
        self.short = Some(short.into());
        self
    }

    /// In this style.
    pub(super) fn styled(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    fn shorten(&mut self) {
        if let Some(short) = self.short.take() {
            self.long = short;
        }
    }
}

/// The parts in their order, as many and as long as fit: extras that rank below
/// all that could be shortened go first, then the rest is shortened, then dropped.
pub(super) fn line(mut parts: Vec<Part>, between: &str, width: usize, look: Look) -> Line<'static> {
    for part in &mut parts {
        part.long = look.ours(&part.long).into_owned();
        part.short = part.short.take().map(|short| look.ours(&short).into_owned());
    }
    let shortable = parts.iter().filter(|part| part.short.is_some());
    let matters = shortable.map(|part| part.rank).max();
    while !fits(&parts, between, width) {
        let lowest = |with: fn(&Part) -> bool| {
            let those = (0..parts.len()).filter(|&at| with(&parts[at]));
            those.max_by_key(|&at| parts[at].rank)
        };
        let Some(least) = lowest(|_| true) else { break };
        match lowest(|part| part.short.is_some()) {
            Some(next) if matters >= Some(parts[least].rank) => parts[next].shorten(),
            _ if parts.len() > 1 => drop(parts.remove(least)),
            _ => break,
        }
    }
    let mut spans = Vec::new();
    for part in parts {
        if !spans.is_empty() {
            spans.push(Span::raw(between.to_owned()));
        }
        spans.push(Span::styled(look.head(&part.long, width).into_owned(), part.style));
    }
    Line::from(spans)
}

/// No line longer than the width.
pub(super) fn fitted(lines: Lines, width: usize, look: Look) -> Lines {
    lines.into_iter().map(|line| fitted_line(line, width, look)).collect()
}

/// The line, no longer than the width.
pub(super) fn fitted_line(line: Line<'static>, width: usize, look: Look) -> Line<'static> {
    if line.width() <= width {
        return line;
    }
    let style = line.style;
    let mark = look.mark(width);
    let mut left = width - units::width(mark);
    let mut spans = Vec::new();
    for span in line.spans {
        let wide = span.width();
        if wide > left {
            spans.push(Span::styled(begin(&span.content, left) + mark, span.style));
            break;
        }
        left -= wide;
        spans.push(span);
    }
    Line { spans, style, ..Line::default() }
}

fn fits(parts: &[Part], between: &str, width: usize) -> bool {
    let texts: usize = parts.iter().map(|part| units::width(&part.long)).sum();
    texts + units::width(between) * parts.len().saturating_sub(1) <= width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_shorten_before_they_go() {
        let parts = || {
            vec![
                Part::new(1, "since start").or("start"),
                Part::new(0, "PAUSED"),
                Part::new(2, "12 events/s").or("12/s"),
            ]
        };
        let text = |width| line(parts(), " ", width, Look::default()).to_string();
        assert_eq!(text(30), "since start PAUSED 12 events/s");
        assert_eq!(text(29), "since start PAUSED 12/s");
        assert_eq!(text(22), "start PAUSED 12/s");
        assert_eq!(text(16), "start PAUSED");
        assert_eq!(text(8), "PAUSED");
        assert_eq!(text(4), "PAU…");
        assert_eq!(text(0), "");
        let mut extra = parts();
        extra.push(Part::new(3, "▁▂▃"));
        assert_eq!(
            line(extra, " ", 31, Look::default()).to_string(),
            "since start PAUSED 12 events/s"
        );
        assert_eq!(line(Vec::new(), " ", 0, Look::default()).to_string(), "");
    }

    #[test]
    fn long_lines_are_cut_where_they_end() {
        let line = || vec![Line::from(vec![Span::raw("one"), Span::styled(" two", Style::new())])];
        let cut = |width| fitted(line(), width, Look::default())[0].to_string();
        assert_eq!([0, 2, 3, 4, 7].map(cut), ["", "o…", "on…", "one…", "one two"]);
    }
}
