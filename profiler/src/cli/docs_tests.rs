//! What the documentation tells people to type must be understood.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use probe_ebpf::{CALLERS_PER_TICK, LONG_KEY, STACKS_PER_TICK};

use super::{args::Cli, overhead::DEFAULT_OVERHEAD, usage};
use crate::outside::Shown as _;
use crate::{decode::TOLD_APART, model::Limits, recording::VERSION};

fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let pages = pages.chain([root.join("README.md")]);
    pages.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// What a page says in the place of `{}`, each time that the words around it occur; however its
/// lines are broken.
fn said<'a>(page: &'a str, words: &str) -> Vec<&'a str> {
    let (before, after) = words.split_once("{}").expect("a place");
    let rest = page.match_indices(before).map(|(at, _)| &page[at + before.len()..]);
    rest.filter_map(|rest| rest.split_once(after).map(|(value, _)| value))
        .filter(|value| value.starts_with(|c: char| c.is_ascii_digit()) && !value.contains(' '))
        .collect()
}

#[test]
fn constants_in_the_documentation_are_those_of_the_code() {
    let limits = Limits::default();
    let thousands = |number: usize| format!("{},{:03}", number / 1000, number % 1000);
    let how = |option: &str| {
        let cli = Cli::try_parse_from(["mapprof", "--pid", "1"]).unwrap();
        let how = cli.top.profile.how;
        match option {
            "keys" => how.show.keys.to_string(),
            _ => humantime::format_duration(how.interval.0).to_string(),
        }
    };
    let budget = format!("{}%", DEFAULT_OVERHEAD * 100.0);
    let table = [
        ("recording.md", "version = u32 {} frame", VERSION.to_string()),
        ("README.md", "of one type the first {} are told", TOLD_APART.to_string()),
        ("reading.md", "Of each type the first {} maps", TOLD_APART.to_string()),
        ("README.md", "At most {} maps,", limits.maps.to_string()),
        ("README.md", "maps, {} locks,", limits.locks.to_string()),
        ("README.md", "locks, {} call sites of a map", limits.callers_per_map.to_string()),
        ("README.md", "and {} stacks that wait", limits.waiters.to_string()),
        ("README.md", "Beyond {} keys in all", thousands(limits.total_keys)),
        ("reading.md", "are kept ({} in all)", thousands(limits.total_keys)),
        ("reading.md", "At most {} bytes of a key", LONG_KEY.to_string()),
        ("README.md", "Of keys longer than {} bytes", LONG_KEY.to_string()),
        ("README.md", "(read of each key, {})", LONG_KEY.to_string()),
        ("README.md", "(keys of each map, {})", how("keys")),
        ("README.md", "`--interval {}`", how("interval")),
        ("reading.md", "for the first {} operations of each clock", CALLERS_PER_TICK.to_string()),
        ("reading.md", "the whole stack for the first {}.", STACKS_PER_TICK.to_string()),
        ("budget.md", "``` {} is the default of `top` and `record`", budget.clone()),
        ("README.md", "keep to {} of the program's CPU time", budget),
    ];
    let pages = pages();
    for (name, words, value) in &table {
        let (_, page) = pages.iter().find(|(path, _)| path.ends_with(name)).expect(name);
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = said(&page, words);
        assert!(!said.is_empty(), "{name} no longer says {words:?}: change this table with it");
        assert!(said.iter().all(|it| it == value), "{name}: {words:?} is {value}, not {said:?}");
    }
    // The newest version of the table of versions.
    let (_, page) = pages.iter().find(|(path, _)| path.ends_with("recording.md")).unwrap();
    let rows = page.split("| version | what is new |").nth(1).unwrap().lines();
    let newest = rows.filter_map(|row| row.strip_prefix("| ")?.split_once(' ')).next_back();
    assert_eq!(newest.map(|(version, _)| version), Some(VERSION.to_string().as_str()));
}

#[test]
fn what_a_page_says() {
    assert_eq!(said("at most 12 maps, at most 13 maps", "most {} maps"), ["12", "13"]);
    assert_eq!(said("at most some of the 12 maps, most known maps", "most {} maps"), [""; 0]);
}

/// The command lines of mapprof in fenced blocks, with those that go on joined.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        let block = block.split_once('\n').map_or("", |(_, block)| block).replace("\\\n", " ");
        for line in block.lines() {
            let line = line.trim().trim_start_matches("$ ").trim_start_matches("sudo ");
            if let Some(rest) = line.strip_prefix("mapprof ")
                && !rest.starts_with(' ')
            {
                commands.push(format!("mapprof {rest}"));
            }
        }
    }
    commands
}

/// As a shell would, up to what is another command's.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('|' | '>' | '#' | '&' | ';', None) => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_in_the_documentation_is_understood() {
    let (mut understood, mut wrong) = (0, Vec::new());
    for (path, page) in pages() {
        for command in commands(&page) {
            match Cli::try_parse_from(words(&command)) {
                Ok(cli) => {
                    understood += 1;
                    let ignored = usage::ignored(&cli);
                    wrong.extend(ignored.map(|why| format!("{}: {command}\n{why}", path.shown())));
                }
                // Files that the reader is to write are not there.
                Err(error) if command.contains("--config") => {
                    assert!(error.to_string().contains("No such file"), "{command}: {error}");
                }
                Err(error) => wrong.push(format!("{}: {command}\n{error}", path.shown())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(understood > 20, "only {understood} commands were found");
}

#[test]
fn words_are_a_shells() {
    assert_eq!(words("a --b 'c d' | e"), ["a", "--b", "c d"]);
    assert_eq!(words("a \"b\" > c"), ["a", "b"]);
}
