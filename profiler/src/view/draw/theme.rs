//! Styles. Text keeps the terminal's own colours; the two added ones are
//! legible on dark and light alike, and whatever they say is also said in words.

use ratatui::style::{Color, Modifier, Style};

/// Heads and names.
pub(super) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// The selected row or table.
pub(super) const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// The styles that have colour, where colour is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::view) struct Theme {
    color: bool,
}

impl Theme {
    /// Without colour where `NO_COLOR` is set to anything (<https://no-color.org>).
    pub(in crate::view) fn from_env() -> Self {
        Self::new(std::env::var_os("NO_COLOR").as_deref())
    }

    /// For this value of `NO_COLOR`.
    pub(in crate::view) fn new(no_color: Option<&std::ffi::OsStr>) -> Self {
        Self { color: no_color.is_none_or(std::ffi::OsStr::is_empty) }
    }

    fn colored(self, style: Style, color: Color) -> Style {
        if self.color { style.fg(color) } else { style }
    }

    /// Must not be overlooked.
    pub(super) fn loud(self) -> Style {
        self.colored(Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD), Color::Red)
    }

    /// Bars and other graphics.
    pub(super) fn graphic(self) -> Style {
        self.colored(Style::new(), Color::Magenta)
    }
}
