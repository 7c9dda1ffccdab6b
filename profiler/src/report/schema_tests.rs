//! The summary against the schema file, which is what other tools rely on.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::json::render;
use crate::findings;
use crate::model::summary::Summary;
use crate::model::{Session, TargetInfo, fixture};

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(include_str!("../../schema/summary.v1.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn json(summary: &Summary) -> Value {
    serde_json::from_slice(&render(summary).unwrap()).unwrap()
}

fn full() -> Summary {
    let mut summary = fixture::session().summary(50);
    findings::attach(&mut summary);
    // What nothing fills in yet is part of the contract, too.
    summary.maps[0].label = Some("sessions".to_owned());
    summary
}

fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    validator
        .iter_errors(value)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

#[test]
fn every_summary_is_valid() {
    let validator = validator();
    let none = Session::new(TargetInfo::default()).summary(0);
    let last = fixture::session().last_summary(1);
    let [windowed, few] = [fixture::windowed(), fixture::windowed_for(1, 1)];
    let windowed = [windowed.summary(50), few.summary(50), windowed.last_summary(1)];
    for summary in [full(), none, last].into_iter().chain(windowed) {
        assert_eq!(errors(&validator, &json(&summary)), [""; 0]);
    }
}

/// Calls `visit` with the path of each object in the value.
fn objects(value: &Value, path: &str, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            visit(path);
            for (name, field) in fields {
                objects(field, &format!("{path}/{name}"), visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, &format!("{path}/{index}"), visit);
            }
        }
        _ => {}
    }
}

#[test]
fn a_field_more_is_invalid_wherever_it_is() {
    let (validator, valid) = (validator(), json(&full()));
    let mut paths = Vec::new();
    objects(&valid, "", &mut |path| paths.push(path.to_owned()));
    let open = |path: &str| path.ends_with("/lost") || path.contains("/evidence");
    for path in paths.iter().filter(|path| !open(path)) {
        let mut broken = valid.clone();
        broken.pointer_mut(path).unwrap()["surprise"] = json!(1);
        assert!(!validator.is_valid(&broken), "in {path:?}");
    }
    assert!(paths.len() > 100, "the fixture has all kinds of objects");
}

#[test]
fn a_broken_summary_is_invalid() {
    let (validator, valid) = (validator(), json(&full()));
    let cases = [
        ("/schema", json!("mapprof.summary.v2")),
        ("/window/events", json!(-1)),
        ("/window/lost", json!({ "ring_full": "many" })),
        ("/maps/0/id", json!("l1")),
        ("/maps/0/keys/0/share", json!(1.5)),
        ("/maps/0/keys/0/cut", json!(false)),
        ("/maps/0/address", json!(12)),
        ("/maps/0/ops/lookup", json!(null)),
        ("/locks/0/wait/p50_ns", json!(0.5)),
        ("/locks/0/hold/max_ns", json!(-1)),
        ("/locks/0/holders/0/keys/0/map", json!(1)),
        ("/locks/0/holders", json!([])),
        ("/locks/1/waiters/0/mode", json!("Read")),
        ("/locks/1/open/0/goroutine", json!(0)),
        ("/locks/0/pairs/0/holder/stack", json!(null)),
        ("/maps/0/keys/0/wait", json!(12)),
        ("/maps/0/len", json!("12")),
        ("/maps/0/stacks/0/samples", json!(0.5)),
        ("/maps/1/unreadable", json!({ "whim": 1 })),
        ("/findings/0/severity", json!("fatal")),
    ];
    for (path, value) in cases {
        let mut broken = valid.clone();
        // Also where the field is absent in the fixture.
        let (parent, field) = path.rsplit_once('/').unwrap();
        broken.pointer_mut(parent).unwrap()[field] = value;
        assert!(!validator.is_valid(&broken), "{path}");
    }
    for required in
        ["/window/observed_ns", "/maps/0/keys_tracked", "/locks/0/wait/p999_ns", "/target"]
    {
        let (parent, field) = required.rsplit_once('/').unwrap();
        let mut broken = valid.clone();
        broken.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
        assert!(!validator.is_valid(&broken), "{required}");
    }
}
