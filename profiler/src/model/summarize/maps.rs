//! One map: its keys with their waits and blame, and where it is used from.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use probe_ebpf::{CALLER_NOT_SAMPLED, CALLERS_PER_TICK, Op, STACKS_PER_TICK};

use super::naming::{Naming, UNKNOWN, first_key, hex, map_id, nameless};
use crate::catalog;
use crate::model::callers::{Callers, OTHER};
use crate::model::hist::WaitHist;
use crate::model::key_text::is_cut;
use crate::model::sample::{Counts, Sample, margin};
use crate::model::session::MapSum;
use crate::model::sizes::Size;
use crate::model::spread::Spread;
use crate::model::summary::{Caller, Key, Map, MapSize, OpStack, OtherKeys};
use crate::model::{self, Frame, MapId, MapKey, StackId, Tables, UnreadableKeys, slice};

/// What stands for call sites beyond the limit.
const OTHER_CALLERS: &str = "(other)";
/// Call sites of one key.
const MOST_KEY_CALLERS: usize = 5;

pub(super) fn summary(
    naming: &Naming<'_>,
    tables: &Tables,
    id: MapId,
    map: &MapSum,
    keys: usize,
) -> Map {
    let info = naming.map(id);
    let UnreadableKeys { memory, types } = map.unreadable;
    let len = plausible_len(map);
    let callers = caller_summaries(naming, &map.callers, &All::of(map), Some(&map.sample));
    let (keys, other_keys) = key_summaries(naming, tables, id, map, keys);
    let unreadable = [("memory", memory), ("type", types)].into_iter().filter(|(_, n)| *n > 0);
    Map {
        id: map_id(id),
        address: info.and_then(|info| info.address).map(hex),
        kind: info.map_or_else(|| UNKNOWN.to_owned(), |info| info.kind.clone()),
        type_name: info.and_then(|info| info.type_name.clone()),
        label: info.and_then(|info| info.label.clone()),
        internal: is_internal(&callers),
        ops: map.ops.into(),
        margin: map.spread.map_or(0, |it| it.margin(map.ops.total())),
        few: map.spread.is_some_and(|it| it.is_few(map.ops.total())),
        len: len.map(|(_, now)| now),
        len_first: len.map(|(first, _)| first),
        sizes: if len.is_some() { size_summaries(map) } else { Vec::new() },
        unreadable_keys: memory.saturating_add(types),
        unreadable: unreadable.map(|(reason, n)| (reason.to_owned(), n)).collect(),
        keys,
        other_keys: (other_keys.keys > 0).then_some(other_keys),
        keys_tracked: map.keys_tracked.unwrap_or(map.keys.len() as u64),
        keys_floor: map.keys_floor.unwrap_or(map.keys.floor()),
        callers,
        stacks: stack_summaries(naming, tables, id, map),
    }
}

/// Whether nobody but the runtime, reflection or an encoder uses a map: there is nothing that
/// the program could do about it.
fn is_internal(callers: &[Caller]) -> bool {
    let mut frames = callers.iter().flat_map(|caller| &caller.frames);
    !callers.is_empty() && frames.all(|frame| catalog::is_internal(&frame.function))
}

/// Where the map changed at all.
fn size_summaries(map: &MapSum) -> Vec<MapSize> {
    let steps = map.sizes.steps();
    if steps.len() < 2 {
        return Vec::new();
    }
    let size = |step: &Size| MapSize {
        at_ns: step.at_ns,
        len: step.len,
        insert: step.ops.get(Op::Insert),
        delete: step.ops.get(Op::Delete),
        grow: step.ops.get(Op::Grow),
    };
    steps.iter().map(size).collect()
}

/// A map's elements at first and at the end, unless it has gained more than were
/// inserted: then the map is gone, and something else lies in its memory.
fn plausible_len(map: &MapSum) -> Option<(u64, u64)> {
    let inserts = map.ops.get(Op::Insert);
    map.len.filter(|(first, now)| !map.is_another && now.saturating_sub(*first) <= inserts)
}

/// A key in the order of the table: its bytes and true length.
type Name<'a> = (&'a [u8], u64);

#[derive(Clone, Copy, Default)]
struct Times<'a> {
    wait: Option<&'a WaitHist>,
    blame: Option<&'a WaitHist>,
}

impl Times<'_> {
    fn sum_ns(&self) -> u64 {
        let sum = |hist: Option<&WaitHist>| hist.map_or(0, WaitHist::sum_ns);
        sum(self.wait).saturating_add(sum(self.blame))
    }
}

/// Rows of keys that are looked at together, beside twice those that are wanted.
const ROWS_AT_ONCE: usize = 1024;

/// The keys with most operations, and those with most waits and blame.
fn key_summaries(
    naming: &Naming<'_>,
    tables: &Tables,
    id: MapId,
    map: &MapSum,
    keys: usize,
) -> (Vec<Key>, OtherKeys) {
    type Row<'a> = (Name<'a>, slice::Ops, u64, Option<Spread>);
    let by_ops = |a: &Row, b: &Row| b.1.total().cmp(&a.1.total()).then_with(|| a.0.cmp(&b.0));
    let times = times(naming, tables, id);
    let mut slowest = slowest(&times, keys);
    let mut rows: Vec<Row> = Vec::new();
    let mut unsure = OtherKeys::default();
    for ((bytes, len, ops, error), spread) in map.keys.iter().zip(map.keys.spreads()) {
        if error > 0 && error >= ops.total() && !times.contains_key(&(bytes, len)) {
            unsure.keys += 1;
            unsure.ops = unsure.ops.saturating_add(ops.total());
            continue;
        }
        rows.push(((bytes, len), ops, error, spread));
        // All rows at once would take as much memory as the table itself.
        if rows.len() >= keys.saturating_mul(2).saturating_add(ROWS_AT_ONCE) {
            rows.select_nth_unstable_by(keys, by_ops);
            let others = rows.split_off(keys);
            rows.extend(others.into_iter().filter(|(name, ..)| slowest.contains_key(name)));
        }
    }
    if keys < rows.len() {
        rows.select_nth_unstable_by(keys, by_ops);
    }
    let (first, others) = rows.split_at(keys.min(rows.len()));
    for (name, ..) in first {
        slowest.remove(name);
    }
    let slow: Vec<Row> =
        others.iter().filter(|(name, ..)| slowest.remove(name).is_some()).copied().collect();
    rows.truncate(keys);
    rows.extend(slow);
    // What is left has no place in the table of operations.
    let floor = map.keys.floor();
    rows.extend(slowest.into_keys().map(|name| (name, slice::Ops::default(), floor, None)));
    rows.sort_unstable_by(by_ops);
    let total = map.ops.total().max(1) as f64;
    let rows = rows
        .into_iter()
        .map(|((bytes, len), ops, error, spread)| {
            let key = model::Key { bytes: bytes.into(), len };
            let times = times.get(&(bytes, len)).copied().unwrap_or_default();
            let text = naming.key_text(id, &key);
            let cut = is_cut(&key);
            let all = All { ops, told: 1.0, spread };
            let callers = key_caller_summaries(naming, tables, &MapKey { map: id, key }, &all);
            Key {
                key: text,
                type_name: naming.map(id).and_then(|info| info.key_type.clone()),
                ops: ops.into(),
                share: (ops.total() as f64 / total).min(1.0),
                margin: error.saturating_add(spread.map_or(0, |it| it.margin(ops.total()))),
                few: spread.is_some_and(|it| it.is_few(ops.total())),
                cut,
                wait: times.wait.map(WaitHist::h),
                blame: times.blame.map(WaitHist::h),
                wait_hist: times.wait.cloned().unwrap_or_default(),
                blame_hist: times.blame.cloned().unwrap_or_default(),
                callers,
            }
        })
        .collect();
    (rows, unsure)
}

/// All operations of a map or of a key.
struct All {
    ops: slice::Ops,
    /// What part of the counts of call sites was seen: those of maps are scaled from
    /// windows, those of keys are not.
    told: f64,
    spread: Option<Spread>,
}

impl All {
    fn of(map: &MapSum) -> Self {
        let MapSum { ops, spread, .. } = *map;
        let told = |it: Spread| (f64::from(it.seen) / ops.total().max(1) as f64).min(1.0);
        Self { ops, told: spread.map_or(1.0, told), spread }
    }

    fn counts<'a>(&'a self, here: &'a slice::Ops, sampled: &'a slice::Ops) -> Counts<'a> {
        let &Self { ref ops, told, spread } = self;
        Counts { here, sampled, all: ops, told, spread }
    }
}

/// Where one key is used, as far as that was told.
fn key_caller_summaries(
    naming: &Naming<'_>,
    tables: &Tables,
    key: &MapKey,
    all: &All,
) -> Vec<Caller> {
    let rows = tables.key_sites.range((key.clone(), 0)..).take_while(|((of, _), _)| of == key);
    let mut callers = Callers::default();
    rows.for_each(|((_, address), ops)| callers.add(*address, ops, usize::MAX));
    let mut places = caller_summaries(naming, &callers, all, None);
    places.truncate(MOST_KEY_CALLERS);
    places
}

fn times<'a>(
    naming: &'a Naming<'_>,
    tables: &'a Tables,
    id: MapId,
) -> BTreeMap<Name<'a>, Times<'a>> {
    let mut times: BTreeMap<Name<'a>, Times<'a>> = BTreeMap::new();
    let waits = tables.key_waits.range(first_key(id)..).take_while(|(key, _)| key.map == id);
    for (key, wait) in waits {
        times.entry((&key.key.bytes, key.key.len)).or_default().wait = Some(wait);
    }
    for (key, blame) in naming.blame_of(id) {
        times.entry((&key.bytes, key.len)).or_default().blame = Some(blame);
    }
    times
}

fn slowest<'a>(times: &BTreeMap<Name<'a>, Times<'a>>, keys: usize) -> BTreeMap<Name<'a>, u64> {
    let mut sums: Vec<(Name<'a>, u64)> =
        times.iter().map(|(name, times)| (*name, times.sum_ns())).collect();
    sums.sort_by_key(|(_, sum)| Reverse(*sum));
    sums.truncate(keys);
    sums.into_iter().collect()
}

/// Call sites that read the same are one; ties are broken by the lowest address.
/// Where only some operations told theirs, the counts are scaled to all.
fn caller_summaries(
    naming: &Naming<'_>,
    callers: &Callers,
    all: &All,
    sample: Option<&Sample>,
) -> Vec<Caller> {
    let mut places: HashMap<Vec<Frame>, Vec<(u64, slice::Ops)>> = HashMap::new();
    let mut sampled = slice::Ops::default();
    for (address, ops) in callers.as_slice() {
        // What a map does by itself has no call site that says anything.
        if *address == CALLER_NOT_SAMPLED || ops.total() == 0 {
            continue;
        }
        sampled.add(ops);
        places.entry(caller_frames(naming, *address)).or_default().push((*address, *ops));
    }
    let places = places.into_iter().map(|(frames, callers)| {
        let mut here = slice::Ops::default();
        for (_, ops) in &callers {
            here.add(ops);
        }
        let first = callers.iter().map(|(address, _)| *address).min();
        let counts = all.counts(&here, &sampled);
        let margin = margin(counts, CALLERS_PER_TICK, sample.map(|it| (it, &callers[..])));
        let scaled = counts.scaled();
        let few = counts.is_few() || (margin > 0 && margin >= scaled.total());
        (here.total(), first, Caller { frames, ops: scaled.into(), margin, few })
    });
    let mut places: Vec<_> = places.collect();
    places.sort_by_key(|(sampled, first, _)| (Reverse(*sampled), *first));
    places.into_iter().map(|(_, _, caller)| caller).collect()
}

fn caller_frames(naming: &Naming<'_>, address: u64) -> Vec<Frame> {
    if address == OTHER {
        vec![nameless(OTHER_CALLERS.to_owned())]
    } else {
        let mut frames = naming.frames_at(address);
        // The map's own methods were inlined there, and are the same everywhere.
        let user = frames.iter().position(|frame| !catalog::is_forwarding(&frame.function));
        frames.drain(..user.unwrap_or(0));
        frames
    }
}

/// Stacks of operations; those that read the same are one. Ties are broken by the
/// lowest id.
fn stack_summaries(naming: &Naming<'_>, tables: &Tables, id: MapId, map: &MapSum) -> Vec<OpStack> {
    let mut stacks: BTreeMap<StackId, slice::Ops> = BTreeMap::new();
    let mut sampled = slice::Ops::default();
    for ((_, stack), ops) in tables.op_stacks.range((id, 0)..=(id, StackId::MAX)) {
        sampled.add(ops);
        stacks.entry(naming.stack(*stack)).or_default().add(ops);
    }
    let mut stacks: Vec<_> = stacks.into_iter().collect();
    stacks.sort_by_key(|(_, ops)| Reverse(ops.total()));
    stacks
        .into_iter()
        .map(|(stack, ops)| {
            let all = All { told: 1.0, ..All::of(map) };
            let counts = all.counts(&ops, &sampled);
            OpStack {
                stack: naming.stack_frames(stack),
                samples: ops.all(),
                margin: margin(counts, STACKS_PER_TICK, None),
                ops: counts.scaled().into(),
            }
        })
        .collect()
}
