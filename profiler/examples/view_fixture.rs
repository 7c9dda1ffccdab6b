//! The live view over made-up figures: to look at it without root, a kernel or a
//! target. `cargo run --example view_fixture`, and with `-- 5` it ends after 5 s.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use mapprof::{
    model::{SliceTotals, Step, summary::Summary},
    view::{self, App, Links, Looks, Picture},
};
use tokio::signal::unix::{SignalKind, signal};

const INTERVAL: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    let seconds: Option<u64> = std::env::args().nth(1).map(|arg| arg.parse()).transpose()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || feed(&sender, seconds));

    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    // The figures are made up, so there is no step to go to and nothing to save.
    let (requests, _asked) = mpsc::channel();
    let save = Box::new(|_: &Summary| Err("the example saves nothing".to_owned()));
    let links = Links { pictures: receiver, requests, save, stop };
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

fn feed(sender: &mpsc::Sender<Picture>, seconds: Option<u64>) {
    let fixture: Summary = serde_json::from_str(include_str!("../src/view/fixture.json"))
        .expect("the fixture is a summary");
    let mut steps = Vec::new();
    for tick in 1.. {
        let ended = seconds
            .is_some_and(|s| u128::from(tick) * INTERVAL.as_millis() >= u128::from(s) * 1000);
        let last = grown(&fixture, 1 + tick * tick % 7);
        let totals = SliceTotals {
            start_unix_ns: last.window.start_unix_ns,
            duration_ns: last.window.duration_ns,
            events: last.window.events,
            wait_ns: last.locks[0].wait.sum_ns,
            ..SliceTotals::default()
        };
        steps.push(Step { totals, ..Step::default() });
        let picture = Picture {
            total: grown(&fixture, 100 + tick),
            last,
            steps: steps.clone(),
            at: None,
            subject: None,
            notices: vec!["These figures are made up.".to_owned()],
            ended: ended.then(|| "the example is over".to_owned()),
        };
        if sender.send(picture).is_err() || ended {
            return;
        }
        thread::sleep(INTERVAL);
    }
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
