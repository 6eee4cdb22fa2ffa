//! Reads logs: the last lines, those since some time, and those that are written from now on. Never writes, and never
//! makes a writer wait.
//!
//! A log is one file that its writer appends to, and older files beside it, `x.log.1` the youngest of them. A line is
//! `RFC3339-UTC-millis TAG text`; a line without such a stamp belongs to the one before it. The writer may put files
//! aside at any moment: a reader finishes the file that it has open, and goes on with the next younger one.

mod follow;
mod line;
mod since;
mod tail;

pub(crate) use follow::Follower;
pub(crate) use line::{Kind, Line};
pub(crate) use since::{Since, since};

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc::{ELOOP, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

/// Older files that are looked for: an operator may have had so many kept.
const OLDER_MAX: u32 = 1_000;
/// A longer line is shown in pieces of this length, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A file of a log, which keeps its identity when it is renamed.
#[derive(Debug)]
struct Part {
    file: File,
    inode: u64,
}

impl Part {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        // A pipe in its place must not hold the reader up, and a link may lead to what only this reader may read.
        let mut options = OpenOptions::new();
        match options.read(true).custom_flags(O_NONBLOCK | O_NOCTTY | O_NOFOLLOW).open(path) {
            Ok(file) => {
                let meta = file.metadata()?;
                if !meta.is_file() {
                    let text =
                        format!("{} is no regular file, so it is not the log; remove it", path.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                Ok(Some(Self { inode: meta.ino(), file }))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) if e.raw_os_error() == Some(ELOOP) => {
                let text = format!("{} is a link, so it is not the log; remove it", path.display());
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
            Err(e) => Err(e),
        }
    }
}

/// The files of a log, the oldest first.
///
/// They are opened from the youngest on: a file that is put aside meanwhile is seen twice and then left out once, but
/// none is missed.
fn parts(path: &Path) -> io::Result<Vec<Part>> {
    let mut found: Vec<Part> = Vec::new();
    for number in 0..=OLDER_MAX {
        match Part::open(&numbered(path, number))? {
            Some(part) if found.iter().any(|known| known.inode == part.inode) => {}
            Some(part) => found.push(part),
            // Between two renames the current file is not there for a moment.
            None if number == 0 => {}
            None => break,
        }
    }
    found.reverse();
    Ok(found)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
