//! Waits as HdrHistogram writes them: percentiles, and a log of intervals.
//!
//! In: a [`Document`]. Out: text as `outputPercentileDistribution` of its Java version
//! prints it, and as its `HistogramLogWriter` does, which its readers take.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};

use super::{By, Document, ReportError};
use crate::model::LockStep;
use crate::model::hist::WaitHist;
use crate::model::names::{self, lock_name};
use crate::model::summary::Lock;
use crate::units;

/// Values are printed in ms, which the plotters of such files expect.
const NS_PER_MS: f64 = 1e6;

/// Lines for each halving of the distance to 100%, as is usual.
const TICKS: u32 = 5;

/// The percentiles of the waits for all locks together.
pub(super) fn percentiles(document: &Document<'_>) -> Result<Vec<u8>, ReportError> {
    let summary = document.summary;
    let mut all = WaitHist::default();
    summary.locks.iter().for_each(|lock| all.add(&lock.wait_hist));
    if all.is_empty() {
        return Err(ReportError::nothing(By::Wait));
    }
    let h = all.h();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "#[mapprof {}: waits for {} of {} (pid {}), ms{}]",
        env!("CARGO_PKG_VERSION"),
        match summary.locks.as_slice() {
            [lock] => name(lock),
            locks => format!("all {} locks", locks.len()),
        },
        units::clean(&summary.target.exe),
        summary.target.pid,
        names::waits_scaled(&summary.window),
    );
    let _ = writeln!(
        text,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let dense = all.dense();
    let ms = |ns: u64| ns as f64 / NS_PER_MS;
    let mut count: u64 = 0;
    for step in dense.iter_quantiles(TICKS) {
        count = count.saturating_add(step.count_since_last_iteration());
        // A bucket's edge lies up to 1% outside what was seen.
        let value = ms(step.value_iterated_to().max(h.min_ns).min(h.max_ns));
        let quantile = step.quantile_iterated_to();
        let _ = write!(text, "{value:12.6} {quantile:14.12} {count:>10}");
        let _ = match quantile {
            q if q < 1.0 => writeln!(text, " {:14.2}", 1.0 / (1.0 - q)),
            _ => writeln!(text),
        };
    }
    let mean = h.sum_ns as f64 / h.count as f64 / NS_PER_MS;
    let deviation = dense.stdev() / NS_PER_MS;
    let _ = writeln!(text, "#[Mean    = {mean:>12.6}, StdDeviation   = {deviation:>12.6}]");
    let _ = writeln!(text, "#[Max     = {:>12.6}, Total count    = {:>12}]", ms(h.max_ns), h.count);
    let _ = writeln!(
        text,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        dense.buckets(),
        SUB_BUCKETS
    );
    Ok(text.into_bytes())
}

/// Of a histogram with two significant digits: twice a hundred, up to a power of two.
const SUB_BUCKETS: u32 = 256;

/// One line for each interval and lock in which somebody waited.
pub(super) fn log(document: &Document<'_>) -> Result<Vec<u8>, ReportError> {
    let summary = document.summary;
    let shown: HashMap<&str, String> =
        summary.locks.iter().map(|lock| (lock.id.as_str(), tag(&name(lock)))).collect();
    let mut steps = document.session.lock_steps();
    steps.retain(|step| shown.contains_key(step.lock.as_str()));
    if steps.is_empty() {
        return Err(ReportError::nothing(By::Wait));
    }
    let mut log = Vec::new();
    write_log(&mut log, document, &steps, &shown)
        .map_err(|error| ReportError::Log(error.to_string()))?;
    Ok(log)
}

type LogError<E> = hdrhistogram::serialization::interval_log::IntervalLogWriterError<E>;

fn write_log(
    log: &mut Vec<u8>,
    document: &Document<'_>,
    steps: &[LockStep<'_>],
    tags: &HashMap<&str, String>,
) -> Result<(), LogError<hdrhistogram::serialization::V2DeflateSerializeError>> {
    let target = &document.summary.target;
    let start = Duration::from_nanos(document.summary.window.start_unix_ns);
    let mut serializer = V2DeflateSerializer::new();
    let mut writer: IntervalLogWriter<'_, '_, _, _> = IntervalLogWriterBuilder::new()
        .add_comment(&format!(
            "[mapprof {}: waits for locks of {} (pid {}); histograms in ns, Interval_Max in ms{}]",
            env!("CARGO_PKG_VERSION"),
            units::clean(&target.exe),
            target.pid,
            names::waits_scaled(&document.summary.window)
        ))
        .add_comment("[Histogram log format version 1.3]")
        .with_start_time(UNIX_EPOCH.checked_add(start).unwrap_or(UNIX_EPOCH))
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(log, &mut serializer)?;
    for step in steps {
        let tag = tags.get(step.lock.as_str()).and_then(|tag| Tag::new(tag));
        let (at, length) = (step.start_unix_ns, step.duration_ns);
        let (at, length) = (Duration::from_nanos(at), Duration::from_nanos(length));
        writer.write_histogram(&step.wait.dense(), at, length, tag)?;
    }
    Ok(())
}

/// `l1 sync.Mutex in main.f`, in which nothing commands a terminal.
fn name(lock: &Lock) -> String {
    units::clean(&format!("{} {}", lock.id, lock_name(lock))).into_owned()
}

/// The name without what parts a log's fields and lines.
fn tag(name: &str) -> String {
    name.chars()
        .map(|c| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c })
        .collect()
}
