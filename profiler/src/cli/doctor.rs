//! `mapprof doctor`: what this kernel and this user can do.
//!
//! In: the kernel's checks. Out: a line each, with the mend; 1 where mapprof cannot work.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Result;

use super::out;
use crate::kernel::{Verdict, doctor};

pub(super) fn run() -> Result<ExitCode> {
    let mut text = String::new();
    let mut code = ExitCode::SUCCESS;
    for check in doctor() {
        let verdict = match check.verdict {
            Verdict::Good => "good",
            Verdict::Limited => "limited",
            Verdict::Bad => {
                code = ExitCode::FAILURE;
                "BAD"
            }
        };
        writeln!(text, "{verdict:<8} {:<13} {}", check.what, check.found)?;
        if let Some(mend) = check.mend {
            writeln!(text, "{:<22} → {mend}", "")?;
        }
    }
    out::print(text.as_bytes())?;
    Ok(code)
}
