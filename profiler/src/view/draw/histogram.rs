//! A distribution of times: percentiles, and bars beside them.

use ratatui::text::{Line, Span};

use super::theme::{Look, STRONG, Tint};
use crate::{
    model::summary::{Bucket, H},
    units,
    view::blocks,
};

/// Columns of the percentiles.
const LEFT: usize = 14;
/// Columns below which bars beside percentiles would be too short.
const WIDE: usize = 60;
/// Columns that the longest bar takes at most.
const BAR: usize = 60;

/// Percentiles with the distribution beside them: bars of counts where the
/// buckets are known, else bars as long as the times are on a log scale.
pub(super) fn lines(
    (what, tint): (&str, Tint),
    h: &H,
    buckets: &[Bucket],
    width: usize,
    look: Look,
) -> Vec<Line<'static>> {
    if h.count == 0 {
        return Vec::new();
    }
    let percentiles = [
        ("min", h.min_ns),
        ("p50", h.p50_ns),
        ("p90", h.p90_ns),
        ("p99", h.p99_ns),
        ("p99.9", h.p999_ns),
        ("max", h.max_ns),
    ];
    let left =
        percentiles.map(|(name, ns)| format!("  {name:<5} {:>6}", look.ours(&units::time(ns))));
    let buckets = merge(buckets, percentiles.len() + 2);
    if buckets.is_empty() {
        let title = format!("{what:<LEFT$}    time on a log scale");
        let bars = percentiles.map(|(_, ns)| (String::new(), log_share(ns, h.max_ns)));
        beside(title, &left, &bars, width, (look, tint))
    } else {
        let bars = bars(&buckets, look);
        if width >= WIDE {
            let title = format!("{what:<LEFT$}    how many by time");
            return beside(title, &left, &bars, width, (look, tint));
        }
        let mut lines = vec![Line::styled(what.to_owned(), STRONG)];
        lines.extend(left.map(Line::from));
        lines.extend(beside("How many by time".to_owned(), &[], &bars, width, (look, tint)));
        lines
    }
}

/// Texts on the left; on the right a text and a bar of 0 to 1.
fn beside(
    title: String,
    left: &[String],
    right: &[(String, f64)],
    width: usize,
    (look, tint): (Look, Tint),
) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(title, STRONG)];
    for row in 0..left.len().max(right.len()) {
        let left_text = left.get(row).map_or("", String::as_str);
        let (text, of_one) = right.get(row).cloned().unwrap_or_default();
        let text = if left.is_empty() { text } else { format!("{left_text:<LEFT$}    {text}") };
        let room = width.saturating_sub(units::width(&text) + 1).min(BAR);
        let bar = Span::styled(blocks::bar(of_one, room, look), look.tint(tint));
        lines.push(Line::from(vec![Span::raw(text), bar]));
    }
    lines
}

fn bars(buckets: &[Bucket], look: Look) -> Vec<(String, f64)> {
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0).max(1);
    buckets
        .iter()
        .map(|bucket| (bucket_text(bucket, look), bucket.count as f64 / most as f64))
        .collect()
}

fn bucket_text(bucket: &Bucket, look: Look) -> String {
    let (lo, hi) = (units::time(bucket.lo_ns), units::time(bucket.hi_ns));
    let text = format!("{lo:>6} – {hi:>6} {:>6} ", units::count(bucket.count));
    look.ours(&text).into_owned()
}

/// 0 for nothing, 1 for the largest.
fn log_share(ns: u64, largest: u64) -> f64 {
    let log = |ns: u64| (ns as f64 + 1.0).ln();
    if largest == 0 { 0.0 } else { log(ns) / log(largest) }
}

/// Neighbours joined until there are at most `rows`, empty ends left out.
fn merge(buckets: &[Bucket], rows: usize) -> Vec<Bucket> {
    let used = |bucket: &Bucket| bucket.count > 0;
    let (Some(first), Some(last)) = (buckets.iter().position(used), buckets.iter().rposition(used))
    else {
        return Vec::new();
    };
    let buckets = &buckets[first..=last];
    let joined = buckets.chunks(buckets.len().div_ceil(rows.max(1)));
    let join = |chunk: &[Bucket]| Bucket {
        lo_ns: chunk[0].lo_ns,
        hi_ns: chunk[chunk.len() - 1].hi_ns,
        count: chunk.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count)),
    };
    joined.map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_buckets_lose_nothing_but_empty_ends() {
        let bucket = |at: u64, count| Bucket { lo_ns: at, hi_ns: at + 1, count };
        let buckets: Vec<Bucket> = [0, 0, 1, 2, 0, 4, 5, 0]
            .into_iter()
            .zip(0..)
            .map(|(count, at)| bucket(at, count))
            .collect();
        let spans = |rows| {
            merge(&buckets, rows).iter().map(|b| (b.lo_ns, b.hi_ns, b.count)).collect::<Vec<_>>()
        };
        assert_eq!(spans(9), [(2, 3, 1), (3, 4, 2), (4, 5, 0), (5, 6, 4), (6, 7, 5)]);
        assert_eq!(spans(3), [(2, 4, 3), (4, 6, 4), (6, 7, 5)]);
        assert_eq!(spans(1), [(2, 7, 12)]);
        assert_eq!(spans(0), [(2, 7, 12)]);
        assert!(merge(&[bucket(1, 0)], 4).is_empty());
    }
}
