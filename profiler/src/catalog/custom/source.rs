//! Texts with their places, and the error that points at one.
//!
//! In: what the user wrote, as an argument or in a file. Out: [`Part`]s that know
//! where they began, and a [`ProbeError`] with the line and a caret under the place.

use crate::outside::Shown as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unicode_width::UnicodeWidthStr as _;

/// Two names differ this little if one is a slip of the other, see
/// `strsim::normalized_damerau_levenshtein`.
pub(super) const LIKENESS: f64 = 0.6;

/// A `--probe`, or a probe in a file, that cannot be read or does not fit the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    /// The file, where it is one.
    pub path: Option<PathBuf>,
    /// The line in the file, from 1.
    pub line: usize,
    /// Where in that line, in characters from its start.
    pub column: usize,
    /// The line.
    pub text: String,
    /// What was expected there.
    pub message: String,
}

impl std::error::Error for ProbeError {}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, text, message } = self;
        let before: String = text.chars().take(*column).collect();
        let caret = format!("{}^", " ".repeat(before.shown().to_string().width()));
        let text = text.shown();
        let Some(path) = path else {
            return write!(f, "--probe: {message}\n  {text}\n  {caret}");
        };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let path = path.shown();
        write!(
            f,
            "{path}:{line}:{}: {message}\n  {number} | {text}\n  {margin} | {caret}",
            column + 1
        )
    }
}

/// What was expected, and where in the source, in bytes.
pub(super) type Wrong = (usize, String);

pub(super) fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err((at, message.into()))
}

/// What the user wrote.
#[derive(Clone, Debug)]
pub(super) struct Source {
    text: Arc<str>,
    path: Option<Arc<Path>>,
}

impl Source {
    pub(super) fn of_option(text: &str) -> Self {
        Self { text: text.into(), path: None }
    }

    pub(super) fn of_file(text: &str, path: &Path) -> Self {
        Self { text: text.into(), path: Some(path.into()) }
    }

    /// The error for the reader. An argument is one line, whatever it contains.
    pub(super) fn error(&self, (at, message): Wrong) -> ProbeError {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let (before, after) = self.text.split_at(at);
        let start = self.path.as_ref().and_then(|_| before.rfind('\n')).map_or(0, |line| line + 1);
        let rest = if self.path.is_some() { after.lines().next().unwrap_or("") } else { after };
        let text = format!("{}{rest}", &before[start..]).replace(char::is_whitespace, " ");
        ProbeError {
            path: self.path.as_deref().map(Path::to_owned),
            line: before[..start].matches('\n').count() + 1,
            column: before[start..].chars().count(),
            text,
            message,
        }
    }
}

/// A part of the source and where it begins, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Part<'a> {
    pub(super) fn end(self) -> usize {
        self.at + self.text.len()
    }

    /// From a byte of it to another.
    pub(super) fn slice(self, range: std::ops::Range<usize>) -> Self {
        Part { text: &self.text[range.clone()], at: self.at + range.start }
    }

    pub(super) fn from(self, start: usize) -> Self {
        self.slice(start..self.text.len())
    }

    pub(super) fn trim(self) -> Self {
        let at = self.text.len() - self.text.trim_start().len();
        Part { text: self.text.trim(), at: self.at + at }
    }

    /// What precedes a separator, and what follows it.
    pub(super) fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.slice(0..at), self.from(at + separator.len_utf8())))
    }

    /// The same, at the last one.
    pub(super) fn rsplit_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text.rfind(separator)?;
        Some((self.slice(0..at), self.from(at + separator.len_utf8())))
    }

    /// The rest behind a prefix.
    pub(super) fn strip(self, prefix: &str) -> Option<Self> {
        self.text.starts_with(prefix).then(|| self.from(prefix.len()))
    }

    /// The parts between separators outside of brackets, trimmed; a last one that is
    /// empty is none.
    pub(super) fn split_outside(self, separators: &[char]) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let (mut start, mut depth) = (0, 0_usize);
        for (at, c) in self.text.char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ if depth == 0 && separators.contains(&c) => {
                    parts.push(self.slice(start..at).trim());
                    start = at + c.len_utf8();
                }
                _ => {}
            }
        }
        let last = self.from(start).trim();
        if !last.text.is_empty() {
            parts.push(last);
        }
        parts
    }

    /// The index of the bracket that closes the one which the text begins with.
    pub(super) fn closing(self) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, c) in self.text.char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// A part that outlives its source.
#[derive(Clone, Debug)]
pub(super) struct Text {
    text: String,
    at: usize,
}

impl Text {
    pub(super) fn new(text: impl Into<String>, at: usize) -> Self {
        Self { text: text.into(), at }
    }

    pub(super) fn part(&self) -> Part<'_> {
        Part { text: &self.text, at: self.at }
    }
}

impl From<Part<'_>> for Text {
    fn from(part: Part<'_>) -> Self {
        Self::new(part.text, part.at)
    }
}

/// `; did you mean X?`, if one of the names is much like what was written.
pub(super) fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(written, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| format!("; did you mean {}?", name.shown()))
}
