//! A probe as written, and the entry that it becomes.
//!
//! In: its parts, from an argument or a file. Out: an [`Entry`], once for checking
//! and again for each instantiation of generic code.

use std::borrow::Cow;

use probe_ebpf::{Op, Operand};

use super::go_abi::{Bindings, Params};
use super::key;
use super::operand::{Place, operand};
use super::pattern::Pattern;
use super::source::{Part, Text, Wrong, did_you_mean, wrong};
use crate::catalog::{Entry, KeyFormat, KeySource, Point, Role, Symbol, Task, Waits, known_lock};

const ROLES: &[(&str, Role)] = &[
    ("lookup", Role::Map(Op::Lookup)),
    ("insert", Role::Map(Op::Insert)),
    ("delete", Role::Map(Op::Delete)),
    ("iterate", Role::Map(Op::Iterate)),
    ("clear", Role::Map(Op::Clear)),
    ("grow", Role::Map(Op::Grow)),
    ("lock", Role::Acquire),
];

/// The names of the roles.
pub(super) fn role_names() -> String {
    ROLES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The parts of a probe.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    role: Role,
    /// The function, as a pattern.
    pub(super) pattern: Pattern,
    /// The function, as written.
    pub(super) function: Text,
    /// File name of the module.
    pub(super) module: Option<Text>,
    /// What stands between the parentheses of a Go function.
    pub(super) params: Option<Text>,
    fields: Vec<Field>,
    end: usize,
}

/// `name=value`
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: Text,
    pub(super) value: Text,
}

/// An entry, and what is to be checked against the function.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) entry: Entry,
    /// Where the first `argN` was written.
    pub(super) argument: Option<usize>,
}

/// The role of this name.
pub(super) fn role(part: Part<'_>, expected: &str) -> Result<Role, Wrong> {
    let known = ROLES.iter().find(|(name, _)| *name == part.text);
    known.map(|&(_, role)| role).ok_or_else(|| {
        let nearest = did_you_mean(part.text, ROLES.iter().map(|(name, _)| *name));
        (part.at, format!("{expected}{nearest}"))
    })
}

impl Draft {
    /// From its parts; `end` is the place of what is missing.
    pub(super) fn new(
        role: Role,
        function: Part<'_>,
        module: Option<Part<'_>>,
        params: Option<Part<'_>>,
        fields: Vec<Field>,
        end: usize,
    ) -> Result<Self, Wrong> {
        if function.text.is_empty() {
            return wrong(function.at, "expected the name of a function");
        }
        if let Some(module) = module.filter(|module| module.text.is_empty()) {
            return wrong(module.at, "expected a module's file name, such as libc.so.6");
        }
        if let Some(params) = params.filter(|_| role == Role::Acquire) {
            return wrong(
                params.at,
                "a lock's function is timed to its return, which cannot be done in Go: waits for \
                 Go's own locks are seen without a probe",
            );
        }
        let pattern = Pattern::new(function.text, params.is_some());
        let own = |part: Option<Part<'_>>| part.map(Text::from);
        let (module, params) = (own(module), own(params));
        Ok(Self { role, pattern, function: function.into(), module, params, fields, end })
    }

    /// The entry, with these types for the function's type parameters.
    pub(super) fn build(&self, bindings: Bindings<'_>) -> Result<Built, Wrong> {
        let params = match &self.params {
            Some(params) => Some(Params::parse(params.part(), bindings)?),
            None => None,
        };
        let params = params.as_ref();
        let fields = Fields::of(self)?;
        let mut argument: Option<usize> = None;
        let mut note = |place: &Place| argument = argument.or(place.argument);
        let object = if self.role == Role::Acquire { fields.lock } else { fields.map };
        let object = match object {
            Some(part) => {
                let place = operand(part, params)?;
                note(&place);
                place.address(part)?
            }
            None if self.role == Role::Acquire => {
                return wrong(self.end, "expected lock=, the lock's address");
            }
            None => Operand::NONE,
        };
        let (key, format) = match (fields.key, fields.len) {
            (Some(key), len) => key::key(key, len, params, &mut note)?,
            (None, Some((at, _))) => return wrong(at, "len= needs a key="),
            (None, None) => (KeySource::None, KeyFormat::Bytes),
        };
        let known = match (self.role, &self.pattern) {
            (Role::Acquire, Pattern::Named(Symbol::Exact(name))) => known_lock(name),
            _ => None,
        };
        let kind = match (fields.kind, self.role) {
            (Some(kind), _) => Cow::Owned(kind.text.to_owned()),
            (None, Role::Acquire) => Cow::Borrowed(known.map_or("custom.lock", |it| it.kind)),
            (None, _) => Cow::Borrowed("custom.map"),
        };
        let entry = Entry {
            runtime: "custom",
            symbol: self.pattern.symbol(),
            module: self.module.as_ref().map(|module| module.part().text.to_owned()),
            role: self.role,
            point: Point::Start,
            object,
            key,
            format,
            aux: Operand::NONE,
            task: if params.is_some() { Task::Goroutine } else { Task::Thread },
            kind,
            forwards_to: &[],
            // Most maps of one's own take their lock inside.
            may_wait: matches!(self.role, Role::Map(_)),
            mode: known.and_then(|it| it.mode),
            waits: known.map_or(Waits::default(), |it| it.waits),
            off: None,
            required: true,
        };
        Ok(Built { entry, argument })
    }

    /// Whether the parameter list names a dictionary.
    pub(super) fn has_dictionary(&self) -> bool {
        let params = self.params.as_ref().map(|params| Params::parse(params.part(), &[]));
        matches!(params, Some(Ok(params)) if params.has_dictionary())
    }
}

/// The values of a probe's fields.
#[derive(Default)]
struct Fields<'a> {
    key: Option<Part<'a>>,
    /// And where the field begins.
    len: Option<(usize, Part<'a>)>,
    map: Option<Part<'a>>,
    lock: Option<Part<'a>>,
    kind: Option<Part<'a>>,
}

impl<'a> Fields<'a> {
    /// Each at most once, and only those that the role has.
    fn of(draft: &'a Draft) -> Result<Self, Wrong> {
        let mut fields = Self::default();
        for field in &draft.fields {
            fields.take(draft.role, field.name.part(), field.value.part())?;
        }
        Ok(fields)
    }

    fn take(&mut self, role: Role, name: Part<'a>, value: Part<'a>) -> Result<(), Wrong> {
        let allowed = allowed(role);
        if !allowed.contains(&name.text) {
            return wrong(name.at, expected_fields(role, name.text));
        }
        let is_fresh = match name.text {
            "key" => self.key.replace(value).is_none(),
            "len" => self.len.replace((name.at, value)).is_none(),
            "map" => self.map.replace(value).is_none(),
            "lock" => self.lock.replace(value).is_none(),
            _ if value.text.is_empty() => return wrong(value.at, "expected a name"),
            _ => self.kind.replace(value).is_none(),
        };
        if is_fresh { Ok(()) } else { wrong(name.at, format!("{}= is given twice", name.text)) }
    }
}

/// Names of the fields that a role has.
fn allowed(role: Role) -> &'static [&'static str] {
    match role {
        Role::Map(Op::Lookup | Op::Insert | Op::Delete) => &["key", "len", "map", "kind"],
        Role::Map(_) => &["map", "kind"],
        _ => &["lock", "kind"],
    }
}

/// What to say of a field that the role does not have.
pub(super) fn expected_fields(role: Role, written: &str) -> String {
    let allowed = allowed(role);
    let nearest = did_you_mean(written, allowed.iter().copied());
    format!("expected {}={nearest}", allowed.join("=, "))
}
