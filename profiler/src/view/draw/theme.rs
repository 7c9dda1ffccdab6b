//! How things look: colours for dark and for light terminals or none at all, and
//! Unicode or ASCII. Whatever a colour says is also said in words.
//!
//! In: what the user wants. Out: styles by what they mean, and texts in the characters
//! that the terminal has.

use std::borrow::Cow;
use std::ffi::OsStr;

use ratatui::style::{Color, Modifier, Style};

use crate::units;

/// Heads and names.
pub(super) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// The selected row or table.
pub(super) const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Which colours suit the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeChoice {
    /// Light text on a dark background.
    #[default]
    Dark,
    /// Dark text on a light background.
    Light,
    /// No colours: bold, reversed and underlined text only.
    None,
}

impl ThemeChoice {
    /// What the environment asks for: no colours where `NO_COLOR` is set to anything
    /// (<https://no-color.org>), else by `COLORFGBG`, which rxvt, Konsole and others
    /// set to the ANSI colours of text and background, as in `0;15`.
    pub fn detect(no_color: Option<&OsStr>, colorfgbg: Option<&str>) -> Self {
        if no_color.is_some_and(|value| !value.is_empty()) {
            return Self::None;
        }
        let background = colorfgbg.and_then(|colors| colors.rsplit(';').next()?.parse().ok());
        match background {
            Some(7 | 9..=15) => Self::Light,
            Some(0_u8..) | None => Self::Dark,
        }
    }
}

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tint {
    /// Must be seen to.
    Critical,
    /// Should be seen to.
    Warning,
    /// Good to know.
    Info,
    /// Of less interest.
    Muted,
    /// Time that was waited.
    Wait,
    /// Time that others were made to wait.
    Blame,
    /// Operations on maps.
    Ops,
}

/// Indexed colours by [`Tint`], for dark and for light backgrounds. Those from 16 on
/// are the same in every terminal, other than the first 16.
const TINTS: [(u8, u8); 7] =
    [(203, 160), (214, 94), (117, 25), (246, 242), (215, 130), (210, 125), (114, 28)];

/// Backgrounds of black text, by [`Tint`] of [`Tint::Wait`], [`Tint::Blame`] and
/// [`Tint::Ops`], for dark and for light terminals.
const FLAMES: [[[u8; 8]; 2]; 3] = [
    [[208, 209, 214, 215, 172, 178, 179, 220], [216, 217, 222, 223, 215, 229, 186, 228]],
    [[203, 204, 209, 210, 167, 174, 168, 211], [210, 211, 217, 218, 224, 181, 225, 182]],
    [[71, 72, 77, 78, 107, 108, 113, 114], [114, 120, 150, 151, 156, 157, 158, 193]],
];

/// What everything is drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    theme: ThemeChoice,
    ascii: bool,
}

impl Look {
    /// With these colours; in `ascii` mode all that is drawn is ASCII, and what is not
    /// in keys and names is escaped.
    pub const fn new(theme: ThemeChoice, ascii: bool) -> Self {
        Self { theme, ascii }
    }

    /// As the environment wants it: see [`ThemeChoice::detect`].
    pub fn from_env() -> Self {
        let no_color = std::env::var_os("NO_COLOR");
        let colors = std::env::var("COLORFGBG").ok();
        Self::new(ThemeChoice::detect(no_color.as_deref(), colors.as_deref()), false)
    }

    /// Whether all that is drawn must be ASCII.
    pub(in crate::view) const fn is_ascii(self) -> bool {
        self.ascii
    }

    /// Whether things can be told apart by colour.
    pub(super) fn has_color(self) -> bool {
        self.theme != ThemeChoice::None
    }

    fn choose<T>(self, dark: T, light: T) -> Option<T> {
        match self.theme {
            ThemeChoice::Dark => Some(dark),
            ThemeChoice::Light => Some(light),
            ThemeChoice::None => None,
        }
    }

    /// Text of this meaning.
    pub(super) fn tint(self, tint: Tint) -> Style {
        let (dark, light) = TINTS[tint as usize];
        self.choose(dark, light)
            .map_or_else(Style::new, |color| Style::new().fg(Color::Indexed(color)))
    }

    /// The background number `n` of a flame graph of this tint.
    pub(super) fn flame(self, tint: Tint, n: usize) -> Style {
        let [dark, light] = match tint {
            Tint::Blame => &FLAMES[1],
            Tint::Ops => &FLAMES[2],
            _ => &FLAMES[0],
        };
        let colors = self.choose(dark, light);
        colors.map_or_else(Style::new, |colors| {
            Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(colors[n % colors.len()]))
        })
    }

    /// Must not be overlooked.
    pub(super) fn loud(self) -> Style {
        self.tint(Tint::Critical).add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// What is wrong with what was typed.
    pub(super) fn warning(self) -> Style {
        self.tint(Tint::Warning)
    }

    /// A finding of this severity.
    pub(super) fn severity(self, severity: &str) -> Style {
        let tint = match severity {
            "critical" => Tint::Critical,
            "warning" => Tint::Warning,
            _ => Tint::Info,
        };
        self.tint(tint).add_modifier(Modifier::BOLD)
    }

    /// Bars and other graphics.
    pub(super) fn graphic(self) -> Style {
        self.tint(Tint::Info)
    }
}

/// Texts.
impl Look {
    /// A text of ours, or one that has parts of the target in it: what has no ASCII of
    /// its own is escaped.
    pub(in crate::view) fn ours(self, text: &str) -> Cow<'_, str> {
        let text = units::clean(text);
        if !self.ascii || text.is_ascii() {
            return text;
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match ascii(c) {
                Some(ascii) => out.push_str(ascii),
                None if c.is_ascii() => out.push(c),
                None => out.extend(c.escape_default()),
            }
        }
        Cow::Owned(out)
    }

    /// A text of the target, such as a key, which must not look like another one; but
    /// for `…` at its end, with which we say that it was cut.
    pub(in crate::view) fn theirs(self, text: &str) -> Cow<'_, str> {
        let text = units::clean(text);
        if !self.ascii || text.is_ascii() {
            return text;
        }
        let (text, cut) = text.strip_suffix('…').map_or((&*text, ""), |text| (text, "..."));
        let mut out = String::with_capacity(text.len() * 2);
        for c in text.chars() {
            if c.is_ascii() { out.push(c) } else { out.extend(c.escape_default()) }
        }
        Cow::Owned(out + cut)
    }

    /// What stands where a text was cut to so many columns.
    pub(super) fn mark(self, columns: usize) -> &'static str {
        match (self.ascii, columns) {
            (true, _) => &"..."[..columns.min(3)],
            (false, 0) => "",
            (false, _) => "…",
        }
    }

    /// The beginning of the text, in at most `columns`, marked where some is missing.
    pub(in crate::view) fn head(self, text: &str, columns: usize) -> Cow<'_, str> {
        if units::width(text) <= columns {
            return Cow::Borrowed(text);
        }
        let mark = self.mark(columns);
        Cow::Owned(begin(text, columns - units::width(mark)) + mark)
    }
}

/// As much of the text as so many columns hold.
pub(super) fn begin(text: &str, columns: usize) -> String {
    if units::width(text) <= columns {
        return text.to_owned();
    }
    let cut = units::head(text, columns + 1);
    let mut cut = cut.strip_suffix('…').unwrap_or(&cut).to_owned();
    // Some characters are wider together than each by itself.
    while units::width(&cut) > columns {
        cut.pop();
    }
    cut
}

/// What stands for a character of ours where there is only ASCII.
fn ascii(c: char) -> Option<&'static str> {
    Some(match c {
        'µ' => "u",
        '…' => "...",
        '·' | '–' | '—' | '─' => "-",
        '±' => "+/-",
        '←' => "<-",
        '→' => "->",
        '↑' => "Up",
        '↓' => "Down",
        '▲' => "^",
        '▼' => "v",
        '│' => "|",
        '▏' => "_",
        '█' => "#",
        _ => return None,
    })
}

/// What stands for a cell's symbol where there is only ASCII, in as many columns.
pub(super) fn ascii_cell(symbol: &str) -> &'static str {
    let mut chars = symbol.chars();
    let only = chars.next().filter(|_| chars.next().is_none());
    let one = |text: &&str| text.len() == 1;
    match only.and_then(ascii).filter(one) {
        Some(ascii) => ascii,
        None if symbol == "…" => "~",
        None => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Tint; 7] = [
        Tint::Critical,
        Tint::Warning,
        Tint::Info,
        Tint::Muted,
        Tint::Wait,
        Tint::Blame,
        Tint::Ops,
    ];

    /// Red, green and blue of an indexed color from 16 on, which xterm defined.
    fn rgb(index: u8) -> [f64; 3] {
        if index >= 232 {
            return [f64::from(8 + 10 * (index - 232)); 3];
        }
        let level = |n: u8| if n == 0 { 0.0 } else { f64::from(55 + 40 * n) };
        let index = index - 16;
        [level(index / 36), level(index / 6 % 6), level(index % 6)]
    }

    /// WCAG 2's relative luminance and contrast.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |rgb: [f64; 3]| {
            let [r, g, b] = rgb.map(|c| {
                let c = c / 255.0;
                if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        if a > b { a / b } else { b / a }
    }

    #[test]
    fn colours_are_legible_on_the_background_they_are_for() {
        for (theme, background) in [(ThemeChoice::Dark, [0.0; 3]), (ThemeChoice::Light, [255.0; 3])]
        {
            let look = Look::new(theme, false);
            for tint in ALL {
                let Some(Color::Indexed(color)) = look.tint(tint).fg else { panic!("{tint:?}") };
                let contrast = contrast(rgb(color), background);
                assert!(contrast >= 4.5, "{theme:?} {tint:?} {color}: {contrast:.2}");
            }
            for tint in [Tint::Wait, Tint::Blame, Tint::Ops] {
                for n in 0..8 {
                    let Some(Color::Indexed(color)) = look.flame(tint, n).bg else { panic!() };
                    let contrast = contrast(rgb(color), [0.0; 3]);
                    assert!(contrast >= 4.5, "{theme:?} {tint:?} {color}: {contrast:.2}");
                }
            }
        }
    }

    #[test]
    fn light_and_dark_differ_and_none_has_no_colour() {
        let [dark, light, none] = [ThemeChoice::Dark, ThemeChoice::Light, ThemeChoice::None]
            .map(|theme| Look::new(theme, false));
        for tint in ALL {
            assert_ne!(dark.tint(tint), light.tint(tint), "{tint:?}");
            assert_ne!(dark.flame(tint, 1), light.flame(tint, 1), "{tint:?}");
            for style in [none.tint(tint), none.flame(tint, 1), none.loud()] {
                assert_eq!((style.fg, style.bg), (None, None), "{tint:?}");
            }
        }
    }

    #[test]
    fn the_environment_chooses() {
        let detect = |no_color: &str, colors: &str| {
            let given = |text: &str| (text != "-").then(|| text.to_owned());
            ThemeChoice::detect(
                given(no_color).as_deref().map(AsRef::as_ref),
                given(colors).as_deref(),
            )
        };
        assert_eq!(detect("1", "0;15"), ThemeChoice::None);
        assert_eq!(detect("", "0;15"), ThemeChoice::Light);
        assert_eq!(detect("-", "0;default;7"), ThemeChoice::Light);
        for colors in ["-", "", "15;0", "15;8", "15", "x;y", "0;-1", "0;300"] {
            let expected = if colors == "15" { ThemeChoice::Light } else { ThemeChoice::Dark };
            assert_eq!(detect("-", colors), expected, "{colors}");
        }
    }

    #[test]
    fn ascii_is_ascii_and_keys_stay_what_they_are() {
        let look = Look::new(ThemeChoice::None, true);
        assert_eq!(look.ours("1.23µs – 4 ± 2 · ↑ k …日"), "1.23us - 4 +/- 2 - Up k ...\\u{65e5}");
        assert_eq!(look.theirs("µ\u{1b}日…"), "\\u{b5}\\u{1b}\\u{65e5}...");
        assert_eq!(look.theirs("\"plain\""), "\"plain\"");
        assert_eq!(
            [0, 1, 2, 4, 6].map(|n| look.head("abcdef", n).into_owned()),
            ["", ".", "..", "a...", "abcdef"]
        );
        let unicode = Look::default();
        assert_eq!(unicode.ours("1.23µs 日"), "1.23µs 日");
        assert_eq!([0, 1, 3].map(|n| unicode.head("日本語", n).into_owned()), ["", "…", "日…"]);
        // Together two columns, by themselves one.
        assert!(units::width(&unicode.head(&"☎\u{fe0f}".repeat(9), 5)) <= 5);
        for symbol in ["µ", "…", "█", "日", "é", "→"] {
            assert_eq!(ascii_cell(symbol).len(), 1);
        }
    }
}
