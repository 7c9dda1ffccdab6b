//! A picture to test with.

use std::collections::BTreeMap;

use super::{Action, App, At, Picture, Request, Tab, step_at};
use crate::model::{
    SliceTotals, Step, Subject, SubjectStep,
    summary::{Cost, Ops, Summary, Window},
};

/// Wall clock of the first step, ns since the epoch: 2023-11-14T22:13:20Z.
pub(super) const START: u64 = 1_700_000_000_000_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

/// A minute and a half of a Go program.
pub(super) fn total() -> Summary {
    let mut summary: Summary =
        serde_json::from_str(include_str!("fixture.json")).expect("the fixture is a summary");
    let counts = [
        12, 40, 120, 310, 640, 1_210, 2_000, 3_500, 5_100, 7_100, 9_400, 13_800, 3_300, 1_500, 80,
        8,
    ];
    let hist = &mut summary.locks[0].wait_hist;
    (10..).zip(counts).for_each(|(bit, count)| hist.record_n(3 << (bit - 1), count));
    summary
}

/// A second in which two maps and one lock were used, the lesser map more.
pub(super) fn last() -> Summary {
    let mut summary = total();
    summary.window = Window {
        duration_ns: 1_000_000_000,
        observed_ns: 50_000_000,
        events: 23_145,
        cost: Cost { probe_ns: 14_000_000, ..Cost::default() },
        ..summary.window
    };
    summary.maps.truncate(2);
    for map in &mut summary.maps {
        map.ops = Ops { lookup: if map.id == "m1" { 801 } else { 9_812 }, ..Ops::default() };
    }
    summary.maps.reverse();
    summary.locks.truncate(1);
    summary
}

pub(super) fn picture() -> Picture {
    let steps = (0..40u64).map(|second| Step {
        totals: SliceTotals {
            start_unix_ns: START + second * SECOND,
            duration_ns: SECOND,
            observed_ns: SECOND,
            events: 20_000 + second * second % 17 * 1_000,
            ops: 18_000 + second * second % 17 * 900,
            waits: second % 5 * 100,
            wait_ns: second % 5 * 300_000_000,
            lost: u64::from(second == 7) * 12,
            ..SliceTotals::default()
        },
        top_key: Some(Subject::Key { map: "m1".to_owned(), key: "\"user:42\"".to_owned() }),
        top_lock: (second % 5 > 0).then(|| Subject::Lock("l1".to_owned())),
    });
    Picture {
        total: total(),
        last: last(),
        steps: steps.collect(),
        at: None,
        subject: None,
        notices: Vec::new(),
        ended: None,
    }
}

/// The maps of [`picture`].
pub(super) fn app() -> App {
    let mut app = App::new();
    app.update(picture());
    app.on_action(Action::Show(Tab::Maps));
    app
}

/// A run that was watched in windows.
pub(super) fn windowed() -> App {
    let session = crate::model::fixture::windowed();
    let (mut total, last, steps) = (session.summary(50), session.last_summary(50), session.steps());
    crate::findings::attach(&mut total);
    let mut app = App::new();
    app.update(Picture { total, last, steps, ..picture() });
    app.on_action(Action::Show(Tab::Maps));
    app
}

/// What a maker of pictures answers: [`picture`] with what is asked for.
pub(super) fn answer(request: &Request) -> Picture {
    let mut picture = picture();
    let index = request.step.and_then(|start| step_at(&picture.steps, start));
    picture.at = index.map(|index| At { index, summary: of_step(&picture.steps[index]) });
    let steps = picture.steps.iter().map(|step| SubjectStep {
        start_unix_ns: step.totals.start_unix_ns,
        duration_ns: step.totals.duration_ns,
        ops: Some(step.totals.ops / 2),
        ..SubjectStep::default()
    });
    picture.subject = request.subject.clone().map(|subject| (subject, steps.collect()));
    picture
}

/// One map, with as many lookups as the step had operations.
pub(super) fn of_step(step: &Step) -> Summary {
    let mut summary = last();
    summary.window.start_unix_ns = step.totals.start_unix_ns;
    summary.maps.truncate(1);
    summary.maps[0].ops = Ops { lookup: step.totals.ops, ..Ops::default() };
    summary
}

/// With nothing in it.
pub(super) fn empty() -> Picture {
    let mut picture = picture();
    for summary in [&mut picture.total, &mut picture.last] {
        summary.maps.clear();
        summary.locks.clear();
    }
    picture.notices = vec![
        "27 probes are attached and none was hit: the program used no map and waited for no lock."
            .to_owned(),
        "sync.Map is not covered yet.".to_owned(),
    ];
    picture
}

/// With losses.
pub(super) fn lossy() -> Picture {
    let mut picture = picture();
    picture.total.window.lost = BTreeMap::from([
        ("ring full".to_owned(), 12_345),
        ("stacks".to_owned(), 3),
        ("tasks".to_owned(), 0),
    ]);
    picture
}
