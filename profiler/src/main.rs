//! The `mapprof` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    mapprof::cli::main()
}
