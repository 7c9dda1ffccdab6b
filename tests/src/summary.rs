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
    #[serde(default)]
    pub lock_functions: Vec<LockFunction>,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct LockFunction {
    pub function: String,
    pub calls: u64,
    pub waits: u64,
    pub slept: u64,
    pub lasted: u64,
    pub preempted: u64,
    pub lasting_ns: Option<u64>,
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
    pub attribution: Option<Attribution>,
    #[serde(default)]
    pub not_included: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Attribution {
    pub wait_ns: u64,
    pub attributed_ns: u64,
    pub blamed_ns: u64,
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
    #[serde(default)]
    pub miss: u64,
    #[serde(default)]
    pub promote: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Map {
    pub id: String,
    pub address: Option<String>,
    pub kind: String,
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    pub label: Option<String>,
    pub ops: Ops,
    pub len: Option<u64>,
    pub len_first: Option<u64>,
    #[serde(default)]
    pub unreadable_keys: u64,
    #[serde(default)]
    pub unreadable: BTreeMap<String, u64>,
    pub keys: Vec<Key>,
    #[serde(default)]
    pub callers: Vec<Caller>,
    #[serde(default)]
    pub stacks: Vec<OpStack>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Caller {
    pub frames: Vec<Frame>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct OpStack {
    pub stack: Vec<Frame>,
    pub ops: Ops,
    pub samples: u64,
    pub margin: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Key {
    pub key: String,
    pub ops: Ops,
    pub margin: u64,
    #[serde(default)]
    pub cut: bool,
    pub wait: Option<Wait>,
    pub blame: Option<Wait>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Lock {
    pub id: String,
    pub address: Option<String>,
    pub kind: String,
    pub label: Option<String>,
    #[serde(default)]
    pub maps: Vec<String>,
    pub wait: Wait,
    pub read: Option<WaitSum>,
    pub write: Option<WaitSum>,
    pub hold: Option<Wait>,
    #[serde(default)]
    pub attributed_ns: u64,
    #[serde(default)]
    pub blamed_ns: u64,
    pub waiters: Vec<Waiter>,
    #[serde(default)]
    pub holders: Vec<Holder>,
    #[serde(default)]
    pub pairs: Vec<Pair>,
    #[serde(default)]
    pub open_waits: u64,
    #[serde(default)]
    pub open_max_ns: u64,
    #[serde(default)]
    pub open: Vec<Open>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct WaitSum {
    pub count: u64,
    pub wait_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Holder {
    pub stack: Vec<Frame>,
    pub mode: Option<String>,
    pub count: u64,
    pub blame_ns: u64,
    #[serde(default)]
    pub goroutines: Vec<u64>,
    #[serde(default)]
    pub keys: Vec<KeyPart>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct KeyPart {
    pub map: String,
    pub key: String,
    pub count: u64,
    pub wait_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Pair {
    pub holder: Party,
    pub waiter: Party,
    pub count: u64,
    pub wait_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Party {
    pub map: Option<String>,
    pub key: Option<String>,
    pub stack: Vec<Frame>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Open {
    pub stack: Vec<Frame>,
    pub mode: Option<String>,
    pub goroutine: Option<u64>,
    pub waited_ns: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Wait {
    pub count: u64,
    pub sum_ns: u64,
    pub min_ns: u64,
    #[serde(default)]
    pub p50_ns: u64,
    pub max_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Waiter {
    pub stack: Vec<Frame>,
    pub mode: Option<String>,
    pub count: u64,
    pub wait_ns: u64,
    #[serde(default)]
    pub goroutines: Vec<u64>,
    #[serde(default)]
    pub keys: Vec<KeyPart>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Frame {
    pub function: String,
    pub file: Option<String>,
    pub line: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Finding {
    pub rule: String,
    pub subject: String,
}
