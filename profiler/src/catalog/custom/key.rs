//! How a key is fetched and shown: from its format, its length, or a Go type.
//!
//! In: `key=` and `len=` as written. Out: a [`KeySource`] and a [`KeyFormat`].

use probe_ebpf::{Operand, Reg};

use super::go_abi::Params;
use super::go_type::Type;
use super::operand::{Place, operand};
use super::source::{Part, Wrong, wrong};
use crate::catalog::{KeyFormat, KeySource};

/// Most bytes of a fixed-size key.
const BYTES_LIMIT: u32 = 4096;

/// What a format says.
#[derive(Clone, Copy)]
enum Shape {
    /// Without a size where the user left it open.
    Number {
        size: Option<u32>,
        format: KeyFormat,
    },
    Text,
    Bytes(Option<u32>),
}

/// Reads a key and the length that may go with it, after where that field begins.
pub(super) fn key(
    key: Part<'_>,
    len: Option<(usize, Part<'_>)>,
    params: Option<&Params>,
    note: &mut impl FnMut(&Place),
) -> Result<(KeySource, KeyFormat), Wrong> {
    let (place, format) = match key.split_once(':') {
        Some((place, format)) => (place, Some(format)),
        None => (key, None),
    };
    let value = operand(place, params)?;
    note(&value);
    let written = format.map(shape).transpose()?;
    if let Some((len_at, len)) = len {
        let length = operand(len, params)?;
        note(&length);
        let pointer = value.address(place)?;
        let format = match written.unwrap_or(Shape::Text) {
            Shape::Text => KeyFormat::Str,
            Shape::Bytes(None) => KeyFormat::Bytes,
            Shape::Number { .. } | Shape::Bytes(Some(_)) => {
                let text = format.map_or("", |format| format.text);
                return wrong(len_at, format!("{text} has its own length: leave len= out"));
            }
        };
        return Ok((KeySource::Str { pointer, len: length.address(len)? }, format));
    }
    if value.is_later {
        return Ok((KeySource::None, KeyFormat::Bytes));
    }
    let at = format.map_or(key.end(), |format| format.at);
    match &value.natural {
        Some((its_type, registers)) => {
            typed(its_type, registers, written).map_err(|message| (at, message))
        }
        None => untyped(value.operand, written, format),
    }
}

/// A key of which only the place is known.
fn untyped(
    operand: Operand,
    written: Option<Shape>,
    format: Option<Part<'_>>,
) -> Result<(KeySource, KeyFormat), Wrong> {
    match written.unwrap_or(Shape::Number { size: None, format: KeyFormat::Int }) {
        Shape::Number { size, format } => {
            Ok((KeySource::Int { value: operand, size: size.unwrap_or(8) }, format))
        }
        Shape::Text => Ok((KeySource::CStr { pointer: operand }, KeyFormat::Str)),
        Shape::Bytes(Some(size)) => {
            Ok((KeySource::Bytes { pointer: operand, size }, KeyFormat::Bytes))
        }
        Shape::Bytes(None) => {
            let end = format.map_or(0, Part::end);
            wrong(end, "expected the number of bytes, as in bytes16, or len=")
        }
    }
}

/// A parameter of a Go function; a format must fit its type.
fn typed(
    its_type: &Type,
    registers: &[Reg],
    written: Option<Shape>,
) -> Result<(KeySource, KeyFormat), String> {
    let word = |index: usize| Operand::reg(registers[index]);
    let sized = |format| (KeySource::Str { pointer: word(0), len: word(1) }, format);
    match (its_type, written) {
        (Type::Number { size, format }, None) => {
            Ok((KeySource::Int { value: word(0), size: *size }, *format))
        }
        (Type::Number { size: has, .. }, Some(Shape::Number { size, format })) => {
            let size = size.unwrap_or(*has);
            if size > *has {
                return Err(format!("expected at most the {} bits that it has", has * 8));
            }
            Ok((KeySource::Int { value: word(0), size }, format))
        }
        (Type::Number { format: KeyFormat::Hex, .. }, Some(Shape::Text)) => {
            Ok((KeySource::CStr { pointer: word(0) }, KeyFormat::Str))
        }
        (
            Type::Number { format: KeyFormat::Hex, .. } | Type::Text | Type::Slice { .. },
            Some(Shape::Bytes(Some(size))),
        ) => Ok((KeySource::Bytes { pointer: word(0), size }, KeyFormat::Bytes)),
        (Type::Text, None) | (Type::Text | Type::Slice { of_bytes: true }, Some(Shape::Text)) => {
            Ok(sized(KeyFormat::Str))
        }
        (Type::Slice { of_bytes: true }, None)
        | (Type::Text | Type::Slice { of_bytes: true }, Some(Shape::Bytes(None))) => {
            Ok(sized(KeyFormat::Bytes))
        }
        (Type::Interface, None) => {
            Ok((KeySource::GoIface { type_word: word(0), data: word(1) }, KeyFormat::Interface))
        }
        (Type::Floats(_), _) => Err("this is a floating-point number, and probes do not read the \
                                     registers of those: expected another parameter"
            .to_owned()),
        (Type::Struct(fields), _) => {
            let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!("this is a struct: expected one of its fields ({})", names.join(", ")))
        }
        (Type::Slice { of_bytes: false }, _) => {
            Err("this is a slice: expected its ptr or len, or bytesN".to_owned())
        }
        (Type::Interface, Some(_)) => {
            Err("this is an interface, whose type the program knows: leave the format out, or \
                 take its data"
                .to_owned())
        }
        (Type::Text, Some(Shape::Number { .. })) | (Type::Slice { .. }, Some(_)) => {
            Err(format!("this is {}: expected str, bytes or bytesN", its_type.describe()))
        }
        (Type::Number { .. }, Some(_)) => {
            let expected = match its_type {
                Type::Number { format: KeyFormat::Hex, .. } => "a pointer: expected str, bytesN",
                _ => "a number: expected int, uint, hex",
            };
            Err(format!("this is {expected} or no format"))
        }
        (Type::Array | Type::Unknown(_), _) => {
            Err(format!("this is {}, which cannot be a key", its_type.describe()))
        }
    }
}

fn shape(part: Part<'_>) -> Result<Shape, Wrong> {
    const EXPECTED: &str = "expected a format: int, uint or hex (with 8, 16, 32 or 64), str, \
                            bytes or bytesN";
    if part.text == "str" {
        return Ok(Shape::Text);
    }
    if let Some(count) = part.strip("bytes") {
        return match count.text.parse() {
            Ok(count) if (1..=BYTES_LIMIT).contains(&count) => Ok(Shape::Bytes(Some(count))),
            _ if count.text.is_empty() => Ok(Shape::Bytes(None)),
            _ => wrong(count.at, format!("expected a number of bytes from 1 to {BYTES_LIMIT}")),
        };
    }
    let numbers = [("int", KeyFormat::Int), ("uint", KeyFormat::Uint), ("hex", KeyFormat::Hex)];
    let Some((bits, format)) =
        numbers.iter().find_map(|&(name, format)| Some((part.strip(name)?, format)))
    else {
        return wrong(part.at, EXPECTED);
    };
    let size = match bits.text {
        "8" => Some(1),
        "16" => Some(2),
        "32" => Some(4),
        "64" => Some(8),
        "" => None,
        _ => return wrong(bits.at, "expected 8, 16, 32 or 64 bits"),
    };
    Ok(Shape::Number { size, format })
}
