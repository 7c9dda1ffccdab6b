//! The summary of a run or of a part of it: the JSON contract
//! `mapprof.summary.v1`, and the only source of figures for every output.
//!
//! A field that is not known is absent, never 0. Times are ns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Frame;

/// Value of [`Summary::schema`].
pub const SCHEMA: &str = "mapprof.summary.v1";

/// Everything mapprof has to say about a span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: String,
    /// What was profiled.
    pub target: Target,
    /// When, and how completely.
    pub window: Window,
    /// Maps, most operations first.
    pub maps: Vec<Map>,
    /// Locks, longest total wait first.
    pub locks: Vec<Lock>,
    /// What the rules have to say.
    pub findings: Vec<Finding>,
}

/// What was profiled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Process id.
    pub pid: u32,
    /// Path of the executable.
    pub exe: String,
    /// Runtimes found in it.
    pub runtimes: Vec<Runtime>,
}

/// A language runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runtime {
    /// `go`.
    pub name: String,
    /// `go1.27.3`.
    pub version: String,
}

/// When, and how completely.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Wall clock at the beginning, ns since the epoch.
    pub start_unix_ns: u64,
    /// Length, ns.
    pub duration_ns: u64,
    /// How much of it probes were attached, ns.
    pub observed_ns: u64,
    /// Records received.
    pub events: u64,
    /// Events that did not arrive or did not fit, by reason; empty when all is there.
    pub lost: BTreeMap<String, u64>,
    /// What profiling cost the target.
    pub cost: Cost,
}

/// What profiling cost the target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time of all probe hits, ns.
    pub probe_ns: u64,
    /// That time over the target's CPU time, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_cpu_share: Option<f64>,
}

/// Operations by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the operations' own")]
pub struct Ops {
    pub lookup: u64,
    pub insert: u64,
    pub delete: u64,
    pub iterate: u64,
    pub clear: u64,
    pub grow: u64,
}

impl Ops {
    /// Of all kinds.
    pub fn total(&self) -> u64 {
        [self.insert, self.delete, self.iterate, self.clear, self.grow]
            .into_iter()
            .fold(self.lookup, u64::saturating_add)
    }
}

/// One map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// `m1`, unique in the summary and stable in a run.
    pub id: String,
    /// `0xc000012345`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// `go.map`, …
    pub kind: String,
    /// `map[string]*main.Session`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub type_name: Option<String>,
    /// What a person would call it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// Its operations.
    pub ops: Ops,
    /// Operations whose key could not be read; absent when there are none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unreadable_keys: u64,
    /// Its keys, most operations first.
    pub keys: Vec<Key>,
    /// Distinct keys that were tracked, of which `keys` may be the first few.
    pub keys_tracked: u64,
    /// Where it is used, most operations first.
    pub callers: Vec<Caller>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// As the program would write it: `"user:42"`, `7`, `0x1f`.
    pub key: String,
    /// The key's type as the program writes it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub type_name: Option<String>,
    /// Its operations.
    pub ops: Ops,
    /// Its operations over the map's, 0 to 1.
    pub share: f64,
    /// How far `ops` in all may be off, in operations; 0 when exact.
    pub margin: u64,
    /// The key is longer than what was carried, and others may begin the same.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cut: bool,
}

/// A place in the code that uses a map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    /// Where; innermost function first where some were inlined.
    pub frames: Vec<Frame>,
    /// Operations made there; scaled where only some told their call site.
    pub ops: Ops,
    /// How far `ops` in all may be off (95%), in operations; 0 when exact.
    #[serde(default)]
    pub margin: u64,
}

/// One lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// `l1`, unique in the summary and stable in a run.
    pub id: String,
    /// `0xc000012345`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// `sync.Mutex`, …
    pub kind: String,
    /// What a person would call it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// Ids of the maps it guards, where known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub maps: Vec<String>,
    /// Waits that ended.
    pub wait: H,
    /// The distribution behind `wait`, shortest first, for drawing; may be empty.
    #[serde(skip)]
    pub wait_buckets: Vec<Bucket>,
    /// Holds, where both ends are known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<H>,
    /// Who waited, longest total first.
    pub waiters: Vec<Waiter>,
    /// Tasks still waiting at the end.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub open_waits: u64,
    /// The longest of those so far, ns.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub open_max_ns: u64,
}

/// A stack that waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiter {
    /// Innermost first.
    pub stack: Vec<Frame>,
    /// Waits.
    pub count: u64,
    /// Their sum, ns.
    pub wait_ns: u64,
}

/// A distribution of times, ns. Count, sum, min and max are exact, percentiles
/// within 1%.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct H {
    pub count: u64,
    pub sum_ns: u64,
    pub min_ns: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

/// Times of at least `lo_ns` and less than `hi_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Lower bound, ns.
    pub lo_ns: u64,
    /// Upper bound, ns.
    pub hi_ns: u64,
    /// How many.
    pub count: u64,
}

/// What a rule has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// Id of the map or lock, or `run`.
    pub subject: String,
    /// One sentence with the figures.
    pub message: String,
    /// The figures.
    pub evidence: serde_json::Map<String, serde_json::Value>,
    /// What to do.
    pub advice: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
