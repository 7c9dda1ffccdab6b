//! What can be done where nothing is probed by itself.
//!
//! In: a target in which the catalog finds nothing, and this command line. Out: what the
//! program is, and commands to paste that give something.

use std::{ffi::OsString, fmt::Write as _};

use crate::{
    catalog::{ELSEWHERE, WORTH, Worth, custom},
    placement::{self, Only, Plan},
    target::{Target, demangle},
    units,
};

/// Candidates that are listed.
const MOST_CANDIDATES: usize = 10;
/// Commands in front of which options may stand.
const COMMANDS: [&str; 4] = ["top", "stat", "record", "probes"];

/// Why a program has nothing to probe, and what to do.
pub(super) fn nothing_to_probe(target: &Target, plan: &Plan) -> String {
    text(target, plan, &std::env::args_os().collect::<Vec<_>>())
}

fn text(target: &Target, plan: &Plan, arguments: &[OsString]) -> String {
    let name = target.name();
    let portrait = target.portrait();
    let mut text = format!("nothing to probe in {name}: {}.\n", portrait.describe());
    text.push_str(
        "By itself mapprof finds the maps and locks of Go, and the locks of Rust (std's, \
         parking_lot's, dashmap's).",
    );
    if portrait.made_of.contains(&"Rust") {
        text.push_str(if portrait.is_stripped {
            " Those of Rust it finds by their symbols, which this program was stripped of: build \
             it with strip = \"debuginfo\" or strip = false in Cargo's profile."
        } else {
            " This program has none of Rust's: it takes no such lock, or they are for another \
             platform than futexes."
        });
    }
    // What is there and cannot be probed; that the rest is not there goes without saying.
    for left in plan.left_out.iter().filter(|left| left.module.is_some()) {
        let _ = write!(text, "\n  {}: {}", left.function, left.reason);
    }
    let offers: Vec<&Worth> = WORTH.iter().filter(|worth| can_be_had(target, worth)).collect();
    let (locks, maps): (Vec<&Worth>, Vec<&Worth>) =
        offers.into_iter().partition(|worth| worth.probe.starts_with("lock:"));
    for (kind, offers) in [("Waits for locks", locks), ("Operations on maps", maps)] {
        if offers.is_empty() {
            continue;
        }
        let mut what: Vec<&str> = offers.iter().map(|worth| worth.what).collect();
        what.dedup();
        let _ = write!(text, "\n{kind} can be had now ({}):", what.join("; "));
        let probes = offers.iter().map(|worth| worth.probe);
        let _ = write!(text, "\n  {}", command(arguments, probes));
    }
    for (_, why) in ELSEWHERE.iter().filter(|(runtime, _)| portrait.made_of.contains(runtime)) {
        let _ = write!(text, "\nNote: {why}.");
    }
    let candidates = candidates(target);
    if !candidates.is_empty() {
        let _ =
            write!(text, "\nFunctions of its own that may be worth one: {}", candidates.join(", "));
    }
    let _ = write!(
        text,
        "\nOthers are found by a part of their names, with what a probe there costs:\n  {} --find get\n\
         docs/own-maps.md says how to write a probe. A function of the source that is not there \
         has been inlined: probe what it calls or who calls it.",
        probes_command(target, arguments)
    );
    text
}

/// Whether the program has the function, and a probe can be put there.
fn can_be_had(target: &Target, worth: &Worth) -> bool {
    let entries = custom::parse(worth.probe).and_then(|probe| probe.entries(target));
    entries.is_ok_and(|entries| {
        let plan = placement::plan(target, &entries, Only::All);
        !plan.sites.is_empty() && plan.require().is_ok()
    })
}

/// This command line with these probes.
fn command<'a>(arguments: &[OsString], probes: impl Iterator<Item = &'a str>) -> String {
    let mut words: Vec<String> = arguments.iter().map(|it| it.to_string_lossy().into()).collect();
    if words.is_empty() {
        words.push("mapprof".to_owned());
    }
    let has_command = words.get(1).is_some_and(|word| COMMANDS.contains(&word.as_str()));
    let at = if has_command { 2 } else { 1 };
    let added = probes.flat_map(|probe| ["--probe".to_owned(), probe.to_owned()]);
    words.splice(at..at, added);
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A command line that looks into the program.
fn probes_command(target: &Target, arguments: &[OsString]) -> String {
    let name = arguments.first().map_or("mapprof".into(), |name| name.to_string_lossy());
    let is_launched = arguments.iter().any(|argument| argument == "--");
    let program = match target.pid() {
        Some(pid) if !is_launched => format!("--pid {pid}"),
        _ => format!("--exe {}", quoted(&target.exe().to_string_lossy())),
    };
    format!("{} probes {program}", quoted(&name))
}

/// A word as a shell takes it (POSIX, Shell Command Language, 2.2.2; 2.2.4 where it has
/// characters that a terminal would obey).
fn quoted(word: &str) -> String {
    if word.contains(units::is_unsafe) {
        let mut text = String::new();
        for c in word.chars() {
            if units::is_unsafe(c) {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:03o}");
                }
            } else if matches!(c, '\'' | '\\') {
                text.extend(['\\', c]);
            } else {
                text.push(c);
            }
        }
        return format!("$'{text}'");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Functions of the program itself that are named like operations of maps, or like locks.
fn candidates(target: &Target) -> Vec<String> {
    const THINGS: [&str; 8] = ["hash", "map", "table", "cache", "dict", "tree", "store", "assoc"];
    const DEEDS: [&str; 10] =
        ["get", "lookup", "find", "search", "insert", "put", "add", "set", "delete", "remove"];
    let functions = target.modules()[0].image.functions();
    let mut names: Vec<(usize, String)> = functions
        .filter_map(|function| {
            let name = demangle(function.name.raw()).into_owned();
            let lower = name.to_lowercase();
            let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
            // Libraries that were linked in have such functions by the hundred.
            let is_own = !["std::", "core::", "alloc::", "__", "<", "_nl_", "_dl_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            (is_own && name.len() < 80 && has(&THINGS) && has(&DEEDS)).then_some((name.len(), name))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().take(MOST_CANDIDATES).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn probes_go_where_options_may_stand() {
        let with = |words: &[&str]| command(&arguments(words), ["lock:f lock=arg1"].into_iter());
        assert_eq!(with(&["mapprof", "-p", "7"]), "mapprof --probe 'lock:f lock=arg1' -p 7");
        assert_eq!(
            with(&["./mapprof", "stat", "--", "it's", "stat"]),
            r"./mapprof stat --probe 'lock:f lock=arg1' -- 'it'\''s' stat"
        );
        assert_eq!(with(&[]), "mapprof --probe 'lock:f lock=arg1'");
    }

    #[test]
    fn words_that_a_terminal_would_obey_are_one_line_for_a_shell() {
        let word = "it's\x1b[2J a\\b\nFORGED\u{9b}";
        let quoted = quoted(word);
        assert_eq!(quoted, r"$'it\'s\033[2J a\\b\012FORGED\302\233'");
        let script = format!("printf %s {quoted}");
        let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
    }

    #[test]
    fn a_program_is_looked_into_by_what_it_was_named_by() {
        let target = Target::of_process(std::process::id() as i32).unwrap();
        let running = probes_command(&target, &arguments(&["mapprof", "stat", "-p", "7"]));
        assert_eq!(running, format!("mapprof probes --pid {}", std::process::id()));
        let launched = probes_command(&target, &arguments(&["mapprof", "stat", "--", "x"]));
        assert!(launched.starts_with("mapprof probes --exe /"), "{launched}");
    }
}
