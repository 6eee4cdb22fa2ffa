//! The program `annulus-sim`; see `annulus-sim --help`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    annulus_sim::cli::Cli::parse().run().into()
}
