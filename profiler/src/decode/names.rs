//! Numbers for maps, locks and stacks, and what they stand for.
//!
//! In: addresses from records. Out: ids, and [`Definitions`] of the new ones.

use std::collections::HashMap;

use probe_ebpf::{CALLER_NOT_SAMPLED, OpHead};

use super::{Definitions, LockId, LockInfo, MapId, MapInfo, StackId};
use super::{Interned, SiteInfo};
use crate::{
    catalog::{self, KeyFormat},
    target::Frame,
};

/// What the target can tell of its types and code.
pub trait Resolver {
    /// The Go map type at this address of the target.
    fn map_type(&mut self, address: u64) -> Option<TypeText>;
    /// The functions at a return address, innermost first; never empty.
    fn frames(&mut self, return_address: u64) -> Vec<Frame>;
}

/// A map type in words.
#[derive(Clone, Debug)]
pub struct TypeText {
    /// `map[string]*main.Session`; `None` for types made at run time.
    pub name: Option<String>,
    /// `string`.
    pub key: Option<String>,
    /// How its keys are shown.
    pub format: KeyFormat,
}

impl TypeText {
    /// Whether it is a type of the program's own rather than a shape: the compiler
    /// names those `go.shape.*` (cmd/compile/internal/noder/reader.go, Go 1.18+).
    fn is_concrete(&self) -> bool {
        self.name.as_ref().is_none_or(|name| !name.contains("go.shape."))
    }
}

/// Where a map lies: its address, its kind, and its type where the address is nil,
/// which all maps that were never made have in common.
type Address = (u64, String, u64);

fn address_of(site: &SiteInfo, head: &OpHead) -> Address {
    let nil_type = if site.is_go && head.object == 0 { head.aux } else { 0 };
    (head.object, site.kind.clone(), nil_type)
}

fn place_of(info: &MapInfo) -> (String, Option<String>, Option<String>) {
    (info.kind.clone(), info.type_name.clone(), info.label.clone())
}

/// The map that lies at an address.
struct Known {
    map: MapId,
    type_address: u64,
    /// Its type is its own, not the shape that generic code goes by.
    is_concrete: bool,
    /// It is known where it is used.
    is_labelled: bool,
}

/// Maps of one type made in one place that are told apart; a program that makes one
/// for each request would otherwise use up every table.
const PER_PLACE: u32 = 64;
/// Addresses remembered of maps that are not told apart.
const MOST_SHARED: usize = 1 << 16;

/// Maps of one kind and type that were first used in one function.
#[derive(Default)]
struct Place {
    /// How many there are, up to [`PER_PLACE`].
    count: u32,
    /// Stands for all beyond those.
    shared: Option<MapId>,
}

pub(super) struct Names<R> {
    pub(super) resolver: R,
    maps: HashMap<Address, Known>,
    types: HashMap<u64, Option<TypeText>>,
    places: HashMap<(String, Option<String>, Option<String>), Place>,
    /// By address: the type's address and the number shared.
    shared: HashMap<u64, (u64, MapId)>,
    map_count: MapId,
    locks: Interned<(u64, String)>,
    stacks: Interned<Box<[u64]>>,
    addresses: Interned<u64>,
    new: Definitions,
}

impl<R: Resolver> Names<R> {
    pub(super) fn new(resolver: R) -> Self {
        Self {
            resolver,
            maps: HashMap::new(),
            types: HashMap::new(),
            places: HashMap::new(),
            shared: HashMap::new(),
            map_count: 0,
            locks: Interned::default(),
            stacks: Interned::default(),
            addresses: Interned::default(),
            new: Definitions::default(),
        }
    }

    pub(super) fn take(&mut self) -> Definitions {
        std::mem::take(&mut self.new)
    }

    /// The map of an operation. Another type at the same address is another map:
    /// memory is reused. But growth does not tell the type, and generic code may
    /// pass the one it was compiled for (`map[go.shape.string]int`).
    pub(super) fn map(&mut self, site: &SiteInfo, head: &OpHead) -> MapId {
        let type_address = if site.is_go { head.aux } else { 0 };
        let place = address_of(site, head);
        if let Some(known) = self.maps.get_mut(&place)
            && (known.type_address == type_address || type_address == 0)
        {
            let (map, its_type) = (known.map, known.type_address);
            if !known.is_labelled && head.caller != CALLER_NOT_SAMPLED {
                known.is_labelled = true;
                let text = self.map_type(its_type);
                let info = self.describe_map(site, head, text);
                self.new.maps.insert(map, info);
            }
            return map;
        }
        if let Some((its_type, map)) = self.shared.get(&head.object)
            && (*its_type == type_address || type_address == 0)
        {
            return *map;
        }
        let text = self.map_type(type_address);
        let is_concrete = text.as_ref().is_some_and(TypeText::is_concrete);
        let map = match self.maps.get(&place) {
            Some(known) if !is_concrete => return known.map,
            Some(known) if !known.is_concrete => Some(known.map),
            _ => None,
        };
        let info = self.describe_map(site, head, text);
        let Some(map) = map.or_else(|| self.room_for(&info)) else {
            return self.share(head.object, type_address, info);
        };
        let is_labelled = info.label.is_some();
        self.maps.insert(place, Known { map, type_address, is_concrete, is_labelled });
        self.new.maps.insert(map, info);
        map
    }

    /// Whether the map that lies there has its final name.
    pub(super) fn is_named(&self, site: &SiteInfo, head: &OpHead) -> bool {
        let known = self.maps.get(&address_of(site, head));
        known.is_none_or(|known| known.is_labelled)
    }

    /// A number for a map of its own, unless its place has had enough of them.
    fn room_for(&mut self, info: &MapInfo) -> Option<MapId> {
        let place = self.places.entry(place_of(info)).or_default();
        if place.count == PER_PLACE {
            return None;
        }
        place.count += 1;
        self.map_count += 1;
        Some(self.map_count - 1)
    }

    /// The number that stands for the many maps of one place.
    fn share(&mut self, object: u64, type_address: u64, info: MapInfo) -> MapId {
        let place = self.places.entry(place_of(&info)).or_default();
        let map = *place.shared.get_or_insert_with(|| {
            self.map_count += 1;
            let label = info.label.as_deref().unwrap_or("one place");
            let label = format!("{label} (all beyond the first {PER_PLACE})");
            let info = MapInfo { address: None, label: Some(label), ..info };
            self.new.maps.insert(self.map_count - 1, info);
            self.map_count - 1
        });
        if self.shared.len() >= MOST_SHARED {
            self.shared.clear();
        }
        self.shared.insert(object, (type_address, map));
        map
    }

    fn map_type(&mut self, address: u64) -> Option<TypeText> {
        if address == 0 {
            return None;
        }
        let resolver = &mut self.resolver;
        self.types.entry(address).or_insert_with(|| resolver.map_type(address)).clone()
    }

    fn describe_map(&mut self, site: &SiteInfo, head: &OpHead, text: Option<TypeText>) -> MapInfo {
        let unreadable = head.flags & probe_ebpf::op_flags::OBJECT_UNREADABLE != 0;
        MapInfo {
            address: (site.has_object && !unreadable).then_some(head.object),
            kind: site.kind.clone(),
            key_format: text.as_ref().map_or(site.format, |text| text.format),
            key_type: text.as_ref().and_then(|text| text.key.clone()),
            type_name: text.and_then(|text| text.name),
            label: if head.caller == CALLER_NOT_SAMPLED {
                None
            } else if site.has_object {
                self.user_of(&[head.caller])
            } else {
                Some(site.function.clone())
            },
        }
    }

    /// The lock of a wait, and how many of the innermost frames are its inside.
    /// `None` for a Go semaphore that is no lock's.
    pub(super) fn lock(
        &mut self,
        site: &SiteInfo,
        object: u64,
        frames: &[u64],
    ) -> Option<(LockId, usize)> {
        let (kind, address, skip) =
            if site.is_go { self.go_lock(object, frames)? } else { (site.kind.clone(), object, 0) };
        let (id, is_new) = self.locks.get((address, kind.clone()));
        if is_new {
            let label = self.user_of(frames.get(skip..).unwrap_or_default());
            self.new.locks.insert(id, LockInfo { address: Some(address), kind, label });
        }
        Some((id, skip))
    }

    /// Which lock a Go semaphore belongs to: told by the function that entered
    /// the runtime.
    fn go_lock(&mut self, sema: u64, frames: &[u64]) -> Option<(String, u64, usize)> {
        let entry =
            frames.iter().take(catalog::SEMA_DEPTH).enumerate().find_map(|(depth, frame)| {
                let function = self.function(*frame);
                catalog::SEMA_USERS
                    .iter()
                    .find(|user| user.function == function)
                    .map(|user| (depth, user))
            });
        let (depth, user) = entry?;
        let inside = frames.iter().skip(depth + 1).take(catalog::SEMA_DEPTH);
        let is_writer = inside.clone().any(|frame| self.function(*frame) == catalog::RWMUTEX_LOCK);
        let kind = if is_writer { "sync.RWMutex" } else { user.kind };
        Some((kind.to_owned(), sema.wrapping_sub(user.offset), depth + 1))
    }

    pub(super) fn stack(&mut self, frames: &[u64]) -> StackId {
        let (id, is_new) = self.stacks.get(frames.into());
        if is_new {
            self.new.stacks.insert(id, frames.to_vec());
        }
        id
    }

    pub(super) fn define_address(&mut self, address: u64) {
        if address == 0 || address == CALLER_NOT_SAMPLED {
            return;
        }
        let (_, is_new) = self.addresses.get(address);
        if is_new {
            let frames = self.resolver.frames(address);
            self.new.frames.insert(address, frames);
        }
    }

    /// The function that the code belongs to, not what was inlined there.
    fn function(&mut self, return_address: u64) -> String {
        self.resolver.frames(return_address).pop().map_or_else(String::new, |it| it.function)
    }

    /// The innermost function that is the program's own.
    fn user_of(&mut self, frames: &[u64]) -> Option<String> {
        let functions: Vec<String> = frames
            .iter()
            .flat_map(|frame| self.resolver.frames(*frame))
            .map(|frame| frame.function)
            .collect();
        let own = functions.iter().find(|name| !catalog::is_runtime(name));
        own.or(functions.first()).cloned()
    }
}
