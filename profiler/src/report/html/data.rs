//! What the page knows: the summary's figures with the names, shares and bars that it
//! shows, and nothing that it does not.
//!
//! In: a [`Document`]. Out: [`Data`], whose JSON is put into the page. Text is cleaned of
//! control characters here, so that no view can forget to.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::intern::{Interned, Place};
use super::past::{self, MOST_OBJECTS, Past, StepRow};
use crate::model::flame::{By, Flame};
use crate::model::hist::WaitHist;
use crate::model::names::{bound, lock_name, map_name, unreadable};
use crate::model::summary::{
    Caller, Finding, H, Holder, Key, KeyPart, Lock, Map, MapSize, Margins, Mode, Open, Ops, Pair,
    Party, Summary, WaitSum, Waiter,
};
use crate::model::{Session, Subject};
use crate::report::Document;
use crate::units::clean;

/// Bars of a lock's histogram.
const LOCK_BARS: usize = 48;
/// Bars of a key's.
const KEY_BARS: usize = 24;

/// The page's data.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    target: TargetData,
    window: WindowData,
    findings: Vec<Finding>,
    maps: Vec<MapData>,
    locks: Vec<LockData>,
    /// By `wait`, `blame` and `ops`.
    flames: BTreeMap<&'static str, FlameData>,
    steps: Vec<StepRow>,
    frames: Vec<Place>,
    stacks: Vec<Vec<usize>>,
}

#[derive(Debug, Serialize)]
struct TargetData {
    pid: u32,
    exe: String,
    runtimes: Vec<String>,
    /// What a task is called.
    task: &'static str,
}

#[derive(Debug, Serialize)]
struct WindowData {
    start_unix_ms: u64,
    duration_ns: u64,
    observed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    locks_observed: Option<f64>,
    events: u64,
    lost: BTreeMap<String, u64>,
    probe_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_cpu_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hit_ns: Option<u64>,
    /// Margins go both ways.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sampled: bool,
    #[serde(skip_serializing_if = "is_zero")]
    windows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    slowed: Option<f64>,
    /// Wait in all, ns, and the shares of it that belong to keys and to known holders.
    #[serde(skip_serializing_if = "Option::is_none")]
    attribution: Option<(u64, f64, f64)>,
    not_included: Vec<String>,
}

/// [`H`] in the order of its fields, without its margins where it is exact.
#[derive(Debug, Serialize)]
struct Times(Vec<u64>);

/// Edges of bars, ns, one more than there are bars; and how many each has.
#[derive(Debug, Serialize)]
struct Bars(Vec<u64>, Vec<u64>);

/// Operations by kind, where there are any, and their total.
#[derive(Debug, Serialize)]
struct OpsData {
    #[serde(flatten)]
    kinds: BTreeMap<&'static str, u64>,
    #[serde(rename = "ops")]
    total: u64,
}

#[derive(Debug, Serialize)]
struct MapData {
    id: String,
    name: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    type_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(flatten)]
    ops: OpsData,
    #[serde(skip_serializing_if = "is_zero")]
    margin: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    few: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    len_first: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sizes: Vec<MapSize>,
    unreadable: u64,
    tracked: u64,
    /// The type of those keys that tell none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<String>,
    keys: Vec<KeyData>,
    sites: Vec<SiteData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<Past>,
}

#[derive(Debug, Serialize)]
struct KeyData {
    key: String,
    /// It stands for keys that could not be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unreadable: bool,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    type_name: Option<String>,
    #[serde(flatten)]
    ops: OpsData,
    share: f64,
    #[serde(skip_serializing_if = "is_zero")]
    margin: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    few: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blame: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_bars: Option<Bars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blame_bars: Option<Bars>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sites: Vec<SiteData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<Past>,
}

/// A call site.
#[derive(Debug, Serialize)]
struct SiteData {
    stack: usize,
    #[serde(flatten)]
    ops: OpsData,
    share: f64,
    #[serde(skip_serializing_if = "is_zero")]
    margin: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    few: bool,
}

#[derive(Debug, Serialize)]
struct LockData {
    id: String,
    name: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Ids of maps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maps: Vec<String>,
    wait: Times,
    /// Why its figures are the most that is possible, where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_bars: Option<Bars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_bars: Option<Bars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<WaitSum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<WaitSum>,
    /// Shares of the wait that belong to keys, and to known holders.
    told: (f64, f64),
    waiters: Vec<StackData>,
    holders: Vec<StackData>,
    pairs: Vec<PairData>,
    open_waits: u64,
    open_max_ns: u64,
    open: Vec<OpenData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<Past>,
}

/// A stack that waited or held.
#[derive(Debug, Serialize)]
struct StackData {
    stack: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    count: u64,
    ns: u64,
    /// Of the lock's wait.
    share: f64,
    #[serde(flatten)]
    margins: Margins,
    tasks: Vec<u64>,
    keys: Vec<KeyPart>,
}

#[derive(Debug, Serialize)]
struct PairData {
    holder: PartyData,
    waiter: PartyData,
    count: u64,
    ns: u64,
    /// Of the lock's wait.
    share: f64,
    #[serde(flatten)]
    margins: Margins,
}

#[derive(Debug, Serialize)]
struct PartyData {
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    stack: usize,
}

#[derive(Debug, Serialize)]
struct OpenData {
    stack: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<u64>,
    ns: u64,
}

/// A tree of everything, and of single maps and locks by their ids.
#[derive(Debug, Serialize)]
struct FlameData {
    all: Node,
    of: BTreeMap<String, Node>,
}

/// Frame, weight, own weight, and children; the root's frame is absent.
#[derive(Debug, Serialize)]
struct Node(Option<usize>, u64, u64, Vec<Node>);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Data {
    /// What the page shows of a document.
    pub(super) fn of(document: &Document<'_>) -> Self {
        let Document { session, summary } = *document;
        let mut making = Making {
            session,
            summary,
            told: past::heaviest_keys(summary),
            interned: Interned::default(),
        };
        let maps = summary.maps.iter().enumerate().map(|(at, map)| making.map(at, map)).collect();
        let locks = summary.locks.iter().enumerate().map(|(at, lock)| making.lock(at, lock));
        let locks = locks.collect();
        let flames = By::ALL.map(|by| (by.name(), making.flames(summary, by))).into();
        Self {
            target: target(summary),
            window: window(summary),
            findings: summary.findings.iter().map(cleaned).collect(),
            maps,
            locks,
            flames,
            steps: past::steps(session),
            frames: making.interned.frames,
            stacks: making.interned.stacks,
        }
    }
}

fn target(summary: &Summary) -> TargetData {
    let target = &summary.target;
    let is_go = target.runtimes.iter().any(|runtime| runtime.name == "go");
    let runtimes = target.runtimes.iter().map(|runtime| text(&runtime.version));
    TargetData {
        pid: target.pid,
        exe: text(&target.exe),
        runtimes: runtimes.collect(),
        task: if is_go { "goroutine" } else { "thread" },
    }
}

fn window(summary: &Summary) -> WindowData {
    let window = &summary.window;
    let told = |all: crate::model::summary::Attribution| {
        let part = |ns| part(ns, all.wait_ns);
        (all.wait_ns, part(all.attributed_ns), part(all.blamed_ns))
    };
    WindowData {
        start_unix_ms: window.start_unix_ns / 1_000_000,
        duration_ns: window.duration_ns,
        observed: window.observed_share(),
        locks_observed: window.locks_observed_share(),
        events: window.events,
        lost: window.lost.iter().map(|(reason, n)| (text(reason), *n)).collect(),
        probe_ns: window.cost.probe_ns,
        target_cpu_share: window.cost.target_cpu_share,
        max_share: window.cost.max_share,
        hit_ns: window.cost.hit_ns,
        sampled: window.is_sampled(),
        windows: window.windows,
        slowed: window.slowed,
        attribution: window.attribution.map(told),
        not_included: window.not_included.iter().map(|what| text(what)).collect(),
    }
}

fn cleaned(finding: &Finding) -> Finding {
    Finding {
        rule: finding.rule.clone(),
        severity: finding.severity.clone(),
        subject: finding.subject.clone(),
        message: text(&finding.message),
        // The message has the figures.
        evidence: serde_json::Map::new(),
        advice: text(&finding.advice),
    }
}

/// The data in the making.
struct Making<'a> {
    session: &'a Session,
    summary: &'a Summary,
    /// Keys that are told over time.
    told: BTreeSet<(usize, usize)>,
    interned: Interned,
}

impl Making<'_> {
    fn map(&mut self, at: usize, map: &Map) -> MapData {
        let key_type = map.keys.first().and_then(|key| key.type_name.as_deref());
        let numbered = map.keys.iter().enumerate();
        let keys = numbered.map(|(number, key)| self.key(map, key, key_type, (at, number)));
        let mut keys: Vec<KeyData> = keys.collect();
        keys.extend(map.unreadable.iter().map(|(reason, n)| unread(map, reason, *n)));
        let past = || Past::of(self.session, &Subject::Map(map.id.clone()));
        MapData {
            id: map.id.clone(),
            name: text(&map_name(map)),
            kind: text(&map.kind),
            type_name: map.type_name.as_deref().map(text),
            address: map.address.clone(),
            ops: ops(&map.ops),
            margin: map.margin,
            few: map.few,
            len: map.len,
            len_first: map.len_first,
            sizes: map.sizes.clone(),
            unreadable: map.unreadable_keys,
            tracked: map.keys_tracked,
            key_type: key_type.map(text),
            keys,
            past: (at < MOST_OBJECTS).then(past).flatten(),
            sites: self.sites(&map.callers, map.ops.total()),
        }
    }

    fn key(
        &mut self,
        map: &Map,
        key: &Key,
        usual: Option<&str>,
        number: (usize, usize),
    ) -> KeyData {
        let past = || {
            let (map, key) = (map.id.clone(), key.key.clone());
            Past::of(self.session, &Subject::Key { map, key })
        };
        let own_type = key.type_name.as_deref().filter(|_| key.type_name.as_deref() != usual);
        KeyData {
            key: key_text(key),
            unreadable: false,
            type_name: own_type.map(text),
            ops: ops(&key.ops),
            share: key.share,
            margin: key.margin,
            few: key.few,
            cut: key.cut,
            wait: key.wait.map(times),
            blame: key.blame.map(times),
            wait_bars: bars(&key.wait_hist, KEY_BARS),
            blame_bars: bars(&key.blame_hist, KEY_BARS),
            past: self.told.contains(&number).then(past).flatten(),
            sites: self.sites(&key.callers, key.ops.total()),
        }
    }

    fn sites(&mut self, callers: &[Caller], all: u64) -> Vec<SiteData> {
        let site = |caller: &Caller| SiteData {
            stack: self.interned.stack(&caller.frames),
            ops: ops(&caller.ops),
            share: part(caller.ops.total(), all),
            margin: caller.margin,
            few: caller.few,
        };
        callers.iter().map(site).collect()
    }

    fn lock(&mut self, at: usize, lock: &Lock) -> LockData {
        let all = lock.wait.sum_ns;
        let past = || Past::of(self.session, &Subject::Lock(lock.id.clone()));
        LockData {
            id: lock.id.clone(),
            name: text(&lock_name(lock)),
            kind: text(&lock.kind),
            address: lock.address.clone(),
            maps: lock.maps.clone(),
            wait: times(lock.wait),
            wait_bars: bars(&lock.wait_hist, LOCK_BARS),
            hold: lock.hold.map(times),
            hold_bars: bars(&lock.hold_hist, LOCK_BARS),
            bound: bound(lock, &self.summary.window),
            read: lock.read,
            write: lock.write,
            told: (part(lock.attributed_ns, all), part(lock.blamed_ns, all)),
            past: (at < MOST_OBJECTS).then(past).flatten(),
            waiters: lock.waiters.iter().map(|waiter| self.waiter(waiter, all)).collect(),
            holders: lock.holders.iter().map(|holder| self.holder(holder, all)).collect(),
            pairs: lock.pairs.iter().map(|pair| self.pair(pair, all)).collect(),
            open_waits: lock.open_waits,
            open_max_ns: lock.open_max_ns,
            open: lock.open.iter().map(|open| self.open(open)).collect(),
        }
    }

    fn waiter(&mut self, waiter: &Waiter, all: u64) -> StackData {
        StackData {
            stack: self.interned.stack(&waiter.stack),
            mode: waiter.mode,
            count: waiter.count,
            ns: waiter.wait_ns,
            share: part(waiter.wait_ns, all),
            margins: waiter.margins,
            tasks: waiter.goroutines.clone(),
            keys: key_parts(&waiter.keys),
        }
    }

    fn holder(&mut self, holder: &Holder, all: u64) -> StackData {
        StackData {
            stack: self.interned.stack(&holder.stack),
            mode: holder.mode,
            count: holder.count,
            ns: holder.blame_ns,
            share: part(holder.blame_ns, all),
            margins: holder.margins,
            tasks: holder.goroutines.clone(),
            keys: key_parts(&holder.keys),
        }
    }

    fn pair(&mut self, pair: &Pair, all: u64) -> PairData {
        let mut party = |party: &Party| PartyData {
            map: party.map.clone(),
            key: party.key.as_deref().map(text),
            stack: self.interned.stack(&party.stack),
        };
        PairData {
            holder: party(&pair.holder),
            waiter: party(&pair.waiter),
            count: pair.count,
            ns: pair.wait_ns,
            share: part(pair.wait_ns, all),
            margins: pair.margins,
        }
    }

    fn open(&mut self, open: &Open) -> OpenData {
        OpenData {
            stack: self.interned.stack(&open.stack),
            mode: open.mode,
            task: open.goroutine,
            ns: open.waited_ns,
        }
    }

    fn flames(&mut self, summary: &Summary, by: By) -> FlameData {
        let ids: Vec<&String> = match by {
            By::Wait | By::Blame => summary.locks.iter().map(|lock| &lock.id).collect(),
            By::Ops => summary.maps.iter().map(|map| &map.id).collect(),
        };
        let of = ids.into_iter().take(MOST_OBJECTS).filter_map(|id| {
            let flame = Flame::new(summary, by, Some(id));
            (flame.weight > 0).then(|| (id.clone(), self.node(&flame)))
        });
        let of = of.collect();
        FlameData { all: self.node(&Flame::new(summary, by, None)), of }
    }

    fn node(&mut self, tree: &Flame) -> Node {
        let frame = tree.frame.as_ref().map(|frame| self.interned.frame(frame));
        let children = tree.children.iter().map(|child| self.node(child)).collect();
        Node(frame, tree.weight, tree.own, children)
    }
}

/// What stands for operations whose keys could not be read.
fn unread(map: &Map, reason: &str, n: u64) -> KeyData {
    KeyData {
        key: text(&unreadable(reason)),
        unreadable: true,
        type_name: None,
        ops: OpsData { kinds: BTreeMap::new(), total: n },
        share: part(n, map.ops.total()),
        margin: 0,
        few: false,
        cut: false,
        wait: None,
        blame: None,
        wait_bars: None,
        blame_bars: None,
        sites: Vec::new(),
        past: None,
    }
}

/// The key as it is shown: cleaned, and marked where it was cut.
fn key_text(key: &Key) -> String {
    let mut text = text(&key.key);
    if key.cut && !text.ends_with('…') {
        text.push('…');
    }
    text
}

fn key_parts(parts: &[KeyPart]) -> Vec<KeyPart> {
    parts.iter().map(|part| KeyPart { key: text(&part.key), ..part.clone() }).collect()
}

fn ops(ops: &Ops) -> OpsData {
    let kinds = [
        ("lookup", ops.lookup),
        ("insert", ops.insert),
        ("delete", ops.delete),
        ("iterate", ops.iterate),
        ("clear", ops.clear),
        ("grow", ops.grow),
        ("miss", ops.miss),
        ("promote", ops.promote),
    ];
    let kinds = kinds.into_iter().filter(|(_, n)| *n > 0).collect();
    OpsData { kinds, total: ops.total() }
}

fn times(h: H) -> Times {
    let mut times =
        vec![h.count, h.sum_ns, h.min_ns, h.p50_ns, h.p90_ns, h.p99_ns, h.p999_ns, h.max_ns];
    if h.margin > 0 {
        times.extend([h.margin, h.margin_ns, u64::from(h.few)]);
    }
    Times(times)
}

fn bars(hist: &WaitHist, most: usize) -> Option<Bars> {
    let buckets = hist.buckets(most);
    let last = buckets.last()?.hi_ns;
    let edges = buckets.iter().map(|bucket| bucket.lo_ns).chain([last]).collect();
    Some(Bars(edges, buckets.iter().map(|bucket| bucket.count).collect()))
}

/// So many of so many, 0 to 1.
fn part(n: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { (n as f64 / all as f64).min(1.0) }
}

fn text(text: &str) -> String {
    clean(text).into_owned()
}
