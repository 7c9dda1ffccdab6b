//! Which functions a name means.
//!
//! In: a function as the user writes it. Out: a [`Pattern`], and for generic Go code
//! the type arguments of a function that it matches.

use std::borrow::Cow;

use super::go_type::{SHAPE, Type, Unsized};
use super::source::Part;
use crate::catalog::{Symbol, glob};

/// A function, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This name, or those that a `*` pattern matches.
    Named(Symbol),
    /// Generic Go code for any type arguments: `[...]`, or `[K,V]` with their names.
    Generic { before: String, names: Vec<String>, after: String },
}

impl Pattern {
    /// `is_go`: the function is known to be Go's, so that `[K]` are type parameters.
    pub(super) fn new(text: &str, is_go: bool) -> Self {
        if let Some((before, inner, after)) = brackets(text) {
            let names: Vec<_> = Part { text: inner, at: 0 }
                .split_outside(&[','])
                .iter()
                .map(|it| it.text)
                .collect();
            let are_names = is_go && names.iter().all(|name| is_type_parameter(name));
            if inner == "..." || are_names {
                let names = if inner == "..." { Vec::new() } else { names };
                return Self::Generic {
                    before: before.to_owned(),
                    names: names.into_iter().map(str::to_owned).collect(),
                    after: after.to_owned(),
                };
            }
        }
        let name = Cow::Owned(text.to_owned());
        // A `*` means any text unless it belongs to a Go type, `main.(*Cache).Get` or
        // `main.Get[go.shape.*uint8]`.
        let stars = text.matches('*').count();
        let of_go = text.matches("(*").count() + text.matches("go.shape.*").count();
        Self::Named(if stars > of_go { Symbol::Glob(name) } else { Symbol::Exact(name) })
    }

    /// What placement looks for; generic code is resolved before.
    pub(super) fn symbol(&self) -> Symbol {
        match self {
            Self::Named(symbol) => symbol.clone(),
            Self::Generic { before, after, .. } => {
                Symbol::Exact(Cow::Owned(format!("{before}[...]{after}")))
            }
        }
    }

    /// Whether a function is meant.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Named(Symbol::Exact(exact)) => exact == name,
            Self::Named(Symbol::Glob(pattern)) => glob(pattern, name),
            Self::Generic { before, after, .. } => {
                brackets(name).is_some_and(|(head, _, tail)| head == before && tail == after)
            }
        }
    }

    /// The type parameters, not bound yet.
    pub(super) fn unbound(&self) -> Vec<(String, Type)> {
        match self {
            Self::Named(_) => Vec::new(),
            Self::Generic { names, .. } => {
                names.iter().map(|name| (name.clone(), Type::Unknown(Unsized::Later))).collect()
            }
        }
    }

    /// The type parameters, bound to a function's type arguments; an error where
    /// their numbers differ.
    pub(super) fn bound(&self, function: &str) -> Result<Vec<(String, Type)>, String> {
        let Self::Generic { names, .. } = self else { return Ok(Vec::new()) };
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let inner = brackets(function).map_or("", |(_, inner, _)| inner);
        let arguments = Part { text: inner, at: 0 }.split_outside(&[',']);
        if arguments.len() != names.len() {
            return Err(format!("expected {} type parameters, as {function} has", arguments.len()));
        }
        let types = arguments.iter().map(|argument| Type::of_shape(argument.text));
        Ok(names.iter().cloned().zip(types).collect())
    }
}

/// Whether it is generic code itself, compiled for a shape.
pub(super) fn is_shaped(function: &str) -> bool {
    brackets(function).is_some_and(|(_, inner, _)| inner.contains(SHAPE))
}

/// Whether it only fills in the dictionary for calls through an interface.
pub(super) fn is_wrapper(function: &str) -> bool {
    brackets(function).is_some_and(|(_, inner, _)| !inner.contains(SHAPE) && inner != HIDDEN)
}

/// Whether the type arguments are not in the name: up to Go 1.20 the linker leaves
/// them out of the function table (`src/cmd/link/internal/ld/pcln.go`, nameParts).
pub(super) fn is_hidden(function: &str) -> bool {
    brackets(function).is_some_and(|(_, inner, _)| inner == HIDDEN)
}

const HIDDEN: &str = "...";

/// What stands before, in and after a name's first brackets.
fn brackets(name: &str) -> Option<(&str, &str, &str)> {
    let open = name.find('[')?;
    let close = open + Part { text: &name[open..], at: 0 }.closing()?;
    Some((&name[..open], &name[open + 1..close], &name[close + 1..]))
}

fn is_type_parameter(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !Type::is_predeclared(name)
}
