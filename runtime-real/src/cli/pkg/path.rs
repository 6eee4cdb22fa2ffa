//! `annulus pkg path IDENT`: prints the directory of an installed package. Only reads.

use annulus_core::PackageIdent;

use super::{ident, print};
use crate::host::root::Root;
use crate::package::{self, Error};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name[/version[/release]]
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    print(&format!("{}\n", package::newest(root, &args.ident)?.path().display()));
    Ok(0)
}
