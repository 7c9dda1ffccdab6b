//! Which registers hold a Go function's parameters.
//!
//! In: a parameter list as Go writes it, the receiver and the dictionary of generic
//! code among them. Out: for a name, its registers and what they mean. The rules are
//! those of `src/cmd/compile/abi-internal.md`, amd64, Go 1.17 and later.

use probe_ebpf::Reg;

use super::go_type::{Type, Unsized};
use super::source::{Part, Wrong, did_you_mean, wrong};

/// Integer registers in the order of assignment.
const INTEGERS: [Reg; 9] =
    [Reg::Rax, Reg::Rbx, Reg::Rcx, Reg::Rdi, Reg::Rsi, Reg::R8, Reg::R9, Reg::R10, Reg::R11];
/// X0 to X14.
const FLOATS: usize = 15;
/// How the dictionary of generic code is written.
const DICTIONARY: &str = "dict";

/// Type parameters and what they stand for in one instantiation.
pub(super) type Bindings<'a> = &'a [(String, Type)];

/// A parameter list, laid out.
#[derive(Debug, Default)]
pub(super) struct Params {
    list: Vec<Param>,
    has_dictionary: bool,
}

#[derive(Debug)]
struct Param {
    name: String,
    its_type: Type,
    place: Place,
}

/// Where a parameter lies.
#[derive(Clone, Debug)]
enum Place {
    Registers(Vec<Reg>),
    /// It does not fit into the registers that are left.
    Stack,
    /// It is of a type of unknown size, or comes after one.
    Unknown(Unsized),
}

/// A value that one name stands for.
#[derive(Debug)]
pub(super) enum Value {
    /// Of this type, in these registers.
    Known(Type, Vec<Reg>),
    /// Not known before the function is: it hangs on a type parameter.
    Later,
}

impl Params {
    /// Reads what stands between the parentheses.
    pub(super) fn parse(part: Part<'_>, bindings: Bindings<'_>) -> Result<Self, Wrong> {
        let mut list: Vec<(Part<'_>, Type)> = Vec::new();
        // In `a, b string` the type of a name is that of the next one that has any.
        let mut following: Option<Type> = None;
        let mut has_dictionary = false;
        for param in part.split_outside(&[',']).into_iter().rev() {
            let end = param.text.find(|c: char| c.is_whitespace() || c == '*' || c == '[');
            let name = param.slice(0..end.unwrap_or(param.text.len()));
            let is_name = !name.text.is_empty()
                && name.text.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !name.text.starts_with(|c: char| c.is_ascii_digit());
            if !is_name {
                return wrong(
                    param.at,
                    "expected a parameter: its name and type, as in key string",
                );
            }
            let its_type = match end {
                None if name.text == DICTIONARY => {
                    has_dictionary = true;
                    Type::POINTER
                }
                None => match &following {
                    Some(its_type) => its_type.clone(),
                    None => {
                        return wrong(param.end(), format!("expected the type of {}", name.text));
                    }
                },
                Some(end) => {
                    let its_type = Type::parse(param.from(end).trim(), bindings)?;
                    following = Some(its_type.clone());
                    its_type
                }
            };
            list.push((name, its_type));
        }
        list.reverse();
        for (index, (name, _)) in list.iter().enumerate() {
            if name.text != "_" && list[..index].iter().any(|(other, _)| other.text == name.text) {
                return wrong(name.at, format!("two parameters are named {}", name.text));
            }
        }
        Ok(Self { list: assign(list), has_dictionary })
    }

    /// Whether there is a dictionary: the code is generic.
    pub(super) fn has_dictionary(&self) -> bool {
        self.has_dictionary
    }

    /// The value behind `key`, `m.shards` (a field) or `name.len` (a part).
    pub(super) fn value(&self, path: Part<'_>) -> Result<Value, Wrong> {
        let (name, rest) = match path.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        let Some(param) = self.list.iter().find(|param| param.name == name.text) else {
            return wrong(path.at, self.no_such(name.text));
        };
        let registers = match &param.place {
            Place::Registers(registers) => registers.clone(),
            Place::Unknown(Unsized::Later) => return Ok(Value::Later),
            Place::Unknown(Unsized::Because { at, why }) => {
                let message = format!("it is not known where {} lies: {why}", name.text);
                return wrong(at.unwrap_or(path.at), message);
            }
            Place::Stack => {
                return wrong(
                    path.at,
                    format!(
                        "{} lies on the stack, which probes of Go functions do not read: \
                         registers take {} words, and a parameter that does not fit what is \
                         left of them, or holds an array, goes to the stack",
                        name.text,
                        INTEGERS.len()
                    ),
                );
            }
        };
        let mut value = (param.its_type.clone(), registers);
        for part in rest.into_iter().flat_map(|rest| rest.split_outside(&['.'])) {
            value = value.0.part(part.text, &value.1).map_err(|message| (part.at, message))?;
        }
        Ok(Value::Known(value.0, value.1))
    }

    fn no_such(&self, name: &str) -> String {
        let names: Vec<_> = self.list.iter().map(|param| param.name.as_str()).collect();
        if names.is_empty() {
            return "expected a register such as rax, or *(…): there are no parameters".to_owned();
        }
        format!(
            "expected a parameter ({}), a register such as rax, or *(…){}",
            names.join(", "),
            did_you_mean(name, names.iter().copied())
        )
    }
}

/// Gives registers to each parameter in order; one that does not fit as a whole
/// takes none, and a later, smaller one may still fit.
fn assign(list: Vec<(Part<'_>, Type)>) -> Vec<Param> {
    let (mut integers, mut floats) = (0, 0);
    let mut unknown: Option<Unsized> = None;
    let place = |its_type: &Type| {
        if let Some(why) = its_type.unknown().cloned().or_else(|| unknown.clone()) {
            unknown = Some(why.clone());
            return Place::Unknown(why);
        }
        let Some((words, reals)) = its_type.registers() else { return Place::Stack };
        let fits = integers + words <= INTEGERS.len() && floats + reals <= FLOATS;
        if !fits {
            return Place::Stack;
        }
        let registers = INTEGERS[integers..integers + words].to_vec();
        integers += words;
        floats += reals;
        Place::Registers(registers)
    };
    let places: Vec<_> = list.iter().map(|(_, its_type)| its_type).map(place).collect();
    list.into_iter()
        .zip(places)
        .map(|((name, its_type), place)| Param { name: name.text.to_owned(), its_type, place })
        .collect()
}
