//! One page with everything, for a browser.
//!
//! In: a [`Document`]. Out: HTML that needs no network: data, style and scripts are in
//! it, and its policy forbids the browser to fetch anything or to run anything else.

mod data;
mod intern;
mod past;
#[cfg(test)]
mod tests;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

use super::{Document, ReportError};
use crate::units;

/// The page, with a mark where each part goes.
const TEMPLATE: &str = include_str!("page.html");
/// How it looks.
const STYLE: &str = include_str!("page.css");
/// What it does; each file knows only those before it.
const SCRIPTS: [&str; 15] = [
    include_str!("js/units.js"),
    include_str!("js/dom.js"),
    include_str!("js/data.js"),
    include_str!("js/filter.js"),
    include_str!("js/table.js"),
    include_str!("js/columns.js"),
    include_str!("js/histogram.js"),
    include_str!("js/timeline.js"),
    include_str!("js/flame_tree.js"),
    include_str!("js/flame.js"),
    include_str!("js/overview.js"),
    include_str!("js/stacks.js"),
    include_str!("js/detail.js"),
    include_str!("js/theme.js"),
    include_str!("js/main.js"),
];

/// The page, the same for the same document.
pub(super) fn render(document: &Document<'_>) -> Result<Vec<u8>, ReportError> {
    let data = serde_json::to_string(&data::Data::of(document)).map_err(ReportError::Json)?;
    let script = SCRIPTS.concat();
    let exe = units::clean(&document.summary.target.exe);
    let parts = [
        ("policy", policy(&script)),
        ("title", escaped(&format!("{} – mapprof", units::tail(&exe, 60)))),
        ("style", STYLE.to_owned()),
        ("data", inert(&data)),
        ("script", script),
    ];
    Ok(filled(TEMPLATE, &parts).into_bytes())
}

/// The template with each mark `{{name}}` replaced once, in this order; what is put in is
/// not searched.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    for (name, part) in parts {
        if let Some((before, after)) = rest.split_once(&format!("{{{{{name}}}}}")) {
            page.push_str(before);
            page.push_str(part);
            rest = after;
        }
    }
    page + rest
}

/// What the browser may do: take in the page's own style and script, known by their
/// digests, and nothing from anywhere. See the W3C's "Content Security Policy Level 3".
fn policy(script: &str) -> String {
    let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        digest(script),
        digest(STYLE)
    )
}

/// JSON in which nothing can end the element that it stands in. These characters occur in
/// strings only, where an escape means the same.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// Text that is text in HTML, too.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
