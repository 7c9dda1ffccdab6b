//! Owns the terminal: raw mode and the alternate screen while it lives, and a
//! terminal left as it was found however it ends.

#![expect(clippy::disallowed_methods, reason = "the view owns the terminal: its cells are clean")]

use std::{
    io::{self, Stdout},
    os::fd::AsFd,
    panic,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use ratatui::{
    backend::CrosstermBackend,
    crossterm::{
        clipboard::CopyToClipboard,
        cursor::Show,
        event::{self, DisableMouseCapture, EnableMouseCapture, Event},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

use super::{
    Looks,
    draw::{self, Look},
    state::App,
    terminal::{Input, Screen, TICK, ViewError},
};

/// Whether the terminal is ours: set while a [`Terminal`] lives, and cleared by
/// whoever gives the terminal back first.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode with the alternate screen, until dropped.
pub(super) struct Terminal {
    frames: ratatui::Terminal<CrosstermBackend<Stdout>>,
    keys: Keyboard,
    look: Look,
}

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn enter(looks: Looks) -> Result<Self, ViewError> {
        give_back_on_panic();
        TAKEN.store(true, Ordering::SeqCst);
        Self::take_over(looks).map_err(|error| {
            give_back();
            ViewError::Enter(error)
        })
    }

    fn take_over(looks: Looks) -> io::Result<Self> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        let frames = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(Self { frames, keys: Keyboard::open()?, look: looks.look })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

impl Screen for Terminal {
    fn draw(&mut self, app: &mut App) -> Result<(), ViewError> {
        still_taken()?;
        let look = self.look;
        let drawn = self.frames.draw(|frame| draw::draw(frame, app, look));
        match drawn {
            // The next input says so.
            Err(_) if has_hung_up() => Ok(()),
            drawn => drawn.map(drop).map_err(ViewError::Draw),
        }
    }

    fn input(&mut self, timeout: Duration) -> Result<Input, ViewError> {
        still_taken()?;
        if has_hung_up() {
            return Ok(Input::HungUp);
        }
        match self.keys.events.recv_timeout(timeout) {
            Ok(Ok(Event::Key(key))) => Ok(Input::Key(key)),
            Ok(Ok(Event::Mouse(event))) => Ok(Input::Mouse(event)),
            Ok(Ok(Event::Resize(..))) => Ok(Input::Resized),
            Ok(Ok(_)) | Err(RecvTimeoutError::Timeout) => Ok(Input::Nothing),
            Ok(Err(error)) => Err(ViewError::Input(error)),
            Err(RecvTimeoutError::Disconnected) => Ok(Input::HungUp),
        }
    }
    fn copy(&mut self, text: &str) -> Result<(), ViewError> {
        still_taken()?;
        let copy = CopyToClipboard::to_clipboard_from(text);
        execute!(io::stdout(), copy).map_err(ViewError::Draw)
    }

    fn mouse(&mut self, on: bool) -> Result<(), ViewError> {
        still_taken()?;
        let done = if on {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        };
        done.map_err(ViewError::Draw)
    }
}

fn still_taken() -> Result<(), ViewError> {
    if TAKEN.load(Ordering::SeqCst) { Ok(()) } else { Err(ViewError::Panicked) }
}

/// Keys, read by a thread of their own: crossterm 0.29 blocks on half an escape
/// sequence, and spins for good once the terminal has hung up. Neither may keep
/// the view from ending.
struct Keyboard {
    events: Receiver<io::Result<Event>>,
    done: Arc<AtomicBool>,
}

impl Keyboard {
    fn open() -> io::Result<Self> {
        let (sender, events) = channel();
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || read_keys(&sender, &until))?;
        Ok(Self { events, done })
    }
}

fn read_keys(sender: &Sender<io::Result<Event>>, until: &AtomicBool) {
    while !until.load(Ordering::Relaxed) {
        let event = match event::poll(TICK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let failed = event.is_err();
        if sender.send(event).is_err() || failed {
            return;
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// Whether nobody is at the other end of the terminal any more.
fn has_hung_up() -> bool {
    let out = io::stdout();
    let mut out = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    nix::poll::poll(&mut out, PollTimeout::ZERO).is_ok()
        && out[0].revents().is_some_and(|state| state.intersects(gone))
}

/// Leaves the terminal as it was found, once.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nobody is left to hear of an error, and the rest is worth trying.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    }
}

/// A panic's message must not vanish with the alternate screen.
fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}
