//! Operations that can be counted without the decoder, since it has met their like.
//!
//! In: records, and what the decoder says that those from their place mean. Out: what it
//! would have told a [`Sink`]. What only the decoder can read is left to it: other records,
//! places that it was not asked about, keys that lead into the target.

use probe_ebpf::{CALLER_NOT_SAMPLED, OpHead, key_kind, op_flags};

use super::{
    MapId, Op, Seen, Sink,
    keys::{KeyForm, dynamic_type},
    records::read_op,
};

/// Places that are remembered, a power of two. The table is direct-mapped: of two places in
/// one slot the newer stays, and of two types at one address, too, since memory is reused.
const PLACES: usize = 4096;
/// Flags of operations that only the decoder can read.
const NOT_CARRIED: u8 = op_flags::KEY_UNREADABLE | op_flags::KEY_RAW | op_flags::TYPE_UNREADABLE;

/// Where an operation comes from: those of one place mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    object: u64,
    aux: u64,
    site: u32,
    /// Of a key in an interface.
    dynamic_type: u64,
}

impl Place {
    #[inline]
    pub(super) fn of(head: &OpHead, key: &[u8]) -> Self {
        let is_interface = head.key_kind == key_kind::IFACE;
        let dynamic_type = if is_interface { dynamic_type(key) } else { 0 };
        Self { object: head.object, aux: head.aux, site: head.site, dynamic_type }
    }

    fn slot(&self) -> usize {
        let object = (self.object >> 4) ^ (self.object >> 12);
        (object ^ (self.dynamic_type >> 5) ^ u64::from(self.site)) as usize % PLACES
    }
}

/// What operations mean that come from a place.
#[derive(Clone, Debug)]
pub(crate) struct Meaning {
    pub(super) map: MapId,
    pub(super) op: Op,
    /// The map has its final name; until then, what tells a caller may name it.
    pub(super) is_named: bool,
    pub(super) form: KeyForm,
}

/// The places that are known.
pub(crate) struct Places(Box<[Option<(Place, Meaning)>]>);

impl Default for Places {
    fn default() -> Self {
        Self(vec![None; PLACES].into())
    }
}

impl Places {
    #[inline]
    fn get(&self, place: &Place) -> Option<&Meaning> {
        let (known, meaning) = self.0[place.slot()].as_ref()?;
        (known == place).then_some(meaning)
    }

    /// Notes what a place means; whether that is news.
    pub(crate) fn learn(&mut self, place: Place, meaning: Meaning) -> bool {
        let is_known = self.get(&place).is_some_and(|known| {
            (known.map, known.op, known.is_named) == (meaning.map, meaning.op, meaning.is_named)
        });
        if !is_known {
            self.0[place.slot()] = Some((place, meaning));
        }
        !is_known
    }

    /// Knows nothing any more.
    pub(crate) fn forget(&mut self) {
        self.0.fill(None);
    }
}

/// Counts operations from places that are known.
#[derive(Default)]
pub(crate) struct KnownOps {
    pub(crate) places: Places,
    seen: Seen,
    /// The key that is being put in order; kept for its memory.
    tidied: Vec<u8>,
}

impl KnownOps {
    /// Tells what a record tells; `false`: it is for the decoder.
    #[inline]
    pub(crate) fn record(&mut self, bytes: &[u8], sink: &mut impl Sink) -> bool {
        let Some((head, key, count)) = read_op(bytes) else { return false };
        let Some(meaning) = self.places.get(&Place::of(&head, key)) else { return false };
        let is_for_all = meaning.is_named || head.caller == CALLER_NOT_SAMPLED;
        if !is_for_all || head.flags & NOT_CARRIED != 0 {
            return false;
        }
        self.seen.add(count, count);
        let key = match &meaning.form {
            KeyForm::AsCarried => key,
            KeyForm::WithHoles(of, at) => {
                self.tidied.clear();
                self.tidied.extend_from_slice(key);
                of.layout.clear_holes(self.tidied.get_mut(*at..).unwrap_or_default());
                &self.tidied
            }
        };
        // As `KeyTypes::canonical` has it.
        let len = head.key_len.min(key.len() as u64 + 1);
        let key = (head.key_kind != key_kind::NONE).then_some((key, len));
        sink.operation(meaning.map, meaning.op, key, None, head.caller, count);
        true
    }

    /// How much has come since the last call.
    pub(crate) fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }
}
