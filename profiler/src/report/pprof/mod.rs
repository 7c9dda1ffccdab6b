//! A gzipped profile for pprof and what reads its files.
//!
//! In: a [`Document`]. Out: a profile with the sample types of Go's own mutex profile, as
//! its runtime/pprof writes them; of map operations likewise.

mod builder;
pub(crate) mod proto;

use std::io::Write;

use flate2::{Compression, GzBuilder};
use prost::Message;

use super::{By, Document, ReportError};
use crate::model::Frame;
use crate::model::summary::{KeyPart, Lock, Map, Mode, OpStack, Summary};
use builder::Builder;

/// The profile, compressed; the same for the same document.
pub(super) fn render(document: &Document<'_>, by: By) -> Result<Vec<u8>, ReportError> {
    let profile = profile(document, by)?.encode_to_vec();
    // No name and no time in the header.
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
    gzip.write_all(&profile).and_then(|()| gzip.finish()).map_err(ReportError::Gzip)
}

fn profile(document: &Document<'_>, by: By) -> Result<proto::Profile, ReportError> {
    let summary = document.summary;
    let samples = match by {
        By::Wait => waits(summary),
        By::Blame => blames(summary),
        By::Ops => operations(summary),
    };
    if samples.iter().all(|sample| sample.values.iter().all(|&value| value == 0)) {
        return Err(ReportError::nothing(by));
    }
    let types: &[(&str, &str)] = match by {
        By::Wait | By::Blame => &[("contentions", "count"), ("delay", "nanoseconds")],
        By::Ops => &[("operations", "count")],
    };
    let mut builder = Builder::new(types);
    for sample in &samples {
        builder.sample(sample);
    }
    builder.window(&summary.window);
    for comment in comments(document, by) {
        builder.comment(&comment);
    }
    Ok(builder.finish())
}

/// A stack, or that part of it that is about one key.
struct Row<'a> {
    stack: &'a [Frame],
    values: Vec<u64>,
    labels: Vec<(&'static str, &'a str)>,
}

fn waits(summary: &Summary) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for lock in &summary.locks {
        for waiter in &lock.waiters {
            let whole = [waiter.count, waiter.wait_ns];
            parts(&mut rows, &waiter.stack, whole, &waiter.keys, &labels(lock, waiter.mode));
        }
    }
    rows
}

fn blames(summary: &Summary) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for lock in &summary.locks {
        for holder in &lock.holders {
            let whole = [holder.count, holder.blame_ns];
            parts(&mut rows, &holder.stack, whole, &holder.keys, &labels(lock, holder.mode));
        }
    }
    rows
}

fn labels(lock: &Lock, mode: Option<Mode>) -> Vec<(&'static str, &str)> {
    let mode = mode.map(|mode| match mode {
        Mode::Read => "read",
        Mode::Write => "write",
    });
    let known = [
        ("lock", Some(lock.id.as_str())),
        ("lock_kind", Some(&lock.kind)),
        ("lock_name", lock.label.as_deref()),
        ("mode", mode),
    ];
    known.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

/// One row for each key, and one for what belongs to none; together they are the whole.
fn parts<'a>(
    rows: &mut Vec<Row<'a>>,
    stack: &'a [Frame],
    whole: [u64; 2],
    keys: &'a [KeyPart],
    labels: &[(&'static str, &'a str)],
) {
    let mut left = whole;
    for part in keys {
        // Never more than the whole, whatever a damaged recording says.
        let values = [part.count.min(left[0]), part.wait_ns.min(left[1])];
        left = [left[0] - values[0], left[1] - values[1]];
        let mut labels = labels.to_vec();
        labels.extend([("map", part.map.as_str()), ("key", part.key.as_str())]);
        rows.push(Row { stack, values: values.to_vec(), labels });
    }
    if left != [0, 0] {
        rows.push(Row { stack, values: left.to_vec(), labels: labels.to_vec() });
    }
}

fn operations(summary: &Summary) -> Vec<Row<'_>> {
    let stacks = summary.maps.iter().flat_map(|map| map.stacks.iter().map(move |row| (map, row)));
    stacks.flat_map(|(map, row)| kinds(map, row)).collect()
}

/// One row for each kind of operation that the program asked for.
fn kinds<'a>(map: &'a Map, row: &'a OpStack) -> impl Iterator<Item = Row<'a>> {
    let ops = &row.ops;
    let kinds = [
        ("lookup", ops.lookup),
        ("insert", ops.insert),
        ("delete", ops.delete),
        ("iterate", ops.iterate),
        ("clear", ops.clear),
    ];
    kinds.into_iter().filter(|&(_, count)| count > 0).map(move |(kind, count)| {
        let mut labels = vec![("operation", kind), ("map", map.id.as_str())];
        labels.extend(map.type_name.as_deref().map(|name| ("map_type", name)));
        labels.extend(map.label.as_deref().map(|name| ("map_name", name)));
        Row { stack: &row.stack, values: vec![count], labels }
    })
}

/// What a reader must know of the figures.
fn comments(document: &Document<'_>, by: By) -> Vec<String> {
    let Summary { target, window, maps, .. } = document.summary;
    let mut comments = vec![format!(
        "mapprof {} by {by}: {} (pid {}) on {}",
        env!("CARGO_PKG_VERSION"),
        target.exe,
        target.pid,
        document.session.target().host
    )];
    comments.extend(window.not_included.iter().map(|what| format!("not included: {what}")));
    if let Some(all) = window.attribution.filter(|_| by != By::Ops) {
        comments.push(format!(
            "of {} ns waited {} ns belong to keys, and {} ns are charged to a holder",
            all.wait_ns, all.attributed_ns, all.blamed_ns
        ));
    }
    if by == By::Ops {
        let stacks = maps.iter().flat_map(|map| &map.stacks);
        let samples = stacks.fold(0, |sum: u64, row| sum.saturating_add(row.samples));
        comments.push(format!("operations are scaled from {samples} sampled stacks"));
    }
    comments.extend(window.lost.iter().map(|(reason, count)| format!("lost: {reason} {count}")));
    comments
}
