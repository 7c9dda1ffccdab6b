//! Parks in any order, and what is made of them.

use super::*;
use crate::decode::blame::Holder;

fn park(wait_ns: u64, part: u8, start_ns: u64, end_ns: u64) -> Segment {
    Segment {
        lock: 1,
        address: 0xc000,
        mode: None,
        place: Arc::default(),
        goid: 9,
        start_ns,
        end_ns,
        wait_ns,
        part,
    }
}

/// Beginnings and ends of what is delivered.
fn settle(settler: &mut Settler, until_ns: u64, go_on: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut waits = Vec::new();
    let go_on = go_on.iter().copied().collect();
    settler.settle_newest(until_ns, &go_on, &Blame::default(), |it| {
        waits.push((it.whole.start_ns, it.whole.end_ns));
    });
    waits
}

#[test]
fn one_park_is_one_wait_after_the_grace() {
    let mut settler = Settler::default();
    settler.segment(7, park(100, 0, 100, 400));
    assert!(settle(&mut settler, 399 + GRACE_NS, &[]).is_empty());
    assert_eq!(settle(&mut settler, 400 + GRACE_NS, &[]), [(100, 400)]);
    assert!(settle(&mut settler, u64::MAX, &[]).is_empty());
}

#[test]
fn parks_of_one_wait_are_joined_with_the_gap_between_them_in_any_order() {
    let parks = [park(90, 0, 100, 400), park(90, 1, 450, 900), park(90, 2, 910, 920)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut settler = Settler::default();
        for at in order {
            settler.segment(7, parks[at].clone());
        }
        assert_eq!(settle(&mut settler, u64::MAX, &[]), [(90, 920)], "{order:?}");
    }
}

/// Not to an older one, although it waited again: its first entry came to no park.
#[test]
fn a_park_is_joined_to_none_but_its_own_wait() {
    let mut settler = Settler::default();
    settler.segment(7, park(100, 0, 100, 400));
    settler.segment(7, park(5000, 0, 5100, 5200));
    assert_eq!(settle(&mut settler, u64::MAX, &[]), [(100, 400), (5000, 5200)]);
}

#[test]
fn what_is_left_of_a_wait_begins_with_what_is_left() {
    let mut settler = Settler::default();
    settler.segment(7, park(100, 2, 450, 900));
    assert_eq!(settle(&mut settler, u64::MAX, &[]), [(450, 900)]);
}

#[test]
fn a_later_wait_of_the_task_says_that_one_is_over_whichever_comes_first() {
    for order in [[0, 1], [1, 0]] {
        let mut settler = Settler::default();
        for at in order {
            settler.segment(7, [park(100, 0, 100, 400), park(500, 0, 500, 600)][at].clone());
        }
        let mut waits = Vec::new();
        settler.settle(399 + GRACE_NS, &Blame::default(), |_| panic!("too early"));
        settler.settle(u64::MAX, &Blame::default(), |settled| waits.push(settled.ns()));
        assert_eq!(waits, [300]);
        settler.finish(&GoOn::new(), &Blame::default(), |settled| waits.push(settled.ns()));
        assert_eq!(waits, [300, 100]);
    }
}

#[test]
fn a_wait_that_goes_on_is_not_a_finished_one() {
    let mut settler = Settler::default();
    settler.segment(7, park(100, 0, 100, 400));
    assert!(settle(&mut settler, u64::MAX, &[(7, 100)]).is_empty());
    settler.finish(&[(7, 100)].into(), &Blame::default(), |_| panic!("it goes on"));
    settler.segment(7, park(100, 0, 100, 400));
    assert_eq!(settle(&mut settler, u64::MAX, &[(7, 99), (8, 100)]), [(100, 400)]);
}

#[test]
fn a_park_that_comes_late_lengthens_its_wait() {
    let mut settler = Settler::default();
    settler.segment(7, park(100, 0, 100, 400));
    settler.segment(7, park(2000, 0, 2000, 2100));
    settler.segment(7, park(100, 1, 450, 900));
    let mut waits = Vec::new();
    settler.settle(400 + GRACE_NS, &Blame::default(), |_| panic!("too early"));
    settler.settle(900 + GRACE_NS, &Blame::default(), |settled| waits.push(settled.ns()));
    assert_eq!(waits, [800]);
    assert!(settler.over.is_empty());
}

#[test]
fn two_calls_of_a_writer_are_two_waits() {
    let mut settler = Settler::default();
    let elsewhere = Arc::new(WaitPlace { origin: 5, ..WaitPlace::default() });
    settler.segment(7, Segment { place: elsewhere, ..park(100, 1, 450, 900) });
    settler.segment(7, park(100, 0, 100, 400));
    assert_eq!(settle(&mut settler, u64::MAX, &[]), [(100, 400), (450, 900)]);
}

/// Who is woken for a file descriptor and finds it taken waits again, as if for the first time.
#[test]
fn a_descriptors_retries_are_one_wait() {
    let place = WaitPlace { kind: catalog::FD_MUTEX.into(), ..WaitPlace::default() };
    let place = Arc::new(place);
    let park = |start_ns, end_ns| Segment {
        place: Arc::clone(&place),
        ..park(start_ns, 0, start_ns, end_ns)
    };
    let parks = [park(100, 400), park(900, 1000), park(1001 + RETRY_NS, 9000)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut settler = Settler::default();
        for at in &order {
            settler.segment(7, parks[*at].clone());
        }
        assert_eq!(settle(&mut settler, u64::MAX, &[]), [(100, 1000), (1001 + RETRY_NS, 9000)]);
    }
    let mut blame = Blame::default();
    blame.release(0xc000, 7, 500, Holder { actor: 1, mode: None, goid: 9 });
    let mut settler = Settler::default();
    for it in parks {
        settler.segment(7, it);
    }
    let mut waits = Vec::new();
    settler.finish(&GoOn::new(), &blame, |settled| waits.push(settled.ns()));
    assert_eq!(waits, [300, 100, 7999 - RETRY_NS], "it had it in between");
}

#[test]
fn nothing_stays() {
    let mut settler = Settler::default();
    for round in 0..1000 {
        let start_ns = 1000 * round;
        settler.segment(round % 7, park(start_ns, 0, start_ns, start_ns + 10));
        settler.settle(start_ns, &Blame::default(), drop);
    }
    settle(&mut settler, u64::MAX, &[]);
    assert!(settler.tasks.is_empty() && settler.over.is_empty());
}
