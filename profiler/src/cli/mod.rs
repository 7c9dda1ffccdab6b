//! The commands: from arguments to stages, and from errors to exit statuses.
//!
//! In: the command line. Out: data on standard output, messages on standard error,
//! and 0 for done, 1 for failed, 2 for usage, 3 for a condition of `diff --fail-on`; a
//! launched command's own status is passed on.

mod args;
mod completions;
mod dead_end;
mod demo;
mod diff;
#[cfg(test)]
mod docs_tests;
mod doctor;
mod find;
mod launched;
mod limits;
mod memory;
mod merge;
mod out;
mod overhead;
mod pictures;
mod profile;
mod progress;
mod replay;
mod save;
mod silence;
mod tape;
mod top;
mod usage;

pub mod probes;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Parser, error::ErrorKind};

use crate::{
    catalog::custom::ProbeError,
    model::Session,
    placement,
    recording::{self, Place, ReadOptions, Replace},
    report::{self, By, Document, Format},
    target::Target,
};
use args::{Cli, Command, PlanFormat, ProbesArgs, ReportArgs, TopArgs};

/// Everything that `main` does.
pub fn main() -> ExitCode {
    if let Some(error) = crate::target::exec_if_held() {
        out::complain(&error.into());
        return ExitCode::from(127);
    }
    memory::give_back_large_tables();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return out::usage(&error, std::env::args_os()),
    };
    if let Some(why) = usage::ignored(&cli) {
        let error = Cli::command().error(ErrorKind::ArgumentConflict, why);
        return out::usage(&error, std::env::args_os());
    }
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) if out::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            out::complain(&error);
            let is_usage = error.is::<ProbeError>();
            if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command.unwrap_or(Command::Top(cli.top)) {
        Command::Top(args) => top::run(&TopArgs { profile: args.profile.bounded(), ..args }),
        Command::Stat(args) => profile::stat(&args),
        Command::Record(args) => {
            tape::record(&tape::RecordArgs { profile: args.profile.bounded(), ..args })
        }
        Command::Replay(args) => replay::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Report(args) => report(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Probes(args) => show_probes(&args),
        Command::Doctor => doctor::run(),
        Command::Demo(args) => demo::run(args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
        Command::DemoWorkload => demo::workload(),
        Command::EmptyProbe(args) => profile::empty(&args),
    }
}

fn show_probes(args: &ProbesArgs) -> Result<ExitCode> {
    let target = match (&args.target.exe, args.target.pid, &args.target.name) {
        (Some(exe), ..) => Target::of_file(exe)?,
        (_, Some(pid), _) => Target::of_process(pid)?,
        (_, _, Some(name)) => Target::of_process(profile::pid_of_name(name)?)?,
        _ => unreachable!("clap requires one of them"),
    };
    if let Some(text) = &args.find {
        return find::run(&target, text, args.format);
    }
    let plan =
        placement::plan(&target, &profile::entries(&args.choice, &target)?, args.choice.only());
    match args.format {
        PlanFormat::Text => out::print(probes::text(&target, &plan).as_bytes())?,
        PlanFormat::Json => out::data(&report::json_of(&probes::json(&target, &plan))?)?,
    }
    profile::require(&plan, &args.choice)?;
    Ok(ExitCode::SUCCESS)
}

fn report(args: &ReportArgs) -> Result<ExitCode> {
    let info = args.format.info();
    if info.binary && args.output.is_none() && out::prints_to_terminal() {
        bail!(
            "{} is not for a terminal; write it to a file: -o report.{}",
            info.name,
            info.extension
        );
    }
    let replace = Replace::Reports.or_anything(args.force);
    let place = args.output.as_deref().map(|path| Place::find(path, &[&args.recording], replace));
    let place = place.transpose()?;
    let options = ReadOptions { part: args.part.part(), ..ReadOptions::default() };
    let read = || recording::read_with(&args.recording, &options);
    let recording = progress::reading(&args.recording, read)?;
    let code = replay::tell_state(&args.recording, &recording);
    write_report(&recording.session, args, place)?;
    Ok(code)
}

/// Writes a report; where its file cannot be written, the summary still goes to
/// standard output.
fn write_report(session: &Session, args: &ReportArgs, place: Option<Place>) -> Result<()> {
    let summary = profile::summary(session, &args.show);
    let document = Document { session, summary: &summary };
    let options =
        report::Options { by: args.by.unwrap_or_default(), table: args.table.unwrap_or_default() };
    let bytes = report::render(args.format, options, &document)?;
    let Some(place) = place else {
        return if args.format == Format::Text { out::print(&bytes) } else { out::data(&bytes) };
    };
    let Err(error) = place.write(&bytes) else { return Ok(()) };
    out::print(&report::render(Format::Text, By::Wait, &document)?)?;
    Err(error).context("the summary is above")
}
