//! All the types of a module whose values may be keys.
//!
//! In: where the module's type data lies. Out: its map types, and the structs and
//! arrays that an interface may hold and that lead elsewhere. What only looks like a
//! type's description may be among them; it does no harm.

use std::cell::Cell;
use std::collections::HashMap;

use super::layout::{Layout, MAX_SIZE};
use super::read::{self, Types};
use crate::target::memory::ReadMemory;
use crate::target::process::Target;

/// Most bytes of type data looked at; they are held at once. The read-only data of a
/// binary of 200 MB is about as large.
const REGION_LIMIT: u64 = 1 << 26;
/// Bytes read at once: what one unreadable page costs.
const CHUNK: usize = 1 << 20;
/// Most types of each sort that are returned.
const MOST: usize = 4096;
/// Most types that are looked at, each of which is remembered.
const LOOKED_AT: usize = 1 << 17;
/// Bytes of the head of every description that is looked at.
const HEAD: usize = 64;

/// The types of a module whose values may be keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleTypes {
    /// Its map types, at most 4096.
    pub maps: Vec<MapType>,
    /// Its structs and arrays with strings or interfaces in them, by address, which
    /// interfaces may hold; at most 4096.
    pub values: Vec<(u64, Layout)>,
    /// There were more of either.
    pub more: bool,
}

/// A map type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapType {
    /// Address of its description in the process.
    pub address: u64,
    /// `map[string]*main.Session`.
    pub name: Option<String>,
    /// Address of the key's type.
    pub key: u64,
    /// How its keys are laid out.
    pub layout: Layout,
}

impl Target {
    /// The types of a module, by its number in [`Target::modules`]. Empty where it has no Go in it
    /// or is not loaded yet.
    pub fn go_module_types(&self, module: usize) -> ModuleTypes {
        let region = self.modules().get(module).and_then(|module| {
            let (start, end) = module.image.go_types_range()?;
            Some((module.runtime_address(start)?, module.runtime_address(end)?))
        });
        region.map(|(start, end)| module_types(self, start, end)).unwrap_or_default()
    }
}

/// Type data, and whatever else there is.
struct Region<'a, M> {
    start: u64,
    bytes: Vec<u8>,
    rest: &'a M,
}

impl<'a, M: ReadMemory> Region<'a, M> {
    fn read(rest: &'a M, start: u64, end: u64) -> Self {
        let len = end.saturating_sub(start).min(REGION_LIMIT) as usize;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        for chunk in bytes.chunks_mut(CHUNK) {
            if !rest.read(start + filled as u64, chunk) {
                break;
            }
            filled += chunk.len();
        }
        bytes.truncate(filled);
        Self { start, bytes, rest }
    }

    fn holds(&self, address: u64) -> bool {
        address.wrapping_sub(self.start) < self.bytes.len() as u64
    }

    /// Addresses and heads of what is aligned as descriptions are.
    fn heads(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let skip = self.start.wrapping_neg() % 8;
        let places = (skip as usize..self.bytes.len().saturating_sub(HEAD)).step_by(8);
        places.map(|at| (self.start + at as u64, &self.bytes[at..at + HEAD]))
    }
}

impl<M: ReadMemory> ReadMemory for Region<'_, M> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let start = usize::try_from(address.wrapping_sub(self.start)).ok();
        let bytes = start.and_then(|at| self.bytes.get(at..at.checked_add(buffer.len())?));
        match bytes {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                true
            }
            None => self.rest.read(address, buffer),
        }
    }
}

pub(super) fn module_types(memory: &impl ReadMemory, start: u64, end: u64) -> ModuleTypes {
    let region = Region::read(memory, start, end);
    let types = Types { memory: &region, base_of: |_| Some(start) };
    let mut layouts: HashMap<u64, Option<Layout>> = HashMap::new();
    let looked = Cell::new(0_usize);
    let mut layout_of = |address| -> Option<Layout> {
        let layout = || {
            looked.set(looked.get() + 1);
            types.shape(address).map(|shape| Layout::of(&shape))
        };
        layouts.entry(address).or_insert_with(layout).clone()
    };
    let mut found = ModuleTypes::default();
    for (address, head) in region.heads() {
        if looked.get() >= LOOKED_AT {
            found.more = true;
            break;
        }
        match head[read::KIND as usize] & read::KIND_MASK {
            read::KIND_MAP if is_map(&region, head) => {
                let key = word(head, read::FIRST);
                let Some(layout) = layout_of(key) else { continue };
                if found.maps.len() == MOST {
                    found.more = true;
                    continue;
                }
                found.maps.push(MapType { address, name: types.name(address), key, layout });
            }
            read::KIND_STRUCT | read::KIND_ARRAY if is_value(&region, head) => {
                let layout = layout_of(address).filter(|it| !it.pieces.is_empty());
                let Some(layout) = layout.filter(|it| it.for_kernel().is_ok()) else { continue };
                if found.values.len() == MOST {
                    found.more = true;
                    continue;
                }
                found.values.push((address, layout));
            }
            _ => {}
        }
    }
    found
}

/// Whether it can be a map type: a pointer in size, and key and element types
/// are of this module too.
fn is_map<M: ReadMemory>(region: &Region<'_, M>, head: &[u8]) -> bool {
    let (size, pointers) = (word(head, read::SIZE), word(head, 8));
    let (key, element) = (word(head, read::FIRST), word(head, read::FIRST + 8));
    (size, pointers) == (8, 8)
        && head[21..23] == [8, 8]
        && key.is_multiple_of(8)
        && element.is_multiple_of(8)
        && region.holds(key)
        && region.holds(element)
}

/// Whether it can be a comparable struct or array with pointers in it.
fn is_value<M: ReadMemory>(region: &Region<'_, M>, head: &[u8]) -> bool {
    let (size, pointers) = (word(head, read::SIZE), word(head, 8));
    let is_array = head[read::KIND as usize] & read::KIND_MASK == read::KIND_ARRAY;
    let parts = word(head, if is_array { read::FIRST } else { read::FIELDS });
    (16..=MAX_SIZE).contains(&size)
        && (8..=size).contains(&pointers)
        && head[21..23] == [8, 8]
        && word(head, read::EQUAL) != 0
        && parts.is_multiple_of(8)
        && region.holds(parts)
}

fn word(bytes: &[u8], at: u64) -> u64 {
    let at = at as usize;
    bytes.get(at..at + 8).map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
}
