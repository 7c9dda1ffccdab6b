//! How many files may be open at a time.
//!
//! In: the limits that mapprof was started with. Out: room for what a run needs, or why there
//! is none. A command that mapprof starts keeps the limits that it would have had.

use anyhow::{Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files of a run, but for a ring of each CPU: its BPF maps and programs, the target's
/// executable and libraries, links.
const FILES: u64 = 96;
/// As many as any target needs.
const PLENTY: u64 = 1 << 16;

/// Raises the limit as far as that goes, which is to come after a command was started: it
/// would inherit it. Where it is too low all the same, some file would be missing somewhere.
pub(super) fn raise_open_files() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let least = FILES + cpus;
    let wanted = PLENTY.min(hard);
    if soft >= wanted.max(least) {
        return Ok(());
    }
    // Above the hard limit only for those who may.
    let may = |wanted: u64| setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_ok();
    if hard >= least && may(wanted) || may(least) {
        return Ok(());
    }
    match reached(soft, hard, least) {
        Some(why) => bail!(why),
        None => Ok(()),
    }
}

/// Why that many files are too few.
fn reached(soft: u64, hard: u64, least: u64) -> Option<String> {
    (soft < least).then(|| {
        format!(
            "no more than {soft} files may be open at a time (at most {hard} without further rights), and mapprof needs some {least}: start it with a higher limit, as after `ulimit -n 1024`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_are_said_to_be() {
        assert_eq!(reached(1024, 4096, 98), None);
        let why = reached(16, 16, 98).unwrap();
        assert!(why.contains("16 files") && why.contains("ulimit -n"), "{why}");
    }
}
