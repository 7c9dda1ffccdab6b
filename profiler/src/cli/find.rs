//! `mapprof probes --find`: functions by a part of their names.
//!
//! In: a target and a text. Out: which functions have it in their names, and what a probe at
//! each would cost, or why there can be none.

use std::{collections::HashSet, fmt::Write as _, process::ExitCode};

use anyhow::{Result, bail};
use serde_json::json;

use super::{args::PlanFormat, out, probes};
use crate::{
    catalog::Entry,
    outside::Outside,
    placement::{self, Cost, Only},
    target::{Target, demangle},
};

/// Functions that are shown.
const MOST: usize = 100;

/// A function whose name has the text.
struct Match {
    name: Outside,
    symbol: Outside,
    module: usize,
    start: u64,
}

pub(super) fn run(target: &Target, text: &str, format: PlanFormat) -> Result<ExitCode> {
    let all = matches(target, text);
    if all.is_empty() {
        bail!(
            "no function of {} or its libraries has {text:?} in its name ({}); one that the \
             compiler inlines everywhere is not there",
            target.name(),
            target.portrait().describe()
        );
    }
    let shown = &all[..all.len().min(MOST)];
    let entries: Vec<Entry> = shown
        .iter()
        .map(|it| {
            Entry::at(it.symbol.raw().to_owned(), target.modules()[it.module].name.raw().to_owned())
        })
        .collect();
    let plan = placement::plan(target, &entries, Only::All);
    let cost = |it: &Match| {
        let mut sites = plan.sites.iter();
        let site = sites.find(|site| (site.module, site.function_address) == (it.module, it.start));
        let left_out = || {
            let mut left_out = plan.left_out.iter();
            let found =
                left_out.find(|left| left.function == it.name || left.function == it.symbol);
            found.map_or_else(|| "cannot be probed".to_owned(), |left| left.reason.clone())
        };
        site.map(|site| site.cost).ok_or_else(left_out)
    };
    let text = match format {
        PlanFormat::Json => {
            let function = |it: &Match| {
                let (cost, reason) = match cost(it) {
                    Ok(cost) => (Some(cost), None),
                    Err(reason) => (None, Some(reason)),
                };
                json!({
                    "function": it.name,
                    "symbol": it.symbol,
                    "module": target.modules()[it.module].name,
                    "cost": cost,
                    "reason": reason,
                })
            };
            let functions: Vec<_> = shown.iter().map(function).collect();
            let value = json!({
                "schema": "mapprof.functions.v1",
                "functions": functions,
                "more": all.len() - shown.len(),
            });
            serde_json::to_string_pretty(&value)? + "\n"
        }
        PlanFormat::Text => table(target, shown, all.len() - shown.len(), cost),
    };
    out::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Functions with the text in their names, in any case, the shortest names first.
fn matches(target: &Target, text: &str) -> Vec<Match> {
    let wanted = text.to_lowercase();
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (index, module) in target.modules().iter().enumerate() {
        for function in module.image.functions() {
            let name = demangle(function.name.raw());
            let has_it = name.to_lowercase().contains(&wanted)
                || function.raw.raw().to_lowercase().contains(&wanted);
            if has_it && seen.insert((index, function.start)) {
                found.push(Match {
                    name: name.into(),
                    symbol: function.raw.to_owned(),
                    module: index,
                    start: function.start,
                });
            }
        }
    }
    found.sort_by(|a, b| {
        let key = |it: &Match| (it.module, it.name.raw().len());
        key(a).cmp(&key(b)).then_with(|| (&a.name, a.start).cmp(&(&b.name, b.start)))
    });
    found
}

fn table(
    target: &Target,
    shown: &[Match],
    more: usize,
    cost: impl Fn(&Match) -> Result<Cost, String>,
) -> String {
    let header = ["FUNCTION", "MODULE", "COST", "SYMBOL"].map(str::to_owned);
    let row = |it: &Match| {
        let cost = match cost(it) {
            Ok(Cost::Emulated) => "emulated".to_owned(),
            Ok(Cost::Slow) => "SLOW".to_owned(),
            Err(reason) => format!("none: {reason}"),
        };
        let symbol = if it.symbol == it.name { String::new() } else { it.symbol.to_string() };
        [it.name.to_string(), target.modules()[it.module].name.to_string(), cost, symbol]
    };
    let rows: Vec<_> = std::iter::once(header).chain(shown.iter().map(row)).collect();
    let mut text = String::new();
    probes::table(&mut text, &rows);
    if more > 0 {
        let _ = writeln!(text, "… and {more} more: give a longer part of the name");
    }
    text.push_str(
        "A probe is written with the function's name or its symbol: \
         --probe 'lookup:NAME key=arg2:str map=arg1' (docs/own-maps.md)\n",
    );
    text
}
