//! The state without a terminal.

use proptest::prelude::*;

use super::{Action, App, Flow, Picture, Span, Tab, fixture, grid::RowId, state::Page};

fn act(app: &mut App, actions: &[Action]) {
    for &action in actions {
        assert_eq!(app.on_action(action), Flow::Continue, "{action:?}");
    }
}

fn type_text(app: &mut App, text: &str) {
    for c in text.chars() {
        act(app, &[Action::Type(c)]);
    }
}

/// The first column that names the rows.
fn names(app: &App) -> Vec<String> {
    app.grid().rows.iter().map(|row| row.cells[0].show()).collect()
}

fn map(id: &str) -> RowId {
    RowId::Map(id.to_owned())
}

#[test]
fn the_top_stays_the_top_until_one_moves() {
    let mut app = fixture::app();
    assert_eq!(app.selected(), Some(&map("m1")));
    let mut swapped = fixture::picture();
    swapped.total.maps[1].ops.lookup *= 100;
    app.update(swapped);
    assert_eq!(app.selected(), Some(&map("m2")));
}

#[test]
fn where_there_are_only_locks_they_are_shown_at_once() {
    let mut only_locks = fixture::picture();
    only_locks.total.maps.clear();
    let mut app = App::new();
    app.update(only_locks.clone());
    assert_eq!(app.tab(), Tab::Locks);
    let mut app = App::new();
    act(&mut app, &[Action::Show(Tab::Maps)]);
    app.update(only_locks);
    assert_eq!(app.tab(), Tab::Maps);
}

#[test]
fn the_selection_follows_its_row() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Down]);
    assert_eq!((app.selected(), app.cursor().0), (Some(&map("m2")), 1));

    let mut swapped = fixture::picture();
    swapped.total.maps[1].ops.lookup *= 100;
    app.update(swapped);
    assert_eq!((app.selected(), app.cursor().0), (Some(&map("m2")), 0));

    act(&mut app, &[Action::Invert]);
    assert_eq!((app.selected(), app.cursor().0), (Some(&map("m2")), 3));

    // Gone and come back.
    app.update(fixture::empty());
    assert_eq!(app.selected(), None);
    app.update(fixture::picture());
    assert_eq!(app.selected(), Some(&map("m2")));
}

#[test]
fn rows_that_look_alike_can_be_passed() {
    let mut app = fixture::app();
    let mut picture = fixture::picture();
    let key = picture.total.maps[0].keys[0].clone();
    picture.total.maps[0].keys = vec![key; 3];
    app.update(picture.clone());
    act(&mut app, &[Action::Open, Action::Down, Action::Down]);
    assert_eq!(app.cursor().0, 2);
    app.update(picture);
    assert_eq!(app.cursor().0, 2);
}

#[test]
fn moving_stays_within_the_rows() {
    let mut app = fixture::app();
    app.fit_table(2);
    act(&mut app, &[Action::Up, Action::PageUp]);
    assert_eq!(app.cursor(), (0, 0));
    act(&mut app, &[Action::PageDown]);
    app.fit_table(2);
    assert_eq!(app.cursor(), (2, 1));
    act(&mut app, &[Action::Bottom, Action::Down, Action::PageDown]);
    app.fit_table(2);
    assert_eq!(app.cursor(), (3, 2));
    // A taller terminal shows as much as there is.
    app.fit_table(3);
    assert_eq!(app.cursor(), (3, 1));
    act(&mut app, &[Action::Top]);
    app.fit_table(3);
    assert_eq!(app.cursor(), (0, 0));
}

#[test]
fn a_map_opens_into_its_keys_and_back() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Down, Action::Open]);
    assert_eq!((app.tab(), app.scope()), (Tab::Keys, Some("m2")));
    assert_eq!(names(&app), ["7", "42", "18446744073709551615"]);

    act(&mut app, &[Action::Open]);
    assert_eq!(app.page(), Some(&Page::Detail(RowId::Key("m2".to_owned(), "7".to_owned()))));
    act(&mut app, &[Action::Back]);
    assert_eq!((app.page(), app.tab()), (None, Tab::Keys));

    act(&mut app, &[Action::Back]);
    assert_eq!((app.tab(), app.scope()), (Tab::Maps, None));
    assert_eq!(app.selected(), Some(&map("m2")));

    act(&mut app, &[Action::Show(Tab::Keys)]);
    assert_eq!(app.grid().rows.len(), 13);
}

#[test]
fn a_column_that_one_map_lacks_is_not_sorted_by() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Show(Tab::Keys)]);
    while app.sorted().0 != "Map" {
        act(&mut app, &[Action::Sort]);
    }
    act(&mut app, &[Action::Show(Tab::Maps), Action::Open]);
    assert_eq!(app.sorted(), ("ops", false));
}

#[test]
fn sorting_goes_round_all_columns() {
    let mut app = fixture::app();
    let titles: Vec<_> = app.grid().heads.iter().map(|head| head.title).collect();
    let mut seen = Vec::new();
    for _ in &titles {
        seen.push(app.sorted().0);
        act(&mut app, &[Action::Sort]);
    }
    assert_eq!(app.sorted(), ("ops", false));
    seen.sort_unstable();
    let mut sorted = titles.clone();
    sorted.sort_unstable();
    assert_eq!(seen, sorted);

    act(&mut app, &[Action::Invert]);
    assert_eq!(names(&app), ["m4", "m3", "m2", "m1"]);
}

#[test]
fn a_filter_narrows_as_it_is_typed() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Show(Tab::Keys), Action::Filter]);
    assert!(app.editing());
    type_text(&mut app, "USER:42x");
    assert!(app.grid().rows.is_empty());
    assert_eq!(app.why_empty(), "None of 13 keys matches \"USER:42x\".");
    act(&mut app, &[Action::Erase, Action::Accept]);
    assert!(!app.editing());
    assert_eq!(names(&app), ["\"user:42\""]);

    // Each table has its own.
    act(&mut app, &[Action::Show(Tab::Maps)]);
    assert_eq!((app.filter(), app.grid().rows.len()), ("", 4));
    act(&mut app, &[Action::Show(Tab::Keys)]);
    assert_eq!(app.filter(), "USER:42");

    act(&mut app, &[Action::Back]);
    assert_eq!((app.filter(), app.grid().rows.len()), ("", 13));

    act(&mut app, &[Action::Filter]);
    type_text(&mut app, "guest");
    act(&mut app, &[Action::Cancel]);
    assert_eq!((app.filter(), app.editing()), ("", false));
}

#[test]
fn a_paused_picture_stands_still_and_resumes_with_the_newest() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Pause]);
    let mut newer = fixture::picture();
    newer.total.maps.truncate(1);
    app.update(newer.clone());
    newer.total.maps.truncate(0);
    newer.ended = Some("the target exited".to_owned());
    app.update(newer);
    assert!(app.paused());
    assert_eq!(app.grid().rows.len(), 4);
    assert_eq!(app.ended(), Some("the target exited"));

    act(&mut app, &[Action::Pause]);
    assert!(!app.paused());
    assert_eq!(app.grid().rows.len(), 0);
}

#[test]
fn pausing_before_the_first_picture_still_shows_it() {
    let mut app = App::new();
    act(&mut app, &[Action::Pause]);
    app.update(fixture::picture());
    assert_eq!(app.grid().rows.len(), 4);
}

#[test]
fn the_last_interval_is_a_summary_of_its_own() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Span]);
    assert_eq!(app.span(), Span::Last);
    assert_eq!(names(&app), ["m2", "m1"]);
    act(&mut app, &[Action::Span]);
    assert_eq!(names(&app), ["m1", "m2", "m3", "m4"]);
}

#[test]
fn an_empty_table_says_why() {
    let mut app = App::new();
    assert_eq!(app.why_empty(), "Waiting for the first interval.");
    app.close();
    assert_eq!(app.why_empty(), "Measuring ended before the first interval was complete.");

    let mut app = App::new();
    app.update(fixture::empty());
    assert_eq!(app.why_empty(), "No maps seen since the start.");
    act(&mut app, &[Action::Show(Tab::Locks), Action::Span]);
    assert_eq!(app.why_empty(), "No locks seen in the last interval.");

    let mut app = fixture::app();
    act(&mut app, &[Action::Bottom, Action::Open, Action::Span]);
    assert_eq!(app.why_empty(), "No keys of m4 seen in the last interval.");
}

#[test]
fn pages_scroll_and_close() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Help, Action::Down, Action::Bottom]);
    app.fit_page(10, 30);
    assert_eq!(app.scroll(), 20);
    act(&mut app, &[Action::PageUp]);
    assert_eq!(app.scroll(), 10);
    act(&mut app, &[Action::Notices]);
    assert_eq!((app.page(), app.scroll()), (Some(&Page::Notices), 0));
    act(&mut app, &[Action::Notices]);
    assert_eq!(app.page(), None);
    act(&mut app, &[Action::Help, Action::NextTab]);
    assert_eq!((app.page(), app.tab()), (None, Tab::Keys));
    act(&mut app, &[Action::PreviousTab, Action::PreviousTab]);
    assert_eq!(app.tab(), Tab::Locks);
    assert_eq!(app.on_action(Action::Quit), Flow::Quit);
}

pub(super) fn any_action() -> impl Strategy<Value = Action> {
    use Action as A;
    let fixed = prop::sample::select(vec![
        A::Up,
        A::Down,
        A::PageUp,
        A::PageDown,
        A::Top,
        A::Bottom,
        A::Open,
        A::Back,
        A::NextTab,
        A::PreviousTab,
        A::Show(Tab::Maps),
        A::Show(Tab::Keys),
        A::Show(Tab::Locks),
        A::Sort,
        A::Invert,
        A::Filter,
        A::Span,
        A::Pause,
        A::Notices,
        A::Help,
        A::Quit,
        A::Erase,
        A::EraseAll,
        A::Accept,
        A::Cancel,
    ]);
    prop_oneof![4 => fixed, 1 => any::<char>().prop_map(A::Type)]
}

prop_compose! {
    /// A picture of any text and figures, with some of the fixture's rows.
    pub(super) fn any_picture()(
        text in "\\PC{0,9}|.{0,9}",
        figure in prop_oneof![Just(0), Just(1), 0..u64::MAX / 8, 0..2_000_000u64],
        share in any::<f64>(),
        maps in 0..5usize,
        locks in 0..5usize,
        keys in 0..8usize,
        turn in 0..4usize,
    ) -> Picture {
        let mut picture = fixture::lossy();
        for summary in [&mut picture.total, &mut picture.last] {
            summary.maps.truncate(maps);
            let turns = turn.min(summary.maps.len());
            summary.maps.rotate_left(turns);
            summary.locks.truncate(locks);
            summary.target.exe.clone_from(&text);
            summary.window.duration_ns = figure;
            summary.window.cost.target_cpu_share = Some(share);
            for map in summary.maps.iter_mut().take(turn) {
                map.ops.lookup = figure;
                map.label = Some(text.clone());
                map.keys.truncate(keys);
                for key in map.keys.iter_mut().take(turn) {
                    key.key.clone_from(&text);
                    key.share = share;
                    key.margin = figure;
                }
            }
            for lock in summary.locks.iter_mut().take(turn) {
                lock.kind.clone_from(&text);
                lock.wait.max_ns = figure;
                lock.wait.sum_ns = figure;
                lock.wait_hist.record_n(figure, figure.saturating_mul(9));
            }
        }
        picture.notices = vec![text; turn];
        picture.steps.truncate(keys);
        picture
    }
}

proptest! {
    #[test]
    fn the_selection_is_always_a_row(
        steps in prop::collection::vec((any_action(), prop::option::weighted(0.2, any_picture()), 0..9usize), 0..60)
    ) {
        let mut app = App::new();
        for (action, picture, height) in steps {
            if let Some(picture) = picture {
                app.update(picture);
            }
            app.on_action(action);
            app.fit_table(height);
            let (index, first) = app.cursor();
            let rows = app.grid().rows.len();
            prop_assert!(index < rows || (index, rows) == (0, 0), "{index} of {rows}");
            prop_assert!(first <= index && index < first + height.max(1));
        }
    }
}
