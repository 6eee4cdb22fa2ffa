//! Writes a log: one file that is appended to, and a few older ones beside it. Never fails its caller and never waits
//! for a reader.
//!
//! A line is `RFC3339-UTC-millis TAG text`, with the tag `O` for standard output, `E` for errors and `H` for hooks.
//! A full disk costs lines and nothing else: the log counts them, and tries again with the next line.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use annulus_core::UnixTime;

use super::stamp::{STAMP_BYTES, stamp};
use crate::host::beneath::Dir;

/// Logs may hold secrets.
const MODE: u32 = 0o640;

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
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// The stamp of the first line.
    first: String,
    /// The file ends in the middle of a line.
    torn: bool,
}

impl LogFile {
    /// A log at `path` below `base`; nothing is touched before there is a line.
    pub(super) fn new(base: PathBuf, path: PathBuf, keep: Keep) -> Self {
        Self { base, path, keep, open: None, lost: None }
    }

    /// Appends whole lines. Says what changed: that it fails now, or no longer does.
    pub(super) fn append(&mut self, lines: &[u8], now: UnixTime) -> Option<Notice> {
        let mut written = 0;
        match self.try_append(lines, now, &mut written) {
            Ok(()) => self.lost.take().map(Notice::Recovered),
            Err(error) => {
                let first = self.lost.is_none();
                let rest = lines.get(written..).unwrap_or_default();
                *self.lost.get_or_insert(0) += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
                first.then(|| Notice::Failed(error.to_string()))
            }
        }
    }

    /// Leaves in `written` how many bytes of whole lines are in the file.
    fn try_append(&mut self, lines: &[u8], now: UnixTime, written: &mut usize) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open(now)?,
        };
        let oldest = stamp(UnixTime::from_millis(now.as_millis().saturating_sub(self.keep.age_ms)));
        let full = open.size > 0 && open.size.saturating_add(lines.len() as u64) > self.keep.size_bytes;
        if full || open.first < oldest {
            // When renaming fails, a file that grows is better than lost lines.
            if self.put_aside().is_ok() {
                open = self.open(now)?;
            }
        }
        let result = open.write(lines, written);
        self.open = Some(open);
        result
    }

    fn open(&self, now: UnixTime) -> io::Result<Open> {
        let (dir, name) = self.place()?;
        Open::new(&dir, name, now)
    }

    /// The log's directory, held, and its name there.
    fn place(&self) -> io::Result<(Dir, &OsStr)> {
        let above = self.path.parent().unwrap_or(Path::new(""));
        let dir = Dir::open(&self.base)?.dir(Path::new(".").join(above))?;
        Ok((dir, self.path.file_name().unwrap_or_default()))
    }

    /// `web.log` becomes `web.log.1`, that `web.log.2` and so on; the last is removed.
    fn put_aside(&self) -> io::Result<()> {
        let (dir, own) = self.place()?;
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
        let mut first = [0; STAMP_BYTES];
        let first = match file.read_exact(&mut first) {
            // A file that another program wrote has no stamp: it compares as anything, and is put aside now or later.
            Ok(()) => String::from_utf8_lossy(&first).into_owned(),
            Err(_) => stamp(now),
        };
        let size = file.metadata()?.len();
        Ok(Self { torn: size > 0 && !ends_whole(&file, size), file, size, first })
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
mod tests {
    use std::fs;

    use super::*;

    const KEEP: Keep = Keep { size_bytes: 20, age_ms: 1_000, files: 2 };
    const NOW: UnixTime = UnixTime::from_millis(1_000_000);

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap_or_default()
    }

    #[test]
    fn a_full_log_moves_on_and_the_oldest_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), KEEP);
        for number in 0..8 {
            assert_eq!(log.append(format!("line {number}...\n").as_bytes(), NOW), None);
        }
        assert_eq!(read(dir.path(), "web.log"), "line 6...\nline 7...\n");
        assert_eq!(read(dir.path(), "web.log.1"), "line 4...\nline 5...\n");
        assert_eq!(read(dir.path(), "web.log.2"), "line 2...\nline 3...\n");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 3);
    }

    #[test]
    fn a_log_whose_first_line_is_old_is_put_aside_also_by_the_next_launcher() {
        let dir = tempfile::tempdir().expect("a directory");
        let keep = Keep { size_bytes: 1_000, ..KEEP };
        let line = |ms| format!("{} O x\n", stamp(UnixTime::from_millis(ms)));
        let append = |ms: u64| {
            let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), keep);
            assert_eq!(log.append(line(ms).as_bytes(), UnixTime::from_millis(ms)), None);
        };
        append(5_000);
        append(6_000);
        assert_eq!(read(dir.path(), "web.log"), line(5_000) + &line(6_000));
        append(6_001);
        assert_eq!(read(dir.path(), "web.log"), line(6_001));
        assert_eq!(read(dir.path(), "web.log.1"), line(5_000) + &line(6_000));
    }

    #[test]
    fn a_log_that_cannot_be_written_says_so_once_and_recovers() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("logs/web.log");
        let mut log = LogFile::new(
            dir.path().to_owned(),
            path.strip_prefix(dir.path()).expect("below").to_owned(),
            KEEP,
        );
        assert!(matches!(log.append(b"a\n", NOW), Some(Notice::Failed(_))));
        assert_eq!(log.append(b"b\nc\n", NOW), None, "once");
        fs::create_dir(dir.path().join("logs")).expect("made");
        assert_eq!(log.append(b"d\n", NOW), Some(Notice::Recovered(3)));
        assert_eq!(fs::read_to_string(&path).expect("written"), "d\n");
    }

    #[test]
    fn half_a_line_of_an_earlier_launcher_is_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("web.log"), "hal").expect("written");
        let keep = Keep { size_bytes: 1_000, age_ms: u64::MAX, files: 1 };
        let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), keep);
        assert_eq!(log.append(b"whole\n", NOW), None);
        assert_eq!(read(dir.path(), "web.log"), "hal\nwhole\n");
    }

    #[test]
    fn a_pipe_in_the_place_of_a_log_holds_nothing_up() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("web.log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let mut log = LogFile::new(
            dir.path().to_owned(),
            path.strip_prefix(dir.path()).expect("below").to_owned(),
            KEEP,
        );
        assert!(matches!(log.append(b"a\n", NOW), Some(Notice::Failed(_))));
        fs::remove_file(&path).expect("removed");
        assert_eq!(log.append(b"b\n", NOW), Some(Notice::Recovered(1)));
    }

    #[test]
    fn a_link_in_the_place_of_a_log_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("web.log")).expect("made");
        let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), KEEP);
        assert!(matches!(log.append(b"a\n", NOW), Some(Notice::Failed(_))));
        assert!(!dir.path().join("elsewhere").exists());
    }
}
