//! Why there is nothing to show.
//!
//! In: the plan and what was measured. Out: a sentence or two, never silence.

use std::fs;

use crate::{model::Session, outside::Shown as _, placement::Plan};

pub(super) use super::dead_end::nothing_to_probe;

/// Why a run that is attached has seen nothing, if so.
pub(super) fn nothing_seen(plan: &Plan, session: &Session) -> Option<String> {
    let (mut events, mut duration_ns, mut cpu_ns, mut hits) = (0, 0, None, 0);
    for slice in session.history() {
        events += slice.events;
        duration_ns += slice.duration_ns;
        hits += slice.hits;
        cpu_ns = slice.target_cpu_ns.map(|ns| ns + cpu_ns.unwrap_or(0)).or(cpu_ns);
    }
    // Where nothing was watched, of a command, the run itself says so.
    if events > 0 || session.history().len() == 0 {
        return None;
    }
    let probes = probes(plan);
    let seconds = duration_ns as f64 / 1e9;
    if hits > 0 {
        return Some(format!("{probes} were hit, but every hit was lost or rightly ignored"));
    }
    let children = children(session.target().pid);
    Some(match cpu_ns {
        Some(0) if children.is_empty() => format!(
            "{probes} are in place, but the process used no CPU time in {seconds:.1} s: it is idle, or waits"
        ),
        Some(0) => format!(
            "{probes} are in place, but the process used no CPU time in {seconds:.1} s; its children may do the work: {}",
            children.join(", ")
        ),
        _ => format!(
            "{probes} are in place, but none was hit in {seconds:.1} s: the process ran without using a map or waiting for a lock"
        ),
    })
}

/// What is probed, in words.
fn probes(plan: &Plan) -> String {
    let maps = plan.sites.iter().filter(|site| site.is_of_maps()).count();
    let locks = plan.sites.len() - maps;
    format!("{maps} probes on map functions and {locks} on lock slow paths")
}

/// The process' children as `pid (comm)`.
fn children(pid: u32) -> Vec<String> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let name = |pid: &str| {
        // Its name may be cut within a character.
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{pid} ({})", String::from_utf8_lossy(&comm).trim().shown())
    };
    list.split_ascii_whitespace().take(8).map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{
        catalog,
        model::TargetInfo,
        placement::{self, Only},
        target::{Target, fixture::TinyGo},
    };

    #[test]
    fn of_what_was_never_watched_nothing_is_claimed() {
        let session = Session::new(TargetInfo::default());
        assert_eq!(nothing_seen(&Plan::default(), &session), None);
    }

    #[test]
    fn whatever_interprets_an_operation_it_is_one_of_a_map() {
        let code = || vec![0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3]; // push rbp; mov rbp, rsp; pop; ret
        // The key's type is known to the first, and told by the map to the second.
        let names = ["runtime.mapaccess2_fast64", "runtime.mapassign", "runtime.semacquire1"];
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let program = names.iter().map(|name| (*name, code())).collect();
        file.write_all(&TinyGo::new(program).build()).unwrap();
        let target = Target::of_file(file.path()).unwrap();
        let plan = placement::plan(&target, &catalog::builtin(&[]), Only::All);
        let programs: Vec<_> = plan.sites.iter().map(|site| site.program).collect();
        assert!(programs.iter().any(|it| *it != programs[0]), "{programs:?}");
        assert_eq!(probes(&plan), "2 probes on map functions and 1 on lock slow paths");
    }
}
