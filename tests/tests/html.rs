//! The HTML page in a real browser: sorted, searched, clicked into, switched to dark, and
//! asking for nothing. Pictures are left in the target folder's `artefacts/html`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use mapprof_tests::{Mapprof, Program, browser, can_profile, npm, observe, programs, target_dir};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

/// Most that the demo's page may be, bytes.
const DEMO_LIMIT: u64 = 1_000_000;

/// Where pictures of a test are left.
fn artefacts(test: &str) -> Result<PathBuf> {
    let folder = target_dir().join("artefacts/html").join(test);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A recording, and the reports that are made of it.
struct Recorded(TempDir);

impl Recorded {
    /// Of a whole run of a Go program.
    fn of(program: &str, args: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = Program::hold(&programs::newest_go(program)?, args)?;
        let mapprof = Mapprof::new([
            "record",
            "--max-overhead",
            "none",
            "--duration",
            "170s",
            "--ring-mib",
            "32",
        ])
        .args(["--pid", &program.pid().to_string(), "--interval", "200ms"])
        .arg("-o")
        .arg(folder.path().join("run.mprof"));
        let (_, outcome) = observe::<Value>(program, mapprof)?;
        outcome.expect_code(0)?;
        Ok(Self(folder))
    }

    /// Written in a format with at most so many keys of each map.
    fn report(&self, format: &str, keys: &str) -> Result<PathBuf> {
        let output = self.0.path().join(format!("run.{format}"));
        Mapprof::new(["report", "--format", format, "--keys", keys, "-o"])
            .arg(&output)
            .arg(self.0.path().join("run.mprof"))
            .run()?
            .expect_code(0)?;
        Ok(output)
    }
}

/// One part of `page.mjs`: what it printed.
fn drive(what: &str, browser: &Path, page: &Path, json: &Path) -> Result<String> {
    let artefacts = artefacts(what)?;
    npm::node("page.mjs", &[Path::new(what), browser, page, &artefacts, json])
}

/// Sorting, searching, a lock's details, the flame graph by mouse and keys, the theme; every
/// text of the page replaced by something hostile.
#[test]
fn the_page_works_and_nothing_in_it_is_obeyed() -> Result<()> {
    let Some(browser) = browser::for_test() else { return Ok(()) };
    if !can_profile() {
        return Ok(());
    }
    let recorded = Recorded::of("owner", &["-scenario", "mutex"])?;
    let (page, json) = (recorded.report("html", "100")?, recorded.report("json", "100")?);
    drive("use", &browser, &page, &json)?;
    drive("hostile", &browser, &page, &json)?;
    Ok(())
}

/// What `page.mjs` measures.
#[derive(Debug, Deserialize)]
struct Times {
    rows: usize,
}

/// Only what is seen is drawn. How long it takes is printed, not asserted.
#[test]
fn fifty_thousand_keys_stay_usable() -> Result<()> {
    const KEYS: usize = 50_000;
    let Some(browser) = browser::for_test() else { return Ok(()) };
    if !can_profile() {
        return Ok(());
    }
    let recorded = Recorded::of("keys", &["-keys", &KEYS.to_string(), "-passes", "2"])?;
    let (page, json) = (recorded.report("html", "50000")?, recorded.report("json", "1")?);
    let told = drive("time", &browser, &page, &json)?;
    let times: Times = serde_json::from_str(&told).with_context(|| told.clone())?;
    ensure!(times.rows >= KEYS, "only {} keys in the page", times.rows);
    println!("{} bytes with {KEYS} keys: {told}", fs::metadata(&page)?.len());
    Ok(())
}

/// The demo's workload runs as long as the demo; a second mapprof records it.
#[test]
fn the_demos_page_is_small() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut demo = Mapprof::new(["demo", "--duration", "4s"]).start()?;
    demo.wait_until_attached()?;
    let children = format!("/proc/{0}/task/{0}/children", demo.pid());
    let workload = fs::read_to_string(children)?.trim().to_owned();
    let folder = tempfile::tempdir()?;
    let recorded = Recorded(folder);
    Mapprof::new([
        "record",
        "--max-overhead",
        "none",
        "--duration",
        "2s",
        "--pid",
        &workload,
        "-o",
    ])
    .arg(recorded.0.path().join("run.mprof"))
    .run()?
    .expect_code(0)?;
    demo.finish()?.expect_code(0)?;
    // All keys that the demo has.
    let size = fs::metadata(recorded.report("html", "1000")?)?.len();
    println!("{size} bytes for the demo with all its keys");
    ensure!(size <= DEMO_LIMIT, "{size} bytes");
    Ok(())
}
