//! `annulus pkg config IDENT`: prints the default configuration of an installed package, without the layers above it.

use std::fs;

use annulus_core::PackageIdent;

use super::{ident, print};
use crate::host::look;
use crate::host::root::Root;
use crate::package::{self, Error};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// origin/name[/version[/release]]
    #[arg(value_name = "IDENT", value_parser = ident)]
    ident: PackageIdent,
}

pub(super) fn run(root: &Root, args: &Args) -> Result<u8, Error> {
    let path = package::newest(root, &args.ident)?.path().join("default.toml");
    if look::meta(&path).map_err(Error::io(&path))?.is_some() {
        print(&fs::read_to_string(&path).map_err(Error::io(&path))?);
    }
    Ok(0)
}
