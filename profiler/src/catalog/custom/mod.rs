//! The user's own functions: `--probe 'lookup:my_get key=arg2:str map=arg1'`.
//!
//! In: the text of an option, or a file of such. Out: [`Probe`]s, which become
//! [`Entry`] values like the built-in ones once the program is known, or an error that
//! points at the place.
//!
//! ```text
//! probe    = ROLE ":" FUNCTION [ "(" PARAMS ")" ] [ "@" MODULE ] { " " FIELD }
//! ROLE     = lookup | insert | delete | iterate | clear | grow | lock
//! FUNCTION = its name; "*" stands for any text, except in "(*T).Method";
//!            "[...]" for any type arguments of generic Go code, "[K,V]" also names them
//! PARAMS   = a Go function's parameters, the receiver first, then "dict" if it is
//!            generic: NAME TYPE { "," NAME TYPE }
//! MODULE   = a file name such as libcache.so.2; else the executable, then its libraries
//! FIELD    = "key=" OPERAND [ ":" FORMAT ]      lookup, insert, delete
//!          | "len=" OPERAND                     the key's length in bytes, for str and bytes
//!          | "map=" OPERAND                     the map's address; else all hits are one map
//!          | "lock=" OPERAND                    the lock's address; lock needs it
//!          | "kind=" NAME                       what the map or lock is called
//! OPERAND  = PLACE [ ("+" | "-") NUMBER ]
//! PLACE    = arg1 … arg6                        System V arguments
//!          | NAME { "." NAME }                  a Go parameter, a field or a part of it:
//!                                               ptr, len, cap, type, data
//!          | rax … r15                          a register
//!          | "*(" OPERAND ")"                   the eight bytes there; at most twice
//! FORMAT   = int | uint | hex, each with 8, 16, 32 or 64 (the default) bits behind it
//!          | str                                NUL-terminated, or with len=
//!          | bytesN | bytes                     N bytes, or with len=
//! ```
//!
//! A key without a format is what its Go type says, else `int`, or `str` where there
//! is a `len=`. Operands are read at the function's entry. A `lock` function must
//! return once it has the lock.

mod draft;
mod file;
mod go_abi;
mod go_type;
mod key;
mod operand;
mod pattern;
mod resolve;
mod source;

use super::Entry;
use crate::outside::Shown as _;
use crate::target::Target;
use draft::{Draft, Field, expected_fields, role, role_names};
use source::{Part, Source, Wrong, wrong};

pub use file::{FileError, read};
pub use source::ProbeError;

/// A probe that was read and is sound in itself.
#[derive(Clone, Debug)]
pub struct Probe {
    source: Source,
    draft: Draft,
}

impl Probe {
    fn new(source: Source, draft: Result<Draft, Wrong>) -> Result<Self, ProbeError> {
        let checked = draft.and_then(|draft| {
            draft.build(&draft.pattern.unbound())?;
            Ok(draft)
        });
        match checked {
            Ok(draft) => Ok(Self { source, draft }),
            Err(wrong) => Err(source.error(wrong)),
        }
    }

    /// The error that its function cannot be probed, if it means this one.
    pub fn refused(&self, function: &str, reason: &str) -> Option<ProbeError> {
        let written = self.draft.function.part();
        let is_it = self.draft.pattern.matches(function) || written.text == function;
        is_it.then(|| {
            self.source.error((written.at, format!("cannot probe {}: {reason}", function.shown())))
        })
    }

    /// The catalog's entries for it: one, or one for each Go function that it means.
    pub fn entries(&self, target: &Target) -> Result<Vec<Entry>, ProbeError> {
        resolve::entries(&self.draft, target).map_err(|wrong| self.source.error(wrong))
    }
}

/// Reads one `--probe`.
pub fn parse(text: &str) -> Result<Probe, ProbeError> {
    Probe::new(Source::of_option(text), draft(Part { text, at: 0 }))
}

fn draft(text: Part<'_>) -> Result<Draft, Wrong> {
    let text = text.trim();
    if text.text.is_empty() {
        return wrong(0, "expected ROLE:SYMBOL, such as lookup:my_get");
    }
    let expected = format!("expected a role ({}) and a colon", role_names());
    let Some((name, rest)) = text.split_once(':') else {
        return wrong(text.at, expected);
    };
    let role = role(name, &expected)?;
    let (subject, fields) = rest.split_subject()?;
    let (function, params, module) = parts_of_subject(subject)?;
    let fields = fields
        .words()
        .map(|field| match field.split_once('=') {
            Some((name, value)) => Ok(Field { name: name.into(), value: value.into() }),
            None => wrong(field.at, expected_fields(role, field.text)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Draft::new(role, function, module, params, fields, text.end())
}

impl<'a> Part<'a> {
    /// Up to the first space outside of brackets, and the rest.
    fn split_subject(self) -> Result<(Self, Self), Wrong> {
        let mut at = 0;
        while let Some(c) = self.text[at..].chars().next() {
            if c.is_whitespace() {
                break;
            }
            at += match c {
                '(' | '[' | '{' => match self.from(at).closing() {
                    Some(closing) => closing + 1,
                    None => return wrong(self.end(), format!("expected the end of this {c}")),
                },
                _ => c.len_utf8(),
            };
        }
        Ok((self.slice(0..at), self.from(at)))
    }

    fn words(self) -> impl Iterator<Item = Part<'a>> {
        self.text.split_whitespace().map(move |word| {
            let at = word.as_ptr().addr() - self.text.as_ptr().addr();
            self.slice(at..at + word.len())
        })
    }
}

/// A function, its parameters and its module.
type Subject<'a> = (Part<'a>, Option<Part<'a>>, Option<Part<'a>>);

/// `function`, `function(params)`, either with `@module`. Parentheses that open
/// behind a dot or begin the name are part of it: `main.(*Cache).Get`.
fn parts_of_subject(part: Part<'_>) -> Result<Subject<'_>, Wrong> {
    let opening = |&(at, _): &(usize, &str)| at > 0 && !part.text[..at].ends_with('.');
    let Some((open, _)) = part.text.match_indices('(').find(opening) else {
        return Ok(match part.rsplit_once('@') {
            Some((function, module)) => (function, None, Some(module)),
            None => (part, None, None),
        });
    };
    let function = part.slice(0..open);
    let list = part.from(open);
    let Some(close) = list.closing() else {
        return wrong(part.end(), "expected the ) of the parameters");
    };
    let params = list.slice(1..close);
    let rest = list.from(close + 1);
    match rest.strip("@") {
        Some(module) => Ok((function, Some(params), Some(module))),
        None if rest.text.is_empty() => Ok((function, Some(params), None)),
        None => wrong(rest.at, "expected a space, or @ and a module"),
    }
}

#[cfg(test)]
mod resolve_tests;
#[cfg(test)]
mod tests;
