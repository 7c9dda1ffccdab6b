//! What `owner` says of its waits and of who was to blame, and how a summary
//! differs from it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::summary::Frame;

/// What the program's own clock says.
#[derive(Clone, Debug, Deserialize)]
pub struct Truth {
    /// How often X's owner took the lock.
    pub rounds: u64,
    /// Waits of the users of each key.
    pub waits: BTreeMap<String, Waits>,
    /// How much of others' waits lay in the holds of each key's owner, ns.
    pub blame: BTreeMap<String, u64>,
}

/// Waits of one key's users by the program's own clock.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Waits {
    /// How many surely waited.
    pub count: u64,
    /// How long those took in all, ns.
    pub wait_ns: u64,
    /// How long those took in all that are too short to be told from none, ns.
    pub doubtful_ns: u64,
}

/// The part of a summary that says who waited and for whom.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Summary {
    pub window: Window,
    pub maps: Vec<Map>,
    pub locks: Vec<Lock>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Window {
    pub lost: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Map {
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Key {
    pub key: String,
    #[serde(default)]
    pub wait: Spans,
    #[serde(default)]
    pub blame: Spans,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Spans {
    pub count: u64,
    pub sum_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Lock {
    #[serde(default)]
    pub address: Option<String>,
    #[serde(default)]
    pub label: Option<String>,
    pub wait: Spans,
    #[serde(default)]
    pub holders: Vec<Held>,
    #[serde(default)]
    pub pairs: Vec<Pair>,
}

/// A stack that held the lock.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Held {
    pub stack: Vec<Frame>,
    pub blame_ns: u64,
    #[serde(default)]
    pub keys: Vec<HeldFor>,
}

/// What part of it a key has.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct HeldFor {
    pub key: String,
    pub wait_ns: u64,
}

/// Who waited for whom.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Pair {
    pub holder: Side,
    pub waiter: Side,
    pub wait_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Side {
    pub key: Option<String>,
    pub stack: Vec<Frame>,
}

/// What `holder` says of who held which lock, and for what.
#[derive(Clone, Debug, Deserialize)]
pub struct Holders {
    /// One for each lock.
    pub holders: Vec<Holder>,
}

/// A function that held a lock while others waited.
#[derive(Clone, Debug, Deserialize)]
pub struct Holder {
    /// Its name.
    pub function: String,
    /// The key that it held it for; empty where it was for none.
    pub key: String,
    /// The lock's address.
    pub lock: String,
    /// The function that waited.
    pub waiter: String,
    /// How long others waited for it, ns.
    pub blame_ns: u64,
}

impl Holders {
    /// Everything that the summary has otherwise: the function that is charged with nearly
    /// all of the wait, the key that it is charged for, and what the lock is called.
    pub fn differences(&self, summary: &Summary) -> Vec<String> {
        let lost =
            summary.window.lost.iter().map(|(reason, lost)| format!("lost: {reason} {lost}"));
        lost.chain(self.holders.iter().flat_map(|holder| holder.differences(summary))).collect()
    }
}

impl Holder {
    fn differences(&self, summary: &Summary) -> Vec<String> {
        let mut locks = summary.locks.iter();
        let Some(lock) = locks.find(|lock| lock.address.as_ref() == Some(&self.lock)) else {
            return vec![format!("{}: nobody waited for {}", self.function, self.lock)];
        };
        let mut differences = Vec::new();
        let of = |held: &&Held| held.stack.iter().any(|frame| frame.function == self.function);
        let held: Vec<&Held> = lock.holders.iter().filter(of).collect();
        let charged: u64 = held.iter().map(|held| held.blame_ns).sum();
        differences.extend(carries(&self.function, charged, lock.wait.sum_ns));
        let keys = || held.iter().flat_map(|held| &held.keys);
        let for_it: u64 = keys().filter(|part| part.key == self.key).map(|part| part.wait_ns).sum();
        if !self.key.is_empty() {
            differences.extend(carries(&format!("{} for its key", self.function), for_it, charged));
        }
        let others = keys().filter(|part| part.key != self.key);
        differences.extend(others.map(|part| {
            format!("{} is blamed for {} ({} ns)", self.function, part.key, part.wait_ns)
        }));
        if lock.label.as_ref() != Some(&self.waiter) {
            differences.push(format!("{}: its lock is called {:?}", self.function, lock.label));
        }
        differences
    }
}

/// The key whose owner is slow.
const OWNED: &str = "X";
/// The keys whose users wait, and the functions they come from.
const USED: [(&str, &str); 2] = [("Y", "main.useY"), ("Z", "main.useZ")];
/// The function that X's owner comes from.
const OWNER: &str = "main.ownX";

impl Truth {
    /// Whether it went as planned by the program's own clock. On a busy machine a
    /// user may lose its CPU with the lock in hand, and then there are two to blame.
    pub fn is_as_planned(&self) -> bool {
        carries("", self.blame.get(OWNED).copied().unwrap_or(0), self.all()).is_none()
    }

    /// Everything that the summary has otherwise: the owner's share of the blame
    /// and the users' of the waits, which are to be 95% or more; their sums, which
    /// may be off by 5%; and from where in the code each came.
    pub fn differences(&self, summary: &Summary) -> Vec<String> {
        let mut differences = Vec::new();
        for (reason, lost) in &summary.window.lost {
            differences.push(format!("lost: {reason} {lost}"));
        }
        let owned = self.blame.get(OWNED).copied().unwrap_or(0);
        let waited = summary.locks.iter().map(|lock| lock.wait.sum_ns).sum();
        let blamed = summary.keys().map(|key| key.blame.sum_ns).sum();
        let doubtful = self.waits.values().map(|waits| waits.doubtful_ns).sum();
        let own_blame: u64 = summary.named(OWNED).map(|key| key.blame.sum_ns).sum();

        differences.extend(carries("X's blame", own_blame, blamed));
        differences.extend(carries("X's blame as a part of all waits", own_blame, waited));
        differences.extend(near("X's blame", own_blame, owned, doubtful));
        let mut used = 0;
        for (name, user) in USED {
            let truth = self.waits.get(name).copied().unwrap_or_default();
            let (count, sum) = summary
                .named(name)
                .fold((0, 0), |(count, sum), key| (count + key.wait.count, sum + key.wait.sum_ns));
            used += sum;
            differences.extend(near(&format!("{name}'s wait"), sum, truth.wait_ns, doubtful));
            if count * 100 < truth.count * 95 {
                differences.push(format!("{name} waited {count} times instead of {}", truth.count));
            }
            let paired: u64 = summary.pairs(name, user).map(|pair| pair.wait_ns).sum();
            let what = format!("{name}'s wait for {OWNER} in {user}");
            differences.extend(near(&what, paired, truth.wait_ns, doubtful));
        }
        differences.extend(carries("the wait of Y and Z", used, waited));
        differences
    }

    /// All that anybody surely waited, ns.
    fn all(&self) -> u64 {
        self.waits.values().map(|waits| waits.wait_ns).sum()
    }
}

impl Summary {
    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.maps.iter().flat_map(|map| &map.keys)
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Key> {
        self.keys().filter(move |key| is(&key.key, name))
    }

    /// Waits for X's owner of this key's users, in this function.
    fn pairs<'a>(&'a self, name: &'a str, user: &'a str) -> impl Iterator<Item = &'a Pair> {
        self.locks.iter().flat_map(|lock| &lock.pairs).filter(move |pair| {
            pair.holder.comes_with(OWNED, OWNER) && pair.waiter.comes_with(name, user)
        })
    }
}

impl Side {
    fn comes_with(&self, name: &str, function: &str) -> bool {
        self.key.as_ref().is_some_and(|key| is(key, name))
            && self.stack.iter().any(|frame| frame.function == function)
    }
}

/// Whether this is how the program's string is shown: alone, or as what an
/// interface holds.
fn is(key: &str, name: &str) -> bool {
    let text = format!("{name:?}");
    key == text || key == format!("string({text})")
}

/// A difference unless the part is 95% of the whole, which is more than nothing.
fn carries(what: &str, part: u64, whole: u64) -> Option<String> {
    (whole == 0 || part * 100 < whole * 95).then(|| format!("{what}: {part} of {whole} ns"))
}

/// A difference unless the figure is the clock's within 5%, or within what the
/// clock leaves in doubt.
fn near(what: &str, figure: u64, clock: u64, doubtful: u64) -> Option<String> {
    let slack = clock / 20 + doubtful;
    (figure.abs_diff(clock) > slack)
        .then(|| format!("{what}: {figure} ns instead of {clock} ± {slack}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn truth() -> Truth {
        serde_json::from_value(json!({
            "rounds": 1,
            "waits": {
                "X": {"count": 0, "wait_ns": 0, "doubtful": 1, "doubtful_ns": 10},
                "Y": {"count": 10, "wait_ns": 50_000, "doubtful": 0, "doubtful_ns": 0},
                "Z": {"count": 10, "wait_ns": 50_000, "doubtful": 0, "doubtful_ns": 0},
            },
            "blame": {"X": 99_000, "Y": 1_000, "Z": 0},
        }))
        .expect("a truth")
    }

    fn summary() -> Value {
        let stack = |function: &str| json!([{"function": "sync.Lock"}, {"function": function}]);
        let pair = |key: &str, function: &str| {
            json!({
                "holder": {"key": "\"X\"", "stack": stack(OWNER)},
                "waiter": {"key": key, "stack": stack(function)},
                "count": 10, "wait_ns": 49_000,
            })
        };
        json!({
            "window": {"lost": {}},
            "maps": [{"keys": [
                {"key": "\"X\"", "blame": {"count": 20, "sum_ns": 98_000}},
                {"key": "\"Y\"", "wait": {"count": 10, "sum_ns": 50_000}},
                {"key": "string(\"Z\")", "wait": {"count": 10, "sum_ns": 49_000}},
            ]}],
            "locks": [{
                "wait": {"count": 20, "sum_ns": 100_000},
                "pairs": [pair("\"Y\"", "main.useY"), pair("\"Z\"", "main.useZ")],
            }],
        })
    }

    fn differences(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut summary = summary();
        change(&mut summary);
        truth().differences(&serde_json::from_value(summary).expect("a summary"))
    }

    #[test]
    fn what_agrees_does_not_differ() {
        assert_eq!(differences(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn others_may_be_to_blame() {
        assert!(truth().is_as_planned());
        let mut truth = truth();
        truth.blame.insert(OWNED.into(), 90_000);
        assert!(!truth.is_as_planned());
    }

    #[test]
    fn every_difference_is_found() {
        let count = |pointer: &str, value: Value| {
            differences(|summary| *summary.pointer_mut(pointer).expect("a place") = value).len()
        };
        assert_eq!(count("/window/lost", json!({"ring full": 1})), 1, "events lost");
        assert_eq!(count("/maps/0/keys/0/blame/sum_ns", json!(90_000)), 2, "little blame");
        assert_eq!(count("/maps/0/keys/0/key", json!("\"W\"")), 3, "another's blame");
        assert_eq!(count("/maps/0/keys/1/wait/sum_ns", json!(40_000)), 2, "a short wait");
        assert_eq!(count("/maps/0/keys/1/wait/count", json!(9)), 1, "few waits");
        assert_eq!(count("/locks/0/wait/sum_ns", json!(110_000)), 2, "waits of no key");
        assert_eq!(count("/locks/0/pairs", json!([])), 2, "no pairs");
        let frame = "/locks/0/pairs/0/waiter/stack/1/function";
        assert_eq!(count(frame, json!("main.other")), 1, "another waiter");
        assert_eq!(count("/locks/0/pairs/1/holder/key", json!(null)), 1, "a holder without key");
    }
}
