//! What is painted, on a terminal in memory.

use std::time::Instant;

use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};

use super::{
    Action, App, Picture, Request, Tab,
    draw::{self, Look, ThemeChoice},
    fixture,
    keys::BINDINGS,
    state_tests::{any_action, any_picture},
};
use crate::units;

const SIZES: [(u16, u16); 4] = [(120, 40), (80, 24), (60, 24), (40, 12)];

fn paint(app: &mut App, (width, height): (u16, u16), look: Look) -> Buffer {
    let mut terminal =
        Terminal::new(TestBackend::new(width, height)).expect("memory has no errors");
    terminal.draw(|frame| draw::draw(frame, app, look)).expect("memory has no errors");
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width.max(1));
    buffer.content().chunks(width).map(row).collect()
}

fn row(cells: &[Cell]) -> String {
    let mut text = String::new();
    let mut covered = 0;
    for cell in cells {
        // What a wide character covers is not shown.
        if covered == 0 {
            text.push_str(cell.symbol());
            covered = units::width(cell.symbol()).max(1);
        }
        covered -= 1;
    }
    text.trim_end().to_owned()
}

fn text(app: &mut App, size: (u16, u16)) -> String {
    rows(&paint(app, size, Look::default())).join("\n")
}

fn golden(name: &str, app: &mut App, sizes: &[(u16, u16)]) {
    for &(width, height) in sizes {
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), text(app, (width, height)));
    }
}

fn at(actions: &[Action]) -> App {
    let mut app = fixture::app();
    for &action in actions {
        app.on_action(action);
    }
    app
}

fn filtered(text: &str) -> App {
    let mut app = at(&[Action::Show(Tab::Keys), Action::Filter]);
    for c in text.chars() {
        app.on_action(Action::Type(c));
    }
    app
}

#[test]
fn tables() {
    golden("maps", &mut at(&[Action::Down]), &SIZES);
    golden("keys", &mut at(&[Action::Show(Tab::Keys)]), &SIZES);
    golden("keys_of_map", &mut at(&[Action::Open]), &SIZES);
    golden("locks", &mut at(&[Action::Show(Tab::Locks)]), &SIZES);
    golden("last_interval", &mut at(&[Action::Span]), &SIZES);
}

/// Pages by their own functions have goldens of theirs: `draw/tests.rs`.
#[test]
fn tabs_and_pages() {
    golden("overview", &mut at(&[Action::Show(Tab::Overview)]), &SIZES);
    golden("sites", &mut at(&[Action::Show(Tab::Sites), Action::Down]), &SIZES[1..]);
    golden("contention", &mut at(&[Action::Show(Tab::Contention)]), &SIZES);
    golden("timeline", &mut at(&[Action::Show(Tab::Timeline), Action::Down]), &SIZES);
    golden("columns", &mut at(&[Action::Columns, Action::Down, Action::Down]), &SIZES[1..]);
    let flame = [Action::Show(Tab::Locks), Action::Flame, Action::Inwards, Action::Inwards];
    golden("flame_page", &mut at(&flame), &SIZES[1..]);
    golden("site_page", &mut at(&[Action::Show(Tab::Sites), Action::Open]), &SIZES[1..2]);
    golden("pair_page", &mut at(&[Action::Show(Tab::Contention), Action::Open]), &SIZES[1..2]);
}

/// Estimates are seen to be some, wherever they stand.
#[test]
fn what_was_watched_in_windows() {
    let at = |actions: &[Action]| {
        let mut app = fixture::windowed();
        for &action in actions {
            app.on_action(action);
        }
        app
    };
    golden("windowed_overview", &mut at(&[Action::Show(Tab::Overview)]), &SIZES[..2]);
    golden("windowed_maps", &mut at(&[]), &SIZES);
    golden("windowed_keys", &mut at(&[Action::Open]), &SIZES);
    golden("windowed_key_page", &mut at(&[Action::Open, Action::Open]), &SIZES[..2]);
    golden("windowed_locks", &mut at(&[Action::Show(Tab::Locks)]), &SIZES[..2]);
    golden("windowed_lock_page", &mut at(&[Action::Show(Tab::Locks), Action::Open]), &SIZES[..2]);
    golden("windowed_sites", &mut at(&[Action::Show(Tab::Sites)]), &SIZES[..2]);
    golden("windowed_site_page", &mut at(&[Action::Show(Tab::Sites), Action::Open]), &SIZES[..2]);
    golden("windowed_timeline", &mut at(&[Action::Show(Tab::Timeline)]), &SIZES[..2]);
}

#[test]
fn the_past_says_when_it_was() {
    let mut app = at(&[Action::Earlier]);
    app.update(fixture::answer(&app.request()));
    for _ in 0..4 {
        app.on_action(Action::Earlier);
    }
    app.update(fixture::answer(&app.request()));
    golden("past", &mut app, &SIZES);
    for (width, height) in SIZES {
        assert!(text(&mut app, (width, height)).contains("22:13:55"), "{width}x{height}");
    }
}

#[test]
fn a_wrong_condition_is_said_to_be_one_while_it_is_typed() {
    golden("filter_wrong", &mut filtered("oops > 1"), &SIZES);
    let mut app = at(&[]);
    app.tell("Saved here.");
    assert!(text(&mut app, (80, 24)).ends_with("Saved here."));
}

#[test]
fn what_is_clicked_is_what_is_there() {
    for (width, height) in SIZES {
        let mut app = at(&[Action::Down]);
        let rows = rows(&paint(&mut app, (width, height), Look::default()));
        let find = |what: &str| {
            let (y, row) = rows.iter().enumerate().find(|(_, row)| row.contains(what))?;
            Some((units::width(row.split(what).next()?) as u16, y as u16))
        };
        let (x, y) = find("m3").expect("a row");
        app.on_action(Action::Click(x, y));
        assert_eq!(app.cursor().0, 2, "{width}x{height}");
        let (x, y) = find("4 Locks").or(find(" 4 ")).expect("a tab");
        app.on_action(Action::Click(x + 1, y));
        assert_eq!(app.tab(), Tab::Locks, "{width}x{height}");
    }
}

#[test]
fn details() {
    golden("lock", &mut at(&[Action::Show(Tab::Locks), Action::Open]), &SIZES);
    // Without buckets, and with holds.
    golden(
        "lock_plain",
        &mut at(&[Action::Show(Tab::Locks), Action::Down, Action::Open]),
        &SIZES[1..2],
    );
    golden("key", &mut at(&[Action::Open, Action::Bottom, Action::Open]), &SIZES[1..]);
}

/// A row for each reason, among the keys by their operations.
#[test]
fn keys_that_could_not_be_read() {
    let mut picture = fixture::picture();
    let map = picture.total.maps.iter_mut().find(|map| map.id == "m2").expect("a map");
    map.unreadable = [("memory".to_owned(), 70_000), ("type".to_owned(), 3)].into();
    map.unreadable_keys = 70_003;
    let mut app = App::new();
    app.update(picture);
    for action in [Action::Show(Tab::Maps), Action::Down, Action::Open] {
        app.on_action(action);
    }
    golden("keys_unreadable", &mut app, &SIZES[1..2]);
    app.on_action(Action::Bottom);
    app.on_action(Action::Open);
    golden("key_unreadable", &mut app, &SIZES[1..2]);
}

#[test]
fn help_and_filter() {
    golden("help", &mut at(&[Action::Help]), &SIZES);
    golden("filter", &mut filtered("USER:"), &SIZES[1..]);
    golden("filter_none", &mut filtered("nobody"), &SIZES[1..2]);
}

#[test]
fn pause_losses_and_ends() {
    let mut paused = at(&[Action::Pause]);
    let mut ended = fixture::lossy();
    ended.ended = Some("the target exited with status 0".to_owned());
    ended.notices = fixture::empty().notices;
    paused.update(ended.clone());
    golden("paused", &mut paused, &SIZES);

    let mut app = App::new();
    app.update(ended);
    app.on_action(Action::Show(Tab::Maps));
    golden("ended_with_losses", &mut app, &SIZES);
    app.on_action(Action::Notices);
    golden("notices", &mut app, &SIZES[1..2]);
}

#[test]
fn emptiness() {
    golden("waiting", &mut App::new(), &SIZES[1..2]);
    let mut app = App::new();
    app.update(fixture::empty());
    golden("empty_overview", &mut app, &SIZES[1..2]);
    app.on_action(Action::Show(Tab::Maps));
    golden("empty", &mut app, &SIZES);
}

#[test]
fn the_help_lists_every_binding() {
    let mut app = at(&[Action::Help]);
    let help = text(&mut app, (120, 120));
    for binding in BINDINGS {
        let listed = help.lines().any(|line| {
            line.trim_start().starts_with(&binding.names()) && line.ends_with(binding.help)
        });
        assert!(listed, "{}: {}", binding.names(), binding.help);
    }
    // Where it does not fit it can be scrolled to its end.
    text(&mut app, (40, 12));
    app.on_action(Action::Bottom);
    assert!(text(&mut app, (40, 12)).contains("Not in the figures"));
}

#[test]
fn the_footer_names_the_first_keys() {
    let footer = text(&mut fixture::app(), (80, 24)).lines().last().expect("has rows").to_owned();
    assert!(footer.starts_with("q quit  ? help  Enter open"), "{footer}");
}

#[test]
fn the_selected_row_and_losses_stand_out_with_and_without_colour() {
    for look in [Look::default(), Look::new(ThemeChoice::None, false)] {
        let mut app = at(&[Action::Down]);
        app.update(fixture::lossy());
        let buffer = paint(&mut app, (80, 24), look);
        let rows = rows(&buffer);
        let reversed = |y: usize| buffer[(1, y as u16)].modifier.contains(Modifier::REVERSED);
        let find = |what: &str| rows.iter().position(|row| row.contains(what)).expect(what);
        assert!(reversed(find("LOST since start: ring full 12.3k, stacks 3.")));
        assert!(reversed(find("map[uint64]main.Route")));
        assert!(!reversed(find("map[string]*main.Sess")));
    }
}

#[test]
fn no_color_is_honoured() {
    let mut app = at(&[Action::Show(Tab::Locks), Action::Pause]);
    app.update(fixture::lossy());
    let colors = |app: &mut App, no_color: Option<&str>| {
        let theme = ThemeChoice::detect(no_color.map(AsRef::as_ref), None);
        let buffer = paint(app, (120, 40), Look::new(theme, false));
        let plain = |color| color == Color::Reset;
        buffer.content().iter().filter(|cell| !plain(cell.fg) || !plain(cell.bg)).count()
    };
    assert!(colors(&mut app, None) > 0);
    assert!(colors(&mut app, Some("")) > 0);
    assert_eq!(colors(&mut app, Some("1")), 0);
}

#[test]
fn nothing_from_the_target_reaches_the_terminal_as_a_command() {
    let evil = "\x1b[2J\u{9b}H\u{7}\u{202e}\r\n\tx";
    let mut picture = fixture::picture();
    for summary in [&mut picture.total, &mut picture.last] {
        summary.target.exe = evil.to_owned();
        summary.target.runtimes[0].version = evil.to_owned();
        summary.window.lost.insert(evil.to_owned(), 1);
        for map in &mut summary.maps {
            map.id = evil.to_owned();
            map.label = Some(evil.to_owned());
            map.kind = evil.to_owned();
            map.address = Some(evil.to_owned());
            map.keys.iter_mut().for_each(|key| key.key = evil.to_owned());
            map.callers.iter_mut().for_each(|c| c.frames[0].function = evil.to_owned());
        }
        for lock in &mut summary.locks {
            lock.label = Some(evil.to_owned());
            lock.maps = vec![evil.to_owned()];
            lock.waiters.iter_mut().for_each(|w| w.stack[0].function = evil.to_owned());
            for pair in &mut lock.pairs {
                for party in [&mut pair.holder, &mut pair.waiter] {
                    party.key = Some(evil.to_owned());
                    party.stack.iter_mut().for_each(|frame| frame.function = evil.to_owned());
                }
            }
            for holder in &mut lock.holders {
                holder.keys.iter_mut().for_each(|part| part.key = evil.to_owned());
                holder.stack.iter_mut().for_each(|frame| frame.function = evil.to_owned());
            }
        }
    }
    picture.notices = vec![evil.to_owned()];
    picture.ended = Some(evil.to_owned());
    let mut app = App::new();
    app.update(picture);
    app.on_action(Action::Show(Tab::Maps));
    app.on_action(Action::Filter);
    for c in evil.chars() {
        app.on_action(Action::Type(c));
    }
    app.on_action(Action::Accept);
    let tour = [
        Action::Open,
        Action::Open,
        Action::Back,
        Action::Show(Tab::Locks),
        Action::Open,
        Action::Flame,
        Action::Inwards,
        Action::ZoomIn,
        Action::Show(Tab::Sites),
        Action::Open,
        Action::Show(Tab::Contention),
        Action::Open,
        Action::Show(Tab::Timeline),
        Action::Columns,
        Action::Show(Tab::Overview),
        Action::Notices,
        Action::Help,
    ];
    for action in tour {
        let buffer = paint(&mut app, (200, 60), Look::default());
        for cell in buffer.content() {
            let bad = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!cell.symbol().contains(bad), "{:?} before {action:?}", cell.symbol());
        }
        app.on_action(action);
    }
}

#[test]
fn every_cell_is_ascii_where_that_is_wanted() {
    let look = Look::new(ThemeChoice::Dark, true);
    let tour = [
        Action::Show(Tab::Keys),
        Action::Bottom,
        Action::Open,
        Action::Show(Tab::Locks),
        Action::Open,
        Action::Help,
        Action::Notices,
        Action::Back,
        Action::Filter,
        Action::Type('日'),
    ];
    let mut app = fixture::app();
    app.update(fixture::lossy());
    let mut escaped = false;
    for action in tour {
        let buffer = paint(&mut app, (120, 40), look);
        for row in rows(&buffer) {
            assert!(row.is_ascii(), "before {action:?}: {row}");
            escaped |= row.contains("\"\\u{65e5}\\u{672c}");
            // What was not made ASCII before its cell was painted.
            assert!(!row.contains('~'), "before {action:?}: {row}");
        }
        app.on_action(action);
    }
    assert!(escaped, "keys are told apart");
}

#[test]
fn any_small_terminal_will_do() {
    let mut ended = fixture::lossy();
    ended.ended = Some("gone".to_owned());
    ended.notices = fixture::empty().notices;
    let mut apps = vec![
        App::new(),
        at(&[]),
        at(&[Action::Open]),
        at(&[Action::Show(Tab::Locks)]),
        at(&[Action::Show(Tab::Locks), Action::Open]),
        at(&[Action::Open, Action::Open]),
        at(&[Action::Help]),
        filtered("user"),
        filtered("oops > 1"),
        at(&[Action::Columns]),
        at(&[Action::Show(Tab::Sites), Action::Open]),
        at(&[Action::Show(Tab::Contention), Action::Open]),
        at(&[Action::Show(Tab::Timeline)]),
        at(&[Action::Show(Tab::Locks), Action::Flame, Action::Inwards]),
        App::new(),
        App::new(),
    ];
    let [.., ending, nothing] = apps.as_mut_slice() else { panic!("there are apps") };
    ending.update(ended);
    nothing.update(fixture::empty());
    for app in &mut apps {
        for width in 1..=20 {
            for height in 1..=20 {
                let drawn = text(app, (width, height));
                assert!(!drawn.trim().is_empty() || width < 3, "nothing on {width}x{height}");
            }
        }
    }
}

#[test]
fn a_terminal_resized_to_nothing_comes_back() {
    let mut app = fixture::app();
    let before = text(&mut app, (80, 24));
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("memory has no errors");
    for (width, height) in [(0, 0), (1, 0), (0, 1), (80, 24)] {
        terminal.backend_mut().resize(width, height);
        terminal
            .draw(|frame| draw::draw(frame, &mut app, Look::default()))
            .expect("memory has no errors");
    }
    assert_eq!(rows(terminal.backend().buffer()).join("\n"), before);
}

/// Ten thousand keys and a thousand locks.
fn large() -> Picture {
    let mut picture = fixture::picture();
    let summary = &mut picture.total;
    let key = summary.maps[0].keys[0].clone();
    let keys = 0..10_000_u64;
    summary.maps[0].keys = keys
        .map(|n| {
            let mut key = key.clone();
            key.key = format!("\"user:{n}\"");
            key.ops.lookup = n * 7919 % 100_003;
            key
        })
        .collect();
    let lock = summary.locks[0].clone();
    summary.locks = (0..1_000)
        .map(|n| {
            let mut lock = lock.clone();
            lock.id = format!("l{n}");
            lock.wait.sum_ns = n * 7919 % 100_003;
            lock
        })
        .collect();
    picture
}

/// `cargo test -p mapprof --lib -- --ignored --nocapture a_large_picture`
#[test]
#[ignore = "measures"]
fn a_large_picture_takes_so_long() {
    for tab in Tab::ALL {
        let mut app = at(&[Action::Show(tab)]);
        let (mut updates, mut frames) = (Vec::new(), Vec::new());
        let mut terminal = Terminal::new(TestBackend::new(200, 60)).expect("memory has no errors");
        for _ in 0..20 {
            let picture = large();
            let began = Instant::now();
            app.update(picture);
            updates.push(began.elapsed());
            let began = Instant::now();
            let draw =
                |frame: &mut ratatui::Frame<'_>| draw::draw(frame, &mut app, Look::default());
            terminal.draw(draw).expect("memory has no errors");
            frames.push(began.elapsed());
        }
        updates.sort_unstable();
        frames.sort_unstable();
        println!("{tab:?}: update {:?}, frame {:?} (medians)", updates[10], frames[10]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_picture_and_no_key_breaks_the_drawing(
        steps in prop::collection::vec((any_action(), prop::option::weighted(0.3, any_picture()), 0..200u16, 0..60u16), 0..20)
    ) {
        let mut app = App::new();
        for (action, picture, width, height) in steps {
            if let Some(picture) = picture {
                app.update(picture);
            }
            app.on_action(action);
            paint(&mut app, (width, height), Look::default());
            // As the loop's other side would.
            let request = app.request();
            if request != Request::default() {
                app.update(fixture::answer(&request));
            }
        }
    }
}
