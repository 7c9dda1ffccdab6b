//! Lines of code and stacks, each written once; others name them by number.
//!
//! In: frames and stacks. Out: their numbers, and the two tables.

use std::collections::HashMap;

use serde::Serialize;

use crate::catalog;
use crate::model::Frame;
use crate::model::names::short;
use crate::units::clean;

/// A line of code as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Place {
    /// `main.(*Cache).Get`.
    name: String,
    /// `cache.go:42`, or the module in parentheses.
    #[serde(skip_serializing_if = "String::is_empty")]
    at: String,
    /// The name in full, where the other is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<String>,
    /// The file's whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// It is the runtime's or a lock's own, not the program's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    runtime: bool,
    /// A method that may merely pass a lock's on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    passes_on: bool,
}

impl Place {
    fn of(frame: &Frame) -> Self {
        let name = clean(&short(&frame.function)).into_owned();
        let full = clean(&frame.function).into_owned();
        let at = match (&frame.file, frame.line, &frame.module) {
            (Some(file), line, _) => {
                let file = file.rsplit('/').next().unwrap_or(file);
                line.map_or(file.to_owned(), |line| format!("{file}:{line}"))
            }
            (None, _, Some(module)) => format!("({module})"),
            (None, _, None) => String::new(),
        };
        let runtime = catalog::is_runtime(&frame.function);
        Self {
            full: (full != name).then_some(full),
            name,
            at: clean(&at).into_owned(),
            file: frame.file.as_deref().map(|file| clean(file).into_owned()),
            runtime,
            passes_on: !runtime && catalog::passes_lock_on(&frame.function),
        }
    }
}

/// The tables in the making.
#[derive(Debug, Default)]
pub(super) struct Interned {
    pub(super) frames: Vec<Place>,
    /// Innermost first, by the numbers of frames.
    pub(super) stacks: Vec<Vec<usize>>,
    known_frames: HashMap<Frame, usize>,
    known_stacks: HashMap<Vec<usize>, usize>,
}

impl Interned {
    /// The number of a frame.
    pub(super) fn frame(&mut self, frame: &Frame) -> usize {
        if let Some(known) = self.known_frames.get(frame) {
            return *known;
        }
        let number = self.frames.len();
        self.frames.push(Place::of(frame));
        self.known_frames.insert(frame.clone(), number);
        number
    }

    /// The number of a stack; innermost first.
    pub(super) fn stack(&mut self, stack: &[Frame]) -> usize {
        let frames: Vec<usize> = stack.iter().map(|frame| self.frame(frame)).collect();
        if let Some(known) = self.known_stacks.get(&frames) {
            return *known;
        }
        let number = self.stacks.len();
        self.stacks.push(frames.clone());
        self.known_stacks.insert(frames, number);
        number
    }
}
