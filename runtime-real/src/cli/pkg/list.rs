//! `annulus pkg list`: lists installed packages. Only reads.

use annulus_core::PackageIdent;

use super::{ident, print};
use crate::host::root::Root;
use crate::package::{self, Error};

#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub(in crate::cli) struct Args {
    /// All packages; this is the default
    #[arg(short, long)]
    all: bool,
    /// Only those of this origin
    #[arg(short, long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Only those that are origin/name[/version[/release]]
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: Option<PackageIdent>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    for package in package::list(root)? {
        let ident = package.ident();
        let of_origin = args.origin.as_ref().is_none_or(|origin| ident.origin() == origin);
        if of_origin && args.ident.as_ref().is_none_or(|wanted| ident.satisfies(wanted)) {
            print(&format!("{ident}\n"));
        }
    }
    Ok(0)
}
