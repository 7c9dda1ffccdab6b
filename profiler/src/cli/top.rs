//! `mapprof top`: a run and the terminal beside it.
//!
//! In: arguments. Out: the live view; the run's thread and the view's thread meet
//! only in pictures, in what the view asks for, and in two flags.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};

use super::{
    args::{LookArgs, ProfileArgs, TopArgs},
    out,
    pictures::{Pictures, Viewing},
    profile::{self, Found, Interrupts, Started},
    silence,
};
use crate::{
    kernel::Loading,
    run::{Reason, Update},
    view::Picture,
};

/// How often the view's thread is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn run(args: &TopArgs) -> Result<ExitCode> {
    must_be_terminal()?;
    let loading = profile::load(&args.profile.how)?;
    let found = Found::of(&args.profile.target, true)?;
    watch(loading, found, &args.profile, args.look)
}

/// For what has no other output.
pub(super) fn must_be_terminal() -> Result<()> {
    if out::prints_to_terminal() {
        return Ok(());
    }
    bail!(
        "the live view needs a terminal on standard output; `mapprof stat` prints a summary anywhere"
    )
}

/// Shows a target until the user has seen enough.
fn watch(loading: Loading, found: Found, args: &ProfileArgs, look: LookArgs) -> Result<ExitCode> {
    profile::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let mut started = profile::start(loading, found, &args.choice, &args.how)?;
        let mut view = Viewing::start(look)?;
        let pictures = Pictures::new(&args.how.show);
        let mut ended = None;
        while !view.is_finished() {
            let mut news = view.asks();
            tokio::select! {
                update = started.run.updates.recv(), if ended.is_none() => {
                    ended = take(update, &mut started);
                    news = true;
                }
                () = interrupts.next() => view.stop(),
                () = tokio::time::sleep(LOOK) => {}
            }
            if news {
                view.show(picture(&started, &pictures, &view, ended.clone()));
            }
        }
        let Started { run, held, .. } = started;
        drop(run);
        view.join()?;
        if held.is_some() {
            out::note("the command goes on without probes");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Takes an update in; returns why the run ended, if it did.
fn take(update: Option<Update>, started: &mut Started) -> Option<String> {
    let Some(update) = update else {
        return Some("the collecting thread ended early".to_owned());
    };
    match profile::take(update, &mut started.session, &mut started.plan) {
        Some(Update::Notice(notice)) => {
            started.notices.push(notice);
            None
        }
        Some(Update::End(end)) => Some(match end.reason {
            Reason::TargetEnded => "the process ended".to_owned(),
            Reason::Duration => "the time asked for is over".to_owned(),
            Reason::Stopped => "stopped".to_owned(),
        }),
        _ => None,
    }
}

fn picture(
    started: &Started,
    pictures: &Pictures,
    view: &Viewing,
    ended: Option<String>,
) -> Picture {
    let session = &started.session;
    let mut notices = started.notices.clone();
    let dead_end = started.dead_end.clone().filter(|_| started.plan.sites.is_empty());
    notices.extend(dead_end.or_else(|| silence::nothing_seen(&started.plan, session)));
    pictures.picture(session, view.request(), notices, ended)
}
