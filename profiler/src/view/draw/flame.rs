//! Stacks as a flame graph that hangs from its root: each function as wide as it weighs.
//!
//! In: the tree, where one stands in it, and down to where it is enlarged. Out: at most
//! so many lines.

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};

use super::{
    parts::{Lines, fitted},
    text::paragraph,
    theme::{Look, SELECTED, STRONG, Tint},
};
use crate::{
    model::{
        flame::{By, Flame},
        names,
    },
    units::{self, count, time},
};

/// The page. `path` leads to the selected function by the numbers of children from the
/// root on; the function that its first `zoom` numbers lead to has the whole width.
pub(in crate::view) fn lines(
    root: &Flame,
    by: By,
    path: &[usize],
    zoom: usize,
    width: usize,
    height: usize,
    look: Look,
) -> Lines {
    if root.weight == 0 {
        let lines = paragraph(why_empty(by), width, look);
        return fitted(lines.into_iter().take(height).collect(), width, look);
    }
    let way = way(root, path);
    let below = match height {
        0 | 1 => 0,
        2 | 3 => 1,
        _ => 2,
    };
    let rows = height - below;
    let drawn = layout(path, &way, zoom.min(way.len() - 1), way.len() + rows, width);
    // The selected row is always among those that are shown, and the next one too.
    let selected = drawn.iter().position(|row| row.iter().any(|cell| cell.selected));
    let last = selected.map_or(0, |row| (row + usize::from(rows > 2)).min(drawn.len() - 1));
    let first = (last + 1).saturating_sub(rows);
    let mut lines: Lines =
        drawn.iter().skip(first).take(rows).map(|row| paint(row, by, width, look)).collect();
    lines.extend(about(by, &way, look).into_iter().take(below));
    fitted(lines, width, look)
}

fn why_empty(by: By) -> &'static str {
    match by {
        By::Wait => {
            "No wait for a lock ended in the time that is shown, so there is no stack to draw."
        }
        By::Blame => {
            "No wait is charged to a holder in the time that is shown. Who holds a lock is told in \
             Go only, and only while somebody waits for it."
        }
        By::Ops => {
            "No operation told its stack in the time that is shown: only some of very many do."
        }
    }
}

/// The root and the functions on the path, as far as it leads.
fn way<'a>(root: &'a Flame, path: &[usize]) -> Vec<&'a Flame> {
    let mut way = vec![root];
    let mut at = root;
    for &child in path {
        let Some(next) = at.children.get(child) else { break };
        way.push(next);
        at = next;
    }
    way
}

/// A function in its place, or several that are too narrow.
struct Cell<'a> {
    /// `None` for those that are too narrow.
    node: Option<&'a Flame>,
    /// Where it is, in columns.
    from: f64,
    to: f64,
    /// Whether it leads to the selected function, or is it.
    on_way: bool,
    selected: bool,
}

impl Cell<'_> {
    fn columns(&self) -> (usize, usize) {
        (self.from.round() as usize, self.to.round() as usize)
    }
}

/// So many rows from the root on; fewer where the tree is not that deep.
fn layout<'a>(
    path: &[usize],
    way: &[&'a Flame],
    zoom: usize,
    rows: usize,
    width: usize,
) -> Vec<Vec<Cell<'a>>> {
    let all = width as f64;
    let whole = |depth: usize| Cell {
        node: Some(way[depth]),
        from: 0.0,
        to: all,
        on_way: true,
        selected: depth + 1 == way.len(),
    };
    let mut drawn: Vec<Vec<Cell<'a>>> = Vec::new();
    for depth in 0..rows {
        let row = if depth <= zoom {
            vec![whole(depth)]
        } else {
            let chosen = path.get(depth - 1).filter(|_| depth < way.len());
            let above = &drawn[depth - 1];
            above.iter().flat_map(|cell| children(cell, chosen, depth + 1 == way.len())).collect()
        };
        if row.is_empty() {
            break;
        }
        drawn.push(row);
    }
    drawn
}

/// The functions below one: those of less than a column joined into one cell.
fn children<'a>(parent: &Cell<'a>, chosen: Option<&usize>, is_last: bool) -> Vec<Cell<'a>> {
    let Some(node) = parent.node else { return Vec::new() };
    let sum = node.children.iter().fold(0.0, |sum, child| sum + child.weight as f64);
    let scale = (parent.to - parent.from) / sum.max(node.weight as f64).max(1.0);
    let mut cells: Vec<Cell<'a>> = Vec::new();
    let mut at = parent.from;
    for (number, child) in node.children.iter().enumerate() {
        let (from, to) = (at, at + child.weight as f64 * scale);
        at = to;
        let on_way = parent.on_way && chosen == Some(&number);
        let narrow = to - from < 1.0;
        // What is too narrow stands for all that it calls.
        let selected = on_way && (is_last || narrow);
        match cells.last_mut() {
            Some(last) if narrow && last.node.is_none() => {
                last.to = to;
                last.on_way |= on_way;
                last.selected |= selected;
            }
            _ => cells.push(Cell { node: (!narrow).then_some(child), from, to, on_way, selected }),
        }
    }
    // What is selected must be seen, however narrow.
    if let Some(last) = cells.last_mut()
        && last.node.is_none()
        && last.selected
    {
        last.to = last.to.max(last.from.round() + 1.0).min(parent.to.round());
        last.from = last.from.min(last.to - 1.0).max(0.0);
    }
    cells
}

fn paint(row: &[Cell<'_>], by: By, width: usize, look: Look) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    let mut before = None;
    for (number, cell) in row.iter().enumerate() {
        let (from, to) = cell.columns();
        // The next one may need a column of this one to be seen.
        let next = row.get(number + 1).map_or(width, |next| next.columns().0);
        let (from, to) = (from.max(used), to.min(next).min(width));
        if from >= to {
            continue;
        }
        spans.push(Span::raw(" ".repeat(from - used)));
        let name = cell.node.map(|node| name(node, by, look));
        let color = color(name.as_deref(), before.filter(|_| from == used));
        before = Some(color);
        let text = boxed(name.as_deref(), to - from, look);
        spans.push(Span::styled(text, style(cell, by, color, look)));
        used = to;
    }
    Line::from(spans)
}

fn name(node: &Flame, by: By, look: Look) -> String {
    match &node.frame {
        Some(frame) => look.theirs(&names::short(&frame.function)).into_owned(),
        None => look.ours(&format!("all {by}: {}", weight(node.weight, by))).into_owned(),
    }
}

/// The same for the same name; another one than its neighbour's.
fn color(name: Option<&str>, before: Option<usize>) -> usize {
    // FNV-1a.
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let color = name.unwrap_or("…").bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let color = (color >> 32) as usize % 8;
    if before == Some(color) { (color + 1) % 8 } else { color }
}

/// A name in so many columns, told apart from its neighbours.
fn boxed(name: Option<&str>, columns: usize, look: Look) -> String {
    let Some(name) = name else {
        return padded(look.mark(columns), columns, look);
    };
    match columns {
        // Names do not touch.
        _ if look.has_color() => padded(&look.head(name, columns - 1), columns, look),
        1 => "|".to_owned(),
        _ => format!("[{}]", padded(name, columns - 2, look)),
    }
}

fn padded(text: &str, columns: usize, look: Look) -> String {
    let text = look.head(text, columns);
    let pad = " ".repeat(columns.saturating_sub(units::width(&text)));
    format!("{text}{pad}")
}

fn style(cell: &Cell<'_>, by: By, color: usize, look: Look) -> Style {
    let is_root = cell.node.is_some_and(|node| node.frame.is_none());
    let tint = match by {
        By::Wait => Tint::Wait,
        By::Blame => Tint::Blame,
        By::Ops => Tint::Ops,
    };
    let mut style = if is_root { STRONG } else { look.flame(tint, color) };
    if cell.on_way {
        style = style.add_modifier(Modifier::BOLD);
    }
    if cell.selected { style.patch(SELECTED) } else { style }
}

fn weight(n: u64, by: By) -> String {
    match by {
        By::Wait | By::Blame => time(n),
        By::Ops => format!("{} operations", count(n)),
    }
}

/// The selected function: where it is, and what it weighs.
fn about(by: By, way: &[&Flame], look: Look) -> Lines {
    let (root, node) = (way[0], way[way.len() - 1]);
    let place = node.frame.as_ref().map_or_else(
        || "All stacks".to_owned(),
        |frame| {
            let function = look.theirs(&names::short(&frame.function)).into_owned();
            let file = frame.file.as_ref().map(|file| match frame.line {
                Some(line) => format!("{}:{line}", look.theirs(file)),
                None => look.theirs(file).into_owned(),
            });
            let module = || frame.module.as_ref().map(|module| look.theirs(module).into_owned());
            let at = file.or_else(module).unwrap_or_else(|| "(file not known)".to_owned());
            format!("{function}  {at}")
        },
    );
    let share = |of: &Flame| units::share((node.weight as f64 / of.weight.max(1) as f64).min(1.0));
    let mut figures = vec![format!("{} {by}", weight(node.weight, by))];
    if let Some(parent) = way.len().checked_sub(2).map(|at| way[at]) {
        figures.push(format!("{} of all", share(root)));
        figures.push(format!("{} of its caller's", share(parent)));
    }
    figures.push(format!("{} own", weight(node.own, by)));
    figures.push(format!("{} called", count(node.children.len() as u64)));
    vec![Line::styled(place, STRONG), Line::from(look.ours(&figures.join(" · ")).into_owned())]
}
