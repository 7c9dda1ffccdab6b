use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::abi::{LONG_KEY, key_kind};

fn head(site: u32, object: u64) -> OpHead {
    OpHead { key_kind: key_kind::INT, carried: 8, site, object, key_len: 8, ..OpHead::default() }
}

fn identity(key: u64) -> Identity {
    Identity::of(&head(7, 0xc000), [key, 0, 0]).expect("it can be combined")
}

#[test]
fn a_head_is_what_it_was_made_from() {
    let head = OpHead {
        key_kind: key_kind::STR,
        flags: op_flags::KEY_CUT,
        carried: 4,
        site: 0xfedc_ba98,
        object: u64::MAX,
        aux: 5,
        key_len: 24,
        caller: CALLER_NOT_SAMPLED,
        ..OpHead::default()
    };
    let identity = Identity::of(&head, [1, 2, 3]).expect("it can be combined");
    assert_eq!(identity.head(head.kind), head);
}

#[test]
fn what_is_still_to_be_read_is_not_combined() {
    for flag in [
        op_flags::KEY_UNREADABLE,
        op_flags::OBJECT_UNREADABLE,
        op_flags::KEY_RAW,
        op_flags::TYPE_UNREADABLE,
    ] {
        assert_eq!(Identity::of(&OpHead { flags: flag, ..head(1, 2) }, [0; 3]), None);
    }
    assert_eq!(Identity::of(&OpHead { key_len: 25, ..head(1, 2) }, [0; 3]), None);
}

/// Whatever differs makes another identity.
#[test]
fn every_field_tells_apart() {
    let one = head(1, 2);
    let others = [
        OpHead { key_kind: key_kind::STR, ..one },
        OpHead { flags: op_flags::KEY_CUT, ..one },
        OpHead { carried: 7, ..one },
        OpHead { site: 2, ..one },
        OpHead { object: 3, ..one },
        OpHead { aux: 3, ..one },
        OpHead { key_len: 9, ..one },
    ];
    let first = Identity::of(&one, [0; 3]).expect("it can be combined");
    for other in others {
        let other = Identity::of(&other, [0; 3]).expect("it can be combined");
        assert!(!first.is(&other), "{other:?}");
    }
    for word in 0..SLOT_KEY {
        let mut key = [0; SLOT_KEY];
        key[word] = 1 << 63;
        assert!(!first.is(&Identity { key, ..first }));
    }
    let same = OpHead { kind: 2, task: 3, caller: 4, ..one };
    assert!(first.is(&Identity::of(&same, [0; 3]).expect("it can be combined")));
}

fn long_op(head: OpHead, key: &[u8]) -> LongOp {
    let mut op = LongOp { head, key: [0; LONG_KEY] };
    op.key[..key.len()].copy_from_slice(key);
    op
}

/// Of long keys the same: all but who made the operation.
#[test]
fn every_byte_of_a_long_key_tells_apart() {
    let one = OpHead { kind: 2, key_len: 90, carried: 90, ..head(1, 2) };
    let first = long_op(one, b"a key");
    let others = [
        OpHead { key_kind: key_kind::STR, ..one },
        OpHead { flags: op_flags::KEY_CUT, ..one },
        OpHead { carried: 7, ..one },
        OpHead { site: 2, ..one },
        OpHead { object: 3, ..one },
        OpHead { aux: 3, ..one },
        OpHead { key_len: 1 << 40, ..one },
    ];
    for other in others {
        assert!(!first.is(&long_op(other, b"a key")), "{other:?}");
    }
    let differs_at = |byte: usize| {
        let mut other = first;
        other.key[byte] ^= 0x80;
        other
    };
    assert!((0..LONG_KEY).all(|byte| !first.is(&differs_at(byte))));
    // Each byte has a say in where a key goes; two in a thousand may meet by chance.
    let meet = (0..LONG_KEY).filter(|byte| differs_at(*byte).index() == first.index()).count();
    assert!(meet <= 2, "{meet} bytes");
    let same = OpHead { task: 3, ..one };
    assert!(first.is(&long_op(same, b"a key")));
    assert_eq!(first.index(), long_op(same, b"a key").index());
    let mut copy = long_op(head(9, 9), b"");
    copy.replace(&long_op(same, b"a key"));
    assert_eq!(copy, first);
}

#[test]
fn long_keys_still_to_be_read_are_not_combined() {
    let can = |flags| long_op(OpHead { flags, ..head(1, 2) }, b"").can_be_combined();
    assert!(can(0) && can(op_flags::KEY_CUT));
    assert!(!can(op_flags::KEY_UNREADABLE) && !can(op_flags::OBJECT_UNREADABLE));
    assert!(!can(op_flags::KEY_RAW) && !can(op_flags::TYPE_UNREADABLE));
}

/// URLs, and structs of numbers, that differ little.
#[test]
fn long_keys_spread_over_the_slots() {
    let texts = |number: u64| {
        let text = std::format!("https://shop.example/customers/{number:06}/orders");
        long_op(head(3, 0xc000), text.as_bytes())
    };
    let numbers = |number: u64| {
        let mut op = long_op(head(3, 0xc000), &[]);
        op.key[32..40].copy_from_slice(&number.to_le_bytes());
        op
    };
    let places = |op: &dyn Fn(u64) -> LongOp| {
        let mut places: Vec<_> = (0..250).map(|number| op(number).index()).collect();
        assert!(places.iter().all(|&place| (place as usize) < LONG_SLOTS));
        places.sort_unstable();
        places.dedup();
        places.len()
    };
    // Of 250 balls in 1024 bins thrown at random, 222 bins are hit, give or take 5.
    assert!(places(&texts) > 205, "{}", places(&texts));
    assert!(places(&numbers) > 205, "{}", places(&numbers));
}

/// A long key's slot votes as any other does.
#[test]
fn a_long_key_is_counted_and_leaves() {
    let op = |key: &[u8]| long_op(head(3, 4), key);
    let mut slot = Resident { count: 0, credit: 0, identity: op(b"") };
    assert_eq!(slot.offer(&op(b"hot")), Offered::Evicts);
    slot.replace(&op(b"hot"));
    assert_eq!(slot.offer(&op(b"hot")), Offered::Counted { is_first: true });
    assert_eq!(slot.offer(&op(b"cold")), Offered::Told);
    assert_eq!(slot.offer(&op(b"cold")), Offered::Told);
    assert_eq!((slot.offer(&op(b"cold")), slot.count), (Offered::Evicts, 1));
}

/// Numbers in a row, the commonest keys of all, hardly meet.
#[test]
fn keys_spread_over_the_slots() {
    let texts = (0..1000_u64).map(|number| {
        let mut bytes = [0; 24];
        let text = std::format!("user:{number:06}");
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        Identity::of(&head(3, 0xc000), [word(0), word(8), word(16)]).expect("it can be combined")
    });
    let places = |keys: Vec<Identity>| {
        let mut places: Vec<_> = keys.iter().map(Identity::index).collect();
        assert!(places.iter().all(|&place| (place as usize) < SLOTS));
        places.sort_unstable();
        places.dedup();
        places.len()
    };
    // Of 1000 balls in 4096 bins thrown at random, 888 bins are hit.
    assert!(places(texts.collect()) > 850);
    assert!(places((0..1000).map(identity).collect()) > 950);
}

#[test]
fn what_is_hot_stays_and_what_was_hot_leaves() {
    let (mut slot, hot, cold) = (Resident::default(), identity(1), identity(2));
    assert_eq!(slot.offer(&hot), Offered::Evicts);
    slot.replace(&hot);
    assert_eq!(slot.offer(&hot), Offered::Counted { is_first: true });
    assert_eq!(slot.offer(&hot), Offered::Counted { is_first: false });
    for _ in 0..3 {
        assert_eq!(slot.offer(&cold), Offered::Told);
    }
    assert_eq!((slot.offer(&cold), slot.count), (Offered::Evicts, 2));
    for _ in 0..1000 {
        slot.offer(&hot);
    }
    let rounds = (0..1000).take_while(|_| slot.offer(&cold) == Offered::Told).count();
    assert_eq!(rounds, MOST_CREDIT as usize);
}

/// Of two keys that take turns in one place, one is counted there.
#[test]
fn keys_that_take_turns_do_not_push_each_other_out() {
    let mut table = Table::new();
    for round in 0..1000_u64 {
        table.operate(round % 2, 0, false);
    }
    table.flush();
    assert_eq!(table.records, 1 + 500 + 1);
    assert_eq!(table.told, HashMap::from([(0, 500), (1, 500)]));
}

#[test]
fn a_full_count_lets_operations_go_their_way() {
    let mut slot = Resident { count: u32::MAX - 1, credit: 0, identity: identity(1) };
    assert_eq!(slot.offer(&identity(1)), Offered::Counted { is_first: false });
    assert_eq!(slot.offer(&identity(1)), Offered::Told);
    assert_eq!(slot.count, u32::MAX);
}

/// One CPU's table as a program uses it, where nobody disturbs.
struct Table {
    slots: Vec<Resident<Identity>>,
    told: HashMap<u64, u64>,
    records: u64,
}

impl Table {
    fn new() -> Self {
        Self { slots: std::vec![Resident::default(); SLOTS], told: HashMap::new(), records: 0 }
    }

    fn tell(&mut self, key: u64, count: u64) {
        *self.told.entry(key).or_default() += count;
        self.records += 1;
    }

    /// `is_full`: the ring has no room for what is pushed out.
    fn operate(&mut self, key: u64, place: usize, is_full: bool) {
        let mut slot = self.slots[place];
        match slot.offer(&identity(key)) {
            Offered::Counted { .. } => {}
            Offered::Told => self.tell(key, 1),
            Offered::Evicts => {
                if slot.count == 0 || !is_full {
                    if slot.count > 0 {
                        self.tell(slot.identity.key[0], u64::from(slot.count));
                    }
                    slot.replace(&identity(key));
                }
                self.tell(key, 1);
            }
        }
        self.slots[place] = slot;
    }

    fn flush(&mut self) {
        for place in 0..self.slots.len() {
            let count = std::mem::take(&mut self.slots[place].count);
            if count > 0 {
                self.tell(self.slots[place].identity.key[0], u64::from(count));
            }
        }
    }
}

proptest! {
    /// Whatever comes, in whatever places, with flushes at any time: the sums are exact.
    #[test]
    fn counts_are_those_of_a_plain_map(
        steps in proptest::collection::vec((0_u64..12, 0_usize..3, any::<bool>(), 0_u8..30), 0..600),
    ) {
        let (mut table, mut truth) = (Table::new(), HashMap::new());
        for (key, place, is_full, flush) in steps {
            table.operate(key, place, is_full);
            *truth.entry(key).or_insert(0) += 1;
            if flush == 0 {
                table.flush();
            }
        }
        table.flush();
        prop_assert_eq!(table.told, truth);
    }
}

/// A key as frequent as all others in its place together is told next to nothing of.
#[test]
fn records_grow_with_keys_and_not_with_operations() {
    let mut table = Table::new();
    for round in 0..100_000_u64 {
        let key = round % 100;
        table.operate(key, identity(key).index() as usize, false);
    }
    table.flush();
    assert!(table.records <= 300, "{} records", table.records);
    assert!(table.told.values().all(|&count| count == 1000));
}

/// Slots as words, which threads claim as programs and user space do.
struct Shared {
    words: Vec<AtomicU64>,
    told: [AtomicU64; KEYS],
}

const KEYS: usize = 5;
const WORDS: usize = size_of::<Slot<Identity>>() / 8;

impl Shared {
    /// Does something with the slot, if it is to be had.
    fn claimed(&self, work: impl FnOnce(&mut Resident<Identity>)) -> bool {
        let at = |index: usize| &self.words[index];
        if at(0).swap(1, Ordering::Acquire) != 0 {
            return false;
        }
        let load = |index: usize| at(index).load(Ordering::Relaxed);
        let mut slot = Resident {
            count: load(1) as u32,
            credit: (load(1) >> 32) as u32,
            identity: Identity {
                what: load(2),
                object: load(3),
                aux: load(4),
                key: std::array::from_fn(|word| load(5 + word)),
            },
        };
        work(&mut slot);
        let Identity { what, object, aux, key } = slot.identity;
        let first = u64::from(slot.count) | u64::from(slot.credit) << 32;
        for (index, value) in [first, what, object, aux].into_iter().chain(key).enumerate() {
            at(1 + index).store(value, Ordering::Relaxed);
        }
        at(0).store(0, Ordering::Release);
        true
    }

    fn tell(&self, key: u64, count: u64) {
        self.told[key as usize].fetch_add(count, Ordering::Relaxed);
    }

    fn operate(&self, key: u64) {
        let mut is_counted = false;
        self.claimed(|slot| match slot.offer(&identity(key)) {
            Offered::Counted { .. } => is_counted = true,
            Offered::Told => {}
            Offered::Evicts => {
                if slot.count > 0 {
                    self.tell(slot.identity.key[0], u64::from(slot.count));
                }
                slot.replace(&identity(key));
            }
        });
        if !is_counted {
            self.tell(key, 1);
        }
    }

    fn flush(&self) {
        self.claimed(|slot| {
            let count = std::mem::take(&mut slot.count);
            if count > 0 {
                self.tell(slot.identity.key[0], u64::from(count));
            }
        });
    }
}

/// Threads that use one slot, and one that empties it: nothing is lost or told twice.
#[test]
fn threads_on_one_slot_lose_nothing() {
    const EACH: u64 = 30_000;
    let shared = Shared {
        words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
        told: std::array::from_fn(|_| AtomicU64::new(0)),
    };
    let running = AtomicU64::new(3);
    std::thread::scope(|scope| {
        for worker in 0..3_u64 {
            let (shared, running) = (&shared, &running);
            scope.spawn(move || {
                for round in 0..EACH {
                    // Mostly one key; the others now and then in a row.
                    let key = if round % 64 < 48 { 0 } else { (round / 64 + worker) % KEYS as u64 };
                    shared.operate(key);
                }
                running.fetch_sub(1, Ordering::Release);
            });
        }
        while running.load(Ordering::Acquire) > 0 {
            shared.flush();
            std::thread::yield_now();
        }
    });
    shared.flush();
    let told: u64 = shared.told.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(told, 3 * EACH);
    let mut truth = [0; KEYS];
    for worker in 0..3_u64 {
        for round in 0..EACH {
            let key = if round % 64 < 48 { 0 } else { (round / 64 + worker) % KEYS as u64 };
            truth[key as usize] += 1;
        }
    }
    assert_eq!(shared.told.map(AtomicU64::into_inner), truth);
}
