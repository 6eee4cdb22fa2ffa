//! `annulus sim …`: hands over to the simulator's binary beside this one. Knows none of its commands.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::{CliError, Outcome};
use crate::launcher;

/// The arguments, passed on unchanged.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Arguments of `annulus-sim`; `annulus sim --help` lists its commands
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let own = env::current_exe().unwrap_or_else(|_| PathBuf::from("annulus"));
    let program = own.with_file_name("annulus-sim");
    launcher::mind_harmless().map_err(CliError::Runtime)?;
    // `exec` returns only when the program could not be run.
    let source = Command::new(&program).args(&args.args).exec();
    Err(CliError::Program {
        program,
        source,
        hint: "build it with `cargo build --release --bin annulus-sim`, or copy it beside this program",
    })
}
