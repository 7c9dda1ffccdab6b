//! What the view's `e` does: the summary that is shown, as files.
//!
//! In: a [`Summary`]. Out: `mapprof-PID-TIME.txt` and `.json` in the current directory,
//! which were not there before.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{model::summary::Summary, outside::Shown as _, recording::create_new, report};

/// Names that are tried for one moment.
const TRIES: u32 = 100;

/// Writes both; tells where, or what went wrong.
pub(super) fn report(summary: &Summary) -> Result<String, String> {
    let here = std::env::current_dir().map_err(|error| format!("no current directory: {error}"))?;
    into(&here, summary, SystemTime::now())
}

fn into(folder: &Path, summary: &Summary, now: SystemTime) -> Result<String, String> {
    let text = report::text(summary).into_bytes();
    let json = report::json(summary).map_err(|error| error.to_string())?;
    let time = humantime::format_rfc3339_seconds(now).to_string().replace([':', '-'], "");
    let stem = format!("mapprof-{}-{time}", summary.target.pid);
    let text_path = create(folder, &stem, "txt", &text)?;
    // The same number, unless somebody else has taken it.
    let stem = text_path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let json_path = create(folder, &stem, "json", &json)?;
    let json_name = json_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("{} and {json_name}", text_path.shown()))
}

/// A file that was not there.
fn create(folder: &Path, stem: &str, extension: &str, bytes: &[u8]) -> Result<PathBuf, String> {
    for number in 1..=TRIES {
        let name = match number {
            1 => format!("{stem}.{extension}"),
            _ => format!("{stem}-{number}.{extension}"),
        };
        let path = folder.join(name);
        match create_new(&path).and_then(|mut file| file.write_all(bytes)) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("cannot write {}: {error}", path.shown())),
        }
    }
    Err(format!("{TRIES} names like {stem}.{extension} are taken already"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::fixture;

    #[test]
    fn saves_the_report_and_never_over_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let summary = fixture::session().summary(10);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let told = into(folder.path(), &summary, now).unwrap();
        let path = folder.path().join("mapprof-4242-20231114T221320Z.txt");
        assert_eq!(told, format!("{} and mapprof-4242-20231114T221320Z.json", path.shown()));
        let text = std::fs::read(&path).unwrap();
        assert_eq!(text, report::text(&summary).into_bytes());
        let json = std::fs::read(path.with_extension("json")).unwrap();
        assert_eq!(json, report::json(&summary).unwrap());

        std::fs::write(&path, "mine").unwrap();
        let told = into(folder.path(), &summary, now).unwrap();
        assert!(told.contains("20231114T221320Z-2.txt and"), "{told}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let summary = fixture::session().summary(1);
        let error = into(&missing, &summary, SystemTime::UNIX_EPOCH).unwrap_err();
        assert!(error.contains("cannot write") && error.contains("missing"), "{error}");
    }
}
