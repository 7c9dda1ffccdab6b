//! Whatever may be done, and whatever may be shown.

use super::*;
use crate::{
    model::{Subject, SubjectStep},
    view::{At, keys::BINDINGS},
};

pub(in crate::view) fn any_action() -> impl Strategy<Value = Action> {
    use Action as A;
    let bound: Vec<Action> = BINDINGS.iter().map(|binding| binding.action).collect();
    let fixed = prop::sample::select(bound);
    let wheel = prop::sample::select(vec![A::WheelUp, A::WheelDown]);
    let click = (0..210u16, 0..70u16).prop_map(|(x, y)| A::Click(x, y));
    prop_oneof![
        8 => fixed,
        2 => any::<char>().prop_map(A::Type),
        1 => wheel,
        1 => click,
    ]
}

prop_compose! {
    /// A picture of any text and figures, with some of the fixture's rows.
    pub(in crate::view) fn any_picture()(
        text in "\\PC{0,9}|.{0,9}",
        figure in prop_oneof![Just(0), Just(1), 0..u64::MAX / 8, 0..2_000_000u64],
        share in any::<f64>(),
        maps in 0..5usize,
        locks in 0..5usize,
        keys in 0..8usize,
        turn in 0..4usize,
        at in prop::option::of(0..50usize),
        subject in any::<bool>(),
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
                for waiter in &mut lock.waiters {
                    waiter.wait_ns = figure;
                    waiter.stack.truncate(turn);
                }
                for pair in &mut lock.pairs {
                    pair.wait_ns = figure;
                    pair.holder.key = Some(text.clone());
                    pair.holder.stack.truncate(turn);
                }
                lock.kind.clone_from(&text);
                lock.wait.max_ns = figure;
                lock.wait.sum_ns = figure;
                lock.wait_hist.record_n(figure, figure.saturating_mul(9));
            }
        }
        picture.notices = vec![text; turn];
        picture.steps.rotate_left(turn);
        picture.steps.truncate(keys * 5);
        for step in picture.steps.iter_mut().take(turn) {
            step.totals.duration_ns = figure;
            step.totals.ops = figure;
            step.totals.start_unix_ns = figure;
        }
        let summary = picture.last.clone();
        picture.at = at.map(|index| At { index, summary });
        let key = Subject::Key { map: "m1".to_owned(), key: "\"user:42\"".to_owned() };
        let step = SubjectStep { ops: Some(figure), wait_ns: figure, ..SubjectStep::default() };
        picture.subject = subject.then(|| (key, vec![step; keys]));
        picture
    }
}
