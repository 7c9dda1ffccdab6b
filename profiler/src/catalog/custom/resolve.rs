//! From a probe to entries, once the program is known.
//!
//! In: a draft and the target's functions. Out: an entry for each function that it
//! means, laid out for that function's type arguments; or what does not fit.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::draft::{Built, Draft};
use super::pattern::{Pattern, is_hidden, is_shaped, is_wrapper};
use super::source::{LIKENESS, Wrong, did_you_mean, wrong};
use crate::catalog::{Entry, Symbol};
use crate::outside::Outside;
use crate::target::{FunctionKind, Module, Target, cpp};

/// Most functions that are looked at: more than there can be probes.
const MOST: usize = 4096;
/// Most functions listed in a message.
const LISTED: usize = 8;

/// A function that the probe means.
#[derive(Debug)]
struct Found<'a> {
    module: &'a Module,
    name: Outside,
    kind: FunctionKind,
}

pub(super) fn entries(draft: &Draft, target: &Target) -> Result<Vec<Entry>, Wrong> {
    let Built { entry, argument } = draft.build(&draft.pattern.unbound())?;
    let is_generic = matches!(draft.pattern, Pattern::Generic { .. });
    let found = found(draft, target);
    if let (None, false) = (&draft.params, is_generic) {
        if let Some(at) = argument {
            no_go_function(at, &found)?;
        }
        return match &found[..] {
            [] => by_source_name(draft, target, entry),
            _ => Ok(vec![entry]),
        };
    }
    if let Some(at) = argument {
        no_go_function(at, &found)?;
    }
    let chosen = chosen(draft, target, &found)?;
    let mut entries = Vec::new();
    for function in &chosen {
        check(draft, function)?;
        let entry = build(draft, function).map_err(|(at, message)| {
            let list = if chosen.len() > 1 { listed(&chosen) } else { String::new() };
            let name = &function.name;
            (at, format!("in {name}: {message}{list}"))
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

/// The entry for a function of C++ that is named as in its source, without parameters.
fn by_source_name(draft: &Draft, target: &Target, entry: Entry) -> Result<Vec<Entry>, Wrong> {
    let written = draft.function.part();
    let mut symbols: Vec<(Outside, Outside)> = modules(draft, target)
        .flat_map(|module| module.image.functions().map(move |function| (module, function)))
        .filter(|(_, function)| cpp(function.raw.raw()).is_some_and(|name| name == written.text))
        .map(|(module, function)| (module.name.clone(), function.raw.to_owned()))
        .collect();
    symbols.sort_unstable();
    symbols.dedup();
    match &symbols[..] {
        [] => Err(absent(draft, target)),
        [(module, symbol)] => Ok(vec![Entry {
            symbol: Symbol::Exact(Cow::Owned(symbol.raw().to_owned())),
            module: Some(module.raw().to_owned()),
            ..entry
        }]),
        several => {
            let names: Vec<Outside> = several.iter().map(|(_, symbol)| symbol.clone()).collect();
            let text = format!("{} functions have this name: write the symbol", names.len());
            wrong(written.at, format!("{text} of one of them:{}", lines(&names)))
        }
    }
}

/// The modules that the probe may mean.
fn modules<'a>(draft: &Draft, target: &'a Target) -> impl Iterator<Item = &'a Module> {
    let wanted = draft.module.as_ref().map(|module| module.part().text.to_owned());
    let modules = target.modules().iter();
    modules.filter(move |module| wanted.as_ref().is_none_or(|wanted| module.name == **wanted))
}

/// What to say of a function that is not there, or of its module.
fn absent(draft: &Draft, target: &Target) -> Wrong {
    if let Some(module) = &draft.module
        && modules(draft, target).next().is_none()
    {
        let mut names: Vec<_> = target.modules().iter().map(|it| it.name.clone()).collect();
        names.sort_unstable();
        let part = module.part();
        let (name, nearest) =
            (target.name(), did_you_mean(part.text, names.iter().map(Outside::raw)));
        let text = format!("{name} has no module of this name{nearest}; it has:{}", lines(&names));
        return (part.at, text);
    }
    let written = draft.function.part();
    let near = near(draft, target);
    let hint = if near.is_empty() {
        let text = written.text.trim_matches('*');
        format!("; `mapprof probes --find {text}` with the program looks for parts of names")
    } else {
        format!("; near it are:{}", lines(&near))
    };
    let place = draft.module.as_ref().map_or_else(
        || format!("{} or its libraries", target.name()),
        |module| module.part().text.to_owned(),
    );
    let stripped = if target.portrait().is_stripped { " (which is stripped)" } else { "" };
    let text = format!(
        "no function of this name is in {place}{stripped}: one that the compiler has inlined \
         everywhere is not there, so probe what it calls or who calls it{hint}"
    );
    (written.at, text)
}

/// Functions whose names are much like the one that was written or contain it, the most
/// alike first.
fn near(draft: &Draft, target: &Target) -> Vec<Outside> {
    /// Longer names are no slips of anything.
    const LONGEST: usize = 200;
    let written = draft.function.part().text.trim_matches('*');
    if written.is_empty() {
        return Vec::new();
    }
    let last = |name: &str| name.rsplit([':', '.']).next().unwrap_or(name).to_owned();
    let (wanted, wanted_last) = (written.to_lowercase(), last(written).to_lowercase());
    let mut near: Vec<(f64, String)> = Vec::new();
    for function in modules(draft, target).flat_map(|module| module.image.functions()) {
        let name = match cpp(function.raw.raw()) {
            Some(name) => name,
            None => function.name.raw().to_owned(),
        };
        if name.len() > LONGEST {
            continue;
        }
        let lower = name.to_lowercase();
        let likeness = if lower.contains(&wanted) {
            1.0
        } else {
            let whole = likeness(&wanted, &lower);
            whole.max(likeness(&wanted_last, &last(&lower)))
        };
        if likeness >= LIKENESS {
            near.push((likeness, name));
        }
    }
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.len().cmp(&b.1.len())));
    near.dedup_by(|a, b| a.1 == b.1);
    near.truncate(LISTED + 1);
    near.into_iter().map(|(_, name)| name.into()).collect()
}

/// How much two names are alike, 0 to 1; not looked at where their lengths tell.
fn likeness(one: &str, other: &str) -> f64 {
    let (short, long) = (one.len().min(other.len()), one.len().max(other.len()));
    if (short as f64) < LIKENESS * long as f64 {
        return 0.0;
    }
    strsim::normalized_damerau_levenshtein(one, other)
}

/// System V operands say nothing of a Go function.
fn no_go_function(at: usize, found: &[Found<'_>]) -> Result<(), Wrong> {
    match found.iter().find(|function| function.kind == FunctionKind::Go) {
        Some(function) => {
            let name = &function.name;
            let dictionary = if is_shaped(name.raw()) { "dict, " } else { "" };
            let message = format!(
                "{name} is a Go function, which takes its arguments in other registers than \
                 arg1 to arg6: write its parameters behind its name and use them, as in \
                 {name}(c recv, {dictionary}key string) key=key map=c"
            );
            wrong(at, message)
        }
        None => Ok(()),
    }
}

/// The functions of the first module that has any.
fn found<'a>(draft: &Draft, target: &'a Target) -> Vec<Found<'a>> {
    modules(draft, target)
        .map(|module| {
            let functions = module.image.functions();
            let matching = functions.filter(|function| {
                draft.pattern.matches(function.name.raw())
                    || draft.pattern.matches(function.raw.raw())
            });
            matching
                .map(|function| Found {
                    module,
                    name: function.name.to_owned(),
                    kind: function.kind,
                })
                .take(MOST)
                .collect::<Vec<_>>()
        })
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// Those to be probed: of generic code the shaped functions, not their wrappers.
fn chosen<'a, 'b>(
    draft: &Draft,
    target: &Target,
    found: &'b [Found<'a>],
) -> Result<Vec<&'b Found<'a>>, Wrong> {
    let function = draft.function.part();
    let is_generic = matches!(draft.pattern, Pattern::Generic { .. });
    let chosen: Vec<_> =
        found.iter().filter(|found| !(is_generic && is_wrapper(found.name.raw()))).collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    if let Some(wrapper) = found.first() {
        let message = format!(
            "{} only serves calls through an interface, and what it calls is not there: the \
             compiler has inlined it everywhere, and inlined code has no entry to probe",
            wrapper.name
        );
        return wrong(function.at, message);
    }
    let similar = similar(draft, target);
    let hint = if similar.is_empty() {
        "; one that the compiler inlines everywhere is not there".to_owned()
    } else {
        format!("; those whose names end the same:{}", lines(&similar))
    };
    let name = target.name();
    wrong(function.at, format!("no function of this name is in {name} or its libraries{hint}"))
}

/// Functions that share the last part of the name, without wrappers.
fn similar(draft: &Draft, target: &Target) -> Vec<Outside> {
    let written = draft.function.part().text;
    let last = written.rsplit('.').next().unwrap_or(written);
    if last.is_empty() || last.contains('*') {
        return Vec::new();
    }
    let mut names: Vec<_> = target
        .modules()
        .iter()
        .flat_map(|module| module.image.functions())
        .filter(|function| function.kind == FunctionKind::Go)
        .map(|function| function.name.to_owned())
        .filter(|name| name.raw().rsplit('.').next() == Some(last) && !is_wrapper(name.raw()))
        .take(MOST)
        .collect();
    // Those of the program before those of Go's own packages, which have no dot
    // in their first part either, but main.
    names.sort_by_key(|name| !name.raw().starts_with("main."));
    names
}

fn listed(functions: &[&Found<'_>]) -> String {
    let names: Vec<_> = functions.iter().map(|function| function.name.clone()).collect();
    format!("; write one probe for each, with its full name:{}", lines(&names))
}

fn lines(names: &[Outside]) -> String {
    let mut text = String::new();
    for name in names.iter().take(LISTED) {
        let _ = write!(text, "\n    {name}");
    }
    if names.len() > LISTED {
        text.push_str("\n    …");
    }
    text
}

/// Whether the parameters can be those of the function.
fn check(draft: &Draft, function: &Found<'_>) -> Result<(), Wrong> {
    let (place, name) = (draft.function.part(), &function.name);
    let Some(params) = draft.params.as_ref().map(super::source::Text::part) else { return Ok(()) };
    if function.kind != FunctionKind::Go {
        let message = format!(
            "{name} is no Go function: leave the parameters out, and use arg1 to arg6 for its \
             arguments"
        );
        return wrong(params.at, message);
    }
    if is_hidden(name.raw()) {
        let message = format!(
            "{name} leaves open for which types it is: Go before 1.21 does not keep the type \
             arguments of generic code, so that it cannot be told from its wrappers"
        );
        return wrong(place.at, message);
    }
    if is_wrapper(name.raw()) {
        let message = format!(
            "{name} only serves calls through an interface, and calls the generic code itself, \
             which all calls reach: write [...] for the type arguments, or their names"
        );
        return wrong(place.at, message);
    }
    match (is_shaped(name.raw()), draft.has_dictionary()) {
        (true, false) => {
            let message = format!(
                "expected dict behind the receiver, or first where there is none: {name} is \
                 generic code and takes a dictionary"
            );
            wrong(params.at, message)
        }
        (false, true) => wrong(params.at, format!("{name} is not generic code: leave dict out")),
        _ => Ok(()),
    }
}

fn build(draft: &Draft, function: &Found<'_>) -> Result<Entry, Wrong> {
    let bindings = draft
        .pattern
        .bound(function.name.raw())
        .map_err(|message| (draft.function.part().at, message))?;
    let entry = draft.build(&bindings)?.entry;
    Ok(Entry {
        symbol: Symbol::Exact(Cow::Owned(function.name.raw().to_owned())),
        module: Some(function.module.name.raw().to_owned()),
        ..entry
    })
}
