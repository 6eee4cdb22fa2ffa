//! The `annulus` binary: parses, runs the command, and turns what went wrong into a message and an exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use annulus::cli::{self, Args};
use annulus::launcher;
use clap::Parser as _;

fn main() -> ExitCode {
    // Before anything else takes memory: the launcher is small.
    if let Some(code) = launcher::enter(std::env::args_os().skip(1)) {
        return ExitCode::from(code);
    }
    match cli::run(Args::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Every message holds its reason already; a chain of sources would say it twice.
            // Nobody may be listening, which changes nothing about the exit code.
            let _ = writeln!(io::stderr(), "annulus: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
