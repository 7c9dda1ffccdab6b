//! Waits on their way from the rings to the sink.
//!
//! In: records of parks, and the kernel's table of those that go on. Out: whole waits, each
//! with its parts and its key, and those that are open.

use probe_ebpf::OpenWait;

use super::{
    Decoder, Resolver, Sink, WaitEvent,
    attribution::Charged,
    records::frames,
    waits::{GoOn, Segment, Settled},
};

/// Waits that have begun and not ended, at a moment.
#[derive(Debug, Default)]
pub struct Open {
    /// CLOCK_MONOTONIC, ns.
    at_ns: u64,
    waits: Vec<OpenWait>,
    go_on: GoOn,
}

impl Open {
    /// What the kernel's table has, by task; beginnings that came to nothing and what began
    /// after that moment are none.
    pub fn new(at_ns: u64, table: impl Iterator<Item = (u64, OpenWait)>) -> Self {
        let mut open = Self { at_ns, ..Self::default() };
        for (task, wait) in table.filter(|(_, wait)| wait.parks > 0 && wait.wait_ns <= at_ns) {
            open.go_on.insert((task, wait.wait_ns));
            open.waits.push(wait);
        }
        open
    }
}

impl<R: Resolver> Decoder<R> {
    /// Hands over waits that are surely over, by what has come from all rings up to
    /// `until_ns` (CLOCK_MONOTONIC).
    pub fn settle(&mut self, until_ns: u64, sink: &mut impl Sink) {
        let mut over = std::mem::take(&mut self.over);
        self.settler.settle(until_ns, &self.blame, |settled| over.push(settled));
        self.deliver(over, sink);
    }

    /// The same, and the newest of each task; tells those that are open, of which none is over.
    pub fn settle_with(&mut self, open: &Open, until_ns: u64, sink: &mut impl Sink) {
        self.names.look_ahead();
        let mut over = std::mem::take(&mut self.over);
        self.settler.settle_newest(until_ns, &open.go_on, &self.blame, |it| over.push(it));
        self.deliver(over, sink);
        for late in self.attribution.give_up(until_ns) {
            self.charge(late, None, sink);
        }
        self.tell_open(open, sink);
    }

    /// Hands over every wait of which a part has come: nothing more will come of them.
    pub fn settle_all(&mut self, sink: &mut impl Sink) {
        let mut over = std::mem::take(&mut self.over);
        self.settler.finish(&GoOn::default(), &self.blame, |settled| over.push(settled));
        self.deliver(over, sink);
    }

    /// Hands over every wait that has ended; nothing more will come.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        self.finish_with(&Open::default(), sink);
    }

    /// The same where some have not.
    pub fn finish_with(&mut self, open: &Open, sink: &mut impl Sink) {
        let mut over = std::mem::take(&mut self.over);
        self.settler.finish(&open.go_on, &self.blame, |settled| over.push(settled));
        self.deliver(over, sink);
        for late in self.attribution.give_up(u64::MAX) {
            self.charge(late, None, sink);
        }
        self.tell_open(open, sink);
    }

    /// Waits that have begun and not ended.
    pub fn tell_open(&mut self, open: &Open, sink: &mut impl Sink) {
        for wait in &open.waits {
            let Some(site) = self.sites.get(wait.site as usize) else { continue };
            let count = (wait.frame_count as usize).min(wait.frames.len());
            let mut frames = frames(&wait.frames[..count], wait.caller);
            self.names.sound(site, &mut frames);
            let Some(at) = self.names.lock(site, wait.object, &frames) else { continue };
            let ns = open.at_ns.saturating_sub(wait.wait_ns);
            let (lock, stack, mode) = (at.lock, at.place.stack, at.place.mode);
            let (task, start_ns) = (wait.goid, wait.wait_ns);
            sink.open_wait(&WaitEvent { lock, stack, mode, task, start_ns, ns });
        }
    }

    /// A wait, or a part of one, ended.
    pub(super) fn segment(&mut self, wait: &probe_ebpf::Wait) {
        let Some(site) = self.sites.get(wait.site as usize) else {
            self.malformed += 1;
            return;
        };
        let count = (wait.frame_count as usize).min(wait.frames.len());
        let mut frames = frames(&wait.frames[..count], wait.caller);
        self.names.sound(site, &mut frames);
        let Some(at) = self.names.lock(site, wait.object, &frames) else {
            self.other_waits += 1;
            return;
        };
        let segment = Segment {
            lock: at.lock,
            address: at.address,
            mode: at.place.mode,
            place: at.place,
            goid: wait.goid,
            start_ns: wait.start_ns,
            end_ns: wait.end_ns,
            wait_ns: wait.wait_ns,
            part: wait.part,
        };
        self.blame.acquired(at.address, wait.task, wait.end_ns);
        self.settler.segment(wait.task, segment);
    }

    /// Tells waits that are over, and brings them together with their operations.
    fn deliver(&mut self, mut over: Vec<Settled>, sink: &mut impl Sink) {
        for wait in over.drain(..) {
            let whole = &wait.whole;
            let (lock, stack, mode) = (whole.lock, whole.place.stack, whole.mode);
            let (task, start_ns) = (whole.goid, whole.start_ns);
            sink.wait(&WaitEvent { lock, stack, mode, task, start_ns, ns: wait.ns() });
            let parts = self.blame.charge(whole.address, whole.start_ns, whole.end_ns, |ns| {
                sink.hold(lock, ns);
            });
            let inside = self.attribution.take_inside(&wait);
            let charged = Charged { wait, parts };
            if let Some(operation) = inside.filter(|it| self.is_inside(&charged.wait, it)) {
                self.charge(charged, operation.key, sink);
                continue;
            }
            let (found, late) = self.attribution.wait(charged);
            if let Some((charged, operation)) = found {
                self.charge_if_below(charged, operation, sink);
            }
            if let Some(late) = late {
                self.charge(late, None, sink);
            }
        }
        self.over = over;
    }
}
