//! `cargo xtask soak`: thousands of windows on programs at full load, which check their own
//! results, and whose code is compared with its file afterwards.
//!
//! Windows come at most ten times a second, which is good for figures and slow for this: ten
//! thousand would take over a quarter of an hour. So mapprof is told to begin them sooner one
//! after the other (its hidden `--window-period`), and given a budget that lets it; what a
//! window does to the program is the same.
//!
//! In: how many windows. Out: a line for each run, and failure unless all went well.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::run as run_command;
use mapprof_tests::mapprof::{Outcome, Running};
use mapprof_tests::memory::changed_code;
use mapprof_tests::process::eventually;
use mapprof_tests::{Mapprof, Program, programs, target_dir};
use serde_json::Value;

use crate::bench::redis::{self, Redis};
use crate::{build, setup, sudo};

/// Goroutines that do nothing but read maps.
const GOROUTINES: &str = "8";
/// GETs of one redis-benchmark: about a second of them.
const GETS: u64 = 500_000;
/// Keys whose values are written before a run, and read back after it.
const WRITTEN: u32 = 1000;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many windows each program has to bear
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    cycles: u64,
    /// Budget that mapprof is given: the more, the more windows a second
    #[arg(long, default_value = "30%", value_name = "SHARE")]
    max_overhead: String,
    /// Least time from one window to the next
    #[arg(long, default_value = "1ms", value_name = "TIME")]
    window_period: String,
    /// How long one run of mapprof lasts; there are as many as it takes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=150))]
    seconds: u64,
    /// Only programs whose names contain this
    filter: Option<String>,
    /// Run what the caller has built (how this verb calls itself as root)
    #[arg(long, hide = true)]
    built: bool,
}

/// A program's name, and one run beside it: the windows that there were.
type Soak = (&'static str, fn(&Args) -> Result<Watched>);

const SOAKS: [Soak; 2] = [("go", go), ("redis", redis_server)];

pub(crate) fn run(args: &Args) -> Result<()> {
    let part = args.filter.as_deref().unwrap_or_default();
    let wanted: Vec<_> = SOAKS.into_iter().filter(|(name, _)| name.contains(part)).collect();
    ensure!(!wanted.is_empty(), "no program is called like that; there are go and redis");
    if !args.built {
        return build_and_run(args);
    }
    for (name, soak) in wanted {
        let (began, mut windows) = (Instant::now(), 0);
        while windows < args.cycles {
            let watched = soak(args).with_context(|| format!("{name}, after {windows} windows"))?;
            windows += watched.windows;
            println!("{name}: {windows} of {} windows; {watched}", args.cycles);
        }
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        println!("{name}: {windows} windows in {minutes:.1} min, right results, no probe left");
    }
    Ok(())
}

/// Builds everything as the user who runs this, then runs it as root.
fn build_and_run(args: &Args) -> Result<()> {
    setup::run()?;
    let mapprof = build::mapprof()?;
    programs::newest_go("reads")?;
    redis::fetch()?;
    let mut again = sudo::as_root("env", "profiling")?;
    again
        .arg(format!("MAPPROF={}", mapprof.display()))
        .arg(format!("CARGO_TARGET_DIR={}", target_dir().display()))
        .arg(std::env::current_exe()?)
        .args(["soak", "--built", "--max-overhead", &args.max_overhead])
        .args(["--window-period", &args.window_period])
        .args(["--cycles", &args.cycles.to_string()])
        .args(["--seconds", &args.seconds.to_string()]);
    run_command(again.args(&args.filter))
}

/// What a run's summary says of its windows.
struct Watched {
    windows: u64,
    observed: f64,
    cost: f64,
}

impl Watched {
    fn of(outcome: Outcome) -> Result<Self> {
        let outcome = outcome.expect_code(0)?;
        let summary: Value = serde_json::from_str(&outcome.stdout).context("not a summary")?;
        let window = &summary["window"];
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let windows = window["windows"].as_u64().unwrap_or(0);
        ensure!(
            windows > 0,
            "there was no window, since the budget was enough to watch all the time: give less"
        );
        ensure!(number(&window["events"]) > 0.0, "{windows} windows, and nothing was seen");
        Ok(Self {
            windows,
            observed: number(&window["observed_ns"]) / number(&window["duration_ns"]),
            cost: number(&window["cost"]["target_cpu_share"]),
        })
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { windows, observed, cost } = self;
        let [observed, cost] = [observed, cost].map(|share| share * 100.0);
        write!(f, "{windows} in this run, {observed:.1}% observed, cost {cost:.1}%")
    }
}

fn mapprof(pid: u32, args: &Args) -> Mapprof {
    Mapprof::new(["stat", "--format", "json", "--duration", "170s"]).args([
        "--max-overhead",
        &args.max_overhead,
        "--window-period",
        &args.window_period,
        "--pid",
        &pid.to_string(),
    ])
}

/// Ends mapprof, and has a look at the program's code.
fn end(running: Running, pid: u32) -> Result<Watched> {
    let watched = Watched::of(running.interrupt()?)?;
    eventually(
        "all probes are out",
        Duration::from_secs(10),
        || Ok(changed_code(pid)?.is_empty()),
    )?;
    Ok(watched)
}

/// A Go program at full speed, which adds up what it reads.
fn go(args: &Args) -> Result<Watched> {
    let span = format!("{}s", args.seconds);
    let program = programs::newest_go("reads")?;
    let mut program = Program::hold(&program, ["-goroutines", GOROUTINES, "-span", &span])?;
    let running = mapprof(program.pid(), args).attach()?;
    program.begin()?;
    let truth: Value = program.truth()?;
    let watched = end(running, program.pid())?;
    ensure!(truth["mismatches"] == 0, "the program read something wrong: {}", truth["mismatches"]);
    program.finish_well()?;
    Ok(watched)
}

/// Debian's Redis under redis-benchmark, with values that are read back.
fn redis_server(args: &Args) -> Result<Watched> {
    let mut server = Redis::start()?;
    write_values(server.port)?;
    let running = mapprof(server.child.id(), args).args(redis::PROBE).attach()?;
    let (began, span) = (Instant::now(), Duration::from_secs(args.seconds));
    while began.elapsed() < span {
        server.bench(GETS)?;
        read_values(server.port)?;
    }
    let watched = end(running, server.child.id())?;
    read_values(server.port)?;
    let ended = server.child.try_wait()?;
    ensure!(ended.is_none(), "Redis ended: {ended:?}");
    Ok(watched)
}

/// A value of its own for each key (Redis' inline commands and simple answers).
fn write_values(port: u16) -> Result<()> {
    let commands: Vec<_> = (0..WRITTEN).map(|i| format!("SET soak:{i} v{i}\r\n")).collect();
    answers(port, &commands.concat(), &"+OK\r\n".repeat(WRITTEN as usize))
}

fn read_values(port: u16) -> Result<()> {
    let commands: Vec<_> = (0..WRITTEN).map(|i| format!("GET soak:{i}\r\n")).collect();
    let bulk = |i: u32| {
        let value = format!("v{i}");
        format!("${}\r\n{value}\r\n", value.len())
    };
    answers(port, &commands.concat(), &(0..WRITTEN).map(bulk).collect::<String>())
}

/// An error unless Redis answers that.
fn answers(port: u16, commands: &str, expected: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(commands.as_bytes())?;
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).context("Redis does not answer")?;
    let wrong = answer.iter().zip(expected.as_bytes()).position(|(is, wanted)| is != wanted);
    ensure!(wrong.is_none(), "Redis answers wrong, at byte {wrong:?} of {}", expected.len());
    Ok(())
}
