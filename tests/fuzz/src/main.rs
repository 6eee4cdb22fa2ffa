//! The program `annulus-fuzz`; see `annulus-fuzz --help`.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static COUNTED: annulus_fuzz::memory::Counted = annulus_fuzz::memory::Counted;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("annulus-fuzz: {error}");
            ExitCode::from(2)
        }
    }
}
