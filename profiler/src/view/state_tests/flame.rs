//! Walking a flame graph, without a terminal.

use super::*;
use crate::model::flame::By;

fn path(app: &App) -> (By, Vec<usize>, usize) {
    let (walk, _) = app.flame().expect("a flame graph");
    (walk.by, walk.path.clone(), walk.zoom)
}

#[test]
fn a_flame_graph_is_walked() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Show(Tab::Locks), Action::Flame]);
    assert_eq!((app.mode(), path(&app)), (Mode::Flame, (By::Wait, vec![], 0)));
    let wait = app.flame().expect("it is open").1.weight;
    assert_eq!(wait, fixture::total().locks[0].waiters.iter().map(|row| row.wait_ns).sum::<u64>());
    act(&mut app, &[Action::Outwards, Action::Inwards, Action::Right, Action::Right]);
    assert_eq!(path(&app), (By::Wait, vec![1], 0));
    act(&mut app, &[Action::Left, Action::Left, Action::Inwards]);
    assert_eq!(path(&app), (By::Wait, vec![0, 0], 0));
    act(&mut app, &[Action::ZoomIn, Action::Outwards]);
    assert_eq!(path(&app), (By::Wait, vec![0, 0], 2));
    act(&mut app, &[Action::Inwards, Action::ZoomOut, Action::Outwards, Action::Outwards]);
    assert_eq!(path(&app), (By::Wait, vec![0], 0));

    act(&mut app, &[Action::NextBy]);
    assert_eq!(path(&app), (By::Blame, vec![], 0));
    act(&mut app, &[Action::NextBy]);
    assert_eq!(path(&app).0, By::Wait);
    act(&mut app, &[Action::ZoomOut]);
    assert_eq!((app.page(), app.tab()), (None, Tab::Locks));

    // Of everything, and of nothing.
    act(&mut app, &[Action::Show(Tab::Overview), Action::Flame]);
    assert!(app.flame_title().expect("it is open").starts_with("wait of everything: "));
    act(&mut app, &[Action::Flame, Action::Show(Tab::Locks), Action::Bottom, Action::Flame]);
    assert!(app.message().expect("a message").starts_with("No stack is known here"));
    assert_eq!(app.page(), None);
}

#[test]
fn the_path_stays_on_its_functions_when_others_get_heavier() {
    let mut app = fixture::app();
    act(&mut app, &[Action::Show(Tab::Locks), Action::Flame, Action::Inwards, Action::Inwards]);
    let function = |app: &App| {
        let (walk, flame) = app.flame().expect("a flame graph");
        let at = walk.path.iter().fold(flame, |at, child| &at.children[*child]);
        at.frame.clone().expect("a function").function
    };
    let before = function(&app);
    let mut turned = fixture::picture();
    let waiters = &mut turned.total.locks[0].waiters;
    waiters[1].wait_ns = waiters[0].wait_ns * 2;
    app.update(turned);
    assert_eq!((function(&app), path(&app).1), (before, vec![1, 0]));
    app.update(fixture::empty());
    assert_eq!(path(&app).1, Vec::<usize>::new());
}
