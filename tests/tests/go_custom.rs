//! A Go program's own concurrent maps, by `--probe` and by `--config`.

use std::io::Write as _;

use anyhow::{Result, ensure};
use mapprof_tests::go::NEWEST;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, observe};
use tempfile::NamedTempFile;

const NO_ARGS: [&str; 0] = [];

/// docs/own-maps.md shows them.
const PROBES: [&str; 5] = [
    "lookup:main.(*Cache[K,V]).Get(c recv, dict, key K) map=c key=key",
    "insert:main.(*Cache[K,V]).Put(c recv, dict, key K, value V) map=c key=key",
    "delete:main.(*Cache[K,V]).Remove(c recv, dict, key K) map=c key=key",
    "iterate:main.(*Cache[...]).Range(c recv, dict, each func(K, V) bool) map=c",
    "lookup:main.Index.Find(x struct{rows [][]byte; scale float64; base int32}, name []byte) \
     map=x.rows key=name:str kind=index",
];

/// Keys that are interfaces.
const REGISTRY: [&str; 2] = [
    "lookup:main.(*Registry).Load(r recv, key any) map=r key=key kind=registry",
    "insert:main.(*Registry).Store(r recv, key any, value int) map=r key=key kind=registry",
];

const REGISTRY_FILE: &str = r#"
[[probe]]
op = "lookup"
function = "main.(*Registry).Load"
params = "r recv, key any"
map = "r"
key = "key"
kind = "registry"

[[probe]]
op = "insert"
function = "main.(*Registry).Store"
params = "r recv, key any"
map = "r"
key = "key"
kind = "registry"
"#;

const FILE: &str = r#"
# The cache's own operations.
[[probe]]
op = "lookup"
function = "main.(*Cache[K,V]).Get"
params = "c recv, dict, key K"
map = "c"
key = "key"

[[probe]]
op = "insert"
function = "main.(*Cache[K,V]).Put"
params = "c recv, dict, key K, value V"
map = "c"
key = "key"

[[probe]]
op = "delete"
function = "main.(*Cache[K,V]).Remove"
params = "c recv, dict, key K"
map = "c"
key = "key"

[[probe]]
op = "iterate"
function = "main.(*Cache[...]).Range"
params = "c recv, dict, each func(K, V) bool"
map = "c"

[[probe]]
op = "lookup"
function = "main.Index.Find"
params = """
    x struct{
        rows  [][]byte
        scale float64
        base  int32
    },
    name []byte,
"""
map = "x.rows"
key = "name:str"
kind = "index"
"#;

fn file(text: &str) -> Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("own").suffix(".toml").tempfile()?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

fn options() -> impl Iterator<Item = &'static str> {
    PROBES.into_iter().chain(REGISTRY).flat_map(|probe| ["--probe", probe])
}

/// Generic functions can be probed since 1.21.
const VERSIONS: [&str; 3] = ["1.21.13", "1.24.11", NEWEST];

/// Every operation of every map, by key.
fn counts_are_exact(version: &str, link: Link, own: impl Fn(Mapprof) -> Mapprof) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::go(version, link, "ownmap")?, NO_ARGS)?;
    let mapprof = own(Mapprof::stat(program.pid()).args(["--only", "maps", "--no-builtin"]));
    let (truth, outcome) = observe::<Counts>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!((truth.maps.len(), summary.maps.len()), (5, 5));
    assert_eq!(summary.window.events, truth.total());
    let kinds = |kind: &str| summary.maps.iter().filter(|map| map.kind == kind).count();
    assert_eq!((kinds("custom.map"), kinds("index"), kinds("registry")), (3, 1, 1));
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    Ok(())
}

#[test]
fn by_options() -> Result<()> {
    for version in VERSIONS {
        counts_are_exact(version, Link::Normal, |mapprof| mapprof.args(options()))?;
    }
    Ok(())
}

#[test]
fn by_file_in_a_stripped_program() -> Result<()> {
    let file = file(&format!("{FILE}{REGISTRY_FILE}"))?;
    for version in VERSIONS {
        counts_are_exact(version, Link::Stripped, |it| it.arg("--config").arg(file.path()))?;
    }
    Ok(())
}

/// A file and an option together; built-in maps beside them.
#[test]
fn a_file_and_options_add_up() -> Result<()> {
    let exe = programs::newest_go("ownmap")?;
    let (one, others) = FILE.split_at(FILE.rfind("[[probe]]").unwrap_or_default());
    ensure!(others.contains("Index"), "{others}");
    let file = file(one)?;
    let plan = Mapprof::new(["probes", "--format", "json", "--exe"])
        .arg(exe)
        .arg("--config")
        .arg(file.path())
        .args(["--probe", PROBES[4]])
        .run()?
        .expect_code(0)?;
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout)?;
    let of = |runtime: &str| {
        let sites = plan["sites"].as_array().into_iter().flatten();
        sites.filter(|site| site["runtime"] == runtime).count()
    };
    // Get, Put, Remove and Range of three instantiations, and Find.
    assert_eq!(of("custom"), 4 * 3 + 1);
    assert!(of("go") > 0);
    Ok(())
}

/// A mistake is shown where it is, before anything is looked at.
#[test]
fn mistakes_are_pointed_at() -> Result<()> {
    let wrong = file(&FILE.replace("map = \"x.rows\"", "map = \"x.row\""))?;
    let name = wrong.path().to_string_lossy().into_owned();
    // The process does not exist: the file is read first.
    for command in ["stat", "top"] {
        Mapprof::new([command, "--pid", "999999999", "--config", &name])
            .run()?
            .expect_code(2)?
            .expect_message(&[
                &format!("{name}:41:10: "),
                "did you mean rows?",
                "  41 | map = \"x.row\"\n     |          ^",
            ])?;
    }
    let unknown = file(&FILE.replace("kind =", "knid ="))?;
    Mapprof::new(["probes", "--exe", "/proc/self/exe", "--config"])
        .arg(unknown.path())
        .run()?
        .expect_code(2)?
        .expect_message(&[".toml:43:1: expected one of", "did you mean kind?"])?;
    Mapprof::new(["probes", "--exe", "/proc/self/exe", "--config", "/no/such/own.toml"])
        .run()?
        .expect_code(2)?
        .expect_message(&["/no/such/own.toml"])?;
    Ok(())
}

/// What does not go together with the program is said before anything is attached.
#[test]
fn probes_that_do_not_fit_the_program_attach_nothing() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("ownmap")?, NO_ARGS)?;
    let cases = [
        ("lookup:main.(*Registry).Load key=arg2", "is a Go function"),
        ("lookup:main.(*Cache[K,V]).Get(c recv, key K) key=key", "expected dict"),
        ("lookup:main.(*Cache[string,int]).Get(c recv, key string) key=key", "interface"),
        ("lookup:main.(*Cash[K,V]).Get(c recv, dict, key K) key=key", "main.(*Cache[go.shape."),
    ];
    for (probe, message) in cases {
        let outcome =
            Mapprof::stat(program.pid()).args(["--probe", probe]).run()?.expect_code(2)?;
        ensure!(!outcome.stderr.contains("attached"), "{}", outcome.stderr);
        outcome.expect_message(&[message, probe, "  ^"])?;
    }
    program.finish_well()
}
