//! Keys as a person reads them.
//!
//! In: a key's canonical bytes, its type, and the types that interfaces in it may
//! mention. Out: text without control characters, terminal escapes or invisible
//! characters, whatever the key or the types' names hold.

#[path = "key_text_known.rs"]
mod known;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Key;
use crate::catalog::KeyFormat;
use crate::target::{BLANK, Field, KeyShape, Kind, Node};

/// Ends the text of a key of which not all bytes were carried.
const CUT: char = '…';
/// Byte arrays from this length on are shown as one number, as identifiers and
/// digests usually are; shorter ones are often addresses, `[10 0 0 1]`.
const HEX_FROM: u64 = 16;
/// Most bytes of text. Keys carry at most a few hundred bytes, but names of types and
/// fields can be long.
const TEXT_LIMIT: usize = 4096;
/// How many values that lead to others are shown inside of each other.
const MOST_NESTED: u8 = 4;
/// How deep parts of parts are shown.
const DEPTH: u32 = 16;

/// Shapes of types by the addresses that interfaces know them by.
pub(crate) type Types = BTreeMap<u64, KeyShape>;

/// The key as the program would write it: `"user:42"`, `-7`, `{Region:"eu" ID:7}`, or
/// hex bytes where its type does not fit the bytes. Ends in `…` where the key was cut.
pub fn key_text(key: &Key, format: KeyFormat, shape: Option<&KeyShape>, types: &Types) -> String {
    let text = match shape {
        Some(shape) => Text::new(types, 0).typed(shape, &key.bytes),
        None if format == KeyFormat::Interface => {
            let mut text = Text::new(types, 0);
            text.interface(&key.bytes);
            text.out
        }
        None => untyped(key, format),
    };
    if is_cut(key) { format!("{text}{CUT}") } else { text }
}

/// Whether bytes of the key are missing.
pub(super) fn is_cut(key: &Key) -> bool {
    key.len > key.bytes.len() as u64
}

fn untyped(key: &Key, format: KeyFormat) -> String {
    match (format, number(&key.bytes).filter(|_| !is_cut(key))) {
        (KeyFormat::Int, Some(value)) => signed(value, key.bytes.len()).to_string(),
        (KeyFormat::Uint, Some(value)) => value.to_string(),
        (KeyFormat::Hex, Some(value)) => format!("{value:#x}"),
        (KeyFormat::Str, _) => quoted(&key.bytes),
        (KeyFormat::Text, _) => ready_made(&key.bytes),
        _ => hex(&key.bytes),
    }
}

/// Text in the making.
struct Text<'a> {
    out: String,
    /// What follows the memory of a key with pieces; `None` where it is not known any
    /// more which of it belongs to what.
    tail: Option<&'a [u8]>,
    types: &'a Types,
    /// The carried bytes have ended.
    stopped: bool,
    /// How many values lead from the key to this one.
    nested: u8,
}

impl<'a> Text<'a> {
    fn new(types: &'a Types, nested: u8) -> Self {
        Self { out: String::new(), tail: Some(&[]), types, stopped: false, nested }
    }

    /// Of a value of this type.
    fn typed(mut self, shape: &KeyShape, bytes: &'a [u8]) -> String {
        if let Kind::Interface { .. } = shape.root().kind {
            self.interface(bytes);
        } else {
            self.whole(shape, bytes);
        }
        self.out
    }

    /// A key that is no interface.
    fn whole(&mut self, shape: &KeyShape, bytes: &'a [u8]) {
        let root = shape.root();
        if root.kind == Kind::String {
            self.out += &quoted(bytes);
            return;
        }
        let size = usize::try_from(root.size).unwrap_or(usize::MAX).min(bytes.len());
        let (memory, tail) = bytes.split_at(size);
        self.tail = Some(tail);
        self.value(shape, 0, root, memory, 0);
    }

    /// A key that is an interface: the type's address, then the value.
    fn interface(&mut self, bytes: &'a [u8]) {
        let Some((address, value)) = bytes.split_first_chunk().map(split_word) else {
            self.out += &hex(bytes);
            return;
        };
        match self.types.get(&address) {
            _ if address == 0 => self.out += "nil",
            Some(shape) => self.named(shape, |text| text.whole(shape, value)),
            None => {
                let _ = write!(self.out, "(type {address:#x}) {}", hex(value));
            }
        }
    }

    /// A value with its type's name, as interfaces are shown.
    fn named(&mut self, shape: &KeyShape, write: impl FnOnce(&mut Self)) {
        let root = shape.root();
        let name = root.name.as_deref().unwrap_or("?");
        let (open, close) = match (&root.kind, name) {
            (Kind::Pointer | Kind::Chan | Kind::TypePointer, _)
            | (Kind::String, "string")
            | (Kind::Bool, "bool") => {
                return write(self);
            }
            (Kind::Struct(_), name) if known::has_text(name) => ("(", ")"),
            (Kind::Struct(_) | Kind::Array { .. } | Kind::Complex, _) => ("", ""),
            _ => ("(", ")"),
        };
        self.out += &safe(name);
        self.out += open;
        write(self);
        self.out += close;
    }

    /// A part of a key, or all of it, in its memory.
    fn value(&mut self, shape: &KeyShape, number: u32, node: &Node, memory: &[u8], depth: u32) {
        if self.out.len() > TEXT_LIMIT || depth > DEPTH {
            self.out.push('?');
            self.stopped = true;
            return;
        }
        if let Some(name) = node.name.as_deref()
            && memory.len() as u64 == node.size
            && let Some(text) = known::text(name, &node.kind, memory, self.types)
        {
            self.out += &text;
            return;
        }
        match &node.kind {
            Kind::Struct(fields) => self.fields(shape, number, fields, memory, depth),
            Kind::Array { element, len } => {
                self.elements(shape, number, *element, *len, memory, depth);
            }
            _ if memory.len() as u64 != node.size => {
                self.stopped = true;
                if !memory.is_empty() {
                    self.out += &hex(memory);
                }
            }
            Kind::String => {
                let len = memory.get(8..).and_then(word).unwrap_or(0);
                self.string(len);
            }
            Kind::Interface { .. } => self.piece(memory),
            Kind::Handle { .. } => self.handle(node, memory),
            _ => self.scalar(node, memory),
        }
    }

    fn fields(&mut self, shape: &KeyShape, of: u32, fields: &[Field], memory: &[u8], depth: u32) {
        self.out.push('{');
        let mut separator = "";
        for field in fields.iter().filter(|field| field.name != BLANK) {
            let Some(node) = shape.part(of, field.node) else { continue };
            if self.stopped {
                break;
            }
            let _ = write!(self.out, "{separator}{}:", safe(&field.name));
            separator = " ";
            let memory = part_of(memory, field.offset, node.size);
            self.value(shape, field.node, node, memory, depth + 1);
        }
        self.out.push('}');
    }

    fn elements(
        &mut self,
        shape: &KeyShape,
        of: u32,
        element: u32,
        len: u64,
        memory: &[u8],
        depth: u32,
    ) {
        let Some(node) = shape.part(of, element) else {
            self.out.push('?');
            return;
        };
        if node.kind == Kind::Uint && node.size == 1 && len >= HEX_FROM {
            self.out += "0x";
            for byte in memory {
                let _ = write!(self.out, "{byte:02x}");
            }
            self.stopped |= (memory.len() as u64) < len;
            return;
        }
        self.out.push('[');
        for index in 0..len {
            if self.stopped {
                break;
            }
            if index > 0 {
                self.out.push(' ');
            }
            let memory = part_of(memory, index.saturating_mul(node.size), node.size);
            self.value(shape, element, node, memory, depth + 1);
        }
        self.out.push(']');
    }

    /// A string in a struct or an array: its contents are the next in the tail.
    fn string(&mut self, len: u64) {
        match self.take(len) {
            Some(contents) => self.out += &quoted(contents),
            None => self.out.push('?'),
        }
    }

    /// An interface in a struct or an array.
    fn piece(&mut self, memory: &[u8]) {
        let Some((address, data)) = memory.split_first_chunk().map(split_word) else { return };
        if address == 0 {
            self.out += "nil";
            return;
        }
        let Some(shape) = self.types.get(&address) else {
            // How much of the tail is its own is not known, so neither is the rest.
            let rest = self.tail.take().unwrap_or_default();
            let _ = write!(self.out, "(type {address:#x}) {}", hex(rest));
            return;
        };
        let root = shape.root();
        if root.pointer_shaped {
            return self.named(shape, |text| text.value(shape, 0, root, data, 1));
        }
        if root.kind == Kind::String {
            let len = self.take(8).and_then(word);
            return match len {
                Some(len) => self.named(shape, |text| text.string(len)),
                None => self.out.push('?'),
            };
        }
        let Some(value) = self.take(root.size) else { return self.out.push('?') };
        if shape.leads_elsewhere() {
            let name = safe(root.name.as_deref().unwrap_or("?"));
            let _ = write!(self.out, "{name}({})", hex(value));
        } else {
            self.named(shape, |text| text.value(shape, 0, root, value, 1));
        }
    }

    /// A pointer that stands for what it points to.
    fn handle(&mut self, node: &Node, memory: &[u8]) {
        let value = word(memory).and_then(|address| self.types.get(&address));
        if self.nested < MOST_NESTED
            && let Some(Kind::Value { of, bytes, len }) = value.map(|value| &value.root().kind)
            && let Some(shape) = self.types.get(of)
        {
            let text = Text::new(self.types, self.nested + 1).typed(shape, bytes);
            self.out += &text;
            if *len > bytes.len() as u64 {
                self.out.push(CUT);
            }
        } else {
            self.scalar(node, memory);
        }
    }

    /// The next bytes of the tail, or what was carried of them.
    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let tail = self.tail?;
        let at = usize::try_from(len).unwrap_or(usize::MAX).min(tail.len());
        self.stopped |= (at as u64) < len;
        let (taken, rest) = tail.split_at(at);
        self.tail = Some(rest);
        Some(taken)
    }

    /// A whole value without parts.
    fn scalar(&mut self, node: &Node, memory: &[u8]) {
        let size = memory.len();
        let text = match (&node.kind, number(memory)) {
            (Kind::Bool, Some(value @ (0 | 1))) => (value == 1).to_string(),
            (Kind::Int, Some(value)) => signed(value, size).to_string(),
            (Kind::Uint, Some(value)) => value.to_string(),
            (Kind::Uintptr, Some(value)) => format!("{value:#x}"),
            (Kind::Float, Some(_)) => float(memory),
            (Kind::Complex, _) if size.is_multiple_of(2) => {
                let (real, imaginary) = memory.split_at(size / 2);
                let (real, imaginary) = (float(real), float(imaginary));
                let plus = if imaginary.starts_with(['+', '-']) { "" } else { "+" };
                format!("({real}{plus}{imaginary}i)")
            }
            (Kind::TypePointer, Some(value)) => type_name(self.types.get(&value))
                .unwrap_or_else(|| pointer(node.name.as_deref(), value)),
            (Kind::Pointer | Kind::Chan | Kind::Handle { .. }, Some(value)) => {
                pointer(node.name.as_deref(), value)
            }
            _ => hex(memory),
        };
        self.out += &text;
    }
}

/// `*main.T(0xc000012340)`
fn pointer(name: Option<&str>, value: u64) -> String {
    let value = if value == 0 { "nil".to_owned() } else { format!("{value:#x}") };
    name.map(|name| format!("{}({value})", safe(name))).unwrap_or(value)
}

/// The name of a type as the program writes it.
fn type_name(shape: Option<&KeyShape>) -> Option<String> {
    shape?.root().name.as_deref().map(safe)
}

/// The `size` bytes at `offset`, or what there is of them.
fn part_of(memory: &[u8], offset: u64, size: u64) -> &[u8] {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(memory.len());
    &memory[at(offset)..at(offset.saturating_add(size))]
}

fn split_word<'a>((word, rest): (&'a [u8; 8], &'a [u8])) -> (u64, &'a [u8]) {
    (u64::from_le_bytes(*word), rest)
}

fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// Up to eight bytes as a little-endian number.
fn number(bytes: &[u8]) -> Option<u64> {
    if !(1..=size_of::<u64>()).contains(&bytes.len()) {
        return None;
    }
    let mut padded = [0; size_of::<u64>()];
    padded[..bytes.len()].copy_from_slice(bytes);
    Some(u64::from_le_bytes(padded))
}

/// A number of so many bytes, shifted up and down again, so that its own sign bit is
/// the sign.
fn signed(value: u64, bytes: usize) -> i64 {
    let unused = 64 - 8 * bytes.clamp(1, 8);
    (value << unused).cast_signed() >> unused
}

/// The shortest digits that mean the same number, with an exponent as Go writes it
/// where it is below -4 or above 20 (Go's `%v` writes `1e+06`, which few read well).
fn float(bytes: &[u8]) -> String {
    let (value, plain, exponent) = if let Some(bytes) = bytes.first_chunk() {
        let value = f64::from_le_bytes(*bytes);
        (value, value.to_string(), format!("{value:e}"))
    } else if let Some(bytes) = bytes.first_chunk::<4>() {
        let value = f32::from_le_bytes(*bytes);
        (f64::from(value), value.to_string(), format!("{value:e}"))
    } else {
        return hex(bytes);
    };
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if value == 0.0 || (1e-4..1e21).contains(&value.abs()) {
        plain
    } else {
        let (digits, power) = exponent.split_once('e').unwrap_or((&exponent, "0"));
        let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
        format!("{digits}e{sign}{power:0>2}")
    }
}

/// A string literal. Invalid UTF-8 is shown as `\xNN`, and so is a zero: behind `\0` in Go and
/// C more digits are to come.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for (index, part) in chunk.valid().split('\0').enumerate() {
            text += if index > 0 { "\\x00" } else { "" };
            // Also escapes each ', which needs it in a character literal only.
            text += &part.escape_debug().to_string().replace("\\'", "'");
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}

/// A text of [`key_text`], which it leaves as it is; of any other it leaves nothing
/// invisible.
fn ready_made(bytes: &[u8]) -> String {
    const AS_THEY_ARE: [char; 3] = ['"', '\'', '\\'];
    let mut text = String::new();
    for piece in String::from_utf8_lossy(bytes).split_inclusive(AS_THEY_ARE) {
        let end = piece.trim_end_matches(AS_THEY_ARE).len();
        // Only what begins a text cannot be a combining character.
        let within = format!("x{}", &piece[..end]);
        text.extend(within.escape_debug().skip(1));
        text += &piece[end..];
    }
    text
}

/// A name of the target's: quotes and all, but nothing invisible.
fn safe(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for char in name.chars() {
        match char {
            '"' | '\'' | '\\' => text.push(char),
            _ => text.extend(char.escape_debug()),
        }
    }
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
#[path = "key_text_tests.rs"]
mod tests;
