//! Go's types, as far as registers are concerned.
//!
//! In: a type as Go writes it, in a source file or in the name of a shape
//! (`go.shape.string`). Out: how many registers it takes and what its parts are.

use probe_ebpf::Reg;

use super::go_abi::Bindings;
use super::source::{Part, Wrong, did_you_mean, wrong};
use crate::catalog::KeyFormat;

/// How the compiler names the types that generic code is compiled for
/// (`src/cmd/compile/internal/noder/reader.go`).
pub(super) const SHAPE: &str = "go.shape.";

const NUMBERS: &[(&str, u32, KeyFormat)] = &[
    ("int", 8, KeyFormat::Int),
    ("int8", 1, KeyFormat::Int),
    ("int16", 2, KeyFormat::Int),
    ("int32", 4, KeyFormat::Int),
    ("int64", 8, KeyFormat::Int),
    ("rune", 4, KeyFormat::Int),
    ("uint", 8, KeyFormat::Uint),
    ("uint8", 1, KeyFormat::Uint),
    ("uint16", 2, KeyFormat::Uint),
    ("uint32", 4, KeyFormat::Uint),
    ("uint64", 8, KeyFormat::Uint),
    ("byte", 1, KeyFormat::Uint),
    ("bool", 1, KeyFormat::Uint),
    ("uintptr", 8, KeyFormat::Hex),
    ("unsafe.Pointer", 8, KeyFormat::Hex),
    // The receiver of a method with a pointer receiver.
    ("recv", 8, KeyFormat::Hex),
];
const OTHERS: &[(&str, Type)] = &[
    ("string", Type::Text),
    ("any", Type::Interface),
    ("error", Type::Interface),
    ("float32", Type::Floats(1)),
    ("float64", Type::Floats(1)),
    ("complex64", Type::Floats(2)),
    ("complex128", Type::Floats(2)),
];

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// One word, of which the low `size` bytes count.
    Number { size: u32, format: KeyFormat },
    /// Pointer and length.
    Text,
    /// Pointer, length and capacity.
    Slice { of_bytes: bool },
    /// Type and data.
    Interface,
    /// In X registers.
    Floats(usize),
    /// Its fields one after the other.
    Struct(Vec<(String, Type)>),
    /// More than one element: always on the stack.
    Array,
    /// Of unknown size.
    Unknown(Unsized),
}

/// Why a type's size is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsized {
    /// A type parameter that is not bound yet.
    Later,
    /// For good.
    Because {
        /// Where the type was written, if the user wrote it.
        at: Option<usize>,
        /// In a sentence.
        why: String,
    },
}

impl Type {
    /// A pointer, map, channel or function.
    pub(super) const POINTER: Self = Self::Number { size: 8, format: KeyFormat::Hex };

    /// Whether a name is one of Go's own types.
    pub(super) fn is_predeclared(name: &str) -> bool {
        names().any(|known| known == name)
    }

    /// Reads a type; one that mapprof does not know is [`Type::Unknown`].
    pub(super) fn parse(part: Part<'_>, bindings: Bindings<'_>) -> Result<Self, Wrong> {
        let part = part.trim();
        let text = part.text;
        if text.is_empty() {
            return wrong(part.at, "expected a type");
        }
        if text.starts_with("[]") || text.starts_with("...") {
            let element = text.trim_start_matches("...").trim_start_matches("[]").trim();
            return Ok(Self::Slice { of_bytes: matches!(element, "byte" | "uint8") });
        }
        if text.starts_with('[') {
            return array(part, bindings);
        }
        let word = &text[..text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len())];
        match word {
            _ if text.starts_with('*') || text.starts_with("<-") => return Ok(Self::POINTER),
            "map" | "chan" | "func" => return Ok(Self::POINTER),
            "interface" => return Ok(Self::Interface),
            "struct" => return structure(part, bindings),
            _ => {}
        }
        if let Some((_, size, format)) = NUMBERS.iter().find(|(name, ..)| *name == text) {
            return Ok(Self::Number { size: *size, format: *format });
        }
        if let Some((_, known)) = OTHERS.iter().find(|(name, _)| *name == text) {
            return Ok(known.clone());
        }
        if let Some((_, bound)) = bindings.iter().find(|(name, _)| name == text) {
            return Ok(bound.clone());
        }
        let nearest = did_you_mean(text, names());
        let why = format!(
            "{text} is no type that mapprof knows: write what it is made of, such as int64, \
             string, *T or struct{{a int; b string}}, or name it as a type parameter, as in \
             (*Cache[K,V]){nearest}"
        );
        Ok(Self::Unknown(Unsized::Because { at: Some(part.at), why }))
    }

    /// The type in the name of a shape.
    pub(super) fn of_shape(shape: &str) -> Self {
        let inner = shape.strip_prefix(SHAPE).unwrap_or(shape);
        Self::parse(Part { text: inner, at: 0 }, &[])
            .ok()
            .filter(|parsed| parsed.unknown().is_none())
            .unwrap_or_else(|| {
                let why = format!("{shape} is of unknown size");
                Self::Unknown(Unsized::Because { at: None, why })
            })
    }

    /// Why the size is not known, if it is not.
    pub(super) fn unknown(&self) -> Option<&Unsized> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Struct(fields) => fields.iter().find_map(|(_, field)| field.unknown()),
            _ => None,
        }
    }

    /// Integer and floating-point registers it takes; `None`: it goes to the stack.
    pub(super) fn registers(&self) -> Option<(usize, usize)> {
        match self {
            Self::Number { .. } => Some((1, 0)),
            Self::Text | Self::Interface => Some((2, 0)),
            Self::Slice { .. } => Some((3, 0)),
            Self::Floats(count) => Some((0, *count)),
            Self::Struct(fields) => fields.iter().try_fold((0, 0), |(words, reals), (_, field)| {
                let (more_words, more_reals) = field.registers()?;
                Some((words + more_words, reals + more_reals))
            }),
            Self::Array | Self::Unknown(_) => None,
        }
    }

    /// A field of it, or one of its words, and the registers of that.
    pub(super) fn part(&self, name: &str, registers: &[Reg]) -> Result<(Self, Vec<Reg>), String> {
        let word = |index: usize, its_type| Ok((its_type, vec![registers[index]]));
        let length = Self::Number { size: 8, format: KeyFormat::Int };
        let parts = match (self, name) {
            (Self::Text | Self::Slice { .. }, "ptr") | (Self::Interface, "type") => {
                return word(0, Self::POINTER);
            }
            (Self::Interface, "data") => return word(1, Self::POINTER),
            (Self::Text | Self::Slice { .. }, "len") => return word(1, length),
            (Self::Slice { .. }, "cap") => return word(2, length),
            (Self::Struct(fields), _) => {
                let mut at = 0;
                for (field, its_type) in fields {
                    let words = its_type.registers().map_or(0, |(words, _)| words);
                    if field == name {
                        return Ok((its_type.clone(), registers[at..at + words].to_vec()));
                    }
                    at += words;
                }
                fields.iter().map(|(field, _)| field.as_str()).collect()
            }
            (Self::Text, _) => vec!["ptr", "len"],
            (Self::Slice { .. }, _) => vec!["ptr", "len", "cap"],
            (Self::Interface, _) => vec!["type", "data"],
            _ => return Err(format!("{} has no parts", self.describe())),
        };
        let nearest = did_you_mean(name, parts.iter().copied());
        Err(format!("expected one of its parts: {}{nearest}", parts.join(", ")))
    }

    /// A struct of one field is what that field is.
    pub(super) fn innermost(&self) -> &Self {
        match self {
            Self::Struct(fields) if fields.len() == 1 => fields[0].1.innermost(),
            other => other,
        }
    }

    /// For messages.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Number { format: KeyFormat::Hex, .. } => "a pointer",
            Self::Number { .. } => "a number",
            Self::Text => "a string",
            Self::Slice { of_bytes: true } => "a []byte",
            Self::Slice { of_bytes: false } => "a slice",
            Self::Interface => "an interface",
            Self::Floats(_) => "a floating-point number",
            Self::Struct(_) => "a struct",
            Self::Array => "an array",
            Self::Unknown(_) => "of an unknown type",
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    NUMBERS.iter().map(|(name, ..)| *name).chain(OTHERS.iter().map(|(name, _)| *name))
}

/// `[N]T`: nothing, its one element, or on the stack.
fn array(part: Part<'_>, bindings: Bindings<'_>) -> Result<Type, Wrong> {
    let Some(end) = part.closing() else {
        return wrong(part.end(), "expected the ] of the array's length");
    };
    let length = part.slice(1..end).trim();
    let element = part.from(end + 1);
    match length.text.parse::<u64>() {
        Ok(0) => Ok(Type::Struct(Vec::new())),
        Ok(1) => Type::parse(element, bindings),
        Ok(_) => Ok(Type::Array),
        Err(_) => wrong(length.at, "expected the array's length, a number"),
    }
}

/// `struct{a int; b string}`; in shapes field names carry their package.
fn structure(part: Part<'_>, bindings: Bindings<'_>) -> Result<Type, Wrong> {
    let body = part.from("struct".len()).trim();
    let (true, Some(end)) = (body.text.starts_with('{'), body.closing()) else {
        return wrong(body.at, "expected the fields in braces, as in struct{a int; b string}");
    };
    if end + 1 != body.text.len() {
        return wrong(body.at + end + 1, "expected the end of the type");
    }
    let mut fields = Vec::new();
    for group in body.slice(1..end).split_outside(&[';', '\n']) {
        // In `a, b int` the type of a name is that of the next one that has any.
        let mut following: Option<Type> = None;
        let first = fields.len();
        for field in group.split_outside(&[',']).into_iter().rev() {
            let (name, its_type) = match (field.split_once(' '), following) {
                (Some((name, its_type)), _) => (name, Type::parse(its_type, bindings)?),
                (None, Some(following)) => (field, following),
                (None, None) => {
                    return wrong(field.at, "expected a field's name and type, as in id int");
                }
            };
            let name = name.text.rsplit('.').next().unwrap_or(name.text);
            fields.insert(first, (name.to_owned(), its_type.clone()));
            following = Some(its_type);
        }
    }
    Ok(Type::Struct(fields))
}
