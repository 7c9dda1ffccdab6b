//! `mapprof replay`: a recording in the live view.
//!
//! In: a recording, which may still grow. Out: the view over it, at its end, with its past
//! to step through.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::{
    args::{LookArgs, ShowArgs},
    out,
    pictures::{Pictures, Viewing},
    profile::{self, Interrupts},
    top,
};
use crate::outside::Shown as _;
use crate::recording::{
    self, Input, Loading, Moment, Part, ReadError, ReadOptions, Reader, Record, Recording,
};

/// How often the view's thread is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often a growing file is looked at.
const TAIL: Duration = Duration::from_millis(200);

/// `mapprof replay`
#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    /// A recording; one that is still being written is followed
    pub(super) recording: PathBuf,
    /// Which part of it.
    #[command(flatten)]
    pub(super) part: PartArgs,
    /// What of it.
    #[command(flatten)]
    pub(super) show: ShowArgs,
    /// How it is drawn.
    #[command(flatten)]
    pub(super) look: LookArgs,
}

/// Which part of a recording.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct PartArgs {
    /// Only what begins at this moment or later: 10s from the recording's start, -30s from
    /// its end, or a time in UTC as in 2026-11-21T14:07:32Z
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(super) from: Option<Moment>,
    /// Only what begins before this moment
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(super) to: Option<Moment>,
}

impl PartArgs {
    /// As a recording is read by.
    pub(super) fn part(self) -> Part {
        Part { from: self.from, to: self.to }
    }
}

/// Says what is odd about a recording; the status that this command should have.
pub(super) fn tell_state(path: &Path, recording: &Recording) -> ExitCode {
    if recording.growing {
        let path = path.shown();
        out::note(&format!("{path} is still being written; this is what it holds so far"));
    }
    let Some(damage) = &recording.damage else { return ExitCode::SUCCESS };
    out::note(&format!("{}: {damage}; what can be read is shown", path.shown()));
    ExitCode::FAILURE
}

pub(super) fn run(args: &ReplayArgs) -> Result<ExitCode> {
    // What is wrong with the file matters more than where it would be shown.
    let input = Input::open(&args.recording)?;
    input.reader()?;
    top::must_be_terminal()?;
    let mut tail = Tail::open(args, &input)?;
    profile::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let mut view = Viewing::start(args.look)?;
        let pictures = Pictures::new(&args.show);
        let (mut news, mut looked) = (true, Instant::now());
        while !view.is_finished() {
            news |= view.asks();
            if looked.elapsed() >= TAIL {
                news |= tail.follow()?;
                looked = Instant::now();
            }
            if std::mem::take(&mut news) {
                let (notices, ended) = (tail.notices(), tail.ended());
                view.show(pictures.picture(tail.session(), view.request(), notices, ended));
            }
            tokio::select! {
                () = interrupts.next() => view.stop(),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        view.join()
    })?;
    Ok(tail.tell())
}

/// A recording as far as it was read.
struct Tail {
    path: PathBuf,
    options: ReadOptions,
    source: Source,
}

enum Source {
    /// A part of a recording, which does not move.
    Part(Box<Recording>),
    /// All of it, to its end and further.
    Whole { reader: Box<Reader>, loading: Box<Loading> },
}

impl Tail {
    fn open(args: &ReplayArgs, input: &Input) -> Result<Self, ReadError> {
        let options = ReadOptions { part: args.part.part(), ..ReadOptions::default() };
        let path = args.recording.clone();
        let source = if options.part.is_whole() {
            Source::read(input, &options)?
        } else {
            Source::Part(Box::new(recording::read_from(input, &options)?))
        };
        Ok(Self { path, options, source })
    }

    /// Reads what has been added; returns whether there was something.
    fn follow(&mut self) -> Result<bool, ReadError> {
        let Source::Whole { reader, loading } = &mut self.source else { return Ok(false) };
        if !reader.growing() {
            return Ok(false);
        }
        // Its old slices have been joined, and the same is in another file now.
        if reader.is_replaced() {
            self.source = Source::read(&Input::open(&self.path)?, &self.options)?;
            return Ok(true);
        }
        let mut news = false;
        for record in reader.by_ref() {
            loading.take(record);
            news = true;
        }
        // Its end is news, too.
        Ok(news || !reader.growing())
    }

    fn session(&mut self) -> &crate::model::Session {
        match &mut self.source {
            Source::Part(recording) => &recording.session,
            Source::Whole { loading, .. } => loading.session(),
        }
    }

    fn damage(&self) -> Option<recording::Damage> {
        match &self.source {
            Source::Part(recording) => recording.damage.clone(),
            Source::Whole { reader, .. } => reader.damage(),
        }
    }

    fn notices(&self) -> Vec<String> {
        let damage = self.damage();
        damage.map(|damage| format!("the recording is damaged {damage}")).into_iter().collect()
    }

    /// What the view says of the run's end.
    fn ended(&self) -> Option<String> {
        let (end, growing) = match &self.source {
            Source::Part(recording) => (recording.end.as_deref(), false),
            Source::Whole { reader, loading } => (loading.end(), reader.growing()),
        };
        if growing {
            return None;
        }
        Some(end.map_or_else(
            || "a recording without an end".to_owned(),
            |end| format!("recorded until: {end}"),
        ))
    }

    /// Says what could not be read, once the terminal is free again.
    fn tell(&self) -> ExitCode {
        let Some(damage) = self.damage() else { return ExitCode::SUCCESS };
        out::note(&format!("{}: {damage}; what can be read was shown", self.path.shown()));
        ExitCode::FAILURE
    }
}

impl Source {
    fn read(input: &Input, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut reader = Box::new(input.reader()?);
        let mut loading = Box::new(Loading::new(options.limits));
        reader.by_ref().for_each(|record: Record<'_>| {
            loading.take(record);
        });
        Ok(Self::Whole { reader, loading })
    }
}
