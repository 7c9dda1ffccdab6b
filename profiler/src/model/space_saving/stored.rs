//! How a table of keys stores them, and what that weighs.

use probe_ebpf::SHORT_KEY;

use super::UNIT;
use crate::decode::Key;

/// A key's bytes, without an allocation where they are few.
#[derive(Debug)]
pub(super) enum Stored {
    Short { len: u8, bytes: [u8; SHORT_KEY] },
    Long { len: u64, bytes: Box<[u8]> },
}

impl Stored {
    pub(super) fn new(key: &[u8], len: u64) -> Self {
        if key.len() <= SHORT_KEY && key.len() as u64 == len {
            let mut bytes = [0; SHORT_KEY];
            bytes[..key.len()].copy_from_slice(key);
            Self::Short { len: key.len() as u8, bytes }
        } else {
            Self::Long { len, bytes: key.into() }
        }
    }

    #[inline]
    pub(super) fn parts(&self) -> (&[u8], u64) {
        match self {
            Self::Short { len, bytes } => (&bytes[..usize::from(*len)], u64::from(*len)),
            Self::Long { len, bytes } => (bytes, *len),
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Short { .. } => 1,
            Self::Long { bytes, .. } => weight_of_long(bytes),
        }
    }

    pub(super) fn into_key(self) -> Key {
        match self {
            Self::Short { len, bytes } => {
                Key { bytes: bytes[..usize::from(len)].into(), len: u64::from(len) }
            }
            Self::Long { len, bytes } => Key { bytes, len },
        }
    }
}

/// Units of the budget that a key weighs that is not stored in place.
fn weight_of_long(bytes: &[u8]) -> usize {
    1 + (bytes.len() + size_of::<usize>()).div_ceil(UNIT)
}
