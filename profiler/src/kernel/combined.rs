//! The tables in which the programs count operations on hot keys.
//!
//! In: memory that both share. Out: records of what was counted, as they would have come
//! through the rings.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aya::Ebpf;
use probe_ebpf::{
    CombinedLongOp, CombinedOp, HINTS, Identity, LONG_HINTS, LONG_SLOTS, LongOp, SLOT_KEY, SLOTS,
    SLOTS_PER_HINT, Slot, record_kind,
};

use super::{KernelError, shared::Words};

/// Names of the maps of slots and of hints, and how many of each a CPU has.
pub(super) const MAPS: [(&str, usize); 4] = [
    ("COMBINED", SLOTS),
    ("HINTED", HINTS),
    ("LONG_COMBINED", LONG_SLOTS),
    ("LONG_HINTED", LONG_HINTS),
];

/// Words of a slot: its claim, its count below its credit, and the identity.
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
    short: Table,
    long: Table,
}

impl Combined {
    pub(super) fn open(ebpf: &Ebpf, cpus: usize) -> Result<Arc<Self>, KernelError> {
        let map = |of_map: usize, words: usize| {
            let (name, of_cpu) = MAPS[of_map];
            Words::map(ebpf, name, cpus * of_cpu * words * size_of::<u64>())
        };
        let (short, long) = (Kind::Short, Kind::Long);
        Ok(Arc::new(Self {
            short: Table {
                slots: map(0, short.slot_words())?,
                hints: map(1, 1)?,
                cpus,
                kind: short,
            },
            long: Table { slots: map(2, long.slot_words())?, hints: map(3, 1)?, cpus, kind: long },
        }))
    }

    /// Hands over what has been counted since the last time, as records, and whether that
    /// was all: a slot that a program is using stays for the next time.
    pub fn flush(&self, mut take: impl FnMut(&[u8])) -> bool {
        let is_all = self.short.flush(&mut take);
        self.long.flush(&mut take) && is_all
    }

    /// Forgets everything, counted or not.
    pub(super) fn clear(&self) {
        self.short.clear();
        self.long.clear();
    }
}

/// What the keys of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A slot's identity is an [`Identity`].
    Short,
    /// It is a [`LongOp`].
    Long,
}

impl Kind {
    const fn slot_words(self) -> usize {
        match self {
            Self::Short => size_of::<Slot<Identity>>() / 8,
            Self::Long => size_of::<Slot<LongOp>>() / 8,
        }
    }

    /// Words of hints, and slots, of each CPU.
    const fn of_cpu(self) -> (usize, usize) {
        match self {
            Self::Short => (HINTS, SLOTS),
            Self::Long => (LONG_HINTS, LONG_SLOTS),
        }
    }
}

/// The slots for keys of one kind, of all CPUs.
#[derive(Debug)]
struct Table {
    slots: Words,
    hints: Words,
    cpus: usize,
    kind: Kind,
}

impl Table {
    fn flush(&self, take: &mut impl FnMut(&[u8])) -> bool {
        let mut is_all = true;
        for hint in 0..self.cpus * self.kind.of_cpu().0 {
            let word = self.hints.word(hint);
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut hinted = word.swap(0, Ordering::AcqRel);
            while hinted != 0 {
                let bit = hinted.trailing_zeros();
                hinted &= hinted - 1;
                if !self.claimed(hint * SLOTS_PER_HINT + bit as usize, |slot| slot.take(take)) {
                    word.fetch_or(1 << bit, Ordering::AcqRel);
                    is_all = false;
                }
            }
        }
        is_all
    }

    fn clear(&self) {
        for slot in 0..self.cpus * self.kind.of_cpu().1 {
            // The method's path is of one lifetime, the closure of any.
            #[expect(clippy::redundant_closure_for_method_calls, reason = "see above")]
            self.claimed(slot, |slot| slot.clear());
        }
    }

    fn slot(&self, slot: usize) -> Claimed<'_> {
        Claimed { words: &self.slots, first: slot * self.kind.slot_words(), kind: self.kind }
    }

    /// Does something with a slot while no program does; whether it could be had.
    fn claimed(&self, slot: usize, work: impl FnOnce(&Claimed<'_>)) -> bool {
        let slot = self.slot(slot);
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
    kind: Kind,
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
            match self.kind {
                Kind::Short => take(&record(&self.identity(), count)),
                Kind::Long => take(&self.long_record(count)),
            }
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

    /// A [`CombinedLongOp`] as bytes.
    fn long_record(&self, count: u64) -> [u8; size_of::<CombinedLongOp>()] {
        let operation = (IDENTITY..self.kind.slot_words()).map(|word| self.get(word));
        let mut bytes = to_bytes(operation.chain([count]));
        bytes[0] = record_kind::COMBINED_LONG_OP;
        bytes
    }

    fn clear(&self) {
        (1..self.kind.slot_words()).for_each(|word| self.word(word).store(0, Ordering::Relaxed));
    }
}

/// A [`CombinedOp`] as bytes.
fn record(identity: &Identity, count: u64) -> [u8; size_of::<CombinedOp>()] {
    let head = identity.head(record_kind::COMBINED_OP).words();
    to_bytes(head.into_iter().chain(identity.key).chain([count]))
}

/// Words as they lie in memory.
fn to_bytes<const BYTES: usize>(words: impl Iterator<Item = u64>) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes.chunks_exact_mut(8).zip(words).for_each(|(to, word)| {
        to.copy_from_slice(&word.to_le_bytes());
    });
    bytes
}

const _: () = {
    assert!(Kind::Short.slot_words() == IDENTITY + 3 + SLOT_KEY);
    assert!(Kind::Long.slot_words() == IDENTITY + size_of::<LongOp>() / 8);
    assert!(std::mem::offset_of!(Slot<Identity>, resident) == 8 * COUNT);
    assert!(std::mem::offset_of!(probe_ebpf::Resident<Identity>, count) == 0);
    assert!(
        std::mem::offset_of!(probe_ebpf::Resident<Identity>, identity) == 8 * (IDENTITY - COUNT)
    );
};

#[cfg(test)]
mod tests {
    use memmap2::MmapMut;
    use probe_ebpf::{CALLER_NOT_SAMPLED, OpHead};

    use super::*;

    const CPUS: usize = 2;

    fn table(kind: Kind) -> Table {
        let words = |count: usize| Words::of(MmapMut::map_anon(count * 8).expect("memory").into());
        let (hints, slots) = kind.of_cpu();
        Table {
            slots: words(CPUS * slots * kind.slot_words()),
            hints: words(CPUS * hints),
            cpus: CPUS,
            kind,
        }
    }

    fn fill(table: &Table, slot: usize, identity: impl Iterator<Item = u64>, count: u64) {
        let claimed = table.slot(slot);
        for (index, word) in [0, count | 7 << 32].into_iter().chain(identity).enumerate() {
            claimed.word(index).store(word, Ordering::Relaxed);
        }
        let hint = table.hints.word(slot / SLOTS_PER_HINT);
        hint.fetch_or(1 << (slot % SLOTS_PER_HINT), Ordering::Relaxed);
    }

    fn words(identity: &Identity) -> impl Iterator<Item = u64> {
        [identity.what, identity.object, identity.aux].into_iter().chain(identity.key)
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

    fn flushed(table: &Table) -> (Vec<Vec<u8>>, bool) {
        let mut records = Vec::new();
        let is_all = table.flush(&mut |record: &[u8]| records.push(record.to_vec()));
        (records, is_all)
    }

    #[test]
    fn what_was_counted_is_handed_over_once_and_the_key_stays() {
        let table = table(Kind::Short);
        let last = CPUS * SLOTS - 1;
        fill(&table, 3, words(&identity(77)), 5);
        fill(&table, last, words(&identity(78)), u64::from(u32::MAX));
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
        let slot = table.slot(last);
        assert_eq!((slot.get(0), slot.get(COUNT)), (0, 7 << 32));
        assert_eq!(slot.identity(), identity(78));
    }

    #[test]
    fn a_slot_in_use_waits_for_the_next_time() {
        let table = table(Kind::Short);
        fill(&table, 9, words(&identity(1)), 2);
        let claim = table.slots.word(9 * Kind::Short.slot_words());
        claim.store(1, Ordering::Relaxed);
        assert_eq!(flushed(&table), (vec![], false));
        claim.store(0, Ordering::Relaxed);
        let (records, is_all) = flushed(&table);
        assert_eq!((records.len(), is_all), (1, true));
    }

    #[test]
    fn clearing_forgets_keys_and_counts() {
        let table = table(Kind::Short);
        fill(&table, 9, words(&identity(1)), 2);
        table.clear();
        assert_eq!(flushed(&table), (vec![], true));
        assert_eq!(table.slot(9).identity(), Identity::default());
    }

    /// A long key's record is the operation as it lies in the slot, and the count.
    #[test]
    fn long_keys_are_handed_over_whole() {
        let table = table(Kind::Long);
        let operation = 0x1000..0x1000 + size_of::<LongOp>() as u64 / 8;
        let last = CPUS * LONG_SLOTS - 1;
        fill(&table, last, operation.clone(), 9);
        let (records, is_all) = flushed(&table);
        assert!(is_all && flushed(&table) == (vec![], true));
        let first = 0x1000 | u64::from(record_kind::COMBINED_LONG_OP);
        let expected = std::iter::once(first).chain(operation.skip(1)).chain([9]);
        assert_eq!(records, [expected.flat_map(u64::to_le_bytes).collect::<Vec<_>>()]);
        table.clear();
        assert_eq!(table.slot(last).get(IDENTITY), 0);
    }
}
