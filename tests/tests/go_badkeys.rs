//! Keys that cannot be read are counted with the reason, and those that are read in
//! part say so. Nothing that the target does makes mapprof fail.

use anyhow::Result;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::summary::{Map, Ops, Summary};
use mapprof_tests::{Mapprof, Program, can_profile, observe};
use serde::Deserialize;

/// The program's functions take the words of these.
const PROBES: [&str; 2] = [
    "lookup:main.(*Table).Text(t recv, key string) map=t key=key",
    "lookup:main.(*Table).Any(t recv, key any) map=t key=key",
];

/// What `badkeys` prints.
#[derive(Debug, Deserialize)]
struct Truth {
    maps: Vec<MapTruth>,
}

#[derive(Debug, Deserialize)]
struct MapTruth {
    name: String,
    address: String,
    keys: Vec<KeyTruth>,
    /// Keys whose memory cannot be read.
    memory: u64,
    /// Keys whose type cannot be read.
    #[serde(rename = "type")]
    types: u64,
    /// Keys that are shown in whatever way.
    others: u64,
}

#[derive(Debug, Deserialize)]
struct KeyTruth {
    key: String,
    lookup: u64,
}

fn lookups(lookup: u64) -> Ops {
    Ops { lookup, ..Ops::default() }
}

impl Truth {
    /// Every map, key and reason that the summary has otherwise.
    fn differences(&self, summary: &Summary) -> Vec<String> {
        let mut differences: Vec<String> = summary.window.lost.keys().cloned().collect();
        for truth in &self.maps {
            let found: Vec<_> = summary
                .maps
                .iter()
                .filter(|map| map.address.as_ref() == Some(&truth.address))
                .collect();
            match found[..] {
                [map] => truth.compare(map, &mut differences),
                _ => differences.push(format!("{}: {} maps", truth.name, found.len())),
            }
        }
        differences
    }
}

impl MapTruth {
    fn compare(&self, map: &Map, differences: &mut Vec<String>) {
        let name = &self.name;
        let mut expect = |what: &str, found: u64, truth: u64| {
            if found != truth {
                differences.push(format!("{name}: {found} {what} instead of {truth}"));
            }
        };
        let known: u64 = self.keys.iter().map(|key| key.lookup).sum();
        let all = known + self.memory + self.types + self.others;
        expect("lookups", map.ops.lookup, all);
        expect("unreadable", map.unreadable_keys, self.memory + self.types);
        expect("without memory", *map.unreadable.get("memory").unwrap_or(&0), self.memory);
        expect("without type", *map.unreadable.get("type").unwrap_or(&0), self.types);
        let is_known = |text: &str| self.keys.iter().any(|key| key.key == text);
        let others = map.keys.iter().filter(|key| !is_known(&key.key));
        let listed: Vec<_> = others.clone().map(|key| &key.key).collect();
        expect(&format!("others {listed:?}"), others.map(|key| key.ops.lookup).sum(), self.others);
        for truth in &self.keys {
            let rows: Vec<_> = map.keys.iter().filter(|key| key.key == truth.key).collect();
            let is_cut = truth.key.ends_with('…');
            match rows[..] {
                [row] if (row.ops, row.margin, row.cut) == (lookups(truth.lookup), 0, is_cut) => {}
                _ => differences.push(format!("{name}[{}]: {rows:?}", truth.key)),
            }
        }
    }
}

fn observed(version: &str, link: Link, program: &[&str], mapprof: &[&str]) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::go(version, link, "badkeys")?, program)?;
    let own = PROBES.into_iter().flat_map(|probe| ["--probe", probe]);
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "maps"]).args(own).args(mapprof);
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert!(truth.maps.len() > 5);
    assert_eq!(truth.differences(&summary), Vec::<String>::new(), "{version}");
    Ok(())
}

#[test]
fn go_1_21() -> Result<()> {
    observed("1.21.13", Link::Normal, &[], &[])
}

#[test]
fn go_1_24_position_independent() -> Result<()> {
    observed("1.24.11", Link::StrippedPie, &[], &[])
}

#[test]
fn go_1_27() -> Result<()> {
    observed("1.27.3", Link::Normal, &[], &[])
}

/// Keys longer than `--key-bytes` that begin the same are one, but for numbers.
#[test]
fn keys_are_read_in_part() -> Result<()> {
    for bytes in ["4", "16"] {
        for version in ["1.21.13", "1.27.3"] {
            observed(version, Link::Normal, &["-bytes", bytes], &["--key-bytes", bytes])?;
        }
    }
    Ok(())
}

/// What people read tells of keys that could not be read where it tells of the others.
#[test]
fn the_report_shows_a_row_for_each_reason() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("badkeys")?, [] as [&str; 0])?;
    let own = PROBES.into_iter().flat_map(|probe| ["--probe", probe]);
    let mapprof = Mapprof::new(["stat", "--duration", "170s", "--no-builtin", "--pid"])
        .arg(program.pid().to_string())
        .args(own);
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let text = outcome.expect_code(0)?.stdout;
    let rows = truth.maps.iter().flat_map(|map| {
        [(map.memory, "its memory could not be read"), (map.types, "its type could not be read")]
    });
    let wanted: Vec<_> = rows
        .filter(|(count, _)| *count > 100)
        .map(|(_, why)| format!("(unreadable: {why})"))
        .collect();
    assert_eq!(wanted.len(), 3);
    for row in wanted {
        assert!(text.contains(&row), "no {row} in:\n{text}");
    }
    Ok(())
}
