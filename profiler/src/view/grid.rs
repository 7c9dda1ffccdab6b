//! A table's contents, without a terminal: cells that know how they sort and
//! read, rows with an identity, columns with a width and a rank.

use std::cmp::Ordering;

use crate::expr::{Expr, Figure};
use crate::units;

/// What a row is about; survives reordering and the next picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowId {
    /// A map, by id.
    Map(String),
    /// A key, by its map's id and its text.
    Key(String, String),
    /// A lock, by id.
    Lock(String),
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// Text, cleaned.
    Text(String),
    /// A number of things.
    Count(u64),
    /// How many more things there may be.
    Margin(u64),
    /// Things per second.
    Rate(f64),
    /// Nanoseconds.
    Time(u64),
    /// 0 to 1.
    Share(f64),
    /// Not known.
    Absent,
}

impl Cell {
    /// Text from elsewhere.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(units::clean(text).into_owned())
    }

    /// Text that may be absent.
    pub(super) fn maybe(text: Option<&str>) -> Self {
        text.map_or(Self::Absent, Self::text)
    }

    /// `n` over the duration.
    pub(super) fn rate(n: u64, duration_ns: u64) -> Self {
        units::per_second(n, duration_ns).map_or(Self::Absent, Self::Rate)
    }

    /// Nanoseconds per second, over the duration.
    pub(super) fn time_rate(ns: u64, duration_ns: u64) -> Self {
        units::per_second(ns, duration_ns).map_or(Self::Absent, |r| Self::Time(r as u64))
    }

    /// As it is shown.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(n) => units::count(*n),
            Self::Margin(0) | Self::Absent => String::new(),
            Self::Margin(n) => format!("+{}", units::count(*n)),
            Self::Rate(r) => units::rate(*r),
            Self::Time(ns) => units::time(*ns),
            Self::Share(of_one) => units::share(*of_one),
        }
    }

    /// Most first for figures, A to Z for text; what is absent comes last even
    /// when inverted.
    fn order(&self, other: &Self, inverted: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Absent, Self::Absent) => return Ordering::Equal,
            (Self::Absent, _) => return Ordering::Greater,
            (_, Self::Absent) => return Ordering::Less,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Count(a), Self::Count(b))
            | (Self::Margin(a), Self::Margin(b))
            | (Self::Time(a), Self::Time(b)) => b.cmp(a),
            (Self::Rate(a), Self::Rate(b)) | (Self::Share(a), Self::Share(b)) => b.total_cmp(a),
            _ => Ordering::Equal,
        };
        if inverted { order.reverse() } else { order }
    }
}

/// A column's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Title, unique in its table.
    pub(super) title: &'static str,
    /// Columns of the terminal it needs.
    pub(super) width: u16,
    /// The lower, the longer it stays when the terminal gets narrow.
    pub(super) rank: u8,
    /// Text stands left, takes room that is left over, and is what the filter
    /// looks at; figures stand right and keep their width.
    pub(super) text: bool,
}

impl Head {
    /// A column of text.
    pub(super) const fn text(title: &'static str, rank: u8, width: u16) -> Self {
        Self { title, width, rank, text: true }
    }

    /// A column of figures.
    pub(super) const fn figure(title: &'static str, rank: u8) -> Self {
        // Every figure fits six columns; a title needs one more for the sort mark.
        let title_width = title.len() as u16 + 1;
        let width = if title_width > 6 { title_width } else { 6 };
        Self { title, width, rank, text: false }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// What it is about.
    pub(super) id: RowId,
    /// A cell per head.
    pub(super) cells: Vec<Cell>,
}

impl Row {
    /// What stands in the column of this title, for conditions.
    fn figure(&self, heads: &[Head], title: &str) -> Option<Figure> {
        let column = heads.iter().position(|head| head.title.to_lowercase() == title)?;
        Some(match self.cells.get(column)? {
            Cell::Text(text) => Figure::Text(text.clone()),
            Cell::Count(n) | Cell::Margin(n) | Cell::Time(n) => Figure::Number(*n as f64),
            Cell::Rate(figure) | Cell::Share(figure) => Figure::Number(*figure),
            Cell::Absent => return None,
        })
    }
}

/// A column: its head and what stands in it for an item.
pub(super) type Column<'a, I> = (Head, &'a dyn Fn(&I) -> Cell);

/// A table's contents.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Grid {
    /// Columns.
    pub(super) heads: Vec<Head>,
    /// Rows that are shown, in order.
    pub(super) rows: Vec<Row>,
    /// Rows there were before the filter.
    pub(super) unfiltered: usize,
    /// Widest text per column, for columns of text.
    wanted: Vec<u16>,
}

impl Grid {
    /// A row for each item.
    pub(super) fn new<I>(items: &[I], id: impl Fn(&I) -> RowId, columns: &[Column<'_, I>]) -> Self {
        let rows: Vec<Row> = items
            .iter()
            .map(|item| Row {
                id: id(item),
                cells: columns.iter().map(|(_, cell)| cell(item)).collect(),
            })
            .collect();
        Self {
            heads: columns.iter().map(|(head, _)| *head).collect(),
            unfiltered: rows.len(),
            rows,
            wanted: Vec::new(),
        }
    }

    /// Keeps the rows with `filter` in one of their texts, or for which it holds where it
    /// is a condition on columns, in order of the column titled `sort`.
    pub(super) fn arrange(mut self, filter: &str, sort: &str, inverted: bool) -> Self {
        if let Ok(expr) = Expr::parse(filter) {
            let heads = self.heads.clone();
            self.rows.retain(|row| expr.holds(|field| row.figure(&heads, field)));
        } else if !filter.is_empty() {
            let filter = filter.to_lowercase();
            self.rows.retain(|row| {
                row.cells.iter().any(
                    |cell| matches!(cell, Cell::Text(text) if text.to_lowercase().contains(&filter)),
                )
            });
        }
        if let Some(column) = self.heads.iter().position(|head| head.title == sort) {
            self.rows.sort_by(|a, b| a.cells[column].order(&b.cells[column], inverted));
        }
        self.wanted = (0..self.heads.len()).map(|column| self.widest(column)).collect();
        self
    }

    fn widest(&self, column: usize) -> u16 {
        let widths = self.rows.iter().map(|row| match &row.cells[column] {
            Cell::Text(text) => units::width(text),
            _ => 0,
        });
        widths.max().unwrap_or(0).min(usize::from(u16::MAX)) as u16
    }

    /// Which columns a terminal this wide shows, and how wide each. None that says
    /// nothing in any row. By rank: the
    /// essential ones as long as they fit at all, then comfortable room for their
    /// text, then as many others as fit; what is left over goes to text.
    pub(super) fn fit(&self, width: u16) -> Vec<(usize, u16)> {
        let says = |column: &usize| self.rows.is_empty() || self.says_something(*column);
        let mut by_rank: Vec<usize> = (0..self.heads.len()).filter(says).collect();
        by_rank.sort_by_key(|&column| self.heads[column].rank);
        let essential = by_rank.partition_point(|&column| self.heads[column].rank <= ESSENTIAL);
        let (essential, others) = by_rank.split_at(essential);

        let mut fitting = Fitting { left: width, chosen: Vec::new() };
        for &column in essential {
            fitting.add(column, &[self.least(column)]);
        }
        fitting.grow(|column| self.comfortable(column, width));
        for &column in others {
            fitting.add(column, &[self.comfortable(column, width), self.least(column)]);
        }
        fitting.grow(|column| self.wanted(column));
        fitting.chosen.sort_unstable();
        fitting.chosen
    }

    fn says_something(&self, column: usize) -> bool {
        if self.heads[column].text {
            return self.wanted(column) > 0;
        }
        self.rows.iter().any(|row| row.cells[column] != Cell::Absent)
    }

    /// Text that is short everywhere takes no more room than that.
    fn least(&self, column: usize) -> u16 {
        let head = self.heads[column];
        let titled = head.title.chars().count() as u16 + 1;
        if head.text { head.width.min(self.wanted(column)).max(titled) } else { head.width }
    }

    /// Half as much again as text can do with is better than one column more; what
    /// a row is about may take two fifths of the terminal.
    fn comfortable(&self, column: usize, width: u16) -> u16 {
        let least = self.least(column);
        let head = self.heads[column];
        if head.text {
            let roomy = if head.rank == 0 { width / 5 * 2 } else { 0 };
            roomy.max(least + least / 2).min(self.wanted(column)).max(least)
        } else {
            least
        }
    }

    fn wanted(&self, column: usize) -> u16 {
        self.wanted.get(column).copied().unwrap_or(0)
    }
}

/// Highest rank of columns that give way last.
const ESSENTIAL: u8 = 3;

/// Columns being fitted: index and width of the chosen, and the room left.
struct Fitting {
    left: u16,
    chosen: Vec<(usize, u16)>,
}

impl Fitting {
    /// Takes the column with the first of the widths that fits; the very first
    /// column is taken whatever it gets.
    fn add(&mut self, column: usize, widths: &[u16]) {
        let gap = u16::from(!self.chosen.is_empty());
        let fits = widths.iter().copied().find(|width| width.saturating_add(gap) <= self.left);
        let width = match fits {
            Some(width) => width,
            None if self.chosen.is_empty() => self.left,
            None => return,
        };
        self.left -= width + gap;
        self.chosen.push((column, width));
    }

    fn grow(&mut self, until: impl Fn(usize) -> u16) {
        for (column, width) in &mut self.chosen {
            let more = until(*column).saturating_sub(*width).min(self.left);
            *width += more;
            self.left -= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(items: &[(&str, Option<u64>)]) -> Grid {
        let known = |n: Option<u64>| n.map_or(Cell::Absent, Cell::Count);
        Grid::new(
            items,
            |(name, _)| RowId::Map((*name).to_owned()),
            &[
                (Head::text("Name", 0, 8), &|(name, _)| Cell::text(name)),
                (Head::figure("ops", 1), &|(_, n)| known(*n)),
                (Head::text("Where", 4, 10), &|_| Cell::text("main.(*Cache).Get cache.go:42")),
            ],
        )
    }

    fn names(grid: &Grid) -> Vec<String> {
        grid.rows.iter().map(|row| row.cells[0].show()).collect()
    }

    const ITEMS: [(&str, Option<u64>); 4] =
        [("b", Some(2)), ("unknown", None), ("A", Some(7)), ("c", Some(2))];

    #[test]
    fn figures_sort_most_first_and_the_absent_stay_last() {
        assert_eq!(names(&grid(&ITEMS).arrange("", "ops", false)), ["A", "b", "c", "unknown"]);
        assert_eq!(names(&grid(&ITEMS).arrange("", "ops", true)), ["b", "c", "A", "unknown"]);
        assert_eq!(names(&grid(&ITEMS).arrange("", "Name", false)), ["A", "b", "c", "unknown"]);
    }

    #[test]
    fn the_filter_ignores_case_and_looks_at_text_only() {
        let filtered = grid(&ITEMS).arrange("UNK", "ops", false);
        assert_eq!(names(&filtered), ["unknown"]);
        assert_eq!(filtered.unfiltered, 4);
        assert!(grid(&ITEMS).arrange("7", "ops", false).rows.is_empty());
    }

    #[test]
    fn a_filter_may_be_a_condition_on_columns() {
        let of = |filter| names(&grid(&ITEMS).arrange(filter, "ops", false));
        assert_eq!(of("ops > 2"), ["A"]);
        assert_eq!(of("ops >= 2 and name ~ C"), ["c"]);
        assert!(of("other > 2").is_empty());
    }

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let grid = grid(&ITEMS[1..2]).arrange("", "ops", false);
        assert_eq!(grid.fit(60), [(0, 7), (2, 29)]);
    }

    #[test]
    fn narrow_terminals_lose_columns_by_rank() {
        let grid = grid(&ITEMS).arrange("", "ops", false);
        assert_eq!(grid.fit(60), [(0, 7), (1, 6), (2, 29)]);
        assert_eq!(grid.fit(30), [(0, 7), (1, 6), (2, 15)]);
        assert_eq!(grid.fit(20), [(0, 7), (1, 6)]);
        assert_eq!(grid.fit(10), [(0, 7)]);
        assert_eq!(grid.fit(3), [(0, 3)]);
        assert_eq!(grid.fit(0), [(0, 0)]);
        assert_eq!(Grid::default().fit(80), []);
    }
}
