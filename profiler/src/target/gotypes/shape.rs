//! What a key's type looks like.
//!
//! A tree of types as a flat list, so that one that comes from a file can be as
//! deep as it likes and nothing recurses over it unbounded.

use serde::{Deserialize, Serialize};

use super::KeyFormat;

/// A type and those it consists of; pointers are not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShape {
    /// The type itself, then its parts: every part stands behind what it is part of.
    nodes: Vec<Node>,
}

/// One type in a [`KeyShape`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// As the program writes it; `None` for types made at run time.
    pub name: Option<String>,
    /// Bytes.
    pub size: u64,
    /// In an interface, the data word is the value itself, not its address.
    pub pointer_shaped: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a type is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `bool`.
    Bool,
    /// Signed integers.
    Int,
    /// Unsigned integers.
    Uint,
    /// `uintptr`: an address, but nothing is known to be there.
    Uintptr,
    /// `float32` and `float64`.
    Float,
    /// `complex64` and `complex128`.
    Complex,
    /// Pointers, `unsafe.Pointer` too.
    Pointer,
    /// Channels.
    Chan,
    /// Pointer and length.
    String,
    /// A word that tells the type, and the value's address.
    Interface {
        /// The first word is an `*abi.ITab` rather than the `*abi.Type`.
        methods: bool,
    },
    /// Elements one behind the other.
    Array {
        /// Index of the elements' type among the nodes.
        element: u32,
        /// How many.
        len: u64,
    },
    /// Fields in the order of their offsets.
    Struct(Vec<Field>),
    /// Nothing more is known: it is no type of keys, or could not be read.
    Opaque,
    /// A pointer to what can be found once only, so that it stands for that:
    /// `unique.Handle` and the `*intern.Value` before it, and `weak.Pointer`, which points to
    /// where the pointer is.
    Handle {
        /// Address of the type of what it points to.
        of: u64,
    },
    /// A pointer to a type's description, which a `reflect.Type` holds.
    TypePointer,
    /// No type, but the value that a [`Kind::Handle`] points to, under its address. Named by
    /// the variable of the program's that holds its address, where that says more than it does.
    Value {
        /// Address of its type.
        of: u64,
        /// Its canonical bytes.
        bytes: Vec<u8>,
        /// How many there are.
        len: u64,
    },
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// `_` where it is blank.
    pub name: String,
    /// Bytes from the struct's start.
    pub offset: u64,
    /// Index of its type among the nodes.
    pub node: u32,
}

/// The name of fields that comparisons leave out.
pub(crate) const BLANK: &str = "_";

impl KeyShape {
    /// Of nodes in which parts stand behind what they are part of.
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        Self { nodes }
    }

    /// The type as a whole.
    pub fn root(&self) -> &Node {
        static NOTHING: Node =
            Node { name: None, size: 0, pointer_shaped: false, kind: Kind::Opaque };
        self.nodes.first().unwrap_or(&NOTHING)
    }

    /// The part at `index` of the type at `of`; `None` where the index is not one of
    /// a part, which keeps every walk finite.
    pub(crate) fn part(&self, of: u32, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize).filter(|_| index > of)
    }

    /// Whether values may hold addresses of what they mean.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        self.nodes.iter().any(|it| matches!(it.kind, Kind::String | Kind::Interface { .. }))
    }

    /// How such keys are shown where nothing else is known than their bytes.
    pub(crate) fn format(&self) -> KeyFormat {
        match self.root().kind {
            Kind::Int => KeyFormat::Int,
            Kind::Bool | Kind::Uint => KeyFormat::Uint,
            Kind::Uintptr
            | Kind::Pointer
            | Kind::Chan
            | Kind::Handle { .. }
            | Kind::TypePointer => KeyFormat::Hex,
            Kind::String => KeyFormat::Str,
            Kind::Interface { .. } => KeyFormat::Interface,
            _ => KeyFormat::Bytes,
        }
    }
}
