//! Recordings that are made where something is already, or to which something happens: what
//! was there stays until it is replaced whole, and what is promised is there.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::{Mapprof, Program, can_profile, programs};

/// `mapprof record` of a process, as somebody with this umask.
fn record(umask: &str, pid: u32, output: &Path) -> Mapprof {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(binary());
    Mapprof::through(shell)
        .args(["record", "--interval", "100ms", "--pid", &pid.to_string(), "-o"])
        .arg(output)
}

#[test]
fn what_is_recorded_is_there() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.mprof");
    let program = Program::hold(&programs::newest_go("reads")?, [] as [&str; 0])?;
    let short = |umask| record(umask, program.pid(), &path).args(["--duration", "500ms"]).run();
    let mode = || fs::metadata(&path).map(|file| file.mode() & 0o777);

    // Whatever the umask says, and where it takes away.
    short("0")?.expect_code(0)?;
    assert_eq!(mode()?, 0o600);
    let first = fs::read(&path)?;

    // Nobody has this pid: the old recording is what it was.
    let mut ended = Command::new("true").spawn()?;
    let gone = ended.id();
    ended.wait()?;
    record("0", gone, &path).run()?.expect_code(1)?;
    ensure!(fs::read(&path)? == first, "a run that failed has replaced a recording");

    // It gives way to another, of which somebody has the old one open.
    let reader = fs::File::open(&path)?;
    short("0277")?.expect_code(0)?;
    assert_eq!(mode()?, 0o400);
    assert_eq!(reader.metadata()?.len(), first.len() as u64);
    Mapprof::new([OsStr::new("report"), path.as_os_str()]).run()?.expect_code(0)?;
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "something is left");

    // It is cut off meanwhile.
    fs::remove_file(&path)?;
    let running = record("0", program.pid(), &path).attach()?;
    let len = || fs::metadata(&path).map_or(0, |file| file.len());
    while len() < 200 {
        sleep(Duration::from_millis(20));
    }
    OpenOptions::new().write(true).open(&path)?.set_len(0)?;
    let outcome = running.interrupt()?.expect_code(1)?.expect_message(&["cut off"])?;
    ensure!(!outcome.stderr.contains("shows it"), "a promise: {}", outcome.stderr);
    ensure!(!outcome.stdout.is_empty(), "no summary");
    Ok(())
}
