//! Standard output and standard error: the only place that writes to them, but for the view
//! and the progress bar.
//!
//! In: bytes and messages. Out: both streams; a closed pipe is no failure. What text still
//! holds that a terminal would obey is written as escapes here, whatever it came from; line
//! ends stay, since a message may have several, and are cleaned where they come from outside
//! ([`crate::outside`]).

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::builder::StyledStr;

use crate::units;

/// Writes text for people to standard output.
pub(super) fn print(text: &[u8]) -> anyhow::Result<()> {
    data(units::clean_lines(&String::from_utf8_lossy(text)).as_bytes())
}

/// Writes a format of data to standard output, which has escapes of its own.
#[expect(clippy::disallowed_methods, reason = "this is where standard output is written")]
pub(super) fn data(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}

/// Tells the user something, on standard error.
#[expect(clippy::disallowed_methods, reason = "this is where standard error is written")]
pub(super) fn note(message: &str) {
    let message = units::clean_lines(message);
    // Nobody may be there to read it.
    let _ = super::progress::aside(|| writeln!(io::stderr(), "{message}"));
}

/// Whether standard output is a terminal.
#[expect(clippy::disallowed_methods, reason = "nothing is written")]
pub(super) fn prints_to_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether standard error is a terminal.
#[expect(clippy::disallowed_methods, reason = "nothing is written")]
pub(super) fn notes_to_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Tells the user of an error and its causes.
pub(super) fn complain(error: &anyhow::Error) {
    note(&format!("mapprof: {}", with_causes(error)));
}

/// What went wrong, and why. Errors that name their cause in the middle of a sentence also
/// give it as their source: it is said once.
pub(super) fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// Help, or what is wrong with the arguments, as clap words it; the exit status. Arguments
/// may be names of files that a shell has put there.
pub(super) fn usage(error: &clap::Error, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
    let hostile: Vec<String> = args.filter(|arg| arg.contains(units::is_unsafe)).collect();
    if hostile.is_empty() {
        error.exit();
    }
    let mut text = error.render().to_string();
    for arg in &hostile {
        let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
        for part in [arg, name, value].into_iter().filter(|part| part.contains(units::is_unsafe)) {
            // clap has left out what would be obeyed, but not what ends a line.
            let stripped = StyledStr::from(part.to_owned()).to_string();
            text = text.replace(&stripped, &units::clean(part));
        }
    }
    note(text.trim_end());
    ExitCode::from(error.exit_code() as u8)
}

/// Whether the reader of standard output has seen enough.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Has the log's lines pass the same way.
pub(super) fn init_log(level: log::LevelFilter) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).format(|line, record| {
        let text = record.args().to_string();
        let text = units::clean(text.trim_end());
        writeln!(line, "{} {}: {text}", record.level(), record.target())
    });
    // A second call in one process finds it done.
    let _ = builder.try_init();
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;
    use crate::recording::ReadError;

    #[test]
    fn a_cause_is_said_once() {
        let source = io::Error::from_raw_os_error(libc::EISDIR);
        let error = anyhow::Error::from(ReadError::Io { path: "run.mprof".into(), source });
        let told = with_causes(&error);
        assert_eq!(told, "cannot read the recording run.mprof: Is a directory (os error 21)");
        let outer = Err::<(), _>(error).context("no report").unwrap_err();
        assert_eq!(with_causes(&outer), format!("no report: {told}"));
        assert_eq!(with_causes(&anyhow::anyhow!("a").context("b")), "b: a");
    }
}
