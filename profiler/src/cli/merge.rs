//! `mapprof merge`: several recordings of one service as one.
//!
//! In: recordings. Out: one more, and what of them could not be read.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::out;
use crate::recording::merge;

/// `mapprof merge`
#[derive(Args, Debug)]
pub(super) struct MergeArgs {
    /// The recording to write
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Recordings of several processes or hosts
    #[arg(required = true, value_name = "FILE")]
    pub(super) recordings: Vec<PathBuf>,
}

pub(super) fn run(args: &MergeArgs) -> Result<ExitCode> {
    let merged = merge(&args.recordings, &args.output)?;
    let mut code = ExitCode::SUCCESS;
    merged.notes.iter().for_each(|note| out::note(note));
    for problem in &merged.problems {
        out::note(&format!("{problem}; what can be read is merged"));
        code = ExitCode::FAILURE;
    }
    if merged.intervals == 0 {
        bail!("there is no interval in any of the recordings; {} is empty", args.output.display());
    }
    out::note(&format!(
        "merged {} recordings into {} intervals of {}; `mapprof report {2}` shows them",
        args.recordings.len(),
        merged.intervals,
        args.output.display()
    ));
    Ok(code)
}
