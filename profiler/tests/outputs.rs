//! What is written: never over what is read, never over what is something else, readable for
//! its owner only, and as well through pipes.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mapprof::model::{Slice, TargetInfo};
use mapprof::recording::{Header, Record, Writer};
use tempfile::TempDir;

/// A recording of some seconds.
fn record(path: &Path, seconds: u64) {
    let mut writer = Writer::create(path).unwrap();
    let target = TargetInfo { pid: 7, exe: "/srv/shop".to_owned(), ..TargetInfo::default() };
    writer.append(&Record::Header(Cow::Owned(Header::new(target)))).unwrap();
    for at in 0..seconds {
        let slice = Slice {
            start_unix_ns: 1_700_000_000_000_000_000 + at * 1_000_000_000,
            duration_ns: 1_000_000_000,
            observed_ns: 1_000_000_000,
            events: 10,
            ..Slice::default()
        };
        writer.append(&Record::Slice(Cow::Owned(slice))).unwrap();
    }
    writer.append(&Record::End { reason: "done".into() }).unwrap();
    writer.settle().unwrap();
}

/// Runs a command line, in a folder, as a shell does.
fn shell(folder: &TempDir, line: &str) -> Output {
    let line = format!("mapprof() {{ {} \"$@\"; }}; {line}", env!("CARGO_BIN_EXE_mapprof"));
    Command::new("bash").args(["-c", &line]).current_dir(folder.path()).output().unwrap()
}

fn expect(folder: &TempDir, line: &str, code: i32, said: &[&str]) -> String {
    let output = shell(folder, line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
    for part in said {
        assert!(stderr.contains(part), "{line}: no {part:?} in {stderr}");
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// With two recordings, and notes that are none.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    record(&folder.path().join("x"), 3);
    record(&folder.path().join("y"), 4);
    fs::write(folder.path().join("notes"), "mine").unwrap();
    symlink("x", folder.path().join("link")).unwrap();
    symlink("notes", folder.path().join("out")).unwrap();
    fs::hard_link(folder.path().join("x"), folder.path().join("hard")).unwrap();
    folder
}

fn contents(folder: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
    let names = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path());
    let mut all: Vec<_> = names.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn nothing_is_lost_unasked() {
    let folder = folder();
    let before = contents(&folder);
    for line in [
        "mapprof report x -o x",
        "mapprof report x -o x --force",
        "mapprof report x -o ./link",
        "mapprof report link -o x --format json",
        "mapprof report x -o hard --force",
        "mapprof report x -o y",
        "mapprof report x -o out",
        "mapprof report x -o /dev/stdout 1<>x",
        "mapprof diff x y -o x",
        "mapprof diff x y -o y --force",
        "mapprof diff x --before ..1s --after 1s.. -o x",
        "mapprof diff x x -o y",
        "mapprof merge x y -o x",
        "mapprof merge x y -o hard --force",
        "mapprof merge x y -o notes",
        "mapprof merge x y -o out",
        "mapprof merge notes -o z",
        "mapprof record --pid 1 -o notes",
        "mapprof record --pid 1 -o out",
    ] {
        expect(&folder, line, 1, &["mapprof: "]);
        assert_eq!(contents(&folder), before, "{line}");
    }
}

#[test]
fn what_is_asked_for_is_done() {
    let folder = folder();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let report = expect(&folder, "mapprof report x", 0, &[]).into_bytes();
    expect(&folder, "mapprof report x -o notes", 0, &[]);
    assert_eq!(read("notes"), report, "an earlier report is replaced");
    expect(&folder, "mapprof report x -o out --force", 0, &[]);
    assert!(!folder.path().join("out").is_symlink());
    expect(&folder, "mapprof diff x y -o d && mapprof diff x y -o d", 0, &[]);
    expect(&folder, "mapprof merge x y -o z && mapprof merge x y -o z", 0, &["merged 2 record"]);
    expect(&folder, "mapprof merge x y -o notes --force && mapprof report notes", 0, &[]);
    expect(&folder, "mapprof merge x out y -o z", 1, &["merged 2 of 3 recordings"]);
    expect(&folder, "mapprof report x -o y --force", 0, &[]);
    assert_eq!(read("y"), report);
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 8, "{:?}", contents(&folder).iter().map(|it| &it.0).collect::<Vec<_>>());
}

#[test]
fn files_are_private() {
    let folder = folder();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o7777;
    fs::set_permissions(folder.path().join("notes"), fs::Permissions::from_mode(0o666)).unwrap();
    for (umask, expected) in [("0", 0o600), ("022", 0o600), ("0277", 0o400)] {
        for line in [
            "mapprof report x -o notes",
            "mapprof report x -o new",
            "mapprof report x --format parquet -o new.parquet",
            "mapprof diff x y -o new.diff",
            "mapprof merge x y -o new.mprof",
        ] {
            expect(&folder, &format!("umask {umask}; {line}"), 0, &[]);
            let name = line.rsplit(' ').next().unwrap();
            assert_eq!(mode(name), expected, "{line} with umask {umask}");
            if name != "notes" {
                fs::remove_file(folder.path().join(name)).unwrap();
            }
        }
    }
}

#[test]
fn pipes_are_read_and_written() {
    let folder = folder();
    let report = expect(&folder, "mapprof report x", 0, &[]);
    for line in [
        "mapprof report <(cat x)",
        "cat x | mapprof report /dev/stdin",
        "mapprof report x -o /dev/stdout",
        "mapprof report x -o /dev/stdout > f; cat f",
        "mapprof report x -o >(cat) | cat",
        "mkfifo p; cat p & mapprof report x -o p; wait",
    ] {
        assert_eq!(expect(&folder, line, 0, &[]), report, "{line}");
    }
    let part = expect(&folder, "mapprof report x --from 1s", 0, &[]);
    assert_eq!(expect(&folder, "mapprof report <(cat x) --from 1s", 0, &[]), part);
    let diff = expect(&folder, "mapprof diff x y", 0, &[]);
    assert_eq!(expect(&folder, "mapprof diff <(cat x) <(cat y)", 0, &[]), diff);
    expect(&folder, "mapprof merge <(cat x) y -o z", 0, &["merged 2 recordings into 4 intervals"]);
    expect(&folder, "mapprof report <(echo no recording)", 1, &["not a recording"]);
    expect(&folder, "mapprof report <(head -c 60 x)", 1, &["cut short"]);
    expect(&folder, "mapprof report <(true)", 1, &["is empty"]);
}

#[test]
fn more_recordings_are_merged_than_files_may_be_open() {
    let folder = folder();
    for number in 0..250 {
        fs::copy(folder.path().join("x"), folder.path().join(format!("run-{number}"))).unwrap();
    }
    let line = "ulimit -n 24; mapprof merge run-* -o z";
    expect(&folder, line, 0, &["merged 250 recordings into 3 intervals"]);
    expect(&folder, "mapprof report z --format json | grep -q '\"events\": 7500'", 0, &[]);
}

#[test]
fn an_error_names_its_cause_once() {
    let folder = folder();
    let output = shell(&folder, "mapprof report .");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.matches("os error 21").count(), 1, "{stderr}");
    let output = shell(&folder, "mapprof report absent");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.matches("os error 2").count(), 1, "{stderr}");
}
