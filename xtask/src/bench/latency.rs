//! How long a server's users wait for their answers: a thousand map operations a request,
//! at half the load that the server can bear, alone and beside a mapprof with its default
//! budget.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use mapprof_tests::servers::free_ports;
use mapprof_tests::{Mapprof, Program, programs};
use serde_json::Value;

use super::figures::{Claim, Row, Samples};
use super::interleave::rotated;
use super::open_loop::{capacity, percentile, stream};

const BUDGET: &str = "1%";
/// How long capacity is measured, in each round.
const CAPACITY: Duration = Duration::from_secs(2);
/// Not measured, after a server's start.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long a stream lasts, of which there are so many thousand requests a second.
const SPAN: Duration = Duration::from_secs(8);
/// Of the capacity.
const LOAD: f64 = 0.5;
/// Length of one window, µs.
const WINDOW_US: f64 = 1000.0;

/// What is told of a stream: percent, and the names of both variants.
const PERCENTILES: [(f64, [&str; 2]); 3] = [
    (50.0, ["alone, p50", "mapprof at 1%, p50"]),
    (99.0, ["alone, p99", "mapprof at 1%, p99"]),
    (99.9, ["alone, p99.9", "mapprof at 1%, p99.9"]),
];

pub(super) fn measure(rounds: u32) -> Result<Row> {
    let mut most = Samples::new("alone, at its limit", "requests per s");
    for _ in 0..rounds.min(3) {
        let server = Server::start()?;
        capacity(server.port, WARM_UP)?;
        most.push(capacity(server.port, CAPACITY)?);
        server.program.finish_well()?;
    }
    let rate = most.median() * LOAD;
    let mut samples = PERCENTILES.map(|(_, names)| names.map(|name| Samples::new(name, "µs")));
    let mut observed = Samples::new("mapprof at 1%, observed", "% of the time");
    for round in 0..rounds {
        for watched in rotated(&[false, true], round) {
            let (took, share) = answers(rate, watched)?;
            for ((percent, _), samples) in PERCENTILES.iter().zip(&mut samples) {
                let ns = percentile(&took, *percent).context("nothing was answered")?;
                samples[usize::from(watched)].push(ns as f64 / 1e3);
            }
            if let Some(share) = share {
                observed.push(share * 100.0);
            }
        }
    }
    let [_, p99, p999] =
        samples.each_ref().map(|[alone, beside]| (alone.median(), beside.median()));
    let claims = vec![
        Claim::plain("requests per s", rate),
        Claim::at_most("p99 beside mapprof, times that alone", p99.1 / p99.0, 1.1),
        Claim::at_most("p99.9 beside mapprof, µs worse than alone", p999.1 - p999.0, WINDOW_US),
    ];
    let samples = [most, observed].into_iter().chain(samples.into_iter().flatten()).collect();
    Ok(Row { samples, claims })
}

/// How long each request of a stream took, ns, shortest first; with mapprof beside it also
/// the share of the time that it observed.
fn answers(rate: f64, watched: bool) -> Result<(Vec<u64>, Option<f64>)> {
    let server = Server::start()?;
    let mapprof = Mapprof::new(["stat", "--format", "json", "--max-overhead", BUDGET]).args([
        "--duration",
        "100s",
        "--pid",
        &server.program.pid().to_string(),
    ]);
    let running = watched.then(|| mapprof.attach()).transpose()?;
    // Connections, the server's memory, and what mapprof has yet to learn of its traffic.
    stream(server.port, rate, WARM_UP)?;
    sleep(Duration::from_millis(100));
    let took = stream(server.port, rate, SPAN)?;
    let share = match running {
        None => None,
        Some(running) => {
            let outcome = running.interrupt()?.expect_code(0)?;
            let summary: Value = serde_json::from_str(&outcome.stdout).context("no summary")?;
            let ns = |name| summary["window"][name].as_f64().with_context(|| format!("no {name}"));
            Some(ns("observed_ns")? / ns("duration_ns")?)
        }
    };
    server.program.finish_well()?;
    Ok((took, share))
}

struct Server {
    program: Program,
    port: u16,
}

impl Server {
    fn start() -> Result<Self> {
        let [port] = free_ports()?;
        let args = ["-port".to_owned(), port.to_string()];
        // It listens before it says that it is ready.
        let mut program = Program::hold(&programs::newest_go("server")?, args)?;
        program.begin()?;
        Ok(Self { program, port })
    }
}
