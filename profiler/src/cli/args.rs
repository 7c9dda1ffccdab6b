//! The command line: what there is to say, and the values it is read into.
//!
//! In: arguments. Out: [`Cli`].

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};
use probe_ebpf::LONG_KEY;

use super::{
    merge::MergeArgs,
    overhead::{DEFAULT_OVERHEAD, MaxOverhead, max_overhead},
    replay::{PartArgs, ReplayArgs},
    tape::RecordArgs,
};
use crate::{
    catalog::{
        With,
        custom::{self, Probe},
    },
    kernel::Method,
    placement::Only,
    report,
    view::{Look, Looks, ThemeChoice},
};

/// Which key and which lock is a running program fighting over?
///
/// mapprof probes the map functions and lock slow paths of a running program that
/// nobody rebuilt or restarted. It needs root, or CAP_BPF and CAP_PERFMON.
#[derive(Debug, Parser)]
#[command(
    name = "mapprof",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(super) struct Cli {
    /// What to do; without one, `top`
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Of `top`.
    #[command(flatten)]
    pub(super) top: TopArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch a program live
    Top(TopArgs),
    /// Profile a program and print one summary
    Stat(StatArgs),
    /// Profile a program into a file
    Record(RecordArgs),
    /// Look at a recording as at a live run, step by step
    Replay(ReplayArgs),
    /// Join recordings of several processes or hosts of one service
    Merge(MergeArgs),
    /// Turn a recording into a report
    Report(ReportArgs),
    /// Say what moved between two recordings, or two parts of one
    Diff(super::diff::DiffArgs),
    /// Show what would be probed, where and at what cost, and attach nothing
    Probes(ProbesArgs),
    /// Say what this kernel and this user can do
    Doctor,
    /// Profile a built-in contended workload
    Demo(DemoArgs),
    /// Write a script that completes the command line in a shell
    Completions(super::completions::CompletionsArgs),
    /// Write the manual pages
    Man(super::completions::ManArgs),
    /// The workload of the demo.
    #[command(name = "__demo-workload", hide = true)]
    DemoWorkload,
    /// Probes that do nothing at mapprof's map sites, for comparison.
    #[command(name = "__empty-probe", hide = true)]
    EmptyProbe(ProfileArgs),
}

/// Which program.
#[derive(Args, Debug, Default)]
#[group(required = true, multiple = false)]
pub(super) struct TargetArgs {
    /// The process with this id
    #[arg(short, long)]
    pub(super) pid: Option<i32>,
    /// The one process of this name (as in /proc/PID/comm)
    #[arg(short, long, value_name = "COMM")]
    pub(super) name: Option<String>,
    /// A command to start; it runs once the probes are in place
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// The probes of a file. A name of its own, since clap would take a `Vec` for an
/// option that may be given again.
type ProbeFile = Vec<Probe>;

/// What to look for in it.
#[derive(Args, Debug, Default)]
#[command(group = ArgGroup::new("own").multiple(true))]
pub(super) struct ChoiceArgs {
    /// Only maps, or only locks
    #[arg(long, value_enum)]
    pub(super) only: Option<OnlyArg>,
    /// Also look at what is left aside by default; several are separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub(super) with: Vec<WithArg>,
    /// Also probe a function of the program's own:
    /// 'ROLE:SYMBOL[@MODULE] key=OPERAND:FORMAT map=OPERAND', as in
    /// 'lookup:my_get key=arg2:str map=arg1' or 'lock:my_lock lock=arg1'; a Go function
    /// with its parameters: 'lookup:main.(*Cache).Get(c recv, key string) key=key map=c'
    #[arg(long = "probe", value_name = "SPEC", value_parser = custom::parse, group = "own")]
    pub(super) probes: Vec<Probe>,
    /// A TOML file of such probes, one [[probe]] for each
    #[arg(long, value_name = "FILE", group = "own",
          value_parser = OsStringValueParser::new().try_map(custom::read))]
    pub(super) config: Option<ProbeFile>,
    /// Only the user's own functions, none of the built-in ones
    #[arg(long, requires = "own")]
    pub(super) no_builtin: bool,
}

impl ChoiceArgs {
    /// The user's own probes.
    pub(super) fn own(&self) -> impl Iterator<Item = &Probe> {
        self.config.iter().flatten().chain(&self.probes)
    }

    /// As placement wants it.
    pub(super) fn only(&self) -> Only {
        match self.only {
            None => Only::All,
            Some(OnlyArg::Maps) => Only::Maps,
            Some(OnlyArg::Locks) => Only::Locks,
        }
    }

    /// As the catalog wants it.
    pub(super) fn with(&self) -> Vec<With> {
        self.with.iter().map(|arg| (*arg).into()).collect()
    }
}

/// `--only`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnlyArg {
    /// Map operations
    Maps,
    /// Lock waits
    Locks,
}

/// `--with`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WithArg {
    /// Waits for Go's sync.WaitGroup
    Waitgroup,
    /// Waits for Go's sync.Cond
    Cond,
    /// Waits for Go's channels (a channel is shown as the address of its lock) and in
    /// select (all are shown as one)
    Chan,
    /// Waits for the Go runtime's own locks (one by one up to Go 1.23, later as one)
    Runtime,
    /// The spinning before a wait for a Go mutex: waits begin where it begins
    Spin,
}

impl From<WithArg> for With {
    fn from(arg: WithArg) -> Self {
        match arg {
            WithArg::Waitgroup => Self::Waitgroup,
            WithArg::Cond => Self::Cond,
            WithArg::Chan => Self::Chan,
            WithArg::Runtime => Self::Runtime,
            WithArg::Spin => Self::Spin,
        }
    }
}

/// What every way of profiling takes.
#[derive(Args, Debug, Default)]
pub(super) struct ProfileArgs {
    /// Which program.
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// What in it.
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    /// How.
    #[command(flatten)]
    pub(super) how: HowArgs,
}

impl ProfileArgs {
    /// The same, for what is left on while a service serves: within a budget unless the
    /// user says otherwise.
    pub(super) fn bounded(mut self) -> Self {
        self.how.max_overhead.get_or_insert(MaxOverhead::Share(DEFAULT_OVERHEAD));
        self
    }
}

/// How to profile.
#[derive(Args, Debug, Default)]
pub(super) struct HowArgs {
    /// End after this long, as in 10s, 500ms, 2m; otherwise when the program ends
    #[arg(short, long, value_parser = duration, allow_hyphen_values = true)]
    pub(super) duration: Option<Duration>,
    /// Length of a slice
    #[arg(long, default_value = "1s", value_parser = interval, allow_hyphen_values = true)]
    pub(super) interval: Interval,
    /// The rest.
    #[command(flatten)]
    pub(super) show: ShowArgs,
    /// Most bytes of each key to read, 1 to 128: of strings and arrays; numbers are read
    /// whole. Longer keys end in … and count as one where these bytes are the same
    #[arg(long, value_name = "N", default_value_t = LONG_KEY as u8,
          value_parser = clap::value_parser!(u8).range(1..=LONG_KEY as i64))]
    pub(super) key_bytes: u8,
    /// Size of each CPU's event buffer, MiB (rounded up to a power of two); more
    /// where events are lost as ring_full
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) ring_mib: Option<u32>,
    /// Most that probes may cost the target, as a share of its CPU time (top, record: 1%;
    /// stat: none). What costs more is watched in short windows, and its figures carry
    /// margins. 'none': everything is watched, whatever it costs, and counts are exact
    #[arg(long, value_name = "SHARE", value_parser = max_overhead)]
    pub(super) max_overhead: Option<MaxOverhead>,
    /// Least time from the beginning of one window on map operations to that of the next:
    /// shorter than is good for figures, to see many windows soon
    #[arg(long, value_name = "TIME", hide = true, value_parser = duration, allow_hyphen_values = true)]
    pub(super) window_period: Option<Duration>,
    /// Most rings, of one CPU each, that a thread reads: fewer than it can, to see several
    /// at work
    #[arg(long, value_name = "N", hide = true)]
    pub(super) rings_per_reader: Option<usize>,
    /// How to attach
    #[arg(long, value_enum, hide = true)]
    pub(super) attach: Option<AttachArg>,
    /// Say more on standard error; twice: the kernel side's debug lines, too
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

/// What of the result to show.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ShowArgs {
    /// Keys of each map to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) keys: usize,
    /// Only maps whose type, label, kind, id or address contains this
    #[arg(long, value_name = "PATTERN")]
    pub(super) map: Option<String>,
    /// Only locks whose label, kind, id or address contains this
    #[arg(long, value_name = "PATTERN")]
    pub(super) lock: Option<String>,
}

/// How the live view is drawn.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct LookArgs {
    /// Colours for a dark or a light terminal, or none [default: none where NO_COLOR is set,
    /// else as COLORFGBG says, else dark]
    #[arg(long, value_enum, value_name = "THEME")]
    pub(super) theme: Option<ThemeArg>,
    /// Draw with ASCII characters only; so it is without a UTF-8 locale
    #[arg(long)]
    pub(super) ascii: bool,
    /// Take the mouse: its wheel scrolls, a click selects; `m` gives it back
    #[arg(long)]
    pub(super) mouse: bool,
}

/// `--theme`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ThemeArg {
    /// For a dark background
    Dark,
    /// For a light background
    Light,
    /// No colours
    None,
}

impl LookArgs {
    /// As the view wants it, in this environment.
    pub(super) fn looks(self) -> Looks {
        self.looks_in(|name| std::env::var_os(name))
    }

    /// Of the locale's variables the first that is set counts (POSIX, Environment
    /// Variables, 8.2).
    fn looks_in(self, variable: impl Fn(&str) -> Option<OsString>) -> Looks {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let theme = match self.theme {
            Some(ThemeArg::Dark) => ThemeChoice::Dark,
            Some(ThemeArg::Light) => ThemeChoice::Light,
            Some(ThemeArg::None) => ThemeChoice::None,
            None => {
                let colors = variable("COLORFGBG");
                let colors = colors.as_deref().and_then(OsStr::to_str);
                ThemeChoice::detect(variable("NO_COLOR").as_deref(), colors)
            }
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let locale = locale.unwrap_or_default().to_string_lossy().to_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        Looks { look: Look::new(theme, self.ascii || !utf8), mouse: self.mouse }
    }
}

/// A slice's length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval(pub(super) Duration);

impl Default for Interval {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

/// A time that something is to last. A sign is taken for a part of it, since it would otherwise
/// be taken for an option that there is not.
fn duration(text: &str) -> Result<Duration, String> {
    if text.starts_with('-') {
        return Err("nothing lasts for less than no time: 10s, 500ms or 2m are meant".to_owned());
    }
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => {
            Err("in no time nothing is seen: 10s, 500ms or 2m are meant".to_owned())
        }
        other => other.map_err(|error| error.to_string()),
    }
}

fn interval(text: &str) -> Result<Interval, String> {
    let duration = duration(text)?;
    let (least, most) = (Duration::from_millis(10), Duration::from_secs(3600));
    if (least..=most).contains(&duration) {
        Ok(Interval(duration))
    } else {
        Err("an interval lasts from 10ms to 1h".to_owned())
    }
}

/// `--attach`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AttachArg {
    /// uprobe_multi links
    Multi,
    /// Perf events
    Perf,
}

impl From<AttachArg> for Method {
    fn from(arg: AttachArg) -> Self {
        match arg {
            AttachArg::Multi => Self::Multi,
            AttachArg::Perf => Self::Perf,
        }
    }
}

/// `mapprof top`
#[derive(Args, Debug, Default)]
pub(super) struct TopArgs {
    /// What and how.
    #[command(flatten)]
    pub(super) profile: ProfileArgs,
    /// How it is drawn.
    #[command(flatten)]
    pub(super) look: LookArgs,
}

/// `mapprof stat`
#[derive(Args, Debug)]
pub(super) struct StatArgs {
    /// What and how.
    #[command(flatten)]
    pub(super) profile: ProfileArgs,
    /// text or json
    #[arg(long, default_value = "text", value_parser = summary_format)]
    pub(super) format: report::Format,
}

fn summary_format(text: &str) -> Result<report::Format, String> {
    match text.parse() {
        Ok(format @ (report::Format::Text | report::Format::Json)) => Ok(format),
        _ => Err("text or json; `mapprof record` and `mapprof report` write the others".to_owned()),
    }
}

/// All formats, with what each is.
fn formats() -> impl TypedValueParser<Value = report::Format> {
    let formats = report::FORMATS.map(|info| PossibleValue::new(info.name).help(info.what));
    PossibleValuesParser::new(formats).try_map(|name| name.parse::<report::Format>())
}

/// `mapprof report`
#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// A recording
    pub(super) recording: PathBuf,
    /// What to write it as
    #[arg(long, default_value = "text", value_parser = formats())]
    pub(super) format: report::Format,
    /// Which part of the recording.
    #[command(flatten)]
    pub(super) part: PartArgs,
    /// What the stacks of folded, flamegraph, pprof and speedscope are weighed by: wait (the
    /// default), blame or ops
    #[arg(long, value_name = "WHAT")]
    pub(super) by: Option<report::By>,
    /// What csv and parquet have a row for: keys (the default), maps, locks, callers, pairs
    /// or steps
    #[arg(long, value_name = "ROWS")]
    pub(super) table: Option<report::Table>,
    /// Where to write; standard output if absent
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Replace the output even where it is a recording
    #[arg(long)]
    pub(super) force: bool,
    /// What of it.
    #[command(flatten)]
    pub(super) show: ShowArgs,
}

/// `mapprof probes`
#[derive(Args, Debug)]
pub(super) struct ProbesArgs {
    /// Which program.
    #[command(flatten)]
    pub(super) target: PlanTargetArgs,
    /// What in it.
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    /// List the functions with this in their names instead, and whether they can be probed
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["probes", "config", "only", "with"])]
    pub(super) find: Option<String>,
    /// text or json
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(super) format: PlanFormat,
}

/// Which program, running or not.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct PlanTargetArgs {
    /// The process with this id
    #[arg(short, long)]
    pub(super) pid: Option<i32>,
    /// The one process of this name
    #[arg(short, long, value_name = "COMM")]
    pub(super) name: Option<String>,
    /// A program's file
    #[arg(short, long, value_name = "FILE")]
    pub(super) exe: Option<PathBuf>,
}

/// How `mapprof probes` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// For reading
    Text,
    /// For programs
    Json,
}

/// `mapprof demo`
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// How.
    #[command(flatten)]
    pub(super) how: HowArgs,
    /// How it is drawn.
    #[command(flatten)]
    pub(super) look: LookArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_is_top() {
        let cli = Cli::try_parse_from(["mapprof", "--pid", "42"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.top.profile.target.pid, Some(42));
    }

    #[test]
    fn one_target_exactly() {
        assert!(Cli::try_parse_from(["mapprof"]).is_err());
        assert!(Cli::try_parse_from(["mapprof", "stat", "--pid", "1", "--name", "x"]).is_err());
        let cli = Cli::try_parse_from(["mapprof", "stat", "--", "ls", "-l"]).unwrap();
        let Some(Command::Stat(args)) = cli.command else { panic!("stat") };
        assert_eq!(args.profile.target.command, ["ls", "-l"]);
    }

    #[test]
    fn switches_are_a_list_with_the_catalogs_names() {
        let parse = |list: &str| Cli::try_parse_from(["mapprof", "--pid", "1", "--with", list]);
        let cli = parse("waitgroup,cond,chan,runtime,spin").unwrap();
        let names: Vec<_> = cli.top.profile.choice.with().iter().map(|with| with.name()).collect();
        assert_eq!(names, ["waitgroup", "cond", "chan", "runtime", "spin"]);
        assert!(parse("channel").is_err());
    }

    #[test]
    fn keys_are_read_in_part_or_whole() {
        let parse = |n: &str| Cli::try_parse_from(["mapprof", "--pid", "1", "--key-bytes", n]);
        assert_eq!(parse("1").unwrap().top.profile.how.key_bytes, 1);
        assert_eq!(parse("128").unwrap().top.profile.how.key_bytes, 128);
        for wrong in ["0", "129", "300", "-1", "x"] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
        let cli = Cli::try_parse_from(["mapprof", "--pid", "1"]).unwrap();
        assert_eq!(cli.top.profile.how.key_bytes, 128);
    }

    #[test]
    fn colours_and_characters_follow_the_environment_and_options_come_first() {
        let looks = |args: &[&str], set: &[(&str, &str)]| {
            let cli = Cli::try_parse_from(["mapprof", "--pid", "1"].iter().chain(args)).unwrap();
            cli.top.look.looks_in(|name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        let utf8 = ("LANG", "de_DE.UTF-8");
        let look = |theme, ascii| Looks { look: Look::new(theme, ascii), mouse: false };
        let (dark, light) = (ThemeChoice::Dark, ThemeChoice::Light);
        assert_eq!(looks(&[], &[utf8]), look(dark, false));
        assert_eq!(looks(&[], &[]), look(dark, true));
        assert_eq!(looks(&["--ascii"], &[utf8]), look(dark, true));
        assert_eq!(looks(&[], &[utf8, ("LC_ALL", "C")]), look(dark, true));
        let ctype = [("LANG", "C"), ("LC_ALL", ""), ("LC_CTYPE", "C.utf8")];
        assert_eq!(looks(&[], &ctype), look(dark, false));
        assert_eq!(looks(&[], &[utf8, ("NO_COLOR", "1")]), look(ThemeChoice::None, false));
        assert_eq!(looks(&[], &[utf8, ("NO_COLOR", "")]), look(dark, false));
        assert_eq!(looks(&[], &[utf8, ("COLORFGBG", "0;15")]), look(light, false));
        let given = looks(&["--theme", "light", "--mouse"], &[utf8, ("NO_COLOR", "1")]);
        assert_eq!(given, Looks { mouse: true, ..look(light, false) });
    }

    #[test]
    fn reports_have_formats_and_tables() {
        let parse = |option: &str, value: &str| {
            Cli::try_parse_from(["mapprof", "report", "run.mprof", option, value])
        };
        for info in &report::FORMATS {
            let Ok(Cli { command: Some(Command::Report(args)), .. }) = parse("--format", info.name)
            else {
                panic!("{}", info.name)
            };
            assert_eq!(args.format, info.format);
        }
        assert!(report::Table::ALL.iter().all(|it| parse("--table", it.name()).is_ok()));
        let error = parse("--format", "pdf").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("speedscope"), "{error}");
        assert_eq!(parse("--table", "chairs").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_time_is_some_time() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for option in ["-d", "--duration", "--interval", "--window-period"] {
            for wrong in ["-1s", "0s"] {
                let cli = Cli::try_parse_from(["mapprof", "stat", "--pid", "1", option, wrong]);
                let error = cli.unwrap_err();
                assert_eq!(error.exit_code(), 2, "{option} {wrong}");
                assert!(error.to_string().contains("no time"), "{error}");
            }
        }
    }

    #[test]
    fn intervals_have_bounds() {
        for wrong in ["0s", "-1s", "2h", "soon"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
        assert_eq!(interval("250ms").unwrap().0, Duration::from_millis(250));
    }
}
