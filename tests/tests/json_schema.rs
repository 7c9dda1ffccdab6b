//! Every summary is what the JSON Schema in the repository promises.

use anyhow::{Context, Result, ensure};
use jsonschema::Validator;
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs, workspace};
use serde_json::{Value, json};

fn schema() -> Result<Validator> {
    let path = workspace().join("profiler/schema/summary.v1.json");
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(jsonschema::validator_for(&serde_json::from_slice(&text)?)?)
}

fn complaints(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn what_is_no_summary_is_refused() -> Result<()> {
    let schema = schema()?;
    for value in [json!(null), json!({}), json!({"schema": "mapprof.summary.v1"})] {
        ensure!(!schema.is_valid(&value), "accepted: {value}");
    }
    Ok(())
}

#[test]
fn summaries_of_maps_and_locks() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let schema = schema()?;
    for (name, args) in [
        ("counts", ["-rounds", "300"]),
        ("locks", ["-span", "300ms"]),
        ("reads", ["-span", "50ms"]),
    ] {
        let program = Program::hold(&programs::newest_go(name)?, args)?;
        let mapprof = Mapprof::stat(program.pid());
        let (_, outcome) = observe::<Value>(program, mapprof)?;
        let mut summary: Value = serde_json::from_str(&outcome.expect_code(0)?.stdout)?;
        assert_eq!(complaints(&schema, &summary), Vec::<String>::new(), "{name}");
        // The schema is no rubber stamp.
        summary["window"]["observed_ns"] = json!("long");
        ensure!(!schema.is_valid(&summary), "a text passed for a number");
    }
    Ok(())
}

#[test]
fn summary_of_an_idle_process() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("reads")?, ["-span", "1ms"])?;
    let outcome = Mapprof::new(["stat", "--format", "json", "--duration", "200ms", "--pid"])
        .arg(program.pid().to_string())
        .run()?
        .expect_code(0)?;
    let summary = serde_json::from_str(&outcome.stdout)?;
    assert_eq!(complaints(&schema()?, &summary), Vec::<String>::new());
    Ok(())
}
