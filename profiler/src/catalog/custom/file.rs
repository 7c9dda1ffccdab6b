//! Probes in a TOML file.
//!
//! In: `--config FILE`. Out: its [`Probe`]s, or the first mistake with its line.
//!
//! ```toml
//! [[probe]]
//! op = "insert"                        # a role
//! function = "main.(*Cache[K,V]).Put"
//! params = "c recv, dict, key K"       # Go's only
//! module = "libcache.so.2"             # these are as in --probe
//! map = "c"
//! key = "key"
//! len = "arg3"
//! lock = "arg1"
//! kind = "cache"
//! ```

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Probe;
use super::draft::{Draft, Field, role, role_names};
use super::source::{Part, ProbeError, Source, Wrong, did_you_mean, wrong};
use crate::outside::Shown as _;

/// Most bytes of a file: a thousand probes.
const MOST: u64 = 256 << 10;

/// Everything that a probe can have.
const NAMES: [&str; 9] =
    ["op", "function", "params", "module", "map", "key", "len", "lock", "kind"];

/// A file of probes that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.shown())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// Reads a file of probes.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Probe>, FileError> {
    let path = path.as_ref();
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > MOST {
        return Err(failed(io::Error::other(
            "it is larger than 256 KiB, which no list of probes is",
        )));
    }
    let text = String::from_utf8(text)
        .map_err(|_| failed(io::Error::other("it is not UTF-8, as TOML is")))?;
    Ok(parse(&text, path)?)
}

/// Reads the text of a file of probes.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Probe>, ProbeError> {
    let source = Source::of_file(text, path);
    let drafts = drafts(text).map_err(|wrong| source.error(wrong))?;
    drafts.into_iter().map(|draft| Probe::new(source.clone(), draft)).collect()
}

fn drafts(text: &str) -> Result<Vec<Result<Draft, Wrong>>, Wrong> {
    const EXPECTED: &str = "expected [[probe]]";
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, error.message().to_owned())
    })?;
    let mut drafts = Vec::new();
    for (name, value) in root.get_ref() {
        if name.get_ref() != "probe" {
            let nearest = did_you_mean(name.get_ref(), ["probe"]);
            return wrong(name.span().start, format!("{EXPECTED}{nearest}"));
        }
        let Some(probes) = value.get_ref().as_array() else {
            return wrong(name.span().start, format!("{EXPECTED}, in double brackets"));
        };
        for probe in probes {
            let Some(table) = probe.get_ref().as_table() else {
                return wrong(probe.span().start, EXPECTED);
            };
            drafts.push(draft(text, table, probe.span().start));
        }
    }
    if drafts.is_empty() {
        return wrong(0, format!("{EXPECTED}: there is no probe in the file"));
    }
    Ok(drafts)
}

fn draft(text: &str, table: &DeTable<'_>, at: usize) -> Result<Draft, Wrong> {
    let mut fields: Vec<(Part<'_>, Part<'_>)> = Vec::new();
    for (name, value) in table {
        fields.push((Part { text: name.get_ref(), at: name.span().start }, string(text, value)?));
    }
    fields.sort_by_key(|(name, _)| name.at);
    for (name, _) in &fields {
        if !NAMES.contains(&name.text) {
            let nearest = did_you_mean(name.text, NAMES);
            return wrong(name.at, format!("expected one of {}{nearest}", NAMES.join(", ")));
        }
    }
    let value =
        |wanted: &str| fields.iter().find(|(name, _)| name.text == wanted).map(|&(_, value)| value);
    let needed = |name: &str, what: &str| {
        value(name).map_or_else(|| wrong(at, format!("expected {name} = {what}")), Ok)
    };
    let role = role(
        needed("op", "\"lookup\" or another role")?,
        &format!("expected a role: {}", role_names()),
    )?;
    let function = needed("function", "the name of a function")?;
    let others = fields
        .iter()
        .filter(|(name, _)| matches!(name.text, "map" | "key" | "len" | "lock" | "kind"))
        .map(|&(name, value)| Field { name: name.into(), value: value.into() })
        .collect();
    Draft::new(role, function, value("module"), value("params"), others, at)
}

/// A string's text and where that begins, behind the quotes.
fn string<'a>(text: &str, value: &'a Spanned<DeValue<'_>>) -> Result<Part<'a>, Wrong> {
    let span = value.span();
    let Some(string) = value.get_ref().as_str() else {
        return wrong(span.start, "expected a text in quotes");
    };
    // Where the text has escapes, places within it are near the right ones.
    let quotes = text.get(span.clone()).and_then(|raw| raw.find(string)).unwrap_or(1);
    Ok(Part { text: string, at: span.start + quotes })
}
