//! `annulus pkg verify FILE`: checks signature and content of a package file. Installs nothing.

use std::path::PathBuf;

use super::print;
use crate::host::root::Root;
use crate::keys::KeyCache;
use crate::package::{Error, Hart};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Package file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    let signed = Hart::open(&args.file)?.verify(&KeyCache::new(root.keys()))?;
    print(&format!("{} is signed by {} and has hash {}\n", args.file.display(), signed.signer, signed.hash));
    Ok(0)
}
