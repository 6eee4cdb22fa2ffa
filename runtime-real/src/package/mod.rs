//! Packages: made from a plan, signed, carried in one file, installed below the root.
//! Nothing in here starts a service.
//!
//! The file format, the metafiles inside and the layout on disk are Habitat's, so a package travels both ways:
//!
//! - `plan` reads what the author wrote; `build` makes the package of it.
//! - `hart` is the file: a header that signs the hash of a compressed archive.
//! - `unpack` reads archives whose content is not trusted yet; `install` is the way from file to disk.
//! - `sources` installs what a package needs as well; `needs` knows which packages need which.
//! - `uninstall` is the way back.
//! - `store` finds what is installed; `metafile` knows the small files that describe a package.

mod build;
mod checks;
mod error;
mod hart;
mod install;
mod limits;
mod metafile;
mod needs;
mod plan;
mod sources;
mod step;
mod store;
mod uninstall;
mod unpack;

pub use build::{Built, build};
pub use checks::{DrainPlan, HealthPlan, Inflight, Probe};
pub use error::Error;
pub use hart::{Hart, Header, SignedHash};
pub use install::{Inspection, Outcome, inspect, install_file};
pub use limits::LimitsPlan;
pub use metafile::MetaFile;
pub use needs::{needed_by, needs, with_needs};
pub use plan::{Plan, ServicePlan};
pub(crate) use plan::{
    SHUTDOWN_TIMEOUT_S_DEFAULT, SHUTDOWN_TIMEOUT_S_MAX, load_table, lookup, parse_signal, read_text,
};
pub use sources::{Source, install};
pub use store::{Installed, list, newest};
pub use uninstall::{InUse, check_unused, is_last_build, uninstall, uninstall_candidates};
pub use unpack::Limits;

/// The platform for which this program runs packages, e.g. `x86_64-linux`.
#[must_use]
pub fn host_target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

#[cfg(test)]
pub(crate) mod tests;
