//! Map operations: who did what to which key.
//!
//! In: a hit at a map site. Out: a [`ShortOp`] or [`LongOp`] record.

use core::arch::asm;

use aya_ebpf::helpers::generated::{
    bpf_probe_read_user as read_user, bpf_probe_read_user_str as read_user_str,
};
use aya_ebpf::maps::ring_buf::RingBufEntry;
use probe_ebpf::{LONG_KEY, LongOp, OpHead, SHORT_KEY, ShortOp, key_kind, op_flags, record_kind};

use crate::{
    context::{Hit, read, read_u64},
    transport::{reserve, submit},
};

/// `abi.MapType.Key`, internal/abi/type.go (map_swiss.go, map_noswiss.go), Go 1.19–1.27.
const GO_MAPTYPE_KEY: u64 = 48;
/// `abi.KindString`, internal/abi/type.go.
const GO_KIND_STRING: u8 = 24;
/// `abi.KindMask`, internal/abi/type.go, up to Go 1.25; later kinds stay below it.
const GO_KIND_MASK: u8 = 0x1f;

/// The head of `abi.Type`, internal/abi/type.go: the same in Go 1.19–1.27.
#[repr(C)]
#[derive(Clone, Copy)]
struct GoType {
    size: u64,
    ptr_bytes: u64,
    hash: u32,
    tflag: u8,
    align: u8,
    field_align: u8,
    kind: u8,
}

/// A Go string header.
#[repr(C)]
#[derive(Clone, Copy)]
struct GoString {
    data: u64,
    len: u64,
}

/// Where a key's bytes are.
struct KeyAt {
    /// NONE, INT, STR, CSTR or BYTES.
    kind: u8,
    /// The value itself for INT, else its address.
    at: u64,
    /// Bytes.
    len: u64,
}

/// Makes the record of a hit.
#[inline(always)]
pub(crate) fn record(hit: &Hit) {
    let key = locate(hit);
    match key {
        Some(KeyAt { kind: key_kind::NONE, .. }) | None => {
            short(hit, &KeyAt { kind: key_kind::NONE, at: 0, len: 0 }, key.is_none());
        }
        Some(key) if key.kind == key_kind::CSTR || key.len > SHORT_KEY as u64 => long(hit, &key),
        Some(key) => short(hit, &key, false),
    }
}

/// Finds the key; `None` where what leads to it cannot be read.
#[inline(always)]
fn locate(hit: &Hit) -> Option<KeyAt> {
    let site = hit.site;
    if site.key_kind == key_kind::NONE {
        return Some(KeyAt { kind: key_kind::NONE, at: 0, len: 0 });
    }
    let at = hit.value(&site.key)?;
    match site.key_kind {
        key_kind::STR => Some(KeyAt { kind: key_kind::STR, at, len: hit.value(&site.key_len)? }),
        key_kind::GO => locate_go(hit.value(&site.aux)?, at),
        kind => Some(KeyAt { kind, at, len: u64::from(site.key_size) }),
    }
}

/// A Go key behind a pointer, by the map's own type.
#[inline(always)]
fn locate_go(map_type: u64, at: u64) -> Option<KeyAt> {
    let key_type = read::<GoType>(read_u64(map_type.wrapping_add(GO_MAPTYPE_KEY))?)?;
    if key_type.kind & GO_KIND_MASK == GO_KIND_STRING {
        let string = read::<GoString>(at)?;
        return Some(KeyAt { kind: key_kind::STR, at: string.data, len: string.len });
    }
    Some(KeyAt { kind: key_kind::BYTES, at, len: key_type.size })
}

/// What both records begin with.
#[inline(always)]
fn head(hit: &Hit, kind: u8, key: &KeyAt, flags: u8) -> OpHead {
    let (object, object_flag) = match hit.value(&hit.site.object) {
        Some(object) => (object, 0),
        None => (0, op_flags::OBJECT_UNREADABLE),
    };
    OpHead {
        kind,
        key_kind: key.kind,
        flags: flags | object_flag,
        pad: 0,
        site: hit.cookie,
        task: hit.task(),
        caller: hit.sampled_caller(),
        object,
        aux: hit.value(&hit.site.aux).unwrap_or(0),
        key_len: key.len,
    }
}

/// A key of at most [`SHORT_KEY`] bytes.
#[inline(always)]
fn short(hit: &Hit, key: &KeyAt, lost_key: bool) {
    let Some(mut entry) = reserve::<ShortOp>() else { return };
    let flags = if lost_key { op_flags::KEY_UNREADABLE } else { 0 };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is large enough, and every byte of it is written.
    unsafe {
        (*record).head = head(hit, record_kind::SHORT_OP, key, flags);
        // Word by word: an array's zeroes would be a call that writes bytes.
        let words = (&raw mut (*record).key).cast::<u64>();
        for word in 0..SHORT_KEY / 8 {
            words.add(word).write_volatile(0);
        }
        if key.kind == key_kind::INT {
            words.write(masked(key.at, key.len));
        } else if key.kind != key_kind::NONE && key.len > 0 {
            let len = at_most(key.len, SHORT_KEY as u64);
            if read_user(words.cast(), len, key.at as *const _) != 0 {
                (*record).head.flags |= op_flags::KEY_UNREADABLE;
            }
        }
    }
    submit(entry);
}

/// `len`, or `most` where it is more. The bound is compared here and now: verifiers
/// before 6.x forget what was known of a value that lay on the stack since, and the
/// compiler must not see that the comparison was made before.
#[inline(always)]
fn at_most(mut len: u64, most: u64) -> u32 {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) len, options(nomem, nostack, preserves_flags)) };
    if len > most { most as u32 } else { len as u32 }
}

/// The low `size` bytes.
#[inline(always)]
fn masked(value: u64, size: u64) -> u64 {
    match size {
        1 => value & 0xff,
        2 => value & 0xffff,
        4 => value & 0xffff_ffff,
        _ => value,
    }
}

/// A longer key, or one whose length is not known yet.
#[inline(always)]
fn long(hit: &Hit, key: &KeyAt) {
    let Some(mut entry) = reserve::<LongOp>() else { return };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is large enough; `key` is only read up to its length.
    unsafe {
        (*record).head = head(hit, record_kind::LONG_OP, key, 0);
        if key.kind == key_kind::CSTR {
            read_text(&mut entry, key.at);
        } else {
            let len = at_most(key.len, LONG_KEY as u64);
            if read_user((&raw mut (*record).key).cast(), len, key.at as *const _) != 0 {
                (*record).head.flags |= op_flags::KEY_UNREADABLE;
            } else if key.len > LONG_KEY as u64 {
                (*record).head.flags |= op_flags::KEY_CUT;
            }
        }
    }
    submit(entry);
}

/// A NUL-terminated key. How long a cut one is stays unknown: one more than is carried.
#[inline(always)]
fn read_text(entry: &mut RingBufEntry<LongOp>, at: u64) {
    let record = entry.as_mut_ptr();
    // SAFETY: the helper writes at most LONG_KEY bytes and returns how many, with the NUL.
    unsafe {
        let read = read_user_str((&raw mut (*record).key).cast(), LONG_KEY as u32, at as *const _);
        if read <= 0 {
            (*record).head.flags |= op_flags::KEY_UNREADABLE;
            (*record).head.key_len = 0;
        } else if read == LONG_KEY as i64 {
            // Either just fits or is cut: carried are LONG_KEY - 1 bytes and the NUL.
            (*record).head.flags |= op_flags::KEY_CUT;
            (*record).head.key_len = LONG_KEY as u64;
        } else {
            (*record).head.key_len = read as u64 - 1;
        }
    }
}
