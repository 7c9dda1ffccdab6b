//! Go's type descriptions in the target's memory.
//!
//! In: the address of an `*abi.Type`. Out: its name and its [`KeyShape`], bounded
//! in depth and size. Offsets are those of `src/internal/abi/type.go` (up to Go 1.20
//! `src/runtime/type.go`), unchanged from Go 1.18 to 1.27.

use super::shape::{Field, KeyShape, Kind, Node};
use crate::target::memory::ReadMemory;

/// `abi.Type.Size_`.
pub(super) const SIZE: u64 = 0;
/// `abi.Type.TFlag`.
pub(super) const TFLAG: u64 = 20;
/// `abi.Type.Kind_`.
pub(super) const KIND: u64 = 23;
/// `abi.Type.Equal`: nil where values cannot be compared, so are no keys.
pub(super) const EQUAL: u64 = 24;
/// `abi.Type.Str`, an offset from the start of the module's types.
const NAME: u64 = 40;
/// The first field behind `abi.Type`: a map's key, an array's element.
pub(super) const FIRST: u64 = 48;
/// `abi.ArrayType.Len`.
const ARRAY_LEN: u64 = 64;
/// `abi.StructType.Fields`, a slice: address, length.
pub(super) const FIELDS: u64 = 56;
/// Bytes of an `abi.StructField`: name, type, offset.
pub(super) const FIELD_SIZE: u64 = 24;
/// `abi.InterfaceType.Methods`, a slice.
const METHODS_LEN: u64 = 64;

/// The rest of the byte is flags.
pub(super) const KIND_MASK: u8 = 0x1f;
/// `abi.KindDirectIface` in the kind's byte up to Go 1.25, `abi.TFlagDirectIface` in
/// the flags' from 1.26: neither bit was ever used for anything else.
const DIRECT: u8 = 1 << 5;
/// The name is stored with a `*` in front, shared with the pointer type.
const TFLAG_EXTRA_STAR: u8 = 1 << 1;

/// `abi.Pointer`.
const KIND_POINTER: u8 = 22;
/// `abi.Array`.
pub(super) const KIND_ARRAY: u8 = 17;
/// `abi.Map`.
pub(super) const KIND_MAP: u8 = 21;
/// `abi.Struct`.
pub(super) const KIND_STRUCT: u8 = 25;

/// Longest name read, in bytes.
const NAME_LIMIT: u64 = 4096;
/// Largest value believed, in bytes: larger ones are a sign of a wrong address.
pub(super) const SIZE_LIMIT: u64 = 1 << 24;
/// How deep structs and arrays are followed.
const DEPTH: u32 = 8;
/// Most types that one key may consist of, fields counted each.
const NODES: usize = 256;

/// Reads types where `base_of` gives what a type's name offset is relative to.
pub(super) struct Types<'a, M, B> {
    pub(super) memory: &'a M,
    pub(super) base_of: B,
}

impl<M: ReadMemory, B: Fn(u64) -> Option<u64>> Types<'_, M, B> {
    /// `abi.Kind` of the type at an address.
    pub(super) fn kind(&self, address: u64) -> Option<u8> {
        Some(self.memory.u8(address.checked_add(KIND)?)? & KIND_MASK)
    }

    /// What the type at an address looks like; `None` where there is none.
    pub(super) fn shape(&self, address: u64) -> Option<KeyShape> {
        let mut nodes = Vec::new();
        self.add(address, 0, &mut nodes)?;
        Some(KeyShape::new(nodes))
    }

    /// Adds the type at an address and its parts; the number it got.
    fn add(&self, address: u64, depth: u32, nodes: &mut Vec<Node>) -> Option<u32> {
        let number = u32::try_from(nodes.len()).ok()?;
        let size = self.memory.u64(address.checked_add(SIZE)?)?;
        let flags = self.memory.u8(address.checked_add(TFLAG)?)?;
        let kind = self.memory.u8(address.checked_add(KIND)?)?;
        if size > SIZE_LIMIT {
            return None;
        }
        let mut node = Node {
            // The compiler's stand-ins in generic code say `*uint8` for any pointer.
            name: self.name(address).filter(|name| !name.contains("go.shape.")),
            size,
            pointer_shaped: (flags | kind) & DIRECT != 0,
            kind: Kind::Opaque,
        };
        if let Some((kind, its_size)) = simple(kind & KIND_MASK) {
            if its_size.is_none_or(|its| its == size) {
                node.kind = self.meant(address, node.name.as_deref()).unwrap_or(kind);
            }
            nodes.push(node);
            return Some(number);
        }
        if kind & KIND_MASK == KIND_STRUCT
            && size == 8
            && let Some(meant) = self.meant(address, node.name.as_deref())
        {
            nodes.push(Node { kind: meant, ..node });
            return Some(number);
        }
        nodes.push(node);
        if depth < DEPTH {
            let kind = self.compound(address, kind & KIND_MASK, size, depth, nodes);
            match kind {
                Some(kind) => nodes[number as usize].kind = kind,
                None => nodes.truncate(number as usize + 1),
            }
        }
        Some(number)
    }

    /// What a pointer or a struct of one pointer means by it, for types of Go's library:
    /// `Handle[T]{value *T}` since 1.23 (unique/handle.go), `Pointer[T]{_ [0]*T; u
    /// unsafe.Pointer}` since 1.24 (weak/pointer.go; u points to a pointer to T:
    /// runtime/mheap.go, specialWeakHandle.handle), `*intern.Value` up to 1.22
    /// (internal/intern), `*rtype` (reflect/type.go) and what has become of it.
    fn meant(&self, address: u64, name: Option<&str>) -> Option<Kind> {
        let first = |of: u64| self.memory.u64(of.checked_add(FIRST)?);
        let first_field = || {
            let fields = self.memory.u64(address.checked_add(FIELDS)?)?;
            self.memory.u64(fields.checked_add(8)?)
        };
        let of = match name? {
            "*reflect.rtype" | "*reflectlite.rtype" | "*abi.Type" => {
                return Some(Kind::TypePointer);
            }
            "*intern.Value" => first(address)?,
            name if name.starts_with("unique.Handle[") => {
                let pointer = first_field()?;
                (self.kind(pointer)? == KIND_POINTER).then_some(first(pointer))??
            }
            name if name.starts_with("weak.Pointer[") => {
                let none = first_field()?;
                (self.kind(none)? == KIND_ARRAY).then_some(first(none))??
            }
            _ => return None,
        };
        Some(Kind::Handle { of })
    }

    fn compound(
        &self,
        address: u64,
        kind: u8,
        size: u64,
        depth: u32,
        nodes: &mut Vec<Node>,
    ) -> Option<Kind> {
        match kind {
            KIND_ARRAY => {
                let len = self.memory.u64(address.checked_add(ARRAY_LEN)?)?;
                let element = self.memory.u64(address.checked_add(FIRST)?)?;
                let element = self.add(element, depth + 1, nodes)?;
                let whole = nodes[element as usize].size.checked_mul(len)?;
                (whole == size).then_some(Kind::Array { element, len })
            }
            20 if size == 16 => {
                let methods = self.memory.u64(address.checked_add(METHODS_LEN)?)? > 0;
                Some(Kind::Interface { methods })
            }
            KIND_STRUCT => self.fields(address, size, depth, nodes).map(Kind::Struct),
            _ => None,
        }
    }

    fn fields(
        &self,
        address: u64,
        size: u64,
        depth: u32,
        nodes: &mut Vec<Node>,
    ) -> Option<Vec<Field>> {
        let start = self.memory.u64(address.checked_add(FIELDS)?)?;
        let count = self.memory.u64(address.checked_add(FIELDS + 8)?)?;
        if count > (NODES - nodes.len().min(NODES)) as u64 {
            return None;
        }
        let mut fields = Vec::new();
        let mut end = 0;
        for index in 0..count {
            let at = start.checked_add(index * FIELD_SIZE)?;
            let name = self.text(self.memory.u64(at)?)?;
            let offset = self.memory.u64(at.checked_add(16)?)?;
            let node = self.add(self.memory.u64(at.checked_add(8)?)?, depth + 1, nodes)?;
            let behind = offset.checked_add(nodes[node as usize].size)?;
            if offset < end || behind > size || nodes.len() > NODES {
                return None;
            }
            end = behind;
            fields.push(Field { name, offset, node });
        }
        Some(fields)
    }

    /// The type's name as the program writes it.
    pub(super) fn name(&self, address: u64) -> Option<String> {
        let flags = self.memory.u8(address.checked_add(TFLAG)?)?;
        // Offsets of types made by reflect are negative and mean something else.
        let offset = self.memory.u32(address.checked_add(NAME)?)?;
        let offset = u64::from(i32::try_from(offset).ok().filter(|&offset| offset > 0)? as u32);
        let text = self.text((self.base_of)(address)?.checked_add(offset)?)?;
        match text.strip_prefix('*') {
            Some(rest) if flags & TFLAG_EXTRA_STAR != 0 => Some(rest.to_owned()),
            _ => Some(text),
        }
    }

    /// An `abi.Name`: a byte of flags, the length as a varint, the text.
    fn text(&self, address: u64) -> Option<String> {
        let mut at = address.checked_add(1)?;
        let mut len = 0u64;
        for shift in (0..14).step_by(7) {
            let byte = self.memory.u8(at)?;
            at = at.checked_add(1)?;
            len |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let mut text = vec![0; Some(len).filter(|&len| len <= NAME_LIMIT)? as usize];
                let text = self.memory.read(at, &mut text).then_some(text)?;
                return String::from_utf8(text).ok();
            }
        }
        None
    }
}

/// An `abi.Kind` that has no parts, with its size where that is fixed.
fn simple(kind: u8) -> Option<(Kind, Option<u64>)> {
    Some(match kind {
        1 => (Kind::Bool, Some(1)),
        2 | 6 => (Kind::Int, Some(8)),
        3 => (Kind::Int, Some(1)),
        4 => (Kind::Int, Some(2)),
        5 => (Kind::Int, Some(4)),
        7 | 11 => (Kind::Uint, Some(8)),
        8 => (Kind::Uint, Some(1)),
        9 => (Kind::Uint, Some(2)),
        10 => (Kind::Uint, Some(4)),
        12 => (Kind::Uintptr, Some(8)),
        13 => (Kind::Float, Some(4)),
        14 => (Kind::Float, Some(8)),
        15 => (Kind::Complex, Some(8)),
        16 => (Kind::Complex, Some(16)),
        18 => (Kind::Chan, Some(8)),
        22 | 26 => (Kind::Pointer, Some(8)),
        24 => (Kind::String, Some(16)),
        // Functions, maps and slices cannot be compared.
        19 | 21 | 23 => (Kind::Opaque, None),
        _ => return None,
    })
}
