//! Which map or lock of one recording is which of another.
//!
//! In: two summaries. Out: pairs of them. Ids and addresses are those of a process, so things
//! are the same that are called the same. Of several alike those at the same address
//! are the same, then those that guard the same maps, then the heaviest of each side.

use std::collections::{BTreeMap, HashMap};

use crate::model::names::{lock_name, map_name};
use crate::model::summary::{Lock, Map, Summary};

/// The maps or locks of both sides: what they are called, and which number each id has.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) names: Vec<String>,
    /// By side, an id's place in `names`.
    pub(super) numbers: [HashMap<String, usize>; 2],
    /// By side, the id of each.
    pub(super) ids: [Vec<Option<String>>; 2],
}

/// What one side says of a map or lock.
struct Known<'a> {
    id: &'a str,
    /// Equal for those that may be the same.
    class: String,
    name: String,
    /// What tells those of a class apart, the most telling first.
    marks: [Option<String>; 2],
}

/// The maps of both.
pub(super) fn maps(before: &Summary, after: &Summary) -> Matched {
    let known = |map: &'_ Map| {
        let class = [Some(&map.kind), map.type_name.as_ref(), map.label.as_ref()];
        (format!("{class:?}"), map_name(map), [map.address.clone(), None])
    };
    let side = |summary: &'_ Summary| -> Vec<_> { summary.maps.iter().map(known).collect() };
    let ids = |summary: &'_ Summary| -> Vec<_> {
        summary.maps.iter().map(|map| map.id.clone()).collect()
    };
    matched(&[side(before), side(after)], &[ids(before), ids(after)])
}

/// The locks of both, whose maps are known already.
pub(super) fn locks(before: &Summary, after: &Summary, maps: &Matched) -> Matched {
    let side = |summary: &'_ Summary, numbers: &HashMap<String, usize>| -> Vec<_> {
        let known = |lock: &'_ Lock| {
            let mut guarded: Vec<_> = lock.maps.iter().filter_map(|id| numbers.get(id)).collect();
            guarded.sort_unstable();
            let guarded = (!guarded.is_empty()).then(|| format!("{guarded:?}"));
            let class = [Some(&lock.kind), lock.label.as_ref()];
            (format!("{class:?}"), lock_name(lock), [lock.address.clone(), guarded])
        };
        summary.locks.iter().map(known).collect()
    };
    let ids = |summary: &'_ Summary| -> Vec<_> {
        summary.locks.iter().map(|lock| lock.id.clone()).collect()
    };
    let known = [side(before, &maps.numbers[0]), side(after, &maps.numbers[1])];
    matched(&known, &[ids(before), ids(after)])
}

type Side = Vec<(String, String, [Option<String>; 2])>;

fn matched(sides: &[Side; 2], ids: &[Vec<String>; 2]) -> Matched {
    let mut classes: BTreeMap<&str, [Vec<Known<'_>>; 2]> = BTreeMap::new();
    for (side, (known, ids)) in sides.iter().zip(ids).enumerate() {
        for ((class, name, marks), id) in known.iter().zip(ids) {
            let (class_text, name, marks) = (class.clone(), name.clone(), marks.clone());
            classes.entry(class).or_default()[side].push(Known {
                id,
                class: class_text,
                name,
                marks,
            });
        }
    }
    let mut matched = Matched::default();
    for [mut before, mut after] in classes.into_values() {
        let several = before.len().max(after.len()) > 1;
        let mut pairs = Vec::new();
        for mark in 0..2 {
            take_same(&mut before, &mut after, &mut pairs, |known| known.marks[mark].clone());
        }
        // Both are in the order of their weight.
        take_same(&mut before, &mut after, &mut pairs, |known| Some(known.class.clone()));
        pairs.extend(before.into_iter().map(|one| [Some(one), None]));
        pairs.extend(after.into_iter().map(|one| [None, Some(one)]));
        for (rank, pair) in pairs.iter().enumerate() {
            matched.add(pair, several.then_some(rank + 1));
        }
    }
    matched
}

/// Pairs those with the same mark, the first with the first.
fn take_same<'a>(
    before: &mut Vec<Known<'a>>,
    after: &mut Vec<Known<'a>>,
    pairs: &mut Vec<[Option<Known<'a>>; 2]>,
    mark: impl Fn(&Known<'_>) -> Option<String>,
) {
    let mut rest = Vec::new();
    for one in before.drain(..) {
        let wanted = mark(&one);
        let at = wanted.and_then(|wanted| {
            after.iter().position(|other| mark(other).as_ref() == Some(&wanted))
        });
        match at {
            Some(at) => pairs.push([Some(one), Some(after.remove(at))]),
            None => rest.push(one),
        }
    }
    *before = rest;
}

impl Matched {
    fn add(&mut self, pair: &[Option<Known<'_>>; 2], rank: Option<usize>) {
        let number = self.names.len();
        let name = pair.iter().flatten().next_back().map_or("", |known| known.name.as_str());
        self.names.push(rank.map_or_else(|| name.to_owned(), |rank| format!("{name} #{rank}")));
        for (side, known) in pair.iter().enumerate() {
            let id = known.as_ref().map(|known| known.id.to_owned());
            if let Some(id) = &id {
                self.numbers[side].insert(id.clone(), number);
            }
            self.ids[side].push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    fn summaries() -> [Summary; 2] {
        let summary = fixture::session().summary(10);
        [summary.clone(), summary]
    }

    #[test]
    fn ids_and_addresses_do_not_matter_where_names_tell() {
        let [before, mut after] = summaries();
        for (index, map) in after.maps.iter_mut().enumerate() {
            (map.id, map.address) = (format!("m{}", 90 + index), None);
        }
        let matched = maps(&before, &after);
        assert_eq!(matched.names.len(), before.maps.len());
        for (index, map) in before.maps.iter().enumerate() {
            let number = matched.numbers[0][&map.id];
            assert_eq!(
                matched.ids[1][number].as_deref(),
                Some(format!("m{}", 90 + index).as_str())
            );
        }
    }

    #[test]
    fn of_several_alike_the_address_tells_then_the_rank() {
        let [mut before, mut after] = summaries();
        let map = before.maps[0].clone();
        let like = |id: &str, address: &str| Map {
            id: id.to_owned(),
            address: Some(address.to_owned()),
            ..map.clone()
        };
        before.maps = vec![like("m1", "0x1"), like("m2", "0x2"), like("m3", "0x3")];
        after.maps = vec![like("m1", "0x9"), like("m2", "0x3")];
        let matched = maps(&before, &after);
        let with = |id: &str| matched.ids[1][matched.numbers[0][id]].as_deref();
        assert_eq!([with("m1"), with("m2"), with("m3")], [Some("m1"), None, Some("m2")]);
        assert!(matched.names.iter().all(|name| name.contains('#')), "{:?}", matched.names);
    }

    #[test]
    fn of_locks_alike_the_maps_tell_that_they_guard() {
        let [mut before, mut after] = summaries();
        let lock = before.locks[0].clone();
        let like = |id: &str, guarded: &[&str]| Lock {
            id: id.to_owned(),
            address: None,
            maps: guarded.iter().map(|&id| id.to_owned()).collect(),
            ..lock.clone()
        };
        let [one, two] = [before.maps[0].id.clone(), before.maps[1].id.clone()];
        before.locks = vec![like("l1", &[&one]), like("l2", &[&two])];
        after.locks = vec![like("l1", &[&two]), like("l2", &[&one])];
        let known = maps(&before, &after);
        let matched = locks(&before, &after, &known);
        assert_eq!(matched.ids[1][matched.numbers[0]["l1"]].as_deref(), Some("l2"));
    }
}
