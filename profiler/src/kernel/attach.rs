//! Probes in place: one `uprobe_multi` link per program and file, or one perf
//! event per probe on kernels below 6.6.
//!
//! In: a loaded [`Kernel`] and a plan. Out: an [`Attachment`]; when it is
//! dropped, or when this process ends however it ends, the kernel takes the
//! probes out.

use std::{
    collections::BTreeMap, ffi::CString, io, os::fd::OwnedFd, os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use super::{Kernel, KernelError, perf::UprobePmu, sys};
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

/// Probes in place.
#[derive(Debug)]
pub struct Attachment {
    /// Held for their drop; the order is that of [`ORDER`].
    links: Vec<Vec<OwnedFd>>,
    /// Probes in place.
    pub attached: usize,
    /// Probes that the kernel refused.
    pub refused: Vec<Refused>,
}

/// Ends before beginnings, so that no wait is begun whose end would be missed.
/// Taken out in reverse.
const ORDER: [Program; 6] = [
    Program::WaitEnd,
    Program::WaitPark,
    Program::AcquireReturn,
    Program::MapOp,
    Program::AcquireEnter,
    Program::WaitBegin,
];

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::MapOp => "map_op",
            Self::WaitBegin => "wait_begin",
            Self::WaitPark => "wait_park",
            Self::WaitEnd => "wait_end",
            Self::AcquireEnter => "acquire_enter",
            Self::AcquireReturn => "acquire_return",
        }
    }
}

impl Attachment {
    /// Attaches every site of `plan` in process `pid`. `paths` are the modules'
    /// files. Fails only where not one probe can be attached.
    pub fn new(
        kernel: &mut Kernel,
        plan: &Plan,
        paths: &[PathBuf],
        pid: u32,
    ) -> Result<Self, KernelError> {
        let descriptors: Vec<_> = plan.sites.iter().map(|site| site.descriptor).collect();
        kernel.describe(&descriptors)?;
        let mut attachment = Self { links: Vec::new(), attached: 0, refused: Vec::new() };
        for program in ORDER {
            for (module, sites) in by_module(plan, program) {
                attachment.add(
                    kernel,
                    plan,
                    program.name(),
                    &paths[module],
                    &sites,
                    pid,
                    program == Program::AcquireReturn,
                )?;
            }
        }
        if attachment.attached == 0
            && let Some(refused) = attachment.refused.pop()
        {
            if refused.error.raw_os_error() == Some(libc::EPERM) {
                return Err(KernelError::NotPermitted { what: "attach uprobes" });
            }
            return Err(KernelError::Attach {
                path: paths[plan.sites[refused.site].module].display().to_string(),
                count: plan.sites.len(),
                error: refused.error,
            });
        }
        Ok(attachment)
    }

    /// Attaches the program that does nothing at the plan's sites, to measure the
    /// least that a hit can cost.
    pub fn empty(
        kernel: &mut Kernel,
        plan: &Plan,
        paths: &[PathBuf],
        pid: u32,
    ) -> Result<Self, KernelError> {
        let mut attachment = Self { links: Vec::new(), attached: 0, refused: Vec::new() };
        for (module, sites) in by_module(plan, Program::MapOp) {
            attachment.add(kernel, plan, "empty", &paths[module], &sites, pid, false)?;
        }
        Ok(attachment)
    }

    #[expect(clippy::too_many_arguments, reason = "one call's worth of attach attributes")]
    fn add(
        &mut self,
        kernel: &mut Kernel,
        plan: &Plan,
        program: &'static str,
        path: &std::path::Path,
        sites: &[usize],
        pid: u32,
        returns: bool,
    ) -> Result<(), KernelError> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| {
            KernelError::Object(format!("path with a NUL byte: {}", path.display()))
        })?;
        let offsets: Vec<u64> = sites.iter().map(|site| plan.sites[*site].file_offset).collect();
        let cookies: Vec<u64> = sites.iter().map(|site| *site as u64).collect();
        let method = kernel.method();
        let fd = kernel.program(program)?;
        let mut held = Vec::new();
        match method {
            Method::Multi => match sys::link_multi(fd, &path, &offsets, &cookies, pid, returns) {
                Ok(link) => {
                    held.push(link);
                    self.attached += sites.len();
                }
                // One refused address fails them all: find out which.
                Err(_) => {
                    for (site, (offset, cookie)) in sites.iter().zip(offsets.iter().zip(&cookies)) {
                        match sys::link_multi(fd, &path, &[*offset], &[*cookie], pid, returns) {
                            Ok(link) => {
                                held.push(link);
                                self.attached += 1;
                            }
                            Err(error) => self.refused.push(Refused { site: *site, error }),
                        }
                    }
                }
            },
            Method::Perf => {
                let pmu = UprobePmu::read().map_err(|error| KernelError::Sys {
                    what: "read the uprobe PMU's description".into(),
                    error,
                })?;
                for (site, (offset, cookie)) in sites.iter().zip(offsets.iter().zip(&cookies)) {
                    match pmu.attach(fd, &path, *offset, *cookie, pid, returns) {
                        Ok((link, event)) => {
                            held.extend([link, event]);
                            self.attached += 1;
                        }
                        Err(error) => self.refused.push(Refused { site: *site, error }),
                    }
                }
            }
        }
        self.links.push(held);
        Ok(())
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Groups go in reverse order; within a group closing in parallel saves
        // the grace period that each close waits for.
        while let Some(group) = self.links.pop() {
            std::thread::scope(|scope| {
                for link in group {
                    scope.spawn(move || drop(link));
                }
            });
        }
    }
}

/// The indexes of a program's sites, by module.
fn by_module(plan: &Plan, program: Program) -> BTreeMap<usize, Vec<usize>> {
    let mut modules: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, site) in plan.sites.iter().enumerate().filter(|(_, site)| site.program == program) {
        modules.entry(site.module).or_default().push(index);
    }
    modules
}
