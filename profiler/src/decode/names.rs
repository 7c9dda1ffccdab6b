//! Numbers for maps, locks and stacks, and what they stand for.
//!
//! In: addresses from records. Out: ids, and [`Definitions`] of the new ones.

use std::{
    borrow::Cow,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use probe_ebpf::{CALLER_NOT_SAMPLED, Op, OpHead, SHORT_STACK};

use super::keys::{KeyForm, KeyTypes};
use super::{Actor, ActorId, Definitions, LockId, LockInfo, MapId, MapInfo, MapKey, Mode, StackId};
use super::{HashMap, Interned, SiteInfo};
use crate::{
    catalog::{self, KeyFormat},
    target::{Frame, KeyShape, Layout},
};

/// What the target can tell of its types and code.
pub trait Resolver {
    /// The Go map type at this address of the target.
    fn map_type(&mut self, address: u64) -> Option<TypeText>;
    /// Whether a call may return to this address: it is code, and behind a call where it is
    /// known what stands there.
    fn follows_a_call(&mut self, _address: u64) -> bool {
        true
    }
    /// What lies at this address in a module's data: a variable and its module.
    fn variable_at(&mut self, _address: u64) -> Option<String> {
        None
    }
    /// The functions at a return address, innermost first; never empty.
    fn frames(&mut self, return_address: u64) -> Vec<Frame>;
    /// The Go type at this address of the target.
    fn key_type(&mut self, address: u64) -> Option<KeyShape>;
    /// Fills `buffer` from the target's memory; `false` where it cannot be read.
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool;
    /// The same of what the target cannot have changed since it was loaded.
    fn read_constant(&self, address: u64, buffer: &mut [u8]) -> bool;
    /// The function that a return address lies in: where it begins, and its bytes as they
    /// are in the file.
    fn code(&mut self, _return_address: u64) -> Option<(u64, Vec<u8>)> {
        None
    }
    /// Where a variable lies, by its symbol.
    fn variable(&self, _symbol: &str) -> Option<u64> {
        None
    }
}

/// A map type in words.
#[derive(Clone, Debug)]
pub struct TypeText {
    /// `map[string]*main.Session`; `None` for types made at run time.
    pub name: Option<String>,
    /// `string`.
    pub key: Option<String>,
    /// Address of the key's type.
    pub key_at: Option<u64>,
    /// How its keys are shown where their type is not known.
    pub format: KeyFormat,
}

impl TypeText {
    /// Whether it is a type of the program's own rather than a shape: the compiler
    /// names those `go.shape.*` (cmd/compile/internal/noder/reader.go, Go 1.18+).
    fn is_concrete(&self) -> bool {
        self.name.as_ref().is_none_or(|name| !name.contains("go.shape."))
    }
}

/// What Go's locks are called.
const MUTEX: &str = "sync.Mutex";
pub(super) const RWMUTEX: &str = "sync.RWMutex";

/// Where a map lies.
#[derive(PartialEq, Eq)]
struct Address {
    object: u64,
    /// Its type where the address is nil, which all maps that were never made have in common.
    nil_type: u64,
    kind: Arc<str>,
}

/// Of the numbers alone: maps of two kinds hardly ever lie at one address.
impl Hash for Address {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.object);
        state.write_u64(self.nil_type);
    }
}

fn address_of(site: &SiteInfo, head: &OpHead) -> Address {
    let nil_type = if site.is_go && head.object == 0 { head.aux } else { 0 };
    Address { object: head.object, nil_type, kind: Arc::clone(&site.kind) }
}

/// What maps have in common that are counted together once there are many: their kind
/// and type. Not where they are used, since that is not told of every map.
type Sort = (String, Option<String>);

fn sort_of(info: &MapInfo) -> Sort {
    (info.kind.clone(), info.type_name.clone())
}

/// Whether the operation tells where its map is used. What a map does by itself is
/// called by the runtime.
fn tells_user(site: &SiteInfo, head: &OpHead) -> bool {
    head.caller != CALLER_NOT_SAMPLED && site.op.is_some_and(Op::is_asked_for)
}

/// The map that lies at an address.
struct Known {
    map: MapId,
    type_address: u64,
    /// Its type is its own, not the shape that generic code goes by.
    is_concrete: bool,
    /// Where it is used, once an operation told.
    label: Option<String>,
    /// How its keys are shown, told by the first operation that had one.
    format: Option<KeyFormat>,
}

/// Maps of one type that are told apart; a program that makes one for each request
/// would otherwise use up every table.
pub const TOLD_APART: u32 = 64;
/// The label of what stands for all maps of a type beyond [`TOLD_APART`].
pub(crate) const MANY: &str = "all but the first 64 of its type";
/// Addresses remembered of maps that are not told apart.
const MOST_SHARED: usize = 1 << 16;

/// Maps of one kind and type.
#[derive(Default)]
struct Alike {
    /// How many there are, up to [`TOLD_APART`].
    count: u32,
    /// Stands for all beyond those.
    shared: Option<MapId>,
}

/// A wait's lock.
pub(super) struct LockAt {
    pub(super) lock: LockId,
    /// Address of the lock.
    pub(super) address: u64,
    pub(super) place: Arc<WaitPlace>,
}

/// What the stack of a wait tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WaitPlace {
    /// What the lock is called.
    pub(super) kind: Arc<str>,
    /// Where in the lock that lies what is waited for, bytes.
    pub(super) offset: u64,
    /// How many of the innermost frames are the runtime's own.
    pub(super) skip: usize,
    /// In which way the lock is wanted.
    pub(super) mode: Option<Mode>,
    /// The frames without those.
    pub(super) stack: StackId,
    /// Which of the frames is the innermost of the program's own.
    pub(super) taker: Option<usize>,
    /// Stands for the frames from there on: two waits of one call have the same.
    pub(super) origin: u64,
    /// Return addresses, innermost first.
    pub(super) frames: Box<[u64]>,
}

/// Stacks and functions that are remembered; beyond that the memory starts over.
const MOST_REMEMBERED: usize = 1 << 14;
/// Those who wait and hold that are told apart by their key.
const MOST_ACTORS: usize = 1 << 14;

/// Whether two names mean one function: generic functions' names come with type
/// arguments from the symbol table, and as `f[...]` from Go's own.
pub(super) fn is_same_function(one: &str, other: &str) -> bool {
    let parts = |name: &str| {
        let (before, rest) = name.split_once('[')?;
        let (_, after) = rest.rsplit_once(']')?;
        Some((before.to_owned(), after.to_owned()))
    };
    one == other || parts(one).is_some_and(|ours| parts(other) == Some(ours))
}

pub(super) struct Names<R> {
    pub(super) resolver: R,
    maps: HashMap<Address, Known>,
    types: HashMap<u64, Option<TypeText>>,
    alike: HashMap<Sort, Alike>,
    /// By address: the type's address and the number shared.
    shared: HashMap<u64, (u64, MapId)>,
    map_count: MapId,
    locks: Interned<(u64, Arc<str>)>,
    /// By stack.
    wait_places: HashMap<Box<[u64]>, Option<Arc<WaitPlace>>>,
    /// By the innermost frames of a release.
    whole_stacks: HashMap<Box<[u64]>, StackId>,
    /// By return address.
    functions: HashMap<u64, Arc<str>>,
    actors: Interned<Actor>,
    stacks: Interned<Box<[u64]>>,
    addresses: Interned<u64>,
    keys: KeyTypes,
    new: Definitions,
}

impl<R: Resolver> Names<R> {
    /// `key_limit`: most bytes of a key.
    pub(super) fn new(resolver: R, key_limit: usize) -> Self {
        Self {
            resolver,
            maps: HashMap::default(),
            types: HashMap::default(),
            alike: HashMap::default(),
            shared: HashMap::default(),
            map_count: 0,
            locks: Interned::default(),
            wait_places: HashMap::default(),
            whole_stacks: HashMap::default(),
            functions: HashMap::default(),
            actors: Interned::default(),
            stacks: Interned::default(),
            addresses: Interned::default(),
            keys: KeyTypes::new(key_limit),
            new: Definitions::default(),
        }
    }

    /// Forgets every address, but not which numbers were given.
    pub(super) fn go_on(&mut self, resolver: R) {
        self.resolver = resolver;
        self.maps.clear();
        self.types.clear();
        self.alike.clear();
        self.shared.clear();
        self.locks.forget();
        self.stacks.forget();
        self.actors.forget();
        self.addresses.forget();
        self.wait_places.clear();
        self.whole_stacks.clear();
        self.functions.clear();
        self.keys.go_on();
    }

    pub(super) fn take(&mut self) -> Definitions {
        Definitions { types: self.keys.take(), ..std::mem::take(&mut self.new) }
    }

    /// What a map is, from now on.
    fn define_map(&mut self, map: MapId, info: MapInfo) {
        self.keys.set(map, &info);
        self.new.maps.insert(map, info);
    }

    /// A record's key as the model carries it, see [`KeyTypes::canonical`].
    #[inline]
    pub(super) fn key<'a>(
        &'a mut self,
        map: MapId,
        head: &OpHead,
        key: &'a [u8],
    ) -> Option<(Cow<'a, [u8]>, u64)> {
        self.keys.canonical(&mut self.resolver, map, head, key)
    }

    /// What is to be done with keys like this one, see [`KeyTypes::form`].
    pub(super) fn key_form(&self, map: MapId, head: &OpHead, key: &[u8]) -> Option<KeyForm> {
        self.keys.form(map, head, key)
    }

    /// See [`KeyTypes::look_ahead`].
    pub(super) fn look_ahead(&mut self) {
        self.keys.look_ahead(&mut self.resolver);
    }

    /// Layouts that the kernel side lacked, each once.
    pub(super) fn take_layouts(&mut self) -> Vec<(u64, Layout)> {
        self.keys.take_layouts()
    }

    /// The map of an operation; `None` where it is the inside of another one, which the
    /// kernel side skips where it knows the type's address. Another type at the same
    /// address is another map: memory is reused. But growth does not tell the type, and generic code may
    /// pass the one it was compiled for (`map[go.shape.string]int`).
    pub(super) fn map(&mut self, site: &SiteInfo, head: &OpHead) -> Option<MapId> {
        let type_address = if site.is_go { head.aux } else { 0 };
        let place = address_of(site, head);
        if let Some(known) = self.maps.get(&place)
            && (known.type_address == type_address || type_address == 0)
        {
            let map = known.map;
            let tells_more = (known.label.is_none() && tells_user(site, head))
                || (known.format.is_none() && site.has_key);
            if tells_more {
                self.learn(&place, site, head);
            }
            return Some(map);
        }
        let shared = self.shared.get(&head.object).copied();
        if let Some((its_type, map)) = shared
            && (its_type == type_address || type_address == 0)
        {
            return Some(map);
        }
        let text = self.map_type(type_address);
        if text.as_ref().and_then(|it| it.name.as_deref()).is_some_and(catalog::is_inner_type) {
            return None;
        }
        let is_concrete = text.as_ref().is_some_and(TypeText::is_concrete);
        if let Some((_, map)) = shared.filter(|_| !is_concrete) {
            return Some(map);
        }
        let map = match self.maps.get(&place) {
            Some(known) if !is_concrete => return Some(known.map),
            Some(known) if !known.is_concrete => Some(known.map),
            _ => None,
        };
        let info = self.describe_map(site, head, text);
        let Some(map) = map.or_else(|| self.room_for(&info)) else {
            return Some(self.share(head.object, type_address, info));
        };
        let (label, format) = (info.label.clone(), site.has_key.then_some(site.format));
        self.maps.insert(place, Known { map, type_address, is_concrete, label, format });
        self.define_map(map, info);
        Some(map)
    }

    /// Takes in what an operation tells of a known map: where it is used, and how its
    /// keys are shown where its type does not say.
    fn learn(&mut self, place: &Address, site: &SiteInfo, head: &OpHead) {
        let Some(known) = self.maps.get(place) else { return };
        let (map, type_address) = (known.map, known.type_address);
        let text = self.map_type(type_address);
        let is_typed = text.is_some();
        let mut info = self.describe_map(site, head, text);
        let Some(known) = self.maps.get_mut(place) else { return };
        let label = known.label.take().or_else(|| info.label.take());
        known.label.clone_from(&label);
        known.format = known.format.or(site.has_key.then_some(site.format));
        if let (false, Some(format)) = (is_typed, known.format) {
            info.key_format = format;
        }
        info.label = label;
        self.define_map(map, info);
    }

    /// Whether the map that lies there has its final name.
    pub(super) fn is_named(&self, site: &SiteInfo, head: &OpHead) -> bool {
        let known = self.maps.get(&address_of(site, head));
        known.is_none_or(|known| known.label.is_some() && known.format.is_some())
    }

    /// A number for a map of its own, unless there are enough like it.
    fn room_for(&mut self, info: &MapInfo) -> Option<MapId> {
        let alike = self.alike.entry(sort_of(info)).or_default();
        if alike.count == TOLD_APART {
            return None;
        }
        alike.count += 1;
        self.map_count += 1;
        Some(self.map_count - 1)
    }

    /// The number that stands for the many maps of one type.
    fn share(&mut self, object: u64, type_address: u64, info: MapInfo) -> MapId {
        let alike = self.alike.entry(sort_of(&info)).or_default();
        let map = *alike.shared.get_or_insert_with(|| {
            self.map_count += 1;
            let info = MapInfo { address: None, label: Some(MANY.to_owned()), ..info };
            self.keys.set(self.map_count - 1, &info);
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
        let key_type_at = text.as_ref().and_then(|text| text.key_at);
        let resolver = &mut self.resolver;
        MapInfo {
            address: (site.has_object && !unreadable).then_some(head.object),
            kind: site.kind.to_string(),
            key_format: text.as_ref().map_or(site.format, |text| text.format),
            key_type_at: key_type_at.filter(|&address| self.keys.define(resolver, address)),
            key_type: text.as_ref().and_then(|text| text.key.clone()),
            type_name: text.and_then(|text| text.name),
            label: if !tells_user(site, head) {
                None
            } else if site.has_object {
                self.user_of(&[head.caller])
            } else {
                Some(site.function.clone())
            },
        }
    }

    /// The lock of a wait; `None` for a Go semaphore that is no lock's.
    pub(super) fn lock(&mut self, site: &SiteInfo, object: u64, frames: &[u64]) -> Option<LockAt> {
        let place = self.place(site, frames)?;
        let address = object.wrapping_sub(place.offset);
        let (lock, is_new) = self.locks.get((address, Arc::clone(&place.kind)));
        if is_new {
            let frames = frames.get(place.skip..).unwrap_or_default();
            let label =
                if site.is_go { self.user_of(frames) } else { self.taker(site, frames, address) };
            let kind = place.kind.to_string();
            let address = site.has_object.then_some(address);
            self.new.locks.insert(lock, LockInfo { address, kind, label });
        }
        Some(LockAt { lock, address, place })
    }

    /// What the stack of a wait tells, found out once for each stack.
    fn place(&mut self, site: &SiteInfo, frames: &[u64]) -> Option<Arc<WaitPlace>> {
        if let Some(place) = self.wait_places.get(frames) {
            return place.clone();
        }
        let place = self.find_place(site, frames).map(Arc::new);
        if self.wait_places.len() >= MOST_REMEMBERED {
            self.wait_places.clear();
        }
        self.wait_places.insert(frames.into(), place.clone());
        place
    }

    fn find_place(&mut self, site: &SiteInfo, frames: &[u64]) -> Option<WaitPlace> {
        let (kind, offset, skip, mode) = if catalog::is_semaphore(&site.kind) {
            self.go_lock(&site.kind, frames)?
        } else {
            (Arc::clone(&site.kind), 0, 0, site.mode)
        };
        let stack = self.stack(frames.get(skip..).unwrap_or_default());
        let functions: Vec<_> = frames.iter().map(|&frame| self.function(frame)).collect();
        let own = catalog::own_function(functions.iter().map(|it| &**it));
        let taker = own.filter(|own| *own >= skip);
        let origin =
            foldhash::fast::FixedState::default().hash_one(&frames[taker.unwrap_or(skip)..]);
        Some(WaitPlace { kind, offset, skip, mode, stack, taker, origin, frames: frames.into() })
    }

    /// Which lock a Go semaphore belongs to, told by the function that entered the
    /// runtime: the lock's kind, the semaphore's offset in it, how many of the innermost
    /// frames are the runtime's, and in which way it is wanted.
    fn go_lock(
        &mut self,
        kind: &str,
        frames: &[u64],
    ) -> Option<(Arc<str>, u64, usize, Option<Mode>)> {
        let depths = 0..frames.len().min(catalog::SEMA_DEPTH);
        let (depth, user) = depths.into_iter().find_map(|depth| {
            let function = self.function(frames[depth]);
            let caller = frames.get(depth + 1).map_or_else(String::new, |it| self.innermost(*it));
            Some((depth, catalog::sema_user(kind, &function, &caller)?))
        })?;
        if self.is_of_rwmutex(&frames[depth..]) {
            return Some((RWMUTEX.into(), user.offset, depth + 1, Some(Mode::Write)));
        }
        let callers = frames.iter().skip(depth + 1).take(catalog::SEMA_DEPTH);
        let callers = callers.map(|frame| self.function(*frame));
        let inside = (user.kind == MUTEX).then(|| catalog::mutex_inside(callers)).flatten();
        let kind = inside.unwrap_or(user.kind);
        let mode = if user.kind == catalog::FD_MUTEX {
            let wanted_by = frames.get(depth + 2).map(|frame| self.innermost(*frame));
            wanted_by.and_then(|function| catalog::fd_mode(&function))
        } else {
            user.mode
        };
        Some((kind.into(), user.offset, depth + 1, mode))
    }

    /// Whether the lock is an RWMutex, which its first field, a Mutex, stands for; the
    /// innermost of `frames` is the runtime's or the Mutex's own.
    fn is_of_rwmutex(&mut self, frames: &[u64]) -> bool {
        let mut callers = frames.iter().skip(1).take(catalog::SEMA_DEPTH);
        callers.any(|frame| catalog::is_of_rwmutex(&self.function(*frame)))
    }

    /// Whether the function is one of the callers.
    pub(super) fn is_called_by(&mut self, frames: &[u64], function: &str) -> bool {
        frames.iter().any(|&frame| is_same_function(&self.function(frame), function))
    }

    /// Whether the innermost frame that is no map's and no lock's own is of code that the
    /// program's authors know: not the runtime's, nor what fills a package's tables.
    pub(super) fn is_programs_own(&mut self, frames: &[u64]) -> bool {
        let functions = frames.iter().map(|&frame| self.function(frame));
        let user = functions.into_iter().find(|name| !catalog::is_forwarding(name));
        user.is_none_or(|it| !catalog::is_runtime(&it) && !catalog::is_package_init(&it))
    }

    /// Whether both return addresses are in one function.
    pub(super) fn same_function(&mut self, one: u64, other: u64) -> bool {
        one == other || self.function(one) == self.function(other)
    }

    /// The number of someone who waits or holds. Beyond many of them, without the key.
    pub(super) fn actor(&mut self, stack: StackId, key: Option<MapKey>) -> ActorId {
        let mut actor = Actor { stack, key };
        if let Some(id) = self.actors.known(&actor) {
            return id;
        }
        if self.actors.numbers.len() >= MOST_ACTORS {
            actor.key = None;
        }
        let (id, is_new) = self.actors.get(actor.clone());
        if is_new {
            self.new.actors.insert(id, actor);
        }
        id
    }

    /// The stack of a release. Of many only the innermost frames are read; the newest
    /// whole stack that begins with them stands for them.
    pub(super) fn release_stack(&mut self, frames: &[u64], is_short: bool) -> StackId {
        let Some(beginning) = frames.get(..SHORT_STACK) else { return self.stack(frames) };
        if is_short && let Some(stack) = self.whole_stacks.get(beginning) {
            return *stack;
        }
        let stack = self.stack(frames);
        if !is_short {
            self.remember_whole(beginning, stack);
        }
        stack
    }

    fn remember_whole(&mut self, beginning: &[u64], stack: StackId) {
        if let Some(newest) = self.whole_stacks.get_mut(beginning) {
            *newest = stack;
            return;
        }
        if self.whole_stacks.len() >= MOST_REMEMBERED {
            self.whole_stacks.clear();
        }
        self.whole_stacks.insert(beginning.into(), stack);
    }

    pub(super) fn stack(&mut self, frames: &[u64]) -> StackId {
        if let Some(id) = self.stacks.known(frames) {
            return id;
        }
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

    /// Which frame is the innermost of the program's own; the innermost where none is.
    pub(super) fn own_frame(&mut self, frames: &[u64]) -> usize {
        let is_own = |&frame: &u64| !catalog::is_runtime(&self.function(frame));
        frames.iter().position(is_own).unwrap_or(0)
    }

    /// The function that made the call, though it was inlined there.
    fn innermost(&mut self, return_address: u64) -> String {
        let frames = self.resolver.frames(return_address);
        frames.into_iter().next().map_or_else(String::new, |it| it.function)
    }

    /// The function that the code belongs to, not what was inlined there.
    pub(super) fn function(&mut self, return_address: u64) -> Arc<str> {
        if self.functions.len() >= MOST_REMEMBERED {
            self.functions.clear();
        }
        let resolver = &mut self.resolver;
        let function = self.functions.entry(return_address).or_insert_with(|| {
            resolver.frames(return_address).pop().map_or_else(Arc::default, |it| it.function.into())
        });
        function.clone()
    }

    /// The innermost function that is the program's own, or else of whoever uses the map or
    /// the lock.
    fn user_of(&mut self, frames: &[u64]) -> Option<String> {
        let functions: Vec<String> = frames
            .iter()
            .flat_map(|frame| self.resolver.frames(*frame))
            .map(|frame| frame.function)
            .collect();
        let own = catalog::own_function(functions.iter().map(String::as_str));
        let used = || functions.iter().find(|name| !catalog::is_forwarding(name));
        own.map_or_else(|| used().or(functions.first()), |own| functions.get(own)).cloned()
    }
}
