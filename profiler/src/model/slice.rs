//! The unit of model, recording and display: what happened in one interval.

use std::collections::BTreeMap;

use probe_ebpf::Op;
use serde::{Deserialize, Serialize};

use super::calls::CallSlice;
use super::hist::WaitHist;
use super::spread::{Spread, join};
use super::tables::{Row, Tables, Waits};
use crate::decode::{Key, LockId, MapId, Mode, StackId, Unreadable};

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
        self.bump_by(op, 1);
    }

    /// Counts several operations of a kind.
    #[inline]
    pub fn bump_by(&mut self, op: Op, more: u64) {
        let count = &mut self.0[op as usize];
        *count = count.saturating_add(more);
    }

    /// Those that the program asked for: not what a map does by itself.
    pub fn total(&self) -> u64 {
        let asked_for = Op::ALL.into_iter().filter(|op| op.is_asked_for());
        asked_for.fold(0, |sum, op| sum.saturating_add(self.get(op)))
    }

    /// Of all kinds, also what a map does by itself.
    pub fn all(&self) -> u64 {
        self.0.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// One key in one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeySlice {
    /// The key.
    pub key: Key,
    /// Its operations, counted since it entered the table: a lower bound.
    pub ops: Ops,
    /// At most this many more may have happened before it entered the table;
    /// 0 when none did.
    pub error: u64,
    /// Where both were scaled from windows: what is known of that.
    pub spread: Option<Box<Spread>>,
}

impl KeySlice {
    /// Adds another's figures of the same key.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut spread = self.spread.as_deref().copied();
        let theirs = other.spread.as_deref().copied();
        join(&mut spread, self.ops.total(), theirs, other.ops.total());
        self.spread = spread.map(Box::new);
        self.ops.add(&other.ops);
        self.error = self.error.saturating_add(other.error);
    }
}

/// One map in one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapSlice {
    /// Which.
    pub map: MapId,
    /// All its operations, whatever became of their keys.
    pub ops: Ops,
    /// Where they were scaled from windows: what is known of that.
    pub spread: Option<Spread>,
    /// Operations whose key could not be read, by reason.
    pub unreadable: UnreadableKeys,
    /// Its elements when the interval ended, where that could be read.
    pub len: Option<u64>,
    /// Its keys, bounded.
    pub keys: Vec<KeySlice>,
    /// No key that is missing in `keys` had more operations than this; 0 when
    /// none is missing.
    pub floor: u64,
    /// Operations per return address, bounded; what does not fit is counted
    /// under address 0.
    pub callers: Vec<(u64, Ops)>,
}

/// Operations whose key could not be read, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableKeys {
    /// See [`Unreadable::Memory`].
    pub memory: u64,
    /// See [`Unreadable::Type`].
    pub types: u64,
}

impl UnreadableKeys {
    /// One more.
    pub fn bump(&mut self, why: Unreadable, more: u64) {
        let count = match why {
            Unreadable::Memory => &mut self.memory,
            Unreadable::Type => &mut self.types,
        };
        *count = count.saturating_add(more);
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.memory = self.memory.saturating_add(other.memory);
        self.types = self.types.saturating_add(other.types);
    }
}

/// A wait that went on when the interval ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSlice {
    /// Where.
    pub stack: StackId,
    /// In which way the lock is wanted, where that is told.
    pub mode: Option<Mode>,
    /// The goroutine's number, or the thread's id; 0 where it is not known.
    pub task: u64,
    /// How long so far, ns.
    pub waited_ns: u64,
}

/// Open waits of a lock that are told one by one.
pub(super) const MOST_OPEN: usize = 16;

/// One lock in one interval. A wait belongs to the interval in which it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LockSlice {
    /// Which.
    pub lock: LockId,
    /// Waits that ended.
    pub wait: WaitHist,
    /// Those of readers, where readers are told from writers.
    pub read: Waits,
    /// Those of writers, where readers are told from writers.
    pub write: Waits,
    /// How long it was held, where both ends are known.
    pub hold: WaitHist,
    /// How much of the waits belongs to a key, ns.
    pub attributed_ns: u64,
    /// How much of the waits is charged to a known holder, ns.
    pub blamed_ns: u64,
    /// Tasks still waiting when the interval ended.
    pub open: u64,
    /// The longest of those waits so far, ns.
    pub open_max_ns: u64,
    /// The longest of those waits, longest first.
    pub open_longest: Vec<OpenSlice>,
}

impl LockSlice {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.wait.is_empty()
            && self.hold.is_empty()
            && (self.open, self.attributed_ns, self.blamed_ns) == (0, 0, 0)
    }

    /// Counts a wait that ended.
    pub(super) fn wait(&mut self, mode: Option<Mode>, ns: u64) {
        self.wait.record(ns);
        match mode {
            Some(Mode::Read) => self.read.record(ns),
            Some(Mode::Write) => self.write.record(ns),
            None => {}
        }
    }

    /// Counts a wait that goes on.
    pub(super) fn open_wait(&mut self, wait: OpenSlice) {
        self.open = self.open.saturating_add(1);
        self.open_max_ns = self.open_max_ns.max(wait.waited_ns);
        let longer = self.open_longest.partition_point(|it| it.waited_ns >= wait.waited_ns);
        if longer < MOST_OPEN {
            self.open_longest.insert(longer, wait);
            self.open_longest.truncate(MOST_OPEN);
        }
    }

    /// Forgets the waits that went on.
    pub(super) fn forget_open(&mut self) {
        (self.open, self.open_max_ns) = (0, 0);
        self.open_longest.clear();
    }

    /// Adds the next interval's figures; only its open waits are open now.
    pub(super) fn add(&mut self, next: &Self) {
        self.wait.add(&next.wait);
        self.read.add(&next.read);
        self.write.add(&next.write);
        self.hold.add(&next.hold);
        self.attributed_ns = self.attributed_ns.saturating_add(next.attributed_ns);
        self.blamed_ns = self.blamed_ns.saturating_add(next.blamed_ns);
        (self.open, self.open_max_ns) = (next.open, next.open_max_ns);
        self.open_longest = next.open_longest.iter().take(MOST_OPEN).cloned().collect();
    }
}

/// What happened in one interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Wall clock at its beginning, ns since the epoch.
    pub start_unix_ns: u64,
    /// Its length by the monotonic clock, ns.
    pub duration_ns: u64,
    /// How much of it operations of maps were told, ns. Where that is not all of it, all
    /// figures are scaled to the whole; an interval that was not watched at all is in
    /// those of the next that was.
    pub observed_ns: u64,
    /// How much of it beginnings of waits were told, ns.
    pub locks_observed_ns: u64,
    /// Windows in which operations were told; 0 where they were told all the time.
    pub windows: u32,
    /// What the hits inside of those windows cost, ns of the target's CPU time.
    pub window_probe_ns: u64,
    /// CPU time that the target used in those windows, ns; the scheduler counts it by its
    /// tick, so only sums over many windows tell something.
    pub window_cpu_ns: u64,
    /// Events that came: operations, each one of those that were combined in the kernel; waits; and
    /// handoffs of locks.
    pub events: u64,
    /// Probe hits, which is what the target pays for.
    pub hits: u64,
    /// The measured or assumed cost of those hits, ns of the target's CPU time.
    pub probe_ns: u64,
    /// CPU time the target used, ns, where it could be read.
    pub target_cpu_ns: Option<u64>,
    /// Goroutines, elsewhere threads, that there can be at a time, where it could be read:
    /// no more of them can have waited at once.
    pub tasks: Option<u64>,
    /// Events that did not arrive or did not fit, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Calls of lock functions that are timed, by function.
    pub calls: Vec<CallSlice>,
    /// Maps.
    pub maps: Vec<MapSlice>,
    /// Locks.
    pub locks: Vec<LockSlice>,
    /// Keys, stacks and pairs of these maps and locks.
    pub tables: Tables,
}

impl Slice {
    /// The same with other maps and tables.
    pub(super) fn with(&self, maps: Vec<MapSlice>, tables: Tables) -> Self {
        let (lost, calls) = (self.lost.clone(), self.calls.clone());
        Self { maps, tables, lost, calls, locks: self.locks.clone(), ..*self }
    }
}

/// A time in which something was told, between two at which it was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Its length, ns.
    pub observed_ns: u64,
    /// What the hits in it cost, ns of the target's CPU time.
    pub probe_ns: u64,
    /// CPU time that the target used in it, ns.
    pub cpu_ns: u64,
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
    /// What the figures do not include, in half a sentence each.
    pub not_included: Vec<String>,
    /// Most that probes may cost, in millionths of the target's CPU time; `None`: all is
    /// told, whatever it costs.
    pub max_overhead_ppm: Option<u32>,
    /// Measured cost of a hit with its record at an instruction that the kernel
    /// emulates, ns; 0: not measured.
    pub hit_ns: u64,
}

impl TargetInfo {
    /// What several have in common, and how many they are; a single one is itself.
    pub fn common(targets: &[Self]) -> Self {
        if let [one] = targets {
            return one.clone();
        }
        let all = |text: fn(&Self) -> &str| {
            let mut texts: Vec<&str> =
                targets.iter().map(text).filter(|it| !it.is_empty()).collect();
            texts.sort_unstable();
            texts.dedup();
            texts
        };
        let (exes, hosts) = (all(|target| &target.exe), all(|target| &target.host));
        let plural = |count: usize, what: &str, many: &str| {
            format!("{count} {}", if count == 1 { what } else { many })
        };
        let mut target = Self {
            pid: 0,
            exe: format!(
                "{} ({} on {})",
                exes.join(", "),
                plural(targets.len(), "process", "processes"),
                plural(hosts.len(), "host", "hosts")
            ),
            host: hosts.join(", "),
            ..Self::default()
        };
        for runtime in targets.iter().flat_map(|target| &target.runtimes) {
            if !target.runtimes.contains(runtime) {
                target.runtimes.push(runtime.clone());
            }
        }
        for part in targets.iter().flat_map(|target| &target.not_included) {
            if !target.not_included.contains(part) {
                target.not_included.push(part.clone());
            }
        }
        target
    }
}
