//! Commands held before their start. This test is its own `main`, because the held
//! child is this very program started again.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use mapprof::target::{Held, LaunchError, Target, exec_if_held};

/// First argument of a helper process that dies while it holds a command.
const DIE: &str = "die-while-holding";

type Test = fn(&Path);

fn main() -> ExitCode {
    if let Some(error) = exec_if_held() {
        eprintln!("{error}");
        return ExitCode::from(125);
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|first| first == DIE) {
        die_while_holding(Path::new(&args[2]));
    }
    let tests: &[(&str, Test)] = &[
        ("runs_only_when_released", runs_only_when_released),
        ("never_runs_if_dropped", never_runs_if_dropped),
        ("never_runs_if_mapprof_dies", never_runs_if_mapprof_dies),
        ("passes_the_status_on", passes_the_status_on),
        ("inherits_nothing_of_ours", inherits_nothing_of_ours),
        ("what_cannot_run_is_named", what_cannot_run_is_named),
        ("its_addresses_are_known_after_exec", its_addresses_are_known_after_exec),
    ];
    for (name, test) in tests {
        let directory = tempfile::tempdir().expect("a temporary directory");
        test(directory.path());
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn shell(script: &str, path: &Path) -> Held {
    let args = [OsString::from("-c"), script.into(), "sh".into(), path.into()];
    Held::spawn(OsStr::new("sh"), &args).expect("sh starts")
}

fn exe_of(pid: i32) -> std::path::PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("the child is there")
}

fn runs_only_when_released(directory: &Path) {
    let file = directory.join("ran");
    let mut held = shell("echo $$ > $1", &file);
    assert_eq!(held.try_wait().unwrap(), None);
    assert!(!file.exists());
    held.release().unwrap();
    held.release().unwrap();
    assert!(held.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), held.pid().to_string());
}

fn never_runs_if_dropped(directory: &Path) {
    let file = directory.join("ran");
    let held = shell("echo $$ > $1", &file);
    let pid = held.pid();
    drop(held);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!file.exists());
}

fn die_while_holding(file: &Path) -> ! {
    let held = shell("echo $$ > $1", file);
    println!("{}", held.pid());
    // Without dropping it, as a killed mapprof would.
    std::process::exit(0);
}

fn never_runs_if_mapprof_dies(directory: &Path) {
    let file = directory.join("ran");
    let exe = std::env::current_exe().unwrap();
    // Its output ends when the orphan, which inherited it, has ended as well.
    let output = Command::new(exe).arg(DIE).arg(&file).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("mapprof ended before sh was started"), "{message}");
    assert!(!file.exists());
}

fn passes_the_status_on(directory: &Path) {
    let mut held = shell("exit 37", directory);
    held.release().unwrap();
    assert_eq!(held.wait().unwrap().code(), Some(37));
}

fn inherits_nothing_of_ours(directory: &Path) {
    const SCRIPT: &str = "ls /proc/$$/fd > $1; env | grep -c MAPPROF >> $1; echo $0 >> $1";
    let (with, without) = (directory.join("with"), directory.join("without"));
    let mut held = shell(SCRIPT, &with);
    held.release().unwrap();
    held.wait().unwrap();
    let args = ["-c", SCRIPT, "sh"];
    Command::new("sh").args(args).arg(&without).status().unwrap();
    let with = fs::read_to_string(with).unwrap();
    assert_eq!(with, fs::read_to_string(without).unwrap());
    assert!(with.ends_with("0\nsh\n"), "{with}");
}

fn what_cannot_run_is_named(directory: &Path) {
    let spawn = |command: &OsStr| Held::spawn(command, &[]);
    let error = spawn(OsStr::new("no-such-program-anywhere")).unwrap_err();
    assert!(matches!(&error, LaunchError::NotFound { .. }));
    assert!(error.to_string().contains("no-such-program-anywhere"), "{error}");
    let error = spawn(directory.as_os_str()).unwrap_err();
    assert!(matches!(&error, LaunchError::NotExecutable { .. }), "{error}");
    let missing = directory.join("missing");
    let error = spawn(missing.as_os_str()).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

fn its_addresses_are_known_after_exec(_: &Path) {
    let mut held = Held::spawn(OsStr::new("sleep"), &["600".into()]).unwrap();
    let mut target = Target::of_launch(held.pid(), held.exe()).unwrap();
    let modules = target.modules().len();
    assert!(modules > 1, "sleep needs libc");
    assert!(!target.refresh().unwrap(), "nothing has been executed yet");
    assert_eq!(exe_of(held.pid()), std::env::current_exe().unwrap());
    held.release().unwrap();
    // libc is mapped some time after the program itself.
    while target.modules().iter().any(|module| module.bias.is_none()) {
        target.refresh().unwrap();
        std::thread::yield_now();
    }
    assert_eq!(target.modules().len(), modules, "the same files, now with addresses");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(held.pid()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    held.wait().unwrap();
    assert!(!target.is_alive());
    assert!(target.refresh().is_err());
}
