//! The state without a terminal.

mod arbitrary;
mod flame;
mod past;

use proptest::prelude::*;

use super::{
    Action, App, Flow, Picture, Request, Span, Tab, fixture,
    grid::RowId,
    keys::Mode,
    state::{Page, Places},
    tables,
};
pub(super) use arbitrary::{any_action, any_picture};

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
    // Those that are shown.
    let shown = app.columns().filter(|(_, on)| *on);
    let titles: Vec<_> = shown.map(|(head, _)| head.title).collect();
    assert!(titles.len() < app.grid().heads.len());
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

    act(&mut app, &[Action::Sort, Action::SortBack, Action::SortBack, Action::Sort]);
    assert_eq!(app.sorted(), ("ops", false));
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
    act(&mut app, &[Action::Show(Tab::Maps), Action::Pause]);
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
    act(&mut app, &[Action::Show(Tab::Maps)]);
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
    assert_eq!(app.tab(), Tab::Overview);
    act(&mut app, &[Action::PreviousTab]);
    assert_eq!(app.tab(), Tab::Timeline);
    assert_eq!(app.on_action(Action::Quit), Flow::Quit);
}

/// Shows what the app asks for.
fn answered(app: &mut App) {
    app.update(fixture::answer(&app.request()));
}

#[test]
fn every_table_has_its_rows() {
    let mut app = fixture::app();
    let summary = fixture::total();
    let sites: usize = summary.maps.iter().map(|map| map.callers.len()).sum();
    let pairs: usize = summary.locks.iter().map(|lock| lock.pairs.len()).sum();
    let expected = [0, 4, 13, 4, sites, pairs, 40];
    assert!(sites > 4 && pairs > 1);
    for (tab, rows) in Tab::ALL.into_iter().zip(expected) {
        act(&mut app, &[Action::Show(tab)]);
        assert_eq!(app.grid().rows.len(), rows, "{tab:?}");
        assert_eq!(app.len(tab).unwrap_or(0), rows, "{tab:?}");
        // A row can be told from others and found again.
        let ids: Vec<_> = app.grid().rows.iter().map(|row| &row.id).collect();
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{tab:?}: {id:?}");
        }
    }
}

#[test]
fn titles_and_fields_are_unique_in_their_table() {
    let mut app = fixture::app();
    for tab in Tab::ALL {
        act(&mut app, &[Action::Show(tab)]);
        let heads = &app.grid().heads;
        for (at, head) in heads.iter().enumerate() {
            for other in &heads[..at] {
                assert_ne!(head.title.to_lowercase(), other.title.to_lowercase(), "{tab:?}");
                assert_ne!(head.field.to_lowercase(), other.field.to_lowercase(), "{tab:?}");
                // What one is called is not what another one's title says.
                assert_ne!(head.title.to_lowercase(), other.field, "{tab:?}");
                assert_ne!(head.field, other.title.to_lowercase(), "{tab:?}");
            }
        }
    }
}

#[test]
fn call_sites_and_pairs_open_into_all_about_them() {
    for tab in [Tab::Sites, Tab::Contention] {
        let mut app = fixture::app();
        act(&mut app, &[Action::Show(tab), Action::Down]);
        let row = app.selected().expect("a row").clone();
        act(&mut app, &[Action::Open]);
        assert_eq!(app.page(), Some(&Page::Detail(row.clone())));
        let summary = app.summary().expect("a picture");
        let found = match &row {
            RowId::Site(map, frames) => tables::site_of(summary, map, frames).is_some(),
            RowId::Pair(lock, parties) => tables::pair_of(summary, lock, parties).is_some(),
            _ => false,
        };
        assert!(found, "{row:?}");
        act(&mut app, &[Action::Back]);
        assert_eq!((app.page(), app.tab()), (None, tab));
    }
}

#[test]
fn conditions_filter_by_figures_that_may_not_be_shown() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Show(Tab::Locks), Action::Filter]);
    type_text(&mut app, "wait.p99 > 2ms and wait.count");
    assert!(app.complaint().expect("half a condition").contains("no comparison"));
    type_text(&mut app, " > 1k");
    assert_eq!((names(&app), app.complaint()), (vec!["l1".to_owned()], None));
    act(&mut app, &[Action::EraseAll]);
    type_text(&mut app, "wait.min >= 2.1us and lock ~ RWMUTEX");
    assert_eq!(app.complaint(), None);
    let shown = app.columns().find(|(head, _)| head.field == "wait.min").map(|(_, on)| on);
    assert_eq!(shown, Some(false));

    act(&mut app, &[Action::EraseAll]);
    type_text(&mut app, "wiat.p99 > 2ms");
    let complaint = app.complaint().expect("an unknown field").to_owned();
    assert!(complaint.contains("wiat.p99") && complaint.contains("wait.p99"), "{complaint}");

    act(&mut app, &[Action::Cancel, Action::Show(Tab::Keys), Action::Filter]);
    type_text(&mut app, "share > 20%");
    assert_eq!(app.grid().rows.len(), 4);
    type_text(&mut app, " and key ~ USER");
    assert_eq!(names(&app), ["\"user:42\""]);
}

#[test]
fn columns_are_chosen_for_each_table() {
    let mut app = fixture::app();
    let shown = |app: &App| app.columns().filter(|(_, on)| *on).count();
    let before = shown(&app);
    act(&mut app, &[Action::Show(Tab::Locks), Action::Columns]);
    assert_eq!(app.mode(), Mode::Columns);
    let all = app.columns().count();
    let extra = app.columns().position(|(head, _)| head.field == "wait.min").expect("it is");
    act(&mut app, &vec![Action::Down; extra]);
    let locks = shown(&app);
    act(&mut app, &[Action::Toggle]);
    assert_eq!(shown(&app), locks + 1);
    act(&mut app, &[Action::Bottom, Action::Down]);
    assert_eq!(app.page(), Some(&Page::Columns(all - 1)));

    // What a row is about stays.
    act(&mut app, &[Action::Top, Action::Down, Action::Toggle]);
    assert!(app.message().expect("a message").contains("stays"));
    assert_eq!(shown(&app), locks + 1);

    act(&mut app, &[Action::Columns, Action::Show(Tab::Maps)]);
    assert_eq!(shown(&app), before);
    act(&mut app, &[Action::Show(Tab::Locks)]);
    assert_eq!(shown(&app), locks + 1);
    app.update(fixture::picture());
    assert_eq!(shown(&app), locks + 1);
}

#[test]
fn a_row_is_copied_as_it_is_shown_and_cleaned() {
    let mut picture = fixture::picture();
    picture.total.maps[0].keys[0].key = "\x1b]52;c;evil\x07\t".to_owned();
    let mut app = App::new();
    app.update(picture);
    assert_eq!(app.on_action(Action::Copy), Flow::Continue);
    assert_eq!(app.message(), Some("There is no row to copy here."));
    act(&mut app, &[Action::Show(Tab::Keys)]);
    let Flow::Copy(row) = app.on_action(Action::Copy) else { panic!("a row is copied") };
    assert!(row.starts_with("\\u{1b}]52;c;evil\\u{7}\\t\t"), "{row:?}");
    assert!(!row.contains(|c: char| c.is_control() && c != '\t'), "{row:?}");
    act(&mut app, &[Action::Show(Tab::Locks), Action::Flame, Action::Inwards]);
    let Flow::Copy(stack) = app.on_action(Action::Copy) else { panic!("a stack is copied") };
    assert!(stack.contains("main.(*Server).serve\t") && stack.ends_with("\tns"), "{stack:?}");
}

#[test]
fn a_message_stays_until_the_next_key() {
    let mut app = fixture::app();
    app.tell("Saved.");
    app.update(fixture::picture());
    assert_eq!(app.message(), Some("Saved."));
    act(&mut app, &[Action::Down]);
    assert_eq!(app.message(), None);
}

#[test]
fn a_click_selects_and_another_one_opens() {
    let mut app = fixture::app();
    let tabs = vec![(0, 12, Tab::Overview), (13, 21, Tab::Locks)];
    app.place(Places { tabs_y: 2, tabs, rows_y: 4, rows: 10 });
    act(&mut app, &[Action::Click(0, 5)]);
    assert_eq!(app.selected(), Some(&map("m2")));
    act(&mut app, &[Action::Click(0, 9), Action::Click(0, 200), Action::Click(0, 3)]);
    assert_eq!((app.tab(), app.selected()), (Tab::Maps, Some(&map("m2"))));
    act(&mut app, &[Action::Click(0, 5)]);
    assert_eq!((app.tab(), app.scope()), (Tab::Keys, Some("m2")));
    act(&mut app, &[Action::Click(12, 2), Action::Click(90, 2)]);
    assert_eq!(app.tab(), Tab::Keys);
    act(&mut app, &[Action::Click(13, 2), Action::WheelDown]);
    assert_eq!((app.tab(), app.cursor().0), (Tab::Locks, 3));
    act(&mut app, &[Action::WheelUp]);
    assert_eq!(app.cursor().0, 0);
    assert_eq!(app.on_action(Action::Mouse), Flow::Mouse(true));
    assert_eq!(app.on_action(Action::Mouse), Flow::Mouse(false));
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
            app.fit_page(height, height * 2);
            if let Some((walk, flame)) = app.flame() {
                let mut at = flame;
                for child in &walk.path {
                    prop_assert!(*child < at.children.len());
                    at = &at.children[*child];
                }
                prop_assert!(walk.zoom <= walk.path.len());
            }
            if let Some(at) = app.at() {
                prop_assert!(app.when().is_some() == (at < app.steps().len()));
            }
            let (index, first) = app.cursor();
            let rows = app.grid().rows.len();
            prop_assert!(index < rows || (index, rows) == (0, 0), "{index} of {rows}");
            prop_assert!(first <= index && index < first + height.max(1));
        }
    }
}
