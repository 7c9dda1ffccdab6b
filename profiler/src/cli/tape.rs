//! `mapprof record`: a run, and the recording that is written beside it.
//!
//! In: a run's names and slices. Out: a file, and messages where it does not take them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{
    args::ProfileArgs,
    out,
    profile::{self, limits},
};
use crate::outside::Shown as _;
use crate::{
    model::{Definitions, Limits, Session, Slice, TargetInfo},
    recording::{Header, Place, PlaceError, Recorder, Replace, WriteError},
};

/// `mapprof record`
#[derive(Args, Debug)]
pub(super) struct RecordArgs {
    /// What and how.
    #[command(flatten)]
    pub(super) profile: ProfileArgs,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Replace the file even where it is no recording
    #[arg(long)]
    pub(super) force: bool,
    /// Most bytes of the file, as in 20MB or 1GiB: where it would get larger, the oldest
    /// intervals are joined
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = size)]
    pub(super) max_size: u64,
}

/// Least that `--max-size` takes: less than the names of a program's stacks need.
const LEAST: u64 = 64 << 10;

/// A number of bytes as people write it.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
        ("KB", 1_000),
        ("B", 1),
        ("", 1),
    ];
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let bytes = number.parse::<u64>().ok().zip(unit).and_then(|(n, (_, of))| n.checked_mul(*of));
    match bytes {
        Some(bytes) if bytes >= LEAST => Ok(bytes),
        Some(_) => Err("a recording needs 64KiB at least".to_owned()),
        None => Err("a size is a whole number and B, kB, MB, GB, KiB, MiB or GiB".to_owned()),
    }
}

pub(super) fn record(args: &RecordArgs) -> Result<ExitCode> {
    let ProfileArgs { target, choice, how } = &args.profile;
    let place = Place::find(&args.output, &[], Replace::Recordings.or_anything(args.force));
    let mut tape = Tape::create(place, args, limits(how))?;
    profile::profile(target, choice, how, |_| Ok(()), Some(&mut tape))
}

/// The recording beside a run. What does not go in is tried again with the next interval;
/// the run goes on in any case.
pub(super) struct Tape {
    path: PathBuf,
    recorder: Option<Recorder>,
    /// What was said last to be wrong.
    told: Option<String>,
    told_large: bool,
    /// It has its header.
    begun: bool,
}

impl Tape {
    /// The file that it writes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file cannot be made the run goes on without; an error where it must not be.
    fn create(place: Result<Place, PlaceError>, args: &RecordArgs, limits: Limits) -> Result<Self> {
        let path = args.output.clone();
        let mut tape = Self { path, recorder: None, told: None, told_large: false, begun: false };
        let recorder = place
            .map_err(WriteError::from)
            .and_then(|place| Recorder::at(place, args.max_size, limits));
        match recorder {
            Ok(recorder) => tape.recorder = Some(recorder),
            Err(error @ (WriteError::Create { .. } | WriteError::Place(PlaceError::Io { .. }))) => {
                tape.tell(error);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(tape)
    }

    /// Says what is recorded; where that changes, the first stands.
    pub(super) fn begin(&mut self, target: &TargetInfo) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.write(|recorder| recorder.header(Header::new(target.clone())));
    }

    pub(super) fn interval(&mut self, names: &Definitions, slice: &Slice) {
        self.write(|recorder| recorder.interval(names, slice));
        if !self.told_large && self.recorder.as_ref().is_some_and(Recorder::is_too_large) {
            self.told_large = true;
            out::note(&format!(
                "the recording {} is larger than --max-size, since a single interval and its \
                 names are",
                self.path.shown()
            ));
        }
    }

    /// Ends the recording; says what is in it, or what is missing. Whether all is in it.
    pub(super) fn end(&mut self, reason: &str, session: &Session) -> bool {
        self.write(|recorder| recorder.end(reason));
        let path = self.path.shown();
        let Some(recorder) = self.recorder.as_ref().filter(|_| self.told.is_none()) else {
            let missing = self.recorder.as_ref().and_then(Recorder::missing);
            if let Some(missing) = missing {
                let (seconds, events) = (missing.duration_ns as f64 / 1e9, missing.events);
                out::note(&format!("missing in {path}: the last {seconds:.1} s, {events} events"));
            }
            return false;
        };
        let window = session.summary(0).window;
        out::note(&format!(
            "recorded {:.1} s and {} events to {path} ({} KiB); `mapprof report {path}` shows it",
            window.duration_ns as f64 / 1e9,
            window.events,
            recorder.bytes().div_ceil(1024),
        ));
        true
    }

    fn write(&mut self, write: impl FnOnce(&mut Recorder) -> Result<(), WriteError>) {
        let Some(recorder) = &mut self.recorder else { return };
        match write(recorder) {
            Err(error) => self.tell(error),
            Ok(()) if self.told.take().is_some() => out::note(&format!(
                "the recording {} is complete again; what did not fit is in it as one interval",
                self.path.shown()
            )),
            Ok(()) => {}
        }
    }

    /// Says what is wrong, but not at each interval.
    fn tell(&mut self, error: WriteError) {
        let lost = matches!(error, WriteError::TooLarge { .. });
        let text = out::with_causes(&anyhow::Error::from(error));
        if self.told.as_ref() == Some(&text) {
            return;
        }
        out::note(&format!("mapprof: {text}"));
        if self.told.is_none() && !lost {
            out::note(
                "profiling goes on, and what does not go in is kept and tried again; where it \
                 does not go in by the end, the summary will be printed on standard output",
            );
        }
        self.told = Some(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("65536", 65_536), ("20MB", 20_000_000), ("1 GiB", 1 << 30), ("100kB", 100_000)]
        {
            assert_eq!(size(text), Ok(bytes));
        }
        for wrong in ["", "MB", "1.5MB", "20mb", "-5MB", "1KiB", "0", "99999999999GiB", "5 apples"]
        {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
