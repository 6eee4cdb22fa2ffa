//! Prints for commands: whole lines to standard output, and tables. A reader that went away is no error.

use std::io::Write as _;

/// Prints a line.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A table whose columns are as wide as their widest cell, two spaces apart, without trailing spaces.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let lines = std::iter::once(&head).chain(rows).map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["bcdé".to_owned(), "2".to_owned()]];
        assert_eq!(super::table(&["x", "long"], &rows), "x     long\na     1\nbcdé  2");
    }
}
