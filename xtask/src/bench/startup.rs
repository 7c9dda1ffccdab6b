//! How soon there is a first figure of a large stripped binary, and how soon
//! mapprof is gone again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mapprof_tests::programs::{self, Link};
use mapprof_tests::{Mapprof, Program, go};

use super::figures::{Claim, Row, Samples};

/// The shortest run that still sees some operations of the program, which does
/// one each millisecond.
const WINDOW: Duration = Duration::from_millis(50);

pub(super) fn measure(rounds: u32) -> Result<Row> {
    let path = programs::go(go::NEWEST, Link::Stripped, "large")?;
    let mut program = Program::hold(&path, [] as [&str; 0])?;
    program.begin()?;
    let mut attached = Samples::new("start to probes in place", "ms");
    let mut figure = Samples::new("start to the first figure, on stdout", "ms");
    let mut detached = Samples::new("Ctrl-C to exit", "ms");
    for _ in 0..rounds {
        let begin = Instant::now();
        let running = Mapprof::stat(program.pid()).attach()?;
        attached.push(ms(begin.elapsed()));
        std::thread::sleep(WINDOW);
        let interrupted = Instant::now();
        let outcome = running.interrupt()?;
        detached.push(ms(interrupted.elapsed()));
        figure.push(ms(begin.elapsed()));
        let summary = outcome.summary()?;
        ensure!(!summary.maps.is_empty(), "the first figures are missing");
    }
    let size = path.metadata()?.len() as f64 / 1e6;
    let claims = vec![
        Claim::plain("size of the binary, MB", size),
        Claim::at_most("start to the first figure, ms", figure.median(), 1000.0),
        Claim::at_most("Ctrl-C to exit, ms", detached.median(), 200.0),
    ];
    Ok(Row { samples: vec![attached, figure, detached], claims })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
