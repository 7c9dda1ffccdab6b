//! Figures and text made fit for a terminal: human units, no control characters,
//! no more columns than there are.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `999`, `1.23k`, `12.3M`.
pub(crate) fn count(n: u64) -> String {
    if n < 1000 { n.to_string() } else { scaled(n as f64) }
}

/// Of `n` in `duration_ns`, per second; `None` where no time passed.
pub(crate) fn per_second(n: u64, duration_ns: u64) -> Option<f64> {
    (duration_ns > 0).then(|| n as f64 * 1e9 / duration_ns as f64)
}

/// `0.52`, `12.3`, `1.23M`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        r if r > 0.0 && r < 0.01 => "<0.01".to_owned(),
        r => scaled(r),
    }
}

/// `123ns`, `1.23µs`, `59.9s`, `2m03s`, `1h02m`, `3d04h`.
pub(crate) fn time(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let seconds = ns / SECOND;
    match ns {
        0..1000 => format!("{ns}ns"),
        // The bounds are where three digits would round up to the next unit.
        1000..999_500 => three_digits(ns as f64 / 1e3) + "µs",
        999_500..999_500_000 => three_digits(ns as f64 / 1e6) + "ms",
        999_500_000..59_950_000_000 => three_digits(ns as f64 / 1e9) + "s",
        _ if seconds < 3600 => {
            let rounded = ns.div_ceil(SECOND / 2) / 2;
            format!("{}m{:02}s", rounded / 60, rounded % 60)
        }
        _ if seconds < 86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `12.3%`. Only nothing is `0%` and only all is `100%`.
pub(crate) fn share(of_one: f64) -> String {
    match of_one * 100.0 {
        0.0 => "0%".to_owned(),
        p if p > 0.0 && p < 0.05 => "<0.1%".to_owned(),
        p if (99.95..100.0).contains(&p) => ">99.9%".to_owned(),
        100.0 => "100%".to_owned(),
        p => format!("{p:.1}%"),
    }
}

fn scaled(mut value: f64) -> String {
    let mut units = ["", "k", "M", "G", "T", "P"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = next;
    }
    three_digits(value) + unit
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// Text that the terminal shows and does not obey: control characters, and
/// those that reorder or hide what stands around them, are written as escapes.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Text of several lines that the terminal shows and does not obey: as [`clean`], but for
/// the ends of its lines. What is quoted in it has to be clean already, lest it forge a line.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && is_unsafe(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive('\n') {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        out.push_str(&clean(text));
        out.push_str(end);
    }
    Cow::Owned(out)
}

/// Whether a terminal would obey it, or show text otherwise than it is: control characters
/// (C0, DEL, C1), line and paragraph separators, those that set the direction of text, and
/// those that have no shape at all (Unicode's `Default_Ignorable_Code_Point`, but for the
/// variation selectors of emoji, and non-characters).
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// Columns that the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of the text, in at most `columns`, with `…` where some is missing.
pub(crate) fn head(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    match columns.checked_sub(1) {
        None => Cow::Borrowed(""),
        Some(room) => Cow::Owned(take(text.chars(), room) + "…"),
    }
}

/// The end of the text, in at most `columns`, with `…` where some is missing.
pub(crate) fn tail(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let backwards = take(text.chars().rev(), room);
    Cow::Owned(std::iter::once('…').chain(backwards.chars().rev()).collect())
}

fn take(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= room
        })
        .collect()
}

/// The text in lines of at most `columns`, broken at spaces where there are any.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(chunks(word, columns)),
        }
    }
    lines
}

/// The text in lines of at most `columns`, broken anywhere, with nothing left out.
pub(crate) fn chunks(text: &str, columns: usize) -> Vec<String> {
    // A character may take two.
    let columns = columns.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > columns {
            lines.push(String::new());
            used = 0;
        }
        used += wide;
        lines.last_mut().expect("begins with one").push(c);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_three_digits_and_never_round_into_the_next() {
        let counts = [0, 999, 1000, 9_994, 9_996, 99_940, 99_960, 999_499, 999_500, u64::MAX];
        assert_eq!(
            counts.map(count),
            ["0", "999", "1.00k", "9.99k", "10.0k", "99.9k", "100k", "999k", "1.00M", "18447P"]
        );
        let times = [
            0,
            999,
            1_234,
            999_499,
            999_500,
            59_900_000_000,
            59_960_000_000,
            123_400_000_000,
            3_720_000_000_000,
            273_600_000_000_000,
        ];
        assert_eq!(
            times.map(time),
            [
                "0ns", "999ns", "1.23µs", "999µs", "1.00ms", "59.9s", "1m00s", "2m03s", "1h02m",
                "3d04h"
            ]
        );
        assert_eq!([0.0, 0.001, 0.5, 1234.5].map(rate), ["0", "<0.01", "0.50", "1.23k"]);
        assert_eq!(
            [0.0, 0.0001, 0.1234, 0.9999, 1.0].map(share),
            ["0%", "<0.1%", "12.3%", ">99.9%", "100%"]
        );
        assert_eq!(per_second(5, 0), None);
    }

    #[test]
    fn cleaned_text_carries_no_terminal_commands() {
        assert_eq!(clean("\"user:42\" grün 日本"), "\"user:42\" grün 日本");
        assert_eq!(clean("\x1b[2J\u{9b}31m\r\n\u{202e}x"), "\\u{1b}[2J\\u{9b}31m\\r\\n\\u{202e}x");
        assert_eq!(clean_lines("a\tb\x1b\n\nc\r\n"), "a\\tb\\u{1b}\n\nc\\r\n");
        assert_eq!(clean_lines("a\nb"), "a\nb");
        assert!("\u{fffe}\u{1ffff}\u{e0041}\u{3164}".chars().all(is_unsafe));
        assert!(!"a é 日本 e\u{301} 👍\u{fe0f} \u{fffd}".contains(is_unsafe));
    }

    #[test]
    fn cut_text_fits_and_says_so() {
        assert_eq!(
            [0, 1, 3, 5, 6].map(|n| head("abcdef", n).into_owned()),
            ["", "…", "ab…", "abcd…", "abcdef"]
        );
        assert_eq!(
            [0, 1, 3, 6].map(|n| tail("abcdef", n).into_owned()),
            ["", "…", "…ef", "abcdef"]
        );
        // Half of a double-width character is no character.
        assert_eq!(head("日本語", 4), "日…");
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh i", 4), ["abcd", "efgh", "i"]);
        assert_eq!(wrap(" ", 4), Vec::<String>::new());
        assert_eq!(chunks("a  bc  d", 4), ["a  b", "c  d"]);
    }
}
