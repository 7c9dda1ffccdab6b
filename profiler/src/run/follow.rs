//! Following a target that changes while it is profiled.
//!
//! In: a process that executes a program, the same or another, or that loads more
//! code. Out: probes there too, and a notice of what could not be seen. The process'
//! number stays the same through an exec, and every address loses its meaning.

use std::collections::BTreeMap;

use probe_ebpf::{CALLER_NOT_SAMPLED, MAX_SITES};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    Update,
    collector::{CHECK, Collector, Haste, NAP, drain_while},
};
use crate::outside::Shown as _;
use crate::{
    catalog::Entry,
    model::{Definitions, Slice},
    placement::{self, Only, Plan, Site},
    target::{Target, TargetError},
};

/// What plans are made of.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Entries of the catalog.
    pub entries: Vec<Entry>,
    /// Which of them.
    pub only: Only,
    /// Most bytes of a key that are read; 0: as many as fit.
    pub key_bytes: u8,
}

impl Wanted {
    /// The plan for a target.
    pub fn plan(&self, target: &Target) -> Plan {
        let mut plan = placement::plan(target, &self.entries, self.only);
        plan.limit_keys(self.key_bytes);
        plan
    }

    /// The program that a process runs now, and its plan.
    fn successor(&self, pid: i32) -> Result<(Target, Plan), TargetError> {
        let target = Target::of_process(pid)?;
        let plan = self.plan(&target);
        Ok((target, plan))
    }
}

impl Collector {
    /// Probes the program that the process has executed in the old one's place. Probes
    /// of the old one may sit in the new one, if it is the same file; they are taken
    /// out, and what they report until then is not taken for the old one's.
    pub(super) fn follow_exec(&mut self, updates: &UnboundedSender<Update>) -> Result<(), ()> {
        self.leave_program(updates)?;
        let notice = self.succeed();
        updates.send(Update::Notice(notice)).map_err(drop)
    }

    /// Ends what is watched: takes the probes out, and closes the slice that goes on.
    pub(super) fn leave_program(&mut self, updates: &UnboundedSender<Update>) -> Result<(), ()> {
        self.drain();
        // Who waited then waits no more where the program is gone.
        let open = self.open_waits(self.alive_ns);
        let attachment = self.leave();
        self.drain();
        self.gather();
        self.flush();
        let rings = &mut self.rings;
        std::thread::scope(|scope| {
            let detach = scope.spawn(|| drop(attachment));
            while !detach.is_finished() {
                rings.discard();
                std::thread::sleep(NAP);
            }
        });
        while rings.discard() > 0 {}
        self.decoder.finish_with(&open, &mut self.tally);
        self.close(updates)?;
        // Where that fails some keys of the new program may be shown wrong at first.
        let _ = self.kernel.forget();
        Ok(())
    }

    /// The same, where nothing has been watched yet.
    pub(super) fn leave_unused(&mut self) {
        let probes = self.leave();
        self.take_out(probes);
        self.discard();
    }

    /// Attaches to what runs now; returns what there is to say.
    fn succeed(&mut self) -> String {
        let old = &mut self.decoder.resolver().target;
        let pid = old.pid().unwrap_or(0);
        let (target, plan) = match self.wanted.successor(pid) {
            Ok(found) => found,
            Err(error) => {
                old.ignore_exec();
                return format!("the process executed another program: {error}");
            }
        };
        let exe = target.exe().shown().to_owned();
        let untested = target.untested().fold(String::new(), |all, text| all + "; " + &text);
        self.era.next();
        self.take_up(target, plan);
        match self.attach() {
            Ok(attached) if attached.count == 0 => format!(
                "the process executed {exe}, in which there is nothing to probe; what was measured before stands"
            ),
            Ok(attached) => format!(
                "the process executed {exe}: attached {} probes to it; what it did before they were in place is not counted, or for its first {} ms as the old program's{untested}",
                attached.count,
                CHECK.as_millis()
            ),
            Err(error) => format!("the process executed {exe}, which cannot be probed: {error}"),
        }
    }

    /// Probes the modules that have been loaded since the plan was made.
    pub(super) fn follow_modules(&mut self, updates: &UnboundedSender<Update>) {
        let target = self.decoder.resolver().target.clone();
        let known = std::mem::replace(&mut self.planned, target.modules().len());
        if known == target.modules().len() {
            return;
        }
        let Self { wanted, rings, decoder, tally, .. } = self;
        let plan = drain_while(rings, decoder, tally, Haste::None, || wanted.plan(&target), || {});
        let first = self.plan.sites.len();
        let sites = added(&self.plan, plan);
        if sites.is_empty() {
            return;
        }
        let mut names: Vec<_> = sites.iter().map(|it| &target.modules()[it.module].name).collect();
        names.dedup();
        let names: Vec<_> = names.into_iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        self.decoder.add_sites(&sites);
        self.plan.sites.extend(sites);
        self.bill.set(&self.plan);
        self.calls.set(&self.plan);
        let notice = match self.attach_more(first) {
            Ok(count) => format!(
                "the process loaded {names}: attached {count} probes there; what it did before they were in place is not counted"
            ),
            Err(error) => format!("the process loaded {names}, which cannot be probed: {error}"),
        };
        // Where nobody listens any more, closing the next slice ends the run.
        let _ = updates.send(Update::Notice(notice));
    }
}

/// The new plan's sites that the old one lacks.
fn added(old: &Plan, new: Plan) -> Vec<Site> {
    let place = |site: &Site| (site.module, site.address, site.program);
    let room = MAX_SITES - old.sites.len();
    let is_new = |site: &Site| !old.sites.iter().any(|known| place(known) == place(site));
    new.sites.into_iter().filter(is_new).take(room).collect()
}

/// Which program of a process it is, counted from 0. Code addresses of all but the
/// first carry it in the bits that user space does not have (Linux, x86_64: 56 bits
/// with five-level page tables), so that an address never stands for two functions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Era(u64);

impl Era {
    const SHIFT: u32 = 57;
    /// Programs told apart; further ones share their names' addresses.
    const LAST: u64 = (1 << (64 - Self::SHIFT)) - 1;

    pub(super) fn next(&mut self) {
        self.0 = (self.0 + 1).min(Self::LAST);
    }

    fn address(self, address: u64) -> u64 {
        match address {
            0 | CALLER_NOT_SAMPLED => address,
            _ => address | self.0 << Self::SHIFT,
        }
    }

    /// Marks every code address; all are this program's, since a slice ends with it.
    pub(super) fn mark(self, definitions: &mut Definitions, slice: &mut Slice) {
        if self.0 == 0 {
            return;
        }
        for address in definitions.stacks.values_mut().flatten() {
            *address = self.address(*address);
        }
        let frames = std::mem::take(&mut definitions.frames).into_iter();
        definitions.frames =
            frames.map(|(at, it)| (self.address(at), it)).collect::<BTreeMap<_, _>>();
        for (address, _) in slice.maps.iter_mut().flat_map(|map| &mut map.callers) {
            *address = self.address(*address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_program_is_another_address() {
        let mut era = Era::default();
        assert_eq!(era.address(0x40_1000), 0x40_1000);
        era.next();
        let marked = era.address(0x40_1000);
        assert_ne!(marked, 0x40_1000);
        assert_eq!((era.address(0), era.address(CALLER_NOT_SAMPLED)), (0, CALLER_NOT_SAMPLED));
        era.next();
        assert_ne!(era.address(0x40_1000), marked);
        for _ in 0..1000 {
            era.next();
        }
        assert_ne!(era.address(0x40_1000), 0x40_1000);
    }

    #[test]
    fn names_follow_their_addresses() {
        let mut definitions = Definitions::default();
        definitions.stacks.insert(3, vec![0x10, 0x20]);
        definitions.frames.insert(0x10, Vec::new());
        let mut slice = Slice::default();
        Era(0).mark(&mut definitions, &mut slice);
        assert_eq!(definitions.stacks[&3], [0x10, 0x20]);
        let era = Era(1);
        era.mark(&mut definitions, &mut slice);
        assert_eq!(definitions.stacks[&3], [era.address(0x10), era.address(0x20)]);
        assert!(definitions.frames.contains_key(&era.address(0x10)));
        assert_eq!(definitions.frames.len(), 1);
    }
}
