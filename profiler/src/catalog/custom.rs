//! The user's own functions: `--probe 'lookup:my_get key=arg2:str map=arg1'`.
//!
//! In: the text. Out: an [`Entry`] like the built-in ones, or an error that points
//! at the place.
//!
//! ```text
//! probe    = ROLE ":" SYMBOL [ "@" MODULE ] { " " FIELD }
//! ROLE     = lookup | insert | delete | iterate | clear | grow | lock
//! SYMBOL   = a function's name; "*" stands for any text, except in "(*T).Method"
//! MODULE   = a file name such as libcache.so.2; else the executable, then its libraries
//! FIELD    = "key=" OPERAND [ ":" FORMAT ]      lookup, insert, delete
//!          | "len=" OPERAND                     the key's length in bytes, for str and bytes
//!          | "map=" OPERAND                     the map's address; else all hits are one map
//!          | "lock=" OPERAND                    the lock's address; lock needs it
//!          | "kind=" NAME                       what the map or lock is called
//! OPERAND  = PLACE [ ("+" | "-") NUMBER ]
//! PLACE    = arg1 … arg6 | rax … r15            System V arguments, or any register
//!          | "*(" OPERAND ")"                   the eight bytes there; at most twice
//! FORMAT   = int | uint | hex, each with 8, 16, 32 or 64 (the default) bits behind it
//!          | str                                NUL-terminated, or with len=
//!          | bytesN | bytes                     N bytes, or with len=
//! ```
//!
//! A key without a format is `int`, or `str` where there is a `len=`. Operands are
//! read at the function's entry. A `lock` function must return once it has the lock.
//! Go passes arguments in other registers: rax, rbx, rcx, rdi, rsi, r8, r9, r10, r11.

use std::borrow::Cow;

use probe_ebpf::{Op, Operand, Reg};

use super::{Entry, KeyFormat, KeySource, Point, Role, Symbol, Task};

/// Most bytes of a fixed-size key.
const BYTES_LIMIT: u32 = 4096;
/// Most dereferences of an operand, `probe_ebpf::Operand`'s own bound.
const DEREFS_LIMIT: u8 = 2;

const ROLES: &[(&str, Role)] = &[
    ("lookup", Role::Map(Op::Lookup)),
    ("insert", Role::Map(Op::Insert)),
    ("delete", Role::Map(Op::Delete)),
    ("iterate", Role::Map(Op::Iterate)),
    ("clear", Role::Map(Op::Clear)),
    ("grow", Role::Map(Op::Grow)),
    ("lock", Role::Acquire),
];

const REGISTERS: &[(&str, Reg)] = &[
    ("arg1", Reg::Rdi),
    ("arg2", Reg::Rsi),
    ("arg3", Reg::Rdx),
    ("arg4", Reg::Rcx),
    ("arg5", Reg::R8),
    ("arg6", Reg::R9),
    ("rax", Reg::Rax),
    ("rcx", Reg::Rcx),
    ("rdx", Reg::Rdx),
    ("rbx", Reg::Rbx),
    ("rsp", Reg::Rsp),
    ("rbp", Reg::Rbp),
    ("rsi", Reg::Rsi),
    ("rdi", Reg::Rdi),
    ("r8", Reg::R8),
    ("r9", Reg::R9),
    ("r10", Reg::R10),
    ("r11", Reg::R11),
    ("r12", Reg::R12),
    ("r13", Reg::R13),
    ("r14", Reg::R14),
    ("r15", Reg::R15),
];

/// A `--probe` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--probe: {message}\n  {text}\n  {}^", " ".repeat(*column))]
pub struct ProbeError {
    /// What the user wrote.
    pub text: String,
    /// Where, in characters from its start.
    pub column: usize,
    /// What was expected there.
    pub message: String,
}

/// A part of the text and where it begins, in bytes.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    text: &'a str,
    at: usize,
}

/// What was expected, and where.
type Wrong = (usize, String);

fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err((at, message.into()))
}

impl Part<'_> {
    fn end(self) -> usize {
        self.at + self.text.len()
    }

    /// What follows a separator, and what precedes it.
    fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(separator)?;
        let at = self.end() - after.len();
        Some((Part { text: before, at: self.at }, Part { text: after, at }))
    }

    fn rsplit_once(self, separator: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.rsplit_once(separator)?;
        let at = self.end() - after.len();
        Some((Part { text: before, at: self.at }, Part { text: after, at }))
    }

    /// The rest behind a prefix.
    fn strip(self, prefix: &str) -> Option<Self> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Part { text, at: self.at + prefix.len() })
    }
}

/// Reads one `--probe`.
pub fn parse(text: &str) -> Result<Entry, ProbeError> {
    parse_parts(text).map_err(|(at, message)| ProbeError {
        text: text.replace(char::is_whitespace, " "),
        column: text.get(..at).map_or(0, |before| before.chars().count()),
        message,
    })
}

fn parse_parts(text: &str) -> Result<Entry, Wrong> {
    let mut parts = text
        .split_whitespace()
        .map(|part| Part { text: part, at: part.as_ptr().addr() - text.as_ptr().addr() });
    let Some(first) = parts.next() else {
        return wrong(0, "expected ROLE:SYMBOL, such as lookup:my_get");
    };
    let (role, symbol, module) = subject(first)?;
    let mut fields = Fields::default();
    for part in parts {
        fields.take(role, part)?;
    }
    let object = match role {
        Role::Acquire if fields.lock.is_none() => {
            return wrong(text.trim_end().len(), "expected lock=, the lock's address");
        }
        Role::Acquire => fields.lock,
        _ => fields.map,
    };
    let (key, format) = fields.key()?;
    let default_kind = if role == Role::Acquire { "custom.lock" } else { "custom.map" };
    Ok(Entry {
        runtime: "custom",
        symbol,
        module,
        role,
        point: Point::Start,
        object: object.map_or(Operand::NONE, |(_, operand)| operand),
        key,
        format,
        aux: Operand::NONE,
        task: Task::Thread,
        kind: fields.kind.map_or(Cow::Borrowed(default_kind), |(_, kind)| Cow::Owned(kind)),
        forwards_to: &[],
        required: true,
    })
}

fn subject(part: Part<'_>) -> Result<(Role, Symbol, Option<String>), Wrong> {
    let names: Vec<_> = ROLES.iter().map(|(name, _)| *name).collect();
    let expected = format!("expected a role ({}) and a colon", names.join(", "));
    let Some((role, rest)) = part.split_once(':') else {
        return wrong(part.at, expected);
    };
    let Some(&(_, role)) = ROLES.iter().find(|(name, _)| *name == role.text) else {
        return wrong(role.at, expected);
    };
    let (symbol, module) = match rest.rsplit_once('@') {
        Some((_, module)) if module.text.is_empty() => {
            return wrong(module.at, "expected a module's file name, such as libc.so.6");
        }
        Some((symbol, module)) => (symbol, Some(module.text.to_owned())),
        None => (rest, None),
    };
    if symbol.text.is_empty() {
        return wrong(symbol.at, "expected the name of a function");
    }
    Ok((role, pattern(symbol.text), module))
}

/// A `*` means any text unless it belongs to a Go receiver, `main.(*Cache).Get`.
fn pattern(text: &str) -> Symbol {
    let name = Cow::Owned(text.to_owned());
    let stars = text.matches('*').count();
    if stars > text.matches("(*").count() { Symbol::Glob(name) } else { Symbol::Exact(name) }
}

/// A field's value and where it began.
type Field<T> = Option<(usize, T)>;

#[derive(Default)]
struct Fields<'a> {
    key: Field<(Operand, Option<Part<'a>>)>,
    len: Field<Operand>,
    map: Field<Operand>,
    lock: Field<Operand>,
    kind: Field<String>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, role: Role, part: Part<'a>) -> Result<(), Wrong> {
        let keyed = matches!(role, Role::Map(Op::Lookup | Op::Insert | Op::Delete));
        let allowed: &[&str] = match role {
            Role::Map(_) if keyed => &["key", "len", "map", "kind"],
            Role::Map(_) => &["map", "kind"],
            _ => &["lock", "kind"],
        };
        let expected = format!("expected {}=", allowed.join("=, "));
        let Some((name, value)) = part.split_once('=') else {
            return wrong(part.at, expected);
        };
        if !allowed.contains(&name.text) {
            return wrong(part.at, expected);
        }
        let fresh = match name.text {
            "key" => {
                let (place, format) = match value.split_once(':') {
                    Some((place, format)) => (place, Some(format)),
                    None => (value, None),
                };
                self.key.replace((part.at, (operand(place)?, format))).is_none()
            }
            "len" => self.len.replace((part.at, operand(value)?)).is_none(),
            "map" => self.map.replace((part.at, operand(value)?)).is_none(),
            "lock" => self.lock.replace((part.at, operand(value)?)).is_none(),
            _ if value.text.is_empty() => return wrong(value.at, "expected a name"),
            _ => self.kind.replace((part.at, value.text.to_owned())).is_none(),
        };
        if fresh { Ok(()) } else { wrong(part.at, format!("{}= is given twice", name.text)) }
    }

    fn key(&self) -> Result<(KeySource, KeyFormat), Wrong> {
        let Some((_, (operand, format))) = self.key else {
            return match self.len {
                Some((at, _)) => wrong(at, "len= needs a key="),
                None => Ok((KeySource::None, KeyFormat::Bytes)),
            };
        };
        let default = if self.len.is_some() { "str" } else { "int" };
        let format = format.unwrap_or(Part { text: default, at: 0 });
        let shape = shape(format)?;
        let len = self.len.map(|(_, len)| len);
        let (source, shown) = match (shape, len) {
            (Shape::Number { size, format }, None) => {
                (KeySource::Int { value: operand, size }, format)
            }
            (Shape::Text, None) => (KeySource::CStr { pointer: operand }, KeyFormat::Str),
            (Shape::Text, Some(len)) => (KeySource::Str { pointer: operand, len }, KeyFormat::Str),
            (Shape::Bytes(Some(size)), None) => {
                (KeySource::Bytes { pointer: operand, size }, KeyFormat::Bytes)
            }
            (Shape::Bytes(None), Some(len)) => {
                (KeySource::Str { pointer: operand, len }, KeyFormat::Bytes)
            }
            (Shape::Bytes(None), None) => {
                return wrong(format.end(), "expected the number of bytes, as in bytes16, or len=");
            }
            (Shape::Number { .. } | Shape::Bytes(Some(_)), Some(_)) => {
                let at = self.len.map_or(0, |(at, _)| at);
                return wrong(at, format!("{} has its own length: leave len= out", format.text));
            }
        };
        Ok((source, shown))
    }
}

/// What a format says.
#[derive(Clone, Copy)]
enum Shape {
    Number { size: u32, format: KeyFormat },
    Text,
    Bytes(Option<u32>),
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
        "8" => 1,
        "16" => 2,
        "32" => 4,
        "" | "64" => 8,
        _ => return wrong(bits.at, "expected 8, 16, 32 or 64 bits"),
    };
    Ok(Shape::Number { size, format })
}

fn operand(part: Part<'_>) -> Result<Operand, Wrong> {
    if let Some(inner) = part.strip("*(") {
        let Some((inner, rest)) = inner.rsplit_once(')') else {
            return wrong(part.end(), "expected the ) of *(");
        };
        let mut value = operand(inner)?;
        if value.derefs >= DEREFS_LIMIT {
            return wrong(part.at, "an operand can be dereferenced twice at most");
        }
        value.derefs += 1;
        value.offsets[usize::from(value.derefs)] = offset(rest)?;
        return Ok(value);
    }
    let length = part.text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.text.len());
    let (name, rest) = part.text.split_at(length);
    let Some(&(_, register)) = REGISTERS.iter().find(|(known, _)| *known == name) else {
        return wrong(part.at, "expected arg1 to arg6, a register such as rdi, or *(…)");
    };
    Ok(Operand::reg_plus(register, offset(Part { text: rest, at: part.at + length })?))
}

/// `+8`, `-0x10`, or nothing.
fn offset(part: Part<'_>) -> Result<i32, Wrong> {
    if part.text.is_empty() {
        return Ok(0);
    }
    let (digits, sign) = match (part.strip("+"), part.strip("-")) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, -1),
        _ => {
            return wrong(part.at, "expected + or - and a number, or the operand's end");
        }
    };
    let number = match digits.strip("0x") {
        Some(hex) => u32::from_str_radix(hex.text, 16),
        None => digits.text.parse(),
    };
    // Rust's own parser takes a second sign.
    let number = number.ok().filter(|_| !digits.text.contains('+'));
    match number.map(|number| i32::try_from(sign * i64::from(number))) {
        Some(Ok(number)) => Ok(number),
        _ => wrong(digits.at, "expected a number that fits 31 bits, such as 8 or 0x10"),
    }
}

#[cfg(test)]
mod tests;
