//! What mapprof may do once it knows how it attaches: no more than it still needs.
//!
//! In: the capabilities that it was started with. Out: those that are left, of this thread
//! and of those that it starts. A command that mapprof launches is a process of its own by then
//! and keeps all of its own.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

use super::Method;

/// Capabilities that are kept where they are held, for windows go on and files are written at
/// the end.
const KEPT: [Capability; 8] = [
    // Programs are loaded and maps are written when the target executes another program.
    Capability::CAP_BPF,
    // Programs read the target's memory, and links are made for each window.
    Capability::CAP_PERFMON,
    // The memory and the folders in /proc of other users' processes, and of those that may do more.
    Capability::CAP_SYS_PTRACE,
    // The collecting thread goes before those that it watches.
    Capability::CAP_SYS_NICE,
    // Files of the target and those that are written, which may be in anybody's folder.
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    // Signals are passed on to a command, which may have changed its user.
    Capability::CAP_KILL,
];

/// Whether a capability is needed after probes were attached in this way. Perf events ask
/// for CAP_SYS_ADMIN ("perf: Revert to requiring CAP_SYS_ADMIN for uprobes", Linux 6.16 and stable
/// kernels).
fn is_kept(capability: Capability, method: Method) -> bool {
    KEPT.contains(&capability) || capability == Capability::CAP_SYS_ADMIN && method == Method::Perf
}

/// Drops every capability that is not needed any more, for good. To be called before there
/// are other threads, which would keep theirs.
pub(crate) fn give_up(method: Method) -> Result<(), CapsError> {
    // Before anything is given up, so that no program that is executed gets it back.
    nix::sys::prctl::set_no_new_privs()
        .map_err(|error| CapsError::from(format!("no_new_privs: {error}")))?;
    // What is effective must be permitted.
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        let held = caps::read(None, set)?;
        let kept: CapsHashSet =
            held.iter().copied().filter(|&capability| is_kept(capability, method)).collect();
        if kept != held {
            caps::set(None, set, &kept)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_perf_events_need_to_administer() {
        assert!(is_kept(Capability::CAP_SYS_ADMIN, Method::Perf));
        assert!(!is_kept(Capability::CAP_SYS_ADMIN, Method::Multi));
        assert!(is_kept(Capability::CAP_BPF, Method::Multi));
        assert!(!is_kept(Capability::CAP_SETUID, Method::Perf));
    }

    #[test]
    fn a_thread_keeps_what_it_needs_and_no_more() {
        let left = std::thread::spawn(|| {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            give_up(Method::Multi).unwrap();
            let left = caps::read(None, CapSet::Effective).unwrap();
            assert!(left.is_subset(&before) && left.iter().all(|it| KEPT.contains(it)), "{left:?}");
            assert!(KEPT.iter().all(|it| left.contains(it) == before.contains(it)));
            assert!(nix::sys::prctl::get_no_new_privs().unwrap());
        });
        left.join().unwrap();
        assert!(!nix::sys::prctl::get_no_new_privs().unwrap(), "others are as they were");
    }
}
