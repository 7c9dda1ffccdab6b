//! Keys as records carry them, and what they lead to.

use super::*;
const ANY: u64 = 0x7000;
const INT: u64 = 0x7100;
const CONSTANT: u64 = 0x5000;
/// Of a pointer to a number, and of one to such a pointer, and so on.
const HANDLE: u64 = 0x7200;
const CHAIN: u64 = 0x7300;
const TYPE: u64 = 0x7400;

/// Some types, and a 7 at 0xc000.
#[derive(Default)]
struct Program {
    asked: usize,
}

impl Resolver for Program {
    fn map_type(&mut self, _: u64) -> Option<TypeText> {
        None
    }

    fn frames(&mut self, _: u64) -> Vec<Frame> {
        Vec::new()
    }

    fn key_type(&mut self, address: u64) -> Option<KeyShape> {
        self.asked += 1;
        let (size, kind) = match address {
            ANY => (16, Kind::Interface { methods: false }),
            INT => (8, Kind::Int),
            HANDLE => (8, Kind::Handle { of: INT }),
            CHAIN => (8, Kind::Handle { of: CHAIN }),
            TYPE => (8, Kind::TypePointer),
            _ => return None,
        };
        Some(KeyShape::new(vec![Node { name: None, size, pointer_shaped: false, kind }]))
    }

    fn read_constant(&self, address: u64, buffer: &mut [u8]) -> bool {
        address == CONSTANT && self.read(0xc000, buffer)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        if address >= 0xe000 && buffer.len() == 8 {
            // Each points to the one behind it.
            buffer.copy_from_slice(&(address + 8).to_le_bytes());
            return true;
        }
        if (address, buffer.len()) != (0xc000, 8) {
            return false;
        }
        buffer.copy_from_slice(&7_u64.to_le_bytes());
        true
    }
}

fn words(words: [u64; 2]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn info(key_type_at: Option<u64>, key_format: KeyFormat) -> MapInfo {
    let (kind, none) = (String::new(), None::<String>);
    let (type_name, key_type) = (none.clone(), none.clone());
    MapInfo { address: None, kind, type_name, key_type, label: none, key_format, key_type_at }
}

fn known() -> (KeyTypes, Program) {
    let (mut types, mut program) = (KeyTypes::new(128), Program::default());
    assert!(types.define(&mut program, ANY) && !types.define(&mut program, 0x9999));
    types.set(3, &info(Some(ANY), KeyFormat::Bytes));
    types.set(4, &info(None, KeyFormat::Interface));
    types.set(5, &info(None, KeyFormat::Bytes));
    (types, program)
}

#[test]
fn keys_as_they_lay_in_memory_are_resolved() {
    let (mut types, mut program) = known();
    let mut of = |map, raw: [u64; 2]| {
        let raw = words(raw);
        let head = OpHead {
            key_kind: key_kind::BYTES,
            flags: op_flags::KEY_RAW,
            key_len: 16,
            ..OpHead::default()
        };
        let found = types.canonical(&mut program, map, &head, &raw);
        found.map(|(bytes, len)| (bytes.into_owned(), len))
    };
    assert_eq!(of(3, [INT, 0xc000]), Some((words([INT, 7]), 16)));
    assert_eq!(of(3, [INT, 0xd000]), None, "gone");
    assert_eq!(of(3, [0x9999, 0xc000]), None, "of no known type");
    assert_eq!(of(4, [INT, 0xc000]), Some((words([INT, 7]), 16)), "a sync.Map");
    for other in [0, 5, 9] {
        assert_eq!(of(other, [INT, 0xc000]), Some((words([INT, 0xc000]), 16)));
    }
    assert_eq!(types.take().into_keys().collect::<Vec<_>>(), [ANY, INT]);
    assert_eq!(types.take().len(), 0);
}

#[test]
fn keys_that_were_away_are_read_where_they_cannot_have_changed() {
    let (mut types, mut program) = known();
    let mut of = |map, key_kind, flags, key_len, words: &[u64]| {
        let flags = op_flags::KEY_UNREADABLE | flags;
        let head = OpHead { key_kind, flags, key_len, ..OpHead::default() };
        let key: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let found = types.canonical(&mut program, map, &head, &key);
        found.map(|(bytes, len)| (bytes.into_owned(), len))
    };
    let seven = 7_u64.to_le_bytes().to_vec();
    let (string, any) = (key_kind::STR, key_kind::IFACE);
    assert_eq!(of(5, string, 0, 8, &[CONSTANT, 128]), Some((seven.clone(), 8)));
    assert_eq!(of(5, string, 0, 1 << 40, &[CONSTANT, 8]), Some((seven, 9)), "cut");
    assert_eq!(of(3, any, 0, 16, &[INT, CONSTANT, 120]), Some((words([INT, 7]), 16)));
    // Whatever may have changed, and what does not tell where it was.
    assert_eq!(of(5, string, 0, 8, &[0xc000, 128]), None);
    assert_eq!(of(3, any, 0, 16, &[INT, 0xc000, 120]), None);
    // An interface that could not be followed.
    let (bytes, raw) = (key_kind::BYTES, op_flags::KEY_RAW);
    assert_eq!(of(3, bytes, raw, 16, &[INT, CONSTANT]), Some((words([INT, 7]), 16)));
    assert_eq!(of(3, bytes, raw, 16, &[INT, 0xc000]), None);
    assert_eq!(of(5, bytes, raw, 16, &[INT, CONSTANT]), None, "of no known type");
    for words in [&[][..], &[CONSTANT], &[CONSTANT, u64::MAX, 1]] {
        assert_eq!(of(5, string, 0, 8, words), None);
    }
    assert_eq!(of(3, any, 0, 7, &[INT, CONSTANT, 120]), None, "shorter than its type");
}

#[test]
fn cut_keys_are_one_by_what_was_read() {
    let (mut types, mut program) = (KeyTypes::new(4), Program::default());
    let mut of = |key_len, flags, key: &'static [u8]| {
        let head = OpHead { key_kind: key_kind::STR, flags, key_len, ..OpHead::default() };
        let found = types.canonical(&mut program, 0, &head, key);
        found.map(|(bytes, len)| (bytes.into_owned(), len))
    };
    let cut = |len| Some((b"abcd".to_vec(), len));
    assert_eq!(of(4, 0, b"abcd"), cut(4));
    assert_eq!(of(5, op_flags::KEY_CUT, b"abcd"), cut(5));
    assert_eq!(of(u64::MAX, op_flags::KEY_CUT, b"abcd"), cut(5));
    // Carried whole, as long as it is not known what it holds.
    assert_eq!(of(6, op_flags::KEY_RAW, b"abcdef"), cut(5));
}

#[test]
fn types_in_canonical_keys_become_known_once() {
    let (mut types, mut program) = known();
    types.take();
    let asked = program.asked;
    let key = words([INT, 7]);
    for _ in 0..3 {
        let head = OpHead { key_kind: key_kind::IFACE, key_len: 16, ..OpHead::default() };
        let found = types.canonical(&mut program, 3, &head, &key);
        assert_eq!(found, Some((Cow::Borrowed(&key[..]), 16)));
    }
    assert_eq!(types.take().into_keys().collect::<Vec<_>>(), [INT]);
    assert_eq!(program.asked, asked + 1);
}

/// What is known beside the types after this key of a map with keys of this type.
fn met(key_type: u64, key: u64) -> Vec<(u64, Kind)> {
    let (mut types, mut program) = (KeyTypes::new(128), Program::default());
    types.define(&mut program, key_type);
    types.set(3, &info(Some(key_type), KeyFormat::Hex));
    let head = OpHead { key_kind: key_kind::INT, key_len: 8, ..OpHead::default() };
    let key = key.to_le_bytes();
    for _ in 0..2 {
        let found = types.canonical(&mut program, 3, &head, &key);
        assert_eq!(found, Some((Cow::Borrowed(&key[..]), 8)), "the key itself stays");
    }
    let known = types.take().into_iter().filter(|(address, _)| *address != key_type);
    known.map(|(address, shape)| (address, shape.root().kind.clone())).collect()
}

#[test]
fn what_a_key_points_to_becomes_known_beside_it() {
    let value = |of, value: u64| Kind::Value { of, bytes: value.to_le_bytes().into(), len: 8 };
    assert_eq!(met(HANDLE, 0xc000), [(INT, Kind::Int), (0xc000, value(INT, 7))]);
    assert!(met(HANDLE, 0).is_empty());
    assert_eq!(met(HANDLE, 0xd000), [(INT, Kind::Int)], "not to be read");
    assert_eq!(met(TYPE, INT), [(INT, Kind::Int)]);
    // A chain without an end is followed so far.
    let chain = met(CHAIN, 0xe000);
    assert_eq!(chain.len(), usize::from(MOST_NESTED));
    assert_eq!(chain[0], (0xe000, value(CHAIN, 0xe008)));
}
