//! Pictures for the view, whoever makes them: a live run or a replayed recording.
//!
//! In: a [`Session`], and what the view asks for. Out: [`Picture`]s, and the thread that
//! shows them until the user has seen enough.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{self, Receiver, Sender},
};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};

use super::{
    args::{LookArgs, ShowArgs},
    profile, save,
};
use crate::{
    findings,
    model::{Session, summary::Summary},
    view::{self, App, At, Links, Picture, Request, ViewError},
};

/// Makes pictures of what of a session is to be shown.
#[derive(Clone, Debug)]
pub(super) struct Pictures {
    show: ShowArgs,
}

impl Pictures {
    /// For these options.
    pub(super) fn new(show: &ShowArgs) -> Self {
        Self { show: show.clone() }
    }

    /// The session as it is now, with what is asked for.
    pub(super) fn picture(
        &self,
        session: &Session,
        request: &Request,
        notices: Vec<String>,
        ended: Option<String>,
    ) -> Picture {
        let keys = self.show.keys;
        let steps = session.steps();
        let step = request.step.and_then(|start| view::step_at(&steps, start));
        let at = step.and_then(|index| {
            let summary = self.finish(session.step_summary(index, keys)?);
            Some(At { index, summary })
        });
        let subject = request.subject.clone();
        Picture {
            total: profile::summary(session, &self.show),
            last: self.finish(session.last_summary(keys)),
            subject: subject.map(|subject| (subject.clone(), session.subject_steps(&subject))),
            steps,
            at,
            notices,
            ended,
        }
    }

    fn finish(&self, mut summary: Summary) -> Summary {
        profile::filter(&mut summary, &self.show);
        findings::attach(&mut summary);
        summary
    }
}

/// The view, in a thread of its own.
pub(super) struct Viewing {
    pictures: Sender<Picture>,
    used: Receiver<Picture>,
    requests: Receiver<Request>,
    request: Request,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), ViewError>>,
}

impl Viewing {
    /// Takes the terminal over.
    pub(super) fn start(look: LookArgs) -> Result<Self> {
        let (pictures, received) = mpsc::channel();
        let (done, used) = mpsc::channel();
        let (asked, requests) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let links = Links {
            pictures: received,
            used: done,
            requests: asked,
            save: Box::new(save::report),
            stop: Arc::clone(&stop),
        };
        let looks = look.looks();
        let thread = std::thread::Builder::new()
            .name("mapprof-view".into())
            .spawn(move || view::run(App::new(), links, looks))
            .context("cannot start the view's thread")?;
        Ok(Self { pictures, used, requests, request: Request::default(), stop, thread })
    }

    /// Whether the user has seen enough.
    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Whether something else is asked for than before: then a picture should be shown
    /// at once.
    pub(super) fn asks(&mut self) -> bool {
        self.used.try_iter().for_each(drop);
        let newest = self.requests.try_iter().last();
        let asks = newest.is_some();
        if let Some(newest) = newest {
            self.request = newest;
        }
        asks
    }

    /// What pictures are to have.
    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// Shows a picture.
    pub(super) fn show(&self, picture: Picture) {
        // Where nobody looks any more, `is_finished` says so.
        let _ = self.pictures.send(picture);
    }

    /// Asks the view to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for its end.
    pub(super) fn join(self) -> Result<()> {
        let Ok(result) = self.thread.join() else { bail!("the view's thread panicked") };
        Ok(result?)
    }
}
