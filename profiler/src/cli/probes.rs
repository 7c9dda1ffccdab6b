//! `mapprof probes`: the plan, for people and as JSON.
//!
//! In: a target and its plan. Out: text or JSON; nothing is attached.

use std::fmt::Write as _;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::catalog::Role;
use crate::outside::{Outside, Shown as _};
use crate::placement::{Cost, LeftOut, Plan, Program, Site};
use crate::target::Target;

/// Widest column before its lines are allowed to stick out, in terminal cells.
const COLUMN_LIMIT: usize = 60;

/// The plan as aligned columns, then what was left out and why.
pub fn text(target: &Target, plan: &Plan) -> String {
    let mut out = heading(target, plan);
    if !plan.sites.is_empty() {
        let header = ["ROLE", "FUNCTION", "MODULE", "ADDRESS", "OFFSET", "INSTRUCTION", "COST"];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(plan.sites.iter().map(|site| row(target, site)));
        out.push('\n');
        table(&mut out, &rows);
    }
    if !plan.left_out.is_empty() {
        out.push_str("\nLeft out:\n");
        for LeftOut { function, module, reason, .. } in &plan.left_out {
            let module = module.as_ref().map_or_else(String::new, |name| format!(" in {name}"));
            let _ = writeln!(out, "  {function}{module}: {reason}");
        }
    }
    let notes = notes(target, plan);
    if !notes.is_empty() {
        out.push_str("\nNoticed:\n");
        for note in notes {
            let _ = writeln!(out, "  {note}");
        }
    }
    out
}

/// The plan as JSON; addresses are numbers, virtual ones of the module's file.
pub fn json(target: &Target, plan: &Plan) -> Value {
    let sites = plan.sites.iter().enumerate().map(|(index, site)| {
        json!({
            "site": index,
            "role": role(site.role),
            "program": site.program,
            "runtime": site.runtime,
            "kind": site.kind,
            "function": site.function,
            "module": module_name(target, site),
            "address": site.address,
            "offset": offset(site),
            "file_offset": site.file_offset,
            "instruction": site.instruction,
            "cost": site.cost,
        })
    });
    let mut value = json!({
        "schema": "mapprof.probes.v1",
        "target": {
            "exe": target.exe(),
            "runtimes": target
                .runtimes()
                .iter()
                .map(|runtime| json!({ "name": runtime.name, "version": runtime.version }))
                .collect::<Vec<_>>(),
        },
        "sites": sites.collect::<Vec<_>>(),
        "left_out": plan.left_out,
        "notes": notes(target, plan),
    });
    if let Some(pid) = target.pid() {
        value["target"]["pid"] = pid.into();
    }
    value
}

/// What was noticed of the target, and what was taken for granted.
fn notes(target: &Target, plan: &Plan) -> Vec<String> {
    let notes = target.notes().map(str::to_owned).chain(plan.notes.iter().cloned());
    notes.chain(target.untested()).collect()
}

fn heading(target: &Target, plan: &Plan) -> String {
    let mut out = target.exe().shown().to_string();
    if let Some(pid) = target.pid() {
        let _ = write!(out, ", pid {pid}");
    }
    for runtime in target.runtimes() {
        let _ = write!(out, ", {}", runtime.version);
    }
    let slow = plan.sites.iter().filter(|site| site.cost == Cost::Slow).count();
    let _ = write!(out, ": {} probe{}", plan.sites.len(), plural(plan.sites.len()));
    if slow > 0 {
        let _ = write!(out, ", {slow} of them slow (single-stepped, about 17 times dearer)");
    }
    out.push('\n');
    out
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Map(op) => op.name(),
        Role::WaitBegin => "wait_begin",
        Role::WaitPark => "wait_park",
        Role::WaitEnd => "wait_end",
        Role::SpinBegin => "spin_begin",
        Role::Release => "release",
        Role::Acquire => "acquire",
    }
}

fn offset(site: &Site) -> u64 {
    site.address.wrapping_sub(site.function_address)
}

fn module_name(target: &Target, site: &Site) -> Outside {
    target.modules().get(site.module).map_or_else(|| "?".into(), |module| module.name.clone())
}

fn row(target: &Target, site: &Site) -> [String; 7] {
    let role = match site.program {
        Program::AcquireEnter => "acquire, enter",
        Program::AcquireReturn => "acquire, return",
        _ => role(site.role),
    };
    [
        role.to_owned(),
        site.function.to_string(),
        module_name(target, site).to_string(),
        format!("{:#x}", site.address),
        format!("+{:#x}", offset(site)),
        site.instruction.clone(),
        match site.cost {
            Cost::Emulated => "emulated".to_owned(),
            Cost::Slow => "SLOW".to_owned(),
        },
    ]
}

/// Columns as wide as their contents; the last one is not padded.
pub(super) fn table<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].width());
        widths.filter(|&width| width <= COLUMN_LIMIT).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < N {
                let padding = widths[column].saturating_sub(cell.width()) + 2;
                out.extend(std::iter::repeat_n(' ', padding));
            }
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests;
