//! `stat`, and what every way of profiling shares: finding the
//! target, starting the run, following it to its end.

use std::{process::ExitCode, sync::atomic::Ordering, time::Duration};

use anyhow::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    args::{ChoiceArgs, HowArgs, ProfileArgs, ShowArgs, StatArgs, TargetArgs},
    launched, limits, out,
    overhead::MaxOverhead,
    progress, silence,
    tape::Tape,
};
use crate::{
    catalog::{self, Entry},
    findings,
    kernel::{Attachment, Kernel, LoadOptions, Loading, Method},
    model::{Limits, Session, summary::Summary},
    outside::Shown as _,
    placement::{self, Plan},
    report::{self, By, Document, Format},
    run::{End, Options, Reason, Run, Update, Wanted},
    target::{Held, Target, find_by_name},
};

/// The catalog's entries that are wanted of this target.
pub(super) fn entries(choice: &ChoiceArgs, target: &Target) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for probe in choice.own() {
        entries.extend(probe.entries(target)?);
    }
    if !choice.no_builtin {
        entries.extend(catalog::builtin(&choice.with()));
    }
    Ok(entries)
}

/// Fails if a function that the user named has no probe, with the place where it was named.
pub(super) fn require(plan: &Plan, choice: &ChoiceArgs) -> Result<()> {
    let Err(error) = plan.require() else { return Ok(()) };
    let refused = choice.own().find_map(|probe| probe.refused(error.function.raw(), &error.reason));
    Err(refused.map_or_else(|| error.into(), Into::into))
}

/// The one process of that name.
pub(super) fn pid_of_name(name: &str) -> Result<i32> {
    let found = find_by_name(name);
    match found.as_slice() {
        [] => bail!(
            "no process is named {}; names are those of /proc/PID/comm, at most 15 characters",
            name.shown()
        ),
        [one] => Ok(one.pid),
        many => {
            let list: Vec<_> =
                many.iter().map(|one| format!("  {:>7}  {}", one.pid, one.cmdline)).collect();
            bail!(
                "{} processes are named {}; choose one with --pid:\n{}",
                many.len(),
                name.shown(),
                list.join("\n")
            )
        }
    }
}

/// A target, and the command behind it where mapprof starts it.
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) held: Option<Held>,
}

impl Found {
    /// The target that the arguments name. A command is held; with `quiet` it has
    /// no standard streams.
    pub(super) fn of(args: &TargetArgs, quiet: bool) -> Result<Self> {
        if let Some((command, rest)) = args.command.split_first() {
            let held = Held::spawn(command, rest, quiet)?;
            limits::raise_open_files()?;
            let target = launched::target(&held)?;
            return Ok(Self { target, held: Some(held) });
        }
        limits::raise_open_files()?;
        let pid = match (args.pid, &args.name) {
            (Some(pid), _) => pid,
            (_, Some(name)) => pid_of_name(name)?,
            _ => unreachable!("clap requires one of them"),
        };
        Ok(Self { target: Target::of_process(pid)?, held: None })
    }
}

/// A target and what is to be probed in it.
pub(super) struct Planned {
    pub(super) target: Target,
    pub(super) wanted: Wanted,
    pub(super) plan: Plan,
}

impl Planned {
    /// The plan for a target; what the user has named must be in it.
    pub(super) fn of(target: Target, choice: &ChoiceArgs, how: &HowArgs) -> Result<Self> {
        let entries = entries(choice, &target)?;
        let wanted = Wanted { entries, only: choice.only(), key_bytes: how.key_bytes };
        let plan = wanted.plan(&target);
        require(&plan, choice)?;
        Ok(Self { target, wanted, plan })
    }
}

/// A run with what is around it.
pub(super) struct Started {
    pub(super) run: Run,
    pub(super) held: Option<Held>,
    pub(super) session: Session,
    /// For the reasons of silence.
    pub(super) plan: Plan,
    /// What there is to say about the run.
    pub(super) notices: Vec<String>,
    /// Why there is nothing to probe in a command, should that be so to its end.
    pub(super) dead_end: Option<String>,
}

/// Bounds of the model: no fewer keys than are to be shown.
pub(super) fn limits(how: &HowArgs) -> Limits {
    let limits = Limits::default();
    let keys_per_map = how.show.keys.max(limits.keys_per_map);
    Limits { keys_per_map, total_keys: limits.total_keys.max(keys_per_map), ..limits }
}

/// How to run.
fn options(how: &HowArgs) -> Options {
    Options {
        interval: how.interval.0,
        duration: how.duration,
        limits: limits(how),
        method: how.attach.map(Into::into),
        ring_bytes: how.ring_mib.map_or(0, |mib| mib.next_power_of_two() << 20),
        debug: how.verbose >= 2,
        max_overhead: how.max_overhead.and_then(MaxOverhead::share),
        window_period: how.window_period,
        rings_per_reader: how.rings_per_reader,
        command: false,
    }
}

/// Begins to load the kernel's half, while the target is looked for and read.
pub(super) fn load(how: &HowArgs) -> Result<Loading> {
    init_log(how.verbose);
    Ok(Loading::begin(options(how).load_options())?)
}

/// Plans and attaches; a held command is released.
pub(super) fn start(
    loading: Loading,
    found: Found,
    choice: &ChoiceArgs,
    how: &HowArgs,
) -> Result<Started> {
    let Found { target, mut held } = found;
    let Planned { target, wanted, plan } = match &held {
        Some(held) => launched::plan(held, target, choice, how)?,
        None => Planned::of(target, choice, how)?,
    };
    let dead_end = plan.sites.is_empty().then(|| silence::nothing_to_probe(&target, &plan));
    if let Some(dead_end) = dead_end.as_ref().filter(|_| held.is_none()) {
        bail!("{dead_end}");
    }
    // It may execute it or not.
    let is_named = held.as_ref().is_some_and(|held| held.exe() != target.exe());
    let name = target.name().clone();
    let limits = limits(how);
    let kept = Plan { sites: plan.sites.clone(), ..Plan::default() };
    let options = Options { command: held.is_some(), ..options(how) };
    let mut notices: Vec<String> = target.untested().collect();
    let run = Run::start(loading, target, plan, wanted, options)?;
    if let Some(held) = &mut held {
        held.release()?;
    }
    for refused in &run.refused {
        notices.push(format!("the kernel refused a probe: {refused}"));
    }
    let slow = kept.sites.iter().filter(|site| site.cost == placement::Cost::Slow).count();
    if slow > 0 {
        notices.push(format!(
            "{slow} probes stand on instructions that the kernel must single-step, which costs some 17 times more; `mapprof probes` names them"
        ));
    }
    if options.max_overhead.is_some() && run.method == Method::Perf {
        notices.push(
            "this kernel takes out probes one by one, about a tenth of a second for each: where not everything fits the budget, windows are longer and rarer, and figures come later and with wider margins".to_owned(),
        );
    }
    if dead_end.is_some() {
        out::note(&format!(
            "nothing to probe in {name} itself; what it executes, starts and loads is looked at"
        ));
    } else if is_named {
        out::note(&format!(
            "{} probes are ready for {name}, which the command names; what else it executes or starts is looked at",
            run.attached
        ));
    } else {
        out::note(&format!(
            "attached {} probes to {name} (pid {}) in {:.0} ms; a hit costs {} ns here",
            run.attached,
            run.info.pid,
            run.startup.as_secs_f64() * 1e3,
            run.hit_ns
        ));
    }
    let session = Session::with_limits(run.info.clone(), limits);
    Ok(Started { run, held, session, plan: kept, notices, dead_end })
}

/// Ctrl-C and its like.
pub(super) struct Interrupts([Signal; 3]);

impl Interrupts {
    /// From now on they no longer end the process by themselves.
    pub(super) fn new() -> Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// The next one.
    pub(super) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Takes in what a run tells of its target; returns anything else.
pub(super) fn take(update: Update, session: &mut Session, plan: &mut Plan) -> Option<Update> {
    match update {
        Update::Interval { definitions, slice } => {
            session.define(*definitions);
            session.push(*slice);
            None
        }
        Update::Program { info, plan: of_it } => {
            session.name(info);
            *plan = *of_it;
            None
        }
        other => Some(other),
    }
}

/// Follows a run to its end, showing `each` update before the session has it.
async fn follow(
    run: &mut Run,
    session: &mut Session,
    plan: &mut Plan,
    interrupts: &mut Interrupts,
    mut each: impl FnMut(&Update),
) -> Option<End> {
    loop {
        tokio::select! {
            update = run.updates.recv() => {
                let update = update?;
                each(&update);
                match take(update, session, plan) {
                    Some(Update::Notice(notice)) => out::note(&notice),
                    Some(Update::End(end)) => return Some(end),
                    _ => {}
                }
            }
            () = interrupts.next() => run.stop.store(true, Ordering::Relaxed),
        }
    }
}

/// Runs a command's asynchronous part.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// The summary with its findings, of the maps and locks that are wanted.
pub(super) fn summary(session: &Session, show: &ShowArgs) -> Summary {
    let mut summary = session.summary(show.keys);
    filter(&mut summary, show);
    findings::attach(&mut summary);
    summary
}

/// Leaves only the maps and the locks that are wanted.
pub(super) fn filter(summary: &mut Summary, show: &ShowArgs) {
    let has = |texts: &[Option<&String>], pattern: &String| {
        texts.iter().flatten().any(|text| text.contains(pattern.as_str()))
    };
    if let Some(pattern) = &show.map {
        summary.maps.retain(|map| {
            let (name, label) = (map.type_name.as_ref(), map.label.as_ref());
            has(&[Some(&map.id), Some(&map.kind), name, label, map.address.as_ref()], pattern)
        });
    }
    if let Some(pattern) = &show.lock {
        summary.locks.retain(|lock| {
            let (label, address) = (lock.label.as_ref(), lock.address.as_ref());
            has(&[Some(&lock.id), Some(&lock.kind), label, address], pattern)
        });
    }
}

/// `mapprof stat`
pub(super) fn stat(args: &StatArgs) -> Result<ExitCode> {
    let ProfileArgs { target, choice, how } = &args.profile;
    profile(
        target,
        choice,
        how,
        |session| {
            let summary = summary(session, &how.show);
            let document = Document { session, summary: &summary };
            out::print(&report::render(args.format, By::Wait, &document)?)
        },
        None,
    )
}

/// A run from its start to its end, without a terminal.
pub(super) fn profile(
    target: &TargetArgs,
    choice: &ChoiceArgs,
    how: &HowArgs,
    print: impl FnOnce(&Session) -> Result<()>,
    mut tape: Option<&mut Tape>,
) -> Result<ExitCode> {
    block_on(async {
        let mut interrupts = Interrupts::new()?;
        let loading = load(how)?;
        let found = progress::loading(|| Found::of(target, false))?;
        let started = start(loading, found, choice, how)?;
        let Started { mut run, held, mut session, mut plan, notices, dead_end } = started;
        for notice in &notices {
            out::note(notice);
        }
        // What a command will turn out to be is not known yet.
        if let Some(tape) = tape.as_mut().filter(|_| dead_end.is_none()) {
            tape.begin(&run.info);
        }
        let mut bar = tape.is_some().then(|| progress::Recording::new(how.duration));
        let each = |update: &Update| match (&mut tape, update) {
            (Some(tape), Update::Interval { definitions, slice }) => {
                let bytes = std::fs::metadata(tape.path()).map(|file| file.len()).ok();
                if let Some(bar) = &mut bar {
                    bar.tick(slice.events, slice.duration_ns, bytes);
                }
                tape.interval(definitions, slice);
            }
            (Some(tape), Update::Program { info, .. }) => tape.begin(info),
            _ => {}
        };
        let end = follow(&mut run, &mut session, &mut plan, &mut interrupts, each).await;
        if let Some(tape) = &mut tape {
            tape.begin(&run.info);
        }
        drop(bar);
        drop(run);
        let Some(end) = end else {
            bail!("the collecting thread ended early; what it said is above")
        };
        tell_end(&end);
        let nothing_seen = silence::nothing_seen(&plan, &session);
        if let Some(why) = dead_end.filter(|_| plan.sites.is_empty()).or(nothing_seen) {
            out::note(&why);
        }
        let mut code = ExitCode::SUCCESS;
        if let Some(tape) = tape
            && !tape.end(end.reason.text(), &session)
        {
            let summary = summary(&session, &how.show);
            let document = Document { session: &session, summary: &summary };
            out::print(&report::render(Format::Text, By::Wait, &document)?)?;
            code = ExitCode::FAILURE;
        }
        // A reader that has seen enough must not cost the command its status.
        match print(&session) {
            Err(error) if !out::is_closed_pipe(&error) => return Err(error),
            _ => {}
        }
        match held {
            Some(held) if code == ExitCode::SUCCESS => launched::wait(held, &mut interrupts).await,
            _ => Ok(code),
        }
    })
}

fn tell_end(end: &End) {
    if end.reason == Reason::TargetEnded {
        out::note("the process ended; what was measured until then follows");
    }
    if let Some(error) = &end.error {
        out::note(&format!("losses may be missing from the figures: {error}"));
    }
    out::note(&format!("probes are out ({:.0} ms)", end.detach.as_secs_f64() * 1e3));
}

/// Probes that do nothing, in place until the duration is over or somebody asks.
pub(super) fn empty(args: &ProfileArgs) -> Result<ExitCode> {
    block_on(async {
        let mut interrupts = Interrupts::new()?;
        let found = Found::of(&args.target, false)?;
        let entries = entries(&args.choice, &found.target)?;
        let plan = placement::plan(&found.target, &entries, placement::Only::Maps);
        let mut kernel = Kernel::load(LoadOptions::default())?;
        let paths: Vec<_> =
            found.target.modules().iter().map(|module| module.attach_path.clone()).collect();
        let pid = found.target.pid().unwrap_or(0) as u32;
        let attachment = Attachment::empty(&mut kernel, &plan, &paths, pid)?;
        out::note(&format!("attached {} empty probes", attachment.attached));
        let duration = args.how.duration.unwrap_or(Duration::MAX);
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = interrupts.next() => {}
        }
        drop(attachment);
        Ok(ExitCode::SUCCESS)
    })
}

fn init_log(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Error,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    out::init_log(level);
}
