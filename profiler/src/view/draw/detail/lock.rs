//! A lock: who waits for it, who has it meanwhile, and for how long; and a pair of
//! those.

use ratatui::text::Line;

use super::super::{
    histogram,
    over_time::Sample,
    parts::{Lines, fitted},
    text::paragraph,
    theme::{Look, Tint},
};
use super::facts::{
    self, BARS, OverTime, cut, facts, frames, head, over_time, pair_text, part, short_key, some,
    summed, time_rate, waits,
};
use crate::{
    model::{
        Frame, SubjectStep,
        names::{bound, has_several_maps, key_of, lock_name, own_frame},
        summary::{KeyPart, Lock, Mode, Pair, Party, Summary},
    },
    units::{self, count, time},
    view::{grid::Cell, tables},
};

/// Pairs of a lock.
const MOST_PAIRS: usize = 3;

/// All about a lock; `steps` are its figures over time, where there are any.
pub(in crate::view) fn lock(
    summary: &Summary,
    lock: &Lock,
    steps: &[SubjectStep],
    width: usize,
    look: Look,
) -> Lines {
    let name = look.theirs(&lock_name(lock)).into_owned();
    let mut lines = facts::title(&[&look.theirs(&lock.id), &name], width, look);
    let guarded = match tables::guarded(summary, lock) {
        Cell::Text(maps) => Some(format!("guards {}", look.theirs(&maps))),
        _ => None,
    };
    let kind = Some(look.theirs(&lock.kind).into_owned());
    let address = lock.address.as_ref().map(|address| look.theirs(address).into_owned());
    lines.extend(facts([kind, address, guarded], width, look));
    lines.extend(figures(summary, lock, width, look));
    lines.extend(open(summary, lock, width, look));
    lines.extend(pairs(lock, width, look));
    lines.extend(past(steps, width, look));
    let buckets = lock.wait_hist.buckets(BARS);
    lines.extend(histogram::lines(("Waits", Tint::Wait), &lock.wait, &buckets, width, look));
    if let Some(hold) = &lock.hold {
        let buckets = lock.hold_hist.buckets(BARS);
        lines.extend(histogram::lines(("Holds", Tint::Blame), hold, &buckets, width, look));
    }
    lines.extend(stacks(summary, lock, width, look));
    fitted(lines, width, look)
}

/// How much was waited, and how much of that is told of keys and of holders.
fn figures(summary: &Summary, lock: &Lock, width: usize, look: Look) -> Lines {
    let ended = match lock.wait.count {
        0 => "no wait has ended".to_owned(),
        _ => facts::waited(&lock.wait),
    };
    let per_second = units::per_second(lock.wait.sum_ns, summary.window.duration_ns);
    let now = some(lock.open_waits)
        .map(|n| format!("{} waiting now, the oldest for {}", count(n), time(lock.open_max_ns)));
    let rate =
        per_second.filter(|rate| *rate > 0.0).map(|rate| format!("{} per second", time_rate(rate)));
    let mut lines = facts([Some(ended), rate, now], width, look);
    if let Some(bound) = bound(lock, &summary.window) {
        lines.extend(paragraph(&bound, width, look));
    }
    let modes = [(lock.read, "to read"), (lock.write, "to write")].map(|(sum, mode)| {
        let sum = sum?;
        Some(format!("{} in {} {mode}", time(sum.wait_ns), waits(sum.count)))
    });
    lines.extend(facts(modes, width, look));
    if lock.attributed_ns > 0 || lock.blamed_ns > 0 {
        let all = lock.wait.sum_ns;
        let told = [
            format!("{} of the wait belongs to keys", part(lock.attributed_ns, all)),
            format!("{} is charged to a holder", part(lock.blamed_ns, all)),
        ];
        lines.extend(facts(told.map(Some), width, look));
    }
    if lock.hold.is_none() && lock.wait.count > 0 {
        lines.extend(paragraph("How long it was held is not known.", width, look));
    }
    lines
}

fn wanted(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => " to read",
        Mode::Write => " to write",
    }
}

/// Waits that have not ended, one by one.
fn open(summary: &Summary, lock: &Lock, width: usize, look: Look) -> Lines {
    if lock.open.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![head("Waiting now, longest first")];
    for wait in &lock.open {
        let place = own_frame(&wait.stack).map(|frame| facts::place(frame, look));
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        let mode = wait.mode.map(wanted).unwrap_or_default();
        let task = facts::task(summary);
        let who = wait.goroutine.map_or_else(|| format!("a {task}"), |n| format!("{task} {n}"));
        let text = format!("{:>8}  {who}{mode} at {place}", time(wait.waited_ns));
        lines.push(cut(&text, width, look).style(look.tint(Tint::Critical)));
    }
    let more = lock.open_waits.saturating_sub(lock.open.len() as u64);
    if more > 0 {
        lines.push(cut(&format!("          … and {} more", count(more)), width, look));
    }
    lines
}

/// Who made whom wait, in a sentence each.
fn pairs(lock: &Lock, width: usize, look: Look) -> Lines {
    let of_several = has_several_maps([lock]);
    let mut lines = Vec::new();
    if !lock.pairs.is_empty() {
        lines.push(head("Who made whom wait"));
    }
    for pair in lock.pairs.iter().take(MOST_PAIRS) {
        lines.extend(paragraph(&pair_text(pair, of_several, look), width, look));
    }
    lines
}

fn past(steps: &[SubjectStep], width: usize, look: Look) -> Lines {
    let samples = |of: fn(&SubjectStep) -> u64| {
        steps.iter().map(|step| Sample::of_subject(step, Some(of(step)))).collect()
    };
    let rows = [
        OverTime {
            what: "wait/s",
            tint: Tint::Wait,
            text: time_rate,
            samples: samples(|step| step.wait_ns),
        },
        OverTime {
            what: "waits/s",
            tint: Tint::Wait,
            text: units::rate,
            samples: samples(|step| step.waits),
        },
    ];
    over_time(&rows, width, look)
}

fn stacks(summary: &Summary, lock: &Lock, width: usize, look: Look) -> Lines {
    let of_several = has_several_maps([lock]);
    let mut lines = Vec::new();
    if !lock.waiters.is_empty() {
        lines.push(head("Waiters, longest total first"));
    }
    let task = facts::task(summary);
    for waiter in &lock.waiters {
        let mode = waiter.mode.map(wanted).unwrap_or_default();
        let row = Stack {
            figures: summed(waiter.count, waiter.wait_ns, waiter.margins) + mode,
            keys: &waiter.keys,
            of_several,
            tasks: &waiter.goroutines,
            frames: &waiter.stack,
        };
        lines.extend(row.lines(task, width, look));
    }
    if !lock.holders.is_empty() {
        lines.push(head("Held meanwhile, longest total first"));
    } else if lock.wait.count > 0 {
        lines.push(cut("Who held it meanwhile is not known.", width, look));
    }
    for holder in &lock.holders {
        let mode = match holder.mode {
            Some(Mode::Read) => " by readers",
            Some(Mode::Write) => " by a writer",
            None => "",
        };
        let row = Stack {
            figures: summed(holder.count, holder.blame_ns, holder.margins) + mode,
            keys: &holder.keys,
            of_several,
            tasks: &holder.goroutines,
            frames: &holder.stack,
        };
        lines.extend(row.lines(task, width, look));
    }
    lines
}

/// Waits of a stack.
struct Stack<'a> {
    figures: String,
    keys: &'a [KeyPart],
    /// The lock's keys are of several maps.
    of_several: bool,
    tasks: &'a [u64],
    frames: &'a [Frame],
}

impl Stack<'_> {
    /// Time and number, keys and tasks, and the frames.
    fn lines(&self, task: &str, width: usize, look: Look) -> Lines {
        let key = |part: &KeyPart| {
            let map = Some(part.map.as_str());
            key_of(&short_key(&part.key, look), map, self.of_several).into_owned()
        };
        let keys: Vec<String> = self.keys.iter().map(key).collect();
        let tasks: Vec<String> = self.tasks.iter().map(u64::to_string).collect();
        let many = if tasks.len() == 1 { "" } else { "s" };
        let mut text = format!("  {}", self.figures);
        if !keys.is_empty() {
            text = format!("{text} for {}", keys.join(", "));
        }
        if !tasks.is_empty() {
            text = format!("{text} · {task}{many} {}", tasks.join(", "));
        }
        let mut lines = vec![cut(&text, width, look)];
        lines.extend(frames(self.frames, 6, width, look));
        lines
    }
}

/// All about who made whom wait.
pub(in crate::view) fn pair(
    summary: &Summary,
    lock: &Lock,
    pair: &Pair,
    width: usize,
    look: Look,
) -> Lines {
    let text = pair_text(pair, has_several_maps([lock]), look);
    let mut lines = facts::title(&[&text], width, look);
    let name = format!("for {} {}", look.theirs(&lock.id), look.theirs(&lock_name(lock)));
    let share = (lock.wait.sum_ns > 0)
        .then(|| format!("{} of all wait for it", part(pair.wait_ns, lock.wait.sum_ns)));
    lines.extend(facts([Some(name), share], width, look));
    let sides = [("Held the lock", &pair.holder), ("Waited meanwhile", &pair.waiter)];
    for (what, party) in sides {
        lines.push(Line::default());
        lines.push(head(what));
        lines.extend(about_party(summary, party, width, look));
    }
    fitted(lines, width, look)
}

fn about_party(summary: &Summary, party: &Party, width: usize, look: Look) -> Lines {
    let mut lines = Vec::new();
    match &party.key {
        Some(key) => {
            let text = format!("for {}", look.theirs(key));
            let text = units::chunks(&text, width.saturating_sub(2)).into_iter();
            lines.extend(text.map(|line| Line::from(format!("  {line}"))));
            let map = summary.maps.iter().find(|map| Some(&map.id) == party.map.as_ref());
            if let Some(map) = map {
                let name = crate::model::names::map_name(map);
                let text = format!("  of {} {}", look.theirs(&map.id), look.theirs(&name));
                lines.push(cut(&text, width, look));
            }
        }
        None => lines.push(Line::from("  for a key that is not known, or for none")),
    }
    lines.extend(frames(&party.stack, 6, width, look));
    lines
}
