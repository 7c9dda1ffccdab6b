//! The formats there are: a table of what each is, and their names.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// For reading: what `mapprof stat` prints, at most 100 columns wide.
    Text,
    /// The contract `mapprof.summary.v1`, see `profiler/schema/summary.v1.json`.
    Json,
    /// Stacks as `outermost;…;innermost weight` lines; see [`By`](super::By).
    Folded,
    /// Stacks as an SVG flame graph; see [`By`](super::By).
    Flamegraph,
    /// A gzipped profile with the sample types of Go's mutex profile; see
    /// [`By`](super::By).
    Pprof,
    /// Waits, blame and operations in the JSON of speedscope's file format.
    Speedscope,
    /// Percentiles of the waits, as HdrHistogram prints them.
    Hgrm,
    /// The waits for each lock in each interval, as HdrHistogram logs them.
    Hlog,
    /// One of the [`Table`](super::Table)s, after RFC 4180.
    Csv,
    /// One of the [`Table`](super::Table)s, as a Parquet file.
    Parquet,
    /// One page with everything, for a browser.
    Html,
}

/// What there is to know about a format.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Which.
    pub format: Format,
    /// The name used on the command line.
    pub name: &'static str,
    /// What it is, and what opens it.
    pub what: &'static str,
    /// What such files are called, without the dot.
    pub extension: &'static str,
    /// Bytes that are no text and do not go to a terminal.
    pub binary: bool,
}

const fn info(
    format: Format,
    name: &'static str,
    extension: &'static str,
    binary: bool,
    what: &'static str,
) -> Info {
    Info { format, name, what, extension, binary }
}

/// Every format, in the order in which they are offered.
pub const FORMATS: [Info; 11] = [
    info(Format::Text, "text", "txt", false, "for reading"),
    info(Format::Json, "json", "json", false, "everything, for programs"),
    info(Format::Folded, "folded", "folded", false, "one line for each stack"),
    info(Format::Flamegraph, "flamegraph", "svg", false, "a flame graph, for a browser"),
    info(Format::Pprof, "pprof", "pb.gz", true, "for go tool pprof, Pyroscope and their like"),
    info(Format::Speedscope, "speedscope", "speedscope.json", false, "for speedscope"),
    info(Format::Hgrm, "hgrm", "hgrm", false, "percentiles, for HdrHistogram's plotter"),
    info(Format::Hlog, "hlog", "hlog", false, "an interval log, for HdrHistogram's readers"),
    info(Format::Csv, "csv", "csv", false, "a table, for spreadsheets"),
    info(Format::Parquet, "parquet", "parquet", true, "a table, for databases"),
    info(Format::Html, "html", "html", false, "one page with everything, for a browser"),
];

impl Format {
    /// Those that show stacks, and so are weighed [`By`](super::By) something.
    pub const STACKS: [Self; 4] = [Self::Folded, Self::Flamegraph, Self::Pprof, Self::Speedscope];
    /// Those that are one [`Table`](super::Table).
    pub const TABLES: [Self; 2] = [Self::Csv, Self::Parquet];

    /// Every format.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        FORMATS.iter().map(|info| info.format)
    }

    /// What there is to know about it.
    pub const fn info(self) -> &'static Info {
        &FORMATS[self as usize]
    }

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        self.info().name
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A format that there is not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no report format {0:?}; choose {names}", names = names())]
pub struct UnknownFormat(String);

/// `text, json or folded`.
fn names() -> String {
    let [first @ .., last] = FORMATS.map(|info| info.name);
    format!("{} or {last}", first.join(", "))
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::all().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names() {
        for (format, info) in Format::all().zip(&FORMATS) {
            assert_eq!(format.info().name, info.name, "the table has the enum's order");
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!(format!("[{:>6}]", Format::Text), "[  text]");
        let error = "pdf".parse::<Format>().unwrap_err().to_string();
        assert!(Format::all().all(|format| error.contains(format.name())), "{error}");
    }
}
