//! Combining: repeated operations on a hot key are counted where they happen.
//!
//! In: operations whose caller and stack nobody reads, as [`Identity`], or as [`LongOp`]
//! where their keys are long. Out: for each whether it was counted in a [`Slot`] or goes its
//! own way, through the ring. Each CPU has a table of slots for each of both, direct-mapped:
//! a key that is as frequent as all others in its place together stays there (the majority
//! vote of Boyer and Moore, 1981).
//!
//! A slot is used only by who has claimed it, by an exchange of its first word. Who finds
//! it claimed does not wait: the operation goes through the ring. So it does not matter
//! who else is about: a probe that was preempted by another on its CPU, or user space that
//! empties the table.

use crate::abi::{CALLER_NOT_SAMPLED, LongOp, OpHead, SHORT_KEY, ShortOp, op_flags};

/// Slots of each CPU for short keys, a power of two.
pub const SLOTS: usize = 4096;
/// And for long ones, three times as large.
pub const LONG_SLOTS: usize = 1024;
/// Words of a key in a slot.
pub const SLOT_KEY: usize = SHORT_KEY / 8;
/// Slots that one word of the hints is about.
pub const SLOTS_PER_HINT: usize = u64::BITS as usize;
/// Hints of each CPU: a bit for each of its slots, set where something was counted
/// since user space last looked.
pub const HINTS: usize = SLOTS / SLOTS_PER_HINT;
/// The same of the slots for long keys.
pub const LONG_HINTS: usize = LONG_SLOTS / SLOTS_PER_HINT;

/// A place of a table: one cache line, or three where keys are long.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot<I> {
    /// 0: nobody's; 1: somebody uses it.
    pub claim: u64,
    /// What is counted there.
    pub resident: Resident<I>,
}

/// The operation that a slot counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident<I> {
    /// Operations that nobody has been told of.
    pub count: u32,
    /// How often it came more than all others in this place together.
    pub credit: u32,
    /// Which.
    pub identity: I,
}

/// Tells operations apart, as far as those differ that are counted together.
pub trait Identifies {
    /// Whether both are counted together.
    fn is(&self, other: &Self) -> bool;
    /// Its place among a CPU's slots.
    fn index(&self) -> u32;
    /// Becomes the other.
    fn replace(&mut self, other: &Self);
}

/// What operations with short keys have in common that are counted together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The head's kind of key, flags, bytes carried and site, and the key's length in
    /// place of the record's kind: none is longer than [`SHORT_KEY`].
    pub what: u64,
    /// Address of the map.
    pub object: u64,
    /// The site's extra value.
    pub aux: u64,
    /// The key; what is beyond its length is zero.
    pub key: [u64; SLOT_KEY],
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It was counted, and that is all.
    Counted {
        /// It is the first since user space looked: the slot's hint is to be set.
        is_first: bool,
    },
    /// It goes its own way.
    Told,
    /// It goes its own way and takes the slot; what the slot had counted is told first.
    Evicts,
}

/// Of the hash, which is their sum times the words: any odd numbers without a pattern
/// (digits of e and of the square root of 2).
const FACTORS: [u64; 3] = [0xb7e1_5162_8aed_2a6b, 0xbf71_5880_9cf4_f3c7, 0x6a09_e667_f3bc_c909];
/// Those of the key. The first is the golden section, which spreads small numbers evenly.
const KEY_FACTORS: [u64; SLOT_KEY] =
    [0x9e37_79b9_7f4a_7c15, 0x62e7_160f_38b4_da57, 0xbb67_ae85_84ca_a73b];

/// Most that a resident is ahead of the others: what was hot once leaves in the end.
const MOST_CREDIT: u32 = 64;

impl Identity {
    /// That of an operation; `None` where it means something only by itself: its key is
    /// still to be read, where it is now.
    #[inline(always)]
    pub fn of(head: &OpHead, key: [u64; SLOT_KEY]) -> Option<Self> {
        let [first, task, caller, object, aux, key_len] = head.words();
        let [key0, key1, key2] = key;
        Self::of_words([first, task, caller, object, aux, key_len, key0, key1, key2])
    }

    /// The same of a short record as it lies in memory.
    #[inline(always)]
    pub fn of_words(record: [u64; size_of::<ShortOp>() / 8]) -> Option<Self> {
        let [first, _, _, object, aux, key_len, key0, key1, key2] = record;
        (is_whole(first) && key_len <= SHORT_KEY as u64).then_some(Self {
            what: first & !0xff | key_len,
            object,
            aux,
            key: [key0, key1, key2],
        })
    }

    /// The head of a record about such operations, which are of no one task or caller.
    #[inline(always)]
    pub fn head(&self, kind: u8) -> OpHead {
        OpHead {
            kind,
            key_kind: (self.what >> 8) as u8,
            flags: (self.what >> 16) as u8,
            carried: (self.what >> 24) as u8,
            site: (self.what >> 32) as u32,
            task: 0,
            caller: CALLER_NOT_SAMPLED,
            object: self.object,
            aux: self.aux,
            key_len: self.what & 0xff,
        }
    }
}

/// Whether an operation's first word says that its key is there, as far as it ever will be.
#[inline(always)]
fn is_whole(first: u64) -> bool {
    (first >> 16) as u8 & !op_flags::KEY_CUT == 0
}

impl Identifies for Identity {
    #[inline(always)]
    fn index(&self) -> u32 {
        let mut hash = self.what.wrapping_mul(FACTORS[0]);
        hash = hash.wrapping_add(self.object.wrapping_mul(FACTORS[1]));
        hash = hash.wrapping_add(self.aux.wrapping_mul(FACTORS[2]));
        for (word, factor) in self.key.into_iter().zip(KEY_FACTORS) {
            hash = hash.wrapping_add(word.wrapping_mul(factor));
        }
        (hash >> (u64::BITS - SLOTS.trailing_zeros())) as u32
    }

    // Without a branch for each word, or a call.
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        let mut differ = (self.what ^ other.what) | (self.object ^ other.object);
        differ |= self.aux ^ other.aux;
        for (word, others) in self.key.into_iter().zip(other.key) {
            differ |= word ^ others;
        }
        differ == 0
    }

    #[inline(always)]
    fn replace(&mut self, other: &Self) {
        *self = *other;
    }
}

impl LongOp {
    /// Whether it may be counted with others, where its caller was not read: not if its key
    /// is still to be read, where it is now.
    #[inline(always)]
    pub fn can_be_combined(&self) -> bool {
        is_whole(u64::from(self.head.flags) << 16)
    }

    /// Copies it, word by word.
    ///
    /// # Safety
    ///
    /// There is room at `to`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "copies in programs must be in sight, see `word`")]
    pub unsafe fn copy_to(&self, to: *mut Self) {
        for index in 0..LONG_WORDS {
            // SAFETY: of that size and alignment, and without padding.
            unsafe { to.cast::<u64>().add(index).write_volatile(self.word(index)) };
        }
    }

    /// One of its words. Volatile: where the compiler sees many loads it moves them to where
    /// programs have no stack left to keep them, or into a call that copies bytes.
    #[inline(always)]
    #[expect(unsafe_code, reason = "see above")]
    fn word(&self, index: usize) -> u64 {
        assert!(index < LONG_WORDS, "there is no word {index}");
        // SAFETY: of that size and alignment, and without padding.
        unsafe { (&raw const *self).cast::<u64>().add(index).read_volatile() }
    }
}

/// The same number, of which the compiler knows nothing: where it sees that only zero matters
/// it makes a branch of each word, and verifiers walk through all of them.
#[inline(always)]
#[expect(unsafe_code, reason = "no instruction at all")]
#[cfg(target_arch = "bpf")]
fn opaque(mut number: u64) -> u64 {
    // SAFETY: see above.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) number, options(nomem, nostack, preserves_flags))
    };
    number
}

#[inline(always)]
#[cfg(not(target_arch = "bpf"))]
fn opaque(number: u64) -> u64 {
    number
}

/// Words of a [`LongOp`].
const LONG_WORDS: usize = size_of::<LongOp>() / 8;
/// The first after those that do not tell operations apart: whose it is, and the caller, which
/// was read of none that are combined.
const AFTER_CALLER: usize = 3;

/// Of the hash, as [`FACTORS`]: products that need not wait for each other.
const LONG_FACTORS: [u64; LONG_WORDS] = {
    let mut factors = [0; LONG_WORDS];
    let mut word = 0;
    while word < LONG_WORDS {
        // SplitMix64 (Steele, Lea, Flood, 2014).
        let mut mixed = KEY_FACTORS[0].wrapping_mul(word as u64 + 1);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        factors[word] = mixed ^ mixed >> 31 | 1;
        word += 1;
    }
    factors
};

/// All of the key counts, what is beyond the bytes carried as well: where that is not the
/// same each time there is less to combine, and nothing wrong. The kind of record belongs to
/// the site, and the caller was read of none.
impl Identifies for LongOp {
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        let mut differ = self.word(0) ^ other.word(0);
        for word in AFTER_CALLER..LONG_WORDS {
            differ = opaque(differ | self.word(word) ^ other.word(word));
        }
        differ == 0
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "iterators leave programs a real loop")]
    fn index(&self) -> u32 {
        let mut hash = self.word(0).wrapping_mul(LONG_FACTORS[0]);
        for word in AFTER_CALLER..LONG_WORDS {
            hash = hash.wrapping_add(self.word(word).wrapping_mul(LONG_FACTORS[word]));
        }
        (hash >> (u64::BITS - LONG_SLOTS.trailing_zeros())) as u32
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "see `copy_to`")]
    fn replace(&mut self, other: &Self) {
        // SAFETY: there is room.
        unsafe { other.copy_to(self) };
        self.head.task = 0;
    }
}

impl<I: Identifies> Resident<I> {
    /// Takes an operation in, if it is the resident's; the slot must be claimed. After
    /// [`Offered::Evicts`] whoever asked calls [`Self::replace`].
    #[inline(always)]
    pub fn offer(&mut self, identity: &I) -> Offered {
        if self.identity.is(identity) {
            if self.count == u32::MAX {
                return Offered::Told;
            }
            self.count += 1;
            if self.credit < MOST_CREDIT {
                self.credit += 1;
            }
            return Offered::Counted { is_first: self.count == 1 };
        }
        if self.credit > 0 {
            self.credit -= 1;
            return Offered::Told;
        }
        Offered::Evicts
    }

    /// Gives the slot to another operation, which is told by itself this time: user space
    /// learns of its key at once. It has come once more than the others: two keys that
    /// take turns in a place would otherwise push each other out each time.
    #[inline(always)]
    pub fn replace(&mut self, identity: &I) {
        self.count = 0;
        self.credit = 1;
        self.identity.replace(identity);
    }
}

const _: () = {
    assert!(SLOTS.is_power_of_two() && SLOTS > SLOTS_PER_HINT);
    assert!(LONG_SLOTS.is_power_of_two() && LONG_SLOTS > SLOTS_PER_HINT);
    assert!(size_of::<Slot<Identity>>() == 64 && size_of::<Slot<LongOp>>() == 3 * 64);
    assert!(SHORT_KEY < 256);
};

#[cfg(test)]
mod tests;
