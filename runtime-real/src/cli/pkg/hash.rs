//! `annulus pkg hash [FILE…]`: prints the BLAKE2b hash of files. Takes any file, and verifies nothing.

use std::fs::File;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use super::print;
use crate::keys::crypto;
use crate::package::Error;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Files of any kind; without one, their names are read from standard input, one per line
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<u8, Error> {
    for file in &args.files {
        hash(file)?;
    }
    if args.files.is_empty() {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(Error::io(Path::new("standard input")))?;
            hash(Path::new(line.trim()))?;
        }
    }
    Ok(0)
}

fn hash(file: &Path) -> Result<(), Error> {
    let mut opened = File::open(file).map_err(Error::io(file))?;
    let hash = crypto::hash_reader(&mut opened).map_err(Error::io(file))?;
    print(&format!("{hash}  {}\n", file.display()));
    Ok(())
}
