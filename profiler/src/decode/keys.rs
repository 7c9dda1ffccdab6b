//! Types of keys, and keys in the form in which the model carries them.
//!
//! In: keys as records carry them, and a [`Resolver`] that reads types and memory.
//! Out: their canonical bytes (see [`canonical`]), and the shapes of the types that
//! they mention.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use probe_ebpf::{OpHead, key_kind, op_flags};

use super::{MapId, MapInfo, Resolver, TypeText};
use crate::catalog::KeyFormat;
use crate::target::{
    Frame, KeyShape, KeySource, KeyType, Kind, Layout, Node, PointsTo, ReadMemory, canonical,
    canonical_dynamic, tidy,
};

/// Most types that are remembered; the keys of further ones are shown as bytes.
const MOST_TYPES: usize = 4096;
/// Most values that keys point to that are looked at; pointers to further ones are shown as
/// such.
const MOST_VALUES: usize = 1 << 14;
/// Values that lead to values that lead to values.
const MOST_NESTED: u8 = 4;
/// Variables that hold what stands in an address of package netip for its family, where there
/// is no zone (net/netip/netip.go, Go 1.19 to 1.27). Up to 1.22 they are empty values, told
/// apart by where they lie.
const FAMILIES: [&str; 2] = ["net/netip.z4", "net/netip.z6noz"];
/// Most bytes of a key that are read.
const MAX_KEY: u64 = probe_ebpf::LONG_KEY as u64;

/// How a key that was carried as it was becomes canonical.
#[derive(Clone, Debug)]
pub(super) enum KeyForm {
    /// It is.
    AsCarried,
    /// By clearing the padding of a value of this type, which begins so many bytes into it.
    WithHoles(Arc<KeyType>, usize),
}

/// The types of one run's keys.
pub(super) struct KeyTypes {
    types: HashMap<u64, Option<Arc<KeyType>>>,
    /// `interface {}`.
    interface: Arc<KeyType>,
    /// By map, with the type's address; only where keys are not simply what lies in
    /// memory.
    of_map: Vec<Option<(u64, Arc<KeyType>)>>,
    new: BTreeMap<u64, KeyShape>,
    /// Addresses of values that keys point to, of which no more will be known.
    met: HashSet<u64>,
    /// Variables of [`FAMILIES`] of which nothing is known yet, with their addresses; `None`
    /// before they were looked for.
    families: Option<Vec<(&'static str, u64)>>,
    /// How many of them are being looked at, each of which led to the next.
    nested: u8,
    /// Types whose layout the kernel side was told, or cannot use.
    told: HashSet<u64>,
    wanted: Vec<(u64, Layout)>,
    /// Most bytes of a key's contents.
    limit: usize,
    /// The key that is being put in order; kept for its memory.
    tidied: Vec<u8>,
}

impl KeyTypes {
    pub(super) fn new(limit: usize) -> Self {
        let interface = Node {
            name: None,
            size: 16,
            pointer_shaped: false,
            kind: Kind::Interface { methods: false },
        };
        Self {
            types: HashMap::new(),
            interface: Arc::new(KeyType::new(KeyShape::new(vec![interface]))),
            of_map: Vec::new(),
            new: BTreeMap::new(),
            met: HashSet::new(),
            families: None,
            nested: 0,
            told: HashSet::new(),
            wanted: Vec::new(),
            limit,
            tidied: Vec::new(),
        }
    }

    /// Another program runs: every address means something else.
    pub(super) fn go_on(&mut self) {
        self.types.clear();
        self.met.clear();
        self.families = None;
        self.told.clear();
        self.wanted.clear();
    }

    /// Shapes that were not yet handed over.
    pub(super) fn take(&mut self) -> BTreeMap<u64, KeyShape> {
        std::mem::take(&mut self.new)
    }

    /// Makes a type known; whether there is one at this address.
    pub(super) fn define(&mut self, resolver: &mut impl Resolver, address: u64) -> bool {
        self.key_type(resolver, address).is_some()
    }

    /// Notes the type of a map's keys.
    pub(super) fn set(&mut self, map: MapId, info: &MapInfo) {
        let known = match info.key_type_at {
            Some(address) => {
                self.types.get(&address).cloned().flatten().map(|known| (address, known))
            }
            // As `sync.Map` has it, which has no type of its own.
            None if info.key_format == KeyFormat::Interface => {
                Some((0, Arc::clone(&self.interface)))
            }
            None => None,
        };
        let map = map as usize;
        if self.of_map.len() <= map {
            self.of_map.resize(map + 1, None);
        }
        self.of_map[map] = known.filter(|(_, key)| !key.is_plain());
    }

    /// Layouts that the kernel side lacked, each once.
    pub(super) fn take_layouts(&mut self) -> Vec<(u64, Layout)> {
        std::mem::take(&mut self.wanted)
    }

    /// A record's key in canonical form, and how long it is: of cut keys only that they
    /// are longer, so that those that begin the same are one. `None` where it could not
    /// be carried as it was, and what it leads to cannot be read any more.
    #[inline]
    pub(super) fn canonical<'a>(
        &'a mut self,
        resolver: &mut impl Resolver,
        map: MapId,
        head: &OpHead,
        key: &'a [u8],
    ) -> Option<(Cow<'a, [u8]>, u64)> {
        let (bytes, len) = if head.flags & op_flags::KEY_UNREADABLE != 0 {
            self.read_again(resolver, map, head, key)?
        } else {
            self.carried(resolver, map, head, key)?
        };
        let most = bytes.len() as u64 + 1;
        Some((bytes, len.min(most)))
    }

    /// What is to be done with keys like this one, where that can be said once for all.
    pub(super) fn form(&self, map: MapId, head: &OpHead, key: &[u8]) -> Option<KeyForm> {
        let Some(Some((_, key_type))) = self.of_map.get(map as usize) else {
            return Some(KeyForm::AsCarried);
        };
        let is_interface = head.key_kind == key_kind::IFACE;
        let mut dynamic = None;
        if is_interface {
            let address = dynamic_type(key);
            dynamic = self.types.get(&address).and_then(Option::as_ref);
            if address == 0 || dynamic.is_some_and(|known| known.is_plain()) {
                return Some(KeyForm::AsCarried);
            }
        }
        let (of, at) = match key_type.shape.root().kind {
            Kind::Interface { .. } => (dynamic?, type_bytes(head)),
            _ => (key_type, 0),
        };
        of.is_closed().then(|| KeyForm::WithHoles(Arc::clone(of), at))
    }

    fn carried<'a>(
        &'a mut self,
        resolver: &mut impl Resolver,
        map: MapId,
        head: &OpHead,
        key: &'a [u8],
    ) -> Option<(Cow<'a, [u8]>, u64)> {
        if let Some(Some((address, key_type))) = self.of_map.get(map as usize) {
            let (address, key_type) = (*address, Arc::clone(key_type));
            return self.rewrite(resolver, address, &key_type, head, key);
        }
        let is_raw = head.flags & op_flags::KEY_RAW != 0;
        let most = if is_raw { self.limit + type_bytes(head) } else { key.len() };
        Some((Cow::Borrowed(&key[..most.min(key.len())]), head.key_len))
    }

    /// A key that was not in memory when it was used, as what lies in a program's file
    /// until it is touched. What may have changed since is not looked at.
    #[cold]
    fn read_again<'a>(
        &'a mut self,
        resolver: &mut impl Resolver,
        map: MapId,
        head: &OpHead,
        key: &[u8],
    ) -> Option<(Cow<'a, [u8]>, u64)> {
        let mut constants = Constants(resolver);
        if head.flags & op_flags::KEY_RAW != 0 {
            self.of_map.get(map as usize)?.as_ref()?;
            let (bytes, len) = self.carried(&mut constants, map, head, key)?;
            return Some((Cow::Owned(bytes.into_owned()), len));
        }
        let (start, place) = key.split_at_checked(type_bytes(head))?;
        let (address, limit) = place.split_first_chunk()?;
        let limit = u64::from_le_bytes(limit.try_into().ok()?).min(MAX_KEY);
        let len = head.key_len.checked_sub(start.len() as u64)?;
        let mut bytes = vec![0; len.min(limit) as usize];
        if !constants.read(u64::from_le_bytes(*address), &mut bytes) {
            return None;
        }
        let head = OpHead { flags: head.flags & !op_flags::KEY_UNREADABLE, ..*head };
        let bytes = [start, &bytes].concat();
        let (bytes, len) = self.carried(&mut constants, map, &head, &bytes)?;
        Some((Cow::Owned(bytes.into_owned()), len))
    }

    fn rewrite<'a>(
        &'a mut self,
        resolver: &mut impl Resolver,
        address: u64,
        key_type: &KeyType,
        head: &OpHead,
        key: &'a [u8],
    ) -> Option<(Cow<'a, [u8]>, u64)> {
        let is_interface = head.key_kind == key_kind::IFACE;
        let dynamic = if is_interface { dynamic_type(key) } else { 0 };
        if head.flags & op_flags::KEY_RAW != 0 {
            self.want(resolver, if is_interface { dynamic } else { address });
            let limit = self.limit;
            let mut source = Source { resolver, types: self };
            let mut found = if is_interface {
                canonical_dynamic(key, &mut source, limit)?
            } else {
                canonical(key, key_type, &mut source, limit)?
            };
            tidy(&mut found.bytes, key_type, &mut source);
            return Some((Cow::Owned(found.bytes), found.len));
        }
        // The common case, spared the copy.
        if is_interface
            && (dynamic == 0
                || self.key_type(resolver, dynamic).is_some_and(|known| known.is_plain()))
        {
            return Some((Cow::Borrowed(key), head.key_len));
        }
        let mut bytes = std::mem::take(&mut self.tidied);
        bytes.clear();
        bytes.extend_from_slice(key);
        tidy(&mut bytes, key_type, &mut Source { resolver, types: self });
        self.tidied = bytes;
        Some((Cow::Borrowed(&self.tidied), head.key_len))
    }

    /// Notes that the kernel side should know the type at an address, if it can.
    fn want(&mut self, resolver: &mut impl Resolver, address: u64) {
        if self.told.len() < MOST_TYPES && self.told.insert(address) {
            let known = self.key_type(resolver, address);
            self.wanted.extend(known.map(|known| (address, known.layout.clone())));
        }
    }

    /// Makes known what a key points to, once.
    fn meet(&mut self, resolver: &mut impl Resolver, to: PointsTo, address: u64) {
        let is_known = self.met.contains(&address);
        if is_known || self.met.len() >= MOST_VALUES || self.nested >= MOST_NESTED {
            return;
        }
        self.met.insert(address);
        match to {
            PointsTo::Type => {
                self.key_type(resolver, address);
            }
            PointsTo::Value(of) => {
                self.nested += 1;
                let found = self.value(resolver, of, address);
                self.nested -= 1;
                self.new.extend(found.map(|value| (address, KeyShape::new(vec![value]))));
            }
        }
    }

    /// Looks at what stands for the families of addresses, before the first of them comes: the
    /// program may have ended by then.
    pub(super) fn look_ahead(&mut self, resolver: &mut impl Resolver) {
        let find = |symbol: &&'static str| Some((*symbol, resolver.variable(symbol)?));
        let mut families = self.families.take();
        let families = families.get_or_insert_with(|| FAMILIES.iter().filter_map(find).collect());
        families.retain(|(symbol, variable)| {
            let mut held = [0; 8];
            let is_read = resolver.read(*variable, &mut held);
            let address = u64::from_le_bytes(held);
            if !is_read || address == 0 {
                return true;
            }
            let kind = Kind::Value { of: 0, bytes: Vec::new(), len: 0 };
            let name = Some((*symbol).to_owned());
            let value = Node { name, size: 0, pointer_shaped: false, kind };
            self.met.insert(address);
            self.new.insert(address, KeyShape::new(vec![value]));
            false
        });
        self.families = Some(std::mem::take(families));
    }

    /// The value of the type `of` at an address.
    fn value(&mut self, resolver: &mut impl Resolver, of: u64, address: u64) -> Option<Node> {
        let its_type = self.key_type(resolver, of)?;
        let mut raw = vec![0; its_type.layout.size.min(MAX_KEY) as usize];
        if !resolver.read(address, &mut raw) {
            return None;
        }
        let mut source = Source { resolver, types: self };
        let mut value = canonical(&raw, &its_type, &mut source, MAX_KEY as usize)?;
        tidy(&mut value.bytes, &its_type, &mut source);
        Some(Node {
            name: None,
            size: 0,
            pointer_shaped: false,
            kind: Kind::Value { of, bytes: value.bytes, len: value.len },
        })
    }

    fn key_type(&mut self, resolver: &mut impl Resolver, address: u64) -> Option<Arc<KeyType>> {
        if let Some(known) = self.types.get(&address) {
            return known.clone();
        }
        if self.types.len() >= MOST_TYPES {
            return None;
        }
        let shape = resolver.key_type(address);
        if let Some(shape) = &shape {
            self.new.insert(address, shape.clone());
        }
        let found = shape.map(|shape| Arc::new(KeyType::new(shape)));
        self.types.insert(address, found.clone());
        found
    }
}

/// A target of which only what it cannot have changed is read.
struct Constants<'a, R>(&'a mut R);

impl<R: Resolver> Resolver for Constants<'_, R> {
    fn map_type(&mut self, address: u64) -> Option<TypeText> {
        self.0.map_type(address)
    }

    fn frames(&mut self, return_address: u64) -> Vec<Frame> {
        self.0.frames(return_address)
    }

    fn key_type(&mut self, address: u64) -> Option<KeyShape> {
        self.0.key_type(address)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.0.read_constant(address, buffer)
    }

    fn read_constant(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.0.read_constant(address, buffer)
    }
}

/// Bytes of the dynamic type's address that the key begins with.
fn type_bytes(head: &OpHead) -> usize {
    if head.key_kind == key_kind::IFACE { size_of::<u64>() } else { 0 }
}

/// The dynamic type's address that an interface's key begins with.
pub(super) fn dynamic_type(key: &[u8]) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The target as [`canonical`] asks about it.
struct Source<'a, R> {
    resolver: &'a mut R,
    types: &'a mut KeyTypes,
}

impl<R: Resolver> ReadMemory for Source<'_, R> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.resolver.read(address, buffer)
    }
}

impl<R: Resolver> KeySource for Source<'_, R> {
    fn key_type(&mut self, address: u64) -> Option<Arc<KeyType>> {
        self.types.key_type(self.resolver, address)
    }

    fn meet(&mut self, to: PointsTo, address: u64) {
        self.types.meet(self.resolver, to, address);
    }
}

#[cfg(test)]
mod tests;
