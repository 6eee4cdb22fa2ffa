//! Writes a log: one file that is appended to, and a few older ones beside it. Never fails its caller and never waits
//! for a reader.
//!
//! A line is `RFC3339-UTC-millis TAG text`, with the tag `O` for standard output, `E` for errors and `H` for hooks.
//! A full disk costs lines and nothing else: the log counts them, and tries again with the next line.
//!
//! Other programs may move the file away (`logrotate`, `rm`, `mv`) at any time. The log notices a removal with its next
//! line, and anything else within a second; it then begins a new file and says so. It never writes through a link or
//! into anything but a regular file of its own, whatever stands in its place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use annulus_core::UnixTime;

use super::record::START;
use super::stamp::{STAMP_BYTES, stamp};
use crate::host::beneath::{Dir, FileId};

/// Logs may hold secrets.
const MODE: u32 = 0o640;
const DIR_MODE: u32 = 0o750;
/// Pause between two looks at what has the log's name, in milliseconds.
const LOOK_MS: u64 = 1_000;
/// A log that is moved away again and again says so this often, in milliseconds.
const MOVED_NOTICE_MS: u64 = 60_000;

/// How logs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// A file that would become larger is put aside, in bytes.
    pub size_bytes: u64,
    /// A file whose first line is older is put aside, in milliseconds.
    pub age_ms: u64,
    /// So many older files are kept.
    pub files: u32,
}

/// A change of a log's state that an operator should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The log cannot be written, for this reason.
    Failed(String),
    /// The log is written again, after so many lines were lost.
    Recovered(u64),
    /// Another program removed or renamed the file, as the text says; a new one is begun.
    Moved(&'static str),
    /// The file is full or old and cannot be put aside, for this reason; it grows.
    Stuck(String),
}

/// The log of one service.
#[derive(Debug)]
pub(super) struct LogFile {
    /// The directory in which only the supervisor's user changes anything, and the log's path from there.
    base: PathBuf,
    path: PathBuf,
    keep: Keep,
    open: Option<Open>,
    /// Whether the last write failed, and how many lines were lost since.
    lost: Option<u64>,
    /// The last time that it was said that the file was moved away.
    told_moved: Option<UnixTime>,
    /// Whether it was said that the file cannot be put aside, and no success came since.
    is_stuck: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: FileId,
    /// The last look at what has the log's name.
    looked: UnixTime,
    size: u64,
    /// The stamp of the first line.
    first: String,
    /// The file ends in the middle of a line.
    torn: bool,
}

impl LogFile {
    /// A log at `path` below `base`; nothing is touched before there is a line.
    pub(super) fn new(base: PathBuf, path: PathBuf, keep: Keep) -> Self {
        Self { base, path, keep, open: None, lost: None, told_moved: None, is_stuck: false }
    }

    /// Appends whole lines. Says what changed, in the order in which it did.
    pub(super) fn append(&mut self, lines: &[u8], now: UnixTime) -> Vec<Notice> {
        let (mut written, mut notices) = (0, Vec::new());
        match self.try_append(lines, now, &mut written, &mut notices) {
            Ok(()) => notices.extend(self.lost.take().map(Notice::Recovered)),
            Err(error) => {
                let first = self.lost.is_none();
                let rest = lines.get(written..).unwrap_or_default();
                *self.lost.get_or_insert(0) += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
                notices.extend(first.then(|| Notice::Failed(error.to_string())));
            }
        }
        notices
    }

    /// Leaves in `written` how many bytes of whole lines are in the file.
    fn try_append(
        &mut self,
        lines: &[u8],
        now: UnixTime,
        written: &mut usize,
        notices: &mut Vec<Notice>,
    ) -> io::Result<()> {
        let mut open = match self.still_open(lines.len(), now, notices) {
            Some(open) => open,
            None => self.open(now)?,
        };
        if open.is_full(lines.len(), now, self.keep) {
            match self.put_aside(&open) {
                Ok(()) => {
                    self.is_stuck = false;
                    open = self.open(now)?;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_stuck, true) {
                        notices.push(Notice::Stuck(error.to_string()));
                    }
                    // A file that grows is better than lost lines, within the room that all files of this log may take.
                    let room = self.keep.size_bytes.saturating_mul(u64::from(self.keep.files) + 1);
                    if open.size.saturating_add(lines.len() as u64) > room {
                        self.open = Some(open);
                        return Err(io::Error::other(format!("it is full and cannot be put aside: {error}")));
                    }
                }
            }
        }
        let result = open.write(lines, written);
        self.open = Some(open);
        result
    }

    /// The file that is open, unless another program has moved it away meanwhile.
    fn still_open(&mut self, added: usize, now: UnixTime, notices: &mut Vec<Notice>) -> Option<Open> {
        let mut open = self.open.take()?;
        let how = match open.file.metadata() {
            Ok(meta) if meta.nlink() > 0 => {
                open.take_size(meta.len(), now);
                // A clock that was set back counts as a second that has passed.
                let passed_ms = now.as_millis().wrapping_sub(open.looked.as_millis());
                if passed_ms < LOOK_MS && !open.is_full(added, now, self.keep) {
                    return Some(open);
                }
                open.looked = now;
                // A directory that cannot be looked into proves nothing, so writing goes on.
                match self.which() {
                    Ok(which) if which != Some(open.id) => "moved away or replaced",
                    _ => return Some(open),
                }
            }
            _ => "removed",
        };
        let is_told = self
            .told_moved
            .is_some_and(|told| now.as_millis().wrapping_sub(told.as_millis()) < MOVED_NOTICE_MS);
        if !is_told {
            self.told_moved = Some(now);
            notices.push(Notice::Moved(how));
        }
        None
    }

    /// Which file has the log's name.
    fn which(&self) -> io::Result<Option<FileId>> {
        match self.place(false) {
            Ok((dir, name)) => dir.which(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, now: UnixTime) -> io::Result<Open> {
        let (dir, name) = self.place(true)?;
        Open::new(&dir, name, now)
    }

    /// The log's directory, held, and its name there. A directory that was removed is made again.
    fn place(&self, make: bool) -> io::Result<(Dir, &OsStr)> {
        let here = Path::new(".");
        let above = self.path.parent().unwrap_or(Path::new(""));
        let base = Dir::open(&self.base)?;
        let dir = match (above.parent(), above.file_name()) {
            (Some(upper), Some(last)) if make => {
                base.dir(here.join(upper))?.ensure_dir(last, DIR_MODE, None)?
            }
            _ => base.dir(here.join(above))?,
        };
        Ok((dir, self.path.file_name().unwrap_or_default()))
    }

    /// `web.log` becomes `web.log.1`, that `web.log.2` and so on; the last is removed. What is not the file that was
    /// written stays where it is.
    fn put_aside(&self, open: &Open) -> io::Result<()> {
        let (dir, own) = self.place(true)?;
        if dir.which(own)? != Some(open.id) {
            return Ok(());
        }
        let numbered = |number: u32| {
            let mut name = OsString::from(own);
            name.push(format!(".{number}"));
            name
        };
        if self.keep.files == 0 {
            return dir.remove(own);
        }
        for number in (1..self.keep.files).rev() {
            match dir.rename(&numbered(number), &numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        dir.rename(own, &numbered(1))
    }
}

impl Open {
    fn new(dir: &Dir, name: &OsStr, now: UnixTime) -> io::Result<Self> {
        let mut file = dir.append(name, MODE)?;
        let mut first = Vec::new();
        (&mut file).take((START.len() + STAMP_BYTES) as u64).read_to_end(&mut first)?;
        let first = String::from_utf8_lossy(&first);
        // A file that another program wrote has no stamp: it compares as anything, and is put aside now or later.
        let first = match first.strip_prefix(START).unwrap_or(&first) {
            "" => stamp(now),
            stamped => stamped.chars().take(STAMP_BYTES).collect(),
        };
        let meta = file.metadata()?;
        let (id, size) = (FileId::from(&meta), meta.len());
        Ok(Self { torn: size > 0 && !ends_whole(&file, size), file, id, looked: now, size, first })
    }

    /// Whether the file is to be put aside before so many bytes are added.
    fn is_full(&self, added: usize, now: UnixTime, keep: Keep) -> bool {
        let oldest = stamp(UnixTime::from_millis(now.as_millis().saturating_sub(keep.age_ms)));
        let is_over = self.size > 0 && self.size.saturating_add(added as u64) > keep.size_bytes;
        is_over || self.first < oldest
    }

    /// Takes the file's size as it is, since another program may have emptied it.
    fn take_size(&mut self, size: u64, now: UnixTime) {
        if size < self.size {
            self.first = stamp(now);
            self.torn = size > 0 && !ends_whole(&self.file, size);
        }
        self.size = size;
    }

    fn write(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        if self.torn {
            self.write_some(b"\n")?;
            self.torn = false;
        }
        while *written < lines.len() {
            match self.write_some(lines.get(*written..).unwrap_or_default()) {
                Ok(count) => *written += count,
                Err(error) => {
                    self.drop_half_a_line(lines.get(..*written).unwrap_or_default(), written);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Removes the part of a line that did not fit.
    fn drop_half_a_line(&mut self, done: &[u8], written: &mut usize) {
        let whole = done.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let size = self.size.saturating_sub((*written - whole) as u64);
        if *written > whole {
            // A full disk still lets a file be made shorter.
            match self.file.set_len(size) {
                Ok(()) => self.size = size,
                Err(_) => self.torn = true,
            }
        }
        *written = whole;
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.size += written as u64;
                    return Ok(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn ends_whole(file: &File, size: u64) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1).is_ok() && last == *b"\n"
}

#[cfg(test)]
mod tests;
