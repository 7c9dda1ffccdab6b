//! Stacks by what they weigh, and the tree that they form.
//!
//! In: a [`Summary`]. Out: its stacks with their weights, for formats that are lists of
//! stacks, and the same as a [`Flame`], for what draws or walks them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Frame;
use super::summary::Summary;

/// What stacks are weighed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// Who waited for locks, ns.
    #[default]
    Wait,
    /// Who held locks that others waited for, ns of their waits.
    Blame,
    /// Who used maps, operations scaled from a sample.
    Ops,
}

impl By {
    /// Everything there is to weigh by.
    pub const ALL: [Self; 3] = [Self::Wait, Self::Blame, Self::Ops];

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Blame => "blame",
            Self::Ops => "ops",
        }
    }

    /// What a picture of it is called.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Wait => "Lock waits",
            Self::Blame => "Lock holders that others waited for",
            Self::Ops => "Map operations",
        }
    }

    /// What it is counted in.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Wait | Self::Blame => "ns",
            Self::Ops => "operations",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A weight that there is not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("stacks cannot be weighed by {0:?}; choose wait, blame or ops")]
pub struct UnknownBy(String);

impl FromStr for By {
    type Err = UnknownBy;

    fn from_str(name: &str) -> Result<Self, UnknownBy> {
        let found = Self::ALL.into_iter().find(|by| by.name() == name);
        found.ok_or_else(|| UnknownBy(name.to_owned()))
    }
}

/// One stack of a map or a lock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed<'a> {
    /// Id of the map or lock.
    pub of: &'a str,
    /// Innermost first; empty where it could not be read.
    pub stack: &'a [Frame],
    /// In [`By::unit`].
    pub weight: u64,
    /// Waits, or parts of them that are charged to a holder; operations.
    pub count: u64,
}

/// All stacks of a summary, map by map or lock by lock.
pub fn stacks(summary: &Summary, by: By) -> Vec<Weighed<'_>> {
    let (maps, locks) = (summary.maps.iter(), summary.locks.iter());
    match by {
        By::Wait => {
            let rows = locks.flat_map(|lock| lock.waiters.iter().map(move |row| (lock, row)));
            rows.map(|(lock, row)| Weighed {
                of: &lock.id,
                stack: &row.stack,
                weight: row.wait_ns,
                count: row.count,
            })
            .collect()
        }
        By::Blame => {
            let rows = locks.flat_map(|lock| lock.holders.iter().map(move |row| (lock, row)));
            rows.map(|(lock, row)| Weighed {
                of: &lock.id,
                stack: &row.stack,
                weight: row.blame_ns,
                count: row.count,
            })
            .collect()
        }
        By::Ops => {
            let rows = maps.flat_map(|map| map.stacks.iter().map(move |row| (map, row)));
            rows.map(|(map, row)| Weighed {
                of: &map.id,
                stack: &row.stack,
                weight: row.ops.total(),
                count: row.ops.total(),
            })
            .collect()
        }
    }
}

/// A function, and the functions it called; the root stands for all stacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flame {
    /// What is drawn for it; empty at the root.
    pub frame: Option<Frame>,
    /// Of all stacks that go through it, in [`By::unit`].
    pub weight: u64,
    /// Of those that end in it.
    pub own: u64,
    /// Heaviest first; of equal ones by name.
    pub children: Vec<Flame>,
}

/// What stands for a stack that could not be read.
pub const NO_STACK: &str = "(no stack)";

impl Flame {
    /// The stacks of a summary, of one map or lock where `of` is its id. A function is
    /// one node whatever line of it was on the stack.
    pub fn new(summary: &Summary, by: By, of: Option<&str>) -> Self {
        let mut root = Node::default();
        for row in stacks(summary, by) {
            if of.is_none_or(|id| row.of == id) && row.weight > 0 {
                root.add(row.stack, row.weight);
            }
        }
        root.finish(None)
    }
}

#[derive(Default)]
struct Node<'a> {
    weight: u64,
    own: u64,
    children: BTreeMap<&'a str, (Option<&'a Frame>, Node<'a>)>,
}

impl<'a> Node<'a> {
    fn add(&mut self, stack: &'a [Frame], weight: u64) {
        self.weight = self.weight.saturating_add(weight);
        let mut node = self;
        if stack.is_empty() {
            node = node.child(NO_STACK, None, weight);
        }
        for frame in stack.iter().rev() {
            node = node.child(&frame.function, Some(frame), weight);
        }
        node.own = node.own.saturating_add(weight);
    }

    fn child(&mut self, name: &'a str, frame: Option<&'a Frame>, weight: u64) -> &mut Self {
        let (_, child) = self.children.entry(name).or_insert_with(|| (frame, Self::default()));
        child.weight = child.weight.saturating_add(weight);
        child
    }

    fn finish(self, frame: Option<Frame>) -> Flame {
        let mut children: Vec<Flame> = self
            .children
            .into_iter()
            .map(|(name, (frame, node))| {
                let nameless =
                    || Frame { function: name.to_owned(), file: None, line: None, module: None };
                node.finish(Some(frame.cloned().unwrap_or_else(nameless)))
            })
            .collect();
        // Stable, and by name before.
        children.sort_by_key(|child| std::cmp::Reverse(child.weight));
        Flame { frame, weight: self.weight, own: self.own, children }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    fn leaves(flame: &Flame) -> u64 {
        flame.own + flame.children.iter().map(leaves).sum::<u64>()
    }

    #[test]
    fn a_tree_weighs_what_its_stacks_do() {
        let summary = fixture::session().summary(10);
        for by in By::ALL {
            let rows = stacks(&summary, by);
            let all: u64 = rows.iter().map(|row| row.weight).sum();
            let flame = Flame::new(&summary, by, None);
            assert_eq!((flame.weight, leaves(&flame)), (all, all), "{by}");
            assert!(all > 0, "{by}");
            let one = rows[0].of;
            let part: u64 = rows.iter().filter(|row| row.of == one).map(|row| row.weight).sum();
            assert_eq!(Flame::new(&summary, by, Some(one)).weight, part, "{by}");
        }
    }

    #[test]
    fn the_outermost_function_is_the_first_and_the_heaviest_child_comes_first() {
        let summary = fixture::session().summary(10);
        let flame = Flame::new(&summary, By::Wait, None);
        assert!(flame.frame.is_none());
        assert!(flame.children.is_sorted_by_key(|child| std::cmp::Reverse(child.weight)));
        let outermost: Vec<_> = stacks(&summary, By::Wait)
            .iter()
            .filter_map(|row| row.stack.last().map(|frame| frame.function.clone()))
            .collect();
        for child in &flame.children {
            let name = &child.frame.as_ref().unwrap().function;
            assert!(outermost.contains(name) || name == NO_STACK, "{name}");
        }
    }
}
