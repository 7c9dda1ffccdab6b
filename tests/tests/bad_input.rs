//! What is asked for and cannot be done: a message that names what failed, on
//! what, and the next step; never a panic, never silence.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::{binary, head};
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, programs, unprivileged};
use tempfile::TempDir;

const NO_ARGS: [&str; 0] = [];

/// A pid that was free a moment ago: that of a child that has ended.
fn free_pid() -> Result<String> {
    let mut child = Command::new("true").spawn()?;
    let pid = child.id().to_string();
    child.wait()?;
    Ok(pid)
}

/// A folder that every user may enter.
fn open_folder() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// A copy that every user may run.
fn open_copy(folder: &TempDir, file: &Path) -> Result<PathBuf> {
    let copy = folder.path().join(file.file_name().context("a file has a name")?);
    fs::copy(file, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}

/// A child that does nothing and is killed in the end.
struct Idle(Child);

impl Idle {
    fn start() -> Result<Self> {
        Ok(Self(Command::new("sleep").arg("100").spawn()?))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn usage() -> Result<()> {
    let wrong: [&[&str]; 11] = [
        &["stat"],
        &["stat", "--pid", "many"],
        &["stat", "--pid", "1", "--no-such-option"],
        &["stat", "--pid", "1", "--duration", "soon"],
        &["no-such-verb"],
        &["stat", "--pid", "1", "--probe", "sideways:f"],
        &["stat", "--pid", "1", "-d", "-1s"],
        &["stat", "--pid", "1", "--max-overhead", "NaN"],
        // What would be ignored.
        &["stat", "--pid", "1", "--only", "locks", "--map", "x"],
        &["record", "-o", "/nowhere", "--pid", "1", "--lock", "x"],
        &["report", "/nowhere", "--table", "maps"],
    ];
    for args in wrong {
        let outcome = Mapprof::new(args).run()?.expect_code(2)?;
        ensure!(!outcome.stderr.is_empty(), "{args:?}: not a word");
        ensure!(outcome.stdout.is_empty(), "{args:?}: stdout is for data");
    }
    Mapprof::new(["--help"]).run()?.expect_code(0)?;
    Mapprof::new(["--version"]).run()?.expect_code(0)?;
    Ok(())
}

#[test]
fn no_such_process() -> Result<()> {
    let pid = free_pid()?;
    Mapprof::new(["stat", "--pid", &pid]).run()?.expect_code(1)?.expect_message(&[&pid])?;
    Mapprof::new(["probes", "--pid", &pid]).run()?.expect_code(1)?.expect_message(&[&pid])?;
    let name = "no-such-name";
    Mapprof::new(["stat", "--name", name]).run()?.expect_code(1)?.expect_message(&[name])?;
    Ok(())
}

#[test]
fn not_an_executable() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a program, whatever its name\n".repeat(100))?;
    let empty = folder.path().join("empty");
    fs::write(&empty, "")?;
    for file in [&text, &empty] {
        Mapprof::new(["probes", "--exe"])
            .arg(file)
            .run()?
            .expect_code(1)?
            .expect_message(&[&file.to_string_lossy(), "ELF"])?;
    }
    let absent = folder.path().join("absent");
    Mapprof::new(["probes", "--exe"])
        .arg(&absent)
        .run()?
        .expect_code(1)?
        .expect_message(&[&absent.to_string_lossy()])?;
    Ok(())
}

/// Damaged executables are refused, or what is left of them is used; no panic.
#[test]
fn damaged_executables() -> Result<()> {
    let whole = fs::read(programs::newest_go("reads")?)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("damaged");
    let probes = || -> Result<()> {
        let outcome = Mapprof::new(["probes", "--exe"]).arg(&file).run()?;
        let code = outcome.status.code();
        ensure!(code == Some(0) || code == Some(1), "{code:?}: {}", outcome.stderr);
        ensure!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        ensure!(code == Some(0) || outcome.stderr.contains("damaged"), "{}", outcome.stderr);
        Ok(())
    };
    for eighths in 1..8 {
        fs::write(&file, &whole[..whole.len() * eighths / 8])?;
        probes().with_context(|| format!("cut to {eighths}/8"))?;
    }
    for len in [4, 16, 63, 64, 65, 200] {
        fs::write(&file, &whole[..len])?;
        probes().with_context(|| format!("cut to {len} bytes"))?;
    }
    for field in (16..64).chain(64..512).step_by(4) {
        let mut lying = whole.clone();
        lying[field..field + 4].fill(0xff);
        fs::write(&file, &lying)?;
        probes().with_context(|| format!("four bytes at {field} set to ff"))?;
    }
    Ok(())
}

/// Too few files may be open: more are asked for, the command keeps what it would have had, and
/// where there are no more that is said instead of what is missing for it.
#[test]
fn few_open_files() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let limited = |how: &str, command: &[&str]| {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--bounding-set=-sys_resource", "sh", "-c"]);
        setpriv.arg(format!("ulimit {how} 16 && exec \"$0\" \"$@\"")).arg(binary());
        setpriv.args(["stat", "--format", "json", "--"]).args(command);
        Mapprof::through(setpriv)
    };
    let reads = programs::newest_go("reads")?;
    let reads = reads.to_str().context("a path of plain text")?;
    limited("-n", &[reads, "-span", "10ms"])
        .run()?
        .expect_code(1)?
        .expect_message(&["16 files", "ulimit -n"])?;
    limited("-Sn", &["sh", "-c", "ulimit -n"]).run()?.expect_stdout("16\n{\n")?;
    Ok(())
}

/// A container without sysfs.
#[test]
fn without_sysfs() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "umount -l /sys && exec \"$0\" \"$@\""]);
    command.arg(binary()).args(["stat", "--duration", "100ms", "--"]);
    command.arg(programs::newest_go("reads")?).args(["-span", "10ms"]);
    Mapprof::through(command)
        .run()?
        .expect_code(1)?
        .expect_message(&["cannot read /sys/devices/system/cpu/online", "mount it on /sys"])?;
    Ok(())
}

#[test]
fn nothing_to_profile() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let idle = Idle::start()?;
    Mapprof::new(["stat", "--duration", "1s", "--pid"])
        .arg(idle.0.id().to_string())
        .run()?
        .expect_code(1)?
        .expect_message(&["go", "--probe"])?;
    Ok(())
}

#[test]
fn nothing_happens() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("reads")?, NO_ARGS)?;
    let outcome = Mapprof::new(["stat", "--duration", "1s", "--pid"])
        .arg(program.pid().to_string())
        .run()?
        .expect_code(0)?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
    ensure!(said.contains("nothing was seen"), "not a word about it: {said}");
    drop(program);
    Ok(())
}

#[test]
fn several_of_that_name() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = open_folder()?;
    let path = folder.path().join("mp-namesake");
    fs::copy(programs::newest_go("reads")?, &path)?;
    let one = Program::hold(&path, NO_ARGS)?;
    let stat = || Mapprof::new(["stat", "--duration", "100ms", "--name", "mp-namesake"]);
    stat().run()?.expect_code(0)?;
    let other = Program::hold(&path, NO_ARGS)?;
    let pids = [one.pid().to_string(), other.pid().to_string()];
    stat().run()?.expect_code(1)?.expect_message(&[&pids[0], &pids[1], "--pid"])?;
    Ok(())
}

/// The process ends before mapprof does: that is no failure.
#[test]
fn the_target_ends_first() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = Program::hold(&programs::newest_go("counts")?, NO_ARGS)?;
    let running = Mapprof::stat(program.pid()).attach()?;
    program.begin()?;
    let truth: Counts = program.truth()?;
    program.finish_well()?;
    let outcome = running.finish()?.expect_message(&["ended"])?;
    assert_eq!(truth.differences(&outcome.summary()?), Vec::<String>::new());
    Ok(())
}

/// It is killed while probes are being put in place, sooner and later.
#[test]
fn the_target_is_killed_meanwhile() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for delay in [0, 5, 10, 20, 40, 80, 160, 320, 640] {
        let program = Program::hold(&programs::newest_go("reads")?, NO_ARGS)?;
        let running = Mapprof::stat(program.pid()).start()?;
        std::thread::sleep(std::time::Duration::from_millis(delay));
        drop(program); // which kills it
        let outcome = running.finish()?;
        ensure!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        let code = outcome.status.code();
        // It may have been gone before there was anything to profile.
        ensure!(code == Some(0) || code == Some(1), "{code:?}: {}", outcome.stderr);
        ensure!(!outcome.stderr.is_empty(), "not a word");
    }
    Ok(())
}

#[test]
fn the_output_cannot_be_written() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = Program::hold(&programs::newest_go("reads")?, ["-span", "1s"])?;
    let running = Mapprof::new(["record", "--duration", "2s", "-o", "/dev/full", "--pid"])
        .arg(program.pid().to_string())
        .attach()?;
    program.begin()?;
    let outcome = running.finish()?.expect_code(1)?.expect_message(&["/dev/full"])?;
    ensure!(outcome.stdout.contains("map[uint64]uint64"), "no summary: {}", head(&outcome.stdout));

    let nowhere = "/no/such/folder/run.mprof";
    Mapprof::new(["record", "--duration", "1s", "-o", nowhere, "--pid"])
        .arg(program.pid().to_string())
        .run()?
        .expect_code(1)?
        .expect_message(&[nowhere])?;
    Ok(())
}

#[test]
fn stdout_is_closed_early() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("reads")?, NO_ARGS)?;
    for format in ["text", "json"] {
        let status = Mapprof::new(["stat", "--duration", "200ms", "--format", format, "--pid"])
            .arg(program.pid().to_string())
            .run_unread()?;
        assert_eq!(status.code(), Some(0), "{format}");
    }
    Ok(())
}

#[test]
fn without_privileges() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = open_folder()?;
    let mapprof = open_copy(&folder, &binary())?;
    let reads = open_copy(&folder, &programs::newest_go("reads")?)?;
    // Somebody else's process.
    let program = Program::hold(&reads, NO_ARGS)?;
    unprivileged(&mapprof, ["stat", "--duration", "1s", "--pid", &program.pid().to_string()])
        .run()?
        .expect_code(1)?
        .expect_message(&["root"])?;
    // One's own.
    unprivileged(&mapprof, ["stat", "--duration", "1s", "--"])
        .arg(&reads)
        .run()?
        .expect_code(1)?
        .expect_message(&["CAP_BPF", "CAP_PERFMON", "sudo"])?;
    // Looking needs no privileges.
    unprivileged(&mapprof, ["probes", "--exe"]).arg(&reads).run()?.expect_code(0)?;
    Ok(())
}

#[test]
fn the_launched_command_decides_the_status() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let reads = programs::newest_go("reads")?;
    Mapprof::new(["stat", "--"])
        .arg(&reads)
        .args(["-span", "100ms", "-exit", "7"])
        .run()?
        .expect_code(7)?;
    for absent in ["/no/such/command", "no-such-command"] {
        Mapprof::new(["stat", "--", absent]).run()?.expect_code(1)?.expect_message(&[absent])?;
    }
    Ok(())
}
