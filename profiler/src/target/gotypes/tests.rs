//! Type descriptions and keys made by hand.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const BASE: u64 = 0x1000;

/// Memory that begins at [`BASE`], to which types and values are added.
#[derive(Clone)]
struct Heap(Vec<u8>);

impl ReadMemory for Heap {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let start = address.checked_sub(BASE).map(|start| start as usize);
        let bytes = start.and_then(|start| self.0.get(start..start.checked_add(buffer.len())?));
        bytes.is_some_and(|bytes| {
            buffer.copy_from_slice(bytes);
            true
        })
    }
}

impl KeySource for Heap {
    fn key_type(&mut self, address: u64) -> Option<Arc<KeyType>> {
        Some(Arc::new(KeyType::new(self.types().shape(address)?)))
    }
}

/// `abi.Kind`s.
const BOOL: u8 = 1;
const INT: u8 = 2;
const INT8: u8 = 3;
const FLOAT64: u8 = 14;
const ARRAY: u8 = 17;
const INTERFACE: u8 = 20;
const MAP: u8 = 21;
const POINTER: u8 = 22;
const STRING: u8 = 24;
const STRUCT: u8 = 25;

impl Heap {
    fn new() -> Self {
        Self(vec![0; 64])
    }

    fn types(&self) -> Types<'_, Self, impl Fn(u64) -> Option<u64>> {
        Types { memory: self, base_of: |_| Some(BASE) }
    }

    fn map_type(&self, address: u64) -> Option<GoMapType> {
        map_type(&self.types(), address)
    }

    fn add(&mut self, bytes: &[u8]) -> u64 {
        let address = BASE + self.0.len() as u64;
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        address
    }

    fn words(&mut self, words: &[u64]) -> u64 {
        self.add(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    fn name(&mut self, name: &str) -> u64 {
        let len = name.len();
        let mut bytes = vec![1];
        if len > 127 {
            bytes.extend([(len & 0x7f) as u8 | 0x80, (len >> 7) as u8]);
        } else {
            bytes.push(len as u8);
        }
        bytes.extend(name.as_bytes());
        self.add(&bytes)
    }

    /// A type: its head, and the words of its kind behind it.
    fn ty(&mut self, kind: u8, size: u64, name: &str, rest: &[u64]) -> u64 {
        let name = self.name(&format!("*{name}"));
        let mut head = vec![0_u8; 48];
        let pointers: u64 = if kind < ARRAY { 0 } else { 8 };
        head[0..8].copy_from_slice(&size.to_le_bytes());
        head[8..16].copy_from_slice(&pointers.to_le_bytes());
        head[20..24].copy_from_slice(&[1 << 1, 8, 8, kind]);
        if kind == POINTER {
            head[23] |= 1 << 5;
        }
        head[24..32].copy_from_slice(&1_u64.to_le_bytes());
        head[40..44].copy_from_slice(&((name - BASE) as u32).to_le_bytes());
        head.extend(rest.iter().flat_map(|word| word.to_le_bytes()));
        self.add(&head)
    }

    fn simple(&mut self, kind: u8, size: u64, name: &str) -> u64 {
        self.ty(kind, size, name, &[0; 4])
    }

    fn string_type(&mut self) -> u64 {
        self.simple(STRING, 16, "string")
    }

    fn interface_type(&mut self, name: &str, methods: u64) -> u64 {
        self.ty(INTERFACE, 16, name, &[0, 0, methods, methods])
    }

    fn array_type(&mut self, name: &str, element: u64, size: u64, len: u64) -> u64 {
        self.ty(ARRAY, size, name, &[element, 0, len])
    }

    fn struct_type(&mut self, name: &str, size: u64, fields: &[(&str, u64, u64)]) -> u64 {
        let mut words = Vec::new();
        for (name, ty, offset) in fields {
            words.extend([self.name(name), *ty, *offset]);
        }
        let fields_at = self.words(&words);
        let count = fields.len() as u64;
        self.ty(STRUCT, size, name, &[0, fields_at, count, count])
    }

    fn key_type_at(&mut self, address: u64) -> Arc<KeyType> {
        self.key_type(address).expect("a type")
    }

    /// Address and length.
    fn string(&mut self, text: &str) -> [u64; 2] {
        [self.add(text.as_bytes()), text.len() as u64]
    }
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn names_sizes_and_formats() {
    let mut heap = Heap::new();
    let key = heap.string_type();
    let map = heap.ty(MAP, 8, "map[string]*main.Session", &[key, key]);
    let expected = GoMapType {
        name: Some("map[string]*main.Session".to_owned()),
        key_name: Some("string".to_owned()),
        key_size: 16,
        key,
        format: KeyFormat::Str,
    };
    assert_eq!(heap.map_type(map), Some(expected));
    let long = format!("map[{}]int", "x".repeat(200));
    let map = heap.ty(MAP, 8, &long, &[key, key]);
    assert_eq!(heap.map_type(map).and_then(|it| it.name), Some(long));
}

#[test]
fn types_made_at_run_time_have_no_names() {
    let mut heap = Heap::new();
    let key = heap.simple(INT, 8, "int");
    let map = heap.ty(MAP, 8, "map[int]int", &[key, key]);
    let at = (map - BASE) as usize + 40;
    heap.0[at..at + 4].copy_from_slice(&(-3i32).to_le_bytes());
    let found = heap.map_type(map).expect("a map type");
    assert_eq!((found.name, found.format), (None, KeyFormat::Int));
    assert_eq!(found.key_name.as_deref(), Some("int"));
}

#[test]
fn what_is_no_map_type_is_none() {
    let mut heap = Heap::new();
    let key = heap.string_type();
    assert_eq!(heap.map_type(key), None);
    assert_eq!(heap.map_type(BASE + heap.0.len() as u64 - 8), None);
    assert_eq!(heap.map_type(u64::MAX), None);
    let vast = heap.simple(STRUCT, u64::MAX, "main.T");
    let map = heap.ty(MAP, 8, "map[main.T]int", &[vast, vast]);
    assert_eq!(heap.map_type(map), None);
}

/// `struct { S string; A int8; B int; _ int; V any; F float64 }`.
fn record(heap: &mut Heap) -> u64 {
    let string = heap.string_type();
    let int = heap.simple(INT, 8, "int");
    let small = heap.simple(INT8, 1, "int8");
    let any = heap.interface_type("interface {}", 0);
    let float = heap.simple(FLOAT64, 8, "float64");
    let fields = [
        ("S", string, 0),
        ("A", small, 16),
        ("B", int, 24),
        ("_", int, 32),
        ("V", any, 40),
        ("F", float, 56),
    ];
    heap.struct_type("main.Record", 64, &fields)
}

#[test]
fn structs_have_fields_pieces_and_holes() {
    let mut heap = Heap::new();
    let record = record(&mut heap);
    let two = heap.array_type("[2]main.Record", record, 128, 2);
    let key = heap.key_type_at(record);
    let Kind::Struct(fields) = &key.shape.root().kind else { panic!("{:?}", key.shape) };
    let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["S", "A", "B", "_", "V", "F"]);
    let piece = |offset, kind| Piece { offset, kind };
    let (string, any) = (PieceKind::String, PieceKind::Interface);
    assert_eq!(key.layout.pieces, [piece(0, string), piece(40, any)]);
    assert_eq!(key.layout.holes, [17..24, 32..40]);
    let layout = heap.key_type_at(two).layout.clone();
    let offsets: Vec<_> = layout.pieces.iter().map(|piece| piece.offset).collect();
    assert_eq!(offsets, [0, 40, 64, 104]);
    assert_eq!(layout.holes, [17..24, 32..40, 81..88, 96..104]);
    assert_eq!(layout.for_kernel(), Ok(&layout));
}

#[test]
fn what_the_kernel_cannot_take_apart_says_why() {
    let mut heap = Heap::new();
    let string = heap.string_type();
    let byte = heap.simple(8, 1, "uint8");
    let function = heap.simple(19, 8, "func()");
    let strings = |heap: &mut Heap, len| {
        let address = heap.array_type("strings", string, 16 * len, len);
        heap.key_type_at(address).layout.clone()
    };
    assert!(strings(&mut heap, MAX_PIECES as u64).for_kernel().is_ok());
    let more = MAX_PIECES + 1;
    let refused = strings(&mut heap, more as u64).for_kernel().unwrap_err();
    assert_eq!(refused, NoLayout::TooManyPieces(more));
    assert_eq!(strings(&mut heap, 9).for_kernel(), Err(NoLayout::TooLarge(144)));
    let odd = heap.struct_type("main.Odd", 8, &[("F", function, 0)]);
    assert_eq!(heap.key_type_at(odd).layout.for_kernel(), Err(NoLayout::Unknown));
    let plain = heap.array_type("[500]uint8", byte, 500, 500);
    assert!(heap.key_type_at(plain).layout.for_kernel().is_ok());
    assert!(heap.key_type_at(plain).is_plain());
}

#[test]
fn types_nest_only_so_deep_and_so_wide() {
    let mut heap = Heap::new();
    let byte = heap.simple(8, 1, "uint8");
    let mut deep = byte;
    for _ in 0..20 {
        deep = heap.array_type("deep", deep, 1, 1);
    }
    assert_eq!(heap.key_type_at(deep).layout.for_kernel(), Err(NoLayout::Unknown));
    let fields: Vec<_> = (0..300).map(|offset| ("f", byte, offset)).collect();
    let wide = heap.struct_type("wide", 300, &fields);
    assert_eq!(heap.key_type_at(wide).shape.root().kind, Kind::Opaque);
    // A type that contains itself, as only broken memory has it.
    let knot = heap.array_type("knot", byte, 1, 1);
    let at = (knot - BASE) as usize + 48;
    heap.0[at..at + 8].copy_from_slice(&knot.to_le_bytes());
    assert_eq!(heap.key_type_at(knot).layout.for_kernel(), Err(NoLayout::Unknown));
    let overlapping = heap.struct_type("overlapping", 8, &[("a", byte, 4), ("b", byte, 4)]);
    assert_eq!(heap.key_type_at(overlapping).shape.root().kind, Kind::Opaque);
}

#[test]
fn interfaces_become_type_and_value() {
    let mut heap = Heap::new();
    let string = heap.string_type();
    let int = heap.simple(INT, 8, "int");
    let pointer = heap.simple(POINTER, 8, "*main.T");
    let any = heap.interface_type("interface {}", 0);
    let stringer = heap.interface_type("fmt.Stringer", 1);
    let itab = heap.words(&[stringer, int]);
    let text = heap.string("abc");
    let text_at = heap.words(&text);
    let seven = heap.words(&[7]);
    let mut of = |ty, words: [u64; 2]| {
        let key = heap.key_type_at(ty);
        canonical(&bytes(&words), &key, &mut heap, 128).map(|it| (it.bytes, it.len))
    };
    let whole = |bytes: Vec<u8>| Some((bytes.clone(), bytes.len() as u64));
    assert_eq!(of(any, [0, 0]), whole(bytes(&[0])));
    assert_eq!(of(any, [int, seven]), whole(bytes(&[int, 7])));
    assert_eq!(of(any, [pointer, 0xc000]), whole(bytes(&[pointer, 0xc000])));
    assert_eq!(of(any, [string, text_at]), whole([&bytes(&[string]), b"abc".as_slice()].concat()));
    assert_eq!(of(stringer, [itab, seven]), whole(bytes(&[int, 7])));
    assert_eq!(of(any, [int, 3]), None, "the value is not there");
    assert_eq!(of(any, [u64::MAX, seven]), None, "the type is not there");
    assert_eq!(of(stringer, [0xdead_0000, seven]), None, "the itab is not there");
}

/// What a `main.Record` is and what it should become.
fn example(heap: &mut Heap, ty: u64, s: &str, b: u64, v: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let string = heap.string_type();
    let [at, len] = heap.string(s);
    let value = v.map(|v| heap.string(v));
    let value_at = value.map(|value| heap.words(&value));
    let tag = if value.is_some() { string } else { 0 };
    let junk = u64::MAX;
    let raw = bytes(&[at, len, (junk << 8) | 5, b, junk, tag, value_at.unwrap_or(0), 9]);
    let mut expected = bytes(&[0, len, 5, b, 0, tag, 0, 9]);
    expected.extend(s.as_bytes());
    if let Some(v) = v {
        expected.extend((v.len() as u64).to_le_bytes());
        expected.extend(v.as_bytes());
    }
    assert!(heap.types().shape(ty).is_some());
    (raw, expected)
}

#[test]
fn memory_that_is_gone_makes_no_key() {
    let mut heap = Heap::new();
    let ty = record(&mut heap);
    let key = heap.key_type_at(ty);
    let raw = bytes(&[u64::MAX - 2, 5, 0, 0, 0, 0, 0, 0]);
    assert_eq!(canonical(&raw, &key, &mut heap, 128), None);
    let empty = bytes(&[u64::MAX - 2, 0, 0, 0, 0, 0, 0, 0]);
    assert!(canonical(&empty, &key, &mut heap, 128).is_some());
    assert!(canonical(&[], &key, &mut heap, 128).is_some_and(|it| it.bytes.is_empty()));
}

#[test]
fn carried_keys_are_tidied() {
    let mut heap = Heap::new();
    let ty = record(&mut heap);
    let key = heap.key_type_at(ty);
    let (raw, mut expected) = example(&mut heap, ty, "text", 1, Some("other"));
    let tidied = expected.clone();
    expected[17..24].copy_from_slice(&raw[17..24]);
    expected[32..40].copy_from_slice(&raw[32..40]);
    tidy(&mut expected, &key, &mut heap);
    assert_eq!(expected, tidied);
    let any = heap.interface_type("interface {}", 0);
    let mut in_interface = [&ty.to_le_bytes(), &tidied[..]].concat();
    in_interface[8 + 32] = 7;
    let key = heap.key_type_at(any);
    tidy(&mut in_interface, &key, &mut heap);
    assert_eq!(in_interface[8..], tidied);
}

#[test]
fn all_map_types_of_a_module_are_found() {
    let mut heap = Heap::new();
    let string = heap.string_type();
    let int = heap.simple(INT, 8, "int");
    let record = record(&mut heap);
    let of_int = heap.ty(MAP, 8, "map[int]string", &[int, string]);
    let of_record = heap.ty(MAP, 8, "map[main.Record]bool", &[record, int]);
    // What only looks like one: its key lies elsewhere.
    heap.ty(MAP, 8, "map[?]int", &[!7, int]);
    heap.add(&[0; 64]);
    let end = BASE + heap.0.len() as u64;
    let found = scan::module_types(&heap, BASE, end);
    let maps: Vec<_> =
        found.maps.iter().map(|map| (map.address, map.name.as_deref(), map.key)).collect();
    let expected =
        [(of_int, Some("map[int]string"), int), (of_record, Some("map[main.Record]bool"), record)];
    assert_eq!(maps, expected);
    assert_eq!(found.maps[1].layout, heap.key_type_at(record).layout);
    let values: HashMap<_, _> = found.values.into_iter().collect();
    assert_eq!(values.keys().copied().collect::<Vec<_>>(), [record]);
    assert!(!found.more);
}

#[test]
fn simple_types_of_a_wrong_size_are_unknown() {
    let mut heap = Heap::new();
    let odd = heap.simple(BOOL, 7, "bool");
    assert_eq!(heap.key_type_at(odd).shape.root().kind, Kind::Opaque);
}

proptest! {
    #[test]
    fn a_key_becomes_what_it_means(
        s in ".{0,40}", b: u64, v in proptest::option::of(".{0,40}"), limit in 0_usize..200,
    ) {
        let mut heap = Heap::new();
        let ty = record(&mut heap);
        let key = heap.key_type_at(ty);
        let (raw, expected) = example(&mut heap, ty, &s, b, v.as_deref());
        let found = canonical(&raw, &key, &mut heap, limit).unwrap();
        prop_assert_eq!(found.len, expected.len() as u64);
        // The limit is one of what strings and interfaces hold.
        let limit = (limit + raw.len()).min(128);
        prop_assert_eq!(&found.bytes[..], &expected[..expected.len().min(limit)]);
    }

    #[test]
    fn equal_keys_at_other_addresses_are_equal(s in ".{0,40}", v in ".{0,40}", gap in 0_usize..64) {
        let mut heap = Heap::new();
        let ty = record(&mut heap);
        let any = heap.interface_type("interface {}", 0);
        let key = heap.key_type_at(any);
        let mut found = Vec::new();
        let string = heap.string_type();
        for _ in 0..2 {
            let [at, len] = heap.string(&s);
            let value = heap.string(&v);
            let value_at = heap.words(&value);
            let record = heap.words(&[at, len, 0, 1, 0, string, value_at, 0]);
            heap.add(&vec![0; gap]);
            let raw = bytes(&[ty, record]);
            found.push(canonical(&raw, &key, &mut heap, 128).unwrap());
        }
        prop_assert_eq!(&found[0], &found[1]);
    }

    #[test]
    fn broken_memory_never_panics(
        at in 0_usize..1000, junk in proptest::collection::vec(any::<u8>(), 0..100),
        raw in proptest::collection::vec(any::<u8>(), 0..140), limit in 0_usize..200,
    ) {
        let mut heap = Heap::new();
        let ty = record(&mut heap);
        let any = heap.interface_type("interface {}", 0);
        let map = heap.ty(MAP, 8, "map[main.Record]int", &[ty, any]);
        let at = at.min(heap.0.len());
        let end = heap.0.len().min(at + junk.len());
        heap.0[at..end].copy_from_slice(&junk[..end - at]);
        for address in [ty, any, map] {
            let _ = heap.map_type(address);
            let Some(key) = heap.key_type(address) else { continue };
            if let Some(found) = canonical(&raw, &key, &mut heap, limit) {
                prop_assert!(found.bytes.len() <= 128 && found.len >= found.bytes.len() as u64);
            }
            tidy(&mut raw.clone(), &key, &mut heap);
        }
        // The raw bytes as interface, with a type that is one.
        let mut raw = raw.clone();
        if let Some(word) = raw.get_mut(..8) {
            word.copy_from_slice(&ty.to_le_bytes());
        }
        if let Some(key) = heap.key_type(any) {
            let _ = canonical(&raw, &key, &mut heap, limit);
            tidy(&mut raw, &key, &mut heap);
        }
        let _ = scan::module_types(&heap, BASE, BASE + heap.0.len() as u64);
    }
}
