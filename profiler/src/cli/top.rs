//! `mapprof top`: a run and the terminal beside it.
//!
//! In: arguments. Out: the live view; the run's thread and the view's thread meet
//! only in pictures and two flags.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    args::{ChoiceArgs, HowArgs, ProfileArgs},
    out,
    profile::{self, Found, Interrupts, Started},
    silence,
};
use crate::{
    findings,
    model::Session,
    run::{Reason, Update},
    view::{self, App, Picture, Point},
};

/// Slices in a picture.
const HISTORY: usize = 20;
/// How often the view's thread is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn run(args: &ProfileArgs) -> Result<ExitCode> {
    must_be_terminal()?;
    let found = Found::of(&args.target, true)?;
    watch(found, &args.choice, &args.how)
}

pub(super) fn must_be_terminal() -> Result<()> {
    if io::stdout().is_terminal() {
        return Ok(());
    }
    bail!(
        "the live view needs a terminal on standard output; `mapprof stat` prints a summary anywhere"
    )
}

/// Shows a target until the user has seen enough.
pub(super) fn watch(found: Found, choice: &ChoiceArgs, how: &HowArgs) -> Result<ExitCode> {
    profile::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let mut started = profile::start(found, choice, how)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (pictures, received) = mpsc::channel();
        let view_stop = stop.clone();
        let view = std::thread::Builder::new()
            .name("mapprof-view".into())
            .spawn(move || view::run(App::new(), received, view_stop))
            .context("cannot start the view's thread")?;
        let mut ended = None;
        while !view.is_finished() {
            tokio::select! {
                update = started.run.updates.recv(), if ended.is_none() => {
                    ended = take(update, &mut started);
                    // Where nobody looks any more, the loop ends by itself.
                    let _ = pictures.send(picture(&started, how, ended.clone()));
                }
                () = interrupts.next() => stop.store(true, Ordering::Relaxed),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        let Started { run, held, .. } = started;
        drop(run);
        match view.join() {
            Ok(result) => result?,
            Err(_) => bail!("the view's thread panicked"),
        }
        if held.is_some() {
            out::note("the command goes on without probes");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Takes an update in; returns why the run ended, if it did.
fn take(update: Option<Update>, started: &mut Started) -> Option<String> {
    match update {
        Some(Update::Interval { definitions, slice }) => {
            started.session.define(*definitions);
            started.session.push(*slice);
            None
        }
        Some(Update::Notice(notice)) => {
            started.notices.push(notice);
            None
        }
        Some(Update::End(end)) => Some(match end.reason {
            Reason::TargetEnded => "the process ended".to_owned(),
            Reason::Duration => "the time asked for is over".to_owned(),
            Reason::Stopped => "stopped".to_owned(),
        }),
        None => Some("the collecting thread ended early".to_owned()),
    }
}

fn picture(started: &Started, how: &HowArgs, ended: Option<String>) -> Picture {
    let session = &started.session;
    let mut last = session.last_summary(how.show.keys);
    profile::filter(&mut last, &how.show);
    findings::attach(&mut last);
    let mut notices = started.notices.clone();
    notices.extend(silence::nothing_seen(&started.plan, session));
    Picture {
        total: profile::summary(session, &how.show),
        last,
        history: history(session),
        notices,
        ended,
    }
}

fn history(session: &Session) -> Vec<Point> {
    let slices = session.history();
    let skip = slices.len().saturating_sub(HISTORY);
    slices
        .skip(skip)
        .map(|slice| Point {
            events: slice.events,
            duration_ns: slice.duration_ns,
            wait_ns: slice.wait_ns,
        })
        .collect()
}
