//! Map operations: who did what to which key.
//!
//! In: a hit at a map site. Out: a [`ShortOp`] or [`probe_ebpf::LongOp`] record, and for some
//! an [`OpStack`]; or one more in the count of a hot key.

use core::{arch::asm, mem::MaybeUninit, ptr};

use aya_ebpf::{
    EbpfContext,
    helpers::generated::{
        bpf_probe_read_user as read_user, bpf_probe_read_user_str as read_user_str,
    },
};
use probe_ebpf::{
    CALLER_NOT_SAMPLED, CALLERS_PER_TICK, COUNTER_SKIPPED, Draft, LONG_KEY, Layout, MAX_PIECES,
    OpHead, OpStack, SHORT_KEY, STACKS_PER_TICK, ShortOp, TaskSlot, key_kind, op_flags, piece_kind,
    record_kind, site_flags,
};

use crate::{
    combining,
    context::{Counted, Hit, gates, number_in_tick, read, read_u64, thread},
    drafts::{Place, claim_scratch, submit_scratch},
    keys::{GO_ITAB_TYPE, GoString, GoType, KeyAt, locate_plain, locate_typed},
    tasks,
    transport::{count, reserve, submit},
};

/// What a hit brings to each kind of record.
struct Event<'a> {
    hit: &'a Hit,
    task: u64,
    caller: u64,
    object: u64,
    aux: u64,
    /// Bits of [`op_flags`].
    flags: u8,
    /// Most bytes of the key, 1 to [`LONG_KEY`]; more than 8 of an interface's.
    limit: u64,
    slot: Option<*mut TaskSlot>,
    /// The window that is open.
    window: u64,
}

impl Event<'_> {
    /// Remembers the operation.
    ///
    /// # Safety
    ///
    /// `record` is its record, with so many words of the key.
    #[inline(always)]
    unsafe fn remember<const KEY_WORDS: usize>(&self, record: *const u64) {
        let Some(slot) = self.slot else { return };
        let at = self.hit.made_at();
        // SAFETY: the slot is the map's; see above for the record.
        unsafe {
            if self.hit.site.flags & site_flags::MAY_WAIT != 0 {
                let outer = &raw mut (*slot).outer;
                tasks::remember::<KEY_WORDS>(outer, self.task, self.window, at, record);
            }
            let last = &raw mut (*slot).last;
            tasks::remember::<KEY_WORDS>(last, self.task, self.window, at, record);
        }
    }
}

/// Makes the records of a hit.
#[inline(always)]
pub(crate) fn record<C: EbpfContext, const TYPED: bool>(ctx: &C, hit: &Hit) {
    let window = gates().maps;
    if window == 0 {
        return;
    }
    let aux = hit.value(&hit.site.aux).unwrap_or(0);
    if aux != 0 && aux == hit.site.skip_aux {
        count(COUNTER_SKIPPED);
        return;
    }
    let number = number_in_tick(Counted::Operation);
    let caller = if number <= CALLERS_PER_TICK { hit.caller() } else { CALLER_NOT_SAMPLED };
    let (object, mut flags) = match hit.value(&hit.site.object) {
        Some(object) => (object, 0),
        None => (0, op_flags::OBJECT_UNREADABLE),
    };
    let mut key =
        if TYPED { locate_typed(hit) } else { Some(locate_plain(hit)) }.unwrap_or_else(|| {
            flags |= op_flags::TYPE_UNREADABLE;
            KeyAt::NONE
        });
    let draft = if key.layout.is_some() { claim_scratch() } else { ptr::null_mut() };
    if draft.is_null() && key.layout.is_some() {
        // Its pointers will be followed in user space: the verifier would have to walk through
        // all that once more for a place in the ring.
        key.layout = None;
        key.is_raw = true;
    }
    if key.is_raw {
        flags |= op_flags::KEY_RAW;
    }
    let task = hit.task();
    let limit = key.limit(u64::from(hit.site.key_limit));
    let slot = if key.kind == key_kind::NONE {
        if hit.site.flags & site_flags::BY_ITSELF == 0 {
            tasks::forget(task);
        }
        None
    } else {
        tasks::slot(task)
    };
    let event = Event { hit, task, caller, object, aux, flags, limit, slot, window };
    let prefix = if TYPED && key.kind == key_kind::IFACE { 8 } else { 0 };
    if TYPED && let Some(layout) = key.layout {
        // SAFETY: it was claimed, or there would be no layout.
        unsafe { pieced(&event, &key, layout, draft) };
    } else {
        let is_text = !TYPED && key.kind == key_kind::CSTR;
        let may_fit = is_text || key.len <= SHORT_KEY as u64 - prefix;
        if !(may_fit && short(&event, &key, is_text)) {
            long(&event, &key);
        }
    }
    if let Some(slot) = slot {
        tasks::tell_if_first_after_wait(ctx, slot, task, window);
    }
    if number <= STACKS_PER_TICK {
        stack(ctx, &event);
    }
}

/// What all operation records begin with.
#[inline(always)]
fn head(event: &Event<'_>, kind: u8, key: &KeyAt) -> OpHead {
    OpHead {
        kind,
        key_kind: key.kind,
        flags: event.flags,
        carried: 0,
        site: event.hit.cookie,
        task: event.task,
        caller: event.caller,
        object: event.object,
        aux: event.aux,
        key_len: key.len,
    }
}

/// A key of at most [`SHORT_KEY`] bytes; whether that fits a NUL-terminated one and could be read.
/// The record is made on the stack: it may come to nothing but a count.
#[inline(always)]
fn short(event: &Event<'_>, key: &KeyAt, is_text: bool) -> bool {
    let mut record = MaybeUninit::<ShortOp>::uninit();
    let record = record.as_mut_ptr();
    // SAFETY: every byte of it is written before one is read.
    unsafe {
        (*record).head = head(event, record_kind::SHORT_OP, key);
        // Word by word: an array's zeroes would be a call that writes bytes.
        let words = (&raw mut (*record).key).cast::<u64>();
        for word in 0..SHORT_KEY / 8 {
            words.add(word).write_volatile(0);
        }
        if is_text {
            let read = read_user_str(words.cast(), SHORT_KEY as u32, key.at as *const _);
            let found = (read as u64).wrapping_sub(1);
            if read <= 0 || read == SHORT_KEY as i64 || found > event.limit {
                return false;
            }
            (*record).head.key_len = found;
            (*record).head.carried = found as u8;
        } else {
            let failed = if key.kind == key_kind::IFACE {
                words.write(key.dynamic);
                (*record).head.key_len = key.len + 8;
                value::<{ SHORT_KEY as u64 - 8 }>(key, event.limit - 8, words.add(1))
            } else {
                value::<{ SHORT_KEY as u64 }>(key, event.limit, words)
            };
            finish_head(&raw mut (*record).head, failed, event.limit);
            if failed {
                point_at(&raw mut (*record).head, words, key, event.limit);
            }
        }
        event.remember::<{ SHORT_KEY / 8 }>(record.cast());
        if event.caller == CALLER_NOT_SAMPLED && combining::count(record) {
            return true;
        }
        let Some(mut entry) = reserve::<ShortOp>() else { return true };
        let to = entry.as_mut_ptr().cast::<u64>();
        for word in 0..size_of::<ShortOp>() / 8 {
            to.add(word).write(record.cast::<u64>().add(word).read_volatile());
        }
        submit(entry);
        true
    }
}

/// Fetches the value, at most `MOST` bytes of it; whether that failed.
///
/// # Safety
///
/// There is room for `MOST` bytes, and for 8, at `to`.
#[inline(always)]
unsafe fn value<const MOST: u64>(key: &KeyAt, limit: u64, to: *mut u64) -> bool {
    if key.is_value {
        // SAFETY: see above.
        unsafe { to.write(masked(key.at, key.len)) };
        return false;
    }
    let wanted = if key.len < limit { key.len } else { limit };
    if wanted == 0 {
        return false;
    }
    // SAFETY: see above; the helpers check the address.
    unsafe {
        if key.kind == key_kind::STR && wanted < MOST {
            // Word by word, which costs half of what copying a few bytes at once does. It ends
            // at a zero, and reads one byte more than wanted: where that is not to be had, or
            // the text has a zero in it, it is read as any other.
            let room = at_most(wanted + 1, MOST);
            if read_user_str(to.cast(), room, key.at as *const _) == i64::from(room) {
                return false;
            }
        }
        read_user(to.cast(), at_most(wanted, MOST), key.at as *const _) != 0
    }
}

/// Says how much of the key is there.
///
/// # Safety
///
/// `head` is a record's.
#[inline(always)]
unsafe fn finish_head(head: *mut OpHead, failed: bool, limit: u64) {
    // SAFETY: see above.
    unsafe {
        let len = (*head).key_len;
        if failed {
            (*head).flags |= op_flags::KEY_UNREADABLE;
        } else if len > limit {
            (*head).flags |= op_flags::KEY_CUT;
            (*head).carried = limit as u8;
        } else {
            (*head).carried = len as u8;
        }
    }
}

/// Says where the key is, in the place of what could not be read there.
///
/// # Safety
///
/// `head` is a record's, `words` three words of its key.
#[inline(always)]
unsafe fn point_at(head: *mut OpHead, words: *mut u64, key: &KeyAt, limit: u64) {
    // SAFETY: see above.
    unsafe {
        if key.is_raw {
            (*head).flags &= !op_flags::KEY_RAW;
        } else if key.kind == key_kind::IFACE {
            words.add(1).write(key.at);
            words.add(2).write(limit - 8);
            (*head).carried = 24;
        } else {
            words.write(key.at);
            words.add(1).write(limit);
            (*head).carried = 16;
        }
    }
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
fn long(event: &Event<'_>, key: &KeyAt) {
    let Some(place) = Place::find() else { return };
    let record = place.draft;
    // SAFETY: the draft has room for more; `key` is only read as far as it is carried.
    unsafe {
        (*record).head = head(event, record_kind::LONG_OP, key);
        let words = (&raw mut (*record).key).cast::<u64>();
        if key.kind == key_kind::CSTR {
            read_text(record, key.at, event.limit);
        } else {
            let failed = if key.kind == key_kind::IFACE {
                words.write(key.dynamic);
                (*record).head.key_len = key.len + 8;
                value::<{ LONG_KEY as u64 - 8 }>(key, event.limit - 8, words.add(1))
            } else {
                value::<{ LONG_KEY as u64 }>(key, event.limit, words)
            };
            finish_head(&raw mut (*record).head, failed, event.limit);
            if failed {
                point_at(&raw mut (*record).head, words, key, event.limit);
            }
        }
        event.remember::<{ LONG_KEY / 8 }>(record.cast());
    }
    place.submit(event.caller);
}

/// A NUL-terminated key. How long a cut one is stays unknown: one more than is carried.
///
/// # Safety
///
/// `record` is one.
#[inline(always)]
unsafe fn read_text(record: *mut Draft, at: u64, limit: u64) {
    // SAFETY: the helper writes at most LONG_KEY bytes and returns how many, with the NUL.
    unsafe {
        let head = &raw mut (*record).head;
        // One more than wanted, and the NUL.
        let room = at_most(limit + 2, LONG_KEY as u64);
        let read = read_user_str((&raw mut (*record).key).cast(), room, at as *const _);
        if read <= 0 {
            (*head).flags |= op_flags::KEY_UNREADABLE;
            (*head).key_len = 0;
        } else {
            let found = (read as u64).wrapping_sub(1);
            let carried = if found < limit { found } else { limit };
            (*head).carried = carried as u8;
            (*head).key_len = found;
            // Where a record has no room for one more, it either just fits or is cut.
            if found > limit || read == LONG_KEY as i64 {
                (*head).flags |= op_flags::KEY_CUT;
                (*head).key_len = carried + 1;
            }
        }
    }
}

/// A key with strings or interfaces in it: the raw value without its pointers, then
/// what they point to. What changes from piece to piece is kept in the record: of what
/// it reads from there the verifier knows nothing, so that every piece looks the same
/// to it, and it need not walk through all their combinations.
///
/// # Safety
///
/// `record` is a scratch that was claimed.
#[inline(always)]
unsafe fn pieced(event: &Event<'_>, key: &KeyAt, layout: &Layout, record: *mut Draft) {
    // SAFETY: each place in the key is masked to less than LONG_KEY + 8, and at most
    // LONG_KEY bytes are written there.
    unsafe {
        (*record).head = head(event, record_kind::LONG_OP, key);
        let bytes = (&raw mut (*record).key).cast::<u8>();
        bytes.cast::<u64>().write(key.dynamic);
        let base = if key.kind == key_kind::IFACE { 8_u64 } else { 0 };
        let size = at_most(u64::from(layout.size), LONG_KEY as u64);
        if read_user(bytes.add(base as usize).cast(), size, key.at as *const _) != 0 {
            (*record).head.flags |= op_flags::KEY_UNREADABLE;
        }
        (*record).filled = base + u64::from(size);
        (*record).head.key_len = base + u64::from(size);
        (*record).head.carried = event.limit as u8;
        for index in 0..MAX_PIECES {
            if index as u32 >= layout.count {
                break;
            }
            let piece = layout.pieces[index];
            let at = base as usize + usize::from(piece.offset & 0x78);
            if !follow(piece.kind, bytes.add(at).cast(), record) {
                (*record).head.flags |= op_flags::KEY_UNREADABLE;
            }
        }
        let failed = (*record).head.flags & op_flags::KEY_UNREADABLE != 0;
        finish_head(&raw mut (*record).head, failed, limit(record));
        // With its pointers once more, so that user space may follow them.
        if failed && read_user(bytes.add(base as usize).cast(), size, key.at as *const _) == 0 {
            (*record).head.flags |= op_flags::KEY_RAW;
            (*record).head.carried = (base + u64::from(size)) as u8;
            (*record).head.key_len = base + u64::from(size);
        }
        event.remember::<{ LONG_KEY / 8 }>(record.cast());
        submit_scratch(record, event.caller);
    }
}

/// Replaces a string's or interface's two words, and adds what it leads to.
///
/// # Safety
///
/// `words` are two words inside the record's key.
#[inline(always)]
unsafe fn follow(kind: u8, words: *mut u64, record: *mut Draft) -> bool {
    // SAFETY: see above, and `append`.
    unsafe {
        let (first, second) = (words.read(), words.add(1).read());
        if kind == piece_kind::STRING {
            words.write(0);
            return append(record, first, second);
        }
        let mut dynamic = first;
        if kind == piece_kind::IFACE && first != 0 {
            let Some(its_type) = read_u64(first.wrapping_add(GO_ITAB_TYPE)) else { return false };
            dynamic = its_type;
        }
        words.write(dynamic);
        if dynamic == 0 {
            return true;
        }
        let Some(its_type) = read::<GoType>(dynamic) else { return false };
        if its_type.is_direct() {
            return true;
        }
        words.add(1).write(0);
        if !its_type.is_string() {
            return append(record, second, its_type.size);
        }
        let Some(string) = read::<GoString>(second) else { return false };
        let carried = (*record).filled;
        if carried < LONG_KEY as u64 {
            let bytes = (&raw mut (*record).key).cast::<u8>();
            bytes.add(place(carried)).cast::<u64>().write_unaligned(string.len);
        }
        (*record).filled = carried + 8;
        (*record).head.key_len += 8;
        append(record, string.data, string.len)
    }
}

/// Most bytes of the key, which stand where their number will.
///
/// # Safety
///
/// `record` is one.
#[inline(always)]
unsafe fn limit(record: *const Draft) -> u64 {
    // SAFETY: see above.
    unsafe { u64::from((*record).head.carried) }
}

/// Adds `len` bytes from `at` to the key, as many as fit.
///
/// # Safety
///
/// `record` is one.
#[inline(always)]
unsafe fn append(record: *mut Draft, at: u64, len: u64) -> bool {
    // SAFETY: `place` is less than LONG_KEY, and `len` at most that.
    unsafe {
        (*record).head.key_len = (*record).head.key_len.saturating_add(len);
        let (carried, limit) = ((*record).filled, limit(record));
        if carried >= limit || len == 0 {
            return true;
        }
        let room = limit - carried;
        let len = at_most(if len < room { len } else { room }, LONG_KEY as u64);
        (*record).filled = carried + u64::from(len);
        let bytes = (&raw mut (*record).key).cast::<u8>();
        read_user(bytes.add(place(carried)).cast(), len, at as *const _) == 0
    }
}

/// Where in the key the next byte goes; for the verifier, never beyond.
#[inline(always)]
fn place(carried: u64) -> usize {
    (carried & (LONG_KEY as u64 - 1)) as usize
}

/// Where in the program the operation was.
#[inline(always)]
fn stack<C: EbpfContext>(ctx: &C, event: &Event<'_>) {
    let Some(mut entry) = reserve::<OpStack>() else { return };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is large enough; frames are only read up to their count.
    unsafe {
        tasks::set_kind(record.cast(), record_kind::OP_STACK);
        (*record).site = event.hit.cookie;
        (*record).object = event.object;
        (*record).aux = event.aux;
        (*record).goid = event.hit.goid(event.task);
        (*record).caller = event.caller;
        (*record).tid = thread();
        (*record).frame_count = tasks::read_stack(ctx, (&raw mut (*record).frames).cast());
    }
    submit(entry);
}
