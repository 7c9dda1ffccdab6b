//! All about one thing: a map and who uses it, a key or a lock with its past and its
//! histograms, a call site, a pair of those who made each other wait.
//!
//! In: a summary, the thing in it, and its figures over time. Out: lines no longer than
//! the width, as many as there is to say.

mod facts;
mod key;
#[expect(clippy::similar_names, reason = "a lock and its look")]
mod lock;
mod map;

pub(in crate::view) use key::{key, site};
pub(in crate::view) use lock::{lock, pair};
pub(in crate::view) use map::map;

pub(super) use facts::{pair_text, short_pair_text};

use ratatui::text::Line;

use super::{parts::Lines, theme::Look};
use crate::{
    model::names::unreadable,
    view::{grid::RowId, state::App, tables},
};

/// All about the row, as the summary shown has it.
pub(super) fn lines(app: &App, row: &RowId, width: usize, look: Look) -> Lines {
    // Of what is opened; the panel beside a table does without.
    let steps = app.subject_steps();
    let found = app.summary().and_then(|summary| match row {
        RowId::Map(id) => {
            let found = summary.maps.iter().find(|map| map.id == *id)?;
            Some(map(found, &[], width, look))
        }
        RowId::Key(id, text) => {
            let of = summary.maps.iter().find(|map| map.id == *id)?;
            let found = of.keys.iter().find(|key| key.key == *text);
            let nameless = || {
                let (reason, n) =
                    of.unreadable.iter().find(|(reason, _)| unreadable(reason) == *text)?;
                Some(key::without_name(of, reason, *n, width, look))
            };
            found.map(|found| key(summary, of, found, steps, width, look)).or_else(nameless)
        }
        RowId::Lock(id) => {
            let found = summary.locks.iter().find(|lock| lock.id == *id)?;
            Some(lock(summary, found, steps, width, look))
        }
        RowId::Site(id, frames) => {
            let (of, found) = tables::site_of(summary, id, frames)?;
            Some(site(summary, of, found, width, look))
        }
        RowId::Pair(id, parties) => {
            let (of, found) = tables::pair_of(summary, id, parties)?;
            Some(pair(summary, of, found, width, look))
        }
        RowId::Step(_) => Some(Vec::new()),
    });
    found.unwrap_or_else(|| vec![Line::from("Not seen in this interval (t: since start).")])
}
