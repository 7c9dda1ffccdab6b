//! The embedded BPF object: its maps through aya, its programs loaded by hand
//! because aya 0.14 cannot load them for `uprobe_multi`.
//!
//! In: the object's bytes and the run's configuration. Out: a [`Kernel`] from
//! which attachments and rings are made.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map},
};
use aya_obj::Object;
use probe_ebpf::{MAX_CPUS, MAX_SITES, SCRATCHES, site_flags};

use crate::placement::{Cost, Plan, Site};

use super::{
    Combined, Counters, KernelError, Method, Rings, Shared,
    ahead::Coming,
    btf::SwitchesAt,
    calibrate::CallCosts,
    combined,
    shared::{CALLS, CALLS_OF_CPU, HITS},
    sys,
};

/// The BPF object that the build script made.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe.o"));

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Thread group as the initial PID namespace numbers it, for kernels whose
    /// links do not filter well; 0: leave it to the link.
    pub tgid: u32,
    /// Bytes of each CPU's ring, a power of two of at least a page; 0: choose.
    pub ring_bytes: u32,
    /// Let the programs write their debug lines.
    pub debug: bool,
    /// How to attach; `None`: the best that the kernel can.
    pub method: Option<Method>,
}

/// The loaded object.
pub struct Kernel {
    ebpf: Ebpf,
    pub(super) object: Arc<Object>,
    pub(super) programs: BTreeMap<&'static str, OwnedFd>,
    /// Those that other threads are loading.
    pub(super) coming: Coming,
    method: Method,
    ring_bytes: u32,
    tgid: u32,
    /// Whether the programs can tell that a thread slept.
    sees_sleep: bool,
    /// By the [`Cost`] of their entry.
    calls: [CallCosts; 2],
    shared: Arc<Shared>,
    combined: Arc<Combined>,
}

/// Every program of the object.
const PROGRAMS: [&str; 10] = [
    "map_op",
    "typed_map_op",
    "wait_begin",
    "wait_park",
    "wait_end",
    "spin_begin",
    "release",
    "acquire_enter",
    "acquire_return",
    "empty",
];

const SITES: &str = "SITES";
const LAYOUTS: &str = "LAYOUTS";
const TASKS: &str = "TASKS";
const SCRATCH: &str = "SCRATCH";
const TYPES: &str = "TYPES";
const TASK_SLOT_BYTES: usize = size_of::<probe_ebpf::TaskSlot>();

/// CPUs that tables have room for: up to the highest number that is online. Some machines are
/// prepared for hundreds more, and the tables of each take half a megabyte. What happens on
/// one that comes later is lost, and counted as [`probe_ebpf::Loss::NoRing`].
fn cpus() -> Result<usize, KernelError> {
    let online = super::online()?;
    Ok(online.into_iter().max().map_or(1, |cpu| cpu as usize + 1).min(MAX_CPUS))
}

impl Kernel {
    /// Loads maps, and the programs on demand.
    pub fn load(options: LoadOptions) -> Result<Self, KernelError> {
        let cpus = cpus()?;
        let level: u8 = if options.debug { 4 } else { 0 };
        let mut loader = EbpfLoader::new();
        loader.override_global(aya_log::LEVEL, &level, true);
        let switches = SwitchesAt::of_this_kernel();
        let (asleep, preempted) = switches.map_or((0, 0), |at| (at.asleep, at.preempted));
        loader.override_global("ASLEEP_AT", &asleep, true);
        loader.override_global("PREEMPTED_AT", &preempted, true);
        let tables = [(HITS, MAX_SITES), (CALLS, CALLS_OF_CPU), (SCRATCH, SCRATCHES)];
        let by_cpu = combined::MAPS.into_iter().chain(tables);
        for (name, of_cpu) in by_cpu {
            loader.map_max_entries(name, (cpus * of_cpu) as u32);
        }
        let ebpf = loader.load(OBJECT).map_err(|error| load_error(&error))?;
        let shared = Arc::new(Shared::open(&ebpf, cpus)?);
        let combined = Combined::open(&ebpf, cpus)?;
        let mut object =
            Object::parse(OBJECT).map_err(|error| KernelError::Object(error.to_string()))?;
        relocate(&mut object, &ebpf)?;
        let mut kernel = Self {
            ebpf,
            object: Arc::new(object),
            programs: BTreeMap::new(),
            coming: Coming::default(),
            method: Method::Multi,
            ring_bytes: options.ring_bytes,
            tgid: options.tgid,
            sees_sleep: switches.is_some(),
            calls: Default::default(),
            shared,
            combined,
        };
        // Until somebody shuts them.
        kernel.shared.set_maps(1);
        kernel.shared.set_locks(1);
        kernel.method = match options.method {
            Some(method) => method,
            None => kernel.best_method()?,
        };
        Ok(kernel)
    }

    /// How probes are attached.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether the programs can tell that a thread slept.
    pub fn sees_sleep(&self) -> bool {
        self.sees_sleep
    }

    /// What timed calls cost whose entry is of this class.
    pub fn call_costs(&self, cost: Cost) -> CallCosts {
        self.calls[cost as usize]
    }

    /// Takes these for the costs of timed calls from now on.
    pub(super) fn set_call_costs(&mut self, cost: Cost, calls: CallCosts) {
        self.calls[cost as usize] = calls;
    }

    /// Attaches in another way from now on.
    pub(super) fn use_method(&mut self, method: Method) {
        self.method = method;
        // They were loaded for the other way.
        self.programs.clear();
        self.coming.clear();
    }

    /// Puts rings in place and opens them for reading. Once per run.
    pub fn open_rings(&mut self) -> Result<Rings, KernelError> {
        Rings::open(&mut self.ebpf, self.ring_bytes)
    }

    /// Gates and counts of hits.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// The tables of hot keys.
    pub fn combined(&self) -> Arc<Combined> {
        self.combined.clone()
    }

    /// Opens the loss counters.
    pub fn counters(&mut self) -> Result<Counters, KernelError> {
        Counters::open(&mut self.ebpf)
    }

    /// The programs' debug lines; only where `debug` was asked for.
    pub fn logger(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>, KernelError> {
        aya_log::EbpfLogger::init(&mut self.ebpf)
            .map_err(|error| KernelError::Map { map: "AYA_LOGS", error: error.to_string() })
    }

    /// Writes the descriptors of a plan's sites, by cookie.
    pub fn describe(&mut self, sites: &[Site]) -> Result<(), KernelError> {
        for (cookie, site) in sites.iter().enumerate() {
            let CallCosts { call_ns, spin_ns } = self.call_costs(site.cost);
            let mut descriptor = probe_ebpf::Site { call_ns, spin_ns, ..site.descriptor };
            if !self.sees_sleep {
                descriptor.flags &= !site_flags::WAITS_ASLEEP;
            }
            self.describe_one(cookie as u32, descriptor)?;
        }
        Ok(())
    }

    pub(super) fn describe_one(
        &mut self,
        cookie: u32,
        site: probe_ebpf::Site,
    ) -> Result<(), KernelError> {
        let site = Pod(probe_ebpf::Site { tgid: self.tgid, ..site });
        array::<Pod<probe_ebpf::Site>>(&mut self.ebpf, SITES)?
            .set(cookie, site, 0)
            .map_err(|error| map_error(SITES, &error))
    }

    /// The program, loaded for this run's way of attaching.
    pub(super) fn program(&mut self, name: &'static str) -> Result<BorrowedFd<'_>, KernelError> {
        if !self.programs.contains_key(name) {
            let fd = match self.coming.take(name) {
                Some(loaded) => loaded?,
                None => load_program(&self.object, name, self.method.attach_type())?,
            };
            self.programs.insert(name, fd);
        }
        Ok(self.programs[name].as_fd())
    }

    /// Loads the programs that these sites need, which takes far longer than attaching
    /// them.
    pub fn prepare(&mut self, plan: &Plan) -> Result<(), KernelError> {
        for site in &plan.sites {
            self.program(site.program.name())?;
        }
        Ok(())
    }

    /// Loads every program, so that the verifier has seen them all.
    pub fn load_all(&mut self) -> Result<(), KernelError> {
        for name in PROGRAMS {
            self.program(name)?;
        }
        Ok(())
    }

    /// `uprobe_multi` where the kernel knows such links. Loading tells nothing:
    /// kernels before 6.6 take the attach type without looking. Linking to a folder
    /// fails everywhere, with EBADF where the kernel looked at the path (as libbpf's
    /// `probe_uprobe_multi_link` has it).
    fn best_method(&mut self) -> Result<Method, KernelError> {
        let program = match load_program(&self.object, "empty", Method::Multi.attach_type()) {
            Ok(program) => program,
            Err(KernelError::Verifier { .. }) => return Ok(Method::Perf),
            Err(error) => return Err(error),
        };
        match sys::link_multi(program.as_fd(), c"/", &[0], &[0], 0, false) {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(Method::Multi),
            _ => Ok(Method::Perf),
        }
    }

    /// Tells how keys of these types, by address, are made up.
    pub fn teach(
        &mut self,
        layouts: impl IntoIterator<Item = (u64, probe_ebpf::Layout)>,
    ) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut(LAYOUTS).ok_or_else(|| missing(LAYOUTS))?;
        let mut map: aya::maps::HashMap<_, u64, Pod<probe_ebpf::Layout>> =
            map.try_into().map_err(|error| map_error(LAYOUTS, &error))?;
        for (address, layout) in layouts {
            map.insert(address, Pod(layout), 0).map_err(|error| map_error(LAYOUTS, &error))?;
        }
        Ok(())
    }

    /// Forgets what is known of a program that is no more: the types of its keys, its
    /// waits, what its tasks did last, and what was combined. Addresses mean something else in the next.
    pub fn forget(&mut self) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut(LAYOUTS).ok_or_else(|| missing(LAYOUTS))?;
        let mut map: aya::maps::HashMap<_, u64, Pod<probe_ebpf::Layout>> =
            map.try_into().map_err(|error| map_error(LAYOUTS, &error))?;
        let types: Vec<u64> = map.keys().filter_map(Result::ok).collect();
        for address in types {
            // One that is gone already is forgotten, too.
            let _ = map.remove(&address);
        }
        let mut known = array::<u64>(&mut self.ebpf, TYPES)?;
        for slot in 0..probe_ebpf::TYPE_SLOTS as u32 {
            known.set(slot, 0, 0).map_err(|error| map_error(TYPES, &error))?;
        }
        self.combined.clear();
        self.open_waits()?.clear();
        let mut tasks = array::<Pod<[u8; TASK_SLOT_BYTES]>>(&mut self.ebpf, TASKS)?;
        for slot in 0..probe_ebpf::TASK_SLOTS as u32 {
            tasks
                .set(slot, Pod([0; TASK_SLOT_BYTES]), 0)
                .map_err(|error| map_error(TASKS, &error))?;
        }
        Ok(())
    }

    /// The waits that have begun and not ended, by task.
    pub fn open_waits(&mut self) -> Result<OpenWaits<'_>, KernelError> {
        let map = self.ebpf.map_mut("WAITS").ok_or_else(|| missing("WAITS"))?;
        aya::maps::HashMap::try_from(map).map(OpenWaits).map_err(|error| map_error("WAITS", &error))
    }
}

/// Has the verifier look at a program, and compiles it.
pub(super) fn load_program(
    object: &Object,
    name: &'static str,
    attach_type: u32,
) -> Result<OwnedFd, KernelError> {
    let absent = || KernelError::Object(format!("it has no program {name}"));
    let program = object.programs.get(name).ok_or_else(absent)?;
    let function = object.functions.get(&program.function_key()).ok_or_else(absent)?;
    let load = |log: &mut [u8]| {
        sys::load_program(name, &function.instructions, &object.license, attach_type, log)
    };
    load(&mut []).or_else(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied
            && error.raw_os_error() == Some(libc::EPERM)
        {
            return Err(KernelError::NotPermitted { what: "load BPF programs" });
        }
        let mut log = vec![0; 1 << 20];
        // The second attempt is only for its log, and may pass where the
        // first failed for want of memory.
        load(&mut log).map_err(|error| KernelError::Verifier {
            program: name,
            error,
            log: String::from_utf8_lossy(&log).trim_end_matches('\0').trim_end().to_owned(),
        })
    })
}

/// The kernel's table of open waits.
pub struct OpenWaits<'a>(
    aya::maps::HashMap<&'a mut aya::maps::MapData, u64, Pod<probe_ebpf::OpenWait>>,
);

impl OpenWaits<'_> {
    /// Forgets them all, which fails for none but those that end meanwhile.
    pub fn clear(&mut self) {
        let tasks: Vec<u64> = self.0.keys().filter_map(Result::ok).collect();
        self.forget(&tasks);
    }

    /// Forgets beginnings that have come to nothing so far. Where no further ones are told,
    /// the next wait of the same task would be taken for theirs.
    pub fn clear_unparked(&mut self) {
        let tasks: Vec<u64> =
            self.iter().filter(|(_, open)| open.parks == 0).map(|(task, _)| task).collect();
        self.forget(&tasks);
    }

    fn forget(&mut self, tasks: &[u64]) {
        for task in tasks {
            let _ = self.0.remove(task);
        }
    }

    /// Each entry with its task: waits that go on, and in Go stale ones (see
    /// [`probe_ebpf::OpenWait::parks`]). What changes meanwhile may be missed.
    pub fn iter(&self) -> impl Iterator<Item = (u64, probe_ebpf::OpenWait)> {
        self.0
            .iter()
            .filter_map(Result::ok)
            .filter(|(_, open)| open.0.start_ns != 0)
            .map(|(task, open)| (task, open.0))
    }
}

/// Makes the shared types storable by aya.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Pod<T>(pub(super) T);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
mod pod {
    use super::Pod;
    // SAFETY: `repr(C)` integers and arrays of them, with explicit padding.
    unsafe impl aya::Pod for Pod<probe_ebpf::Site> {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Pod<probe_ebpf::OpenWait> {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Pod<probe_ebpf::Layout> {}
    // SAFETY: bytes.
    unsafe impl<const N: usize> aya::Pod for Pod<[u8; N]> {}
}

fn array<'a, T: aya::Pod>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<Array<&'a mut aya::maps::MapData, T>, KernelError> {
    let map = ebpf.map_mut(name).ok_or_else(|| missing(name))?;
    Array::try_from(map).map_err(|error| map_error(name, &error))
}

pub(super) fn missing(map: &'static str) -> KernelError {
    KernelError::Map { map, error: "the object has no such map".into() }
}

pub(super) fn map_error(map: &'static str, error: &aya::maps::MapError) -> KernelError {
    KernelError::Map { map, error: chain(error) }
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn load_error(error: &aya::EbpfError) -> KernelError {
    let text = chain(error);
    if text.contains("os error 1)") {
        return KernelError::NotPermitted { what: "create BPF maps" };
    }
    KernelError::Object(text)
}

/// Puts the live maps' descriptors and the subprograms into the programs' code.
fn relocate(object: &mut Object, ebpf: &Ebpf) -> Result<(), KernelError> {
    let text_sections: HashSet<usize> =
        object.functions.keys().map(|(section, _)| *section).collect();
    let definitions = object.maps.clone();
    let mut maps = Vec::new();
    for (name, map) in ebpf.maps() {
        if let (Some(fd), Some(definition)) = (map_fd(map), definitions.get(name)) {
            maps.push((name, fd, definition));
        }
    }
    let failed = |error: &dyn std::error::Error| KernelError::Object(chain(error));
    object.relocate_maps(maps.into_iter(), &text_sections).map_err(|error| failed(&error))?;
    object.relocate_calls(&text_sections).map_err(|error| failed(&error))
}

fn map_fd(map: &Map) -> Option<i32> {
    let (Map::Array(data)
    | Map::PerCpuArray(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::RingBuf(data)
    | Map::ArrayOfMaps(data)
    | Map::ProgramArray(data)) = map
    else {
        return None;
    };
    Some(data.fd().as_fd().as_raw_fd())
}
