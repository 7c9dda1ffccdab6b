//! Every rule of the grammar, and every way to break it.

use std::path::Path;

use probe_ebpf::{Op, Operand, Reg};
use proptest::prelude::*;

use super::go_type::Type;
use super::operand::{DEREFS_LIMIT, REGISTERS};
use super::pattern::Pattern;
use super::*;
use crate::catalog::{KeyFormat, KeySource, Role, Symbol};

const ARG1: Operand = Operand::reg(Reg::Rdi);
const ARG2: Operand = Operand::reg(Reg::Rsi);
const ARG3: Operand = Operand::reg(Reg::Rdx);

/// The entry before the program is known.
fn entry(text: &str) -> Entry {
    let probe = parse(text).unwrap();
    probe.draft.build(&probe.draft.pattern.unbound()).unwrap().entry
}

#[test]
fn the_readme_example() {
    let entry = entry("lookup:my_get key=arg2:str map=arg1");
    assert_eq!(entry.role, Role::Map(Op::Lookup));
    assert_eq!(entry.symbol, Symbol::Exact("my_get".into()));
    assert_eq!(entry.key, KeySource::CStr { pointer: ARG2 });
    assert_eq!((entry.format, entry.object), (KeyFormat::Str, ARG1));
    assert_eq!((entry.kind.as_ref(), entry.module.as_deref()), ("custom.map", None));
    assert!(entry.required);
}

#[test]
fn locks_modules_and_kinds() {
    let entry = entry("lock:LWLockAcquire@postgres lock=*(arg1+0x10)-8 kind=lwlock");
    assert_eq!(entry.role, Role::Acquire);
    assert_eq!(entry.module.as_deref(), Some("postgres"));
    assert_eq!(entry.object, Operand { derefs: 1, offsets: [16, -8, 0], ..ARG1 });
    assert_eq!(entry.kind, "lwlock");
}

#[test]
fn keys_in_every_format() {
    let key = |fields: &str| {
        let entry = entry(&format!("insert:f {fields}"));
        (entry.key, entry.format)
    };
    let int = |size| KeySource::Int { value: ARG2, size };
    let slice = KeySource::Str { pointer: ARG2, len: ARG3 };
    assert_eq!(key("key=arg2"), (int(8), KeyFormat::Int));
    assert_eq!(key("key=arg2:int32"), (int(4), KeyFormat::Int));
    assert_eq!(key("key=arg2:uint16"), (int(2), KeyFormat::Uint));
    assert_eq!(key("key=arg2:hex"), (int(8), KeyFormat::Hex));
    assert_eq!(key("key=arg2 len=arg3"), (slice, KeyFormat::Str));
    assert_eq!(key("len=arg3 key=arg2:bytes"), (slice, KeyFormat::Bytes));
    let bytes = KeySource::Bytes { pointer: ARG2, size: 16 };
    assert_eq!(key("key=arg2:bytes16"), (bytes, KeyFormat::Bytes));
    assert_eq!(key("map=arg1"), (KeySource::None, KeyFormat::Bytes));
}

#[test]
fn symbols_of_every_language() {
    let symbol = |text: &str| entry(text).symbol;
    assert_eq!(symbol("lookup:my::map::get"), Symbol::Exact("my::map::get".into()));
    assert_eq!(symbol("lookup:main.(*Cache).Get"), Symbol::Exact("main.(*Cache).Get".into()));
    assert_eq!(symbol("lookup:main.(*Cache).*"), Symbol::Glob("main.(*Cache).*".into()));
    assert_eq!(symbol("lookup:*::get"), Symbol::Glob("*::get".into()));
}

/// What a Go function's key is, and the map's place.
fn go(probe: &str) -> (KeySource, KeyFormat, Operand) {
    let entry = entry(probe);
    (entry.key, entry.format, entry.object)
}

const RAX: Operand = Operand::reg(Reg::Rax);
const RBX: Operand = Operand::reg(Reg::Rbx);
const RCX: Operand = Operand::reg(Reg::Rcx);
const RDI: Operand = Operand::reg(Reg::Rdi);

#[test]
fn go_parameters_take_registers_in_order() {
    let key = |params: &str, key: &str| go(&format!("insert:main.F({params}) key={key}")).0;
    let int = |value, size| KeySource::Int { value, size };
    let string = |pointer, len| KeySource::Str { pointer, len };
    assert_eq!(key("c recv, key string", "key"), string(RBX, RCX));
    assert_eq!(key("c *Cache, key, value string", "value"), string(RDI, Operand::reg(Reg::Rsi)));
    assert_eq!(key("c recv, dict, key uint16, v any", "key"), int(RCX, 2));
    assert_eq!(key("a float64, b bool, key rune", "key"), int(RBX, 4));
    assert_eq!(key("a []byte, key int8", "key"), int(RDI, 1));
    assert_eq!(key("a []byte, b int", "a"), string(RAX, RBX));
    assert_eq!(key("a []int, b int", "a.len"), int(RBX, 8));
    assert_eq!(key("a map[string]func(int, int), key chan int", "key"), int(RBX, 8));
    assert_eq!(key("e error, k any", "k"), KeySource::GoIface { type_word: RCX, data: RDI });
    assert_eq!(key("k any", "k.data"), int(RBX, 8));
    assert_eq!(key("a [0]int, b [1]int, key int", "key"), int(RBX, 8));
    assert_eq!(key("p struct{a float32; b struct{c, d int}}, key int", "key"), int(RCX, 8));
}

#[test]
fn go_structs_are_taken_field_by_field() {
    let probe = "lookup:main.Index.Find(x struct{rows [][]byte; scale float64; base int32}, \
                 name []byte) map=x.rows key=name:str";
    let key = KeySource::Str { pointer: Operand::reg(Reg::Rsi), len: Operand::reg(Reg::R8) };
    assert_eq!(go(probe), (key, KeyFormat::Str, RAX));
    let base = probe.replace("name:str", "x.base");
    assert_eq!(go(&base).0, KeySource::Int { value: RDI, size: 4 });
    let wrapped = "lookup:main.F(k struct{id struct{n uint32}}) key=k";
    assert_eq!(go(wrapped).0, KeySource::Int { value: RAX, size: 4 });
}

/// A parameter that goes to the stack takes no registers from those behind it.
#[test]
fn what_does_not_fit_leaves_its_registers_to_others() {
    let nine = "a, b, c, d, e, f, g, h int";
    let key = |key: &str| parse(&format!("lookup:main.F({nine}, s string, i int) key={key}"));
    let last = KeySource::Int { value: Operand::reg(Reg::R11), size: 8 };
    assert_eq!(go(&format!("lookup:main.F({nine}, s string, i int) key=i")).0, last);
    assert!(key("s").unwrap_err().message.contains("stack"));
    let array = parse("lookup:main.F(a [16]byte, b int) key=a").unwrap_err();
    assert!(array.message.contains("stack"));
    assert_eq!(
        go("lookup:main.F(a [16]byte, b int) key=b").0,
        KeySource::Int { value: RAX, size: 8 }
    );
}

#[test]
fn go_keys_in_other_formats() {
    let key = |key: &str| {
        let (source, format, _) = go(&format!("lookup:main.F(p *T, s string, n uint32) key={key}"));
        (source, format)
    };
    let int = |value, size| KeySource::Int { value, size };
    assert_eq!(key("n:hex"), (int(RDI, 4), KeyFormat::Hex));
    assert_eq!(key("n:int16"), (int(RDI, 2), KeyFormat::Int));
    assert_eq!(key("p"), (int(RAX, 8), KeyFormat::Hex));
    assert_eq!(key("p:str"), (KeySource::CStr { pointer: RAX }, KeyFormat::Str));
    assert_eq!(key("p:bytes8"), (KeySource::Bytes { pointer: RAX, size: 8 }, KeyFormat::Bytes));
    assert_eq!(key("*(p+8):int32"), (int(Operand::deref(Reg::Rax, 8), 4), KeyFormat::Int));
    let inner =
        KeySource::Str { pointer: Operand::deref(Reg::Rax, 0), len: Operand::deref(Reg::Rax, 8) };
    assert_eq!(key("*(p) len=*(p+8)"), (inner, KeyFormat::Str));
    let sized = KeySource::Str { pointer: RBX, len: RCX };
    assert_eq!(key("s:bytes"), (sized, KeyFormat::Bytes));
    assert_eq!(key("rcx:hex"), (int(RCX, 8), KeyFormat::Hex));
}

#[test]
fn patterns_of_generic_code() {
    let pattern = |text: &str| Pattern::new(text, true);
    let put = pattern("main.(*Cache[...]).Put");
    let name = "main.(*Cache[go.shape.string,go.shape.struct { main.a [2]int }]).Put";
    assert!(put.matches(name) && put.matches("main.(*Cache[string,int]).Put"));
    assert!(!put.matches("main.(*Cache[go.shape.int]).Put.func1"));
    assert!(!put.matches("main.(*Cache).Put") && !put.matches("other.(*Cache[int]).Put"));
    let named = pattern("main.(*Cache[K,V]).Put");
    let bound = named.bound(name).unwrap();
    assert_eq!(bound[0], ("K".to_owned(), Type::Text));
    assert!(matches!(&bound[1].1, Type::Struct(fields) if fields[0].1 == Type::Array));
    assert!(named.bound("main.(*Cache[go.shape.int]).Put").is_err());
    // One of them exactly, and a slice in the name of a Rust function.
    for exact in ["main.(*Cache[go.shape.int,go.shape.*uint8]).Put", "main.F[string]"] {
        assert_eq!(pattern(exact).symbol(), Symbol::Exact(exact.to_owned().into()));
    }
    let slice = Pattern::new("<[u8]>::get", false);
    assert_eq!(slice.symbol(), Symbol::Exact("<[u8]>::get".into()));
}

#[test]
fn shapes_as_the_compiler_names_them() {
    let shape = |name: &str| Type::of_shape(&format!("go.shape.{name}"));
    assert_eq!(shape("string"), Type::Text);
    assert_eq!(shape("*uint8"), Type::POINTER);
    assert_eq!(shape("interface { Get(string) int }"), Type::Interface);
    assert_eq!(shape("[]uint8"), Type::Slice { of_bytes: true });
    assert_eq!(shape("[16]uint8"), Type::Array);
    assert_eq!(shape("struct { main.x int32; Y string }").registers(), Some((3, 0)));
    assert!(shape("struct { main.at time.Time }").unknown().is_some());
}

/// What is said of every mistake.
#[test]
fn mistakes_of_options() {
    let mistakes = [
        "",
        "get key=arg1",
        "find:get",
        "lokup:get",
        "lookup:",
        "lookup:get@",
        "lookup:get  foo=arg1",
        "lookup:get arg1",
        "lookup:get keys=arg1",
        "iterate:all key=arg1",
        "lock:l map=arg1",
        "lock:l",
        "lookup:get key=arg7",
        "lookup:get key=",
        "lookup:get key=arg1:float",
        "lookup:get key=arg1:int7",
        "lookup:get key=arg1:bytes0",
        "lookup:get key=arg1:bytes",
        "lookup:get key=arg1:int len=arg2",
        "lookup:get len=arg2",
        "lookup:get map=*(arg1",
        "lookup:get map=*(*(*(arg1)))",
        "lookup:get map=arg1*8",
        "lookup:get map=arg1+",
        "lookup:get map=arg1+0xzz",
        "lookup:get map=arg1++8",
        "lookup:get map=arg1+4294967295",
        "lookup:get map=arg1 map=arg2",
        "lookup:get kind=",
        "lookup:gét map=argü",
        // Go functions.
        "lookup:main.(*Cache.Get key=rax",
        "lookup:main.F(key string",
        "lookup:main.F(key string)x",
        "lookup:main.F(string) key=rax",
        "lookup:main.F(c recv, , key string)",
        "lookup:main.F(key string, key int)",
        "lookup:main.F(key strng) key=key",
        "lookup:main.F(a Session, key string) key=key",
        "lookup:main.F(key string) key=kex",
        "lookup:main.F(key string) key=arg2",
        "lookup:main.F() key=key",
        "lookup:main.F(key string) key=key.size",
        "lookup:main.F(key int) key=key.len",
        "lookup:main.F(key string) key=key:hex",
        "lookup:main.F(key uint16) key=key:hex32",
        "lookup:main.F(key int) key=key:str",
        "lookup:main.F(key any) key=key:int",
        "lookup:main.F(key float64) key=key",
        "lookup:main.F(key [16]byte) key=key",
        "lookup:main.F(key []int) key=key",
        "lookup:main.F(key struct{id int; name string}) key=key",
        "lookup:main.F(key struct{id int; name string}) key=key.nam",
        "lookup:main.F(m struct{a, b int}) map=m",
        "lookup:main.F(m struct a int) map=m",
        "lookup:main.F(m [n]int) map=m",
        "lookup:main.F(a [8]int, b, c, d, e string, f string) key=f",
        "lock:main.F(c recv) lock=c",
    ];
    let said: Vec<_> = mistakes.map(|text| parse(text).expect_err(text).to_string()).into();
    insta::assert_snapshot!("mistakes_of_options", said.join("\n"));
}

/// A file of probes and the same as options.
#[test]
fn a_file_is_read_as_options_are() {
    let file = r#"
        [[probe]]
        op = "insert"
        function = "main.(*Cache[K,V]).Put"
        params = """
            c recv,
            dict,
            key K,
        """
        map = "c"
        key = 'key'
        kind = "cache"

        [[probe]]
        op = "lock"
        function = "LWLockAcquire"
        module = "postgres"
        lock = """*(arg1+8)"""
    "#;
    let options = [
        "insert:main.(*Cache[K,V]).Put(c recv, dict, key K) map=c key=key kind=cache",
        "lock:LWLockAcquire@postgres lock=*(arg1+8)",
    ];
    let built = |probe: &Probe| probe.draft.build(&probe.draft.pattern.unbound()).unwrap().entry;
    let read: Vec<_> =
        file::parse(file, Path::new("own.toml")).unwrap().iter().map(built).collect();
    assert_eq!(read, options.map(entry));
}

/// Every example in the documentation is one that is read.
#[test]
fn the_documentation_is_right() {
    let text = include_str!("../../../../docs/own-maps.md");
    let files: Vec<_> = text.split("```toml\n").skip(1).collect();
    let options: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("--probe ")).collect();
    assert!(files.len() >= 4 && options.len() >= 9);
    for file in files {
        let (file, _) = file.split_once("```").unwrap();
        file::parse(file, Path::new("own.toml")).unwrap();
    }
    for option in options {
        parse(option.trim_matches('\'')).unwrap();
    }
    let mistake = "[[probe]]\nop = \"lookup\"\nfunction = \"main.F\"\n\
                   params = \"c recv, key string\"\nkey = \"kex\"\n";
    let said = file::parse(mistake, Path::new("own.toml")).unwrap_err().to_string();
    assert!(text.contains(&said), "{said}");
}

/// What is said of every mistake in a file.
#[test]
fn mistakes_of_files() {
    let probe = "[[probe]]\nop = \"lookup\"\nfunction = \"main.F\"\n";
    let mistakes = [
        String::new(),
        "op = \"lookup\"".to_owned(),
        "[probe]\nop = \"lookup\"".to_owned(),
        "[[probes]]\nop = \"lookup\"".to_owned(),
        "[[probe]]\nop = lookup\n".to_owned(),
        "[[probe]]\nop = \"lookup\"\nop = \"insert\"\n".to_owned(),
        "probe = [1]".to_owned(),
        "[[probe]]\nop = \"lookup\"\n".to_owned(),
        "[[probe]]\nfunction = \"f\"\n".to_owned(),
        "[[probe]]\nop = \"lokup\"\nfunction = \"f\"\n".to_owned(),
        "[[probe]]\nop = \"lookup\"\nfunction = \"\"\n".to_owned(),
        "[[probe]]\nop = 7\nfunction = \"f\"\n".to_owned(),
        "[[probe]]\nop = \"lock\"\nfunction = \"f\"\n".to_owned(),
        format!("{probe}functoin = \"main.F\"\n"),
        format!("{probe}param = \"key string\"\n"),
        format!("{probe}lock = \"arg1\"\n"),
        format!("{probe}params = \"c recv, key strng\"\nkey = \"key\"\n"),
        format!("{probe}params = \"c recv, key string\"\nmap = \"d\"\nkey = \"key\"\n"),
        format!("{probe}# über\nkey = 'arg1:bytés'  # über\n"),
        format!("{probe}params = \"\"\"\nc recv,\n\tkey strung,\n\"\"\"\nkey = \"key.ptr\"\n"),
    ];
    let path = Path::new("own.toml");
    let said = mistakes.map(|text| file::parse(&text, path).expect_err(&text).to_string());
    insta::assert_snapshot!("mistakes_of_files", said.join("\n"));
}

#[test]
fn the_caret_stands_under_the_place() {
    let error = parse("lookup:get key=argh").unwrap_err();
    let text = error.to_string();
    let mut lines = text.lines().skip(1);
    let column = lines.next().unwrap().find("argh");
    assert_eq!(lines.next().unwrap().find('^'), column);
}

/// An operand and how it is written.
fn operands() -> impl Strategy<Value = (String, Operand)> {
    let offset =
        prop_oneof![Just(0), any::<i32>().prop_filter("has a negative", |&n| n != i32::MIN)];
    let register = 0..REGISTERS.len();
    (register, 0..=DEREFS_LIMIT, [offset.clone(), offset.clone(), offset]).prop_map(
        |(register, derefs, mut offsets)| {
            let (name, register) = REGISTERS[register];
            let mut text = name.to_owned();
            for (index, offset) in offsets.iter_mut().enumerate() {
                if index > usize::from(derefs) {
                    *offset = 0;
                    continue;
                }
                if index > 0 {
                    text = format!("*({text})");
                }
                if *offset != 0 {
                    text = format!("{text}{offset:+}");
                }
            }
            (text, Operand { derefs, offsets, ..Operand::reg(register) })
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.column <= text.chars().count());
        }
    }

    #[test]
    fn nearly_right_text_is_read_or_refused(
        text in "(lookup|lock|iterate):[a-z@*(]{0,4}(\\([a-z ,*\\[\\]{};]{0,12}(dict|string)?\\))?( (key|map|lock|len)=[*(]{0,4}(arg[0-9]|rdi|a.len)[-+x0-9)]{0,9}(:(int|bytes|str)[0-9]{0,5})?){0,3}"
    ) {
        if let Err(error) = parse(&text) {
            prop_assert!(error.column <= text.chars().count());
        }
    }

    #[test]
    fn every_operand_is_read_as_written((text, operand) in operands()) {
        let entry = entry(&format!("lock:f lock={text}"));
        prop_assert_eq!(entry.object, operand);
    }
}
