//! `mapprof merge`: several recordings of one service as one.
//!
//! In: recordings. Out: one more, and what of them could not be read.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::out;
use crate::outside::Shown as _;
use crate::recording::{Place, Replace, merge_at};

/// `mapprof merge`
#[derive(Args, Debug)]
pub(super) struct MergeArgs {
    /// The recording to write
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Replace the output even where it is no recording
    #[arg(long)]
    pub(super) force: bool,
    /// Recordings of several processes or hosts
    #[arg(required = true, value_name = "FILE")]
    pub(super) recordings: Vec<PathBuf>,
}

pub(super) fn run(args: &MergeArgs) -> Result<ExitCode> {
    let inputs: Vec<&Path> = args.recordings.iter().map(PathBuf::as_path).collect();
    let place = Place::find(&args.output, &inputs, Replace::Recordings.or_anything(args.force))?;
    let merged = merge_at(&args.recordings, place)?;
    let mut code = ExitCode::SUCCESS;
    merged.notes.iter().for_each(|note| out::note(note));
    for problem in &merged.problems {
        out::note(&format!("{problem}; what can be read is merged"));
        code = ExitCode::FAILURE;
    }
    if merged.intervals == 0 {
        bail!("there is no interval in any of the recordings; nothing is written");
    }
    let (read, given) = (merged.recordings, args.recordings.len());
    let of = if read == given as u64 { String::new() } else { format!(" of {given}") };
    out::note(&format!(
        "merged {read}{of} recordings into {} intervals of {}; `mapprof report {1}` shows them",
        merged.intervals,
        args.output.shown()
    ));
    Ok(code)
}
