//! Names and keys come from the program that is profiled, and may be anything: no format
//! lets them command a terminal, a browser or a spreadsheet, or break its own lines.

use ::parquet::record::{Field, RowAccessor};

use super::tests::{bytes, document_of, summary};
use super::*;
use crate::model::{Frame, fixture};
use crate::units;

fn hostile() -> Vec<String> {
    let words = [
        "\x1b[2J\x1b]0;owned\x07\r\n\0\x7fctrl",
        "\u{9b}31m\u{202e}gnp.exe\u{feff}\u{ad}",
        "<script>alert(1)</script><!-- ]]> &amp; \"'",
        "</pre></title></svg><img src=x onerror=alert(1)>",
        "a,b;c \"quoted\" 'd'\ne\tf\r\ng 12",
        "=cmd|' /C calc'!A0",
        "+1+cmd",
        "@SUM(1+1)",
        "-2+3",
        "'=x",
        "\\u001b \\x1b %0a {{x}} ${x}",
        "größe 日本語 🦀\u{fffe}\u{ffff}",
        "",
    ];
    words.into_iter().map(str::to_owned).chain(["x".repeat(10_000)]).collect()
}

/// A summary that has the text wherever a program can put one.
fn haunted(text: &str) -> Summary {
    let mut summary = summary();
    let name = || text.to_owned();
    let frame = |frame: &mut Frame| {
        (frame.function, frame.file, frame.module) = (name(), Some(name()), Some(name()));
    };
    summary.target.exe = name();
    summary.window.not_included = vec![name()];
    for map in &mut summary.maps {
        (map.type_name, map.label) = (Some(name()), Some(name()));
        map.keys.iter_mut().for_each(|key| (key.key, key.type_name) = (name(), Some(name())));
        map.callers.iter_mut().flat_map(|caller| &mut caller.frames).for_each(frame);
        map.stacks.iter_mut().flat_map(|row| &mut row.stack).for_each(frame);
    }
    for lock in &mut summary.locks {
        lock.label = Some(name());
        for waiter in &mut lock.waiters {
            waiter.stack.iter_mut().for_each(frame);
            waiter.keys.iter_mut().for_each(|part| part.key = name());
        }
        for holder in &mut lock.holders {
            holder.stack.iter_mut().for_each(frame);
            holder.keys.iter_mut().for_each(|part| part.key = name());
        }
        for party in lock.pairs.iter_mut().flat_map(|pair| [&mut pair.holder, &mut pair.waiter]) {
            party.key = Some(name());
            party.stack.iter_mut().for_each(frame);
        }
    }
    summary
}

/// A field of CSV without the apostrophe that keeps it from being a formula.
fn plain(field: &str) -> &str {
    let rest = field.strip_prefix('\'').unwrap_or(field);
    let is_formula = rest.trim_start_matches('\'').starts_with(['=', '+', '-', '@']);
    if is_formula { rest } else { field }
}

#[test]
fn every_format_shows_any_name_safely() {
    for text in hostile() {
        let summary = haunted(&text);
        for format in Format::all() {
            let bytes = bytes(format, By::Wait, &summary)
                .unwrap_or_else(|error| panic!("{format} of {text:?}: {error}"));
            if !format.info().binary {
                let written = std::str::from_utf8(&bytes).unwrap();
                // CSV's lines end in CR LF.
                let written = written.replace("\r\n", "\n");
                let bad = written.chars().find(|&c| c != '\n' && units::is_unsafe(c));
                assert_eq!(bad, None, "{format} of {text:?}");
            }
            check(format, &text, &summary, &bytes);
        }
    }
}

fn check(format: Format, text: &str, summary: &Summary, bytes: &[u8]) {
    let clean = units::clean(text);
    let written = || std::str::from_utf8(bytes).unwrap();
    let key = &summary.maps[0].keys[0];
    match format {
        Format::Text => assert!(written().lines().all(|line| units::width(line) <= 100)),
        Format::Json => {
            let read: Summary = serde_json::from_slice(bytes).unwrap();
            assert_eq!(read.maps[0].keys[0].key, key.key);
            assert_eq!(read.locks[0].waiters, summary.locks[0].waiters);
        }
        Format::Folded => check_folded(summary, written()),
        Format::Flamegraph => check_svg(written()),
        Format::Html => {
            assert!(!written().contains("<script>alert") && !written().contains("<img src=x"));
        }
        Format::Pprof => {
            let profile = read_back::profile(bytes);
            assert!(profile.string_table.iter().any(|string| *string == clean));
            let safe = |string: &String| !string.contains(units::is_unsafe);
            assert!(profile.string_table.iter().all(safe));
        }
        Format::Speedscope => {
            let file: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            assert_eq!(file["shared"]["frames"][0]["name"], clean.as_ref());
        }
        Format::Hgrm => check_percentiles(written(), summary),
        Format::Hlog => {
            let intervals = read_back::intervals(bytes);
            let lines = written().lines().filter(|line| !line.starts_with('#'));
            assert_eq!(lines.count(), intervals.len(), "one line for each");
            let read = intervals.iter().map(|it| it.histogram.len()).sum::<u64>();
            assert_eq!(read, summary.locks.iter().map(|lock| lock.wait.count).sum::<u64>());
        }
        Format::Csv => {
            let mut reader = ::csv::Reader::from_reader(bytes);
            let at = reader.headers().unwrap().iter().position(|name| name == "key").unwrap();
            let row = reader.records().next().unwrap().unwrap();
            assert!(!row[at].starts_with(['=', '+', '@']), "a formula");
            assert_eq!(plain(&row[at]), clean);
        }
        Format::Parquet => {
            let row = &read_back::rows(bytes)[0];
            let at = row.get_column_iter().position(|(name, _)| name == "key").unwrap();
            assert_eq!(row.get_string(at).unwrap(), text, "as it was: typed, and for no eye");
        }
    }
}

fn check_folded(summary: &Summary, written: &str) {
    let depths: Vec<usize> = summary
        .locks
        .iter()
        .flat_map(|lock| &lock.waiters)
        .map(|waiter| waiter.stack.len())
        .collect();
    for line in written.lines() {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        assert!(weight.parse::<u64>().is_ok(), "{line}");
        assert!(depths.contains(&stack.split(';').count()), "{line}");
    }
}

fn check_svg(written: &str) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let svg = roxmltree::Document::parse_with_options(written, options).unwrap();
    let scripts = svg
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "script")));
    assert_eq!(scripts.count(), 1, "the picture's own");
    assert!(svg.descendants().all(|node| node.tag_name().name() != "img"));
}

fn check_percentiles(written: &str, summary: &Summary) {
    let rows = written.lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<Vec<f64>> = rows
        .map(|line| line.split_whitespace().map_while(|word| word.parse().ok()).collect())
        .filter(|row: &Vec<f64>| !row.is_empty())
        .collect();
    assert!(rows.iter().all(|row| row.len() >= 3), "{written}");
    let waits: u64 = summary.locks.iter().map(|lock| lock.wait.count).sum();
    assert!((rows.last().unwrap()[2] - waits as f64).abs() < f64::EPSILON);
}

/// What a damaged recording says may be any number; readers' sums must not overflow.
#[test]
fn sums_of_the_largest_figures_fit_their_formats() {
    let mut summary = summary();
    for waiter in summary.locks.iter_mut().flat_map(|lock| &mut lock.waiters) {
        (waiter.wait_ns, waiter.count) = (u64::MAX, u64::MAX);
    }
    let gzipped = bytes(Format::Pprof, By::Wait, &summary).unwrap();
    let samples = read_back::profile(&gzipped).sample;
    for at in [0, 1] {
        let sum = samples.iter().try_fold(0_i64, |sum, sample| sum.checked_add(sample.value[at]));
        assert_eq!(sum, Some(i64::MAX));
    }
    let json = bytes(Format::Speedscope, By::Wait, &summary).unwrap();
    let file: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let weights = file["profiles"][0]["weights"].as_array().unwrap();
    let sum: u64 = weights.iter().map(|weight| weight.as_u64().unwrap()).sum();
    assert_eq!((sum, file["profiles"][0]["endValue"].as_u64()), ((1 << 53) - 1, Some(sum)));
}

/// Where the same name comes twice it is still told apart by what it belongs to.
#[test]
fn tables_and_profiles_keep_their_sums_with_any_name() {
    for text in hostile() {
        let (session, summary) = (fixture::session(), haunted(&text));
        let document = document_of(&session, &summary);
        for by in By::ALL {
            let weights = crate::model::flame::stacks(&summary, by);
            let profile = read_back::profile(&render(Format::Pprof, by, &document).unwrap());
            let sum = |of: &dyn Fn(&Vec<i64>) -> i64| {
                profile.sample.iter().map(|sample| of(&sample.value)).sum::<i64>() as u64
            };
            let last = sum(&|values| *values.last().unwrap());
            assert_eq!(last, weights.iter().map(|row| row.weight).sum::<u64>(), "{by}");
            assert_eq!(
                sum(&|values| values[0]),
                weights.iter().map(|row| row.count).sum::<u64>(),
                "{by}"
            );
        }
        let table = render(Format::Parquet, Options::default(), &document).unwrap();
        let keys = read_back::rows(&table);
        assert_eq!(keys.len(), summary.maps.iter().map(|map| map.keys.len()).sum::<usize>());
        let ops = keys.iter().flat_map(|row| row.get_column_iter());
        let ops = ops.filter_map(|(name, field)| match (name.as_str(), field) {
            ("ops", Field::Long(n)) => Some(*n as u64),
            _ => None,
        });
        let known = summary.maps.iter().flat_map(|map| &map.keys).map(|key| key.ops.total());
        assert_eq!(ops.sum::<u64>(), known.sum::<u64>());
    }
}
