//! `annulus pkg binds IDENT`: lists the binds of an installed package. Asks no supervisor.

use annulus_core::PackageIdent;

use super::{ident, print};
use crate::host::root::Root;
use crate::package::{self, Error, MetaFile};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name[/version[/release]]
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    let package = package::newest(root, &args.ident)?;
    let mut count = 0;
    for (metafile, kind) in [(MetaFile::Binds, "needed"), (MetaFile::BindsOptional, "optional")] {
        for (name, exports) in package.pairs(metafile)? {
            count += 1;
            let exports: Vec<&str> = exports.split_whitespace().collect();
            let reads = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
            print(&format!("{name}  {kind}, reads {reads}\n"));
        }
    }
    if count == 0 {
        print(&format!("{} has no binds\n", package.ident()));
    }
    Ok(0)
}
