//! Stepping through the past, without a terminal.

use super::*;
use crate::model::{Step, Subject};

#[test]
fn the_past_can_be_stepped_through() {
    let mut app = fixture::app();
    let at = |second: u64| Some(fixture::START + second * fixture::SECOND);
    act(&mut app, &[Action::Earlier]);
    assert_eq!((app.request().step, app.span()), (at(39), Span::Total));
    answered(&mut app);
    assert_eq!((app.span(), app.at()), (Span::Step, Some(39)));
    assert_eq!(names(&app), ["m2"]);
    act(&mut app, &[Action::Earlier, Action::Earlier]);
    // What is shown is what is said, until the other comes.
    assert_eq!((app.request().step, app.at()), (at(37), Some(39)));
    answered(&mut app);
    assert_eq!(app.when(), at(37).map(|start| (start, 3 * fixture::SECOND)));

    // New pictures do not move it, though they may be made before what is asked for.
    let mut later = fixture::picture();
    later.steps.push(Step::default());
    later.steps[40].totals.start_unix_ns = fixture::START + 40 * fixture::SECOND;
    later.steps[40].totals.duration_ns = fixture::SECOND;
    app.update(later);
    assert_eq!((app.span(), app.at()), (Span::Step, Some(37)));
    assert_eq!(app.when(), at(37).map(|start| (start, 4 * fixture::SECOND)));

    act(&mut app, &[Action::Later, Action::Later, Action::Later]);
    assert_eq!(app.request().step, at(40));
    act(&mut app, &[Action::Later]);
    assert_eq!((app.request().step, app.span()), (None, Span::Last));
    act(&mut app, &[Action::Oldest]);
    answered(&mut app);
    assert_eq!(app.at(), Some(0));
    act(&mut app, &[Action::Earlier]);
    assert_eq!(app.request().step, at(0));
    act(&mut app, &[Action::Newest]);
    assert_eq!((app.request().step, app.span()), (None, Span::Last));
    // The newest interval is the last step: the next one back is the one before.
    act(&mut app, &[Action::Earlier]);
    answered(&mut app);
    assert_eq!(app.at(), Some(38));
    act(&mut app, &[Action::Span]);
    assert_eq!((app.request().step, app.span(), app.when()), (None, Span::Total, None));
}

#[test]
fn steps_that_are_joined_meanwhile_are_found() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Oldest, Action::Later, Action::Later, Action::Later]);
    answered(&mut app);
    assert_eq!(app.at(), Some(3));
    let mut joined = fixture::picture();
    for first in 0..10 {
        joined.steps[first].totals.duration_ns *= 2;
        joined.steps.remove(first + 1);
    }
    app.update(joined);
    assert_eq!(app.at(), Some(1));
    act(&mut app, &[Action::Earlier]);
    assert_eq!(app.request().step, Some(fixture::START));
}

#[test]
fn a_held_picture_can_be_stepped_through_too() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Pause, Action::Earlier]);
    answered(&mut app);
    assert_eq!((app.span(), app.at(), app.paused()), (Span::Step, Some(39), true));
    let mut other = fixture::answer(&app.request());
    other.total.maps.clear();
    app.update(other);
    act(&mut app, &[Action::Span]);
    assert_eq!(app.grid().rows.len(), 4);
    act(&mut app, &[Action::Pause]);
    assert_eq!(app.grid().rows.len(), 0);
}

#[test]
fn before_the_first_interval_there_is_no_past() {
    let mut app = App::new();
    for action in [Action::Earlier, Action::Later, Action::Oldest] {
        act(&mut app, &[action]);
        assert_eq!(app.message(), Some("No interval is over yet."));
        assert_eq!(app.request(), Request::default());
    }
    act(&mut app, &[Action::Save]);
    assert_eq!(app.message(), Some("There is nothing to save yet."));
}

#[test]
fn a_step_of_the_timeline_opens_into_its_overview() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Show(Tab::Timeline), Action::Down, Action::Open]);
    answered(&mut app);
    assert_eq!((app.tab(), app.at()), (Tab::Overview, Some(38)));
}

#[test]
fn what_is_opened_is_asked_for_over_time() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Open, Action::Open]);
    let subject = app.request().subject.expect("a key is open");
    assert!(matches!(&subject, Subject::Key { map, .. } if map == "m1"), "{subject:?}");
    assert!(app.subject_steps().is_empty());
    answered(&mut app);
    assert_eq!(app.subject_steps().len(), 40);
    // Another one's are not this one's.
    act(&mut app, &[Action::Back, Action::Down, Action::Open]);
    assert!(app.subject_steps().is_empty());
    act(&mut app, &[Action::Show(Tab::Locks), Action::Open]);
    assert_eq!(app.request().subject, Some(Subject::Lock("l1".to_owned())));
    act(&mut app, &[Action::Back]);
    assert_eq!(app.request().subject, None);
}
