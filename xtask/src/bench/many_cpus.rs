//! How many records one thread takes from the rings of many CPUs, and two: criterion's `machine`
//! benchmarks (profiler/benches/user_space.rs), which fill rings of simulated CPUs as the
//! kernel fills real ones, and read, decode and count what is in them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::run;
use mapprof_tests::target_dir;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Args;
use super::figures::{Claim, Row, Samples};
use crate::build;

/// The benchmarks' file and group.
const BENCHMARKS: &str = "user_space";
const GROUP: &str = "machine";
/// Where the caller of this verb says that the benchmarks are, which it has built.
pub(super) const BINARY: &str = "MAPPROF_BENCHMARKS";
/// How the names of those end that two threads read.
const SPLIT: &str = ", two threads";
/// The most records that a CPU was seen to make a second, millions.
const OF_A_CPU: f64 = 1.6;

/// Builds the benchmarks and returns where they are.
pub(super) fn build() -> Result<PathBuf> {
    build::benchmarks(BENCHMARKS)
}

pub(super) fn measure(args: &Args) -> Result<Row> {
    let binary = std::env::var_os(BINARY).context("nobody has built the benchmarks")?;
    let home = target_dir().join("many-cpus");
    // What is there is of an earlier run, perhaps of other benchmarks.
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    let mut bench = Command::new(binary);
    bench.env("CRITERION_HOME", &home).stdout(Stdio::null());
    bench.args(["--bench", "--noplot", "--quiet", GROUP]);
    if args.quick {
        bench.args(["--warm-up-time", "0.1", "--measurement-time", "0.3", "--sample-size", "10"]);
    }
    run(&mut bench)?;
    let mut measured = measured(&home.join(GROUP))?;
    ensure!(!measured.is_empty(), "criterion has measured nothing of {GROUP}");
    measured.sort_by(|a, b| (a.cpus, &a.rate.variant).cmp(&(b.cpus, &b.rate.variant)));
    let ratios = ratios(&measured);
    let alone: Vec<&Measured> =
        measured.iter().filter(|it| !it.rate.variant.ends_with(SPLIT)).collect();
    let least = alone.iter().map(|it| it.rate.median()).fold(f64::INFINITY, f64::min);
    let keeps_up = keeps_up(&alone);
    let mut claims = vec![
        Claim::plain("one thread, at worst, M records per s", least),
        Claim::plain(
            format!("most of these CPUs that it keeps up with, each at {OF_A_CPU} M records per s"),
            f64::from(keeps_up),
        ),
    ];
    claims.extend(ratios.into_iter().map(|(name, ratio)| {
        Claim::plain(format!("{name}: times as many by two threads on two CPUs"), ratio)
    }));
    Ok(Row { samples: measured.into_iter().map(|it| it.rate).collect(), claims })
}

/// Of each machine that two threads were tried on, how many times as many records they took
/// as one.
fn ratios(measured: &[Measured]) -> Vec<(String, f64)> {
    let of_two = measured.iter().filter_map(|it| Some((it, it.rate.variant.strip_suffix(SPLIT)?)));
    let pairs = of_two.filter_map(|(two, name)| {
        let one = measured.iter().find(|it| it.rate.variant == name)?;
        Some((name.to_owned(), two.rate.median() / one.rate.median()))
    });
    pairs.collect()
}

/// The largest of the machines of which it keeps up with all loads, and with those of all
/// smaller ones.
fn keeps_up(measured: &[&Measured]) -> u32 {
    let slow = |it: &&&Measured| it.rate.median() < f64::from(it.cpus) * OF_A_CPU;
    let least = measured.iter().filter(slow).map(|it| it.cpus).min().unwrap_or(u32::MAX);
    measured.iter().map(|it| it.cpus).filter(|&cpus| cpus < least).max().unwrap_or(0)
}

/// What was measured of a machine.
struct Measured {
    cpus: u32,
    rate: Samples,
}

/// `benchmark.json`, as criterion writes it.
#[derive(Deserialize)]
struct Benchmark {
    function_id: String,
    throughput: Throughput,
}

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Elements")]
    elements: f64,
}

/// `sample.json`: how often each sample did it, and how long that took, ns.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// All of a group.
fn measured(group: &Path) -> Result<Vec<Measured>> {
    let folders = std::fs::read_dir(group)
        .with_context(|| format!("no results of criterion in {}", group.display()))?;
    let mut all = Vec::new();
    for folder in folders {
        let newest = folder?.path().join("new");
        if newest.is_dir() {
            all.push(of(
                &read(&newest.join("benchmark.json"))?,
                &read(&newest.join("sample.json"))?,
            )?);
        }
    }
    Ok(all)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
}

fn of(benchmark: &Benchmark, sample: &Sample) -> Result<Measured> {
    let name = &benchmark.function_id;
    let cpus = name.split(' ').next().and_then(|word| word.parse().ok());
    let cpus = cpus.with_context(|| format!("{name} does not begin with a number of CPUs"))?;
    let mut rate = Samples::new(name, "M records per s");
    for (rounds, ns) in sample.iters.iter().zip(&sample.times) {
        rate.push(rounds * benchmark.throughput.elements / ns * 1e3);
    }
    Ok(Measured { cpus, rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterions_files_are_read() {
        let benchmark = r#"{"group_id":"machine","function_id":"8 CPUs, 65,536 keys",
            "value_str":null,"throughput":{"Elements":24000},"full_id":"","directory_name":"",
            "title":""}"#;
        let sample = r#"{"sampling_mode":"Linear","iters":[1.0,2.0],"times":[1e6,1.5e6]}"#;
        let measured =
            of(&serde_json::from_str(benchmark).unwrap(), &serde_json::from_str(sample).unwrap())
                .unwrap();
        assert_eq!((measured.cpus, &*measured.rate.values), (8, &[24.0, 32.0][..]));
        let of = |cpus, rate| {
            let mut rates = Samples::new("", "");
            rates.push(rate);
            Measured { cpus, rate: rates }
        };
        let all = [of(2, 9.0), of(8, 20.0), of(8, 40.0), of(32, 60.0), of(32, 50.0), of(64, 200.0)];
        let all: Vec<_> = all.iter().collect();
        assert_eq!((keeps_up(&all), keeps_up(&all[..3]), keeps_up(&all[4..])), (8, 8, 0));
    }

    #[test]
    fn two_threads_are_held_against_one() {
        let of = |name: &str, rate| {
            let mut rates = Samples::new(name, "");
            rates.push(rate);
            Measured { cpus: 32, rate: rates }
        };
        let all = [
            of("32 CPUs, few keys, two threads", 30.0),
            of("32 CPUs, few keys", 20.0),
            of("8 CPUs, few keys", 25.0),
        ];
        assert_eq!(ratios(&all), [("32 CPUs, few keys".to_owned(), 1.5)]);
    }
}
