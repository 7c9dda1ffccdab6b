//! Where a key lies, and what it is made of.
//!
//! In: a hit's operands and, for Go, the type information in the target's memory.
//! Out: a [`KeyAt`]. Types whose values hold strings or interfaces are described by
//! user space, by the type's address.

use core::mem::MaybeUninit;

use aya_ebpf::{
    btf_maps::{Array, HashMap},
    helpers::generated::bpf_probe_read_user as read_user,
    macros::btf_map,
};
use probe_ebpf::{LONG_KEY, Layout, MAX_LAYOUTS, TYPE_SLOTS, key_kind};

use crate::context::{Hit, read, read_u64};

/// `abi.MapType.Key`, internal/abi/type.go (map_swiss.go, map_noswiss.go), Go 1.19–1.27.
const GO_MAPTYPE_KEY: u64 = 48;
/// `abi.InterfaceType.Methods`' length, internal/abi/type.go: behind `Type` (48
/// bytes), `PkgPath` (a pointer) and the slice's pointer.
const GO_INTERFACE_METHODS: u64 = 64;
/// `abi.ITab.Type`, internal/abi/iface.go.
pub(crate) const GO_ITAB_TYPE: u64 = 8;
/// `abi.KindMask`, internal/abi/type.go, up to Go 1.25; later kinds stay below it.
const GO_KIND_MASK: u8 = 0x1f;
/// `abi.Kind`s, internal/abi/type.go.
const GO_KIND_ARRAY: u8 = 17;
const GO_KIND_INTERFACE: u8 = 20;
const GO_KIND_STRING: u8 = 24;
const GO_KIND_STRUCT: u8 = 25;
/// `abi.KindDirectIface` in the kind up to Go 1.25, `abi.TFlagDirectIface` in the
/// flags since; neither byte uses the bit otherwise.
const GO_DIRECT: u8 = 1 << 5;

/// What user space knows of types, by `*abi.Type`.
#[btf_map]
static LAYOUTS: HashMap<u64, Layout, MAX_LAYOUTS> = HashMap::new();

/// The head of `abi.Type`, internal/abi/type.go: the same in Go 1.19–1.27.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GoType {
    pub(crate) size: u64,
    ptr_bytes: u64,
    hash: u32,
    tflag: u8,
    align: u8,
    field_align: u8,
    kind: u8,
}

impl GoType {
    #[inline(always)]
    pub(crate) fn is_direct(&self) -> bool {
        (self.kind | self.tflag) & GO_DIRECT != 0
    }

    #[inline(always)]
    pub(crate) fn is_string(&self) -> bool {
        self.kind & GO_KIND_MASK == GO_KIND_STRING
    }
}

/// Types of interfaces' values met lately, direct-mapped by their address: a word each
/// ([`GoType::packed`]), so that who reads one while another is written sees either. Go's
/// types never change, nor does their memory become anything else's.
#[btf_map]
static TYPES: Array<u64, TYPE_SLOTS> = Array::new();

/// Bits of an address in user space, whose lowest three are zero where a type is.
const ADDRESS_BITS: u32 = 47;
/// Bits of a packed type below its address.
const PACKED_BITS: u32 = u64::BITS - ADDRESS_BITS + 3;
/// Those of its kind and of whether it is direct.
const KIND_BITS: u32 = 6;

impl GoType {
    /// The type at this address; from the kernel's memory, where it is known: a copy from
    /// the target's is dear.
    #[inline(always)]
    fn known(address: u64) -> Option<Self> {
        let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = TYPES.get_ptr_mut((hash >> (u64::BITS - TYPE_SLOTS.trailing_zeros())) as u32)?;
        let can_be_known = address != 0 && address & 7 == 0 && address >> ADDRESS_BITS == 0;
        let mut found = MaybeUninit::<Self>::uninit();
        let to = found.as_mut_ptr();
        // SAFETY: an aligned word of the map's, which lives as long as the program; of `found`
        // what is read of it is written on both ways.
        unsafe {
            let packed = slot.read_volatile();
            if can_be_known && (packed >> PACKED_BITS) << 3 == address {
                // In pieces: then verifiers know as little of it as of what is read below,
                // and walk through what follows once.
                let size = packed >> KIND_BITS & ((1 << (PACKED_BITS - KIND_BITS)) - 1);
                let halves = (&raw mut (*to).size).cast::<u32>();
                halves.write_volatile(size as u32);
                halves.add(1).write_volatile(0);
                (&raw mut (*to).tflag).write_volatile(0);
                (&raw mut (*to).kind).write_volatile(packed as u8 & ((1 << KIND_BITS) - 1));
            } else {
                if read_user(to.cast(), size_of::<Self>() as u32, address as *const _) != 0 {
                    return None;
                }
                let its_type = found.assume_init_ref();
                if can_be_known && its_type.size >> (PACKED_BITS - KIND_BITS) == 0 {
                    slot.write_volatile(its_type.packed(address));
                }
            }
            let field = |at: *const u8| at.read_volatile();
            Some(Self {
                size: (&raw const (*to).size).read_volatile(),
                ptr_bytes: 0,
                hash: 0,
                tflag: field(&raw const (*to).tflag),
                align: 0,
                field_align: 0,
                kind: field(&raw const (*to).kind),
            })
        }
    }

    /// Address, size and kind.
    #[inline(always)]
    fn packed(&self, address: u64) -> u64 {
        let kind = u64::from(self.kind & GO_KIND_MASK | (self.kind | self.tflag) & GO_DIRECT);
        (address >> 3) << PACKED_BITS | self.size << KIND_BITS | kind
    }
}

/// A Go string header.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GoString {
    pub(crate) data: u64,
    pub(crate) len: u64,
}

/// Where a key's bytes are.
#[derive(Clone, Copy)]
pub(crate) struct KeyAt {
    /// NONE, INT, STR, CSTR, BYTES or IFACE.
    pub(crate) kind: u8,
    /// `at` is the value itself.
    pub(crate) is_value: bool,
    /// Its type has no layout yet.
    pub(crate) is_raw: bool,
    /// A number or an address, which means nothing without its last bytes.
    pub(crate) is_scalar: bool,
    /// The dynamic type, for IFACE.
    pub(crate) dynamic: u64,
    /// The value or its address.
    pub(crate) at: u64,
    /// Bytes at `at`.
    pub(crate) len: u64,
    /// What its pointers lead to is part of the key.
    pub(crate) layout: Option<&'static Layout>,
}

impl KeyAt {
    pub(crate) const NONE: Self = Self::of(key_kind::NONE, 0, 0);
    /// Where what says where the key is could not be read: nor can a byte at address 0.
    const AWAY: Self = Self::of(key_kind::STR, 0, 1);

    /// Most bytes of it that are carried, where `bytes` are wanted: of a string's or an
    /// array's contents. What says where those are, and numbers, come whole.
    #[inline(always)]
    pub(crate) fn limit(&self, bytes: u64) -> u64 {
        let beside = match self.layout {
            Some(layout) => u64::from(layout.size),
            None => 0,
        };
        let wanted = bytes + beside + if self.kind == key_kind::IFACE { 8 } else { 0 };
        let is_whole = self.is_value || self.is_scalar || self.is_raw;
        if is_whole || bytes == 0 || wanted > LONG_KEY as u64 { LONG_KEY as u64 } else { wanted }
    }

    const fn of(kind: u8, at: u64, len: u64) -> Self {
        Self {
            kind,
            is_value: false,
            is_raw: false,
            is_scalar: false,
            dynamic: 0,
            at,
            len,
            layout: None,
        }
    }
}

/// Finds a key that Go's types say how to read; `None` where they cannot be read.
#[inline(always)]
pub(crate) fn locate_typed(hit: &Hit) -> Option<KeyAt> {
    let site = hit.site;
    let Some(at) = hit.value(&site.key) else { return Some(KeyAt::AWAY) };
    if site.key_kind == key_kind::IFACE {
        let Some(data) = hit.value(&site.key_len) else { return Some(KeyAt::AWAY) };
        return dynamic(at, data);
    }
    behind_pointer(hit.value(&site.aux)?, at)
}

/// Finds any other key.
#[inline(always)]
pub(crate) fn locate_plain(hit: &Hit) -> KeyAt {
    let site = hit.site;
    if site.key_kind == key_kind::NONE {
        return KeyAt::NONE;
    }
    let Some(at) = hit.value(&site.key) else { return KeyAt::AWAY };
    match site.key_kind {
        key_kind::INT => {
            KeyAt { is_value: true, ..KeyAt::of(key_kind::INT, at, u64::from(site.key_size)) }
        }
        key_kind::STR => match hit.value(&site.key_len) {
            Some(len) => KeyAt::of(key_kind::STR, at, len),
            None => KeyAt::AWAY,
        },
        kind => KeyAt::of(kind, at, u64::from(site.key_size)),
    }
}

/// A Go key behind a pointer, by the map's own type.
#[inline(always)]
fn behind_pointer(map_type: u64, at: u64) -> Option<KeyAt> {
    let address = read_u64(map_type.wrapping_add(GO_MAPTYPE_KEY))?;
    let key_type = read::<GoType>(address)?;
    if key_type.kind & GO_KIND_MASK == GO_KIND_INTERFACE {
        let (Some(word), Some(data)) = (read_u64(at), read_u64(at.wrapping_add(8))) else {
            return Some(KeyAt::AWAY);
        };
        let methods = read_u64(address.wrapping_add(GO_INTERFACE_METHODS))?;
        if methods == 0 || word == 0 {
            return dynamic(word, data);
        }
        return dynamic(read_u64(word.wrapping_add(GO_ITAB_TYPE))?, data);
    }
    typed(key_kind::BYTES, address, &key_type, at)
}

/// A value of an interface, by its dynamic type; 0 is nil.
#[inline(always)]
fn dynamic(address: u64, data: u64) -> Option<KeyAt> {
    let mut key = KeyAt::of(key_kind::IFACE, data, 0);
    if address != 0 {
        let its_type = GoType::known(address)?;
        if its_type.is_direct() {
            key.is_value = true;
            key.len = 8;
        } else {
            key = typed(key_kind::IFACE, address, &its_type, data)?;
        }
    }
    key.kind = key_kind::IFACE;
    key.dynamic = address;
    Some(key)
}

/// A value of a type that is no interface.
#[inline(always)]
fn typed(kind: u8, address: u64, its_type: &GoType, at: u64) -> Option<KeyAt> {
    if its_type.is_string() {
        let Some(string) = read::<GoString>(at) else { return Some(KeyAt::AWAY) };
        return Some(KeyAt::of(key_kind::STR, string.data, string.len));
    }
    let mut key = KeyAt::of(kind, at, its_type.size);
    if matches!(its_type.kind & GO_KIND_MASK, GO_KIND_ARRAY | GO_KIND_STRUCT) {
        // SAFETY: entries are only ever added, before and while probes are in place.
        match unsafe { LAYOUTS.get(&address) } {
            Some(layout) if layout.count > 0 => key.layout = Some(layout),
            Some(_) => {}
            None => key.is_raw = true,
        }
    } else {
        key.is_scalar = true;
    }
    Some(key)
}
