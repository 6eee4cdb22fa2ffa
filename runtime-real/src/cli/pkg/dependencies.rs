//! `annulus pkg dependencies IDENT`: lists what an installed package needs, or which packages need it. Only reads.

use annulus_core::PackageIdent;

use super::{ident, print};
use crate::host::root::Root;
use crate::package::{self, Error};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name[/version[/release]]
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
    /// Also the packages that are needed through others
    #[arg(short, long)]
    transitive: bool,
    /// Instead list the installed packages that need this one
    #[arg(short, long)]
    reverse: bool,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    let package = package::newest(root, &args.ident)?;
    let found = if args.reverse {
        package::needed_by(root, package.ident(), args.transitive)?
    } else {
        package::needs(&package, args.transitive)?.into_iter().collect()
    };
    print(&found.iter().map(|ident| format!("{ident}\n")).collect::<String>());
    Ok(0)
}
