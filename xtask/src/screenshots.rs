//! `cargo xtask screenshots`: pictures of the demo for the README.
//!
//! In: the table of pictures. Out: `docs/images/*.svg`, made from what a real terminal
//! (tmux) shows of `mapprof demo` after the keys were pressed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{build, setup, sudo};

/// Size of the terminal.
const COLUMNS: &str = "110";
const LINES: &str = "32";
/// Where the program lies meanwhile, since its path is in the pictures.
const FOLDER: &str = "/tmp/mapprof-demo";
/// How long the demo runs before the first picture, so that there is something to see.
const WARM_UP: Duration = Duration::from_secs(12);
/// How long what a picture must show may take to come.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between keys, and before a picture is taken.
const MOMENT: Duration = Duration::from_millis(1500);
/// Larger pictures have no place in a repository.
const MOST_BYTES: usize = 60_000;

/// One picture.
struct Shot {
    /// Its file's name.
    name: &'static str,
    /// What is pressed before it, in tmux' names of keys, after the picture before.
    keys: &'static [&'static str],
    /// What must be on the screen then.
    shows: &'static [&'static str],
}

/// All pictures, in the order in which they are taken.
const SHOTS: &[Shot] = &[
    Shot { name: "overview", keys: &["1"], shows: &["Overview", "Locks", "Keys"] },
    Shot { name: "keys", keys: &["3"], shows: &["user:1"] },
    Shot { name: "locks", keys: &["4"], shows: &["p99"] },
    Shot { name: "lock", keys: &["Enter"], shows: &["p99.9"] },
    Shot { name: "flame", keys: &["Escape", "f", "Down", "Down"], shows: &["demo"] },
    Shot { name: "timeline", keys: &["Escape", "7"], shows: &["ops/s"] },
];

pub(crate) fn run() -> Result<()> {
    // As for the tests: one that is built already.
    let mapprof = if let Some(path) = std::env::var_os("MAPPROF") {
        PathBuf::from(path)
    } else {
        setup::run()?;
        build::mapprof()?
    };
    let folder = Folder::make(&mapprof)?;
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("images");
    fs::create_dir_all(&images).with_context(|| format!("making {}", images.display()))?;
    let terminal = Terminal::open(&folder)?;
    sleep(WARM_UP);
    for shot in SHOTS {
        for key in shot.keys {
            terminal.tmux(&["send-keys", key])?;
            sleep(MOMENT);
        }
        let svg = svg(&terminal.picture(shot)?);
        ensure!(svg.len() <= MOST_BYTES, "{} would have {} bytes", shot.name, svg.len());
        let path = images.join(shot.name).with_extension("svg");
        fs::write(&path, &svg).with_context(|| format!("writing {}", path.display()))?;
        println!("{} ({} KiB)", path.display(), svg.len().div_ceil(1024));
    }
    Ok(())
}

/// A terminal's content with its colours as a picture.
fn svg(screen: &str) -> String {
    anstyle_svg::Term::new().render_svg(screen)
}

/// A folder of our own with the program in it; gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make(mapprof: &Path) -> Result<Self> {
        // Fails where somebody else has made it, whose program this might then be.
        fs::create_dir(FOLDER).with_context(|| format!("making {FOLDER}; remove it"))?;
        let folder = Self(PathBuf::from(FOLDER));
        fs::copy(mapprof, folder.0.join("mapprof")).context("copying mapprof")?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tmux server of its own with the demo in it; ended when this is dropped.
struct Terminal<'a> {
    folder: &'a Folder,
    /// `tmux`, or what runs it as root.
    command: Vec<std::ffi::OsString>,
}

impl<'a> Terminal<'a> {
    fn open(folder: &'a Folder) -> Result<Self> {
        let root = sudo::as_root("tmux", "profiling")?;
        let words = std::iter::once(root.get_program()).chain(root.get_args());
        let terminal = Self { folder, command: words.map(ToOwned::to_owned).collect() };
        let demo = format!("env -u NO_COLOR {FOLDER}/mapprof demo");
        terminal.tmux(&["new-session", "-d", "-x", COLUMNS, "-y", LINES, &demo])?;
        Ok(terminal)
    }

    fn tmux(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args(["-f", "/dev/null", "-S"])
            .arg(self.folder.0.join("tmux"))
            .args(args)
            .env_remove("TMUX")
            .env("TERM", "xterm-256color")
            .output()
            .context("running tmux")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tmux {args:?}: {}", said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The screen with its colours, once it shows what it must.
    fn picture(&self, shot: &Shot) -> Result<String> {
        let began = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"])?;
            let missing: Vec<_> = shot.shows.iter().filter(|it| !screen.contains(**it)).collect();
            if missing.is_empty() {
                return self.tmux(&["capture-pane", "-e", "-p"]);
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "{}: no {missing:?} on the screen, which was\n{screen}",
                shot.name
            );
            sleep(MOMENT);
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.tmux(&["send-keys", "q"]);
        sleep(MOMENT);
        // It may have ended with its only program.
        let _ = self.tmux(&["kill-server"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_text_and_colours() {
        let svg = svg("plain \x1b[31mred <\x1b[0m end\n");
        assert!(svg.starts_with("<svg") && svg.contains("red &lt;") && svg.contains("fg-red"));
    }

    #[test]
    fn pictures_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = SHOTS.iter().map(|shot| shot.name).collect();
        assert_eq!(names.len(), SHOTS.len());
    }
}
