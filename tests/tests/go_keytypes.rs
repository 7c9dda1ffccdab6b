//! Keys of every type are shown as the program means them, and counted.

use anyhow::Result;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, observe};

fn all_keys_are_shown(version: &str, link: Link) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::go(version, link, "keytypes")?, [] as [&str; 0])?;
    let mapprof = Mapprof::stat(program.pid());
    let (truth, outcome) = observe::<Counts>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    Ok(())
}

#[test]
fn go_1_21() -> Result<()> {
    all_keys_are_shown("1.21.13", Link::Normal)
}

#[test]
fn go_1_24_stripped() -> Result<()> {
    all_keys_are_shown("1.24.11", Link::Stripped)
}

#[test]
fn go_1_27_stripped() -> Result<()> {
    all_keys_are_shown("1.27.3", Link::Stripped)
}
