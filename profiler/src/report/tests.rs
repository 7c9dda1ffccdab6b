use unicode_width::UnicodeWidthStr;

use super::*;
use crate::findings;
use crate::model::summary::Waiter;
use crate::model::{Frame, Session, TargetInfo, fixture, hist::WaitHist};

/// Keys as many as `stat` shows by default and more.
const KEYS: usize = 12;

pub(super) fn summary() -> Summary {
    summary_of(&fixture::session())
}

pub(super) fn summary_of(session: &Session) -> Summary {
    let mut summary = session.summary(KEYS);
    findings::attach(&mut summary);
    summary
}

pub(super) fn empty() -> Summary {
    Session::new(TargetInfo { pid: 1, exe: "/bin/true".to_owned(), ..TargetInfo::default() })
        .summary(KEYS)
}

pub(super) fn document_of<'a>(session: &'a Session, summary: &'a Summary) -> Document<'a> {
    Document { session, summary }
}

/// The summary in this format, with the past of the fixture.
pub(super) fn bytes(format: Format, by: By, summary: &Summary) -> Result<Vec<u8>, ReportError> {
    render(format, by, &document_of(&fixture::session(), summary))
}

pub(super) fn rendered_by(format: Format, by: By, summary: &Summary) -> String {
    String::from_utf8(bytes(format, by, summary).unwrap()).unwrap()
}

pub(super) fn rendered(format: Format, summary: &Summary) -> String {
    rendered_by(format, By::Wait, summary)
}

#[test]
fn text_says_how_much_keys_without_room_may_have() {
    let mut summary = summary();
    assert!(!rendered(Format::Text, &summary).contains("had no room"));
    summary.maps[0].keys_floor = 1234;
    let text = rendered(Format::Text, &summary);
    assert!(
        text.contains("keys that had no room are not listed; none has more than 1.23k"),
        "{text}"
    );
}

#[test]
fn flamegraphs_say_what_they_are_by() {
    for (by, title, frame) in [
        (By::Blame, "690ms in 132 waits within 3.00s", "main.(*Cache).Refresh"),
        (By::Ops, "8.18k operations, from 105 sampled stacks within 3.00s", "main.(*Cache).Put"),
    ] {
        let svg = rendered_by(Format::Flamegraph, by, &summary());
        assert!(svg.contains(title) && svg.contains(frame), "{svg}");
    }
}

#[test]
fn without_stacks_there_is_nothing_to_draw_by_them() {
    for (by, words) in [(By::Blame, "no holder of"), (By::Ops, "no stack of a map operation")] {
        for format in [Format::Folded, Format::Flamegraph] {
            let error = bytes(format, by, &empty()).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
    assert!("weight".parse::<By>().unwrap_err().to_string().contains("wait, blame or ops"));
}

#[test]
fn text_fits_and_commands_no_terminal() {
    let mut wide = summary();
    wide.maps[0].label = Some("wide ".repeat(100));
    wide.maps[0].keys[0].key = format!("\"{}\"", "日".repeat(5_000));
    wide.locks[0].waiters[0].stack[0].function = "main.x".repeat(100);
    wide.target.exe = format!("/{}", "d/".repeat(300));
    wide.findings[0].message = "\x1b]0;owned\x07".repeat(50);
    for text in [summary(), wide, empty()].map(|summary| rendered(Format::Text, &summary)) {
        for line in text.lines() {
            assert!(line.width() <= 100, "{} columns: {line}", line.width());
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        assert!(text.ends_with('\n'));
    }
}

#[test]
fn text_names_the_keys_that_are_slow_and_not_hot() {
    let text = rendered(Format::Text, &summary());
    assert!(text.contains("529ms  \"user:7\""), "{text}");
    let mut quick = summary();
    quick.maps[0].keys.iter_mut().for_each(|key| (key.wait, key.blame) = (None, None));
    assert!(!rendered(Format::Text, &quick).contains("share     ops           wait"), "{text}");
}

#[test]
fn text_tells_a_length_that_falls() {
    let mut summary = summary();
    (summary.maps[0].len, summary.maps[0].len_first) = (Some(3), Some(40));
    assert!(rendered(Format::Text, &summary).contains("3 elements (-37 since first seen)"));
}

#[test]
fn text_tells_call_sites_apart_that_are_inlined_into_several_functions() {
    let mut summary = summary();
    let map = &mut summary.maps[0];
    let caller = |functions: &[&str]| {
        let mut caller = map.callers[0].clone();
        let frame = caller.frames[0].clone();
        let named = |name: &&str| Frame { function: (*name).to_owned(), ..frame.clone() };
        caller.frames = functions.iter().map(named).collect();
        caller
    };
    map.callers =
        [&["get", "one"][..], &["get", "two"], &["put", "three"], &["solo"]].map(caller).into();
    let text = rendered(Format::Text, &summary);
    let at = "(cache.go:42)";
    for line in [format!(" get {at} ← one {at}\n"), format!(" get {at} ← two {at}\n")] {
        assert!(text.contains(&line), "{text}");
    }
    assert!(text.contains(&format!(" put {at}\n")) && text.contains(&format!(" solo {at}\n")));
}

#[test]
fn text_says_when_a_part_is_empty() {
    let mut no_locks = summary();
    no_locks.locks.clear();
    assert!(rendered(Format::Text, &no_locks).contains("nobody waited"));
    let mut no_maps = summary();
    no_maps.maps.clear();
    assert!(rendered(Format::Text, &no_maps).contains("no map operation was seen"));
}

#[test]
fn text_tells_the_margin_of_a_key() {
    let mut summary = summary();
    assert!(!rendered(Format::Text, &summary).contains("up to n more"));
    summary.maps[0].keys[1].margin = 12;
    let text = rendered(Format::Text, &summary);
    assert!(text.contains("up to n more") && text.contains(" 198 +12 "), "{text}");
}

#[test]
fn json_is_read_back_as_it_was() {
    let mut before = summary();
    let after: Summary = serde_json::from_str(&rendered(Format::Json, &before)).unwrap();
    for lock in &mut before.locks {
        lock.wait_hist = WaitHist::default();
        lock.hold_hist = WaitHist::default();
    }
    for key in before.maps.iter_mut().flat_map(|map| &mut map.keys) {
        key.wait_hist = WaitHist::default();
        key.blame_hist = WaitHist::default();
    }
    assert_eq!(after, before);
}

#[test]
fn without_waits_there_is_nothing_to_draw() {
    let mut no_time = summary();
    for waiter in no_time.locks.iter_mut().flat_map(|lock| &mut lock.waiters) {
        waiter.wait_ns = 0;
    }
    for summary in [empty(), no_time] {
        for format in [Format::Folded, Format::Flamegraph] {
            let error = bytes(format, By::Wait, &summary).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("no lock waits were recorded, so there is nothing to draw")
            );
        }
    }
}

#[test]
fn folded_lines_survive_any_name() {
    let mut summary = summary();
    summary.locks.truncate(1);
    let nasty = ["a;b", "a\nb 5", "<X as Y>::f 12", "", "  7", "x 1.5", "\u{2028} 3"];
    summary.locks[0].waiters = nasty
        .iter()
        .zip(1..)
        .map(|(function, wait_ns)| {
            let mut stack = summary.locks[0].waiters[0].stack.clone();
            (*function).clone_into(&mut stack[0].function);
            Waiter { stack, count: 1, wait_ns, ..Waiter::default() }
        })
        .collect();
    let depth = summary.locks[0].waiters[0].stack.len();
    let text = rendered(Format::Folded, &summary);
    let mut weights: Vec<u64> = Vec::new();
    for line in text.lines() {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        assert_eq!(stack.split(';').count(), depth, "{line}");
        let last = stack.rsplit(' ').next().unwrap();
        assert!(
            !stack.contains(' ') || !last.chars().all(|c| c.is_ascii_digit() || c == '.'),
            "{line}"
        );
        weights.push(weight.parse().unwrap());
    }
    weights.sort_unstable();
    assert_eq!(weights, [1, 2, 3, 4, 5, 6, 7]);
    let svg = rendered(Format::Flamegraph, &summary);
    assert!(svg.contains("total_samples=\"28\""));
}

#[test]
fn every_format_copes_with_the_largest_figures() {
    let mut summary = summary();
    for lock in &mut summary.locks {
        (lock.wait.sum_ns, lock.wait.count) = (u64::MAX, u64::MAX);
        lock.waiters.iter_mut().for_each(|waiter| waiter.wait_ns = u64::MAX);
    }
    for map in &mut summary.maps {
        (map.ops.lookup, map.ops.insert) = (u64::MAX, u64::MAX);
        map.callers.iter_mut().for_each(|caller| caller.ops.lookup = u64::MAX);
    }
    summary.window.observed_ns = u64::MAX;
    summary.window.lost.insert("made_up".to_owned(), u64::MAX);
    findings::attach(&mut summary);
    for format in Format::all() {
        assert!(!bytes(format, By::Wait, &summary).unwrap().is_empty(), "{format}");
    }
}

#[test]
fn the_flame_graph_carries_no_foreign_markup() {
    let svg = rendered(Format::Flamegraph, &summary());
    assert!(!svg.contains("<script>alert"));
    assert!(svg.contains("&lt;script&gt;alert"));
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
}
