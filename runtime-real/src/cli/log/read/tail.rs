//! Finds where the last lines of a file begin. Reads the file from its end, and no more of it than those lines.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// So many bytes are read at once, from the end on.
const BLOCK: u64 = 64 * 1024;

/// Where the last `lines` lines of the first `len` bytes begin, and how many lines there are.
pub(super) fn tail(file: &File, len: u64, lines: usize) -> io::Result<(u64, usize)> {
    if lines == 0 || len == 0 {
        return Ok((len, 0));
    }
    let mut found = 0;
    let mut end = len;
    let mut buffer = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        buffer.resize(usize::try_from(end - start).unwrap_or_default(), 0);
        file.read_exact_at(&mut buffer, start)?;
        let ends = buffer.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        for next in ends.map(|(at, _)| start + at as u64 + 1) {
            // The line end at the very end ends the last line and begins no other.
            if next < len {
                found += 1;
                if found == lines {
                    return Ok((next, found));
                }
            }
        }
        end = start;
    }
    Ok((0, found + 1))
}
