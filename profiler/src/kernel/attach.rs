//! Probes in place: one `uprobe_multi` link per program and file, or one perf
//! event per probe on kernels below 6.6.
//!
//! In: a loaded [`Kernel`] and a plan. Out: an [`Attachment`]; when it is
//! dropped, or when this process ends however it ends, the kernel takes the
//! probes out.

use std::{
    collections::BTreeMap,
    ffi::CString,
    io,
    os::fd::OwnedFd,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Kernel, KernelError, perf::UprobePmu, sys};
use crate::outside::Shown as _;
use crate::placement::{Plan, Program};

/// How probes are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One link for many probes: in and out in milliseconds. Since Linux 6.6.
    Multi,
    /// One perf event per probe: taking one out costs about 0.1 s.
    Perf,
}

impl Method {
    pub(super) fn attach_type(self) -> u32 {
        match self {
            Self::Multi => sys::UPROBE_MULTI,
            Self::Perf => sys::NO_ATTACH_TYPE,
        }
    }
}

/// A probe that the kernel refused.
#[derive(Debug)]
pub struct Refused {
    /// Its index in the plan.
    pub site: usize,
    /// What the kernel said.
    pub error: io::Error,
}

impl Refused {
    /// Where this is the first of so many, and all that there were.
    pub fn into_error(self, method: Method, path: &Path, count: usize) -> KernelError {
        match self.error.raw_os_error() {
            Some(libc::EPERM) => return KernelError::NotPermitted { what: "attach uprobes" },
            // `perf_uprobe_event_init`, kernel/events/core.c
            Some(libc::EACCES) if method == Method::Perf => return KernelError::NotPermittedEvents,
            _ => {}
        }
        KernelError::Attach { path: path.into(), count, error: self.error }
    }
}

/// Probes in place.
#[derive(Debug)]
pub struct Attachment {
    /// Held for their drop, by what they are part of.
    links: Vec<(Stage, OwnedFd)>,
    /// Probes in place.
    pub attached: usize,
    /// Probes that the kernel refused.
    pub refused: Vec<Refused>,
}

/// Beginnings are attached last and taken out first, so that no wait is begun
/// whose end would be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begins,
    Other,
}

/// In the order of attaching.
const ORDER: [Program; 9] = [
    Program::WaitEnd,
    Program::WaitPark,
    Program::AcquireReturn,
    Program::MapOp,
    Program::TypedMapOp,
    Program::Release,
    Program::AcquireEnter,
    Program::SpinBegin,
    Program::WaitBegin,
];

impl Program {
    /// Name in the object.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MapOp => "map_op",
            Self::TypedMapOp => "typed_map_op",
            Self::WaitBegin => "wait_begin",
            Self::WaitPark => "wait_park",
            Self::WaitEnd => "wait_end",
            Self::SpinBegin => "spin_begin",
            Self::Release => "release",
            Self::AcquireEnter => "acquire_enter",
            Self::AcquireReturn => "acquire_return",
        }
    }
}

/// One probe to be put in place.
struct Probe {
    /// Its index in the plan.
    site: usize,
    offset: u64,
    cookie: u64,
}

impl Attachment {
    /// Attaches these sites of `plan`, which the kernel has been told of, in process
    /// `pid`. `paths` are the modules' files. What is refused is noted, and no error.
    pub fn of(
        sites: &[usize],
        kernel: &mut Kernel,
        plan: &Plan,
        paths: &[PathBuf],
        pid: u32,
    ) -> Result<Self, KernelError> {
        let mut attachment = Self::nothing();
        for program in ORDER {
            for (module, probes) in by_module(plan, sites, program) {
                attachment.add(kernel, program.name(), &paths[module], &probes, pid)?;
            }
        }
        Ok(attachment)
    }

    /// Takes over another's probes.
    pub fn join(&mut self, mut other: Self) {
        self.links.append(&mut other.links);
        self.attached += std::mem::take(&mut other.attached);
        self.refused.append(&mut other.refused);
    }

    /// Takes out the probes where waits begin; what has begun is seen to its end.
    pub fn release_begins(&mut self) {
        let (begins, others) = self.links.drain(..).partition(|(stage, _)| *stage == Stage::Begins);
        self.links = others;
        close(begins);
    }

    /// Attaches the program that does nothing at the plan's map sites, to measure
    /// the least that a hit can cost.
    pub fn empty(
        kernel: &mut Kernel,
        plan: &Plan,
        paths: &[PathBuf],
        pid: u32,
    ) -> Result<Self, KernelError> {
        let mut attachment = Self::nothing();
        let all: Vec<usize> = (0..plan.sites.len()).collect();
        for program in [Program::MapOp, Program::TypedMapOp] {
            for (module, probes) in by_module(plan, &all, program) {
                attachment.add(kernel, "empty", &paths[module], &probes, pid)?;
            }
        }
        attachment.or_refused(kernel.method(), |site| &paths[plan.sites[site].module])
    }

    /// Attaches `map_op` at places of this process, all with one cookie.
    pub(super) fn to_itself(
        kernel: &mut Kernel,
        path: &str,
        offsets: &[u64],
        cookie: u32,
    ) -> Result<Self, KernelError> {
        let mut attachment = Self::nothing();
        let probe = |&offset| Probe { site: 0, offset, cookie: u64::from(cookie) };
        let probes: Vec<_> = offsets.iter().map(probe).collect();
        attachment.add(kernel, "map_op", Path::new(path), &probes, std::process::id())?;
        attachment.or_refused(kernel.method(), |_| Path::new(path))
    }

    /// Times calls of a function of this process, with these cookies for its entry and, the
    /// next, for its return.
    pub(super) fn timed(
        kernel: &mut Kernel,
        path: &str,
        offset: u64,
        cookie: u32,
    ) -> Result<Self, KernelError> {
        let mut attachment = Self::nothing();
        let ends = [(Program::AcquireReturn, cookie + 1), (Program::AcquireEnter, cookie)];
        for (program, cookie) in ends {
            let probes = [Probe { site: 0, offset, cookie: u64::from(cookie) }];
            attachment.add(kernel, program.name(), Path::new(path), &probes, std::process::id())?;
        }
        attachment.or_refused(kernel.method(), |_| Path::new(path))
    }

    fn nothing() -> Self {
        Self { links: Vec::new(), attached: 0, refused: Vec::new() }
    }

    /// An error where the kernel refused every probe.
    fn or_refused<'a>(
        mut self,
        method: Method,
        path_of: impl Fn(usize) -> &'a Path,
    ) -> Result<Self, KernelError> {
        if self.attached > 0 {
            return Ok(self);
        }
        let count = self.refused.len();
        let Some(refused) = self.refused.pop() else { return Ok(self) };
        let path = path_of(refused.site);
        Err(refused.into_error(method, path, count))
    }

    fn add(
        &mut self,
        kernel: &mut Kernel,
        program: &'static str,
        path: &Path,
        probes: &[Probe],
        pid: u32,
    ) -> Result<(), KernelError> {
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| KernelError::Object(format!("path with a NUL byte: {}", path.shown())))?;
        let returns = program == Program::AcquireReturn.name();
        let method = kernel.method();
        let fd = kernel.program(program)?;
        let held = match method {
            Method::Multi => {
                let offsets: Vec<u64> = probes.iter().map(|probe| probe.offset).collect();
                let cookies: Vec<u64> = probes.iter().map(|probe| probe.cookie).collect();
                if let Ok(link) = sys::link_multi(fd, &path, &offsets, &cookies, pid, returns) {
                    self.attached += probes.len();
                    vec![link]
                } else {
                    // One refused address fails them all: find out which.
                    self.one_by_one(probes, |probe| {
                        let (offset, cookie) = ([probe.offset], [probe.cookie]);
                        Ok([sys::link_multi(fd, &path, &offset, &cookie, pid, returns)?])
                    })
                }
            }
            Method::Perf => {
                let pmu = UprobePmu::read().map_err(|error| KernelError::Sys {
                    what: "read the uprobe PMU's description".into(),
                    error,
                })?;
                self.one_by_one(probes, |probe| {
                    pmu.attach(fd, &path, probe.offset, probe.cookie, pid, returns)
                })
            }
        };
        let begins = [Program::AcquireEnter.name(), Program::WaitBegin.name()].contains(&program);
        let stage = if begins { Stage::Begins } else { Stage::Other };
        self.links.extend(held.into_iter().map(|link| (stage, link)));
        Ok(())
    }

    fn one_by_one<const N: usize>(
        &mut self,
        probes: &[Probe],
        attach: impl Fn(&Probe) -> io::Result<[OwnedFd; N]>,
    ) -> Vec<OwnedFd> {
        let mut held = Vec::new();
        for probe in probes {
            match attach(probe) {
                Ok(fds) => {
                    held.extend(fds);
                    self.attached += 1;
                }
                Err(error) => self.refused.push(Refused { site: probe.site, error }),
            }
        }
        held
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.release_begins();
        close(std::mem::take(&mut self.links));
    }
}

/// Takes probes out. Each close waits for a grace period of the kernel; together they
/// wait for one.
fn close(mut links: Vec<(Stage, OwnedFd)>) {
    let last = links.pop();
    std::thread::scope(|scope| {
        for link in links {
            scope.spawn(move || drop(link));
        }
        drop(last);
    });
}

/// A program's probes among these sites, by module.
fn by_module(plan: &Plan, sites: &[usize], program: Program) -> BTreeMap<usize, Vec<Probe>> {
    let mut modules: BTreeMap<usize, Vec<Probe>> = BTreeMap::new();
    let sites = sites.iter().filter_map(|&index| Some((index, plan.sites.get(index)?)));
    for (index, site) in sites.filter(|(_, site)| site.program == program) {
        let probe = Probe { site: index, offset: site.file_offset, cookie: index as u64 };
        modules.entry(site.module).or_default().push(probe);
    }
    modules
}
