//! `mapprof completions` and `mapprof man`, both from the one definition of the command
//! line.
//!
//! In: [`Cli`]. Out: a script for a shell, manual pages.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::args::Cli;
use super::out;
use crate::outside::Shown as _;

/// `mapprof completions`
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// `mapprof man`
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Write all pages into this folder; without it, the first is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// The command line as people are to see it: without what mapprof calls itself by.
fn visible() -> Command {
    let whole = Cli::command();
    let mut visible = Command::new("mapprof")
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true);
    if let Some(about) = whole.get_about() {
        visible = visible.about(about.clone());
    }
    if let Some(about) = whole.get_long_about() {
        visible = visible.long_about(about.clone());
    }
    for argument in whole.get_arguments() {
        visible = visible.arg(argument.clone());
    }
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    visible.subcommands(shown.cloned())
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), "mapprof", &mut script);
    out::data(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> Result<ExitCode> {
    let mut whole = visible().disable_help_subcommand(true);
    // Gives each command its full name.
    whole.build();
    let Some(folder) = &args.folder else {
        out::data(page(whole)?.1.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let failed = || format!("cannot write manual pages to {}", folder.shown());
    std::fs::create_dir_all(folder).with_context(failed)?;
    for command in whole.get_subcommands().cloned().chain([whole.clone()]) {
        let (name, page) = page(command)?;
        std::fs::write(folder.join(name), page).with_context(failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A command's page and the name of its file.
fn page(command: Command) -> Result<(String, String)> {
    let man = clap_mangen::Man::new(command);
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok((man.get_filename(), ascii(&String::from_utf8_lossy(&page))))
}

/// With escapes in place of what roff takes for other characters where nobody tells it
/// that it is UTF-8 (groff_char(7)).
fn ascii(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    for c in page.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let _ = write!(out, "\\[u{:04X}]", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_a_script_with_every_command_and_none_that_is_hidden() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut visible(), "mapprof", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in Cli::command().get_subcommands() {
                let known = script.contains(command.get_name());
                assert_eq!(known, !command.is_hide_set(), "{shell}: {}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        man(&ManArgs { folder: Some(folder.path().to_owned()) }).unwrap();
        let page = |name: &str| {
            let file = folder.path().join(name);
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        assert!(page("mapprof.1").contains("record"));
        for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
            let page = page(&format!("mapprof-{}.1", command.get_name()));
            assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{page}");
            assert!(page.is_ascii(), "{page}");
        }
        let pages = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
        assert!(pages.into_iter().all(|page| !page.to_string_lossy().contains("__")));
    }

    #[test]
    fn characters_beyond_ascii_are_escaped() {
        assert_eq!(ascii("ends in …"), "ends in \\[u2026]");
    }

    #[test]
    fn what_is_shown_parses_like_the_whole() {
        visible().debug_assert();
        assert!(visible().try_get_matches_from(["mapprof", "--pid", "1"]).is_ok());
    }
}
