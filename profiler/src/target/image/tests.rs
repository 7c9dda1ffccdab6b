//! Files that are right, and files that lie.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::target::fixture::{DATA, Inlined, STRIDE, TEXT, TYPES, TinyGo};

fn open(bytes: &[u8]) -> Result<Image, ImageError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Image::open(file.path())
}

fn tiny() -> TinyGo {
    let code = vec![0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3];
    TinyGo::new(vec![("main.main", code.clone()), ("main.(*Cache).Get", code)])
}

/// With a lock that is inlined, and in it something of another file.
fn with_inlined() -> TinyGo {
    let inlined = vec![
        Inlined { name: "sync.(*Mutex).Lock", code: 4..6, parent_pc: 8 },
        Inlined { name: "sync/atomic.CompareAndSwapInt32", code: 6..8, parent_pc: 5 },
    ];
    TinyGo { inlined, ..tiny() }
}

/// `function file:line`, innermost first.
fn frames(image: &Image, address: u64) -> Vec<String> {
    let text = |frame: GoFrame| match frame.line {
        Some((file, line)) => format!("{} {file}:{line}", frame.function),
        None => frame.function.into_owned(),
    };
    image.go_frames(address).unwrap_or_default().into_iter().map(text).collect()
}

fn check(image: &Image) {
    let names: Vec<_> = image.functions().map(|function| function.name.raw().to_owned()).collect();
    assert_eq!(names, ["main.main", "main.(*Cache).Get"]);
    let get = image.function_at(TEXT + STRIDE + 5).unwrap();
    assert_eq!((get.start, get.end), (TEXT + STRIDE, TEXT + 2 * STRIDE));
    assert_eq!(get.kind, FunctionKind::Go);
    assert_eq!(image.function_at(TEXT + 2 * STRIDE), None);
    assert_eq!(image.function_at(TEXT - 1), None);
    assert_eq!(frames(image, TEXT + 7), ["main.main /src/tiny.go:10"]);
    assert_eq!(frames(image, TEXT + STRIDE + 8), ["main.(*Cache).Get /src/tiny.go:11"]);
    assert_eq!(image.go_types(), Some(TYPES));
    assert_eq!(image.go_version(), Some(Outside::new("go1.27.3")));
}

#[test]
fn go_functions_of_every_layout() {
    for sections in [true, false] {
        for text_in_header in [true, false] {
            for old in [true, false] {
                let file = TinyGo { old, text_in_header, sections, ..tiny() };
                check(&open(&file.build()).unwrap());
            }
        }
    }
}

#[test]
fn inlined_calls_of_every_layout() {
    for (old, text_in_header) in [(true, true), (false, true), (false, false)] {
        let file = TinyGo { old, text_in_header, ..with_inlined() }.build();
        let image = open(&file).unwrap();
        let main = TEXT;
        assert_eq!(frames(&image, main + 3), ["main.main /src/tiny.go:10"]);
        let lock = ["sync.(*Mutex).Lock /src/tiny.go:10", "main.main /src/tiny.go:11"];
        assert_eq!(frames(&image, main + 4), lock);
        let swap = "sync/atomic.CompareAndSwapInt32 /src/deep.go:10";
        assert_eq!(frames(&image, main + 7), [swap, lock[0], lock[1]]);
        assert_eq!(frames(&image, main + 8), ["main.main /src/tiny.go:11"]);
        let get = "main.(*Cache).Get /src/tiny.go:11";
        assert_eq!(frames(&image, main + STRIDE + 6), [swap, lock[0], get]);
        assert_eq!(image.go_frames(main - 1), None);
    }
}

#[test]
fn of_inlined_calls_that_lie_no_line_is_believed() {
    // A caller that is itself, and one outside of the function.
    for parent_pc in [6, 4, STRIDE as u32, u32::MAX] {
        let mut file = with_inlined();
        file.inlined[0].parent_pc = parent_pc;
        let image = open(&file.build()).unwrap();
        assert_eq!(frames(&image, TEXT + 6), ["main.main"], "{parent_pc:#x}");
        assert_eq!(frames(&image, TEXT + 5), ["main.main /src/tiny.go:10"], "{parent_pc:#x}");
        assert_eq!(frames(&image, TEXT + 3), ["main.main /src/tiny.go:10"], "{parent_pc:#x}");
    }
    let mut nameless = with_inlined();
    nameless.inlined[1].name = "";
    assert_eq!(frames(&open(&nameless.build()).unwrap(), TEXT + 6), ["main.main"]);
}

#[test]
fn without_their_data_inlined_calls_give_no_line() {
    let mut file = TinyGo { sections: false, ..with_inlined() }.build();
    // In moduledata `rodata` comes before it; nothing later in the file is equal.
    let gofunc = file.windows(8).rposition(|word| word == DATA.to_le_bytes()).unwrap() + 8;
    file[gofunc..gofunc + 8].fill(0);
    assert_eq!(frames(&open(&file).unwrap(), TEXT + 6), ["main.main"]);
}

#[test]
fn probes_go_into_executable_segments_only() {
    let image = open(&tiny().build()).unwrap();
    assert_eq!(image.probe_offset(TEXT + 4, 2), Some(0x1004));
    assert_eq!(image.address_of_offset(0x1004), Some(TEXT + 4));
    assert!(image.bytes_at(DATA, 8).is_some());
    assert_eq!(image.probe_offset(DATA, 8), None);
    assert_eq!(image.probe_offset(TEXT + 2 * STRIDE - 1, 2), None);
    assert_eq!(image.probe_offset(u64::MAX, 2), None);
    assert_eq!(image.bytes_at(TEXT, u64::MAX), None);
}

#[test]
fn what_is_no_executable_says_what_it_is() {
    let script = open(b"#! /bin/sh -e\necho").unwrap_err();
    assert!(script.to_string().contains("/bin/sh -e"), "{script}");
    assert!(matches!(open(b"hello"), Err(ImageError::NotElf { .. })));
    assert!(matches!(open(b""), Err(ImageError::NotElf { .. })));
    assert!(matches!(open(b"\x7fELF"), Err(ImageError::Malformed { .. })));
    assert!(matches!(open(b"\x7fELF\x02\x01"), Err(ImageError::Malformed { .. })));
    assert!(matches!(open(b"\x7fELF\x01\x01"), Err(ImageError::Unsupported { .. })));
    assert!(matches!(Image::open(Path::new("/")), Err(ImageError::Io { .. })));
    let mut other = tiny().build();
    other[18] = 183; // EM_AARCH64
    assert!(open(&other).unwrap_err().to_string().contains("machine 183"));
}

/// What opening a file reports once eight bytes of it are replaced.
fn damage(offset: usize, with: u64) -> (u64, String) {
    let mut file = tiny().build();
    file[offset..offset + 8].copy_from_slice(&with.to_le_bytes());
    match open(&file).unwrap_err() {
        ImageError::Malformed { offset, what, .. } => (offset, what),
        other => panic!("{other}"),
    }
}

#[test]
fn lies_are_found_with_their_place() {
    const TABLE: usize = 0x2000;
    const FIRST_PHDR: usize = 64;
    let (offset, what) = damage(FIRST_PHDR + 32, u64::MAX); // p_filesz
    assert!((offset, what.contains("truncated")) == (64, true), "{offset:#x} {what}");
    let (_, what) = damage(FIRST_PHDR + 40, u64::MAX); // p_memsz
    assert!(what.contains("wraps around"), "{what}");
    let (offset, what) = damage(TABLE + 8, u64::MAX); // nfunc
    assert!((offset, what.contains("functions")) == (TABLE as u64 + 8, true), "{what}");
    let (offset, what) = damage(TABLE + 8, 1 << 20);
    assert!((offset, what.contains("ends before")) == (TABLE as u64 + 8, true), "{what}");
    let (offset, what) = damage(TABLE + 40, u64::MAX / 2); // cuOffset
    assert!((offset, what.contains("outside")) == (TABLE as u64 + 40, true), "{what}");
    let (offset, what) = damage(TABLE, 0); // magic
    assert!((offset, what.contains("magic")) == (TABLE as u64, true), "{what}");
    let (_, what) = damage(TABLE + 24, 0x1234); // a textStart that moduledata contradicts
    assert!(what.contains("moduledata"), "{what}");
}

#[test]
fn a_truncated_file_is_an_error_at_every_length() {
    let file = tiny().build();
    let data_end = 0x2000 + 72;
    for length in (5..data_end).step_by(61) {
        assert!(open(&file[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_go_before_1_18_is_noticed_and_not_read() {
    let mut file = tiny().build();
    file[0x2000] = 0xfa;
    let image = open(&file).unwrap();
    assert_eq!(image.go_version(), None);
    assert!(image.notes()[0].contains("older than 1.18"), "{:?}", image.notes());
}

#[test]
fn functions_out_of_order_are_refused() {
    let mut file = tiny().build();
    let table = file[0x2000 + 64..0x2000 + 72].try_into().map(u64::from_le_bytes).unwrap();
    let first = 0x2000 + table as usize;
    file[first..first + 4].copy_from_slice(&0x150u32.to_le_bytes());
    let error = open(&file).unwrap_err().to_string();
    assert!(error.contains("before its predecessor"), "{error}");
}

#[test]
fn symbols_are_demangled_and_keep_their_raw_name() {
    let exe = std::env::current_exe().unwrap();
    let image = Image::open(&exe).unwrap();
    let name = "symbols_are_demangled_and_keep_their_raw_name";
    let wanted = |function: &Function| {
        function.kind == FunctionKind::Native && function.name.raw().ends_with(name)
    };
    let function = image.functions().find(wanted).unwrap();
    assert!(
        function.raw.raw().starts_with("_Z") || function.raw.raw().starts_with("_R"),
        "{function:?}"
    );
    assert_eq!(image.function_at(function.end - 1).unwrap().start, function.start);
}

/// Everything that reads the file on demand.
fn exercise(image: &Image) {
    for function in image.functions().take(2000) {
        let _ = image.function_at(function.start);
        for inside in [0, 4, 6, 9] {
            if let Some(frames) = image.go_frames(function.start.wrapping_add(inside)) {
                assert!((1..=65).contains(&frames.len()));
            }
        }
        let _ = image.bytes_at(function.start, function.end.wrapping_sub(function.start));
    }
    let _ = (image.go_version(), image.word(DATA), image.address_of_offset(0x1000));
    let _ = image.relocations_in(0, u64::MAX);
}

/// The dynamic linker of this very process: a real, small, position-independent
/// ELF file with relocations and versioned symbols.
fn linker() -> Option<Vec<u8>> {
    let image = Image::open(&std::env::current_exe().ok()?).ok()?;
    std::fs::read(image.interpreter()?.raw()).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_damage_never_panics(
        sections: bool,
        old: bool,
        damage in proptest::collection::vec((0usize..0x2600, any::<u8>()), 1..40),
        length in 0usize..0x2800,
    ) {
        let mut file = TinyGo { old, sections, ..with_inlined() }.build();
        for (at, byte) in damage {
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        file.truncate(length.max(8));
        if let Ok(image) = open(&file) {
            exercise(&image);
        }
    }

    #[test]
    fn a_damaged_table_never_panics(
        damage in proptest::collection::vec((0x2000usize..0x2400, any::<u8>()), 1..6),
    ) {
        let mut file = with_inlined().build();
        for (at, byte) in damage {
            file[at] = byte;
        }
        if let Ok(image) = open(&file) {
            exercise(&image);
        }
    }
}

#[test]
fn a_damaged_real_file_never_panics() {
    let Some(file) = linker() else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(48));
    // Headers, tables of symbols and relocations, and section headers at the end.
    let place = prop_oneof![0..0x400usize, 0..file.len() / 8, file.len() - 0x1000..file.len()];
    let damage = proptest::collection::vec((place, any::<u8>()), 1..60);
    let result = runner.run(&(damage, 0..file.len() * 2), |(damage, length)| {
        let mut file = file.clone();
        for (at, byte) in damage {
            file[at] = byte;
        }
        file.truncate(length.max(8));
        if let Ok(image) = open(&file) {
            exercise(&image);
        }
        Ok(())
    });
    result.unwrap();
}
