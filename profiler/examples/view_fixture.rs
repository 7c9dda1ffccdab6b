//! The live view over made-up figures: to look at it without root, a kernel or a
//! target. `cargo run --example view_fixture`, and with `-- 5` it ends after 5 s.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use mapprof::{
    model::{SliceTotals, Step, Subject, summary::Summary},
    view::{self, App, At, Links, Looks, Picture, Request},
};
use tokio::signal::unix::{SignalKind, signal};

const INTERVAL: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    let seconds: Option<u64> = std::env::args().nth(1).map(|arg| arg.parse()).transpose()?;
    let (sender, receiver) = mpsc::channel();
    let (requests, asked) = mpsc::channel();
    thread::spawn(move || feed(&sender, &asked, seconds));

    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    // The figures are made up.
    let save = Box::new(|_: &Summary| Err("the example saves nothing".to_owned()));
    let (used, _nobody) = mpsc::channel();
    let links = Links { pictures: receiver, used, requests, save, stop };
    let view = thread::spawn(move || view::run(App::new(), links, Looks::default()));
    view.join().map_err(|_| anyhow::anyhow!("the view panicked"))??;
    println!("the view has ended");
    Ok(())
}

fn stop_on_signals(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::clone(stop);
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        runtime.block_on(async {
            let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
                .map(signal);
            let [Ok(mut term), Ok(mut int), Ok(mut hup)] = signals else {
                return;
            };
            let _ = ready.send(());
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {}, _ = hup.recv() => {} }
            stop.store(true, Ordering::Relaxed);
        });
    });
    is_ready.recv()?;
    Ok(())
}

fn feed(sender: &Sender<Picture>, asked: &Receiver<Request>, seconds: Option<u64>) {
    let fixture: Summary = serde_json::from_str(include_str!("../src/view/fixture.json"))
        .expect("the fixture is a summary");
    let mut past: Vec<(Step, Summary)> = Vec::new();
    let mut request = Request::default();
    for tick in 1.. {
        let ended = seconds
            .is_some_and(|s| u128::from(tick) * INTERVAL.as_millis() >= u128::from(s) * 1000);
        let mut last = grown(&fixture, 1 + tick * tick % 7);
        last.window.start_unix_ns += tick * last.window.duration_ns;
        past.push((step(&last), last));
        let due = Instant::now() + INTERVAL;
        while Instant::now() < due {
            if sender.send(picture(&fixture, &past, &request, ended)).is_err() {
                return;
            }
            match asked.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(newer) => request = newer,
                Err(_) => break,
            }
        }
        if ended {
            return;
        }
    }
}

fn picture(fixture: &Summary, past: &[(Step, Summary)], request: &Request, ended: bool) -> Picture {
    let steps: Vec<Step> = past.iter().map(|(step, _)| step.clone()).collect();
    let index = request.step.and_then(|start| view::step_at(&steps, start));
    let last = past.last().map_or_else(|| fixture.clone(), |(_, last)| last.clone());
    Picture {
        total: grown(fixture, 100 + past.len() as u64),
        last,
        at: index.map(|index| At { index, summary: past[index].1.clone() }),
        subject: None,
        steps,
        notices: vec!["These figures are made up.".to_owned()],
        ended: ended.then(|| "the example is over".to_owned()),
    }
}

fn step(last: &Summary) -> Step {
    let totals = SliceTotals {
        start_unix_ns: last.window.start_unix_ns,
        duration_ns: last.window.duration_ns,
        observed_ns: last.window.observed_ns,
        events: last.window.events,
        ops: last.maps.iter().map(|map| map.ops.total()).sum(),
        waits: last.locks.iter().map(|lock| lock.wait.count).sum(),
        wait_ns: last.locks.iter().map(|lock| lock.wait.sum_ns).sum(),
        ..SliceTotals::default()
    };
    let map = &last.maps[0];
    let key = Subject::Key { map: map.id.clone(), key: map.keys[0].key.clone() };
    Step { totals, top_key: Some(key), top_lock: Some(Subject::Lock(last.locks[0].id.clone())) }
}

/// The fixture with `by` hundredths of its figures.
fn grown(fixture: &Summary, by: u64) -> Summary {
    let mut summary = fixture.clone();
    let grow = |n: &mut u64| *n = *n * by / 100;
    grow(&mut summary.window.duration_ns);
    grow(&mut summary.window.observed_ns);
    grow(&mut summary.window.events);
    for (at, map) in summary.maps.iter_mut().enumerate() {
        grow(&mut map.ops.lookup);
        grow(&mut map.ops.insert);
        // Some change places now and then.
        map.ops.delete += by % (3 + at as u64) * 20_000;
        for key in &mut map.keys {
            grow(&mut key.ops.lookup);
        }
    }
    for lock in &mut summary.locks {
        grow(&mut lock.wait.count);
        grow(&mut lock.wait.sum_ns);
        for bit in 12..26_u32 {
            let count = lock.wait.count / (1 + u64::from(bit.abs_diff(20)).pow(3));
            lock.wait_hist.record_n(3 << (bit - 1), count);
        }
    }
    summary
}
