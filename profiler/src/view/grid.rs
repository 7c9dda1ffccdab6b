//! A table's contents, without a terminal: cells that know how they sort and
//! read, rows with an identity, columns with a width and a rank.

mod cell;

use crate::expr::{Expr, Relation, Term, Value};
use crate::model::summary::Party;
use crate::units;
pub(super) use cell::{Cell, clock};

/// What a row is about; survives reordering and the next picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowId {
    /// A map, by id.
    Map(String),
    /// A key, by its map's id and its text.
    Key(String, String),
    /// A lock, by id.
    Lock(String),
    /// A call site, by its map's id and its frames in one text.
    Site(String, String),
    /// Who made whom wait, by the lock's id, the holder and the waiter.
    Pair(String, Box<(Party, Party)>),
    /// A step of the past, by its beginning, ns since the epoch.
    Step(u64),
}

/// A column's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Title, unique in its table.
    pub(super) title: &'static str,
    /// What conditions call it: `wait.p99`. The title in small letters will do, too.
    pub(super) field: &'static str,
    /// Columns of the terminal it needs.
    pub(super) width: u16,
    /// The lower, the longer it stays when the terminal gets narrow.
    pub(super) rank: u8,
    /// Text stands left, takes room that is left over, and is what the filter
    /// looks at; figures stand right and keep their width.
    pub(super) text: bool,
    /// Not shown unless it is chosen.
    pub(super) extra: bool,
}

impl Head {
    /// A column of text.
    pub(super) const fn text(title: &'static str, rank: u8, width: u16) -> Self {
        Self { title, field: title, width, rank, text: true, extra: false }
    }

    /// A column of figures.
    pub(super) const fn figure(title: &'static str, rank: u8) -> Self {
        // Every figure fits six columns; a title needs one more for the sort mark.
        let title_width = title.len() as u16 + 1;
        let width = if title_width > 6 { title_width } else { 6 };
        Self { title, field: title, width, rank, text: false, extra: false }
    }

    /// A column of times of day.
    pub(super) const fn clock(title: &'static str, rank: u8) -> Self {
        let mut head = Self::figure(title, rank);
        if head.width < 8 {
            head.width = 8;
        }
        head
    }

    /// A column of figures that is not shown unless it is chosen.
    pub(super) const fn extra(title: &'static str) -> Self {
        let mut head = Self::figure(title, u8::MAX);
        head.extra = true;
        head
    }

    /// What conditions call it.
    pub(super) const fn named(mut self, field: &'static str) -> Self {
        self.field = field;
        self
    }

    fn is(&self, field: &str) -> bool {
        self.field == field || self.title.to_lowercase() == field
    }

    /// What a condition on it may not be, if this is so.
    fn misuse(&self, term: &Term) -> Option<String> {
        let exact = matches!(term.relation, Relation::Equal | Relation::Unequal);
        let contains = term.relation == Relation::Contains;
        let is_text = matches!(term.value, Value::Text(_));
        match self.text {
            true if !exact && !contains => Some(format!("{} is text: use = != or ~", term.field)),
            false if contains || is_text => {
                Some(format!("{} is a figure, as in {0} > 5", term.field))
            }
            _ => None,
        }
    }
}

/// How a table is to be arranged.
#[derive(Clone, Debug)]
pub(super) struct Arrangement {
    /// Title of the column.
    pub(super) sort: &'static str,
    /// Least first; texts from Z to A.
    pub(super) inverted: bool,
    /// Text or condition.
    pub(super) filter: String,
    /// Titles of columns that are chosen, or chosen not to be shown.
    pub(super) columns: Vec<(&'static str, bool)>,
}

impl Arrangement {
    /// Everything, by this column.
    pub(super) fn by(sort: &'static str) -> Self {
        Self { sort, inverted: false, filter: String::new(), columns: Vec::new() }
    }

    /// Whether the column was chosen or is there by itself.
    pub(super) fn shows(&self, head: &Head) -> bool {
        self.chosen(head).unwrap_or(!head.extra)
    }

    fn chosen(&self, head: &Head) -> Option<bool> {
        let found = self.columns.iter().find(|(title, _)| *title == head.title);
        found.map(|(_, on)| *on)
    }

    /// Shows the column, or no longer.
    pub(super) fn toggle(&mut self, head: &Head) {
        let on = !self.shows(head);
        self.columns.retain(|(title, _)| *title != head.title);
        self.columns.push((head.title, on));
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
    /// Why the filter is no condition although it looks like one.
    pub(super) complaint: Option<String>,
    /// Rank of each column, where it is shown.
    ranks: Vec<Option<u8>>,
    /// Widest text per column, for columns of text.
    wanted: Vec<u16>,
    /// Whether a column has a figure in any row.
    figures: Vec<bool>,
}

impl Grid {
    /// A row for each item: those with the filter in one of their texts, or for which it
    /// holds where it is a condition on columns, in order. Cells that nobody wants to
    /// see are not made.
    pub(super) fn new<I>(
        items: &[I],
        id: impl Fn(&I) -> RowId,
        columns: &[Column<'_, I>],
        by: &Arrangement,
    ) -> Self {
        let heads: Vec<Head> = columns.iter().map(|(head, _)| *head).collect();
        let filter = Filter::of(&by.filter, &heads);
        let needed: Vec<bool> = heads
            .iter()
            .map(|head| by.shows(head) || head.title == by.sort || filter.looks_at(head))
            .collect();
        let cells = |item: &I| {
            let cell = |((_, cell), needed): (&Column<'_, I>, &bool)| {
                if *needed { cell(item) } else { Cell::Absent }
            };
            columns.iter().zip(&needed).map(cell).collect::<Vec<_>>()
        };
        let rows = items.iter().map(|item| (item, cells(item)));
        let rows = rows.filter(|(_, cells)| filter.admits(&heads, cells));
        let rows = rows.map(|(item, cells)| Row { id: id(item), cells }).collect();
        let rank = |head: &Head| {
            by.shows(head).then(|| match by.chosen(head) {
                Some(_) => head.rank.min(ESSENTIAL + 1),
                None => head.rank,
            })
        };
        let mut grid = Self {
            ranks: heads.iter().map(rank).collect(),
            heads,
            unfiltered: items.len(),
            rows,
            complaint: filter.complaint(),
            wanted: Vec::new(),
            figures: Vec::new(),
        };
        grid.sort(by);
        let columns = 0..grid.heads.len();
        grid.wanted = columns.clone().map(|column| grid.widest(column)).collect();
        grid.figures = columns.map(|column| grid.has_figures(column)).collect();
        grid
    }

    fn sort(&mut self, by: &Arrangement) {
        if let Some(column) = self.heads.iter().position(|head| head.title == by.sort) {
            self.rows.sort_by(|a, b| a.cells[column].order(&b.cells[column], by.inverted));
        }
    }

    /// Whether the column is to be shown where there is room.
    pub(super) fn shows(&self, column: usize) -> bool {
        self.ranks.get(column).is_some_and(Option::is_some)
    }

    /// What is shown of a row, where there is room, for other programs.
    pub(super) fn tab_separated(&self, row: &Row) -> String {
        let shown = row.cells.iter().enumerate().filter(|(column, _)| self.shows(*column));
        let clean = |(_, cell): (usize, &Cell)| units::clean(&cell.show()).into_owned();
        shown.map(clean).collect::<Vec<_>>().join("\t")
    }

    fn widest(&self, column: usize) -> u16 {
        if !self.heads[column].text {
            return 0;
        }
        let widths = self.rows.iter().map(|row| match &row.cells[column] {
            // Most are, and cleaned text has a column for each of its characters then.
            Cell::Text(text) if text.is_ascii() => text.len(),
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
        let shown = (0..self.heads.len()).filter(|&column| self.shows(column));
        let mut by_rank: Vec<usize> = shown.filter(says).collect();
        by_rank.sort_by_key(|&column| self.ranks[column]);
        let essential = by_rank.partition_point(|&column| self.ranks[column] <= Some(ESSENTIAL));
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

    fn has_figures(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row.cells[column] != Cell::Absent)
    }

    fn says_something(&self, column: usize) -> bool {
        if self.heads[column].text {
            return self.wanted(column) > 0;
        }
        self.figures.get(column).is_some_and(|some| *some)
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

/// What is typed to narrow a table.
enum Filter {
    All,
    /// In small letters.
    Text(String),
    Condition(Expr),
    /// Looks like a condition, and is taken for text.
    Wrong(String, String),
}

impl Filter {
    fn of(filter: &str, heads: &[Head]) -> Self {
        let text = || filter.to_lowercase();
        if filter.is_empty() {
            return Self::All;
        }
        if !filter.contains(['<', '>', '=', '~']) {
            return Self::Text(text());
        }
        match Expr::parse(filter) {
            Err(error) => Self::Wrong(text(), error.to_string()),
            Ok(expr) => match expr.0.iter().find_map(|term| wrong(term, heads)) {
                Some(why) => Self::Wrong(text(), why),
                None => Self::Condition(expr),
            },
        }
    }

    fn looks_at(&self, head: &Head) -> bool {
        match self {
            Self::Condition(expr) => expr.0.iter().any(|term| head.is(&term.field)),
            _ => false,
        }
    }

    fn admits(&self, heads: &[Head], cells: &[Cell]) -> bool {
        match self {
            Self::All => true,
            Self::Text(filter) | Self::Wrong(filter, _) => cells.iter().any(
                |cell| matches!(cell, Cell::Text(text) if text.to_lowercase().contains(filter)),
            ),
            Self::Condition(expr) => expr.holds(|field| {
                let column = heads.iter().position(|head| head.is(field))?;
                cells.get(column)?.figure()
            }),
        }
    }

    fn complaint(self) -> Option<String> {
        match self {
            Self::Wrong(_, why) => Some(why),
            _ => None,
        }
    }
}

/// What is wrong with a term, if anything.
fn wrong(term: &Term, heads: &[Head]) -> Option<String> {
    if let Some(head) = heads.iter().find(|head| head.is(&term.field)) {
        return head.misuse(term);
    }
    let fields: Vec<String> = heads.iter().map(|head| head.field.to_lowercase()).collect();
    Some(format!("no field {:?}; there are {}", term.field, fields.join(" ")))
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

    fn arranged(items: &[(&str, Option<u64>)], by: &Arrangement) -> Grid {
        let known = |n: Option<u64>| n.map_or(Cell::Absent, Cell::Count);
        Grid::new(
            items,
            |(name, _)| RowId::Map((*name).to_owned()),
            &[
                (Head::text("Name", 0, 8), &|(name, _)| Cell::text(name)),
                (Head::figure("ops", 1), &|(_, n)| known(*n)),
                (Head::text("Where", 4, 10), &|_| Cell::text("main.(*Cache).Get cache.go:42")),
                (Head::extra("p99").named("ops.p99"), &|(_, n)| known(n.map(|n| n * 10))),
            ],
            by,
        )
    }

    fn grid(items: &[(&str, Option<u64>)], filter: &str, sort: &'static str) -> Grid {
        let filter = filter.to_owned();
        arranged(items, &Arrangement { filter, ..Arrangement::by(sort) })
    }

    fn names(grid: &Grid) -> Vec<String> {
        grid.rows.iter().map(|row| row.cells[0].show()).collect()
    }

    const ITEMS: [(&str, Option<u64>); 4] =
        [("b", Some(2)), ("unknown", None), ("A", Some(7)), ("c", Some(2))];

    #[test]
    fn figures_sort_most_first_and_the_absent_stay_last() {
        let inverted = Arrangement { inverted: true, ..Arrangement::by("ops") };
        let inverted = arranged(&ITEMS, &inverted);
        assert_eq!(names(&grid(&ITEMS, "", "ops")), ["A", "b", "c", "unknown"]);
        assert_eq!(names(&inverted), ["b", "c", "A", "unknown"]);
        assert_eq!(names(&grid(&ITEMS, "", "Name")), ["A", "b", "c", "unknown"]);
    }

    #[test]
    fn the_filter_ignores_case_and_looks_at_text_only() {
        let filtered = grid(&ITEMS, "UNK", "ops");
        assert_eq!(names(&filtered), ["unknown"]);
        assert_eq!(filtered.unfiltered, 4);
        assert!(grid(&ITEMS, "7", "ops").rows.is_empty());
    }

    #[test]
    fn a_filter_may_be_a_condition_on_columns() {
        let of = |filter| names(&grid(&ITEMS, filter, "ops"));
        assert_eq!(of("ops > 2"), ["A"]);
        assert_eq!(of("ops >= 2 and name ~ C"), ["c"]);
        // Also on those that nobody sees.
        assert_eq!(of("ops.p99 > 20"), ["A"]);
    }

    #[test]
    fn what_looks_like_a_condition_and_is_none_is_text_and_said_to_be() {
        let items = [("a=b", Some(1)), ("c", Some(2))];
        let complaint = |filter| grid(&items, filter, "ops").complaint.unwrap_or_default();
        assert!(
            complaint("other > 2").contains("no field \"other\"; there are name ops where ops.p99")
        );
        assert!(complaint("ops >").contains("nothing to compare with"));
        assert!(complaint("name > 5").contains("name is text"));
        assert!(complaint("ops ~ 5").contains("ops is a figure"));
        assert!(complaint("ops > many").contains("ops is a figure"));
        for right in ["", "name", "ops > 2", "name = c", "where ~ cache and ops < 1k"] {
            assert_eq!(complaint(right), "", "{right}");
        }
        assert_eq!(names(&grid(&items, "A=B", "ops")), ["a=b"]);
    }

    #[test]
    fn columns_are_shown_or_not_as_chosen() {
        let mut by = Arrangement::by("ops");
        assert_eq!(arranged(&ITEMS, &by).fit(60), [(0, 7), (1, 6), (2, 29)]);
        let heads = arranged(&ITEMS, &by).heads;
        by.toggle(&heads[3]);
        by.toggle(&heads[2]);
        let grid = arranged(&ITEMS, &by);
        assert_eq!(grid.fit(60), [(0, 7), (1, 6), (3, 6)]);
        assert_eq!(grid.tab_separated(&grid.rows[0]), "A\t7\t70");
        by.toggle(&heads[3]);
        assert_eq!(arranged(&ITEMS, &by).fit(60), [(0, 7), (1, 6)]);
    }

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let grid = grid(&ITEMS[1..2], "", "ops");
        assert_eq!(grid.fit(60), [(0, 7), (2, 29)]);
    }

    #[test]
    fn narrow_terminals_lose_columns_by_rank() {
        let grid = grid(&ITEMS, "", "ops");
        assert_eq!(grid.fit(60), [(0, 7), (1, 6), (2, 29)]);
        assert_eq!(grid.fit(30), [(0, 7), (1, 6), (2, 15)]);
        assert_eq!(grid.fit(20), [(0, 7), (1, 6)]);
        assert_eq!(grid.fit(10), [(0, 7)]);
        assert_eq!(grid.fit(3), [(0, 3)]);
        assert_eq!(grid.fit(0), [(0, 0)]);
        assert_eq!(Grid::default().fit(80), []);
    }
}
