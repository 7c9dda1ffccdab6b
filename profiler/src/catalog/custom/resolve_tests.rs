//! Probes against the functions of a tiny Go program.

use std::io::Write as _;

use probe_ebpf::{Operand, Reg};

use super::*;
use crate::catalog::{KeySource, Symbol, Task};
use crate::target::fixture::TinyGo;

const STRINGS: &str = "main.(*Cache[go.shape.string,go.shape.int]).Put";
const NUMBERS: &str = "main.(*Cache[go.shape.uint16,go.shape.string]).Put";
const STRUCTS: &str =
    "main.(*Cache[go.shape.struct { main.id int; main.to string },go.shape.int]).Del";

fn target() -> Target {
    let names = [
        STRINGS,
        NUMBERS,
        STRUCTS,
        "main.(*Cache[go.shape.struct { main.at time.Time },go.shape.int]).Len",
        "main.(*Cache[string,int]).Put",
        "main.(*Cache[int,int]).Inlined",
        "main.(*Cache[...]).Old",
        "main.(*Plain).Put",
        "other.(*Plain).Put",
        "cmap/v2.ConcurrentMap[go.shape.string,go.shape.int].Set",
        "main.Fn[go.shape.string]",
    ];
    let program = names.map(|name| (name, vec![0x55, 0x5d, 0xc3])).into();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tiny");
    std::fs::File::create(&path).unwrap().write_all(&TinyGo::new(program).build()).unwrap();
    Target::of_file(&path).unwrap()
}

fn entries(probe: &str) -> Vec<Entry> {
    parse(probe).unwrap().entries(&target()).unwrap()
}

fn exact(name: &str) -> Symbol {
    Symbol::Exact(name.to_owned().into())
}

#[test]
fn generic_code_is_laid_out_for_each_of_its_shapes() {
    let entries =
        entries("insert:main.(*Cache[K,V]).Put(c recv, dict, key K, value V) map=c key=key");
    let [strings, numbers] = &entries[..] else { panic!("{entries:?}") };
    let (rcx, rdi) = (Operand::reg(Reg::Rcx), Operand::reg(Reg::Rdi));
    assert_eq!(strings.symbol, exact(STRINGS));
    assert_eq!(strings.key, KeySource::Str { pointer: rcx, len: rdi });
    assert_eq!(numbers.symbol, exact(NUMBERS));
    assert_eq!(numbers.key, KeySource::Int { value: rcx, size: 2 });
    for entry in &entries {
        assert_eq!(entry.object, Operand::reg(Reg::Rax));
        assert_eq!((entry.task, entry.required), (Task::Goroutine, true));
        assert_eq!(entry.module.as_deref(), Some("tiny"));
    }
}

#[test]
fn any_type_arguments_and_certain_ones() {
    let keyless = entries("clear:main.(*Cache[...]).Put(c recv, dict) map=c");
    assert_eq!(keyless.len(), 2);
    let one = entries(&format!("insert:{NUMBERS}(c recv, dict, key uint16) key=key"));
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].symbol, exact(NUMBERS));
    let field = entries("delete:main.(*Cache[K,V]).Del(c recv, dict, key K) key=key.to");
    let string = KeySource::Str { pointer: Operand::reg(Reg::Rdi), len: Operand::reg(Reg::Rsi) };
    assert_eq!(field[0].key, string);
    // Registers by name need no parameters.
    assert_eq!(entries("insert:main.(*Cache[...]).Put key=rcx map=rax").len(), 2);
}

#[test]
fn names_without_type_parameters() {
    let plain = entries("insert:main.(*Plain).Put(p recv, key string) key=key");
    assert_eq!(plain.len(), 1);
    assert_eq!(entries("insert:*.(*Plain).Put(p recv, key string) key=key").len(), 2);
    assert_eq!(entries("insert:main.(*Plain).Put key=rbx").len(), 1);
    let missing = parse("insert:my_put key=arg1").unwrap().entries(&target()).unwrap_err();
    assert_eq!((missing.column, &*missing.text), (7, "insert:my_put key=arg1"));
}

/// As the disassembly of such functions shows, built by Go 1.21 and 1.27.
#[test]
fn the_dictionary_follows_the_receiver_or_comes_first() {
    let string =
        |pointer, len| KeySource::Str { pointer: Operand::reg(pointer), len: Operand::reg(len) };
    let set = entries(
        "insert:cmap/v2.ConcurrentMap[K,V].Set(m struct{shards []*S; sharding func(K) uint32}, \
         dict, key K, value V) map=m.shards key=key",
    );
    assert_eq!(set[0].object, Operand::reg(Reg::Rax));
    assert_eq!(set[0].key, string(Reg::R8, Reg::R9));
    let function = entries("lookup:main.Fn[K](dict, m map[K]int, key K) map=m key=key");
    assert_eq!(function[0].object, Operand::reg(Reg::Rbx));
    assert_eq!(function[0].key, string(Reg::Rcx, Reg::Rdi));
}

/// What is said where a probe and the program do not go together.
#[test]
fn mistakes_about_the_program() {
    let mistakes = [
        "insert:main.(*Plain).Put key=arg2",
        "insert:main.(*Cache[...]).Put key=arg2",
        "insert:main.(*Plain).Put(p recv, dict, key string) key=key",
        "insert:main.(*Cache[K,V]).Put(c recv, key K) key=key",
        "insert:main.(*Cache[K]).Put(c recv, dict, key K) key=key",
        "insert:main.(*Cache[K,V]).Put(c recv, dict, value V, key K) key=value:int",
        "delete:main.(*Cache[K,V]).Del(c recv, dict, key K) key=key",
        "lookup:main.(*Cache[K,V]).Len(c recv, dict, key K) key=key",
        "insert:main.(*Cache[string,int]).Put(c recv, key string) key=key",
        "lookup:main.(*Cache[K,V]).Inlined(c recv, dict, key K) key=key",
        "lookup:main.(*Cache[K,V]).Old(c recv, dict, key K) key=key",
        "insert:main.(*Plane).Put(p recv, key string) key=key",
        "insert:main.Gone(key string) key=key",
    ];
    let target = target();
    let said = mistakes
        .map(|text| parse(text).unwrap().entries(&target).map(|_| ()).expect_err(text).to_string());
    insta::assert_snapshot!("mistakes_about_the_program", said.join("\n"));
}
