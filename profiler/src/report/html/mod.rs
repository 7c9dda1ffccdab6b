//! One page with everything, for a browser.
//!
//! In: a [`Document`]. Out: HTML that needs no network.

use super::{Document, ReportError, text};
use crate::units;

/// The page.
#[expect(clippy::unnecessary_wraps, reason = "formats may fail")]
pub(super) fn render(document: &Document<'_>) -> Result<Vec<u8>, ReportError> {
    let exe = escaped(&units::clean(&document.summary.target.exe));
    let text = escaped(&text::render(document.summary));
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>mapprof: {exe}</title>\n</head>\n<body>\n<pre>{text}</pre>\n</body>\n</html>\n"
    );
    Ok(page.into_bytes())
}

/// Text that is text in HTML, too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
