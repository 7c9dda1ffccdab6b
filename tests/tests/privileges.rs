//! What mapprof may do: no more than it needs, and no less than it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::{Mapprof, can_profile, programs};
use serde_json::Value;

/// Bits of a capability set, include/uapi/linux/capability.h.
const CAP_SETUID: u64 = 1 << 7;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

/// What a process or thread may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rights {
    permitted: u64,
    effective: u64,
    no_new_privs: bool,
}

impl Rights {
    /// By a folder of /proc.
    fn of(folder: &Path) -> Result<Self> {
        let status = fs::read_to_string(folder.join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            Ok::<_, anyhow::Error>(line.with_context(|| format!("no {name}"))?.trim().to_owned())
        };
        let set = |name| Ok::<_, anyhow::Error>(u64::from_str_radix(&field(name)?, 16)?);
        Ok(Self {
            permitted: set("CapPrm:")?,
            effective: set("CapEff:")?,
            no_new_privs: field("NoNewPrivs:")? == "1",
        })
    }
}

#[test]
fn what_is_not_needed_is_given_up_but_not_by_a_command() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let own = Rights::of(Path::new("/proc/self"))?;
    let probe = ["--no-builtin", "--probe", "lookup:ht_get key=arg2:str map=arg1", "--"];
    let mapprof =
        Mapprof::new(["stat", "--format", "json"]).args(probe).arg(programs::hash()?).attach()?;
    let process = Path::new("/proc").join(mapprof.pid().to_string());
    let mut threads = 0;
    for thread in fs::read_dir(process.join("task"))? {
        let rights = Rights::of(&thread?.path())?;
        threads += 1;
        for set in [rights.permitted, rights.effective] {
            ensure!(set & (CAP_SYS_ADMIN | CAP_SETUID) == 0, "kept: {rights:x?}");
            let needed = CAP_BPF | CAP_PERFMON | CAP_SYS_PTRACE;
            ensure!(set & needed == own.effective & needed, "lost: {rights:x?}");
        }
        ensure!(rights.no_new_privs, "{rights:x?}");
    }
    ensure!(threads >= 2, "{threads} threads");
    let children = fs::read_to_string(process.join(format!("task/{}/children", mapprof.pid())))?;
    let child = children.split_whitespace().next().context("no command was started")?;
    assert_eq!(Rights::of(&Path::new("/proc").join(child))?, own, "the command's are others");
    mapprof.finish()?.expect_code(0).map(drop)
}

/// mapprof and a program, which the user nobody may execute.
struct Copies(tempfile::TempDir);

impl Copies {
    fn make() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for (from, name) in [(binary(), "mapprof"), (programs::hash()?, "hash")] {
            fs::copy(from, folder.path().join(name))?;
        }
        let mut open = Command::new("chmod");
        open.args(["-R", "a+rX"]).arg(folder.path());
        ensure!(open.status()?.success(), "{open:?}");
        Ok(Self(folder))
    }

    /// As nobody, with these capabilities: `+bpf`.
    fn nobody(&self, capabilities: &str) -> Command {
        let mut command = Command::new("setpriv");
        let list = format!("-all{capabilities}");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps", &list]);
        command.args(["--ambient-caps", &list, "--bounding-set", &list, "--"]);
        command.arg(self.0.path().join("mapprof"));
        command
    }
}

/// What the doctor and every message ask for is enough.
#[test]
fn two_capabilities_do() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let copies = Copies::make()?;
    let mut doctor = copies.nobody(",+bpf,+perfmon,+sys_ptrace");
    doctor.arg("doctor");
    let text = Mapprof::through(doctor).run()?.expect_code(0)?.stdout;
    ensure!(text.lines().any(|it| it.starts_with("good") && it.contains("privileges")), "{text}");
    let mut stat = copies.nobody(",+bpf,+perfmon");
    stat.args(["stat", "--format", "json", "--no-builtin"]);
    stat.args(["--probe", "insert:ht_put key=arg2:str map=arg1", "--"]);
    stat.arg(copies.0.path().join("hash"));
    let (truth, summary) = Mapprof::through(stat).run()?.truth_and_summary::<Value>()?;
    let keys = truth["maps"][0]["keys"].as_array().context("no keys")?;
    let inserts: u64 = keys.iter().filter_map(|key| key["insert"].as_u64()).sum();
    assert_eq!(summary.maps.first().map(|map| map.ops.insert), Some(inserts));
    Ok(())
}

#[test]
fn nobody_is_asked_for_more() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let copies = Copies::make()?;
    let mut doctor = copies.nobody("");
    doctor.arg("doctor");
    let doctor = Mapprof::through(doctor).run()?.expect_code(1)?.stdout;
    let mut stat = copies.nobody("");
    stat.args(["stat", "--no-builtin", "--probe", "lookup:ht_get key=arg2:str", "--"]);
    stat.arg(copies.0.path().join("hash"));
    let stat = Mapprof::through(stat).run()?.expect_code(1)?.stderr;
    for text in [doctor, stat] {
        ensure!(text.contains("setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep"), "{text}");
        ensure!(!text.to_lowercase().contains("sys_admin"), "{text}");
    }
    Ok(())
}
