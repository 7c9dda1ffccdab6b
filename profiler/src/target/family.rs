//! The processes of a command: the first one, what it starts, and what these start.
//!
//! In: the first process. Out: who is there, who has been, and what each has used of the CPU.
//! It is looked at now and again: a process that lives shorter than that is never seen, but
//! what it used is known once its parent has asked for its status.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use super::proc_fs::{Stat, image_mark};

/// Most threads of one process whose children are looked for; each is a file to read.
const MOST_THREADS: usize = 256;
/// Most processes that are followed at a time.
const MOST_MEMBERS: usize = 1024;
/// Names of processes that are told apart once they have ended.
const MOST_NAMES: usize = 256;

/// A process of a command.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number.
    pub pid: i32,
    /// Its name, as in /proc/PID/comm.
    pub name: String,
    /// CPU time that it has used, ns, in whole ticks of the scheduler's clock.
    pub cpu_ns: u64,
    /// When it was last looked at before it ran the program that it runs now.
    pub since: Instant,
    /// It is or was watched.
    pub watched: bool,
    /// Tells a number that was given to another process.
    start: u64,
    /// Tells a program from the one before it.
    image: Option<Vec<u64>>,
}

/// Processes of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// How many.
    pub count: u64,
    /// CPU time that they were seen to use, ns.
    pub cpu_ns: u64,
}

/// What became of a family.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// By name: those that were never watched, be they there still or not.
    pub unwatched: BTreeMap<String, Used>,
    /// Those that were.
    pub watched: u64,
    /// CPU time that was used between the last look at a process and its end, ns: all of it
    /// where it ended before it was seen. Of such as their parents asked after.
    pub unseen_ns: u64,
}

/// The processes of a command.
#[derive(Debug)]
pub struct Family {
    root: i32,
    members: BTreeMap<i32, Member>,
    /// By name: those that have ended and were not watched.
    gone: BTreeMap<String, Used>,
    /// Those that have ended and were.
    gone_watched: u64,
    /// CPU time that the first process' descendants were seen to use before they ended, ns.
    seen_ns: u64,
    /// CPU time of the first process' descendants that were waited for, ns.
    waited_ns: u64,
    root_is_alive: bool,
    looked: Instant,
    tick_ns: u64,
}

impl Family {
    /// Of this process and those that it starts.
    pub fn of(root: i32) -> Self {
        let mut family = Self {
            root,
            members: BTreeMap::new(),
            gone: BTreeMap::new(),
            gone_watched: 0,
            seen_ns: 0,
            waited_ns: 0,
            root_is_alive: true,
            looked: Instant::now(),
            tick_ns: tick_ns(),
        };
        family.look();
        family
    }

    /// Sees who is there now.
    pub fn look(&mut self) {
        let now = Instant::now();
        let before = std::mem::replace(&mut self.looked, now);
        self.root_is_alive = false;
        let mut known = std::mem::take(&mut self.members);
        let mut queue: Vec<i32> = known.keys().copied().chain([self.root]).collect();
        while let Some(pid) = queue.pop() {
            if self.members.contains_key(&pid) || self.members.len() >= MOST_MEMBERS {
                continue;
            }
            let Some(stat) = Stat::read(pid) else { continue };
            let known = known.get_mut(&pid);
            // A number that belongs to another process by now.
            if known.as_ref().is_some_and(|known| known.start != stat.start) {
                continue;
            }
            let cpu_ns = stat.cpu_ticks * self.tick_ns;
            if pid == self.root {
                self.waited_ns = stat.waited_ticks * self.tick_ns;
                self.root_is_alive = !stat.is_zombie();
            }
            if stat.is_zombie() {
                // Its last words.
                if let Some(known) = known {
                    (known.name, known.cpu_ns) = (stat.comm, cpu_ns);
                }
                continue;
            }
            let known = known.map(|known| &*known);
            let image = image_mark(pid);
            let is_same = known.filter(|known| known.image == image && image.is_some());
            let since = is_same.map_or(before, |known| known.since);
            let watched = known.is_some_and(|known| known.watched);
            let Stat { comm: name, start, .. } = stat;
            let member = Member { pid, name, cpu_ns, since, watched, start, image };
            self.members.insert(pid, member);
            queue.extend(children(pid));
        }
        for (pid, member) in known {
            if !self.members.contains_key(&pid) {
                self.end(&member);
            }
        }
    }

    /// Notes that a process has ended, with what it was last seen to have used.
    fn end(&mut self, member: &Member) {
        if member.pid != self.root {
            self.seen_ns += member.cpu_ns;
        }
        if member.watched {
            self.gone_watched += 1;
        } else {
            add(&mut self.gone, member);
        }
    }

    /// The first process' number.
    pub fn root(&self) -> i32 {
        self.root
    }

    /// Whether the first process was there when it was last looked for.
    pub fn root_is_alive(&self) -> bool {
        self.root_is_alive
    }

    /// Who is there.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One of those who are there.
    pub fn member(&self, pid: i32) -> Option<&Member> {
        self.members.get(&pid)
    }

    /// Notes that a process is watched.
    pub fn watch(&mut self, pid: i32) {
        if let Some(member) = self.members.get_mut(&pid) {
            member.watched = true;
        }
    }

    /// Who is and has been there.
    pub fn account(&self) -> Account {
        let (mut unwatched, mut watched) = (self.gone.clone(), self.gone_watched);
        for member in self.members.values() {
            if member.watched {
                watched += 1;
            } else {
                add(&mut unwatched, member);
            }
        }
        Account { unwatched, watched, unseen_ns: self.waited_ns.saturating_sub(self.seen_ns) }
    }
}

/// Adds a process to those of its name.
fn add(names: &mut BTreeMap<String, Used>, member: &Member) {
    let is_full = names.len() >= MOST_NAMES && !names.contains_key(&member.name);
    let name = if is_full { "others".to_owned() } else { member.name.clone() };
    let used = names.entry(name).or_default();
    used.count += 1;
    used.cpu_ns += member.cpu_ns;
}

/// The processes that a process has started and that are there still. Linux has a list for
/// each thread (`CONFIG_PROC_CHILDREN`); where it has none, there are none to be seen.
fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads
        .take(MOST_THREADS)
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
            pids.collect::<Vec<i32>>()
        })
        .collect()
}

fn tick_ns() -> u64 {
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    1_000_000_000 / per_second.unwrap_or(100).max(1) as u64
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Looks until it is so.
    fn until(family: &mut Family, is_so: impl Fn(&Family) -> bool) {
        while !is_so(family) {
            std::thread::yield_now();
            family.look();
        }
    }

    fn kill(pid: i32) {
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    fn has(family: &Family, name: &str) -> bool {
        family.members().any(|member| member.name == name)
    }

    #[test]
    fn children_and_theirs_are_seen_and_remembered() {
        let mut child = shell("sleep 600 & sh -c 'sleep 601; true'; exec cat");
        let mut family = Family::of(child.id() as i32);
        let count = |it: &Family, name| it.members().filter(|member| member.name == name).count();
        until(&mut family, |it| count(it, "sleep") == 2);
        assert_eq!(count(&family, "sh"), 2);
        let newest =
            |it: &Family| it.members().filter(|it| it.name == "sleep").map(|it| it.pid).max();
        kill(newest(&family).unwrap());
        until(&mut family, |it| it.member(it.root()).is_some_and(|root| root.name == "cat"));
        assert_eq!((count(&family, "sleep"), count(&family, "sh")), (1, 0));
        let unwatched = |it: &Family, name| it.account().unwatched[name].count;
        assert_eq!((unwatched(&family, "sleep"), unwatched(&family, "sh")), (2, 1));
        assert!(family.root_is_alive());
        drop(child.stdin.take());
        child.wait().unwrap();
        family.look();
        // It has become somebody else's child.
        assert!(!family.root_is_alive() && count(&family, "sleep") == 1);
        family.watch(newest(&family).unwrap());
        assert_eq!((unwatched(&family, "sleep"), family.account().watched), (1, 1));
        kill(newest(&family).unwrap());
        until(&mut family, |it| it.members().count() == 0);
        assert_eq!((unwatched(&family, "sleep"), family.account().watched), (1, 1));
    }

    #[test]
    fn another_program_is_another_since() {
        let mut child = shell("read x; exec cat");
        let mut family = Family::of(child.id() as i32);
        // It has its name before it has all else of its program; reading it has begun.
        let reads = |it: &Family| Stat::read(it.root()).is_some_and(|stat| stat.is_asleep());
        until(&mut family, |it| has(it, "sh") && reads(it));
        family.look();
        let since = family.member(family.root()).unwrap().since;
        family.look();
        assert_eq!(family.member(family.root()).unwrap().since, since);
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
        until(&mut family, |it| has(it, "cat"));
        assert!(family.member(family.root()).unwrap().since > since);
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn what_was_too_short_to_be_seen_is_on_the_bill() {
        // Looked at before it begins and once it is over, but not yet waited for.
        let mut child =
            shell("read x; sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; exit 3");
        let mut family = Family::of(child.id() as i32);
        drop(child.stdin.take());
        while !Stat::read(child.id() as i32).is_some_and(|stat| stat.is_zombie()) {
            std::thread::yield_now();
        }
        family.look();
        assert!(!family.root_is_alive());
        assert!(family.account().unseen_ns > 0, "{:?}", family.account());
        child.wait().unwrap();
    }
}
