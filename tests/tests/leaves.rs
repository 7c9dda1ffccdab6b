//! No probe may change what a program computes: leaf functions of one instruction each, for
//! each kind of instruction that a probe can stand on, called with and without one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Truth {
    leaves: Vec<Leaf>,
}

#[derive(Deserialize)]
struct Leaf {
    name: String,
    /// Its number, which is its first argument.
    key: String,
    /// How often it was called since the program was told to go on.
    calls: u64,
    /// How often it then left something else than before.
    changed: u64,
}

fn probe(functions: &str) -> [String; 3] {
    let spec = format!("lookup:{functions} key=arg1:int");
    ["--no-builtin".into(), "--probe".into(), spec]
}

/// Where mapprof would put its probes: the distance from the start, by function.
fn planned(functions: &str) -> Result<(BTreeMap<String, String>, Value)> {
    let outcome = Mapprof::new(["probes", "--format", "json", "--exe"])
        .arg(programs::leaves()?)
        .args(probe(functions))
        .run()?;
    let plan: Value = serde_json::from_str(&outcome.stdout).context(outcome.stderr)?;
    let sites = plan["sites"].as_array().context("no sites")?.iter();
    let place =
        |site: &Value| Some((site["function"].as_str()?.to_owned(), site["offset"].to_string()));
    let places = sites.map(|site| place(site).with_context(|| site.to_string()));
    Ok((places.collect::<Result<_>>()?, plan["left_out"].clone()))
}

#[test]
fn every_instruction_does_what_it_does_unprobed() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_c(&programs::leaves()?, &[])?;
    let mapprof = Mapprof::stat(program.pid()).args(probe("leaf_*"));
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let summary = outcome.summary()?;
    let (places, _) = planned("leaf_*")?;
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for key in summary.maps.iter().flat_map(|map| &map.keys) {
        *counted.entry(&key.key).or_default() += key.ops.lookup;
    }
    let mut wrong = Vec::new();
    for Leaf { name, key, calls, changed } in &truth.leaves {
        let hits = counted.get(key.as_str()).copied().unwrap_or(0);
        if *changed > 0 || hits != *calls || !places.contains_key(name) {
            wrong.push(format!("{name}: {changed} of {calls} changed, {hits} counted"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(truth.leaves.len() >= 150, "{} functions", truth.leaves.len());
    Ok(())
}

/// Other kernels may make calls of more nops than this one.
#[test]
fn no_nop_that_may_become_a_call_is_probed_inside() -> Result<()> {
    let (places, _) = planned("leaf_inside_*")?;
    ensure!(places.len() >= 10 && places.values().all(|place| place == "0"), "{places:?}");
    Ok(())
}

#[test]
fn instructions_that_a_probe_would_change_are_refused() -> Result<()> {
    let (places, left_out) = planned("refused_*")?;
    ensure!(places.is_empty(), "{places:?}");
    let left_out = left_out.as_array().context("nothing left out")?.clone();
    ensure!(left_out.len() >= 12, "{left_out:?}");
    Ok(())
}
