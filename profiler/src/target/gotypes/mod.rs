//! What Go's own type information says about maps and their keys.
//!
//! In: the address of a `*maptype` or an `*abi.Type` in the target. Out: the map's
//! and the key's type as the program writes them, what keys look like, and how they
//! become bytes without addresses.

mod layout;
mod read;
mod scan;
mod shape;
#[cfg(test)]
mod tests;

pub use layout::{
    Canonical, KeySource, KeyType, Layout, MAX_PIECES, MAX_SIZE, NoLayout, Piece, PieceKind,
    Pointer, PointsTo, canonical, canonical_dynamic, tidy,
};
pub use scan::{MapType, ModuleTypes};
pub(crate) use shape::BLANK;
pub use shape::{Field, KeyShape, Kind, Node};

use read::{FIRST, KIND_MAP, SIZE_LIMIT, Types};

use super::memory::ReadMemory;
use super::process::Target;

/// How a key is shown where its type is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum KeyFormat {
    /// Signed decimal of the key's bytes, little endian.
    Int,
    /// Unsigned decimal.
    Uint,
    /// `0x` and hexadecimal digits of the number.
    Hex,
    /// Quoted text.
    Str,
    /// Hexadecimal bytes in memory order.
    Bytes,
    /// A Go interface: the type's address, then the value's canonical bytes.
    Interface,
    /// The key's text itself: of recordings that were merged.
    Text,
}

/// The type of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoMapType {
    /// `map[string]*main.Session`; `None` for types made at run time.
    pub name: Option<String>,
    /// `string`.
    pub key_name: Option<String>,
    /// Bytes.
    pub key_size: u64,
    /// Address of the key's type.
    pub key: u64,
    /// How such keys are shown where their type is not known.
    pub format: KeyFormat,
}

impl Target {
    /// Reads the map type at an address of the process; `None` if there is none.
    pub fn go_map_type(&self, address: u64) -> Option<GoMapType> {
        map_type(&self.types(), address)
    }

    /// Reads the type at an address of the process; `None` if there is none.
    pub fn go_type(&self, address: u64) -> Option<KeyShape> {
        self.types().shape(address)
    }

    fn types(&self) -> Types<'_, Self, impl Fn(u64) -> Option<u64>> {
        let base_of = |address| {
            let (module, _) = self.locate(address)?;
            let module = &self.modules()[module];
            module.runtime_address(module.image.go_types()?)
        };
        Types { memory: self, base_of }
    }
}

fn map_type<M: ReadMemory, B: Fn(u64) -> Option<u64>>(
    types: &Types<'_, M, B>,
    address: u64,
) -> Option<GoMapType> {
    if types.kind(address)? != KIND_MAP {
        return None;
    }
    let key = types.memory.u64(address.checked_add(FIRST)?)?;
    let shape = types.shape(key)?;
    let root = shape.root();
    (root.size <= SIZE_LIMIT).then(|| GoMapType {
        name: types.name(address),
        key_name: root.name.clone(),
        key_size: root.size,
        key,
        format: shape.format(),
    })
}
