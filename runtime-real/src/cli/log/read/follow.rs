//! Reads a log on from where it stopped, also across files that were put aside meanwhile. Never holds more of it than
//! one line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::since::Since;
use super::tail::tail;
use super::{LINE_BYTES_MAX, Line, Part, parts};

/// Reads a log from some point on, in several turns.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    inode: u64,
    file: BufReader<File>,
    /// Bytes of the file that were read.
    offset: u64,
    /// The line that has not ended yet.
    pending: Vec<u8>,
}

impl Follower {
    /// A reader of the log at `path`, which need not exist.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), reading: None }
    }

    /// Gives the last `last` lines (all of them when it is none) of those since some time, and then stands at the
    /// log's end.
    ///
    /// # Errors
    /// A file cannot be read, or `give` fails.
    pub(crate) fn past(
        &mut self,
        last: Option<usize>,
        since: Option<&Since>,
        give: &mut dyn FnMut(Line<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut parts = parts(&self.path)?;
        let mut first_at = 0;
        if let (Some(lines), None) = (last, since) {
            first_at = keep_tail(&mut parts, lines)?;
        }
        if let Some(since) = since {
            // The youngest file stays, because it is followed.
            let old = |part: &Part| part.file.metadata().is_ok_and(|meta| !since.may_be_in(meta.mtime()));
            while parts.len() > 1 && parts.first().is_some_and(old) {
                parts.remove(0);
            }
        }
        let mut wanted = since.is_none();
        let mut held: VecDeque<String> = VecDeque::new();
        let buffered = since.and(last);
        for part in parts {
            self.reading = Some(Reading::new(part, std::mem::take(&mut first_at))?);
            self.drain(&mut |line| {
                if let Some((since, stamp)) = since.zip(line.stamp()) {
                    wanted = since.includes(stamp);
                }
                match buffered {
                    _ if !wanted => Ok(()),
                    None => give(line),
                    Some(max) => {
                        held.push_back(line.0.to_owned());
                        held.drain(..held.len().saturating_sub(max));
                        Ok(())
                    }
                }
            })?;
        }
        held.iter().try_for_each(|line| give(Line(line)))
    }

    /// Gives the lines that were written since the last call.
    ///
    /// # Errors
    /// As [`Self::past`].
    pub(crate) fn new_lines(&mut self, give: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        self.drain(give)?;
        let Some(inode) = self.reading.as_ref().map(|reading| reading.inode) else {
            for part in parts(&self.path)? {
                self.reading = Some(Reading::new(part, 0)?);
                self.drain(give)?;
            }
            return Ok(());
        };
        let current = std::fs::metadata(&self.path).map(|meta| meta.ino());
        if current.is_ok_and(|current| current == inode) {
            return Ok(());
        }
        let mut later = parts(&self.path)?;
        // If the file that was read has been removed meanwhile, all files that are there are newer.
        if let Some(at) = later.iter().position(|part| part.inode == inode) {
            later.drain(..=at);
        }
        if later.is_empty() {
            return Ok(());
        }
        // Read once more: it was written to until it was put aside.
        self.drain(give)?;
        for part in later {
            self.finish(give)?;
            self.reading = Some(Reading::new(part, 0)?);
            self.drain(give)?;
        }
        Ok(())
    }

    /// Gives the unfinished last line of a file that gets no more lines.
    fn finish(&mut self, give: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        match self.reading.take() {
            Some(reading) if !reading.pending.is_empty() => give(Line(&text(&reading.pending))),
            _ => Ok(()),
        }
    }

    fn drain(&mut self, give: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        self.reading.as_mut().map_or(Ok(()), |reading| reading.drain(give))
    }
}

/// Drops the files before the last `lines` lines; returns where these begin in the first file that stays.
fn keep_tail(parts: &mut Vec<Part>, lines: usize) -> io::Result<u64> {
    let mut missing = lines;
    for index in (0..parts.len()).rev() {
        let Some(part) = parts.get(index) else { break };
        let (at, found) = tail(&part.file, part.file.metadata()?.len(), missing)?;
        missing = missing.saturating_sub(found);
        if missing == 0 {
            parts.drain(..index);
            return Ok(at);
        }
    }
    Ok(0)
}

impl Reading {
    fn new(part: Part, at: u64) -> io::Result<Self> {
        let mut file = BufReader::new(part.file);
        file.seek(SeekFrom::Start(at))?;
        Ok(Self { inode: part.inode, file, offset: at, pending: Vec::new() })
    }

    fn drain(&mut self, give: &mut dyn FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        if self.file.get_ref().metadata()?.len() < self.offset {
            // Another program has emptied the file.
            self.file.seek(SeekFrom::Start(0))?;
            self.offset = 0;
            self.pending.clear();
        }
        loop {
            let room = LINE_BYTES_MAX.saturating_sub(self.pending.len() as u64);
            let read = (&mut self.file).take(room).read_until(b'\n', &mut self.pending)?;
            self.offset += read as u64;
            let ended = self.pending.last() == Some(&b'\n');
            if ended || self.pending.len() as u64 >= LINE_BYTES_MAX {
                let whole = std::mem::take(&mut self.pending);
                give(Line(&text(&whole)))?;
            } else {
                return Ok(());
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(bytes)).into_owned()
}
