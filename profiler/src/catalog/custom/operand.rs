//! Where a value lies: `arg2`, `rdi`, `key`, `*(c+8)`.
//!
//! In: an operand as the user writes it. Out: an [`Operand`], and for a Go parameter
//! what it naturally is.

use probe_ebpf::{Operand, Reg};

use super::go_abi::{Params, Value};
use super::go_type::Type;
use super::source::{Part, Wrong, wrong};

/// Most dereferences of an operand, `probe_ebpf::Operand`'s own bound.
pub(super) const DEREFS_LIMIT: u8 = 2;

/// Arguments by the System V ABI, in order.
const ARGUMENTS: [(&str, Reg); 6] = [
    ("arg1", Reg::Rdi),
    ("arg2", Reg::Rsi),
    ("arg3", Reg::Rdx),
    ("arg4", Reg::Rcx),
    ("arg5", Reg::R8),
    ("arg6", Reg::R9),
];
pub(super) const REGISTERS: [(&str, Reg); 16] = [
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

/// An operand and what is known of the value.
#[derive(Debug)]
pub(super) struct Place {
    /// The value, or its first word.
    pub(super) operand: Operand,
    /// A parameter as it is: its type and its registers.
    pub(super) natural: Option<(Type, Vec<Reg>)>,
    /// It hangs on a type parameter that is not bound yet.
    pub(super) is_later: bool,
    /// Where `argN` was written.
    pub(super) argument: Option<usize>,
}

impl Place {
    /// The one address that stands for the value, as a map's or a lock's.
    pub(super) fn address(&self, part: Part<'_>) -> Result<Operand, Wrong> {
        match &self.natural {
            Some((Type::Interface, registers)) => Ok(Operand::reg(registers[1])),
            Some((Type::Struct(_) | Type::Floats(_), _)) => wrong(part.at, not_a_word(self)),
            _ => Ok(self.operand),
        }
    }
}

fn not_a_word(place: &Place) -> String {
    let described = place.natural.as_ref().map_or("", |(natural, _)| natural.describe());
    format!("this is {described}: expected a pointer, or a field that is one")
}

/// Reads an operand; `params` are those of a Go function.
pub(super) fn operand(part: Part<'_>, params: Option<&Params>) -> Result<Place, Wrong> {
    if let Some(inner) = part.strip("*(") {
        let Some((inner, rest)) = inner.rsplit_once(')') else {
            return wrong(part.end(), "expected the ) of *(");
        };
        let mut place = operand(inner, params)?;
        if place.operand.derefs >= DEREFS_LIMIT {
            return wrong(part.at, "an operand can be dereferenced twice at most");
        }
        place.operand = place.address(inner)?;
        place.operand.derefs += 1;
        place.operand.offsets[usize::from(place.operand.derefs)] = offset(rest)?;
        place.natural = None;
        return Ok(place);
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let length = part.text.find(|c| !is_name(c)).unwrap_or(part.text.len());
    let name = part.slice(0..length);
    let rest = part.from(length);
    let mut place = base(name, params)?;
    if !rest.text.is_empty() {
        let from = place.address(name)?;
        place.operand = Operand { offsets: [offset(rest)?, 0, 0], ..from };
        place.natural = None;
    }
    Ok(place)
}

/// A parameter, an argument or a register.
fn base(name: Part<'_>, params: Option<&Params>) -> Result<Place, Wrong> {
    let find = |list: &[(&str, Reg)]| {
        list.iter().find(|(known, _)| *known == name.text).map(|&(_, register)| register)
    };
    let plain = |operand| Place { operand, natural: None, is_later: false, argument: None };
    let Some(params) = params else {
        return match (find(&ARGUMENTS), find(&REGISTERS)) {
            (Some(register), _) => {
                Ok(Place { argument: Some(name.at), ..plain(Operand::reg(register)) })
            }
            (_, Some(register)) => Ok(plain(Operand::reg(register))),
            _ => wrong(name.at, "expected arg1 to arg6, a register such as rdi, or *(…)"),
        };
    };
    match (params.value(name), find(&REGISTERS)) {
        (Ok(Value::Later), _) => Ok(Place { is_later: true, ..plain(Operand::NONE) }),
        (Ok(Value::Known(its_type, registers)), _) => {
            let operand = registers.first().map_or(Operand::NONE, |first| Operand::reg(*first));
            Ok(Place { natural: Some((its_type.innermost().clone(), registers)), ..plain(operand) })
        }
        (_, Some(register)) => Ok(plain(Operand::reg(register))),
        (Err(_), _) if find(&ARGUMENTS).is_some() => wrong(
            name.at,
            "arg1 to arg6 are the registers of C, which Go does not use: name one of the \
             parameters",
        ),
        (Err(error), _) => Err(error),
    }
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
