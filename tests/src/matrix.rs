//! The matrix of Go versions and builds over which every count must be exact.
//!
//! In: a version and a build. Out: in what mapprof's figures differ from what the
//! `counts` program says of itself.

use anyhow::{Result, ensure};

use crate::go::{DEBIAN, NEWEST, VERSIONS};
use crate::programs::{self, Link};
use crate::summary::Summary;
use crate::truth::Counts;
use crate::{Mapprof, Program, observe};

/// One version and one build.
pub type Combination = (&'static str, Link);

/// The part that every run of the tests covers: four versions, each build at least
/// once. The builds are those that differ most in where a version keeps its tables.
pub const QUICK: [Combination; 12] = [
    (DEBIAN, Link::Normal),
    (DEBIAN, Link::Cgo),
    ("1.21.13", Link::Normal),
    ("1.21.13", Link::Stripped),
    ("1.21.13", Link::CgoPie),
    ("1.24.11", Link::Pie),
    ("1.24.11", Link::CgoPie),
    ("1.24.11", Link::OldMaps),
    ("1.24.11", Link::TrimPath),
    (NEWEST, Link::Normal),
    (NEWEST, Link::StrippedPie),
    (NEWEST, Link::Cgo),
];

/// Every version in every build.
pub fn all() -> impl Iterator<Item = Combination> {
    let each = VERSIONS.into_iter().flat_map(|version| Link::ALL.map(|link| (version, link)));
    each.chain([("1.24.11", Link::OldMaps)])
}

/// Runs of a combination in which a key could not be read, at most.
const UNREADABLE: usize = 2;

/// Profiles the `counts` program from before its first operation to after its last.
/// The kernel may move or reclaim the page of a key at any moment, and a probe cannot
/// wait for it: the key then counts as unreadable, which is right but tells nothing of
/// the counting. Such a run is repeated.
pub fn differences(version: &str, link: Link) -> Result<Vec<String>> {
    for _ in 0..UNREADABLE {
        let (summary, differences) = run(version, link)?;
        if summary.maps.iter().all(|map| map.unreadable_keys == 0) {
            return Ok(differences);
        }
        eprintln!("{version} {}: a key was unreadable, so again", link.name());
    }
    Ok(run(version, link)?.1)
}

fn run(version: &str, link: Link) -> Result<(Summary, Vec<String>)> {
    let program = Program::hold(&programs::go(version, link, "counts")?, [] as [&str; 0])?;
    let mapprof = Mapprof::stat(program.pid());
    let (truth, outcome) = observe::<Counts>(program, mapprof)?;
    let summary = outcome.summary()?;
    let mut differences = truth.differences(&summary);
    if truth.mismatches > 0 {
        differences
            .push(format!("the program computed something wrong {} times", truth.mismatches));
    }
    let window = &summary.window;
    if window.events < truth.total() || window.observed_ns != window.duration_ns {
        differences.push(format!("{} operations, but {window:?}", truth.total()));
    }
    // Debian's patch level is whatever its packages have.
    let expected = format!("go{version}");
    let is_named = match summary.target.runtimes.as_slice() {
        [it] => it.name == "go" && it.version.starts_with(&expected),
        _ => false,
    };
    ensure!(is_named, "runtimes are {:?}", summary.target.runtimes);
    Ok((summary, differences))
}
