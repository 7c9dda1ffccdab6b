//! Walking through a flame graph.
//!
//! In: the figures that are shown, and which way to go. Out: the tree, and the path to
//! the function that one is at.

use crate::{
    model::{
        flame::{By, Flame},
        names::{lock_name, map_name},
        summary::Summary,
    },
    units,
    view::grid::RowId,
};

use super::{App, Page};

/// Where one is in a flame graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::view) struct Walk {
    /// What stacks are weighed by.
    pub(in crate::view) by: By,
    /// Id of the map or lock; everything otherwise.
    pub(in crate::view) of: Option<String>,
    /// From the root, which child each time.
    pub(in crate::view) path: Vec<usize>,
    /// How much of the path leads to the function that fills the width.
    pub(in crate::view) zoom: usize,
}

/// A way through the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the caller.
    Out,
    /// To the heaviest that it calls.
    In,
    /// To the heavier neighbour.
    Left,
    /// To the lighter neighbour.
    Right,
}

impl App {
    /// Opens the flame graph of the row one is at, or of everything; closes an open one.
    pub(super) fn open_flame(&mut self) {
        if let Some(Page::Flame(_)) = self.page {
            return self.back();
        }
        let row = match &self.page {
            Some(Page::Detail(row)) => Some(row),
            _ => self.selected(),
        };
        let (of, by) = match row {
            Some(RowId::Map(id) | RowId::Key(id, _) | RowId::Site(id, _)) => (Some(id), By::Ops),
            Some(RowId::Lock(id) | RowId::Pair(id, _)) => (Some(id), By::Wait),
            Some(RowId::Step(_)) | None => (None, By::Wait),
        };
        let of = of.cloned();
        let Some(summary) = self.summary() else { return self.tell("Nothing was measured yet.") };
        let ways = [by, By::Wait, By::Blame, By::Ops];
        let some = |by: &By| Flame::new(summary, *by, of.as_deref()).weight > 0;
        let Some(by) = ways.into_iter().find(some) else {
            return self.tell("No stack is known here: there was no wait, and none was sampled.");
        };
        self.scroll = 0;
        self.page = Some(Page::Flame(Walk { by, of, ..Walk::default() }));
        self.grow_flame();
    }

    /// Makes the tree of the figures that are shown, where one is open, and finds the
    /// functions of the path again.
    pub(super) fn grow_flame(&mut self) {
        let Some(Page::Flame(mut walk)) = self.page.clone() else { return };
        let Some(summary) = self.summary() else { return };
        let flame = Flame::new(summary, walk.by, walk.of.as_deref());
        if let Some(before) = &self.flame {
            walk.path = found_again(&names(before, &walk.path), &flame);
        }
        walk.path.truncate(depth(&flame, &walk.path));
        walk.zoom = walk.zoom.min(walk.path.len());
        self.flame = Some(flame);
        self.page = Some(Page::Flame(walk));
    }

    /// Weighs by what comes next of what there is.
    pub(super) fn next_by(&mut self) {
        let Some(Page::Flame(walk)) = &self.page else { return };
        let Some(summary) = self.summary() else { return };
        let now = By::ALL.iter().position(|by| *by == walk.by).unwrap_or(0);
        let others = (1..By::ALL.len()).map(|n| By::ALL[(now + n) % By::ALL.len()]);
        let mut some = others.filter(|by| Flame::new(summary, *by, walk.of.as_deref()).weight > 0);
        match some.next() {
            Some(by) => {
                let of = walk.of.clone();
                self.flame = None;
                self.page = Some(Page::Flame(Walk { by, of, ..Walk::default() }));
                self.grow_flame();
            }
            None => self.tell("There are no stacks by anything else here."),
        }
    }

    /// One function further.
    pub(super) fn walk(&mut self, way: Way) {
        let (Some(Page::Flame(walk)), Some(flame)) = (&mut self.page, &self.flame) else { return };
        let end = walk.path.len().checked_sub(1);
        match way {
            Way::In if !node(flame, &walk.path).children.is_empty() => walk.path.push(0),
            Way::Out if walk.path.len() > walk.zoom => drop(walk.path.pop()),
            // What is beside the one that fills the width is not shown.
            Way::Left | Way::Right if walk.path.len() > walk.zoom => {
                let Some(end) = end else { return };
                let most = node(flame, &walk.path[..end]).children.len().saturating_sub(1);
                let at = walk.path[end];
                let to = if way == Way::Left { at.saturating_sub(1) } else { at + 1 };
                walk.path[end] = to.min(most);
            }
            _ => {}
        }
    }

    /// Gives the function that one is at the whole width.
    pub(super) fn zoom_in(&mut self) {
        if let Some(Page::Flame(walk)) = &mut self.page {
            walk.zoom = walk.path.len();
        }
    }

    /// Gives it back to all; where all have it, leaves.
    pub(super) fn zoom_out(&mut self) {
        match &mut self.page {
            Some(Page::Flame(walk)) if walk.zoom > 0 => walk.zoom = 0,
            _ => self.back(),
        }
    }

    /// The tree that is open.
    pub(in crate::view) fn flame(&self) -> Option<(&Walk, &Flame)> {
        match (&self.page, &self.flame) {
            (Some(Page::Flame(walk)), Some(flame)) => Some((walk, flame)),
            _ => None,
        }
    }

    /// Whose it is, and by what: `wait of l1 sync.Mutex in main.f`.
    pub(in crate::view) fn flame_title(&self) -> Option<String> {
        let (walk, flame) = self.flame()?;
        let of = match &walk.of {
            None => "everything".to_owned(),
            Some(id) => format!("{id} {}", self.summary().map_or(String::new(), |s| name(s, id))),
        };
        let weight = match walk.by {
            By::Ops => format!("{} operations", units::count(flame.weight)),
            By::Wait | By::Blame => units::time(flame.weight),
        };
        Some(units::clean(&format!("{} of {of}: {weight}", walk.by)).into_owned())
    }

    /// The function that one is at, and what it weighs.
    pub(super) fn flame_row(&self) -> Option<String> {
        let (walk, flame) = self.flame()?;
        let names = names(flame, &walk.path);
        let at = node(flame, &walk.path);
        let stack = names.iter().map(|name| units::clean(name)).collect::<Vec<_>>().join(";");
        Some(format!("{stack}\t{}\t{}", at.weight, walk.by.unit()))
    }
}

fn name(summary: &Summary, id: &str) -> String {
    let map = summary.maps.iter().find(|map| map.id == id).map(map_name);
    let lock = || summary.locks.iter().find(|lock| lock.id == id).map(lock_name);
    map.or_else(lock).unwrap_or_default()
}

/// How much of the path there is.
fn depth(flame: &Flame, path: &[usize]) -> usize {
    let mut at = flame;
    let there = path.iter().take_while(|&&child| match at.children.get(child) {
        Some(next) => {
            at = next;
            true
        }
        None => false,
    });
    there.count()
}

/// Where the path leads to, as far as there is one.
fn node<'a>(flame: &'a Flame, path: &[usize]) -> &'a Flame {
    let step = |at: &'a Flame, child: &usize| at.children.get(*child).unwrap_or(at);
    path.iter().fold(flame, step)
}

/// The functions on the path.
fn names(flame: &Flame, path: &[usize]) -> Vec<String> {
    let mut at = flame;
    let mut names = Vec::new();
    for child in path {
        let Some(next) = at.children.get(*child) else { break };
        names.push(next.frame.as_ref().map_or(String::new(), |frame| frame.function.clone()));
        at = next;
    }
    names
}

/// The path to the same functions, as far as they are there.
fn found_again(names: &[String], flame: &Flame) -> Vec<usize> {
    let mut at = flame;
    let mut path = Vec::new();
    for name in names {
        let is = |child: &Flame| child.frame.as_ref().is_some_and(|frame| frame.function == *name);
        let Some(index) = at.children.iter().position(is) else { break };
        path.push(index);
        at = &at.children[index];
    }
    path
}
