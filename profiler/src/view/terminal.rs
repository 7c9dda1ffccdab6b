//! The event loop. In: pictures from a channel, keys from a screen, a stop flag.
//! Out: frames, at most 30 a second.

#![expect(clippy::disallowed_methods, reason = "the view owns the terminal: its cells are clean")]

use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, TryRecvError},
    },
    time::{Duration, Instant},
};

use ratatui::crossterm::event::{KeyEvent, MouseButton, MouseEvent, MouseEventKind};

use crate::model::summary::Summary;

use super::{
    Looks, Picture, Request,
    keys::{Action, Decoder},
    screen::Terminal,
    state::{App, Flow},
};

/// At most this often a frame.
const FRAME: Duration = Duration::from_millis(33);
/// At least this often a look at the channel and the stop flag.
pub(super) const TICK: Duration = Duration::from_millis(33);

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// There is nothing to paint on.
    #[error(
        "standard output is not a terminal: use `mapprof stat` for a summary, or `mapprof record`"
    )]
    NotATerminal,
    /// The terminal refused to be taken over.
    #[error("cannot take over the terminal: {0}; use `mapprof stat` instead")]
    Enter(#[source] io::Error),
    /// The terminal refused a frame.
    #[error("cannot write to the terminal: {0}")]
    Draw(#[source] io::Error),
    /// The terminal gave no more keys.
    #[error("cannot read keys from the terminal: {0}")]
    Input(#[source] io::Error),
    /// Another thread panicked, and its message has the terminal now.
    #[error("the view ended because another part of mapprof panicked; its message is above")]
    Panicked,
}

/// Writes a summary as a report somewhere; tells where, or why not.
pub type Save = Box<dyn FnMut(&Summary) -> Result<String, String> + Send>;

/// What the view has of the world besides the terminal.
pub struct Links {
    /// What is to be shown; the newest counts.
    pub pictures: Receiver<Picture>,
    /// What is not shown any more: whoever made it has the time to free it.
    pub used: Sender<Picture>,
    /// What is asked for, each time that it changes; a picture should come at once.
    pub requests: Sender<Request>,
    /// How to save what is shown.
    pub save: Save,
    /// Set from outside to end the view.
    pub stop: Arc<AtomicBool>,
}

/// Shows the pictures that come until the user quits, `stop` is set or the
/// terminal is gone.
///
/// Blocks: give it a thread of its own. The caller sets `stop` on SIGINT, SIGTERM
/// and SIGHUP, and waits for this to return before the process ends. Nothing else
/// may write to the terminal meanwhile, standard error included.
pub fn run(mut app: App, mut links: Links, looks: Looks) -> Result<(), ViewError> {
    must_be_terminal(&io::stdout())?;
    let mut screen = Terminal::enter(looks)?;
    if looks.mouse {
        app.has_mouse();
        screen.mouse(true)?;
    }
    watch(&mut app, &mut links, &mut screen)
}

fn must_be_terminal(out: &impl IsTerminal) -> Result<(), ViewError> {
    if out.is_terminal() { Ok(()) } else { Err(ViewError::NotATerminal) }
}

/// What can happen at a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// The size changed.
    Resized,
    /// Nobody is there any more.
    HungUp,
    /// Not in time.
    Nothing,
}

/// Something to paint on that has keys.
pub(super) trait Screen {
    /// Paints the app as it is now.
    fn draw(&mut self, app: &mut App) -> Result<(), ViewError>;
    /// Waits at most `timeout`.
    fn input(&mut self, timeout: Duration) -> Result<Input, ViewError>;
    /// Asks the terminal to take this for its clipboard.
    fn copy(&mut self, text: &str) -> Result<(), ViewError>;
    /// Takes the mouse, or gives it back.
    fn mouse(&mut self, on: bool) -> Result<(), ViewError>;
}

fn watch(app: &mut App, links: &mut Links, screen: &mut impl Screen) -> Result<(), ViewError> {
    let mut keys = Decoder::default();
    let mut drawn: Option<Instant> = None;
    let mut changed = true;
    let mut asked = Request::default();
    while !links.stop.load(Ordering::Relaxed) {
        changed |= take_newest(app, links);
        let request = app.request();
        if request != asked {
            // Where nobody answers any more, that is seen at the pictures.
            let _ = links.requests.send(request.clone());
            asked = request;
        }
        let due = drawn.map_or(Duration::ZERO, |at| FRAME.saturating_sub(at.elapsed()));
        if changed && due.is_zero() {
            screen.draw(app)?;
            drawn = Some(Instant::now());
            changed = false;
        }
        let action = match screen.input(if changed { due } else { TICK })? {
            Input::Key(key) => keys.decode(key, app.mode()),
            Input::Mouse(event) => moused(event),
            Input::Resized => {
                changed = true;
                None
            }
            Input::HungUp => return Ok(()),
            Input::Nothing => None,
        };
        if let Some(action) = action {
            changed = true;
            match app.on_action(action) {
                Flow::Continue => {}
                Flow::Quit => return Ok(()),
                Flow::Save => save(app, &mut links.save),
                Flow::Copy(text) => {
                    screen.copy(&text)?;
                    app.tell("The row is sent to the terminal's clipboard (OSC 52).");
                }
                Flow::Mouse(on) => screen.mouse(on)?,
            }
        }
    }
    Ok(())
}

/// What the mouse asks for.
fn moused(event: MouseEvent) -> Option<Action> {
    match event.kind {
        MouseEventKind::ScrollUp => Some(Action::WheelUp),
        MouseEventKind::ScrollDown => Some(Action::WheelDown),
        MouseEventKind::Down(MouseButton::Left) => Some(Action::Click(event.column, event.row)),
        _ => None,
    }
}

fn save(app: &mut App, save: &mut Save) {
    let Some(summary) = app.summary() else { return };
    let message = match save(summary) {
        Ok(place) => format!("Saved {place}."),
        Err(error) => format!("Not saved: {error}."),
    };
    app.tell(message);
}

/// Gives the app the newest picture of those that have come; whether anything is new.
fn take_newest(app: &mut App, links: &Links) -> bool {
    let mut newest = None;
    let closed = loop {
        match links.pictures.try_recv() {
            Ok(picture) => give_back(newest.replace(picture), links),
            Err(TryRecvError::Empty) => break false,
            Err(TryRecvError::Disconnected) => break app.close(),
        }
    };
    let any = newest.is_some();
    if let Some(picture) = newest {
        give_back(app.update(picture), links);
    }
    any || closed
}

fn give_back(picture: Option<Picture>, links: &Links) {
    if let Some(picture) = picture {
        // Where nobody takes it, it is freed here.
        let _ = links.used.send(picture);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::mpsc::{Sender, channel},
    };

    use ratatui::crossterm::event::KeyCode;

    use super::*;
    use crate::view::fixture;

    /// Plays a script of keys, and counts what is drawn.
    struct Script {
        keys: VecDeque<KeyCode>,
        stop: Arc<AtomicBool>,
        /// Drawn titles of what was shown: rows of the table.
        frames: Vec<usize>,
        sender: Option<Sender<Picture>>,
        copied: Vec<String>,
        mouse: Vec<bool>,
    }

    impl Screen for Script {
        fn draw(&mut self, app: &mut App) -> Result<(), ViewError> {
            self.frames.push(app.grid().rows.len());
            Ok(())
        }

        fn input(&mut self, timeout: Duration) -> Result<Input, ViewError> {
            assert!(timeout <= TICK.max(FRAME), "the stop flag would be seen late");
            let Some(code) = self.keys.pop_front() else {
                // At the script's end the measuring ends, and then the signal comes.
                if self.sender.take().is_none() && self.frames.len() > 1 {
                    self.stop.store(true, Ordering::Relaxed);
                }
                return Ok(Input::Nothing);
            };
            Ok(Input::Key(KeyEvent::from(code)))
        }

        fn copy(&mut self, text: &str) -> Result<(), ViewError> {
            self.copied.push(text.to_owned());
            Ok(())
        }

        fn mouse(&mut self, on: bool) -> Result<(), ViewError> {
            self.mouse.push(on);
            Ok(())
        }
    }

    /// What came of a script.
    struct Played {
        app: App,
        screen: Script,
        requests: Vec<Request>,
        saved: Vec<Summary>,
        stopped: bool,
    }

    fn play(keys: &[KeyCode], pictures: usize) -> Played {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = channel();
        let (requests, asked) = channel();
        for _ in 0..pictures {
            sender.send(fixture::picture()).expect("the receiver lives");
        }
        let mut screen = Script {
            keys: keys.iter().copied().collect(),
            stop: Arc::clone(&stop),
            frames: Vec::new(),
            sender: Some(sender),
            copied: Vec::new(),
            mouse: Vec::new(),
        };
        let mut app = App::new();
        let (saving, saved) = channel();
        let save = Box::new(move |summary: &Summary| {
            saving.send(summary.clone()).expect("the receiver lives");
            Ok("there".to_owned())
        });
        let (used, _nobody) = channel();
        let stopped = Arc::clone(&stop);
        let mut links = Links { pictures: receiver, used, requests, save, stop: stopped };
        watch(&mut app, &mut links, &mut screen).expect("the script has no errors");
        Played {
            app,
            screen,
            requests: asked.try_iter().collect(),
            saved: saved.try_iter().collect(),
            stopped: stop.load(Ordering::Relaxed),
        }
    }

    #[test]
    fn quits_by_key_without_waiting_for_a_signal() {
        assert!(!play(&[KeyCode::Char('j'), KeyCode::Char('q')], 1).stopped);
    }

    #[test]
    fn the_stop_flag_ends_it_and_the_end_of_data_is_shown() {
        let played = play(&[KeyCode::Char('2')], 3);
        assert!(played.stopped);
        // All three pictures are one frame; another table and the end of data are one each.
        assert_eq!(played.screen.frames.first(), Some(&0));
        assert_eq!(played.screen.frames.last(), Some(&4));
        assert!(played.screen.frames.len() <= 3);
        assert_eq!(played.app.ended(), Some("no more data"));
    }

    #[test]
    fn a_flood_of_keys_is_not_a_flood_of_frames() {
        let frames = play(&[KeyCode::Char('j'); 1000], 1).screen.frames;
        assert!(frames.len() < 500, "{} frames", frames.len());
    }

    #[test]
    fn what_is_asked_for_is_sent_when_it_changes() {
        let step = |second: u64| Request {
            step: Some(fixture::START + second * fixture::SECOND),
            subject: None,
        };
        let keys = ['[', 'j', '[', ']', 't', 't'].map(KeyCode::Char);
        let played = play(&keys, 1);
        assert_eq!(played.requests, [step(39), step(38), step(39), Request::default()]);
    }

    #[test]
    fn saves_what_is_shown_and_copies_the_row() {
        let keys = ['2', 'y', 't', 'e'].map(KeyCode::Char);
        let played = play(&keys, 1);
        assert_eq!(played.saved, [fixture::last()]);
        assert_eq!(played.app.message(), Some("Saved there."));
        assert_eq!(played.screen.copied.len(), 1);
        assert!(
            played.screen.copied[0].starts_with("m1\tmap[string]"),
            "{:?}",
            played.screen.copied
        );
        let played = play(&['m', 'm'].map(KeyCode::Char), 1);
        assert_eq!(played.screen.mouse, [true, false]);
    }

    #[test]
    fn a_file_is_no_terminal() {
        let file = tempfile::tempfile().expect("a temporary file");
        let error = must_be_terminal(&file).expect_err("a file is no terminal");
        assert!(matches!(error, ViewError::NotATerminal));
        assert!(error.to_string().contains("mapprof stat"));
    }
}
