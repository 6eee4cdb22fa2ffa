//! The `annulus` binary: parses the arguments, runs the command, and turns an error into a message and an exit code.
//! Holds no logic of its own.

use std::io::{self, Write as _};
use std::process::ExitCode;

use annulus::cli::{self, absent};
use annulus::host::terminal::visible_lines;
use annulus::launcher;

fn main() -> ExitCode {
    // Before the command line takes memory, because the launcher is to stay small.
    if let Some(code) = launcher::enter(std::env::args_os().skip(1)) {
        return ExitCode::from(code);
    }
    // A file that may not grow is an error in words, not the end without one.
    let _ = launcher::ignore_harmless();
    let args = match absent::parse() {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    match cli::run(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Every message holds its reason already; a chain of sources would say it twice.
            // Standard error may be closed, which changes nothing about the exit code.
            // It may quote what others wrote.
            let text = error.to_string();
            let _ = writeln!(io::stderr(), "annulus: {}", visible_lines(&text));
            ExitCode::from(error.exit_code())
        }
    }
}
