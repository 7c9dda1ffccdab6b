//! Pages as lines: goldens of what they say, and that nothing breaks them.

use proptest::prelude::*;
use ratatui::{
    style::{Color, Modifier},
    text::Line,
};

use super::{
    Look, ThemeChoice, detail, flame, graph,
    header::{Time, span_text},
    overview,
    parts::Lines,
};
use crate::model::{
    Frame, Session, SliceTotals, Step, Subject, SubjectStep,
    fixture::session,
    flame::{By, Flame},
    summary::{Caller, Finding, Key, Lock, Map, Mode, Open, Pair, Summary, WaitSum},
};
use crate::view::fixture;

const SIZES: [(usize, usize); 4] = [(120, 40), (80, 24), (60, 24), (40, 12)];
const PLAIN: Look = Look::new(ThemeChoice::None, false);
const ASCII: Look = Look::new(ThemeChoice::None, true);
const SECOND: u64 = 1_000_000_000;

fn text(lines: &[Line<'_>]) -> String {
    let rows: Vec<String> =
        lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect();
    rows.join("\n")
}

fn golden(name: &str, sizes: &[(usize, usize)], page: impl Fn(usize, usize) -> Lines) {
    for &(width, height) in sizes {
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), text(&page(width, height)));
    }
}

/// The past of a session: old steps are longer, and a lock gets busy at the end.
fn steps() -> Vec<Step> {
    let lengths = [16, 16, 8, 8, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 1];
    let mut start = 0;
    let mut steps = Vec::new();
    for (number, seconds) in (0_u64..).zip(lengths) {
        let busy = u64::from(start >= 60) * 4 + 1;
        steps.push(Step {
            totals: SliceTotals {
                start_unix_ns: 1_700_000_000 * SECOND + start * SECOND,
                duration_ns: seconds * SECOND,
                events: 25_000 * seconds,
                ops: (18_000 + 1_300 * (number % 5)) * seconds,
                waits: 580 * busy * seconds,
                wait_ns: (210_000_000 + 9_000_000 * (number % 3)) * busy * seconds,
                lost: 7 * u64::from(number == 4),
                ..SliceTotals::default()
            },
            top_key: Some(Subject::Key { map: "m1".to_owned(), key: "\"user:42\"".to_owned() }),
            top_lock: (number > 0).then(|| Subject::Lock("l1".to_owned())),
        });
        start += seconds;
    }
    steps
}

/// The same of a key that some steps have not kept.
fn subject_steps() -> Vec<SubjectStep> {
    let of = |(number, step): (u64, &Step)| SubjectStep {
        start_unix_ns: step.totals.start_unix_ns,
        duration_ns: step.totals.duration_ns,
        ops: (!(3..6).contains(&number)).then_some(step.totals.ops / 2),
        waits: step.totals.waits / 2,
        wait_ns: step.totals.wait_ns / 2,
        blame_ns: 0,
        len: None,
    };
    (0..).zip(&steps()).map(of).collect()
}

/// The view's fixture with what its JSON does not carry.
fn summary() -> Summary {
    let mut summary = fixture::total();
    let callers = summary.maps[0].callers.clone();
    let key = &mut summary.maps[0].keys[0];
    for (bit, count) in (15..).zip([3, 12, 50, 190, 900, 4_000, 13_000, 9_000, 2_500, 400, 57]) {
        key.wait_hist.record_n(3 << bit, count);
    }
    key.callers = callers[..2].to_vec();
    let lock = &mut summary.locks[0];
    (lock.read, lock.write) = (
        Some(WaitSum { count: 18_008, wait_ns: 31_100_000_000, ..WaitSum::default() }),
        Some(WaitSum { count: 30_112, wait_ns: 61_200_000_000, ..WaitSum::default() }),
    );
    lock.open = vec![
        Open {
            stack: lock.waiters[0].stack.clone(),
            mode: Some(Mode::Write),
            goroutine: Some(17),
            waited_ns: 1_204_000_000,
        },
        Open { stack: Vec::new(), mode: None, goroutine: None, waited_ns: 3_000_000 },
    ];
    crate::findings::attach(&mut summary);
    summary
}

#[test]
fn the_overview_says_what_matters_first() {
    let (summary, steps) = (summary(), steps());
    golden("overview", &SIZES, |width, height| {
        overview::lines(&summary, &steps, width, height, PLAIN)
    });
    let mut calm = summary.clone();
    calm.findings.clear();
    calm.locks.clear();
    calm.maps.truncate(1);
    golden("overview_calm", &SIZES[1..2], |width, height| {
        overview::lines(&calm, &[], width, height, PLAIN)
    });
    golden("overview_ascii", &SIZES[1..2], |width, height| {
        overview::lines(&summary, &steps, width, height, ASCII)
    });
    // Whatever the height, the gravest comes first.
    for height in 1..60 {
        let lines = overview::lines(&summary, &steps, 80, height, PLAIN);
        assert!(lines.len() <= height);
        assert!(lines[0].to_string().starts_with(&summary.findings[0].severity));
    }
}

#[test]
fn the_past_is_drawn_by_time() {
    let steps = steps();
    golden("graph", &SIZES, |width, height| graph::lines(&steps, None, width, height, PLAIN));
    golden("graph_selected", &SIZES[1..], |width, height| {
        graph::lines(&steps, Some(4), width, height, PLAIN)
    });
    golden("graph_ascii", &SIZES[1..2], |width, height| {
        graph::lines(&steps, Some(14), width, height, ASCII)
    });
    let lines = graph::lines(&steps, Some(0), 76, 20, PLAIN);
    // 16 of 67 seconds in 67 columns.
    let marked = lines.iter().flat_map(|line| &line.spans);
    let marked: Vec<usize> = marked
        .filter(|span| span.style.add_modifier.contains(Modifier::REVERSED))
        .map(ratatui::text::Span::width)
        .collect();
    assert!(!marked.is_empty() && marked.iter().all(|&width| width == 16), "{marked:?}");
}

#[test]
fn a_key_is_told_in_full() {
    let (summary, steps) = (summary(), subject_steps());
    let map = &summary.maps[0];
    golden("key", &SIZES, |width, _| {
        detail::key(&summary, map, &map.keys[0], &steps, width, PLAIN)
    });
    let page = |key: usize, steps: &[SubjectStep]| {
        text(&detail::key(&summary, map, &map.keys[key], steps, 80, PLAIN))
    };
    assert!(page(0, &steps).contains("not known: not among the keys that this step kept"));
    let mut known = steps.clone();
    for step in &mut known {
        step.ops = step.ops.or(Some(0));
    }
    assert!(!page(0, &known).contains("not known"));
    assert!(page(4, &[]).contains("up to 1.20k more"), "{}", page(4, &[]));
    assert!(page(4, &[]).contains("was not sampled"));
}

#[test]
fn a_lock_is_told_in_full() {
    let (summary, steps) = (summary(), subject_steps());
    golden("lock", &SIZES, |width, _| {
        detail::lock(&summary, &summary.locks[0], &steps, width, PLAIN)
    });
    golden("pair", &SIZES, |width, _| {
        detail::pair(&summary, &summary.locks[0], &summary.locks[0].pairs[0], width, PLAIN)
    });
    let unknown = &summary.locks[0].pairs[1];
    golden("pair_unknown", &SIZES[1..2], |width, _| {
        detail::pair(&summary, &summary.locks[0], unknown, width, PLAIN)
    });
    golden("lock_ascii", &SIZES[1..2], |width, _| {
        detail::lock(&summary, &summary.locks[0], &steps, width, ASCII)
    });
}

#[test]
fn a_call_site_and_a_map_are_told_in_full() {
    let summary = summary();
    let map = &summary.maps[0];
    golden("site", &SIZES, |width, _| detail::site(&summary, map, &map.callers[0], width, PLAIN));
    golden("map", &SIZES, |width, _| detail::map(map, &subject_steps(), width, PLAIN));
    // With stacks, and figures scaled from a sample.
    let summary = session().summary(10);
    let map = &summary.maps[0];
    golden("site_sampled", &SIZES[1..2], |width, _| {
        detail::site(&summary, map, &map.callers[0], width, PLAIN)
    });
}

fn node(name: &str, own: u64, children: Vec<Flame>) -> Flame {
    let frame = Frame {
        function: name.to_owned(),
        file: Some("/home/dev/shop/shop.go".to_owned()),
        line: Some(7),
        module: None,
    };
    let weight = own + children.iter().map(|child| child.weight).sum::<u64>();
    Flame { frame: Some(frame), weight, own, children }
}

fn tree() -> Flame {
    let narrow = (0..30).map(|n| node(&format!("main.rare{n}"), 2_000_000, Vec::new()));
    let get = node("main.(*Cache).Get", 3_000_000_000, narrow.collect());
    let lock =
        node("sync.(*Mutex).Lock", 0, vec![node("runtime.semacquire1", 6_000_000_000, vec![])]);
    let put = node("example.com/acme/shop.(*Cache[go.shape.string]).Put", 0, vec![lock]);
    let serve = node("main.(*Server).serve", 500_000_000, vec![put, get]);
    let other = node("main.refresh", 1_000_000_000, vec![]);
    let weight = serve.weight + other.weight;
    Flame { frame: None, weight, own: 0, children: vec![serve, other] }
}

#[test]
fn a_flame_is_as_wide_as_it_weighs() {
    let tree = tree();
    golden("flame", &SIZES, |width, height| {
        flame::lines(&tree, By::Wait, &[0, 1], 0, width, height, PLAIN)
    });
    golden("flame_zoomed", &SIZES[1..2], |width, height| {
        flame::lines(&tree, By::Wait, &[0, 1, 7], 2, width, height, PLAIN)
    });
    golden("flame_deep", &[(40, 5), (40, 3), (40, 1)], |width, height| {
        flame::lines(&tree, By::Wait, &[0, 0, 0, 0], 0, width, height, PLAIN)
    });
    golden("flame_ascii", &SIZES[1..2], |width, height| {
        flame::lines(&tree, By::Blame, &[], 0, width, height, ASCII)
    });
    for by in By::ALL {
        let none = flame::lines(&Flame::default(), by, &[], 0, 200, 10, PLAIN);
        assert_eq!(none.len(), 1, "{by}");
        assert!(none[0].to_string().ends_with('.'), "{by}");
    }
}

#[test]
fn the_selected_function_is_reversed_wherever_it_is() {
    let tree = tree();
    for theme in [ThemeChoice::Dark, ThemeChoice::Light, ThemeChoice::None] {
        for path in [&[][..], &[0], &[1], &[0, 0, 0, 0], &[0, 1, 29], &[0, 1, 0], &[9, 9]] {
            for zoom in 0..4 {
                for (width, height) in [(120, 40), (40, 4), (9, 3), (3, 2)] {
                    let look = Look::new(theme, false);
                    let lines = flame::lines(&tree, By::Wait, path, zoom, width, height, look);
                    let spans = lines.iter().flat_map(|line| &line.spans);
                    let selected = spans
                        .filter(|span| span.style.add_modifier.contains(Modifier::REVERSED))
                        .filter(|span| span.width() > 0);
                    assert_eq!(
                        selected.count(),
                        1,
                        "{path:?} {zoom} {width}x{height}\n{}",
                        text(&lines)
                    );
                }
            }
        }
    }
}

#[test]
fn neighbours_differ_in_colour() {
    let children = (0..40).map(|n| node(&format!("f{n}"), 10, vec![])).collect::<Vec<_>>();
    let tree = Flame { frame: None, weight: 400, own: 0, children };
    for theme in [ThemeChoice::Dark, ThemeChoice::Light] {
        for by in By::ALL {
            let lines = flame::lines(&tree, by, &[], 0, 200, 10, Look::new(theme, false));
            let drawn = lines[1].spans.iter().filter(|span| !span.content.is_empty());
            let colors: Vec<Option<Color>> = drawn.map(|span| span.style.bg).collect();
            assert_eq!(colors.len(), 40);
            assert!(colors.iter().all(Option::is_some));
            assert!(colors.windows(2).all(|pair| pair[0] != pair[1]), "{colors:?}");
        }
    }
}

#[test]
fn the_time_shown_is_said() {
    assert_eq!(span_text(Time::All, 83 * SECOND), ["since start 1m23s", "1m23s"]);
    assert_eq!(span_text(Time::Last, SECOND), ["last 1.00s", "last 1.00s"]);
    let step = Time::Step { start_unix_ns: fixture::START, ago_ns: 42 * SECOND };
    assert_eq!(
        span_text(step, 4 * SECOND),
        ["interval 22:13:20 UTC, 42.0s ago, 4.00s long", "22:13:20, 42.0s ago"]
    );
}

/// A summary full of a text.
fn hostile(text: &str) -> (Summary, Vec<Step>, Flame) {
    let mut summary = summary();
    summary.findings.push(Finding {
        rule: text.to_owned(),
        severity: text.to_owned(),
        subject: text.to_owned(),
        message: text.to_owned(),
        evidence: serde_json::Map::new(),
        advice: text.to_owned(),
    });
    summary.window.lost.insert(text.to_owned(), u64::MAX);
    summary.window.not_included = vec![text.to_owned()];
    let frames = |frames: &mut Vec<Frame>| {
        for frame in frames {
            frame.function = text.to_owned();
            frame.file = Some(text.to_owned());
        }
    };
    for map in &mut summary.maps {
        map.id = text.to_owned();
        map.kind = text.to_owned();
        map.label = Some(text.to_owned());
        map.type_name = Some(text.to_owned());
        map.address = Some(text.to_owned());
        for key in &mut map.keys {
            key.key = text.to_owned();
            key.type_name = Some(text.to_owned());
            key.share = f64::NAN;
            key.ops.lookup = u64::MAX;
            key.callers.iter_mut().for_each(|caller| frames(&mut caller.frames));
        }
        map.callers.iter_mut().for_each(|caller| frames(&mut caller.frames));
    }
    for lock in &mut summary.locks {
        lock.id = text.to_owned();
        lock.kind = text.to_owned();
        lock.label = Some(text.to_owned());
        lock.maps = vec![text.to_owned()];
        lock.open_max_ns = u64::MAX;
        lock.open_waits = u64::MAX;
        for pair in &mut lock.pairs {
            for party in [&mut pair.holder, &mut pair.waiter] {
                party.key = Some(text.to_owned());
                frames(&mut party.stack);
            }
        }
        for waiter in &mut lock.waiters {
            waiter.keys.iter_mut().for_each(|part| part.key = text.to_owned());
            frames(&mut waiter.stack);
        }
        lock.holders.iter_mut().for_each(|holder| frames(&mut holder.stack));
        lock.open.iter_mut().for_each(|open| frames(&mut open.stack));
    }
    let mut steps = steps();
    for step in &mut steps {
        step.top_key = Some(Subject::Key { map: text.to_owned(), key: text.to_owned() });
        step.top_lock = Some(Subject::Lock(text.to_owned()));
    }
    steps[2].totals.duration_ns = u64::MAX;
    steps[3].totals.start_unix_ns = 0;
    steps[4].totals.duration_ns = 0;
    steps[5].totals.wait_ns = u64::MAX;
    let leaf = || node(text, 1, vec![]);
    let mut tree = Flame { children: vec![node(text, 5, vec![leaf(), leaf()]), leaf()], ..leaf() };
    tree.frame = None;
    tree.weight = u64::MAX;
    tree.children[0].weight = u64::MAX;
    (summary, steps, tree)
}

/// Every page at a size; those without a height have as many lines as they need.
fn pages(
    (summary, steps, tree): &(Summary, Vec<Step>, Flame),
    width: usize,
    height: usize,
    look: Look,
) -> Vec<(&'static str, Lines, usize)> {
    let (map, one): (&Map, &Lock) = (&summary.maps[0], &summary.locks[0]);
    let (key, caller, pair): (&Key, &Caller, &Pair) =
        (&map.keys[0], &map.callers[0], &one.pairs[0]);
    let past = subject_steps();
    let flame = |path: &[usize], zoom| flame::lines(tree, By::Ops, path, zoom, width, height, look);
    let any = usize::MAX;
    vec![
        ("overview", overview::lines(summary, steps, width, height, look), height),
        ("graph", graph::lines(steps, None, width, height, look), height),
        ("graph selected", graph::lines(steps, Some(3), width, height, look), height),
        ("flame", flame(&[], 0), height),
        ("flame zoomed", flame(&[0, 1], 1), height),
        ("key", detail::key(summary, map, key, &past, width, look), any),
        ("map", detail::map(map, &past, width, look), any),
        ("site", detail::site(summary, map, caller, width, look), any),
        ("lock", detail::lock(summary, one, &past, width, look), any),
        ("pair", detail::pair(summary, one, pair, width, look), any),
    ]
}

#[test]
fn no_page_panics_or_is_too_large_whatever_stands_in_it() {
    let texts = [
        String::new(),
        "\x1b[2J\u{9b}31m\r\n\t\u{202e}\u{200d}x".to_owned(),
        "日本語のお客様".repeat(9),
        "☎\u{fe0f}e\u{301}👩\u{200d}🚀".repeat(9),
        "x".repeat(10_000),
        "a b ".repeat(2_500),
    ];
    let looks = [Look::default(), Look::new(ThemeChoice::Light, false), PLAIN, ASCII];
    for text in texts {
        let input = hostile(&text);
        // Long texts take their time.
        let is_long = text.len() >= 1000;
        let widths: Vec<usize> = if is_long {
            vec![0, 1, 2, 7, 40, 200]
        } else {
            (0..=12).chain([20, 39, 40, 60, 79, 120, 200]).collect()
        };
        for width in widths {
            // Many heights of few widths, and the other way round.
            let heights: &[usize] = if width % 40 == 0 && !is_long {
                &[0, 1, 2, 3, 5, 8, 13, 50, 200]
            } else {
                &[0, 24]
            };
            let look = looks[(width + heights.len()) % looks.len()];
            for &height in heights {
                for (page, lines, most) in pages(&input, width, height, look) {
                    assert!(lines.len() <= most, "{page} at {width}x{height}: {}", lines.len());
                    for line in &lines {
                        assert!(line.width() <= width, "{page} at {width}x{height}: {line}");
                        let text = line.to_string();
                        assert!(!text.contains(char::is_control), "{page}: {text:?}");
                        assert!(!look.is_ascii() || text.is_ascii(), "{page}: {text:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn ascii_pages_are_ascii_and_plain_ones_have_no_colour() {
    let input = (summary(), steps(), tree());
    for (page, lines, _) in pages(&input, 100, 30, ASCII) {
        for line in &lines {
            assert!(line.to_string().is_ascii(), "{page}: {line}");
        }
    }
    let colors = |look: Look| {
        let pages = pages(&input, 100, 30, look).into_iter();
        let lines = pages.flat_map(|(_, lines, _)| lines);
        let styles = lines.flat_map(|line| {
            let own = line.style;
            line.spans.into_iter().map(move |span| own.patch(span.style))
        });
        styles.filter(|style| style.fg.is_some() || style.bg.is_some()).count()
    };
    assert_eq!(colors(PLAIN), 0);
    assert!(colors(Look::default()) > 20 && colors(Look::new(ThemeChoice::Light, false)) > 20);
}

#[test]
fn pages_of_a_session_can_be_drawn() {
    let session: Session = session();
    let (summary, steps) = (session.summary(100), session.steps());
    for map in &summary.maps {
        for key in &map.keys {
            let subject = Subject::Key { map: map.id.clone(), key: key.key.clone() };
            let past = session.subject_steps(&subject);
            let page = detail::key(&summary, map, key, &past, 80, PLAIN);
            assert!(page.iter().all(|line| line.width() <= 80));
        }
    }
    assert!(!overview::lines(&summary, &steps, 80, 24, PLAIN).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_size_will_do(width in 0_usize..=200, height in 0_usize..=200, text in "\\PC{0,40}") {
        let input = hostile(&text);
        for look in [Look::default(), ASCII] {
            for (page, lines, most) in pages(&input, width, height, look) {
                prop_assert!(lines.len() <= most, "{}", page);
                for line in lines {
                    prop_assert!(line.width() <= width, "{}: {}", page, line);
                }
            }
        }
    }
}
