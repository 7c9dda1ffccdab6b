//! The tables in which the programs count operations on hot keys.
//!
//! In: memory that both share. Out: records of what was counted, as they would have come
//! through the rings.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aya::Ebpf;
use probe_ebpf::{CombinedOp, HINTS, Identity, SLOT_KEY, SLOTS, SLOTS_PER_HINT, Slot, record_kind};

use super::{KernelError, shared::Words};

pub(super) const COMBINED: &str = "COMBINED";
pub(super) const HINTED: &str = "HINTED";

/// Words of a slot: its claim, its count below its credit, and the identity.
const SLOT_WORDS: usize = size_of::<Slot>() / 8;
const COUNT: usize = 1;
const IDENTITY: usize = 2;
/// The count in its word, which has the credit above.
const COUNT_MASK: u64 = 0xffff_ffff;
/// A program has a slot for some 20 ns, or until it goes on where it was preempted. How
/// often it is tried to get one before the next time must do.
const TRIES: usize = 64;

/// The tables of all CPUs.
#[derive(Debug)]
pub struct Combined {
    slots: Words,
    hints: Words,
    cpus: usize,
}

impl Combined {
    pub(super) fn open(ebpf: &Ebpf, cpus: usize) -> Result<Arc<Self>, KernelError> {
        Ok(Arc::new(Self {
            slots: Words::map(ebpf, COMBINED, cpus * SLOTS * size_of::<Slot>())?,
            hints: Words::map(ebpf, HINTED, cpus * HINTS * size_of::<u64>())?,
            cpus,
        }))
    }

    /// Hands over what has been counted since the last time, as records, and whether that
    /// was all: a slot that a program is using stays for the next time.
    pub fn flush(&self, mut take: impl FnMut(&[u8])) -> bool {
        let mut is_all = true;
        for hint in 0..self.cpus * HINTS {
            let word = self.hints.word(hint);
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut hinted = word.swap(0, Ordering::AcqRel);
            while hinted != 0 {
                let bit = hinted.trailing_zeros();
                hinted &= hinted - 1;
                if !self.claimed(hint * SLOTS_PER_HINT + bit as usize, |slot| slot.take(&mut take))
                {
                    word.fetch_or(1 << bit, Ordering::AcqRel);
                    is_all = false;
                }
            }
        }
        is_all
    }

    /// Forgets everything, counted or not.
    pub(super) fn clear(&self) {
        for slot in 0..self.cpus * SLOTS {
            // The method's path is of one lifetime, the closure of any.
            #[expect(clippy::redundant_closure_for_method_calls, reason = "see above")]
            self.claimed(slot, |slot| slot.clear());
        }
    }

    /// Does something with a slot while no program does; whether it could be had.
    fn claimed(&self, slot: usize, work: impl FnOnce(&Claimed<'_>)) -> bool {
        let slot = Claimed { words: &self.slots, first: slot * SLOT_WORDS };
        let claim = slot.word(0);
        let got = (0..TRIES).any(|round| {
            if round > 0 {
                std::thread::yield_now();
            }
            claim.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
        });
        if got {
            work(&slot);
            claim.store(0, Ordering::Release);
        }
        got
    }
}

/// A slot that nobody else uses meanwhile.
struct Claimed<'a> {
    words: &'a Words,
    first: usize,
}

impl Claimed<'_> {
    fn word(&self, index: usize) -> &AtomicU64 {
        self.words.word(self.first + index)
    }

    fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Relaxed)
    }

    /// Hands over the count. The key stays, with its credit.
    fn take(&self, take: &mut impl FnMut(&[u8])) {
        let word = self.get(COUNT);
        let count = word & COUNT_MASK;
        if count > 0 {
            take(&record(&self.identity(), count));
            self.word(COUNT).store(word & !COUNT_MASK, Ordering::Relaxed);
        }
    }

    fn identity(&self) -> Identity {
        Identity {
            what: self.get(IDENTITY),
            object: self.get(IDENTITY + 1),
            aux: self.get(IDENTITY + 2),
            key: std::array::from_fn(|word| self.get(IDENTITY + 3 + word)),
        }
    }

    fn clear(&self) {
        (1..SLOT_WORDS).for_each(|word| self.word(word).store(0, Ordering::Relaxed));
    }
}

/// A [`CombinedOp`] as bytes.
fn record(identity: &Identity, count: u64) -> [u8; size_of::<CombinedOp>()] {
    let head = identity.head(record_kind::COMBINED_OP).words();
    let mut bytes = [0; size_of::<CombinedOp>()];
    let words = head.into_iter().chain(identity.key).chain([count]);
    bytes.chunks_exact_mut(8).zip(words).for_each(|(to, word)| {
        to.copy_from_slice(&word.to_le_bytes());
    });
    bytes
}

const _: () = {
    assert!(SLOT_WORDS == IDENTITY + 3 + SLOT_KEY);
    assert!(std::mem::offset_of!(Slot, resident) == 8 * COUNT);
    assert!(std::mem::offset_of!(probe_ebpf::Resident, count) == 0);
    assert!(std::mem::offset_of!(probe_ebpf::Resident, identity) == 8 * (IDENTITY - COUNT));
};

#[cfg(test)]
mod tests {
    use memmap2::MmapMut;
    use probe_ebpf::{CALLER_NOT_SAMPLED, OpHead};

    use super::*;

    const CPUS: usize = 2;

    fn table() -> Combined {
        let words = |count: usize| Words::of(MmapMut::map_anon(count * 8).expect("memory").into());
        Combined { slots: words(CPUS * SLOTS * SLOT_WORDS), hints: words(CPUS * HINTS), cpus: CPUS }
    }

    fn fill(table: &Combined, slot: usize, identity: &Identity, count: u64) {
        let slot_words = Claimed { words: &table.slots, first: slot * SLOT_WORDS };
        let words = [0, count | 7 << 32, identity.what, identity.object, identity.aux];
        for (index, word) in words.into_iter().chain(identity.key).enumerate() {
            slot_words.word(index).store(word, Ordering::Relaxed);
        }
        let hint = table.hints.word(slot / SLOTS_PER_HINT);
        hint.fetch_or(1 << (slot % SLOTS_PER_HINT), Ordering::Relaxed);
    }

    fn identity(key: u64) -> Identity {
        let head = OpHead {
            kind: record_kind::SHORT_OP,
            key_kind: probe_ebpf::key_kind::INT,
            carried: 8,
            site: 0x12_3456,
            object: 0xc000,
            aux: 0x7000,
            key_len: 8,
            ..OpHead::default()
        };
        Identity::of(&head, [key, 0, 0]).expect("it can be combined")
    }

    fn flushed(table: &Combined) -> (Vec<Vec<u8>>, bool) {
        let mut records = Vec::new();
        let is_all = table.flush(|record| records.push(record.to_vec()));
        (records, is_all)
    }

    #[test]
    fn what_was_counted_is_handed_over_once_and_the_key_stays() {
        let table = table();
        let last = CPUS * SLOTS - 1;
        fill(&table, 3, &identity(77), 5);
        fill(&table, last, &identity(78), u64::from(u32::MAX));
        let (records, is_all) = flushed(&table);
        assert!(is_all);
        let counts: Vec<_> = records.iter().map(|it| it[72..].to_vec()).collect();
        assert_eq!(counts, [5_u64, u64::from(u32::MAX)].map(|it| it.to_le_bytes().to_vec()));
        assert_eq!(records[0][..4], [record_kind::COMBINED_OP, probe_ebpf::key_kind::INT, 0, 8]);
        assert_eq!(records[0][4..8], 0x12_3456_u32.to_le_bytes());
        assert_eq!(records[0][16..24], CALLER_NOT_SAMPLED.to_le_bytes());
        assert_eq!(records[0][24..32], 0xc000_u64.to_le_bytes());
        assert_eq!(records[0][40..56], [8_u64.to_le_bytes(), 77_u64.to_le_bytes()].concat());
        assert_eq!(flushed(&table), (vec![], true));
        let slot = Claimed { words: &table.slots, first: last * SLOT_WORDS };
        assert_eq!((slot.get(0), slot.get(COUNT)), (0, 7 << 32));
        assert_eq!(slot.identity(), identity(78));
    }

    #[test]
    fn a_slot_in_use_waits_for_the_next_time() {
        let table = table();
        fill(&table, 9, &identity(1), 2);
        let claim = table.slots.word(9 * SLOT_WORDS);
        claim.store(1, Ordering::Relaxed);
        assert_eq!(flushed(&table), (vec![], false));
        claim.store(0, Ordering::Relaxed);
        let (records, is_all) = flushed(&table);
        assert_eq!((records.len(), is_all), (1, true));
    }

    #[test]
    fn clearing_forgets_keys_and_counts() {
        let table = table();
        fill(&table, 9, &identity(1), 2);
        table.clear();
        assert_eq!(flushed(&table), (vec![], true));
        assert_eq!(
            Claimed { words: &table.slots, first: 9 * SLOT_WORDS }.identity(),
            Identity::default()
        );
    }
}
