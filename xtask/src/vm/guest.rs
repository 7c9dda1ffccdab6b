//! A guest that boots, runs checks, hands over what they printed, and ends.
//!
//! In: a kernel image and the checks. Out: for each check, files of its stdout, its
//! stderr and its exit status. The guest has nothing but an initramfs, and two
//! serial lines: the console, and one that it sends all those files through.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::run as run_command;
use mapprof_tests::{Outcome, target_dir};

use super::checks::Check;

/// Longer than one check may take, seconds: emulated CPUs are ten or more times
/// slower than real ones.
const CHECK_SECONDS: u32 = 240;
/// Longer than a guest may take, seconds.
const GUEST_SECONDS: u32 = 1800;
/// Of emulated memory, MiB.
const MEMORY_MIB: u32 = 3072;
/// Emulated CPUs; as many as a lock needs to be fought for.
const CPUS: u32 = 2;

/// Where the guest has programs.
const BIN: &str = "bin";
/// Where the guest collects what the checks print.
const RESULTS: &str = "results";

/// What the guest's kernel and its first process say.
pub(crate) fn console(home: &Path) -> PathBuf {
    home.join("console.log")
}

/// Which kernel it was by its own account.
pub(crate) fn release(home: &Path) -> Result<String> {
    Ok(read(home, "release")?.trim().to_owned())
}

/// What a check left.
pub(crate) fn outcome(home: &Path, check: &str) -> Result<Outcome> {
    let code: i32 = read(home, &format!("{check}.status"))?.trim().parse()?;
    Ok(Outcome {
        // As wait(2) has it.
        status: ExitStatus::from_raw(code << 8),
        stdout: read(home, &format!("{check}.stdout"))?,
        stderr: read(home, &format!("{check}.stderr"))?,
    })
}

fn read(home: &Path, name: &str) -> Result<String> {
    let path = home.join(RESULTS).join(name);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Runs the checks, or says why the guest did not come to its end.
pub(crate) fn run(image: &Path, home: &Path, checks: &[Check]) -> Result<()> {
    let results = home.join(RESULTS);
    if results.exists() {
        fs::remove_dir_all(&results)?;
    }
    fs::create_dir_all(&results)?;
    let initramfs = initramfs(home, checks)?;
    let sent = home.join("results.tar.gz");
    let seconds = GUEST_SECONDS.to_string();
    run_command(
        Command::new("timeout")
            .args([&seconds, "qemu-system-x86_64", "-accel", "tcg", "-no-reboot"])
            .args(["-m", &MEMORY_MIB.to_string(), "-smp", &CPUS.to_string()])
            .args(["-display", "none", "-monitor", "none", "-nic", "none"])
            .arg("-serial")
            .arg(file(&console(home)))
            .arg("-serial")
            .arg(file(&sent))
            .arg("-kernel")
            .arg(image)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", "console=ttyS0 quiet panic=-1"]),
    )?;
    run_command(Command::new("tar").arg("-xzf").arg(&sent).arg("-C").arg(&results)).with_context(
        || format!("the guest did not hand over its results: see {}", console(home).display()),
    )
}

fn file(path: &Path) -> String {
    format!("file:{}", path.display())
}

/// Packs whatever the guest has.
fn initramfs(home: &Path, checks: &[Check]) -> Result<PathBuf> {
    let root = home.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for folder in [BIN, "dev", "proc", "sys", "tmp", RESULTS] {
        fs::create_dir_all(root.join(folder))?;
    }
    let busybox = found("busybox")?;
    let mapprof = target_dir().join("debug/mapprof");
    let bin = root.join(BIN);
    copy(&busybox, &bin.join("busybox"))?;
    run_command(Command::new("strip").arg("-o").arg(bin.join("mapprof")).arg(&mapprof))?;
    let mut programs = vec![busybox, mapprof];
    for name in checks.iter().filter_map(Check::program).collect::<BTreeSet<_>>() {
        let program = Check::build(name)?;
        copy(&program, &bin.join(name))?;
        programs.push(program);
    }
    for program in &programs {
        for library in libraries(program)? {
            copy(&library, &root.join(library.strip_prefix("/")?))?;
        }
    }
    let init = root.join("init");
    fs::write(&init, script(checks))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let packed = home.join("initramfs");
    let pack = r#"find . | cpio --quiet --create --format newc --owner 0:0 > "$0""#;
    run_command(Command::new("sh").args(["-c", pack]).arg(&packed).current_dir(&root))?;
    Ok(packed)
}

fn found(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|it| it.exists())
        .with_context(|| format!("there is no {program}"))
}

/// The shared libraries that a program needs, its loader among them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    // Fails where the program is a static one, which needs none.
    let output = Command::new("ldd").arg(program).output().context("running ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(!text.contains("not found"), "{} lacks libraries:\n{text}", program.display());
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

/// The guest's first process.
fn script(checks: &[Check]) -> String {
    let mut script = format!(
        "#!/{BIN}/busybox sh\n\
         /{BIN}/busybox --install -s /{BIN}\n\
         export PATH=/{BIN} HOME=/tmp\n\
         mount -t proc none /proc\n\
         mount -t sysfs none /sys\n\
         mount -t devtmpfs none /dev\n\
         mount -t tracefs none /sys/kernel/tracing\n\
         cd /{RESULTS}\n\
         uname -r | tee release\n\
         check() {{\n\
         name=$1; shift; echo \"-- $name\"\n\
         timeout {CHECK_SECONDS} \"$@\" > $name.stdout 2> $name.stderr\n\
         echo $? | tee $name.status; tail -n 5 $name.stderr\n\
         }}\n"
    );
    for check in checks {
        let _ = writeln!(script, "check {} {}", check.name, check.command);
    }
    // What is sent ends up in a file as it is; no byte of it is for a terminal.
    script += "stty -F /dev/ttyS1 raw\n\
               tar -cz . > /dev/ttyS1\n\
               echo done\n\
               poweroff -f\n";
    script
}
