//! A real terminal.
//!
//! In: keys. Out: what is on its screen.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::eventually;

const PATIENCE: Duration = Duration::from_secs(20);

/// A tmux server of its own with a shell in it.
#[derive(Debug)]
pub struct Terminal {
    socket: TempDir,
}

impl Terminal {
    /// A terminal of 140 columns and 40 rows, whose shell is ready.
    pub fn open() -> Result<Self> {
        let terminal = Self { socket: tempfile::tempdir()? };
        terminal.tmux(&["new-session", "-d", "-x", "140", "-y", "40", "env PS1='$ ' sh"])?;
        // What a program in it copies is taken.
        terminal.tmux(&["set-option", "-s", "set-clipboard", "on"])?;
        terminal.shows(&["$"])?;
        Ok(terminal)
    }

    /// What a command of tmux says.
    pub fn tmux(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-S"])
            .arg(self.socket.path().join("tmux"))
            .args(args)
            .env_remove("TMUX")
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .context("running tmux; cargo xtask setup installs it")?;
        ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What is on the screen, a line for each row.
    pub fn screen(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Presses a key, by its name in tmux.
    pub fn press(&self, key: &str) -> Result<()> {
        self.tmux(&["send-keys", key])?;
        Ok(())
    }

    /// Types text.
    pub fn types(&self, text: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", text])?;
        Ok(())
    }

    /// Types a line.
    pub fn enter(&self, line: &str) -> Result<()> {
        self.types(line)?;
        self.press("Enter")
    }

    /// Presses the key until the screen shows all of this: figures come with time.
    pub fn press_until(&self, key: &str, wanted: &[&str]) -> Result<()> {
        eventually(&format!("{wanted:?} after {key}"), PATIENCE, || {
            self.press(key)?;
            std::thread::sleep(Duration::from_millis(300));
            let screen = self.screen()?.to_lowercase();
            Ok(wanted.iter().all(|text| screen.contains(&text.to_lowercase())))
        })
        .with_context(|| format!("the screen was\n{}", self.screen().unwrap_or_default()))
    }

    /// Waits until the screen shows all of this, whatever the case.
    pub fn shows(&self, wanted: &[&str]) -> Result<()> {
        self.until(wanted, |screen| wanted.iter().all(|text| screen.contains(&text.to_lowercase())))
    }

    /// Waits until a condition holds of the screen, in small letters; `what` names it.
    pub fn until(&self, what: &[&str], mut condition: impl FnMut(&str) -> bool) -> Result<()> {
        let mut screen = String::new();
        eventually(&format!("{what:?} on the screen"), PATIENCE, || {
            screen = self.screen()?;
            Ok(condition(&screen.to_lowercase()))
        })
        .with_context(|| format!("the screen was\n{screen}"))
    }

    /// What a program may leave changed: alternate screen, cursor, mouse and keypad modes.
    pub fn modes(&self) -> Result<String> {
        self.tmux(&[
            "display-message",
            "-p",
            "alternate=#{alternate_on} cursor=#{cursor_flag} mouse=#{mouse_any_flag} \
             keypad=#{keypad_flag}#{keypad_cursor_flag} wrap=#{wrap_flag} insert=#{insert_flag}",
        ])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

/// A path as the shell takes it.
pub fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
