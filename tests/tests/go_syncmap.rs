//! Every operation on every key of every `sync.Map` of a Go program is counted, once,
//! and what the map does inside is not counted as the program's.

use anyhow::Result;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, observe};

fn all_counts_are_exact(version: &str, link: Link) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::go(version, link, "syncmap")?, [] as [&str; 0])?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "maps"]);
    let (truth, outcome) = observe::<Counts>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    for map in &truth.maps {
        let found = summary.maps.iter().find(|it| it.address.as_ref() == Some(&map.address));
        assert_eq!(found.map(|it| it.kind.as_str()), Some("sync.Map"));
        // Named by who uses it, and used there, though the map's own methods are inlined.
        let is_own = |name: &str| name.starts_with("main.");
        let label = found.and_then(|it| it.label.as_deref()).unwrap_or_default();
        assert!(is_own(label), "{label}");
        let sites = found.iter().flat_map(|it| &it.callers);
        let places: Vec<&str> = sites.map(|it| it.frames[0].function.as_str()).collect();
        assert!(!places.is_empty() && places.iter().all(|it| is_own(it)), "{places:?}");
    }
    let inner = |it: &&mapprof_tests::summary::Map| {
        it.type_name.as_deref().is_some_and(|name| name.contains("sync.entry"))
    };
    assert_eq!(summary.maps.iter().filter(inner).count(), 0, "maps inside of maps");
    Ok(())
}

#[test]
fn go_1_19() -> Result<()> {
    all_counts_are_exact("1.19", Link::Normal)
}

#[test]
fn go_1_21() -> Result<()> {
    all_counts_are_exact("1.21.13", Link::Stripped)
}

#[test]
fn go_1_23() -> Result<()> {
    all_counts_are_exact("1.23.9", Link::Normal)
}

#[test]
fn go_1_24() -> Result<()> {
    all_counts_are_exact("1.24.11", Link::Normal)
}

/// The map from before 1.24, over the built-in maps from before 1.24.
#[test]
fn go_1_24_with_the_old_maps() -> Result<()> {
    all_counts_are_exact("1.24.11", Link::OldMaps)
}

#[test]
fn go_1_27() -> Result<()> {
    all_counts_are_exact("1.27.3", Link::Stripped)
}
