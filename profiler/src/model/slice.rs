//! The unit of model, recording and display: what happened in one interval.

use std::collections::BTreeMap;

use probe_ebpf::Op;
use serde::{Deserialize, Serialize};

use super::hist::WaitHist;
use crate::decode::{LockId, MapId, StackId};

/// Operations by kind, indexed by [`Op`]. All sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ops(pub [u64; Op::ALL.len()]);

impl Ops {
    /// Of one kind.
    pub fn get(&self, op: Op) -> u64 {
        self.0[op as usize]
    }

    /// One more.
    pub fn bump(&mut self, op: Op) {
        let count = &mut self.0[op as usize];
        *count = count.saturating_add(1);
    }

    /// Of all kinds.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// A key as it lay in the target's memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The bytes that were carried.
    pub bytes: Box<[u8]>,
    /// The key's true length in bytes; more than `bytes.len()` where it was cut.
    pub len: u64,
}

/// One key in one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySlice {
    /// The key.
    pub key: Key,
    /// Its operations, counted since it entered the table: a lower bound.
    pub ops: Ops,
    /// At most this many more may have happened before it entered the table;
    /// 0 when the count is exact.
    pub error: u64,
}

/// One map in one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapSlice {
    /// Which.
    pub map: MapId,
    /// All its operations, whatever became of their keys. Exact.
    pub ops: Ops,
    /// Operations whose key could not be read.
    pub unreadable_keys: u64,
    /// Its keys, bounded.
    pub keys: Vec<KeySlice>,
    /// No key that is missing in `keys` had more operations than this; 0 when
    /// none is missing.
    pub floor: u64,
    /// Operations per return address, bounded; what does not fit is counted
    /// under address 0.
    pub callers: Vec<(u64, Ops)>,
}

/// Who waited for a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiterSlice {
    /// Where.
    pub stack: StackId,
    /// How often.
    pub count: u64,
    /// How long in all, ns.
    pub wait_ns: u64,
}

/// One lock in one interval. A wait belongs to the interval in which it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockSlice {
    /// Which.
    pub lock: LockId,
    /// Waits that ended.
    pub wait: WaitHist,
    /// By stack, bounded.
    pub waiters: Vec<WaiterSlice>,
    /// Tasks still waiting when the interval ended.
    pub open: u64,
    /// The longest of those waits so far, ns.
    pub open_max_ns: u64,
}

/// What happened in one interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Wall clock at its beginning, ns since the epoch.
    pub start_unix_ns: u64,
    /// Its length by the monotonic clock, ns.
    pub duration_ns: u64,
    /// How much of it probes were attached, ns.
    pub observed_ns: u64,
    /// Records received.
    pub events: u64,
    /// Probe hits, which is what the target pays for.
    pub hits: u64,
    /// The measured or assumed cost of those hits, ns of the target's CPU time.
    pub probe_ns: u64,
    /// CPU time the target used, ns, where it could be read.
    pub target_cpu_ns: Option<u64>,
    /// Events that did not arrive or did not fit, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Maps.
    pub maps: Vec<MapSlice>,
    /// Locks.
    pub locks: Vec<LockSlice>,
}

/// What is profiled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Process id.
    pub pid: u32,
    /// Path of the executable.
    pub exe: String,
    /// Runtimes found: name and version (`go`, `go1.27.3`).
    pub runtimes: Vec<(String, String)>,
    /// Name of the host.
    pub host: String,
}
