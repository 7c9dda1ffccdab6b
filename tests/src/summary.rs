//! The part of `mapprof.summary.v1` that tests look at: written down here once
//! more, since a contract that is read by its own writer proves nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Summary {
    pub schema: String,
    pub target: Target,
    pub window: Window,
    pub maps: Vec<Map>,
    pub locks: Vec<Lock>,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Target {
    pub pid: u32,
    pub exe: String,
    pub runtimes: Vec<Runtime>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Runtime {
    pub name: String,
    pub version: String,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Window {
    pub duration_ns: u64,
    pub observed_ns: u64,
    pub events: u64,
    pub lost: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Ops {
    pub lookup: u64,
    pub insert: u64,
    pub delete: u64,
    pub iterate: u64,
    pub clear: u64,
    pub grow: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Map {
    pub address: Option<String>,
    pub kind: String,
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    pub ops: Ops,
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Key {
    pub key: String,
    pub ops: Ops,
    pub margin: u64,
    #[serde(default)]
    pub cut: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Lock {
    pub id: String,
    pub address: Option<String>,
    pub kind: String,
    pub wait: Wait,
    pub waiters: Vec<Waiter>,
    #[serde(default)]
    pub open_waits: u64,
    #[serde(default)]
    pub open_max_ns: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Wait {
    pub count: u64,
    pub sum_ns: u64,
    pub min_ns: u64,
    pub max_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Waiter {
    pub stack: Vec<Frame>,
    pub count: u64,
    pub wait_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Frame {
    pub function: String,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Finding {
    pub rule: String,
    pub subject: String,
}
