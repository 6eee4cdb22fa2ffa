//! `annulus pkg header FILE`: prints the header of a package file. Verifies neither signature nor content.

use std::path::PathBuf;

use super::print;
use crate::keys::crypto;
use crate::package::{Error, Hart};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Package file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<u8, Error> {
    let hart = Hart::open(&args.file)?;
    let signature = crypto::base64_encode(&hart.header().signature);
    print(&format!(
        "Package    : {}\nFormat     : HART-1\nKey        : {}\nHash type  : BLAKE2b\nSignature  : {signature}\n",
        args.file.display(),
        hart.header().signer,
    ));
    Ok(0)
}
