//! The view over a session with many keys, on a terminal in memory.

use std::collections::BTreeMap;

use probe_ebpf::Op;
use ratatui::{Terminal, backend::TestBackend};

use crate::{
    catalog::KeyFormat,
    model::{
        Builder, Definitions, Limits, MapInfo, Session, SliceMeta, TargetInfo, summary::Summary,
    },
    view::{Action, App, Look, Picture, Tab, paint},
};

use super::text_key;

const KEYS_PER_MAP: u64 = 500;
const SIZE: (u16, u16) = (120, 40);

/// The view, its terminal, and the session behind it.
pub struct Screen {
    session: Session,
    app: App,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    /// Of a run of some seconds with so many keys.
    pub fn new(keys: u64) -> Self {
        let maps = keys.div_ceil(KEYS_PER_MAP);
        let mut session = Session::new(TargetInfo::default());
        let infos: BTreeMap<u32, MapInfo> = (0..maps as u32).map(|map| (map, info(map))).collect();
        session.define(Definitions { maps: infos, ..Definitions::default() });
        let mut builder = Builder::new(Limits::default());
        for second in 0..10 {
            for number in 0..keys {
                let key = text_key(number / maps, 24);
                let key = Some((&*key, key.len() as u64));
                let map = (number % maps) as u32;
                builder.operation(map, Op::Lookup, key, None, 100 + number % 8, 1);
            }
            session.push(builder.close(SliceMeta {
                start_unix_ns: second * 1_000_000_000,
                duration_ns: 1_000_000_000,
                observed_ns: 1_000_000_000,
                events: keys,
                hits: keys,
                ..SliceMeta::default()
            }));
        }
        // The backend writes to memory and cannot fail.
        let terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).expect("in memory");
        let mut screen = Self { session, app: App::new(), terminal };
        let picture = screen.picture();
        screen.show(picture);
        screen
    }

    /// All figures anew, as once an interval.
    pub fn summary(&self) -> Summary {
        self.session.summary(KEYS_PER_MAP as usize)
    }

    /// What is to be shown.
    pub fn picture(&self) -> Picture {
        Picture {
            total: self.summary(),
            last: self.session.last_summary(KEYS_PER_MAP as usize),
            steps: self.session.steps(),
            at: None,
            subject: None,
            notices: Vec::new(),
            ended: None,
        }
    }

    /// Takes a picture in; what it shows is worked out with the next frame.
    pub fn show(&mut self, picture: Picture) {
        self.app.update(picture);
    }

    /// Goes to a tab.
    pub fn turn_to(&mut self, tab: Tab) {
        self.app.on_action(Action::Show(tab));
    }

    /// Paints a frame.
    pub fn draw(&mut self) {
        let Self { app, terminal, .. } = self;
        terminal.draw(|frame| paint(frame, app, Look::default())).expect("in memory");
    }
}

fn info(map: u32) -> MapInfo {
    MapInfo {
        address: Some(0xc0_0000_0000 + u64::from(map) * 64),
        kind: "go.map".to_owned(),
        type_name: Some("map[string]*example.com/acme/shop.Session".to_owned()),
        key_type: Some("string".to_owned()),
        label: Some(format!("example.com/acme/shop.(*Cache{map}).Get")),
        key_format: KeyFormat::Str,
        key_type_at: None,
    }
}
