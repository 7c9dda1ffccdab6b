//! Options that have no effect where they are given.
//!
//! In: a command line that is well-formed. Out: the first option in it that would be ignored,
//! and why: whoever typed it expected something.

use super::args::{ChoiceArgs, Cli, Command, OnlyArg, ProbesArgs, ProfileArgs, ReportArgs};
use super::diff::DiffArgs;
use super::tape::RecordArgs;
use crate::report::Format;

/// What in a command line would be ignored.
pub(super) fn ignored(cli: &Cli) -> Option<String> {
    match &cli.command {
        None => of_profile(&cli.top.profile),
        Some(Command::Top(args)) => of_profile(&args.profile),
        Some(Command::Stat(args)) => of_profile(&args.profile),
        Some(Command::Record(args)) => of_record(args),
        Some(Command::Report(args)) => of_report(args),
        Some(Command::Diff(args)) => of_diff(args),
        Some(Command::Probes(ProbesArgs { choice, .. })) => of_choice(choice),
        Some(_) => None,
    }
}

fn of_profile(args: &ProfileArgs) -> Option<String> {
    let (only, show) = (args.choice.only, &args.how.show);
    let pattern = match only {
        Some(OnlyArg::Locks) if show.map.is_some() => "--map chooses among maps",
        Some(OnlyArg::Maps) if show.lock.is_some() => "--lock chooses among locks",
        _ => return of_choice(&args.choice),
    };
    Some(format!("{pattern}, and {} leaves none", only_name(only)))
}

fn of_choice(choice: &ChoiceArgs) -> Option<String> {
    if choice.with.is_empty() {
        return None;
    }
    let switches = "--with turns on built-in probes of waits";
    if choice.no_builtin {
        return Some(format!("{switches}, and --no-builtin leaves none"));
    }
    let only = choice.only.filter(|only| *only == OnlyArg::Maps);
    only.map(|only| format!("{switches}, and {} leaves none", only_name(Some(only))))
}

fn only_name(only: Option<OnlyArg>) -> &'static str {
    match only {
        Some(OnlyArg::Maps) => "--only maps",
        Some(OnlyArg::Locks) => "--only locks",
        None => "nothing",
    }
}

fn of_record(args: &RecordArgs) -> Option<String> {
    let show = &args.profile.how.show;
    let option = [("--map", &show.map), ("--lock", &show.lock)].into_iter();
    let (name, _) = option.into_iter().find(|(_, pattern)| pattern.is_some()).unzip();
    let chosen = name.map(|name| {
        format!("a recording has all that was seen; {name} is for those that show it, as `mapprof report {name} PATTERN`")
    });
    chosen.or_else(|| of_profile(&args.profile))
}

fn of_report(args: &ReportArgs) -> Option<String> {
    let format = args.format;
    if args.table.is_some() && !Format::TABLES.contains(&format) {
        let formats = names(&Format::TABLES.map(Format::name));
        return Some(format!("--table is for {formats}, and the format is {format}"));
    }
    if args.by.is_some() && !Format::STACKS.contains(&format) {
        let formats = names(&Format::STACKS.map(Format::name));
        return Some(format!("--by is for {formats}, and the format is {format}"));
    }
    None
}

fn of_diff(args: &DiffArgs) -> Option<String> {
    args.by_is_ignored().then(|| "--by is for --format flamegraph".to_owned())
}

/// `a, b or c`
fn names(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// Of arguments that are separated by spaces; `_` stands for one inside of them.
    fn why(args: &str) -> Option<String> {
        let words = args.split_whitespace().map(|word| word.replace('_', " "));
        ignored(&Cli::try_parse_from(words).expect(args))
    }

    #[test]
    fn what_would_be_ignored_is_said() {
        for (args, parts) in [
            ("mapprof stat --pid 1 --only locks --map x", ["--map", "--only locks"]),
            ("mapprof --pid 1 --only maps --lock x", ["--lock", "--only maps"]),
            ("mapprof top --pid 1 --only maps --with chan", ["--with", "--only maps"]),
            (
                "mapprof stat --pid 1 --with chan --no-builtin --probe lock:f_lock=arg1",
                ["--with", "--no-builtin"],
            ),
            ("mapprof probes --pid 1 --only maps --with chan", ["--with", "--only maps"]),
            ("mapprof record -o x --pid 1 --map x", ["--map", "mapprof report --map"]),
            ("mapprof record -o x --pid 1 --only maps --with spin", ["--with", "--only maps"]),
            ("mapprof report x --table maps", ["--table", "csv or parquet"]),
            ("mapprof report x --format json --by ops", ["--by", "json"]),
            ("mapprof report x --format csv --by ops", ["--by", "csv"]),
            ("mapprof report x --format folded --table keys", ["--table", "folded"]),
            ("mapprof diff x y --by ops", ["--by", "flamegraph"]),
        ] {
            let why = why(args).unwrap_or_else(|| panic!("{args}: not a word"));
            assert!(parts.iter().all(|part| why.contains(part)), "{args}: {why}");
        }
    }

    #[test]
    fn what_has_an_effect_is_fine() {
        for args in [
            "mapprof --pid 1",
            "mapprof stat --pid 1 --only locks --lock x --with chan",
            "mapprof stat --pid 1 --only maps --map x",
            "mapprof record -o x --pid 1 --keys 7",
            "mapprof report x --format csv --table maps",
            "mapprof report x --format pprof --by blame",
            "mapprof diff x y --format flamegraph --by ops",
            "mapprof doctor",
        ] {
            assert_eq!(why(args), None, "{args}");
        }
    }
}
