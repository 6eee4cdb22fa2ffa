//! Packages: made from a plan, signed, carried in one file, installed below the root.
//!
//! The file format, the metafiles inside and the layout on disk are Habitat's, so a package travels both ways:
//!
//! - `plan` reads what the author wrote; `build` makes the package of it.
//! - `hart` is the file: a header that signs the hash of a compressed archive.
//! - `unpack` reads archives that nobody vouches for yet; `install` is the way from file to disk.
//! - `store` finds what is installed; `metafile` knows the small files that describe a package.

mod build;
mod error;
mod hart;
mod install;
mod metafile;
mod plan;
mod store;
mod unpack;

pub use build::{Built, build};
pub use error::Error;
pub use hart::{Hart, Header, SignedHash};
pub use install::{Inspection, Outcome, inspect, install_file};
pub use metafile::MetaFile;
pub use plan::{Plan, ServicePlan};
pub(crate) use plan::{
    SHUTDOWN_TIMEOUT_S_DEFAULT, SHUTDOWN_TIMEOUT_S_MAX, load_table, lookup, parse_signal, read_text,
};
pub use store::{Installed, list, newest};
pub use unpack::Limits;

/// What this build of the program runs packages for, e.g. `x86_64-linux`.
#[must_use]
pub fn host_target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

#[cfg(test)]
mod tests;
