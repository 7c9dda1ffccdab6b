//! Waits, blame and operations for speedscope, each as a profile of one file.
//!
//! In: a [`Summary`]. Out: JSON after speedscope's own schema, `file-format-schema.json`
//! of its npm package: frames once, and stacks as their indices, outermost first.

use std::collections::HashMap;

use serde::Serialize;

use super::{By, ReportError, json};
use crate::model::Frame;
use crate::model::flame::{self, NO_STACK};
use crate::model::summary::Summary;
use crate::units;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// Above this JavaScript's numbers are no longer exact, 2^53 - 1: 104 days of waits.
const MOST: u64 = (1 << 53) - 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    shared: Shared,
    profiles: Vec<Profile>,
    name: String,
    active_profile_index: usize,
    exporter: String,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<NamedFrame>,
}

#[derive(Serialize)]
struct NamedFrame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

/// The profiles of which there is something, that by `by` shown first.
pub(super) fn render(summary: &Summary, by: By) -> Result<Vec<u8>, ReportError> {
    let mut frames = Frames::default();
    let all = By::ALL.map(|by| (by, profile(summary, by, &mut frames)));
    let all = all.into_iter().filter_map(|(by, profile)| Some((by, profile?)));
    let (weighed_by, profiles): (Vec<By>, Vec<Profile>) = all.unzip();
    if profiles.is_empty() {
        return Err(ReportError::nothing(by));
    }
    let exe = units::clean(&summary.target.exe);
    let file = File {
        schema: SCHEMA,
        shared: Shared { frames: frames.all },
        profiles,
        name: format!("{exe} (pid {})", summary.target.pid),
        active_profile_index: weighed_by.iter().position(|&it| it == by).unwrap_or(0),
        exporter: concat!("mapprof@", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    json::written(&file)
}

fn profile<'a>(summary: &'a Summary, by: By, frames: &mut Frames<'a>) -> Option<Profile> {
    let mut rows = flame::stacks(summary, by);
    rows.retain(|row| row.weight > 0);
    let mut left = MOST;
    let within = |row: &flame::Weighed<'_>| {
        let weight = row.weight.min(left);
        left -= weight;
        weight
    };
    let weights: Vec<u64> = rows.iter().map(within).collect();
    let samples = rows.iter().map(|row| frames.stack(row.stack)).collect();
    (!rows.is_empty()).then(|| Profile {
        r#type: "sampled",
        name: by.title().to_owned(),
        unit: match by {
            By::Wait | By::Blame => "nanoseconds",
            By::Ops => "none",
        },
        start_value: 0,
        end_value: weights.iter().sum(),
        samples,
        weights,
    })
}

#[derive(Default)]
struct Frames<'a> {
    all: Vec<NamedFrame>,
    known: HashMap<Option<&'a Frame>, usize>,
}

impl<'a> Frames<'a> {
    fn stack(&mut self, stack: &'a [Frame]) -> Vec<usize> {
        if stack.is_empty() {
            return vec![self.index(None)];
        }
        stack.iter().rev().map(|frame| self.index(Some(frame))).collect()
    }

    fn index(&mut self, frame: Option<&'a Frame>) -> usize {
        let Self { all, known } = self;
        *known.entry(frame).or_insert_with(|| {
            let clean = |text: &str| units::clean(text).into_owned();
            all.push(NamedFrame {
                name: clean(frame.map_or(NO_STACK, |frame| &frame.function)),
                file: frame.and_then(|frame| frame.file.as_deref().map(clean)),
                line: frame.and_then(|frame| frame.line),
            });
            all.len() - 1
        })
    }
}
