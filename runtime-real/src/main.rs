//! The `annulus` binary: parses, runs the command, and turns what went wrong into a message and an exit code.

use std::process::ExitCode;

use annulus::cli::{self, Args};
use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(Args::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Every message holds its reason already; a chain of sources would say it twice.
            eprintln!("annulus: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
