//! A mapprof that is stopped by Ctrl-Z (SIGTSTP), which it sees coming.
//!
//! In: the signal. Out: no probe is in place while it is stopped, and what the target does then is in no
//! interval.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use nix::sys::signal::{Signal, raise};
use signal_hook::{SigId, consts::SIGTSTP, flag, low_level};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    Update,
    collector::{Collector, monotonic_ns},
};

/// SIGTSTP, from its registration to its drop; before and afterwards it does what it does.
#[derive(Debug)]
pub(super) struct StopSignal {
    asked: Arc<AtomicBool>,
    is_default: Arc<AtomicBool>,
    id: SigId,
}

impl StopSignal {
    pub(super) fn register() -> io::Result<Self> {
        let [asked, is_default]: [Arc<AtomicBool>; 2] = Default::default();
        flag::register_conditional_default(SIGTSTP, is_default.clone())?;
        let id = flag::register(SIGTSTP, asked.clone())?;
        Ok(Self { asked, is_default, id })
    }

    fn take(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        low_level::unregister(self.id);
        self.is_default.store(true, Ordering::Relaxed);
    }
}

impl Collector {
    /// Stops this process where somebody has asked for that, without any probe in place. The
    /// slice that goes on ends before and the next begins afterwards: what the target does meanwhile
    /// is in none.
    pub(super) fn stop_if_asked(&mut self, updates: &UnboundedSender<Update>) -> Result<(), ()> {
        if !self.stop_signal.as_ref().is_some_and(StopSignal::take) {
            return Ok(());
        }
        let open = self.open_waits(monotonic_ns());
        self.detach();
        while self.drain() > 0 {}
        self.gather();
        self.flush_last();
        self.decoder.finish_with(&open, &mut self.tally);
        self.close(updates)?;
        // Addresses mean the same later on, but nothing is known of waits that go on now.
        let _ = self.kernel.forget();
        let stopped = Instant::now();
        if let Err(error) = raise(Signal::SIGSTOP) {
            log::warn!("cannot stop: {error}");
        }
        log::info!("stopped for {:.1} s, without probes", stopped.elapsed().as_secs_f64());
        self.begin_bill();
        let notice = match self.attach() {
            Ok(attached) => format!(
                "stopped for {:.1} s, in which nothing was watched; attached {} probes again",
                stopped.elapsed().as_secs_f64(),
                attached.count
            ),
            Err(error) => format!("after a stop the probes could not be put back: {error}"),
        };
        updates.send(Update::Notice(notice)).map_err(drop)
    }
}
