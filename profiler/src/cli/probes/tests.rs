//! The plan of a tiny program, as it is printed.

use std::io::Write as _;

use super::*;
use crate::catalog::{Entry, custom};
use crate::placement::{Only, plan};
use crate::target::fixture::TinyGo;

fn planned() -> (Target, Plan) {
    let push = vec![0x55, 0x5d, 0xc3];
    let slow = vec![0x48, 0x31, 0xc0, 0xc3]; // xor rax, rax
    let program = TinyGo::new(vec![("main.(*Cache).Get", push), ("main.Put", slow)]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tiny");
    std::fs::File::create(&path).unwrap().write_all(&program.build()).unwrap();
    let target = Target::of_file(&path).unwrap();
    let probes =
        ["lookup:main.(*Cache).Get key=rbx:str len=rcx map=rax", "insert:main.Put map=rax"];
    let probes = probes.iter().map(|probe| custom::parse(probe).unwrap());
    let missing = Entry { module: None, ..Entry::at("main.Drop".into(), String::new()) };
    let entries: Vec<_> =
        probes.flat_map(|probe| probe.entries(&target).unwrap()).chain([missing]).collect();
    let plan = plan(&target, &entries, Only::All);
    (target, plan)
}

#[test]
fn text_is_a_table_and_the_reasons() {
    let (target, plan) = planned();
    let text = text(&target, &plan);
    let (heading, rest) = text.split_once('\n').unwrap();
    assert!(heading.ends_with(
        "/tiny, go1.27.3: 2 probes, 1 of them slow (single-stepped, about 17 times dearer)"
    ));
    let expected = "
ROLE    FUNCTION           MODULE  ADDRESS   OFFSET  INSTRUCTION   COST
lookup  main.(*Cache).Get  tiny    0x401000  +0x0    push rbp      emulated
insert  main.Put           tiny    0x401100  +0x0    xor rax, rax  SLOW

Left out:
  main.Drop: no function of this name is in tiny or its libraries
";
    assert_eq!(rest, expected);
}

#[test]
fn json_says_the_same() {
    let (target, plan) = planned();
    let value = json(&target, &plan);
    assert_eq!(value["schema"], "mapprof.probes.v1");
    assert_eq!(value["target"]["runtimes"][0]["version"], "go1.27.3");
    assert_eq!(value["target"].get("pid"), None);
    let site = &value["sites"][1];
    assert_eq!((&site["role"], &site["cost"]), (&"insert".into(), &"slow".into()));
    assert_eq!((&site["address"], &site["file_offset"]), (&0x40_1100.into(), &0x1100.into()));
    assert_eq!(value["left_out"][0]["function"], "main.Drop");
}
