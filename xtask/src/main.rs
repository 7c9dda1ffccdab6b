//! mapprof's verbs: `cargo xtask setup | test | bless | demo | screenshots | bench |
//! instructions | soak | vm`.

mod bench;
mod build;
mod demo;
mod instructions;
mod matrix;
mod screenshots;
mod setup;
mod soak;
mod sudo;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// What can be done with this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what building and testing need and is missing
    Setup,
    /// Check format and lints, run the unit tests and the end-to-end tests
    Test(test::Args),
    /// Accept what the golden tests produce now as right
    Bless,
    /// Profile the built-in workload: live on a terminal, as text otherwise
    Demo(demo::Args),
    /// Take the README's pictures of the demo anew
    Screenshots,
    /// Measure what profiling costs, beside other ways to do it
    Bench(bench::Args),
    /// Put probes in and take them out ten thousand times, in programs at full load
    Soak(soak::Args),
    /// Count the instructions that user space spends on a record, by callgrind
    Instructions(instructions::Args),
    /// Run mapprof on older kernels, in qemu
    Vm(vm::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        // In one line, so that what the failed command said last stays in sight.
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Setup => setup::run(),
        Verb::Test(args) => test::run(&args),
        Verb::Bless => test::bless(),
        Verb::Demo(args) => demo::run(&args),
        Verb::Screenshots => screenshots::run(),
        Verb::Bench(args) => bench::run(&args),
        Verb::Soak(args) => soak::run(&args),
        Verb::Instructions(args) => instructions::run(&args),
        Verb::Vm(args) => vm::run(&args),
    }
}
