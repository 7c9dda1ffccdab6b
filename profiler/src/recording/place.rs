//! Where results are written: recordings, reports, whatever `-o` names.
//!
//! In: a path, the files that are read for it, and what may be replaced there. Out: a
//! [`Place`], which takes a whole file at once: it is written beside its place under a name of
//! its own, forced to the disk and renamed. Files are created 0600, since keys are private
//! data; the umask takes away from that and adds nothing.
//!
//! What is read is never written, under whatever name. Symbolic links are not followed, so
//! that nobody who may make one in a shared folder chooses what root overwrites; those in
//! /dev and /proc are, which stand for what is open already.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use tempfile::{NamedTempFile, PathPersistError, TempPath};
use thiserror::Error;

use super::format::MAGIC;
use crate::outside::{Outside, Shown as _};

/// Owner only.
const PRIVATE: u32 = 0o600;
/// In whose folders everybody may make files, and nobody may rename those of others: /tmp.
const STICKY_AND_SHARED: u32 = 0o1002;

/// What keeps a result from being written to where it should.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// It cannot be created or written.
    #[error("cannot write {}: {source}; choose another file with -o", path.shown())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is one of the files that are read.
    #[error(
        "{} is read by this command and would be lost; choose another file with -o", path.shown()
    )]
    Input {
        /// The file.
        path: PathBuf,
    },
    /// There is something that would be lost.
    #[error("{} exists and is {what}; choose another file with -o, or replace it with --force", path.shown())]
    Taken {
        /// The file.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// There is a link.
    #[error(
        "{} is a symbolic link to {to}, which is not followed; name that file with -o, or replace \
         the link with --force",
        path.shown()
    )]
    Link {
        /// The file.
        path: PathBuf,
        /// Where it leads.
        to: Outside,
    },
}

/// What may be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// Recordings, by another.
    #[default]
    Recordings,
    /// Anything but recordings, by a report.
    Reports,
    /// Whatever is there: the user said so.
    Anything,
}

impl Replace {
    /// Or anything, where that is forced.
    #[must_use]
    pub fn or_anything(self, force: bool) -> Self {
        if force { Self::Anything } else { self }
    }

    /// Why this file may not be; `None` where it may. An empty one is no loss.
    fn objection(self, path: &Path, found: &Metadata) -> Option<&'static str> {
        if self == Self::Anything || found.len() == 0 {
            return None;
        }
        match (self, is_recording(path)) {
            (Self::Recordings, false) => Some("no recording of mapprof"),
            (Self::Reports, true) => Some("a recording"),
            _ => None,
        }
    }
}

/// Where a result goes.
#[derive(Debug)]
pub struct Place {
    /// The file in its folder, whichever is the current one.
    path: PathBuf,
    is: Is,
}

#[derive(Debug)]
enum Is {
    /// A pipe, a device, or what is open already: it is written as it is.
    Stream(File),
    /// Nothing is there.
    Free,
    /// A file is there, to be replaced.
    Taken,
}

impl Place {
    /// Looks at what is there.
    pub fn find(path: &Path, inputs: &[&Path], replace: Replace) -> Result<Self, PlaceError> {
        let failed = |source| PlaceError::Io { path: path.to_owned(), source };
        if is_of_the_system(path) {
            let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
            let found = file.metadata().map_err(failed)?;
            if found.is_file() && is_one_of(inputs, &found) {
                return Err(PlaceError::Input { path: path.to_owned() });
            }
            return Ok(Self { path: path.to_owned(), is: Is::Stream(file) });
        }
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path: in_folder(path).map_err(failed)?, is: Is::Free });
            }
            Err(error) => return Err(failed(error)),
        };
        // Through links, too.
        if fs::metadata(path).is_ok_and(|found| is_one_of(inputs, &found)) {
            return Err(PlaceError::Input { path: path.to_owned() });
        }
        if found.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        if found.is_symlink() && replace != Replace::Anything {
            let to = fs::read_link(path).map_err(failed)?.into();
            return Err(PlaceError::Link { path: path.to_owned(), to });
        }
        if !found.is_file() && !found.is_symlink() {
            return Self::stream(path, &found, replace);
        }
        if let Some(what) = replace.objection(path, &found) {
            return Err(PlaceError::Taken { path: path.to_owned(), what });
        }
        Ok(Self { path: in_folder(path).map_err(failed)?, is: Is::Taken })
    }

    fn stream(path: &Path, found: &Metadata, replace: Replace) -> Result<Self, PlaceError> {
        let failed = |source| PlaceError::Io { path: path.to_owned(), source };
        let folder = fs::metadata(folder_of(path)).map_err(failed)?;
        let is_shared = folder.mode() & STICKY_AND_SHARED == STICKY_AND_SHARED;
        let mine = [geteuid().as_raw(), folder.uid()].contains(&found.uid());
        if is_shared && !mine && replace != Replace::Anything {
            let kind = found.file_type();
            let what = if kind.is_fifo() { "somebody else's pipe" } else { "somebody else's" };
            return Err(PlaceError::Taken { path: path.to_owned(), what });
        }
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), is: Is::Stream(file) })
    }

    /// Writes all of it: who looks sees what was there before, or the whole.
    pub fn write(self, bytes: &[u8]) -> Result<(), PlaceError> {
        let failed = |source| PlaceError::Io { path: self.path.clone(), source };
        if let Is::Stream(mut file) = self.is {
            let written = file.write_all(bytes).and_then(|()| file.flush());
            return written.map_err(|source| PlaceError::Io { path: self.path, source });
        }
        let write = || {
            let mut beside = beside(&self.path)?;
            beside.write_all(bytes)?;
            beside.as_file().sync_all()?;
            self.take(beside.into_temp_path()).map_err(|error| error.error)
        };
        write().map_err(failed)
    }

    /// Gives the file its name.
    pub(super) fn take(&self, file: TempPath) -> Result<(), PathPersistError> {
        match self.is {
            // What has come to be there meanwhile is not overwritten.
            Is::Free => file.persist_noclobber(&self.path),
            _ => file.persist(&self.path),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The same file, which by now is there.
    pub(super) fn again(&self) -> Self {
        Self { path: self.path.clone(), is: Is::Taken }
    }

    /// Whether nothing is there.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.is, Is::Free)
    }

    /// What is written as it is, if it is that.
    pub(super) fn as_stream(&self) -> Option<io::Result<File>> {
        match &self.is {
            Is::Stream(file) => Some(file.try_clone()),
            _ => None,
        }
    }
}

/// A file that was not there, to be written under its name. Readable for its owner only.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(path)
}

/// A file in the same folder with a name of its own, which is gone with this unless it
/// gets another.
pub(super) fn beside(path: &Path) -> io::Result<NamedTempFile> {
    // O_EXCL, and 0600 like all of them.
    tempfile::Builder::new().prefix(".mapprof-").suffix(".tmp").tempfile_in(folder_of(path))
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path from the root, with nothing in it that is a link but what it ends in.
fn in_folder(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    Ok(fs::canonicalize(folder_of(path))?.join(name))
}

/// /dev/stdout, /dev/fd/3, /proc/self/fd/3: links that nobody else can make.
fn is_of_the_system(path: &Path) -> bool {
    (path.starts_with("/dev") || path.starts_with("/proc"))
        && !path.starts_with("/dev/shm")
        && path.is_symlink()
}

fn is_one_of(inputs: &[&Path], found: &Metadata) -> bool {
    let identity = |data: &Metadata| (data.dev(), data.ino());
    let is_it = |data: Metadata| identity(&data) == identity(found);
    inputs.iter().any(|input| fs::metadata(input).is_ok_and(is_it))
}

/// Whether a file begins like a recording, of any version.
fn is_recording(path: &Path) -> bool {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let mut head = [0; MAGIC.len()];
    file.is_ok_and(|mut file| file.read_exact(&mut head).is_ok()) && head == MAGIC
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    const RECORDING: &[u8] = b"mapprof\0\x04\0\0\0";

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn write(path: &Path, inputs: &[&Path], replace: Replace) -> Result<(), PlaceError> {
        Place::find(path, inputs, replace)?.write(b"new")
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let names = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_read_is_never_written() {
        let folder = folder(&[("run", RECORDING)]);
        let at = |name: &str| folder.path().join(name);
        symlink(at("run"), at("link")).unwrap();
        fs::hard_link(at("run"), at("hard")).unwrap();
        for output in ["run", "link", "hard", "./run", "./link"].map(at) {
            for replace in [Replace::Recordings, Replace::Reports, Replace::Anything] {
                let error = write(&output, &[&at("other"), &at("run")], replace).unwrap_err();
                assert!(matches!(error, PlaceError::Input { .. }), "{error}");
            }
        }
        assert_eq!(fs::read(at("run")).unwrap(), RECORDING);
        assert_eq!(names(&folder), ["hard", "link", "run"]);
    }

    #[test]
    fn what_would_be_lost_needs_force() {
        let folder = folder(&[("run", RECORDING), ("notes", b"mine"), ("empty", b"")]);
        let at = |name: &str| folder.path().join(name);
        for (name, replace, may) in [
            ("run", Replace::Recordings, true),
            ("notes", Replace::Recordings, false),
            ("empty", Replace::Recordings, true),
            ("absent", Replace::Recordings, true),
            ("run", Replace::Reports, false),
            ("notes", Replace::Reports, true),
            ("empty", Replace::Reports, true),
            ("run", Replace::Anything, true),
            ("notes", Replace::Anything, true),
        ] {
            let before = fs::read(at(name)).ok();
            match write(&at(name), &[], replace) {
                Ok(()) => assert_eq!((may, fs::read(at(name)).unwrap()), (true, b"new".into())),
                Err(error) => {
                    assert!(!may && error.to_string().contains("--force"), "{error}");
                    assert_eq!(fs::read(at(name)).ok(), before);
                }
            }
            let original: &[u8] = match name {
                "run" => RECORDING,
                "notes" => b"mine",
                _ => b"",
            };
            fs::write(at(name), original).unwrap();
        }
        assert_eq!(names(&folder), ["absent", "empty", "notes", "run"]);
    }

    #[test]
    fn links_are_not_followed() {
        let folder = folder(&[("run", RECORDING), ("secret", b"mine")]);
        let at = |name: &str| folder.path().join(name);
        for (link, to) in [("a", "run"), ("b", "secret"), ("c", "absent")] {
            symlink(at(to), at(link)).unwrap();
            for replace in [Replace::Recordings, Replace::Reports] {
                let error = write(&at(link), &[], replace).unwrap_err().to_string();
                assert!(error.contains(to) && error.contains("link"), "{error}");
            }
            write(&at(link), &[], Replace::Anything).unwrap();
            assert!(!at(link).is_symlink() && fs::read(at(link)).unwrap() == b"new");
        }
        assert_eq!(fs::read(at("run")).unwrap(), RECORDING);
        assert_eq!(fs::read(at("secret")).unwrap(), b"mine");
        assert!(!at("absent").exists());
    }

    #[test]
    fn new_files_are_private() {
        let folder = folder(&[("old", b"mine")]);
        let at = |name: &str| folder.path().join(name);
        fs::set_permissions(at("old"), fs::Permissions::from_mode(0o644)).unwrap();
        write(&at("old"), &[], Replace::Reports).unwrap();
        write(&at("new"), &[], Replace::Reports).unwrap();
        drop(create_new(&at("other")).unwrap());
        assert!(create_new(&at("other")).is_err());
        for name in names(&folder) {
            let mode = fs::metadata(at(&name)).unwrap().mode();
            assert_eq!(mode & 0o177, 0, "{name}: {mode:o}");
        }
    }

    #[test]
    fn devices_are_written_as_they_are() {
        write(Path::new("/dev/null"), &[], Replace::Reports).unwrap();
        let full = write(Path::new("/dev/full"), &[], Replace::Reports).unwrap_err();
        assert!(matches!(full, PlaceError::Io { .. }), "{full}");
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
        let folder = folder(&[("open", b"a ")]);
        let file = OpenOptions::new().append(true).open(folder.path().join("open")).unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        write(Path::new(&path), &[], Replace::Reports).unwrap();
        assert_eq!(fs::read(folder.path().join("open")).unwrap(), b"a new");
        let input = folder.path().join("open");
        let error = write(Path::new(&path), &[&input], Replace::Anything).unwrap_err();
        assert!(matches!(error, PlaceError::Input { .. }), "{error}");
        assert!(write(folder.path(), &[], Replace::Anything).is_err());
        assert!(write(Path::new("/no/such/folder/x"), &[], Replace::Reports).is_err());
    }
}
