//! Prints for commands: whole lines to standard output, and tables. A reader that went away is no error; a disk that takes nothing
//! is, and ends the command.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use crate::host::exit;
use crate::host::terminal::{self, Colour, paint, visible, visible_lines};

/// Prints a line, or several. What others wrote in them steers no terminal; programs that read a pipe get every byte.
pub(crate) fn line(text: impl std::fmt::Display) {
    let text = text.to_string();
    if std::io::stdout().is_terminal() { print(&visible_lines(&text)) } else { print(&text) }
}

fn print(text: &str) {
    self::text(&format!("{text}\n"));
}

/// Prints exactly this.
pub(crate) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("annulus: standard output: {error}; what the command was to print is lost");
            std::process::exit(exit::FAILED.into())
        }
        _ => {}
    }
}

/// Prints a table. On a terminal, what is broken is red and what wants a look is yellow.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    print(&painted_table(head, rows, terminal::has_colours(&std::io::stdout())));
}

/// A table whose columns are as wide as their widest cell, two spaces apart, without trailing spaces.
fn painted_table(head: &[&str], rows: &[Vec<String>], has_colours: bool) -> String {
    let shown = |cell: &str| visible(cell).into_owned();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let lines = std::iter::once(&head).chain(&rows).map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            match colour(cell).filter(|_| has_colours) {
                Some(colour) => format!("{}{padding}", paint(cell, colour)),
                None => format!("{cell}{padding}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The colour of a state or of a health, wherever a table shows one.
fn colour(cell: &str) -> Option<Colour> {
    match cell {
        "critical" | "failed" | "Confirmed" | "Departed" => Some(Colour::Red),
        "warning" | "backoff" | "Suspect" | "draining" | "maintenance" | "waiting" | "no answer" => {
            Some(Colour::Yellow)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["bcdé".to_owned(), "2".to_owned()]];
        assert_eq!(super::painted_table(&["x", "long"], &rows, false), "x     long\na     1\nbcdé  2");
        let rows = vec![vec!["critical".to_owned(), "\u{1b}[2J".to_owned()]];
        let painted = super::painted_table(&["health", "name"], &rows, true);
        assert_eq!(painted, "health    name\n\u{1b}[31mcritical\u{1b}[0m  \\u{1b}[2J");
    }
}
