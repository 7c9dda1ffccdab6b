//! What a table knows of windows: nothing, and no memory, as long as all is counted.

use crate::model::spread::{Place, Rounding, Scale, Spread, Tally, join};

use super::{KEYED, Key, KeySlice, Ops, SpaceSaving};

/// By slot of the table, where there is anything.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Of the interval that goes on.
    tallies: Vec<Tally>,
    /// What the keys had that were in the last window of the interval before.
    before: Vec<(Key, [f32; 2])>,
    /// Of keys that were scaled.
    spreads: Vec<Option<Spread>>,
}

impl Side {
    /// The slot is another key's from now on.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(tally) = self.tallies.get_mut(slot as usize) {
            *tally = Tally::default();
        }
        if let Some(spread) = self.spreads.get_mut(slot as usize) {
            *spread = None;
        }
    }

    /// Adds what is known of `theirs` to a slot that had `mine` operations before.
    pub(super) fn join(&mut self, slot: u32, mine: &Ops, theirs: &KeySlice) {
        if !self.knows(slot) && theirs.spread.is_none() {
            return;
        }
        let slot = slot as usize;
        if slot >= self.spreads.len() {
            self.spreads.resize(slot + 1, None);
        }
        let other = theirs.spread.as_deref().copied();
        join(&mut self.spreads[slot], mine.total(), other, theirs.ops.total());
    }

    pub(super) fn knows(&self, slot: u32) -> bool {
        self.spread(slot).is_some()
    }

    pub(super) fn spread(&self, slot: u32) -> Option<Spread> {
        self.spreads.get(slot as usize).copied().flatten()
    }

    /// Empties it for the next interval, which another scales or does not.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl SpaceSaving {
    /// Ends a window.
    pub(in crate::model) fn window(&mut self, place: Place) {
        let mut tallies = std::mem::take(&mut self.side.tallies);
        tallies.resize(self.entries.len(), Tally::default());
        if place.is_first() {
            for (key, last) in std::mem::take(&mut self.side.before) {
                if let Some(slot) = self.find(self.hash(&key), &key.bytes, key.len) {
                    tallies[slot as usize].follow(last);
                }
            }
        }
        for (slot, tally) in tallies.iter_mut().enumerate() {
            tally.window(self.ops(slot as u32).total(), place);
        }
        self.side.tallies = tallies;
    }

    /// Empties the table, with all scaled.
    pub(in crate::model) fn take_scaled(&mut self, scale: &Scale) -> (Vec<KeySlice>, u64) {
        let tallies = std::mem::take(&mut self.side.tallies);
        let (mut keys, floor) = self.take();
        let mut rounding = [Rounding::new(scale); KEYED];
        let mut tallies = tallies.into_iter();
        for row in &mut keys {
            let tally = tallies.next().unwrap_or_default();
            if tally.last().into_iter().any(|count| count > 0.0) {
                self.side.before.push((row.key.clone(), tally.last()));
            }
            row.spread = Some(Box::new(tally.spread(row.ops.total(), row.ops.total(), scale)));
            for (count, rounding) in row.ops.0.iter_mut().zip(&mut rounding) {
                *count = rounding.next(*count);
            }
            row.error = scale.of(row.error);
        }
        (keys, scale.of(floor))
    }

    /// What is known of the keys that were scaled, in the order of [`SpaceSaving::iter`].
    pub(crate) fn spreads(&self) -> impl Iterator<Item = Option<Spread>> {
        (0..self.entries.len() as u32).map(|slot| self.side.spread(slot))
    }
}
