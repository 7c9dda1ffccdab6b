//! What the programs say of themselves, and how a summary differs from it.

use serde::Deserialize;

use crate::summary::{Key, Map, Ops, Summary};

/// Operations per map and key, as `counts`, `reads` and `hash` print them.
#[derive(Clone, Debug, Deserialize)]
pub struct Counts {
    /// By map.
    pub maps: Vec<MapCounts>,
    /// Wrong results that the program itself noticed.
    pub mismatches: u64,
}

/// One map's operations.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MapCounts {
    /// `0xc000012345`.
    pub address: String,
    /// As the program writes it; absent where the program knows no types.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Walks over the whole map.
    pub iterate: u64,
    /// Times all keys were removed at once.
    pub clear: u64,
    /// By key.
    pub keys: Vec<KeyCounts>,
}

/// One key's operations.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeyCounts {
    /// As mapprof is to show it; keys that are neither number nor text as the
    /// hexadecimal digits of their bytes.
    pub key: String,
    /// Reads.
    pub lookup: u64,
    /// Writes.
    pub insert: u64,
    /// Removals.
    pub delete: u64,
}

impl KeyCounts {
    fn ops(&self) -> Ops {
        Ops { lookup: self.lookup, insert: self.insert, delete: self.delete, ..Ops::default() }
    }
}

impl Counts {
    /// All operations on all maps.
    pub fn total(&self) -> u64 {
        let of_key = |key: &KeyCounts| key.lookup + key.insert + key.delete;
        let of_map =
            |map: &MapCounts| map.iterate + map.clear + map.keys.iter().map(of_key).sum::<u64>();
        self.maps.iter().map(of_map).sum()
    }

    /// Every map, operation and key that the summary has otherwise.
    pub fn differences(&self, summary: &Summary) -> Vec<String> {
        let mut differences = Vec::new();
        // What the tables of stacks and holders have no room for is in all counts.
        let details = ["key_waits", "op_stacks", "stacks", "holders", "pairs"];
        let is_detail = |reason: &str| {
            reason.strip_suffix("_beyond_limit").is_some_and(|table| details.contains(&table))
        };
        for (reason, lost) in summary.window.lost.iter().filter(|(it, _)| !is_detail(it)) {
            differences.push(format!("lost: {reason} {lost}"));
        }
        for truth in &self.maps {
            let found: Vec<_> = maps_at(summary, &truth.address).collect();
            let [map] = found[..] else {
                let type_name = truth.type_name.as_deref().unwrap_or_default();
                let (address, found) = (&truth.address, found.len());
                differences.push(format!("{type_name} at {address}: {found} maps instead of one"));
                continue;
            };
            differences.extend(truth.differences(map));
        }
        differences
    }
}

/// Maps of the summary with this address.
fn maps_at<'a>(summary: &'a Summary, address: &str) -> impl Iterator<Item = &'a Map> {
    let address = address.to_owned();
    summary.maps.iter().filter(move |map| map.address.as_ref() == Some(&address))
}

impl MapCounts {
    fn differences(&self, map: &Map) -> Vec<String> {
        let mut differences = Vec::new();
        let name = self.type_name.as_deref().unwrap_or(&self.address);
        if self.type_name.is_some() && self.type_name != map.type_name {
            differences.push(format!("{name}: type {:?}", map.type_name));
        }
        // When a table grows is the runtime's own business, and no program counts it.
        let expected = Ops {
            lookup: self.keys.iter().map(|key| key.lookup).sum(),
            insert: self.keys.iter().map(|key| key.insert).sum(),
            delete: self.keys.iter().map(|key| key.delete).sum(),
            iterate: self.iterate,
            clear: self.clear,
            grow: map.ops.grow,
            miss: map.ops.miss,
            promote: map.ops.promote,
        };
        if map.ops != expected {
            differences.push(format!("{name}: {:?} instead of {expected:?}", map.ops));
        }
        if map.unreadable_keys > 0 {
            differences.push(format!("{name}: {} keys unreadable", map.unreadable_keys));
        }
        for truth in &self.keys {
            let found: Vec<_> = map.keys.iter().filter(|key| shows(key, &truth.key)).collect();
            let ops = match found[..] {
                [] => Ops::default(),
                [key] if key.margin == 0 => key.ops,
                [key] => {
                    differences.push(format!("{name}[{}]: margin {}", truth.key, key.margin));
                    continue;
                }
                _ => {
                    differences.push(format!("{name}[{}]: {} times", truth.key, found.len()));
                    continue;
                }
            };
            if ops != truth.ops() {
                differences.push(format!(
                    "{name}[{}]: {ops:?} instead of {:?}",
                    truth.key,
                    truth.ops()
                ));
            }
        }
        for key in &map.keys {
            if !self.keys.iter().any(|truth| shows(key, &truth.key)) {
                differences.push(format!("{name}: a key {} that never was", key.key));
            }
        }
        differences
    }
}

/// Whether this is how the summary shows the program's key: the same text, the
/// same bytes, or as much of them as was carried.
fn shows(key: &Key, truth: &str) -> bool {
    if key.key == truth {
        return true;
    }
    if !key.cut {
        return bytes(&key.key).as_deref() == Some(truth);
    }
    let Some(carried) = key.key.strip_suffix('…') else { return false };
    match carried.strip_suffix('"') {
        Some(text) => text.len() > 1 && truth.starts_with(text),
        None if carried.starts_with("0x") => truth.starts_with(carried),
        None => bytes(carried).is_some_and(|digits| truth.starts_with(&digits)),
    }
}

/// The digits of a key that is shown as bytes: `01 ff`.
fn bytes(key: &str) -> Option<String> {
    let pairs: Vec<_> = key.split(' ').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    pairs.iter().all(is_pair).then(|| pairs.concat())
}

/// Waits per lock, as `locks` prints them.
#[derive(Clone, Debug, Deserialize)]
pub struct Locks {
    /// By lock.
    pub locks: Vec<LockWaits>,
    /// Moments at which a lock did not exclude.
    pub violations: u64,
}

/// One lock's waits.
#[derive(Clone, Debug, Deserialize)]
pub struct LockWaits {
    /// `0xc000012345`.
    pub address: String,
    /// `sync.Mutex` or `sync.RWMutex`.
    pub kind: String,
    /// Waits to write; all waits where the lock knows no difference.
    pub write: Waits,
    /// Waits to read.
    pub read: Waits,
    /// One wait may consist of two, for the other writers and for the readers.
    pub split: bool,
    /// Median of how long writers had it, ns.
    pub hold_p50_ns: u64,
}

/// Waits for what is no lock, as `parked` prints them.
#[derive(Clone, Debug, Deserialize)]
pub struct Parked {
    /// By function.
    pub waits: Vec<ParkedIn>,
    /// How many values got lost on their way.
    pub mismatches: i64,
}

/// Waits in one function.
#[derive(Clone, Debug, Deserialize)]
pub struct ParkedIn {
    /// The function.
    pub function: String,
    /// What is waited for.
    pub kind: String,
    /// How many and how long.
    #[serde(flatten)]
    pub waits: Waits,
}

/// Waits by the program's own clock.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Waits {
    /// How many surely waited.
    pub waits: u64,
    /// How long those took in all, ns.
    pub wait_ns: u64,
    /// How many may or may not have waited, being short.
    pub doubtful: u64,
    /// How long those took in all, ns.
    pub doubtful_ns: u64,
}

/// How far a summary's waits may be from the program's own.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Waits that took as long as surely a wait does, but were none, in percent: for
    /// lack of a CPU.
    pub missed_percent: u64,
    /// Of a sum, in percent.
    pub sum_percent: u64,
    /// What one probed wait may cost the program's own measurement, ns.
    pub probes_per_wait_ns: u64,
}

impl Tolerance {
    /// On a real machine, be it a slow one: two hits of a probe that the kernel
    /// emulates.
    pub const REAL: Self = Self { missed_percent: 0, sum_percent: 2, probes_per_wait_ns: 2_000 };
}

impl Locks {
    /// Every lock whose waits the summary has otherwise, as measured on a real machine:
    /// their number, or their sum.
    pub fn differences(&self, summary: &Summary) -> Vec<String> {
        self.differences_within(Tolerance::REAL, summary)
    }

    /// The same, anywhere.
    pub fn differences_within(&self, tolerance: Tolerance, summary: &Summary) -> Vec<String> {
        self.locks.iter().flat_map(|truth| truth.differences(tolerance, summary)).collect()
    }
}

impl LockWaits {
    fn differences(&self, tolerance: Tolerance, summary: &Summary) -> Vec<String> {
        // An RWMutex's first field is the writers' mutex, so that two kinds of
        // lock may share one address.
        let found =
            || summary.locks.iter().filter(|lock| lock.address.as_ref() == Some(&self.address));
        let name = format!("{} at {}", self.kind, self.address);
        let mut differences = Vec::new();
        if !found().any(|lock| lock.kind.starts_with(&self.kind)) {
            let kinds: Vec<_> = found().map(|lock| &lock.kind).collect();
            differences.push(format!("{name}: found as {kinds:?}"));
        }
        let count: u64 = found().map(|lock| lock.wait.count).sum();
        let certain = self.write.waits + self.read.waits;
        let least = certain - certain * tolerance.missed_percent / 100;
        let most = certain + self.write.doubtful + self.read.doubtful;
        let most = if self.split { most + self.write.waits + self.write.doubtful } else { most };
        if !(least..=most).contains(&count) {
            differences.push(format!("{name}: {count} waits instead of {least} to {most}"));
        }
        let sum: u64 = found().map(|lock| lock.wait.sum_ns).sum();
        let truth = self.write.wait_ns + self.read.wait_ns;
        let slack = truth * tolerance.sum_percent / 100
            + self.write.doubtful_ns
            + self.read.doubtful_ns
            + most * tolerance.probes_per_wait_ns;
        if sum.abs_diff(truth) > slack {
            differences.push(format!("{name}: waited {sum} ns instead of {truth} ± {slack}"));
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, cut: bool) -> Key {
        Key { key: text.into(), ops: Ops::default(), margin: 0, cut, wait: None, blame: None }
    }

    #[test]
    fn keys_are_recognised() {
        assert!(shows(&key("7", false), "7"));
        assert!(!shows(&key("7", false), "77"));
        assert!(shows(&key("\"a b\"", false), "\"a b\""));
        assert!(!shows(&key("\"a b\"", false), "\"ab\""));
        assert!(shows(&key("01 02", false), "0102"));
        assert!(shows(&key("\"abc\"…", true), "\"abcdef\""));
        assert!(!shows(&key("\"abd\"…", true), "\"abcdef\""));
        assert!(!shows(&key("\"\"…", true), "\"abcdef\""));
        assert!(shows(&key("01 02…", true), "010203"));
        assert!(!shows(&key("01 03…", true), "010203"));
        assert!(shows(&key("0x0102…", true), "0x010203"));
        assert!(!shows(&key("0x0103…", true), "0x010203"));
    }

    fn summary(maps: &str, locks: &str) -> Summary {
        serde_json::from_str(&format!(
            r#"{{"schema":"mapprof.summary.v1","target":{{"pid":1,"exe":"/x","runtimes":[]}},
                "window":{{"duration_ns":1,"observed_ns":1,"events":1,"lost":{{}}}},
                "maps":[{maps}],"locks":[{locks}],"findings":[]}}"#
        ))
        .expect("a summary")
    }

    const OPS: &str = r#"{"lookup":2,"insert":1,"delete":0,"iterate":3,"clear":0,"grow":1}"#;
    const KEY_OPS: &str = r#"{"lookup":2,"insert":1,"delete":0,"iterate":0,"clear":0,"grow":0}"#;

    fn truth() -> Counts {
        serde_json::from_str(
            r#"{"maps":[{"address":"0x10","type":"map[int]int","iterate":3,"clear":0,
                "keys":[{"key":"7","lookup":2,"insert":1,"delete":0}, {"key":"8","lookup":0,"insert":0,"delete":0}]}],
                "mismatches":0}"#,
        )
        .expect("a truth")
    }

    fn map(key: &str, key_ops: &str) -> String {
        format!(
            r#"{{"id":"m1","address":"0x10","kind":"go.map","type":"map[int]int","ops":{OPS},
                "keys":[{{"key":"{key}","ops":{key_ops},"margin":0}}]}}"#
        )
    }

    #[test]
    fn equal_counts_do_not_differ() {
        assert_eq!(truth().differences(&summary(&map("7", KEY_OPS), "")), Vec::<String>::new());
        assert_eq!(truth().total(), 6);
    }

    #[test]
    fn every_difference_is_found() {
        let count = |maps: &str| truth().differences(&summary(maps, "")).len();
        assert_eq!(count(""), 1, "no map");
        assert_eq!(count(&format!("{0},{0}", map("7", KEY_OPS))), 1, "two maps");
        assert_eq!(count(&map("7", OPS)), 1, "another count");
        assert_eq!(count(&map("9", KEY_OPS)), 2, "another key");
    }

    #[test]
    fn waits_differ_by_number_and_by_sum() {
        let truth: Locks = serde_json::from_str(
            r#"{"locks":[{"address":"0x10","kind":"sync.Mutex","split":false,"hold_p50_ns":1,
                "write":{"waits":10,"wait_ns":100000000,"doubtful":1,"doubtful_ns":1000},
                "read":{"waits":0,"wait_ns":0,"doubtful":0,"doubtful_ns":0}}],"violations":0}"#,
        )
        .expect("a truth");
        let count = |kind: &str, waits: u64, sum: u64| {
            let lock = format!(
                r#"{{"id":"l1","address":"0x10","kind":"{kind}","waiters":[],
                    "wait":{{"count":{waits},"sum_ns":{sum},"min_ns":1,"max_ns":1}}}}"#
            );
            truth.differences(&summary("", &lock)).len()
        };
        assert_eq!(count("sync.Mutex", 10, 100_000_000), 0);
        assert_eq!(count("sync.Mutex", 11, 98_100_000), 0);
        assert_eq!(count("sync.Mutex", 12, 100_000_000), 1);
        assert_eq!(count("sync.Mutex", 9, 100_000_000), 1);
        assert_eq!(count("sync.Mutex", 10, 97_000_000), 1);
        assert_eq!(count("other", 10, 100_000_000), 1);
        assert_eq!(truth.differences(&summary("", "")).len(), 3);
    }
}
