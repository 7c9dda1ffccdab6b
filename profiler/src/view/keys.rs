//! One table of keys: it decodes what is typed, and the `?` help and the footer
//! are made from it, so that neither can drift from what the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::state::Tab;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the help texts of the bindings say what each does")]
pub enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Open,
    Back,
    NextTab,
    PreviousTab,
    Show(Tab),
    Sort,
    SortBack,
    Invert,
    Columns,
    Toggle,
    Filter,
    Span,
    Earlier,
    Later,
    Oldest,
    Newest,
    Pause,
    Notices,
    Flame,
    NextBy,
    Outwards,
    Inwards,
    Left,
    Right,
    ZoomIn,
    ZoomOut,
    Save,
    Copy,
    Mouse,
    Help,
    Quit,
    /// Into the filter.
    Type(char),
    Erase,
    EraseAll,
    Accept,
    Cancel,
    WheelUp,
    WheelDown,
    /// On this column and row of the terminal.
    Click(u16, u16),
}

/// What keys mean depends on where one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Keys are commands.
    Command,
    /// Keys are text.
    Filter,
    /// Keys choose columns.
    Columns,
    /// Keys walk through a flame graph.
    Flame,
}

impl Mode {
    /// In the order of the help, with its titles.
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Command, "Keys"),
        (
            Self::Filter,
            "While typing a filter: text, or a condition as in wait.p99 > 5ms and ops >= 1k",
        ),
        (Self::Columns, "While choosing columns"),
        (Self::Flame, "In a flame graph"),
    ];
}

/// A key as it is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    code: KeyCode,
    ctrl: bool,
}

impl Key {
    const fn plain(code: KeyCode) -> Self {
        Self { code, ctrl: false }
    }

    const fn ctrl(letter: char) -> Self {
        Self { code: KeyCode::Char(letter), ctrl: true }
    }

    /// As people write it: `Ctrl-C`, `PgUp`, `g`.
    fn name(self) -> String {
        match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.ctrl => format!("Ctrl-{}", c.to_ascii_uppercase()),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Up => "↑".to_owned(),
            KeyCode::Down => "↓".to_owned(),
            KeyCode::Left => "←".to_owned(),
            KeyCode::Right => "→".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// Keys pressed one after the other.
type Chord = &'static [Key];

/// Chords that do the same.
pub(super) struct Binding {
    /// When.
    pub(super) mode: Mode,
    chords: &'static [Chord],
    /// What they do.
    pub(super) action: Action,
    /// What they do, in words.
    pub(super) help: &'static str,
    /// The same in one word, where the footer has room for it.
    pub(super) footer: Option<&'static str>,
}

impl Binding {
    /// Its chords: `↑ k`.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.chords.iter().map(|chord| chord_name(chord)).collect();
        names.join(" ")
    }

    /// Its first chord.
    pub(super) fn name(&self) -> String {
        self.chords.first().map(|chord| chord_name(chord)).unwrap_or_default()
    }
}

fn chord_name(chord: &[Key]) -> String {
    chord.iter().map(|key| key.name()).collect()
}

/// A chord of one key each.
macro_rules! chords {
    ($($($key:expr),+);+) => { &[$(&[$($key),+]),+] };
}

const fn key(code: KeyCode) -> Key {
    Key::plain(code)
}

const fn char(c: char) -> Key {
    Key::plain(KeyCode::Char(c))
}

const fn bind(
    mode: Mode,
    chords: &'static [Chord],
    action: Action,
    help: &'static str,
    footer: Option<&'static str>,
) -> Binding {
    Binding { mode, chords, action, help, footer }
}

use Mode::{Columns as C, Command as N, Filter as F, Flame as W};

/// Every key there is. The footer takes them in this order until it is full.
pub(super) const BINDINGS: &[Binding] = &[
    bind(N, chords![char('q'); Key::ctrl('c')], Action::Quit, "quit", Some("quit")),
    bind(N, chords![char('?')], Action::Help, "this help", Some("help")),
    bind(
        N,
        chords![key(KeyCode::Enter)],
        Action::Open,
        "open: a map's keys; a step of the timeline; all about any other row",
        Some("open"),
    ),
    bind(N, chords![key(KeyCode::Esc)], Action::Back, "back; clear the filter", Some("back")),
    bind(N, chords![char('/')], Action::Filter, "filter rows by text or condition", Some("filter")),
    bind(N, chords![char('s'); char('>')], Action::Sort, "sort by the next column", Some("sort")),
    bind(N, chords![char('<')], Action::SortBack, "sort by the column before", None),
    bind(N, chords![char('S'); char('i')], Action::Invert, "invert the order", Some("invert")),
    bind(
        N,
        chords![char(' ')],
        Action::Pause,
        "pause or resume the picture; measuring goes on",
        Some("pause"),
    ),
    bind(N, chords![char('[')], Action::Earlier, "an interval back in time", Some("earlier")),
    bind(N, chords![char(']')], Action::Later, "an interval forward", Some("later")),
    bind(N, chords![char('{')], Action::Oldest, "the oldest interval", None),
    bind(N, chords![char('}')], Action::Newest, "the newest interval, and stay there", None),
    bind(
        N,
        chords![char('t')],
        Action::Span,
        "since start, or the last interval",
        Some("interval"),
    ),
    bind(N, chords![char('f')], Action::Flame, "flame graph of the row, or of all", Some("flame")),
    bind(N, chords![char('c')], Action::Columns, "choose columns", Some("columns")),
    bind(
        N,
        chords![char('e')],
        Action::Save,
        "save what is shown as a report, text and JSON, in the current directory",
        Some("save"),
    ),
    bind(
        N,
        chords![char('y')],
        Action::Copy,
        "copy the row through the terminal's clipboard (OSC 52)",
        Some("copy"),
    ),
    bind(N, chords![char('m')], Action::Mouse, "take the mouse, or give it back", None),
    bind(
        N,
        chords![key(KeyCode::Tab); key(KeyCode::Right); char('l')],
        Action::NextTab,
        "next table",
        Some("next"),
    ),
    bind(
        N,
        chords![key(KeyCode::BackTab); key(KeyCode::Left); char('h')],
        Action::PreviousTab,
        "previous table",
        None,
    ),
    bind(N, chords![char('1')], Action::Show(Tab::Overview), "overview", None),
    bind(N, chords![char('2')], Action::Show(Tab::Maps), "maps", None),
    bind(
        N,
        chords![char('3')],
        Action::Show(Tab::Keys),
        "keys of all maps, or of the opened one",
        None,
    ),
    bind(N, chords![char('4')], Action::Show(Tab::Locks), "locks", None),
    bind(N, chords![char('5')], Action::Show(Tab::Sites), "call sites of maps", None),
    bind(N, chords![char('6')], Action::Show(Tab::Contention), "who makes whom wait", None),
    bind(N, chords![char('7')], Action::Show(Tab::Timeline), "the past, step by step", None),
    bind(N, chords![char('n')], Action::Notices, "notices and findings in full", Some("notices")),
    bind(N, chords![key(KeyCode::Up); char('k')], Action::Up, "up", None),
    bind(N, chords![key(KeyCode::Down); char('j')], Action::Down, "down", None),
    bind(N, chords![key(KeyCode::PageUp); Key::ctrl('b')], Action::PageUp, "a page up", None),
    bind(N, chords![key(KeyCode::PageDown); Key::ctrl('f')], Action::PageDown, "a page down", None),
    bind(
        N,
        chords![char('g'), char('g'); key(KeyCode::Home)],
        Action::Top,
        "to the top, and stay there",
        None,
    ),
    bind(N, chords![char('G'); key(KeyCode::End)], Action::Bottom, "to the bottom", None),
    bind(F, chords![key(KeyCode::Enter)], Action::Accept, "keep the filter", Some("keep")),
    bind(F, chords![key(KeyCode::Esc)], Action::Cancel, "drop the filter", Some("drop")),
    bind(F, chords![key(KeyCode::Backspace)], Action::Erase, "erase a character", None),
    bind(F, chords![Key::ctrl('u')], Action::EraseAll, "erase all", None),
    bind(F, chords![key(KeyCode::Up)], Action::Up, "up", None),
    bind(F, chords![key(KeyCode::Down)], Action::Down, "down", None),
    bind(F, chords![Key::ctrl('c')], Action::Quit, "quit", None),
    bind(
        C,
        chords![char(' '); key(KeyCode::Enter)],
        Action::Toggle,
        "show the column, or no longer",
        Some("show or hide"),
    ),
    bind(C, chords![key(KeyCode::Esc); char('c')], Action::Back, "back to the table", Some("back")),
    bind(C, chords![key(KeyCode::Up); char('k')], Action::Up, "up", None),
    bind(C, chords![key(KeyCode::Down); char('j')], Action::Down, "down", None),
    bind(C, chords![key(KeyCode::PageUp)], Action::PageUp, "a page up", None),
    bind(C, chords![key(KeyCode::PageDown)], Action::PageDown, "a page down", None),
    bind(C, chords![key(KeyCode::Home)], Action::Top, "to the top", None),
    bind(C, chords![key(KeyCode::End)], Action::Bottom, "to the bottom", None),
    bind(C, chords![char('?')], Action::Help, "help", Some("help")),
    bind(C, chords![char('q'); Key::ctrl('c')], Action::Quit, "quit", Some("quit")),
    bind(W, chords![key(KeyCode::Esc)], Action::ZoomOut, "out of the zoom; back", Some("back")),
    bind(
        W,
        chords![key(KeyCode::Down); char('j')],
        Action::Inwards,
        "to the heaviest function that it calls",
        Some("called"),
    ),
    bind(
        W,
        chords![key(KeyCode::Up); char('k')],
        Action::Outwards,
        "to its caller",
        Some("caller"),
    ),
    bind(
        W,
        chords![key(KeyCode::Left); char('h')],
        Action::Left,
        "to the heavier one beside it",
        Some("heavier"),
    ),
    bind(
        W,
        chords![key(KeyCode::Right); char('l')],
        Action::Right,
        "to the lighter one beside it",
        Some("lighter"),
    ),
    bind(W, chords![key(KeyCode::Enter)], Action::ZoomIn, "zoom into it", Some("zoom")),
    bind(
        W,
        chords![char('b'); key(KeyCode::Tab)],
        Action::NextBy,
        "by wait, blame or operations",
        Some("by"),
    ),
    bind(W, chords![char('f')], Action::Flame, "back to the table", None),
    bind(W, chords![char(' ')], Action::Pause, "pause or resume the picture", None),
    bind(W, chords![char('[')], Action::Earlier, "an interval back in time", None),
    bind(W, chords![char(']')], Action::Later, "an interval forward", None),
    bind(W, chords![char('}')], Action::Newest, "the newest interval, and stay there", None),
    bind(W, chords![char('t')], Action::Span, "since start, or the last interval", None),
    bind(W, chords![char('e')], Action::Save, "save what is shown as a report", None),
    bind(W, chords![char('y')], Action::Copy, "copy the stack and its weight", None),
    bind(W, chords![char('?')], Action::Help, "help", Some("help")),
    bind(W, chords![char('q'); Key::ctrl('c')], Action::Quit, "quit", Some("quit")),
];

/// Turns keys into actions; remembers the beginning of a chord.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    begun: Vec<Key>,
}

impl Decoder {
    /// What this key asks for, if anything yet.
    pub(super) fn decode(&mut self, event: KeyEvent, mode: Mode) -> Option<Action> {
        // Some terminals also report releases.
        if event.kind == KeyEventKind::Release {
            return None;
        }
        // Shift is part of the character already; Alt is bound to nothing.
        if event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::META | KeyModifiers::SUPER)
        {
            self.begun.clear();
            return None;
        }
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let key = Key { code: event.code, ctrl };

        self.begun.push(key);
        let mut found = lookup(&self.begun, mode);
        if matches!(found, Found::Nothing) && self.begun.len() > 1 {
            // `gj` is `j`.
            self.begun = vec![key];
            found = lookup(&self.begun, mode);
        }
        match found {
            Found::Begun => None,
            Found::Action(action) => {
                self.begun.clear();
                Some(action)
            }
            Found::Nothing => {
                self.begun.clear();
                typed(key, mode)
            }
        }
    }
}

fn typed(key: Key, mode: Mode) -> Option<Action> {
    match (mode, key.code) {
        (Mode::Filter, KeyCode::Char(c)) if !key.ctrl => Some(Action::Type(c)),
        _ => None,
    }
}

enum Found {
    Action(Action),
    Begun,
    Nothing,
}

fn lookup(pressed: &[Key], mode: Mode) -> Found {
    let mut begun = false;
    for binding in BINDINGS.iter().filter(|binding| binding.mode == mode) {
        for chord in binding.chords {
            if *chord == pressed {
                return Found::Action(binding.action);
            }
            begun |= chord.starts_with(pressed);
        }
    }
    if begun { Found::Begun } else { Found::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: Key) -> KeyEvent {
        let modifiers = if key.ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        KeyEvent::new(key.code, modifiers)
    }

    fn type_all(keys: &[Key], mode: Mode) -> Vec<Action> {
        let mut decoder = Decoder::default();
        keys.iter().filter_map(|key| decoder.decode(event(*key), mode)).collect()
    }

    #[test]
    fn every_chord_does_what_its_binding_says() {
        for binding in BINDINGS {
            for chord in binding.chords {
                let actions = type_all(chord, binding.mode);
                assert_eq!(actions, [binding.action], "{}", chord_name(chord));
            }
        }
    }

    #[test]
    fn a_broken_chord_gives_the_key_that_broke_it() {
        assert_eq!(type_all(&[char('g'), char('j')], Mode::Command), [Action::Down]);
        assert_eq!(type_all(&[char('g'), char('G'), char('g')], Mode::Command), [Action::Bottom]);
        assert_eq!(type_all(&[char('x'), char('g'), char('g')], Mode::Command), [Action::Top]);
    }

    #[test]
    fn a_filter_takes_letters_as_text() {
        let keys = [char('q'), char('?'), char(' '), char('g'), Key::ctrl('x')];
        let typed = type_all(&keys, Mode::Filter);
        assert_eq!(typed, ['q', '?', ' ', 'g'].map(Action::Type));
    }

    #[test]
    fn releases_and_alt_do_nothing() {
        let mut decoder = Decoder::default();
        let release =
            KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(decoder.decode(release, Mode::Command), None);
        let alt = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::ALT);
        assert_eq!(decoder.decode(alt, Mode::Command), None);
        let shifted = KeyEvent::new(KeyCode::Char('S'), KeyModifiers::SHIFT);
        assert_eq!(decoder.decode(shifted, Mode::Command), Some(Action::Invert));
    }
}
