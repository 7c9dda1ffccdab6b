//! Reading the rings: by the collecting thread alone, or with others where it could not
//! keep up.
//!
//! In: rings. Out: what they hold, decoded and counted in one [`Tally`].
//!
//! Nearly all records are operations whose like the decoder has met; to count them takes no
//! more than knowing what they mean ([`KnownOps`]), and no order. So where there are many
//! CPUs, each group of rings has a thread that counts those in tables of its own and hands on
//! all others, in the order in which each ring had them. The one decoder, which brings
//! together what different CPUs say of one wait, reads those, and says what it has learned.
//! Whoever has the lock of a group may read its rings: before a window or a slice ends the
//! collecting thread does so itself, and takes in the group's tables.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::collector::{NAP, Tally, hurry};
use crate::{
    decode::{Decoder, KnownOps, Meaning, Place, Places, Resolver},
    kernel::{
        TURN,
        ring::{Mapped, Memory, Ring},
    },
    model::Limits,
};

/// Rings that one thread reads. A CPU that does nothing but probed operations makes 1.6
/// million records a second, and a thread takes 13 to 39 million (docs/bench-user-space.md).
const RINGS_PER_READER: usize = 8;
/// Records that a reader takes from one ring before others may have the group.
const PIECE: usize = 1024;
/// Bytes handed on that the collecting thread has yet to take, at which a reader stops
/// reading. Beyond it comes at most the rest of a piece.
const FULL: usize = 1 << 20;
/// How long a reader leaves the group alone for who waits for it.
const POLITE: Duration = Duration::from_micros(20);

/// The rings, and who reads them.
pub(crate) struct Intake<M: Memory + Send + 'static = Mapped> {
    /// Those that the collecting thread reads: all or none.
    rings: Vec<Ring<M>>,
    readers: Vec<Reader<M>>,
    /// Records on their way; kept for its memory.
    batch: Batch,
    /// Empty tables to be exchanged for those of a reader.
    empty: Tally,
    limits: Limits,
    is_behind: bool,
}

impl<M: Memory + Send + 'static> Intake<M> {
    /// `per_reader`: how many rings a thread can read; where there are more, there are
    /// several. An error where one cannot be started.
    pub(crate) fn new(
        rings: Vec<Ring<M>>,
        per_reader: Option<usize>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let mut intake = Self::by_hand(rings, per_reader, limits);
        intake.readers.iter_mut().try_for_each(Reader::start)?;
        Ok(intake)
    }

    /// The same, where nobody reads but who is told to.
    pub(crate) fn by_hand(
        mut rings: Vec<Ring<M>>,
        per_reader: Option<usize>,
        limits: Limits,
    ) -> Self {
        let groups = rings.len().div_ceil(per_reader.unwrap_or(RINGS_PER_READER).max(1));
        let mut readers = Vec::new();
        if groups > 1 {
            // Nearly as many for each.
            for left in (1..=groups).rev() {
                let rest = rings.split_off(rings.len().div_ceil(left));
                readers.push(Reader::new(std::mem::replace(&mut rings, rest), limits));
            }
        }
        let (batch, empty) = (Batch::default(), Tally::new(limits));
        Self { rings, readers, batch, empty, limits, is_behind: false }
    }

    /// Takes what has arrived and cannot be counted elsewhere, at most a turn's worth of
    /// each ring; returns how many records that was.
    pub(crate) fn drain<R: Resolver>(
        &mut self,
        decoder: &mut Decoder<R>,
        tally: &mut Tally,
    ) -> usize {
        let rings = self.rings.iter_mut();
        let taken: usize =
            rings.map(|ring| ring.drain(TURN, &mut |record| decoder.record(record, tally))).sum();
        self.is_behind = !self.rings.is_empty() && taken >= TURN * self.rings.len() / 2;
        let mut handed = 0;
        for reader in &mut self.readers {
            reader.group.work().exchange(&mut self.batch, &mut reader.news);
            self.is_behind |= self.batch.bytes.len() >= FULL / 2;
            if self.batch.is_full()
                && let Some(thread) = &reader.thread
            {
                thread.thread().unpark();
            }
            handed += reader.decode(&mut self.batch, decoder, tally);
        }
        taken + handed
    }

    /// Whether the last look found so much that there is more by now.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Takes in what readers have counted: afterwards `tally` has everything that had
    /// arrived in their rings. Nothing to be done where there are none.
    pub(crate) fn gather<R: Resolver>(&mut self, decoder: &mut Decoder<R>, tally: &mut Tally) {
        for index in 0..self.readers.len() {
            // Merging takes its time, in which the others must not have to stop.
            self.drain(decoder, tally);
            let reader = &mut self.readers[index];
            let group = Arc::clone(&reader.group);
            let mut work = group.work();
            work.exchange(&mut self.batch, &mut reader.news);
            reader.decode(&mut self.batch, decoder, tally);
            for ring in &mut work.rings {
                ring.drain(usize::MAX, &mut |record| decoder.record(record, tally));
            }
            decoder.add_seen(work.known.take_seen());
            std::mem::swap(&mut work.tally, &mut self.empty);
            drop(work);
            tally.absorb(&mut self.empty);
        }
    }

    /// Throws away what has arrived and forgets what is known; returns how many records
    /// arrived since the last call, at least.
    pub(crate) fn discard(&mut self) -> usize {
        let mut count: usize =
            self.rings.iter_mut().map(|ring| ring.drain(TURN, &mut |_| {})).sum();
        for reader in &mut self.readers {
            count += reader.discard(self.limits);
        }
        count
    }

    /// What the readers do, each for itself.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Arc<Group<M>>> {
        self.readers.iter().map(|reader| &reader.group)
    }
}

/// A group of rings, from the collecting thread's side.
struct Reader<M: Memory + Send + 'static> {
    group: Arc<Group<M>>,
    thread: Option<JoinHandle<()>>,
    /// What the group knows or will.
    told: Places,
    /// What it is to be told.
    news: Vec<(Place, Meaning)>,
}

impl<M: Memory + Send + 'static> Reader<M> {
    fn new(rings: Vec<Ring<M>>, limits: Limits) -> Self {
        let work = Work {
            rings,
            next: 0,
            known: KnownOps::default(),
            tally: Tally::new(limits),
            handed: Batch::default(),
        };
        let group = Group {
            work: Mutex::new(work),
            is_wanted: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        };
        Self { group: Arc::new(group), thread: None, told: Places::default(), news: Vec::new() }
    }

    fn start(&mut self) -> std::io::Result<()> {
        let group = Arc::clone(&self.group);
        let thread = std::thread::Builder::new().name("mapprof-read".into());
        self.thread = Some(thread.spawn(move || group.read_on())?);
        Ok(())
    }

    /// Empties a batch of this group's; returns how many records were in it.
    fn decode<R: Resolver>(
        &mut self,
        batch: &mut Batch,
        decoder: &mut Decoder<R>,
        tally: &mut Tally,
    ) -> usize {
        let mut count = 0;
        for record in batch.records() {
            decoder.record(record, tally);
            if let Some((place, meaning)) = decoder.meaning(record)
                && self.told.learn(place, meaning.clone())
            {
                self.news.push((place, meaning));
            }
            count += 1;
        }
        batch.bytes.clear();
        count
    }

    fn discard(&mut self, limits: Limits) -> usize {
        self.news.clear();
        self.told.forget();
        let group = Arc::clone(&self.group);
        let mut work = group.work();
        let Work { rings, known, tally, handed, .. } = &mut *work;
        let left: usize = rings.iter_mut().map(|ring| ring.drain(TURN, &mut |_| {})).sum();
        let counted = known.take_seen().records as usize;
        let handed_on = handed.records().count();
        handed.bytes.clear();
        known.places.forget();
        *tally = Tally::new(limits);
        left + counted + handed_on
    }
}

impl<M: Memory + Send + 'static> Drop for Reader<M> {
    fn drop(&mut self) {
        self.group.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread has been printed by its hook.
            let _ = thread.join();
        }
    }
}

/// Rings that are read by whoever has the lock.
pub(crate) struct Group<M> {
    work: Mutex<Work<M>>,
    /// The collecting thread waits for the lock, which goes to whoever is awake.
    is_wanted: AtomicBool,
    is_over: AtomicBool,
}

impl<M: Memory> Group<M> {
    /// The group, for the collecting thread.
    fn work(&self) -> MutexGuard<'_, Work<M>> {
        self.is_wanted.store(true, Ordering::Release);
        let work = self.lock();
        self.is_wanted.store(false, Ordering::Release);
        work
    }

    /// What a thread did that panicked stays as it is: counts may lack a record.
    fn lock(&self) -> MutexGuard<'_, Work<M>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece of each ring; whether there is more to take.
    pub(crate) fn turn(&self) -> bool {
        self.lock().turn()
    }

    /// Reads until it is over.
    fn read_on(&self) {
        hurry();
        while !self.is_over.load(Ordering::Acquire) {
            if self.is_wanted.load(Ordering::Acquire) {
                std::thread::sleep(POLITE);
            } else if !self.turn() {
                std::thread::park_timeout(NAP);
            }
        }
    }
}

struct Work<M> {
    rings: Vec<Ring<M>>,
    /// Which has its turn.
    next: usize,
    known: KnownOps,
    /// What was counted here.
    tally: Tally,
    /// What was not.
    handed: Batch,
}

impl<M: Memory> Work<M> {
    /// Gives what is handed on for an empty batch, and takes the news.
    fn exchange(&mut self, batch: &mut Batch, news: &mut Vec<(Place, Meaning)>) {
        std::mem::swap(&mut self.handed, batch);
        for (place, meaning) in news.drain(..) {
            self.known.places.learn(place, meaning);
        }
    }

    /// Takes a piece of each ring, as far as there is room for what is to be handed on;
    /// whether there is more to take now.
    fn turn(&mut self) -> bool {
        let Self { rings, next, known, tally, handed } = self;
        let mut is_more = false;
        for _ in 0..rings.len() {
            if handed.is_full() {
                return false;
            }
            let taken = rings[*next].drain(PIECE, &mut |record| {
                if !known.record(record, tally) {
                    handed.push(record);
                }
            });
            is_more |= taken == PIECE;
            *next = (*next + 1) % rings.len();
        }
        is_more
    }
}

/// Records one after the other, each behind its length.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(&(record.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(record);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (len, behind) = rest.split_first_chunk()?;
            let (record, behind) = behind.split_at_checked(u32::from_ne_bytes(*len) as usize)?;
            rest = behind;
            Some(record)
        })
    }
}

#[cfg(test)]
mod tests;
