//! Keeps the last good options of each service beside the spec files, for a supervisor that starts while a spec file cannot
//! be used: its service goes on as it was, as it does where no supervisor starts. Loads no service that has no spec file.

use std::io;
use std::path::{Path, PathBuf};

use annulus_core::{ServiceName, ServiceSpec};

use super::{dir, file};
use crate::host::atomic;
use crate::host::beneath::Dir;

/// The folder, in the directory of spec files; no spec file has a name like this.
const FOLDER: &str = ".last-good";

/// The copies of one supervisor's specs.
#[derive(Debug)]
pub(super) struct LastGood(PathBuf);

impl LastGood {
    /// The copies beside the spec files of this directory.
    pub(super) fn beside(specs: &Path) -> Self {
        Self(specs.join(FOLDER))
    }

    fn path(&self, service: &ServiceName) -> PathBuf {
        self.0.join(format!("{service}.spec"))
    }

    /// The copy of a service's spec; none where there is none that can be used.
    pub(super) fn get(&self, service: &ServiceName) -> Option<ServiceSpec> {
        dir::look(&self.path(service)).ok().flatten()?.spec.ok()
    }

    /// Keeps a copy. Where the disk does not take it there is none: an older one would be wrong.
    pub(super) fn keep(&self, spec: &ServiceSpec) {
        let service = spec.name();
        if self.get(&service).as_ref() == Some(spec) {
            return;
        }
        if let Err(error) = self.write(spec) {
            tracing::debug!(service = service.as_str(), %error, "no copy of its spec is kept");
            self.forget(&service);
        }
    }

    fn write(&self, spec: &ServiceSpec) -> io::Result<()> {
        let text = file::print(spec).map_err(io::Error::other)?;
        Dir::open_or_make(&self.0)?.keep(dir::DIR_MODE, None)?;
        atomic::write(&self.path(&spec.name()), text.as_bytes(), dir::MODE)
    }

    /// Forgets a service that is no longer wanted.
    pub(super) fn forget(&self, service: &ServiceName) {
        // One that stays loads nothing: it counts only beside a spec file.
        let _ = std::fs::remove_file(self.path(service));
    }
}
