//! A service's output, line by line into the log.

use annulus_core::ServiceGroup;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A longer line is logged in pieces of this length.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
    /// Whether what is pending continues a line that was too long.
    continued: bool,
}

impl Lines {
    pub(super) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str)) {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.pending.len();
            let window = bytes.get(..room).unwrap_or(bytes);
            let end = window.iter().position(|b| *b == b'\n');
            let (taken, rest) = bytes.split_at(end.unwrap_or(window.len()));
            self.pending.extend_from_slice(taken);
            bytes = rest;
            if end.is_some() {
                bytes = bytes.get(1..).unwrap_or_default();
                if self.pending.last() == Some(&b'\r') {
                    self.pending.pop();
                }
                if !self.pending.is_empty() || !self.continued {
                    line(&String::from_utf8_lossy(&self.pending));
                }
                self.pending.clear();
                self.continued = false;
            } else if self.pending.len() == LINE_BYTES_MAX {
                self.finish(&mut line);
                self.continued = true;
            }
        }
    }

    /// Logs what is pending.
    pub(super) fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            line(&String::from_utf8_lossy(&self.pending));
        }
        self.pending.clear();
    }
}

/// Logs everything that `stream` gives, as `<group>(O): line` for standard output and `(E)` for errors.
pub(super) async fn log<R: AsyncRead + Unpin>(mut stream: R, group: ServiceGroup, tag: char) {
    let mut lines = Lines::default();
    let mut buffer = [0; 2 * 1024];
    let print = |line: &str| tracing::info!(group = group.as_str(), "{group}({tag}): {line}");
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        lines.push(buffer.get(..len).unwrap_or_default(), print);
    }
    lines.finish(print);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut out = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk, |line| out.push(line.to_owned()));
        }
        lines.finish(|line| out.push(line.to_owned()));
        out
    }

    #[test]
    fn lines_end_where_they_end() {
        assert_eq!(lines(&[b"a\nb", b"c\r\n", b"\n", b"last"]), ["a", "bc", "", "last"]);
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
        let long = vec![b'x'; 2 * LINE_BYTES_MAX + 1];
        let pieces = lines(&[&long, b"\n"]);
        assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
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
