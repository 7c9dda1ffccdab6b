//! Standard output and standard error.
//!
//! In: bytes and messages. Out: both streams; a closed pipe is no failure.

use std::io::{self, Write};

/// Writes data to standard output.
pub(super) fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}

/// Tells the user something, on standard error.
pub(super) fn note(message: &str) {
    // Nobody may be there to read it.
    let _ = super::progress::aside(|| writeln!(io::stderr(), "{message}"));
}

/// Tells the user of an error and its causes.
pub(super) fn complain(error: &anyhow::Error) {
    note(&format!("mapprof: {error:#}"));
}

/// Whether the reader of standard output has seen enough.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
