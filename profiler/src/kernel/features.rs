//! What this kernel and this user can do: the ground of `mapprof doctor`.
//!
//! In: the running kernel. Out: a list of checks with verdict, finding and mend.

use std::fs;

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

/// Linux `CAP_*` numbers, include/uapi/linux/capability.h.
const NEEDED_CAPABILITIES: [(u32, &str); 3] =
    [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (19, "CAP_SYS_PTRACE")];
/// CAP_SYS_ADMIN implies the two first.
const CAP_SYS_ADMIN: u32 = 21;

/// Looks at everything that mapprof needs.
pub fn doctor() -> Vec<Check> {
    vec![kernel_version(), capabilities(), btf(), programs(), uprobe_events()]
}

fn kernel_version() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let version = parse_version(release);
    let (verdict, mend) = match version {
        Some(version) if version >= (6, 6) => (Verdict::Good, None),
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

fn capabilities() -> Check {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |bit: u32| effective & (1 << bit) != 0;
    let missing: Vec<&str> = NEEDED_CAPABILITIES
        .iter()
        .filter(|(bit, name)| !has(*bit) && (*name == "CAP_SYS_PTRACE" || !has(CAP_SYS_ADMIN)))
        .map(|(_, name)| *name)
        .collect();
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
        verdict: if missing == ["CAP_SYS_PTRACE"] { Verdict::Limited } else { Verdict::Bad },
        found: format!("without {}", missing.join(", ")),
        mend: Some("run with sudo, or `setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_sys_admin+ep` on mapprof".into()),
    }
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

fn programs() -> Check {
    let loaded = Kernel::load(LoadOptions::default()).and_then(|mut kernel| {
        kernel.load_all()?;
        Ok(kernel)
    });
    match loaded {
        Ok(kernel) => match kernel.method() {
            Method::Multi => Check {
                what: "BPF programs",
                verdict: Verdict::Good,
                found: "load, and attach by uprobe_multi links (since 6.6)".into(),
                mend: None,
            },
            Method::Perf => Check {
                what: "BPF programs",
                verdict: Verdict::Limited,
                found: "load, without uprobe_multi links (since 6.6): perf events serve".into(),
                mend: Some("a kernel ≥ 6.6 takes probes out in milliseconds".into()),
            },
        },
        Err(error) => Check {
            what: "BPF programs",
            verdict: Verdict::Bad,
            mend: (!matches!(error, KernelError::NotPermitted { .. })).then(|| "ring buffers need Linux 5.8 and CONFIG_BPF_SYSCALL; a locked-down kernel (see /sys/kernel/security/lockdown) refuses to read user memory".into()),
            found: error.to_string(),
        },
    }
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
    fn versions() {
        assert_eq!(parse_version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(parse_version("5.15.0-91-generic"), Some((5, 15)));
        assert_eq!(parse_version("nonsense"), None);
    }
}
