//! What this kernel and this user can do: the ground of `mapprof doctor`.
//!
//! In: the running kernel. Out: a list of checks with verdict, finding and mend.

use std::fs;

use caps::{CapSet, Capability, CapsHashSet};

use super::{Kernel, KernelError, LoadOptions, Method};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As wanted.
    Good,
    /// mapprof works, with the limit that the check's text names.
    Limited,
    /// mapprof cannot work.
    Bad,
}

/// One line of the doctor's report.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    pub mend: Option<String>,
}

/// What a way of attaching needs, and what only other users' processes do.
const OF_OTHERS: Capability = Capability::CAP_SYS_PTRACE;

/// What is needed to load programs and attach them in this way.
fn needed(method: Method) -> &'static [Capability] {
    match method {
        Method::Multi => &[Capability::CAP_BPF, Capability::CAP_PERFMON, OF_OTHERS],
        Method::Perf => {
            &[Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN, OF_OTHERS]
        }
    }
}

/// What of it is missing where these are held. CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON
/// (`bpf_capable` and `perfmon_capable`, include/linux/capability.h).
fn missing(held: &CapsHashSet, method: Method) -> Vec<Capability> {
    let implied = |capability| {
        [Capability::CAP_BPF, Capability::CAP_PERFMON].contains(&capability)
            && held.contains(&Capability::CAP_SYS_ADMIN)
    };
    let needed = needed(method).iter().copied();
    needed.filter(|&it| !held.contains(&it) && !implied(it)).collect()
}

/// Looks at everything that mapprof needs.
pub fn doctor() -> Vec<Check> {
    let mut kernel = Kernel::load(LoadOptions::default());
    let loaded = match &mut kernel {
        Ok(kernel) => kernel.load_all().map(|()| kernel.method()),
        Err(_) => Ok(Method::Multi),
    };
    let probed = kernel.as_mut().ok().map(probed_code);
    let loaded = kernel.and(loaded);
    // Where nothing can be loaded, the version tells what could be done.
    let by_version = match parse_version(&release()) {
        Some(version) if version < MULTI_SINCE => Method::Perf,
        _ => Method::Multi,
    };
    let method = loaded.as_ref().copied().unwrap_or(by_version);
    let checks = [kernel_version(), capabilities(method), btf(), programs(loaded), uprobe_events()];
    checks.into_iter().chain(probed).collect()
}

/// The first kernel with uprobe_multi links.
const MULTI_SINCE: (u32, u32) = (6, 6);

fn release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

fn kernel_version() -> Check {
    let release = release();
    let version = parse_version(&release);
    let (verdict, mend) = match version {
        Some(version) if version >= MULTI_SINCE => (Verdict::Good, None),
        Some(version) if version >= (5, 15) => (
            Verdict::Limited,
            Some("probes are attached one by one below 6.6, and taking them out takes a second or more; a kernel ≥ 6.6 has uprobe_multi links".to_owned()),
        ),
        Some(_) => (Verdict::Bad, Some("needs Linux 5.15 or newer (attach cookies for perf events)".to_owned())),
        None => (Verdict::Limited, Some("cannot read the kernel's version; the checks below tell more".to_owned())),
    };
    Check { what: "kernel", verdict, found: format!("Linux {release}"), mend }
}

fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn capabilities(method: Method) -> Check {
    let held = caps::read(None, CapSet::Effective).unwrap_or_default();
    let missing = missing(&held, method);
    if missing.is_empty() {
        return Check {
            what: "privileges",
            verdict: Verdict::Good,
            found: "all that is needed".into(),
            mend: None,
        };
    }
    Check {
        what: "privileges",
        verdict: if missing == [OF_OTHERS] { Verdict::Limited } else { Verdict::Bad },
        found: format!("without {}", list(&missing, ", ")),
        mend: Some(format!(
            "run with sudo, or `setcap {}+ep` on mapprof",
            list(needed(method), ",").to_lowercase()
        )),
    }
}

fn list(capabilities: &[Capability], comma: &str) -> String {
    capabilities.iter().map(ToString::to_string).collect::<Vec<_>>().join(comma)
}

fn btf() -> Check {
    let there = fs::metadata("/sys/kernel/btf/vmlinux").is_ok();
    Check {
        what: "kernel BTF",
        verdict: Verdict::Good,
        found: if there { "present" } else { "absent; mapprof does not need it" }.into(),
        mend: None,
    }
}

fn programs(loaded: Result<Method, KernelError>) -> Check {
    match loaded {
        Ok(Method::Multi) => Check {
            what: "BPF programs",
            verdict: Verdict::Good,
            found: "load, and attach by uprobe_multi links (since 6.6)".into(),
            mend: None,
        },
        Ok(Method::Perf) => Check {
            what: "BPF programs",
            verdict: Verdict::Limited,
            found: "load, without uprobe_multi links (since 6.6): perf events serve".into(),
            mend: Some("a kernel ≥ 6.6 takes probes out in milliseconds".into()),
        },
        Err(error) => Check {
            what: "BPF programs",
            verdict: Verdict::Bad,
            mend: (!matches!(error, KernelError::NotPermitted { .. })).then(|| "ring buffers need Linux 5.8 and CONFIG_BPF_SYSCALL; a locked-down kernel (see /sys/kernel/security/lockdown) refuses to read user memory".into()),
            found: error.to_string(),
        },
    }
}

/// Puts probes on functions of mapprof's own, and compares what these compute.
fn probed_code(kernel: &mut Kernel) -> Check {
    let tried = kernel.open_rings().and_then(|mut rings| {
        kernel.calibrate(&mut rings, false)?;
        kernel.known_changes(&mut rings)
    });
    let (verdict, found) = match tried {
        Ok(changed) if changed.is_empty() => {
            (Verdict::Good, "functions of mapprof's own compute the same with a probe".to_owned())
        }
        Ok(changed) => (
            Verdict::Good,
            format!(
                "this kernel puts a call in the place of a {}, which would overwrite a leaf function's locals: mapprof probes one only at a function's entry",
                changed.join(", a ")
            ),
        ),
        Err(error) => (Verdict::Bad, error.to_string()),
    };
    Check { what: "probed code", verdict, found, mend: None }
}

fn uprobe_events() -> Check {
    match super::perf::UprobePmu::read() {
        Ok(_) => Check {
            what: "uprobes",
            verdict: Verdict::Good,
            found: "present (CONFIG_UPROBE_EVENTS)".into(),
            mend: None,
        },
        Err(error) => Check {
            what: "uprobes",
            verdict: Verdict::Bad,
            found: format!("no uprobe PMU: {error}"),
            mend: Some("needs a kernel with CONFIG_UPROBES and CONFIG_UPROBE_EVENTS".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing() {
        use Capability::{CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE};
        let missing =
            |held: &[Capability], method| missing(&held.iter().copied().collect(), method);
        assert_eq!(missing(&[], Method::Multi), [CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE]);
        assert_eq!(missing(&[CAP_BPF, CAP_PERFMON], Method::Multi), [CAP_SYS_PTRACE]);
        assert_eq!(missing(&[CAP_SYS_ADMIN, CAP_SYS_PTRACE], Method::Multi), []);
        let held = [CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE];
        assert_eq!(missing(&held, Method::Perf), [CAP_SYS_ADMIN]);
        assert_eq!(list(needed(Method::Multi), ","), "CAP_BPF,CAP_PERFMON,CAP_SYS_PTRACE");
    }

    #[test]
    fn versions() {
        assert_eq!(parse_version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(parse_version("5.15.0-91-generic"), Some((5, 15)));
        assert_eq!(parse_version("nonsense"), None);
    }
}
