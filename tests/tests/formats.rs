//! What mapprof writes is opened by those it is written for, and they come to the same
//! sums as the JSON: Go's pprof, speedscope, HdrHistogram's log reader and a Parquet
//! reader, none of which are mapprof's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use mapprof_tests::go::{NEWEST, Toolchain};
use mapprof_tests::mapprof::binary;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::{Mapprof, Program, can_profile, npm, observe};
use serde_json::Value;
use tempfile::TempDir;

const FORMATS: [&str; 11] = [
    "text",
    "json",
    "folded",
    "flamegraph",
    "pprof",
    "speedscope",
    "hgrm",
    "hlog",
    "csv",
    "parquet",
    "html",
];

/// A recording of waits for a lock that one key's owner is to blame for, and what the
/// JSON says of it.
struct Run {
    folder: TempDir,
    summary: Value,
}

impl Run {
    /// The recording, which is made once; `None` where the test is to be skipped.
    fn get() -> Result<Option<Self>> {
        static RECORDING: OnceLock<Vec<u8>> = OnceLock::new();
        if !can_profile() {
            return Ok(None);
        }
        let mut run = Self { folder: tempfile::tempdir()?, summary: Value::Null };
        if let Some(recording) = RECORDING.get() {
            fs::write(run.recording(), recording)?;
        } else {
            run.record()?;
            let recording = fs::read(run.recording())?;
            RECORDING.get_or_init(|| recording);
        }
        run.summary = serde_json::from_slice(&fs::read(run.write("json", "run.json", &[])?)?)?;
        ensure!(run.of_locks("/wait/sum_ns") > 0, "nobody waited");
        Ok(Some(run))
    }

    fn record(&self) -> Result<()> {
        let program =
            Program::hold(&programs::go(NEWEST, Link::Normal, "owner")?, ["-scenario", "mutex"])?;
        let mapprof = Mapprof::new([
            "record",
            "--max-overhead",
            "none",
            "--duration",
            "170s",
            "--interval",
            "100ms",
        ])
        .args(["--ring-mib", "32", "--pid", &program.pid().to_string(), "-o"])
        .arg(self.recording());
        let (_, outcome) = observe::<Value>(program, mapprof)?;
        outcome.expect_code(0).map(drop)
    }

    fn recording(&self) -> PathBuf {
        self.folder.path().join("run.mprof")
    }

    /// Writes a report into a file.
    fn write(&self, format: &str, name: &str, args: &[&str]) -> Result<PathBuf> {
        let file = self.folder.path().join(name);
        let outcome = Mapprof::new(["report", "--format", format, "--keys", "1000000", "-o"])
            .arg(&file)
            .args(args)
            .arg(self.recording())
            .run()?;
        outcome.expect_code(0).with_context(|| format!("writing {format}"))?;
        Ok(file)
    }

    /// The sum of a figure of all locks.
    fn of_locks(&self, figure: &str) -> u64 {
        sum(&self.summary, "/locks", figure)
    }

    /// The sum of a figure of all rows of all locks.
    fn of_rows(&self, rows: &str, figure: &str) -> u64 {
        let locks = self.summary["locks"].as_array().into_iter().flatten();
        locks.map(|lock| sum(lock, rows, figure)).sum()
    }
}

/// The sum of a figure that may be missing over a list that may be, too.
fn sum(value: &Value, list: &str, figure: &str) -> u64 {
    let list = value.pointer(list).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|it| it.pointer(figure)?.as_u64()).sum()
}

/// What `go tool pprof` prints of a profile.
fn pprof(file: &Path, args: &[&str]) -> Result<String> {
    let mut go = Toolchain::get(NEWEST)?.command();
    let output = go.args(["tool", "pprof"]).args(args).arg(file).output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "pprof {args:?}: {told}");
    // It would say so if it missed symbols, or looked for the program to find them.
    let quiet = told.lines().all(|line| line.is_empty() || line.starts_with("Fetching"));
    ensure!(quiet, "pprof {args:?} complains: {told}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The columns of the samples in what `pprof -raw` prints, added up.
fn raw_sums(raw: &str) -> Result<Vec<u64>> {
    let (_, samples) = raw.split_once("Samples:\n").context("no samples")?;
    let (samples, _) = samples.split_once("Locations\n").context("no locations")?;
    let mut sums = Vec::new();
    // Lines of labels have no numbers before a colon.
    for line in samples.lines().skip(1) {
        let numbers = line.split_once(':').map(|(before, _)| before.split_whitespace());
        let numbers: Option<Vec<u64>> =
            numbers.and_then(|words| words.map(|word| word.parse().ok()).collect());
        for (at, number) in numbers.unwrap_or_default().into_iter().enumerate() {
            if at == sums.len() {
                sums.push(0);
            }
            sums[at] += number;
        }
    }
    Ok(sums)
}

#[test]
fn go_opens_pprof() -> Result<()> {
    let Some(run) = Run::get()? else { return Ok(()) };
    let wait = (run.of_locks("/wait/count"), run.of_locks("/wait/sum_ns"));
    let blame = (run.of_rows("/holders", "/count"), run.of_locks("/blamed_ns"));
    let cases = [("wait", wait, "main.useY"), ("blame", blame, "main.ownX")];
    for (by, (count, ns), function) in cases {
        let file = run.write("pprof", &format!("{by}.pb.gz"), &["--by", by])?;
        let raw = pprof(&file, &["-raw"])?;
        for part in [
            "PeriodType: contentions count",
            "Period: 1",
            "contentions/count delay/nanoseconds\n",
            "key:[",
        ] {
            ensure!(raw.contains(part), "by {by}: no {part:?} in\n{raw}");
        }
        assert_eq!(raw_sums(&raw)?, [count, ns], "by {by}");
        // Without a choice it shows the delay, as of Go's own.
        let top = pprof(&file, &["-top", "-cum", "-unit=ns"])?;
        ensure!(top.contains("Type: delay"), "by {by}: {top}");
        ensure!(top.contains(&format!("of {ns}ns total")), "by {by}: {ns} is not the total\n{top}");
        ensure!(top.contains(function), "by {by}: no {function} in\n{top}");
        let counts = pprof(&file, &["-top", "-sample_index=contentions"])?;
        ensure!(counts.contains(&format!("of {count} total")), "by {by}: {counts}");
        // Keys can be chosen by.
        let owned = pprof(&file, &["-tags", "-unit=ns"])?;
        ensure!(owned.contains("key:") && owned.contains("lock:"), "by {by}: {owned}");
    }
    let file = run.write("pprof", "ops.pb.gz", &["--by", "ops"])?;
    let raw = pprof(&file, &["-raw"])?;
    ensure!(raw.contains("operations/count\n"), "{raw}");
    let maps = run.summary["maps"].as_array().context("no maps")?;
    let kinds = ["lookup", "insert", "delete", "iterate", "clear"].map(|op| format!("/ops/{op}"));
    let ops = maps.iter().flat_map(|map| kinds.iter().map(move |op| sum(map, "/stacks", op)));
    assert_eq!(raw_sums(&raw)?, [ops.sum::<u64>()]);
    Ok(())
}

#[test]
fn speedscope_opens_its_format_and_pprof() -> Result<()> {
    let Some(run) = Run::get()? else { return Ok(()) };
    let import = |file: &Path| -> Result<Value> {
        Ok(serde_json::from_str(&npm::node("speedscope.mjs", &[file])?)?)
    };
    let wait = run.of_rows("/waiters", "/wait_ns");
    let blame = run.of_rows("/holders", "/blame_ns");
    let file = run.write("speedscope", "run.speedscope.json", &["--by", "blame"])?;
    let read = import(&file)?;
    assert_eq!(read["shown"], 1, "by blame");
    for (index, unit, total) in [(0, "nanoseconds", wait), (1, "nanoseconds", blame)] {
        let profile = &read["profiles"][index];
        assert_eq!(profile["unit"], unit);
        assert_eq!(profile["total"].as_u64(), Some(total), "{profile}");
        assert_eq!(profile["own"].as_u64(), Some(total), "what the frames have together");
    }
    assert_eq!(read["profiles"][2]["unit"], "none");
    let frames = read["profiles"][0]["frames"].as_array().context("no frames")?;
    ensure!(frames.iter().any(|frame| frame == "main.useY"), "{frames:?}");
    // It reads pprof's files as well, with code of its own.
    let file = run.write("pprof", "wait.pb.gz", &["--by", "wait"])?;
    let read = import(&file)?;
    assert_eq!(read["profiles"][0]["total"].as_u64(), Some(wait), "{read}");
    Ok(())
}

#[test]
fn hdr_histogram_opens_its_log() -> Result<()> {
    let Some(run) = Run::get()? else { return Ok(()) };
    let file = run.write("hlog", "run.hlog", &[])?;
    let tags: BTreeMap<String, Value> = serde_json::from_str(&npm::node("hlog.mjs", &[&file])?)?;
    let locks = run.summary["locks"].as_array().context("no locks")?;
    let waited = |lock: &&Value| lock["wait"]["count"].as_u64() > Some(0);
    assert_eq!(tags.len(), locks.iter().filter(waited).count(), "{tags:?}");
    let start_ms = run.summary["window"]["start_unix_ns"].as_f64().unwrap_or_default() / 1e6;
    for lock in locks.iter().filter(waited) {
        let id = lock["id"].as_str().context("no id")?;
        let tag = tags.iter().find(|(tag, _)| tag.starts_with(&format!("{id}_")));
        let (name, tag) = tag.with_context(|| format!("no {id} in {tags:?}"))?;
        assert_eq!(tag["count"], lock["wait"]["count"], "{name}");
        // Histograms have two digits, and report the middle or the end of a bucket.
        let near = |figure: &Value, exact: &Value| -> bool {
            let (figure, exact) = (figure.as_f64(), exact.as_f64());
            figure.zip(exact).is_some_and(|(a, b)| (a - b).abs() <= b * 0.01 + 1.0)
        };
        ensure!(near(&tag["max"], &lock["wait"]["max_ns"]), "{name}: {tag} {}", lock["wait"]);
        ensure!(near(&tag["sum"], &lock["wait"]["sum_ns"]), "{name}: {tag} {}", lock["wait"]);
        let first = tag["firstMs"].as_f64().unwrap_or_default();
        ensure!(first >= start_ms - 1.0 && first < start_ms + 180e3, "{name}: {tag}");
    }
    let several = tags.values().any(|tag| tag["intervals"].as_u64() > Some(1));
    ensure!(several, "all of it in one interval: {tags:?}");
    Ok(())
}

#[test]
fn percentiles_count_all_waits() -> Result<()> {
    let Some(run) = Run::get()? else { return Ok(()) };
    let text = fs::read_to_string(run.write("hgrm", "run.hgrm", &[])?)?;
    let is_row = |line: &&str| !(line.is_empty() || line.starts_with('#'));
    let last = text.lines().rfind(is_row).context("no rows")?;
    let words: Vec<&str> = last.split_whitespace().collect();
    assert_eq!(words[1..], ["1.000000000000", &run.of_locks("/wait/count").to_string()]);
    let locks = run.summary["locks"].as_array().context("no locks")?;
    let max = locks.iter().filter_map(|lock| lock["wait"]["max_ns"].as_u64()).max();
    let ms: f64 = words[0].parse()?;
    assert_eq!(Some((ms * 1e6).round() as u64), max);
    // Of one lock alone.
    let id = locks[0]["id"].as_str().context("no id")?;
    let one = fs::read_to_string(run.write("hgrm", "one.hgrm", &["--lock", id])?)?;
    let count = format!("Total count    = {:>12}", locks[0]["wait"]["count"].to_string());
    ensure!(one.contains(&count), "no {count:?} in\n{one}");
    Ok(())
}

#[test]
fn others_open_the_tables() -> Result<()> {
    let Some(run) = Run::get()? else { return Ok(()) };
    let read = |table: &str| -> Result<Value> {
        let file = run.write("parquet", &format!("{table}.parquet"), &["--table", table])?;
        let read: Value = serde_json::from_str(&npm::node("parquet.mjs", &[&file])?)?;
        assert_eq!(read["keys"]["mapprof.table"], table);
        Ok(read)
    };
    let total = |table: &Value, column: &str| sum(table, "/rows", column);
    let maps = run.summary["maps"].as_array().context("no maps")?;
    let keys = read("keys")?;
    let of_keys = |figure: &str| maps.iter().map(|map| sum(map, "/keys", figure)).sum::<u64>();
    assert_eq!(total(&keys, "/wait_sum_ns"), of_keys("/wait/sum_ns"));
    assert_eq!(total(&keys, "/blame_sum_ns"), of_keys("/blame/sum_ns"));
    assert_eq!(total(&keys, "/lookup"), of_keys("/ops/lookup"));
    ensure!(of_keys("/wait/sum_ns") > 0 && of_keys("/blame/sum_ns") > 0, "no key waited");
    let texts: Vec<&Value> = maps.iter().filter_map(|map| map.pointer("/keys/0/key")).collect();
    assert_eq!(keys["rows"][0]["key"], *texts[0]);
    let locks = read("locks")?;
    assert_eq!(total(&locks, "/wait_sum_ns"), run.of_locks("/wait/sum_ns"));
    assert_eq!(total(&locks, "/wait_p99_ns"), run.of_locks("/wait/p99_ns"));
    assert_eq!(total(&read("pairs")?, "/wait_ns"), run.of_rows("/pairs", "/wait_ns"));
    assert_eq!(total(&read("steps")?, "/wait_ns"), run.of_locks("/wait/sum_ns"));
    let functions = read("callers")?;
    ensure!(functions["rows"][0]["function"].is_string(), "{functions}");
    assert_eq!(read("maps")?["rows"].as_array().map(Vec::len), Some(maps.len()));
    // The same table as CSV, by Python's reader.
    let csv = run.write("csv", "keys.csv", &[])?;
    let script = "import csv,json,sys; print(json.dumps(list(csv.DictReader(open(sys.argv[1], newline='')))))";
    let output = Command::new("python3").args(["-c", script]).arg(&csv).output()?;
    let rows: Vec<BTreeMap<String, String>> = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let waited = rows.iter().filter_map(|row| row["wait_sum_ns"].parse::<u64>().ok()).sum::<u64>();
    assert_eq!(waited, of_keys("/wait/sum_ns"));
    assert_eq!(rows.len(), keys["rows"].as_array().map_or(0, Vec::len));
    Ok(())
}

/// A reader that has seen enough costs no status, of no format.
#[test]
fn output_may_be_closed_early() -> Result<()> {
    let Some(run) = Run::get()? else { return Ok(()) };
    for format in FORMATS {
        let report = || {
            Mapprof::new(["report", "--format", format, "--keys", "1000000"]).arg(run.recording())
        };
        let status = report().run_unread()?;
        ensure!(status.success(), "{format}, unread: {status}");
        let head =
            "\"$0\" report --format \"$1\" \"$2\" | head -c 10 | wc -c; exit ${PIPESTATUS[0]}";
        let output = Command::new("bash")
            .args(["-c", head])
            .arg(binary())
            .arg(format)
            .arg(run.recording())
            .output()?;
        ensure!(output.status.success(), "{format}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "10", "{format}");
    }
    Ok(())
}

/// Bytes that are no text go into files and pipes, and to no terminal.
#[test]
fn terminals_get_no_bytes() -> Result<()> {
    let Some(run) = Run::get()? else { return Ok(()) };
    let recording = run.recording();
    for format in FORMATS {
        let command =
            format!("'{}' report --format {format} '{}'", binary().display(), recording.display());
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .output()
            .context("script gives mapprof a terminal")?;
        let shown = String::from_utf8(output.stdout).with_context(|| format.to_owned())?;
        match format {
            "pprof" | "parquet" => {
                assert_eq!(output.status.code(), Some(1), "{format}: {shown}");
                ensure!(shown.contains("not for a terminal") && shown.contains("-o "), "{shown}");
                ensure!(shown.lines().count() == 1, "{format} says more: {shown}");
            }
            _ if output.status.success() => {}
            _ => bail!("{format} on a terminal: {shown}"),
        }
    }
    Ok(())
}
