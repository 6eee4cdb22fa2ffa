//! Reads what witnesses write, line by line as it comes, and lets go of what was read long ago: three megabytes a minute
//! would fill a disk within hours. What lies around a broken promise stays, for evidence.
//!
//! What is let go becomes a hole: the file keeps its length, so that witnesses that append to it notice nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};

use super::line::{Boot, Line};

/// Bytes that were read and stay on the disk in any case.
const KEPT_BYTES: u64 = 64 << 20;
/// They are let go in pieces of so many.
const PIECE_BYTES: u64 = 4 << 20;

/// Whole lines, from one place of the file to another, with the times of the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    from: u64,
    until: u64,
    first: Boot,
    last: Boot,
}

/// Lines of a growing file.
pub(crate) struct Tail {
    reader: BufReader<File>,
    file: File,
    rest: String,
    /// What was read and is on the disk, but for the piece that is being read.
    pieces: VecDeque<Piece>,
    reading: Piece,
    /// Pieces that stay for evidence.
    stays: Vec<Piece>,
    piece_bytes: u64,
    kept_bytes: u64,
}

impl Tail {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with(path, KEPT_BYTES, PIECE_BYTES)
    }

    fn with(path: &Path, kept_bytes: u64, piece_bytes: u64) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 18, File::open(path)?),
            file,
            rest: String::new(),
            pieces: VecDeque::new(),
            reading: Piece { from: 0, until: 0, first: Boot::MAX, last: 0 },
            stays: Vec::new(),
            piece_bytes,
            kept_bytes,
        })
    }

    /// The next whole line; none when there is none yet.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if self.reader.read_line(&mut self.rest)? == 0 || !self.rest.ends_with('\n') {
                return Ok(None);
            }
            let line = Line::read(self.rest.trim_end());
            let piece = &mut self.reading;
            piece.until += self.rest.len() as u64;
            self.rest.clear();
            if let Some(line) = line {
                (piece.first, piece.last) = (piece.first.min(line.before), piece.last.max(line.after));
                self.cut();
                return Ok(Some(line));
            }
        }
    }

    fn cut(&mut self) {
        let piece = self.reading;
        if piece.until - piece.from >= self.piece_bytes {
            self.pieces.push_back(piece);
            self.reading = Piece { from: piece.until, first: Boot::MAX, last: 0, ..piece };
        }
    }

    /// Whether more was read than has to stay.
    pub(crate) fn is_long(&self) -> bool {
        self.pieces.front().is_some_and(|oldest| self.reading.until - oldest.from > self.kept_bytes)
    }

    /// Lets the oldest pieces go, but for those that have lines of these times.
    pub(crate) fn shorten(&mut self, needed: &[(Boot, Boot)]) {
        while self.is_long() {
            let Some(piece) = self.pieces.pop_front() else { return };
            if needed.iter().any(|(from, until)| piece.first <= *until && *from <= piece.last) {
                self.stays.push(piece);
                continue;
            }
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let (at, length) = (piece.from.cast_signed(), (piece.until - piece.from).cast_signed());
            // A file system that makes no holes keeps everything, which costs room and nothing else.
            let _ = fallocate(&self.file, flags, at, length);
        }
    }

    /// What is left of the file: from where to where, whole lines.
    pub(crate) fn kept(&self) -> Vec<(u64, u64)> {
        let pieces = self.stays.iter().chain(&self.pieces).chain([&self.reading]);
        pieces.map(|piece| (piece.from, piece.until)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::super::line::{Kind, Part, Told};
    use super::*;

    fn line(at: Boot) -> Line {
        Line {
            kind: Kind::Acts,
            before: at,
            after: at,
            pid: 7,
            host: "ada".to_owned(),
            service: "steady".to_owned(),
            tree: 7,
            told: Told { group: "x".repeat(2_000), ..Told::default() },
            plays: Part::Leads(1),
        }
    }

    #[test]
    fn what_was_read_long_ago_is_let_go_but_for_what_is_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lines");
        let mut tail = Tail::with(&path, 64 << 10, 16 << 10).expect("a file");
        let mut out = File::options().append(true).open(&path).expect("a file");
        for at in 0..200 {
            writeln!(out, "{}", line(at)).expect("written");
            assert_eq!(tail.next().expect("readable"), Some(line(at)), "line {at}");
            if tail.is_long() {
                tail.shorten(&[(20, 21)]);
            }
        }
        assert_eq!(tail.next().expect("readable"), None);
        let kept: u64 = tail.kept().iter().map(|(from, until)| until - from).sum();
        let all = path.metadata().expect("a file");
        assert!(kept < (64 + 3 * 16) << 10 && all.len() > 400_000, "{kept} of {}", all.len());
        assert!(all.blocks() * 512 <= all.len(), "holes take no room");
        let text = std::fs::read(&path).expect("readable");
        let lines = |(from, until): (u64, u64)| {
            let part = &text[usize::try_from(from).expect("short")..usize::try_from(until).expect("short")];
            std::str::from_utf8(part)
                .expect("text")
                .lines()
                .map(|l| Line::read(l).expect("whole").before)
                .collect::<Vec<_>>()
        };
        let times: Vec<Boot> = tail.kept().into_iter().flat_map(lines).collect();
        assert!(times.contains(&20) && times.contains(&21) && times.contains(&199), "{times:?}");
        assert!(!times.contains(&60), "{times:?}");
    }
}
