//! `cargo xtask vm`: mapprof on older kernels, in virtual machines without hardware
//! support, so that it runs anywhere.
//!
//! In: the kernels to run on. Out: a table of kernels and checks, and failure unless
//! all passed. Each kernel's files, what the guest said and what mapprof printed
//! there stay in `target/vm/KERNEL`.

mod checks;
mod guest;
mod kernels;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::run as run_command;
use mapprof_tests::target_dir;

use crate::build;
use crate::sudo::on_path;
use checks::CHECKS;
use kernels::Kernel;

/// Programs that are called here, and the Debian packages that they come in.
const NEEDS: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("strip", "binutils"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
];

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kernel to run on, or all
    #[arg(long, value_enum, default_value_t = Choice::All)]
    kernel: Choice,
    /// Judge once more what the guests left, without running them
    #[arg(long)]
    judge_only: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    All,
}

impl Choice {
    fn kernels(self) -> &'static [Kernel] {
        match self {
            Self::V6_1 => &kernels::ALL[..1],
            Self::V6_12 => &kernels::ALL[1..],
            Self::All => &kernels::ALL,
        }
    }
}

/// A row of the table: kernel, check, and in what it failed.
struct Row {
    kernel: String,
    check: &'static str,
    differences: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the kernels and the guest are for x86_64 only");
    if !args.judge_only {
        find_needs()?;
        run_command(build::cargo().args(["build", "--package", "mapprof"]))?;
    }
    let mut rows = Vec::new();
    for kernel in args.kernel.kernels() {
        let home = target_dir().join("vm").join(kernel.series);
        let failure = if args.judge_only { None } else { boot(kernel, &home).err() };
        rows.extend(judge(kernel, &home, failure.as_ref()));
    }
    print!("{}", table(&rows));
    let failed = rows.iter().filter(|row| !row.differences.is_empty()).count();
    ensure!(failed == 0, "{failed} of {} checks failed", rows.len());
    Ok(())
}

/// What is missing is said, not installed: these are no small packages.
fn find_needs() -> Result<()> {
    let missing: Vec<_> = NEEDS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    ensure!(
        missing.is_empty(),
        "this takes kernels from Debian and runs them in qemu: apt-get install {}",
        missing.join(" ")
    );
    Ok(())
}

/// Runs all checks in a guest.
fn boot(kernel: &Kernel, home: &Path) -> Result<()> {
    let image = kernel.image(home).with_context(|| format!("fetching Linux {}", kernel.series))?;
    println!(
        "running {} in qemu; its console: {}",
        image.display(),
        guest::console(home).display()
    );
    guest::run(&image, home, &CHECKS).with_context(|| format!("running Linux {}", kernel.series))
}

fn judge(kernel: &Kernel, home: &Path, failure: Option<&anyhow::Error>) -> Vec<Row> {
    let release = guest::release(home).unwrap_or_else(|_| kernel.series.to_owned());
    let row = |check: &checks::Check| Row {
        kernel: release.clone(),
        check: check.name,
        differences: match failure {
            Some(error) => vec![format!("{error:#}")],
            None => check.differences(home).unwrap_or_else(|error| vec![format!("{error:#}")]),
        },
    };
    CHECKS.iter().map(row).collect()
}

/// Differences shown of one check.
const SHOWN: usize = 8;

fn table(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let word = if row.differences.is_empty() { "passed" } else { "FAILED" };
        format!("{:28} {:10} {word}", row.kernel, row.check)
    };
    let mut lines = vec![String::new(), format!("{:28} {:10} result", "kernel", "check")];
    for row in rows {
        lines.push(line(row));
        lines.extend(row.differences.iter().take(SHOWN).map(|it| format!("    {it}")));
        if row.differences.len() > SHOWN {
            lines.push(format!("    and {} more", row.differences.len() - SHOWN));
        }
    }
    lines.join("\n") + "\n"
}
