//! Cuts a stream of bytes into lines of bounded length. Holds no more than the one line that has not ended.

/// A longer line is taken in pieces of this length …
const LINE_BYTES_MAX: usize = 4 * 1024;
/// … or of this one where a supervisor wrote them: its lines may be JSON objects, which should stay whole.
const OWN_LINE_BYTES_MAX: usize = 64 * 1024;

/// Cuts lines, and holds the one that has not ended.
#[derive(Debug)]
pub(crate) struct Lines {
    bytes_max: usize,
    pending: Vec<u8>,
    /// Whether what is pending continues a line that was too long.
    continued: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { bytes_max: LINE_BYTES_MAX, pending: Vec::new(), continued: false }
    }
}

impl Lines {
    /// Cuts the lines of a supervisor.
    pub(crate) fn own() -> Self {
        Self { bytes_max: OWN_LINE_BYTES_MAX, ..Self::default() }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = self.bytes_max - self.pending.len();
            let window = bytes.get(..room).unwrap_or(bytes);
            let end = window.iter().position(|b| *b == b'\n');
            let (taken, rest) = bytes.split_at(end.unwrap_or(window.len()));
            bytes = rest;
            if end.is_some() {
                bytes = bytes.get(1..).unwrap_or_default();
                if self.pending.is_empty() {
                    // Most lines come whole and need no copy.
                    self.give(taken, &mut line);
                } else {
                    self.pending.extend_from_slice(taken);
                    let whole = std::mem::take(&mut self.pending);
                    self.give(&whole, &mut line);
                }
                self.continued = false;
            } else {
                self.pending.extend_from_slice(taken);
                if self.pending.len() == self.bytes_max {
                    self.finish(&mut line);
                    self.continued = true;
                }
            }
        }
    }

    fn give(&self, whole: &[u8], line: &mut impl FnMut(&[u8])) {
        let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
        if !whole.is_empty() || !self.continued {
            line(whole);
        }
    }

    /// Gives the line that has not ended, and frees its memory: a silent service takes none.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            line(&pending);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk, |line| out.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines.finish(|line| out.push(String::from_utf8_lossy(line).into_owned()));
        out
    }

    #[test]
    fn lines_end_where_they_end() {
        assert_eq!(lines(&[b"a\nb", b"c\r\n", b"\n", b"last"]), ["a", "bc", "", "last"]);
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
        let long = vec![b'x'; 2 * LINE_BYTES_MAX + 1];
        let pieces = lines(&[&long, b"\n"]);
        assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
        let exact = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(lines(&[&exact, b"\nnext\n"]).len(), 2, "the end of a long line is no line of its own");
    }

    proptest! {
        #[test]
        fn cutting_the_stream_elsewhere_gives_the_same_lines(
            text in "[a\n\r]{0,200}", cuts in prop::collection::vec(0_usize..200, 0..5),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(lines(&chunks), lines(&[bytes]));
        }
    }
}
