//! Every rule of the grammar, and every way to break it.

use proptest::prelude::*;

use super::*;

const ARG1: Operand = Operand::reg(Reg::Rdi);
const ARG2: Operand = Operand::reg(Reg::Rsi);
const ARG3: Operand = Operand::reg(Reg::Rdx);

#[test]
fn the_readme_example() {
    let entry = parse("lookup:my_get key=arg2:str map=arg1").unwrap();
    assert_eq!(entry.role, Role::Map(Op::Lookup));
    assert_eq!(entry.symbol, Symbol::Exact("my_get".into()));
    assert_eq!(entry.key, KeySource::CStr { pointer: ARG2 });
    assert_eq!((entry.format, entry.object), (KeyFormat::Str, ARG1));
    assert_eq!((entry.kind.as_ref(), entry.module.as_deref()), ("custom.map", None));
    assert!(entry.required);
}

#[test]
fn locks_modules_and_kinds() {
    let entry = parse("lock:LWLockAcquire@postgres lock=*(arg1+0x10)-8 kind=lwlock").unwrap();
    assert_eq!(entry.role, Role::Acquire);
    assert_eq!(entry.module.as_deref(), Some("postgres"));
    assert_eq!(entry.object, Operand { derefs: 1, offsets: [16, -8, 0], ..ARG1 });
    assert_eq!(entry.kind, "lwlock");
}

#[test]
fn keys_in_every_format() {
    let key = |fields: &str| {
        let entry = parse(&format!("insert:f {fields}")).unwrap();
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
    let symbol = |text: &str| parse(text).unwrap().symbol;
    assert_eq!(symbol("lookup:my::map::get"), Symbol::Exact("my::map::get".into()));
    assert_eq!(symbol("lookup:main.(*Cache).Get"), Symbol::Exact("main.(*Cache).Get".into()));
    assert_eq!(symbol("lookup:main.(*Cache).*"), Symbol::Glob("main.(*Cache).*".into()));
    assert_eq!(symbol("lookup:*::get"), Symbol::Glob("*::get".into()));
}

#[test]
fn errors_point_at_the_place() {
    let cases = [
        ("", 0, "ROLE:SYMBOL"),
        ("get key=arg1", 0, "lookup, insert"),
        ("find:get", 0, "lookup, insert"),
        ("lookup:", 7, "name of a function"),
        ("lookup:get@", 11, "module"),
        ("lookup:get  foo=arg1", 12, "key=, len="),
        ("lookup:get arg1", 11, "key=, len="),
        ("iterate:all key=arg1", 12, "map=, kind="),
        ("lock:l map=arg1", 7, "lock=, kind="),
        ("lock:l", 6, "lock="),
        ("lookup:get key=arg7", 15, "arg1 to arg6"),
        ("lookup:get key=", 15, "arg1 to arg6"),
        ("lookup:get key=arg1:float", 20, "a format"),
        ("lookup:get key=arg1:int7", 23, "8, 16, 32 or 64"),
        ("lookup:get key=arg1:bytes0", 25, "from 1 to 4096"),
        ("lookup:get key=arg1:bytes", 25, "bytes16, or len="),
        ("lookup:get key=arg1:int len=arg2", 24, "leave len= out"),
        ("lookup:get len=arg2", 11, "needs a key="),
        ("lookup:get map=*(arg1", 21, "the )"),
        ("lookup:get map=*(*(*(arg1)))", 15, "twice"),
        ("lookup:get map=arg1*8", 19, "+ or -"),
        ("lookup:get map=arg1+", 20, "a number"),
        ("lookup:get map=arg1+0xzz", 20, "a number"),
        ("lookup:get map=arg1++8", 20, "a number"),
        ("lookup:get map=arg1+4294967295", 20, "31 bits"),
        ("lookup:get map=arg1 map=arg2", 20, "twice"),
        ("lookup:get kind=", 16, "a name"),
        ("lookup:gét map=argü", 15, "arg1 to arg6"),
    ];
    for (text, column, message) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.column, column, "{error}");
        assert!(error.message.contains(message), "{error}");
    }
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
        text in "(lookup|lock|iterate):[a-z@*(]{0,4}( (key|map|lock|len)=[*(]{0,4}(arg[0-9]|rdi)[-+x0-9)]{0,9}(:(int|bytes|str)[0-9]{0,5})?){0,3}"
    ) {
        if let Err(error) = parse(&text) {
            prop_assert!(error.column <= text.chars().count());
        }
    }

    #[test]
    fn every_operand_is_read_as_written((text, operand) in operands()) {
        let entry = parse(&format!("lock:f lock={text}")).unwrap();
        prop_assert_eq!(entry.object, operand);
    }
}
