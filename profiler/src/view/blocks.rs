//! Figures drawn with block characters, or with ASCII.

use super::draw::Look;

/// What stands where a value is not known.
pub(super) fn unknown(look: Look) -> char {
    if look.is_ascii() { '?' } else { '·' }
}

/// A bar of `of_one` times `columns`, to an eighth of a column. What is not
/// nothing is never drawn as nothing.
pub(super) fn bar(of_one: f64, columns: usize, look: Look) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    const ASCII: [&str; 8] = ["", "-", "-", "-", "=", "=", "=", "="];
    if of_one.is_nan() || of_one <= 0.0 || columns == 0 {
        return String::new();
    }
    let eighths = ((of_one.min(1.0) * columns as f64 * 8.0).round() as usize).max(1);
    let (full, parts) = if look.is_ascii() { ("#", ASCII) } else { ("█", EIGHTHS) };
    full.repeat(eighths / 8) + parts[eighths % 8]
}

/// The values as a line of blocks of up to eight heights, scaled to the largest.
pub(super) fn sparkline(values: &[Option<f64>], look: Look) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '%', '#'];
    let heights = if look.is_ascii() { ASCII } else { HEIGHTS };
    let largest = largest(values);
    let height = |value: f64| eighths(value, largest, 1);
    values.iter().map(|value| value.map_or(unknown(look), |v| heights[height(v)])).collect()
}

/// The values as columns of up to so many rows, the top row first, scaled to the
/// largest.
pub(super) fn columns(values: &[Option<f64>], rows: usize, look: Look) -> Vec<String> {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 9] = [' ', '-', '-', '-', '=', '=', '=', '=', '#'];
    let heights = if look.is_ascii() { ASCII } else { HEIGHTS };
    let largest = largest(values);
    let cell = |value: &Option<f64>, above: usize| match value {
        Some(value) => heights[eighths(*value, largest, rows).saturating_sub(above * 8).min(8)],
        None if above == 0 => unknown(look),
        None => ' ',
    };
    (0..rows).rev().map(|above| values.iter().map(|value| cell(value, above)).collect()).collect()
}

/// The largest of the values that are known, or nothing.
pub(super) fn largest(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().fold(0.0, f64::max)
}

/// The height of a value in eighths of a row; what is not nothing is at least one.
fn eighths(value: f64, largest: f64, rows: usize) -> usize {
    if value > 0.0 && largest > 0.0 {
        ((value / largest * 8.0 * rows as f64).round() as usize).clamp(1, 8 * rows.max(1))
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::draw::ThemeChoice;

    #[test]
    fn bars_and_sparklines_show_the_least_there_is() {
        let look = Look::default();
        let bars = [0.0, 0.001, 0.5, 1.0, 7.0].map(|v| bar(v, 4, look));
        assert_eq!(bars, ["", "▏", "██", "████", "████"]);
        assert_eq!(bar(f64::NAN, 4, look), "");
        assert_eq!(sparkline(&[Some(0.0), None, Some(0.001), Some(4.0), Some(8.0)], look), " ·▁▄█");
        assert_eq!(sparkline(&[], look), "");
    }

    #[test]
    fn columns_fill_their_rows_from_below() {
        let values = [Some(0.0), Some(0.01), None, Some(5.0), Some(6.0), Some(8.0)];
        assert_eq!(columns(&values, 2, Look::default()), ["   ▂▄█", " ▁·███"]);
        assert_eq!(columns(&values, 0, Look::default()), Vec::<String>::new());
        let ascii = Look::new(ThemeChoice::None, true);
        assert_eq!(columns(&values, 2, ascii), ["   -=#", " -?###"]);
        assert_eq!(sparkline(&values, ascii), " .?+*#");
        assert_eq!([0.1, 0.6, 1.0].map(|v| bar(v, 2, ascii)), ["-", "#-", "##"]);
    }
}
