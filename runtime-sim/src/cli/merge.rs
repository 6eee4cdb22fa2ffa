//! `annulus-sim merge FILE…`: what the shards of one sweep found, added up.

use std::path::PathBuf;

use crate::exit::Exit;
use crate::sweep::Results;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files that `annulus-sim sweep --out FILE` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Fail when a kind of fault or a state of members never occurred
    #[arg(long)]
    require_all: bool,
}

pub(super) fn run(args: &Args) -> Exit {
    match Results::merge(&args.files) {
        Ok(results) => {
            super::emit(results.summary().trim_end());
            crate::sweep::verdict(&results, args.require_all)
        }
        Err(error) => {
            eprintln!("annulus-sim: {error}");
            Exit::Usage
        }
    }
}
