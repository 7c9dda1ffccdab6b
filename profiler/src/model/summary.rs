//! The summary of a run or of a part of it: the JSON contract
//! `mapprof.summary.v1`, and the only source of figures for every output.
//!
//! A field that is not known is absent, never 0. Times are ns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Frame;
use super::hist::WaitHist;

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
    /// Maps, most operations first; those that are internal come last.
    pub maps: Vec<Map>,
    /// Locks, longest total wait first.
    pub locks: Vec<Lock>,
    /// Lock functions whose calls are timed, most calls first: which of them were waits.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lock_functions: Vec<LockFunction>,
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
    /// How much of it operations of maps were told, ns. Where that is not all of it, counts
    /// and times are scaled to the whole, with margins.
    pub observed_ns: u64,
    /// How much of it beginnings of waits were told, ns; absent where it is as much.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub locks_observed_ns: Option<u64>,
    /// Windows in which operations were told; absent where they were all the time.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub windows: u64,
    /// How much of the target's CPU time in windows went into probes, 0.05 to 1. Then it did
    /// less in them than at other times, and scaled counts are lower bounds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slowed: Option<f64>,
    /// Events that came: operations, each one of those that were combined in the kernel; waits; and
    /// handoffs of locks.
    pub events: u64,
    /// Events that did not arrive or did not fit, by reason; empty when all is there.
    pub lost: BTreeMap<String, u64>,
    /// What profiling cost the target.
    pub cost: Cost,
    /// Goroutines, elsewhere threads, that there could be at a time: no more can have waited
    /// at once. Absent where it could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tasks: Option<u64>,
    /// How much of all waits is told of keys and of holders; absent where nobody
    /// waited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attribution: Option<Attribution>,
    /// What the figures do not include, in half a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_included: Vec<String>,
}

/// Waits of all locks together, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// All of them.
    pub wait_ns: u64,
    /// What belongs to keys; the rest belongs to none, or is not known to.
    pub attributed_ns: u64,
    /// What is charged to a known holder.
    pub blamed_ns: u64,
}

/// What profiling cost the target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time of all probe hits, ns.
    pub probe_ns: u64,
    /// That time over the target's CPU time, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_cpu_share: Option<f64>,
    /// What a hit with its record costs at the cheapest place, measured at the start, ns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hit_ns: Option<u64>,
    /// Most that `target_cpu_share` may be; absent where nothing limits it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_share: Option<f64>,
}

/// Calls of a lock function that returns once it has the lock, be it free or not. What is
/// told of locks are its waits; these are counts of what was observed, and never scaled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFunction {
    /// Its name.
    pub function: String,
    /// All calls.
    pub calls: u64,
    /// Those that count as waits.
    pub waits: u64,
    /// Waits in which the thread slept.
    pub slept: u64,
    /// Waits in which it did not, and that lasted longer than `lasting_ns`.
    pub lasted: u64,
    /// Calls that lasted as long, and in which the CPU did something else: whether the thread
    /// waited as well is not known. They count as none.
    pub preempted: u64,
    /// Whether this kernel tells that a thread slept. Where it does not, the length of a call
    /// is all there is to go by.
    pub sees_sleep: bool,
    /// What a call in which the thread did not sleep has to last to count as a wait, beyond
    /// what its probes take, ns; absent where such a call counts as none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lasting_ns: Option<u64>,
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
    #[serde(skip_serializing_if = "is_zero", default)]
    pub miss: u64,
    #[serde(skip_serializing_if = "is_zero", default)]
    pub promote: u64,
}

impl Window {
    /// Whether figures are scaled from windows, so that margins go both ways.
    pub fn is_sampled(&self) -> bool {
        self.windows > 0 || self.locks_observed_ns.is_some()
    }

    /// How much of the time operations of maps were told, 0 to 1.
    pub fn observed_share(&self) -> f64 {
        self.share(self.observed_ns)
    }

    /// How much of it beginnings of waits were told, 0 to 1; `None` where it is as much.
    pub fn locks_observed_share(&self) -> Option<f64> {
        self.locks_observed_ns.map(|ns| self.share(ns))
    }

    fn share(&self, ns: u64) -> f64 {
        (ns as f64 / self.duration_ns.max(1) as f64).min(1.0)
    }
}

impl Ops {
    /// Those that the program asked for: not what a map does by itself.
    pub fn total(&self) -> u64 {
        [self.insert, self.delete, self.iterate, self.clear]
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
    /// Only the runtime, reflection or an encoder uses it, for itself.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub internal: bool,
    /// Its operations.
    pub ops: Ops,
    /// How far `ops` in all may be off (95%), in operations; absent when exact.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub margin: u64,
    /// Too few operations were seen for a margin that could be trusted.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub few: bool,
    /// Its elements at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub len: Option<u64>,
    /// Its elements at the end of the first interval in which it was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub len_first: Option<u64>,
    /// Its size over time, oldest first; at most 24 steps, none where there is but one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sizes: Vec<MapSize>,
    /// Operations whose key could not be read; absent when there are none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unreadable_keys: u64,
    /// The same by reason: `memory`, `type`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub unreadable: BTreeMap<String, u64>,
    /// Its keys, most operations first: those with most operations, and those with
    /// most waits and blame.
    pub keys: Vec<Key>,
    /// Keys of which fewer operations were counted than may have been missed: such a row
    /// would say nothing. They are not in `keys`, unless they have waits or blame.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub other_keys: Option<OtherKeys>,
    /// Distinct keys that were tracked, of which `keys` may be the first few.
    pub keys_tracked: u64,
    /// No key that was not tracked has more operations than this; absent when all were.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub keys_floor: u64,
    /// Where it is used, most operations first.
    pub callers: Vec<Caller>,
    /// The stacks of some of its operations, most operations first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stacks: Vec<OpStack>,
}

/// Keys of which little is known, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherKeys {
    /// How many.
    pub keys: u64,
    /// Operations that were counted on them.
    pub ops: u64,
}

/// The size of a map at the end of a part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapSize {
    /// The end, ns since the run began.
    pub at_ns: u64,
    /// Elements then.
    pub len: u64,
    /// Inserts in that part, of new keys and of old ones.
    pub insert: u64,
    /// Deletes in that part.
    pub delete: u64,
    /// How often the table grew in that part.
    pub grow: u64,
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
    /// How far `ops` in all may be off (95%), in operations; 0 when exact.
    pub margin: u64,
    /// Too few operations were seen for a margin that could be trusted.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub few: bool,
    /// The key is longer than what was carried, and others may begin the same.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cut: bool,
    /// Waits for locks that belong to this key; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wait: Option<H>,
    /// Others' waits while a lock was held for this key; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blame: Option<H>,
    /// The distribution behind `wait`, for drawing; may be empty.
    #[serde(skip)]
    pub wait_hist: WaitHist,
    /// The distribution behind `blame`, for drawing; may be empty.
    #[serde(skip)]
    pub blame_hist: WaitHist,
    /// Where it is used, most operations first; of some keys only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub callers: Vec<Caller>,
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
    /// Too few operations were seen for a margin that could be trusted.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub few: bool,
}

/// From where a map is used, and by which way that was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpStack {
    /// Innermost first.
    pub stack: Vec<Frame>,
    /// Operations, scaled from the sample to all.
    pub ops: Ops,
    /// Operations that told this stack.
    pub samples: u64,
    /// How far `ops` in all may be off (95%), in operations; 0 when exact.
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
    /// Ids of the maps whose keys its waits belong to, where known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub maps: Vec<String>,
    /// Waits that ended.
    pub wait: H,
    /// What the sampling windows alone say of `wait.sum_ns`, ns, where all tasks of the
    /// process together cannot have waited for so long: then all figures of the lock's waits
    /// are the most that is possible, and rest on insufficient samples.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub estimate_ns: Option<u64>,
    /// The distribution behind `wait`, for drawing; may be empty.
    #[serde(skip)]
    pub wait_hist: WaitHist,
    /// The distribution behind `hold`, for drawing; may be empty.
    #[serde(skip)]
    pub hold_hist: WaitHist,
    /// Waits of readers, where they are told from writers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub read: Option<WaitSum>,
    /// Waits of writers, where they are told from readers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub write: Option<WaitSum>,
    /// Holds, where both ends are known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<H>,
    /// How much of the waits belongs to keys, ns; absent when none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub attributed_ns: u64,
    /// How much of the waits is charged to a known holder, ns; absent when none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub blamed_ns: u64,
    /// Who waited, longest total first.
    pub waiters: Vec<Waiter>,
    /// Who made others wait, longest total first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub holders: Vec<Holder>,
    /// Who made whom wait, longest total first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pairs: Vec<Pair>,
    /// Tasks still waiting at the end.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub open_waits: u64,
    /// The longest of those so far, ns.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub open_max_ns: u64,
    /// The longest of those, longest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub open: Vec<Open>,
}

/// In which way a lock is wanted or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Shared with other readers.
    Read,
    /// Alone.
    Write,
}

/// How far figures of waits may be off that were scaled from windows; nothing where they are
/// exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Margins {
    /// How far the count may be off (95%).
    #[serde(skip_serializing_if = "is_zero", default)]
    pub margin: u64,
    /// How far the sum may be off (95%), ns.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub margin_ns: u64,
    /// Too few were seen for a margin that could be trusted.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub few: bool,
}

/// Waits, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitSum {
    /// How many.
    pub count: u64,
    /// How long in all, ns.
    pub wait_ns: u64,
    /// How far both may be off.
    #[serde(flatten)]
    pub margins: Margins,
}

/// A stack that waited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waiter {
    /// Innermost first.
    pub stack: Vec<Frame>,
    /// In which way the lock was wanted; absent where it knows only one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mode: Option<Mode>,
    /// Waits.
    pub count: u64,
    /// Their sum, ns.
    pub wait_ns: u64,
    /// How far both may be off.
    #[serde(flatten)]
    pub margins: Margins,
    /// A few of the goroutines, elsewhere threads, that waited.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub goroutines: Vec<u64>,
    /// The keys that most of the wait belongs to, longest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub keys: Vec<KeyPart>,
}

/// A stack that had the lock while others waited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Innermost first.
    pub stack: Vec<Frame>,
    /// In which way the lock was held; absent where it knows only one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mode: Option<Mode>,
    /// Waits that are charged to it, in part or whole; at most so many.
    pub count: u64,
    /// Their sum, ns.
    pub blame_ns: u64,
    /// How far both may be off.
    #[serde(flatten)]
    pub margins: Margins,
    /// A few of the goroutines, elsewhere threads, that held.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub goroutines: Vec<u64>,
    /// The keys that it was held for, longest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub keys: Vec<KeyPart>,
}

/// What part of a stack's waits a key has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPart {
    /// Id of its map.
    pub map: String,
    /// The key.
    pub key: String,
    /// Waits, or parts of them.
    pub count: u64,
    /// Their sum, ns.
    pub wait_ns: u64,
}

/// Who made whom wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Who had the lock.
    pub holder: Party,
    /// Who waited meanwhile.
    pub waiter: Party,
    /// Waits of which this is a part or all; at most so many.
    pub count: u64,
    /// How long in all they are this, ns.
    pub wait_ns: u64,
    /// How far both may be off.
    #[serde(flatten)]
    pub margins: Margins,
}

/// One side of a [`Pair`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Id of the key's map.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub map: Option<String>,
    /// The key it was about, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Innermost first; empty where it is not known.
    pub stack: Vec<Frame>,
}

/// A wait that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Innermost first.
    pub stack: Vec<Frame>,
    /// In which way the lock is wanted; absent where it knows only one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mode: Option<Mode>,
    /// The goroutine, elsewhere the thread, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub goroutine: Option<u64>,
    /// How long so far, ns.
    pub waited_ns: u64,
}

/// A distribution of times, ns. Count, sum, min and max are exact unless there is a margin,
/// percentiles within 1%.
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
    /// How far `count` may be off (95%); absent when exact.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub margin: u64,
    /// How far `sum_ns` may be off (95%), ns; absent when exact.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub margin_ns: u64,
    /// Too few were seen for a margin that could be trusted.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub few: bool,
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
