//! Figures drawn with block characters.

/// A bar of `of_one` times `columns`, to an eighth of a column. What is not
/// nothing is never drawn as nothing.
pub(super) fn bar(of_one: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if of_one.is_nan() || of_one <= 0.0 || columns == 0 {
        return String::new();
    }
    let eighths = ((of_one.min(1.0) * columns as f64 * 8.0).round() as usize).max(1);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// The newest `columns` values as a line of blocks of up to eight heights,
/// scaled to the largest of them.
pub(super) fn sparkline(values: &[f64], columns: usize) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let newest = &values[values.len().saturating_sub(columns)..];
    let largest = newest.iter().copied().fold(0.0, f64::max);
    newest
        .iter()
        .map(|&value| {
            if value > 0.0 && largest > 0.0 {
                HEIGHTS[((value / largest * 8.0).round() as usize).clamp(1, 8)]
            } else {
                HEIGHTS[0]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_sparklines_show_the_least_there_is() {
        assert_eq!([0.0, 0.001, 0.5, 1.0, 7.0].map(|v| bar(v, 4)), ["", "▏", "██", "████", "████"]);
        assert_eq!(bar(f64::NAN, 4), "");
        assert_eq!(sparkline(&[9.0, 0.0, 0.001, 4.0, 8.0], 4), " ▁▄█");
        assert_eq!(sparkline(&[], 4), "");
    }
}
