//! Keys that hold addresses, as bytes that mean the same everywhere.
//!
//! A key's *canonical* bytes, which records and the model carry:
//! - without strings and interfaces in it: its memory;
//! - a string: its contents;
//! - an interface: the address of the dynamic type's `*abi.Type` (8 bytes; 0 for nil,
//!   then nothing follows), then the canonical bytes of the dynamic value;
//! - a struct or array with strings or interfaces in it (its *pieces*): its memory, in
//!   which data pointers of strings are 0, the type words of interfaces are the
//!   `*abi.Type`'s address, and their data words are 0 unless the value itself is in
//!   there. Behind it, piece by piece: a string's contents; nothing for an interface
//!   whose value is in the data word; length (8 bytes) and contents for an interface
//!   that holds a string; the value's memory for any other.
//!
//! Padding and blank fields, which comparisons leave out, are 0. Cut keys are the
//! first bytes of that. All numbers are little endian.

use std::ops::Range;
use std::sync::Arc;

use probe_ebpf::piece_kind;

use super::shape::{BLANK, KeyShape, Kind, Node};
use crate::target::memory::ReadMemory;

/// Most pieces of a key that the kernel's side takes apart.
pub const MAX_PIECES: usize = probe_ebpf::MAX_PIECES;
/// Largest key that the kernel's side takes apart, in bytes.
pub const MAX_SIZE: u64 = probe_ebpf::LONG_KEY as u64;
/// Bytes of a string or an interface: two words.
const PIECE: usize = 16;
/// `abi.ITab.Type`, internal/abi/iface.go (up to Go 1.21 `runtime.itab._type`).
const ITAB_TYPE: u64 = 8;

/// Something in a key that leads elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes from the key's start.
    pub offset: u16,
    /// What it is.
    pub kind: PieceKind,
}

/// What a [`Piece`] is; all are two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// Address and length.
    String,
    /// Address of the `*abi.Type`, data word.
    Interface,
    /// Address of the `*abi.ITab`, data word: an interface with methods.
    InterfaceWithMethods,
}

/// A word in a key that stands for what it points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Bytes from the key's start.
    pub offset: u16,
    /// To what.
    pub to: PointsTo,
}

/// What a [`Pointer`] points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointsTo {
    /// A value of the type at this address.
    Value(u64),
    /// A type's description.
    Type,
}

/// Why the kernel's side cannot take a key apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLayout {
    /// It is larger than [`MAX_SIZE`].
    #[error("a key of {0} bytes with strings or interfaces in it: at most 128 are taken apart")]
    TooLarge(u64),
    /// It has more than [`MAX_PIECES`].
    #[error("a key with {0} strings and interfaces in it: at most 4 are taken apart")]
    TooManyPieces(usize),
    /// A part of it is of no known type.
    #[error("a key of which a part's type could not be read")]
    Unknown,
}

/// Where a key leads elsewhere, and what of it counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the key.
    pub size: u64,
    /// In the order of their offsets; those that begin in the first [`MAX_SIZE`] bytes.
    pub pieces: Vec<Piece>,
    /// In the order of their offsets, in the first [`MAX_SIZE`] bytes.
    pub pointers: Vec<Pointer>,
    /// Padding and blank fields in the first [`MAX_SIZE`] bytes.
    pub holes: Vec<Range<u16>>,
    /// Not all its parts are known.
    unknown: bool,
}

impl Layout {
    /// Of a type.
    pub fn of(shape: &KeyShape) -> Self {
        let mut layout = Self {
            size: shape.root().size,
            pieces: Vec::new(),
            pointers: Vec::new(),
            holes: Vec::new(),
            unknown: false,
        };
        layout.add(shape, 0, shape.root(), 0);
        layout
    }

    /// Itself where the kernel's side can work with it.
    pub fn for_kernel(&self) -> Result<&Self, NoLayout> {
        if self.unknown {
            Err(NoLayout::Unknown)
        } else if !self.pieces.is_empty() && self.size > MAX_SIZE {
            Err(NoLayout::TooLarge(self.size))
        } else if self.pieces.len() > MAX_PIECES {
            Err(NoLayout::TooManyPieces(self.pieces.len()))
        } else {
            Ok(self)
        }
    }

    /// Adds the parts of the type with this number, which lies `at` bytes into the key.
    fn add(&mut self, shape: &KeyShape, number: u32, node: &Node, at: u64) {
        if at >= MAX_SIZE || node.size == 0 {
            return;
        }
        match &node.kind {
            Kind::String => self.piece(at, PieceKind::String),
            Kind::Interface { methods: false } => self.piece(at, PieceKind::Interface),
            Kind::Interface { methods: true } => self.piece(at, PieceKind::InterfaceWithMethods),
            Kind::Array { element, len } => {
                let Some(part) = shape.part(number, *element).filter(|part| part.size > 0) else {
                    return;
                };
                for index in 0..(*len).min(MAX_SIZE) {
                    self.add(
                        shape,
                        *element,
                        part,
                        at.saturating_add(index.saturating_mul(part.size)),
                    );
                }
            }
            Kind::Struct(fields) => {
                let mut end = at;
                for field in fields {
                    let Some(part) = shape.part(number, field.node) else { continue };
                    let start = at.saturating_add(field.offset);
                    self.hole(end, start);
                    end = start.saturating_add(part.size);
                    if field.name == BLANK {
                        self.hole(start, end);
                    } else {
                        self.add(shape, field.node, part, start);
                    }
                }
                self.hole(end, at.saturating_add(node.size));
            }
            Kind::Handle { of } => self.pointer(at, PointsTo::Value(*of)),
            Kind::TypePointer => self.pointer(at, PointsTo::Type),
            Kind::Opaque => self.unknown = true,
            _ => {}
        }
    }

    fn piece(&mut self, at: u64, kind: PieceKind) {
        self.pieces.push(Piece { offset: at as u16, kind });
    }

    fn pointer(&mut self, at: u64, to: PointsTo) {
        self.pointers.push(Pointer { offset: at as u16, to });
    }

    fn hole(&mut self, from: u64, to: u64) {
        let (from, to) = (from.min(MAX_SIZE) as u16, to.min(MAX_SIZE) as u16);
        if from < to {
            self.holes.push(from..to);
        }
    }

    /// As the kernel side is told it; `None` where it cannot work with it.
    pub fn to_abi(&self) -> Option<probe_ebpf::Layout> {
        let layout = self.for_kernel().ok()?;
        let mut abi = probe_ebpf::Layout {
            size: u32::try_from(layout.size).ok()?,
            count: layout.pieces.len() as u32,
            ..probe_ebpf::Layout::default()
        };
        for (to, piece) in abi.pieces.iter_mut().zip(&layout.pieces) {
            let kind = match piece.kind {
                PieceKind::String => piece_kind::STRING,
                PieceKind::Interface => piece_kind::EFACE,
                PieceKind::InterfaceWithMethods => piece_kind::IFACE,
            };
            *to = probe_ebpf::Piece { offset: piece.offset, kind, pad: 0 };
        }
        Some(abi)
    }

    /// Clears the padding of a value, which holds whatever lay there.
    pub(crate) fn clear_holes(&self, bytes: &mut [u8]) {
        for hole in &self.holes {
            let end = usize::from(hole.end).min(bytes.len());
            if let Some(hole) = bytes.get_mut(usize::from(hole.start)..end) {
                hole.fill(0);
            }
        }
    }
}

/// A type whose values may be keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyType {
    /// What it looks like.
    pub shape: KeyShape,
    /// Where its values lead elsewhere.
    pub layout: Layout,
}

impl KeyType {
    /// Of a type.
    pub fn new(shape: KeyShape) -> Self {
        Self { layout: Layout::of(&shape), shape }
    }

    /// Bytes of canonical keys that are no contents of strings or arrays, and so come
    /// whole whatever is to be read at most: numbers, and what pieces lie in.
    fn beside(&self) -> u64 {
        match self.shape.root().kind {
            Kind::String | Kind::Interface { .. } => 0,
            Kind::Array { .. } | Kind::Struct(_) if self.layout.pieces.is_empty() => 0,
            _ => self.layout.size,
        }
    }

    /// Whether records carry such keys in canonical form whatever is known of them:
    /// as strings, or as memory that holds no addresses that lead anywhere, and no padding.
    pub fn is_plain(&self) -> bool {
        let Layout { pieces, pointers, holes, .. } = &self.layout;
        self.shape.root().kind == Kind::String
            || pieces.is_empty() && pointers.is_empty() && holes.is_empty()
    }

    /// Whether values hold no interfaces or pointers, and so lead to nothing else that has to
    /// be known.
    pub(crate) fn is_closed(&self) -> bool {
        self.layout.pointers.is_empty()
            && self.layout.pieces.iter().all(|piece| piece.kind == PieceKind::String)
    }
}

/// The target as far as keys lead into it.
pub trait KeySource: ReadMemory {
    /// The type at an address; `None` where there is none.
    fn key_type(&mut self, address: u64) -> Option<Arc<KeyType>>;

    /// A key holds a pointer to what is at this address.
    fn meet(&mut self, to: PointsTo, address: u64) {
        let _ = (to, address);
    }
}

/// Canonical bytes of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canonical {
    /// The first of them.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub len: u64,
    limit: usize,
}

impl Canonical {
    fn new(limit: usize) -> Self {
        Self { limit: limit.min(MAX_SIZE as usize), ..Self::default() }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.room().min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.len = self.len.saturating_add(bytes.len() as u64);
    }

    /// Adds what lies elsewhere, reading no more than fits.
    fn add_from(&mut self, memory: &impl ReadMemory, at: u64, len: u64) -> Option<()> {
        let read = usize::try_from(len).map_or(self.room(), |len| len.min(self.room()));
        let mut bytes = vec![0; read];
        if read > 0 && !memory.read(at, &mut bytes) {
            return None;
        }
        self.bytes.append(&mut bytes);
        self.len = self.len.saturating_add(len);
        Some(())
    }

    /// Makes room for what is no contents, as far as a record has room.
    fn widen(&mut self, bytes: u64) {
        self.limit = self.limit.saturating_add(bytes as usize).min(MAX_SIZE as usize);
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }
}

/// The canonical bytes of a key of which `raw` is the memory or the beginning of it:
/// at most `limit` bytes of contents, and what goes with them. `None` where what it leads
/// to cannot be read any more.
pub fn canonical(
    raw: &[u8],
    key: &KeyType,
    source: &mut impl KeySource,
    limit: usize,
) -> Option<Canonical> {
    let mut out = Canonical::new(limit);
    match key.shape.root().kind {
        Kind::Interface { methods } => {
            let kind = if methods { PieceKind::InterfaceWithMethods } else { PieceKind::Interface };
            let (address, dynamic) = dynamic_type(word(raw, 0)?, kind, source)?;
            out.widen(8);
            out.add(&address.to_le_bytes());
            if let Some(dynamic) = dynamic {
                let data = raw.get(8..PIECE)?;
                let node = dynamic.shape.root();
                if node.pointer_shaped {
                    out.widen(8);
                    out.add(data);
                } else {
                    let size = node.size.min(MAX_SIZE.max(limit as u64)) as usize;
                    let mut value = vec![0; size];
                    let read = size == 0 || source.read(word(data, 0)?, &mut value);
                    flatten(&value, read.then_some(&dynamic)?, source, &mut out)?;
                }
            }
        }
        _ => flatten(raw, key, source, &mut out)?,
    }
    Some(out)
}

/// The same of an interface's key that is carried as its dynamic type's address and
/// the value's memory.
pub fn canonical_dynamic(
    key: &[u8],
    source: &mut impl KeySource,
    limit: usize,
) -> Option<Canonical> {
    let mut out = Canonical::new(limit);
    let (address, value) = key.split_at_checked(8)?;
    let dynamic = source.key_type(word(address, 0)?)?;
    out.widen(8);
    out.add(address);
    flatten(value, &dynamic, source, &mut out)?;
    Some(out)
}

/// Adds the canonical bytes of anything but an interface.
fn flatten(
    raw: &[u8],
    key: &KeyType,
    source: &mut impl KeySource,
    out: &mut Canonical,
) -> Option<()> {
    if key.shape.root().kind == Kind::String {
        return out.add_from(source, word(raw, 0)?, word(raw, 8)?);
    }
    out.widen(key.beside());
    let mut memory = raw.to_vec();
    key.layout.clear_holes(&mut memory);
    let mut tail =
        Canonical { limit: out.room().saturating_sub(raw.len()), ..Canonical::default() };
    for piece in &key.layout.pieces {
        let at = usize::from(piece.offset);
        if raw.get(at..at + PIECE).is_none() {
            // Cut within the piece: what is left of it is an address.
            memory.truncate(memory.len().min(at));
            break;
        }
        let (first, second) = (word(raw, at)?, word(raw, at + 8)?);
        let (mut put_first, mut put_second) = (0, second);
        if piece.kind == PieceKind::String {
            tail.add_from(source, first, second)?;
        } else {
            let (address, dynamic) = dynamic_type(first, piece.kind, source)?;
            put_first = address;
            match dynamic.as_ref().map(|dynamic| dynamic.shape.root()) {
                Some(node) if !node.pointer_shaped => {
                    put_second = 0;
                    if node.kind == Kind::String {
                        let string: [u8; PIECE] = source.array(second)?;
                        tail.add(&string[8..]);
                        tail.add_from(source, word(&string, 0)?, word(&string, 8)?)?;
                    } else {
                        tail.add_from(source, second, node.size)?;
                    }
                }
                Some(_) => {}
                None => put_second = 0,
            }
        }
        memory[at..at + 8].copy_from_slice(&put_first.to_le_bytes());
        memory[at + 8..at + PIECE].copy_from_slice(&put_second.to_le_bytes());
    }
    let is_whole = memory.len() as u64 >= key.layout.size;
    out.add(&memory);
    out.len = out.len.saturating_add(key.layout.size.saturating_sub(memory.len() as u64));
    if is_whole {
        out.add(&tail.bytes);
    }
    out.len = out.len.saturating_add(tail.len - if is_whole { tail.bytes.len() as u64 } else { 0 });
    Some(())
}

/// Address and description of an interface's dynamic type: 0 and none for nil;
/// `None` where it cannot be read.
fn dynamic_type(
    word: u64,
    kind: PieceKind,
    source: &mut impl KeySource,
) -> Option<(u64, Option<Arc<KeyType>>)> {
    if word == 0 {
        return Some((0, None));
    }
    let address = match kind {
        PieceKind::InterfaceWithMethods => source.u64(word.checked_add(ITAB_TYPE)?)?,
        _ => word,
    };
    Some((address, Some(source.key_type(address)?)))
}

/// Clears padding and blank fields in canonical bytes and asks `source` for every
/// type and value that they mention, so that it is known from then on.
pub fn tidy(bytes: &mut [u8], key: &KeyType, source: &mut impl KeySource) {
    if let Kind::Interface { .. } = key.shape.root().kind {
        let Some(address) = word(bytes, 0).filter(|&address| address > 0) else { return };
        if let Some(dynamic) = source.key_type(address) {
            tidy_value(&mut bytes[8..], &dynamic, source);
        }
    } else {
        tidy_value(bytes, key, source);
    }
}

fn tidy_value(bytes: &mut [u8], key: &KeyType, source: &mut impl KeySource) {
    if matches!(key.shape.root().kind, Kind::String | Kind::Interface { .. }) {
        return;
    }
    key.layout.clear_holes(bytes);
    meet_pointers(bytes, &key.layout, source);
    for piece in key.layout.pieces.iter().filter(|piece| piece.kind != PieceKind::String) {
        let at = usize::from(piece.offset);
        let dynamic = word(bytes, at).filter(|&it| it > 0).and_then(|it| source.key_type(it));
        if let Some(dynamic) = dynamic.filter(|dynamic| dynamic.shape.root().pointer_shaped) {
            meet_pointers(bytes.get(at + 8..).unwrap_or_default(), &dynamic.layout, source);
        }
    }
}

fn meet_pointers(bytes: &[u8], layout: &Layout, source: &mut impl KeySource) {
    for pointer in &layout.pointers {
        if let Some(address) = word(bytes, usize::from(pointer.offset)).filter(|&it| it > 0) {
            source.meet(pointer.to, address);
        }
    }
}

/// Eight bytes as a number.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
