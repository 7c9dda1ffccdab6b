//! `cargo xtask demo`: from a bare checkout to a profile of the built-in workload.

use std::process::exit;

use anyhow::{Context, Result};

use crate::{build, setup, sudo};

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to `mapprof demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::run()?;
    let mapprof = build::mapprof()?;
    let status = sudo::as_root(&mapprof, "profiling")?
        .arg("demo")
        .args(&args.rest)
        .status()
        .with_context(|| format!("running {}", mapprof.display()))?;
    exit(status.code().unwrap_or(1));
}
