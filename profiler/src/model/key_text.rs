//! Keys as a person reads them.
//!
//! In: a key's bytes and how they are meant. Out: text without control
//! characters, terminal escapes or invisible characters, whatever the key holds.

use std::fmt::Write;

use super::slice::Key;
use crate::catalog::KeyFormat;

/// Ends the text of a key of which not all bytes were carried.
const CUT: char = '…';

/// The key as the program would write it: `"user:42"`, `-7`, `0x1f`, or hex bytes
/// where the format does not fit the bytes. Ends in `…` where the key was cut.
pub fn key_text(key: &Key, format: KeyFormat) -> String {
    let mut text = match (format, number(key)) {
        (KeyFormat::Int, Some((value, bits))) => {
            // Shifted up and down again, so that the key's own sign bit is the sign.
            ((value << (64 - bits)).cast_signed() >> (64 - bits)).to_string()
        }
        (KeyFormat::Uint, Some((value, _))) => value.to_string(),
        (KeyFormat::Hex, Some((value, _))) => format!("{value:#x}"),
        (KeyFormat::Str, _) => quoted(&key.bytes),
        _ => hex(&key.bytes),
    };
    if is_cut(key) {
        text.push(CUT);
    }
    text
}

/// Whether bytes of the key are missing.
pub(super) fn is_cut(key: &Key) -> bool {
    key.len > key.bytes.len() as u64
}

/// The whole key as a little-endian number, and its size in bits.
fn number(key: &Key) -> Option<(u64, usize)> {
    let len = key.bytes.len();
    if is_cut(key) || !(1..=size_of::<u64>()).contains(&len) {
        return None;
    }
    let mut padded = [0; size_of::<u64>()];
    padded[..len].copy_from_slice(&key.bytes);
    Some((u64::from_le_bytes(padded), 8 * len))
}

/// A string literal. Invalid UTF-8 is shown as `\xNN`.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        // Also escapes each ', which needs it in a character literal only.
        text += &chunk.valid().escape_debug().to_string().replace("\\'", "'");
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}

/// Pairs of digits in memory order.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "(empty)".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8], format: KeyFormat) -> String {
        key_text(&Key { bytes: bytes.into(), len: bytes.len() as u64 }, format)
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
    }

    #[test]
    fn cut_keys_say_so() {
        let key = Key { bytes: b"abc".as_slice().into(), len: 10_000 };
        assert_eq!(key_text(&key, KeyFormat::Str), "\"abc\"…");
        assert_eq!(key_text(&key, KeyFormat::Int), "61 62 63…");
    }

    proptest! {
        #[test]
        fn never_a_control_character(bytes in prop::collection::vec(any::<u8>(), 0..40), extra in 0_u64..3) {
            let key = Key { len: bytes.len() as u64 + extra, bytes: bytes.into() };
            for format in [KeyFormat::Int, KeyFormat::Uint, KeyFormat::Hex, KeyFormat::Str, KeyFormat::Bytes] {
                let text = key_text(&key, format);
                prop_assert!(!text.chars().any(char::is_control), "{text:?}");
                prop_assert_eq!(text.ends_with('…'), extra > 0);
            }
        }
    }
}
