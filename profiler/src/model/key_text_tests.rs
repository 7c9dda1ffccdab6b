//! Keys of every kind as text.

use proptest::prelude::*;

use super::*;

fn text(bytes: &[u8], format: KeyFormat) -> String {
    key_text(&Key { bytes: bytes.into(), len: bytes.len() as u64 }, format, None, &Types::new())
}

#[test]
fn numbers_of_every_size() {
    assert_eq!(text(&[0xff], KeyFormat::Int), "-1");
    assert_eq!(text(&[0xff], KeyFormat::Uint), "255");
    assert_eq!(text(&[0xfe, 0xff, 0xff], KeyFormat::Int), "-2");
    assert_eq!(text(&[42, 0, 0, 0, 0, 0, 0, 0], KeyFormat::Int), "42");
    assert_eq!(text(&i64::MIN.to_le_bytes(), KeyFormat::Int), i64::MIN.to_string());
    assert_eq!(text(&[0xff; 8], KeyFormat::Uint), u64::MAX.to_string());
    assert_eq!(text(&[0x1f, 1], KeyFormat::Hex), "0x11f");
}

#[test]
fn what_is_no_number_is_bytes() {
    assert_eq!(text(&[1; 9], KeyFormat::Int), "01 01 01 01 01 01 01 01 01");
    assert_eq!(text(&[], KeyFormat::Uint), "(empty)");
    assert_eq!(text(&[0, 255], KeyFormat::Bytes), "00 ff");
}

#[test]
fn strings_are_literals() {
    assert_eq!(text(b"user:42", KeyFormat::Str), r#""user:42""#);
    assert_eq!(text(b"", KeyFormat::Str), r#""""#);
    assert_eq!(text(b"a\"b\\c'd", KeyFormat::Str), r#""a\"b\\c'd""#);
    assert_eq!(text("größe 日本 नमस्ते".as_bytes(), KeyFormat::Str), r#""größe 日本 नमस्ते""#);
    assert_eq!(text(br"\'", KeyFormat::Str), r#""\\'""#);
    assert_eq!(text(b"ok\xff\xc3(", KeyFormat::Str), r#""ok\xff\xc3(""#);
    assert_eq!(text(b"\x1b[31m\n", KeyFormat::Str), r#""\u{1b}[31m\n""#);
    assert_eq!(text("\u{202e}evil".as_bytes(), KeyFormat::Str), r#""\u{202e}evil""#);
    assert_eq!(text(b"\0\x001\\0", KeyFormat::Str), r#""\x00\x001\\0""#);
}

#[test]
fn cut_keys_say_so() {
    let key = Key { bytes: b"abc".as_slice().into(), len: 10_000 };
    assert_eq!(key_text(&key, KeyFormat::Str, None, &Types::new()), "\"abc\"…");
    assert_eq!(key_text(&key, KeyFormat::Int, None, &Types::new()), "61 62 63…");
}

const INT_AT: u64 = 0x5a_1000;
const TEXT_AT: u64 = 0x5a_1040;
const POINTER_AT: u64 = 0x5a_1080;
const TENANT_AT: u64 = 0x5a_10c0;
const UNKNOWN_AT: u64 = 0x5a_1230;

fn node(name: &str, size: u64, kind: Kind) -> Node {
    let pointer_shaped = matches!(kind, Kind::Pointer | Kind::Chan);
    Node { name: Some(name.into()), size, pointer_shaped, kind }
}

fn simple(name: &str, size: u64, kind: Kind) -> KeyShape {
    KeyShape::new(vec![node(name, size, kind)])
}

fn field(name: &str, offset: u64, node: u32) -> Field {
    Field { name: name.into(), offset, node }
}

/// `struct { Region string; _ int; ID int }`.
fn tenant() -> KeyShape {
    let fields = vec![field("Region", 0, 1), field("_", 16, 2), field("ID", 24, 3)];
    KeyShape::new(vec![
        node("main.Tenant", 32, Kind::Struct(fields)),
        node("string", 16, Kind::String),
        node("int", 8, Kind::Int),
        node("int", 8, Kind::Int),
    ])
}

/// `struct { Value any; After string }`.
fn tagged() -> KeyShape {
    KeyShape::new(vec![
        node("main.Tagged", 32, Kind::Struct(vec![field("Value", 0, 1), field("After", 16, 2)])),
        node("interface {}", 16, Kind::Interface { methods: false }),
        node("string", 16, Kind::String),
    ])
}

fn types() -> Types {
    [
        (INT_AT, simple("main.ID", 8, Kind::Int)),
        (TEXT_AT, simple("string", 16, Kind::String)),
        (POINTER_AT, simple("*main.T", 8, Kind::Pointer)),
        (TENANT_AT, tenant()),
    ]
    .into()
}

fn words(words: &[u64], tail: &[u8]) -> Vec<u8> {
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    words.chain(tail.iter().copied()).collect()
}

fn typed(shape: &KeyShape, bytes: &[u8]) -> String {
    let key = Key { bytes: bytes.into(), len: bytes.len() as u64 };
    key_text(&key, KeyFormat::Bytes, Some(shape), &types())
}

/// With more that was not carried.
fn cut(shape: &KeyShape, bytes: &[u8]) -> String {
    let key = Key { bytes: bytes.into(), len: bytes.len() as u64 + 1 };
    key_text(&key, KeyFormat::Bytes, Some(shape), &types())
}

#[test]
fn simple_types() {
    let show = |kind: Kind, bytes: &[u8]| typed(&simple("main.T", bytes.len() as u64, kind), bytes);
    assert_eq!(show(Kind::Bool, &[1]), "true");
    assert_eq!(show(Kind::Bool, &[0]), "false");
    assert_eq!(show(Kind::Bool, &[2]), "02", "no bool has this value");
    assert_eq!(show(Kind::Int, &(-7_i16).to_le_bytes()), "-7");
    assert_eq!(show(Kind::Uint, &[255]), "255");
    assert_eq!(show(Kind::Uintptr, &0x1f_u64.to_le_bytes()), "0x1f");
    assert_eq!(show(Kind::Pointer, &0xc000_u64.to_le_bytes()), "main.T(0xc000)");
    assert_eq!(show(Kind::Chan, &[0; 8]), "main.T(nil)");
    assert_eq!(typed(&simple("string", 16, Kind::String), b"user:42"), r#""user:42""#);
    assert_eq!(show(Kind::Opaque, &[1, 2]), "01 02");
    assert_eq!(typed(&KeyShape::new(Vec::new()), &[]), "(empty)");
}

#[test]
fn floats_are_short_and_exact() {
    let show = |value: f64| typed(&simple("float64", 8, Kind::Float), &value.to_le_bytes());
    let texts = [0.1, 3.5, -2.0, 1e20, 1e21, 1e-4, -2.5e-5, 1e300, f64::MIN_POSITIVE].map(show);
    let expected = [
        "0.1",
        "3.5",
        "-2",
        "100000000000000000000",
        "1e+21",
        "0.0001",
        "-2.5e-05",
        "1e+300",
        "2.2250738585072014e-308",
    ];
    assert_eq!(texts, expected);
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0].map(show);
    assert_eq!(special, ["NaN", "+Inf", "-Inf", "-0"]);
    let narrow = simple("float32", 4, Kind::Float);
    assert_eq!(typed(&narrow, &0.1_f32.to_le_bytes()), "0.1");
    let complex = simple("complex64", 8, Kind::Complex);
    let parts = |a: f32, b: f32| [a.to_le_bytes(), b.to_le_bytes()].concat();
    assert_eq!(typed(&complex, &parts(1.0, -2.5)), "(1-2.5i)");
    assert_eq!(typed(&complex, &parts(0.0, f32::INFINITY)), "(0+Infi)");
    assert_eq!(typed(&complex, &parts(0.0, 3.0)), "(0+3i)");
}

#[test]
fn structs_have_names_and_no_blanks() {
    assert_eq!(typed(&tenant(), &words(&[0, 2, 99, 7], b"eu")), r#"{Region:"eu" ID:7}"#);
    assert_eq!(typed(&tenant(), &words(&[0, 0, 0, 7], b"")), r#"{Region:"" ID:7}"#);
    assert_eq!(cut(&tenant(), &words(&[0, 10, 0, 7], b"eu")), r#"{Region:"eu"}…"#);
    assert_eq!(cut(&tenant(), &words(&[0], b"")), "{Region:00 00 00 00 00 00 00 00}…");
    assert_eq!(cut(&tenant(), &[]), "{Region:}…");
}

#[test]
fn arrays_of_numbers_and_identifiers() {
    let array = |len: u64, size: u64, kind: Kind| {
        let whole = node("[]", len * size, Kind::Array { element: 1, len });
        KeyShape::new(vec![whole, node("e", size, kind)])
    };
    assert_eq!(typed(&array(3, 8, Kind::Int), &words(&[1, 2, 3], b"")), "[1 2 3]");
    assert_eq!(typed(&array(4, 1, Kind::Uint), &[10, 0, 0, 1]), "[10 0 0 1]");
    assert_eq!(typed(&array(16, 1, Kind::Uint), &[0xab; 16]), format!("0x{}", "ab".repeat(16)));
    assert_eq!(cut(&array(200, 1, Kind::Uint), &[1, 2]), "0x0102…");
    assert_eq!(typed(&array(0, 8, Kind::Int), &[]), "[]");
    let strings = array(2, 16, Kind::String);
    assert_eq!(typed(&strings, &words(&[0, 1, 0, 2], b"abc")), r#"["a" "bc"]"#);
}

#[test]
fn interfaces_say_what_they_hold() {
    let any = simple("interface {}", 16, Kind::Interface { methods: false });
    assert_eq!(typed(&any, &words(&[0], b"")), "nil");
    assert_eq!(typed(&any, &words(&[TEXT_AT], b"abc")), r#""abc""#);
    assert_eq!(typed(&any, &words(&[INT_AT, 7], b"")), "main.ID(7)");
    assert_eq!(typed(&any, &words(&[POINTER_AT, 0xc000], b"")), "*main.T(0xc000)");
    let held = words(&[TENANT_AT, 0, 2, 0, 7], b"eu");
    assert_eq!(typed(&any, &held), r#"main.Tenant{Region:"eu" ID:7}"#);
    assert_eq!(typed(&any, &words(&[UNKNOWN_AT], &[1, 2])), "(type 0x5a1230) 01 02");
    assert_eq!(cut(&any, &words(&[TEXT_AT], b"abc")), "\"abc\"…");
    assert_eq!(typed(&any, &[1, 2]), "01 02");
    let key = Key { bytes: words(&[INT_AT, 7], b"").into(), len: 16 };
    assert_eq!(key_text(&key, KeyFormat::Interface, None, &types()), "main.ID(7)");
}

#[test]
fn interfaces_within_structs() {
    let show = |ty: u64, data: u64, after: u64, tail: &[u8]| {
        typed(&tagged(), &words(&[ty, data, 0, after], tail))
    };
    assert_eq!(show(0, 0, 1, b"!"), r#"{Value:nil After:"!"}"#);
    assert_eq!(show(POINTER_AT, 0xc000, 1, b"!"), r#"{Value:*main.T(0xc000) After:"!"}"#);
    assert_eq!(show(INT_AT, 0, 1, &words(&[7], b"!")), r#"{Value:main.ID(7) After:"!"}"#);
    assert_eq!(show(TEXT_AT, 0, 1, &words(&[2], b"ab!")), r#"{Value:"ab" After:"!"}"#);
    assert_eq!(show(UNKNOWN_AT, 0, 1, b"a!"), "{Value:(type 0x5a1230) 61 21 After:?}");
    let raw = show(TENANT_AT, 0, 1, &words(&[0xc000, 2, 0, 7], b"!"));
    assert!(
        raw.starts_with("{Value:main.Tenant(00 c0 00") && raw.ends_with(r#" After:"!"}"#),
        "{raw}"
    );
}

#[test]
fn names_of_the_target_are_made_harmless() {
    let evil = simple("main.\x1b[31m\u{202e}", 8, Kind::Pointer);
    assert_eq!(typed(&evil, &[1, 0, 0, 0, 0, 0, 0, 0]), r"main.\u{1b}[31m\u{202e}(0x1)");
}

#[test]
fn shapes_that_lie_end() {
    let fields = |own: u32| (0..9).map(|index| field("f", 0, own + index % 3)).collect();
    let nodes = (0..30).map(|own| node("t", 0, Kind::Struct(fields(own)))).collect();
    assert!(typed(&KeyShape::new(nodes), &[]).len() < 2 * TEXT_LIMIT);
    let endless = vec![
        node("t", 0, Kind::Array { element: 1, len: u64::MAX }),
        node("t", 0, Kind::Struct(Vec::new())),
    ];
    assert!(typed(&KeyShape::new(endless), &[]).len() < 2 * TEXT_LIMIT);
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let field = ("[a-z_\\PC]{1,3}", 0_u64..40, 0_u32..8).prop_map(|(name, offset, node)| Field {
        name,
        offset,
        node,
    });
    prop_oneof![
        Just(Kind::Bool),
        Just(Kind::Int),
        Just(Kind::Uint),
        Just(Kind::Uintptr),
        Just(Kind::Float),
        Just(Kind::Complex),
        Just(Kind::Pointer),
        Just(Kind::Chan),
        Just(Kind::String),
        any::<bool>().prop_map(|methods| Kind::Interface { methods }),
        (0_u32..8, 0_u64..20).prop_map(|(element, len)| Kind::Array { element, len }),
        prop::collection::vec(field, 0..5).prop_map(Kind::Struct),
        Just(Kind::Opaque),
    ]
}

fn any_shape() -> impl Strategy<Value = KeyShape> {
    let size = prop_oneof![0_u64..40, Just(8), Just(16), any::<u64>()];
    let name = proptest::option::of(any::<[char; 3]>().prop_map(|name| name.iter().collect()));
    let node = (name, size, any::<bool>(), any_kind())
        .prop_map(|(name, size, pointer_shaped, kind)| Node { name, size, pointer_shaped, kind });
    prop::collection::vec(node, 0..8).prop_map(KeyShape::new)
}

proptest! {
    #[test]
    fn never_a_control_character(bytes in prop::collection::vec(any::<u8>(), 0..40), extra in 0_u64..3) {
        let key = Key { len: bytes.len() as u64 + extra, bytes: bytes.into() };
        for format in [KeyFormat::Int, KeyFormat::Uint, KeyFormat::Hex, KeyFormat::Str, KeyFormat::Bytes] {
            let text = key_text(&key, format, None, &Types::new());
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            prop_assert_eq!(text.ends_with('…'), extra > 0);
        }
    }

    #[test]
    fn no_shape_and_no_bytes_do_harm(
        shape in any_shape(), dynamic in any_shape(),
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..140),
        dynamic_at in 0_usize..80, extra in 0_u64..2,
    ) {
        let mut bytes = bytes;
        if let Some(word) = bytes.get_mut(dynamic_at..dynamic_at + 8) {
            word.copy_from_slice(&INT_AT.to_le_bytes());
        }
        let key = Key { len: bytes.len() as u64 + extra, bytes: bytes.into() };
        let types = [(INT_AT, dynamic)].into();
        for shape in [Some(&shape), None] {
            let text = key_text(&key, KeyFormat::Interface, shape, &types);
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            prop_assert!(text.len() < 10 * TEXT_LIMIT);
            if extra > 0 {
                prop_assert!(text.ends_with('…'));
            }
        }
    }

    #[test]
    fn floats_read_back_as_they_were(value: f64) {
        let text = typed(&simple("float64", 8, Kind::Float), &value.to_le_bytes());
        prop_assert!(value.is_nan() || text.parse::<f64>() == Ok(value), "{text}");
    }
}
