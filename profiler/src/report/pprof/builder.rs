//! Puts a profile together: strings, functions and places are told once.
//!
//! In: rows with frames and labels. Out: a [`Profile`].

use std::collections::HashMap;

use super::Row;
use super::proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use crate::model::Frame;
use crate::model::flame::NO_STACK;
use crate::model::summary::Window;
use crate::units;

/// A profile that grows.
pub(super) struct Builder<'a> {
    profile: Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<(&'a str, Option<&'a str>), u64>,
    mappings: HashMap<&'a str, u64>,
    locations: HashMap<&'a Frame, u64>,
    no_stack: Option<u64>,
    /// What each value's sum may still grow by: readers add up in 64 bits, and what a
    /// damaged recording says may be any number.
    left: Vec<i64>,
}

impl<'a> Builder<'a> {
    /// Of values of these types and units.
    pub(super) fn new(types: &[(&str, &str)]) -> Self {
        let mut builder = Self {
            profile: Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            mappings: HashMap::new(),
            locations: HashMap::new(),
            no_stack: None,
            left: vec![i64::MAX; types.len()],
        };
        builder.string("");
        for (name, unit) in types {
            let value = ValueType { r#type: builder.string(name), unit: builder.string(unit) };
            // As in Go's: the first is what the period counts, and there is one a period.
            builder.profile.period_type.get_or_insert(value);
            builder.profile.sample_type.push(value);
        }
        builder.profile.period = 1;
        builder
    }

    /// One more stack.
    pub(super) fn sample(&mut self, row: &Row<'a>) {
        let location_id = match row.stack {
            [] => vec![self.no_stack()],
            stack => stack.iter().map(|frame| self.location(frame)).collect(),
        };
        let within = |(&value, left): (&u64, &mut i64)| {
            let value = i64::try_from(value).unwrap_or(i64::MAX).min(*left);
            *left -= value;
            value
        };
        let value = row.values.iter().zip(&mut self.left).map(within).collect();
        let label =
            |(key, text): &(&str, &str)| Label { key: self.string(key), str: self.string(text) };
        let label = row.labels.iter().map(label).collect();
        self.profile.sample.push(Sample { location_id, value, label });
    }

    /// When it was.
    pub(super) fn window(&mut self, window: &Window) {
        self.profile.time_nanos = i64::try_from(window.start_unix_ns).unwrap_or(i64::MAX);
        self.profile.duration_nanos = i64::try_from(window.duration_ns).unwrap_or(i64::MAX);
    }

    /// What else there is to say.
    pub(super) fn comment(&mut self, text: &str) {
        let comment = self.string(text);
        self.profile.comment.push(comment);
    }

    /// All of it.
    pub(super) fn finish(self) -> Profile {
        self.profile
    }

    /// The index of a text, in which nothing commands a terminal.
    fn string(&mut self, text: &str) -> i64 {
        let text = units::clean(text);
        if let Some(&index) = self.strings.get(text.as_ref()) {
            return index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.clone().into_owned());
        self.strings.insert(text.into_owned(), index);
        index
    }

    fn no_stack(&mut self) -> u64 {
        if let Some(id) = self.no_stack {
            return id;
        }
        let function = self.function(NO_STACK, None);
        let id = self.place(0, Line { function_id: function, line: 0 });
        self.no_stack = Some(id);
        id
    }

    fn location(&mut self, frame: &'a Frame) -> u64 {
        if let Some(&id) = self.locations.get(frame) {
            return id;
        }
        let function_id = self.function(&frame.function, frame.file.as_deref());
        let mapping = frame.module.as_deref().map_or(0, |module| self.mapping(module));
        let line = frame.line.map_or(0, i64::from);
        let id = self.place(mapping, Line { function_id, line });
        self.locations.insert(frame, id);
        id
    }

    /// An inlined function has a place of its own: a summary's stacks do not tell it from
    /// its caller.
    fn place(&mut self, mapping_id: u64, line: Line) -> u64 {
        let id = self.profile.location.len() as u64 + 1;
        self.profile.location.push(Location { id, mapping_id, line: vec![line] });
        id
    }

    fn function(&mut self, name: &'a str, file: Option<&'a str>) -> u64 {
        if let Some(&id) = self.functions.get(&(name, file)) {
            return id;
        }
        let id = self.profile.function.len() as u64 + 1;
        self.functions.insert((name, file), id);
        let name = self.string(if name.is_empty() { "(no name)" } else { name });
        let filename = self.string(file.unwrap_or_default());
        self.profile.function.push(Function { id, name, system_name: name, filename });
        id
    }

    fn mapping(&mut self, module: &'a str) -> u64 {
        if let Some(&id) = self.mappings.get(module) {
            return id;
        }
        let id = self.profile.mapping.len() as u64 + 1;
        self.mappings.insert(module, id);
        let filename = self.string(module);
        self.profile.mapping.push(Mapping {
            id,
            filename,
            // All that can be known is: there are no addresses to look up.
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
        id
    }
}
