//! A service's folder: the folders in it, their owners and modes (as in Habitat, but that nothing in them is for every
//! user of the host).

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::files::Owner;
use crate::host::beneath::Dir;

pub(super) const CONFIG: &str = "config";
pub(super) const CONFIG_INSTALL: &str = "config_install";
pub(super) const DATA: &str = "data";
pub(super) const FILES: &str = "files";
pub(super) const HOOKS: &str = "hooks";
pub(super) const LOGS: &str = "logs";
pub(super) const PID_FILE: &str = "PID";
pub(super) const RUN_FILE: &str = "run";
pub(super) const STATIC: &str = "static";
pub(super) const VAR: &str = "var";

/// Rendered configuration: readable for the service's user and group only.
pub(super) const CONFIG_FILE_MODE: u32 = 0o740;
/// Files of a group.
pub(super) const GROUP_FILE_MODE: u32 = 0o640;
/// Hooks and the program, which may hold secrets too: the service may read and run them, and change none.
pub(super) const PROGRAM_MODE: u32 = 0o750;
/// The service's own folders.
const SERVICE_DIR_MODE: u32 = 0o770;
/// Folders of hooks and logs.
const SUPERVISOR_DIR_MODE: u32 = 0o750;
/// The folder that holds all of these: names of services are no secret.
const SVC_DIR_MODE: u32 = 0o755;

/// Holds a service's folder, and makes it with all folders in it. Only the supervisor changes names in there, and in
/// its folders of hooks and logs; the others are the service's.
///
/// # Errors
/// A part is missing and cannot be made, is a link, or may be changed by a user other than the supervisor's.
pub(super) fn make(svc: &Path, owner: Owner) -> io::Result<Dir> {
    let all = Dir::open_or_make(svc.parent().unwrap_or(svc))?;
    owner.check_supervisors(&all)?;
    let dir = all.ensure_dir(svc.file_name().unwrap_or_default(), SVC_DIR_MODE, None)?;
    owner.check_supervisors(&dir)?;
    for name in [CONFIG, CONFIG_INSTALL, DATA, FILES, STATIC, VAR] {
        let own = dir.ensure_dir(OsStr::new(name), SERVICE_DIR_MODE, owner.service()).map_err(of(name))?;
        // It is from a time when the service ran as the supervisor's own user.
        if own.is_own()? {
            own.give(owner.service())?;
        }
    }
    for (name, owned) in [(HOOKS, owner.readable_by_service()), (LOGS, None)] {
        let own = dir.ensure_dir(OsStr::new(name), SUPERVISOR_DIR_MODE, owned).map_err(of(name))?;
        owner.check_supervisors(&own).map_err(of(name))?;
        own.keep(SUPERVISOR_DIR_MODE, owned)?;
    }
    Ok(dir)
}

/// Names the folder that an error is about, of those in a service's folder.
fn of(name: &str) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("its folder {name}: {error}"))
}

/// Holds the folder for a file of a service, given by its path in the service's folder, and makes it with those above
/// it.
///
/// # Errors
/// A part of the way is a link or no folder, or the disk refuses.
pub(super) fn folder_of(dir: &Dir, file: &Path, owner: Owner) -> io::Result<Dir> {
    let mut at = dir.dir(".")?;
    for part in file.parent().into_iter().flat_map(Path::iter) {
        at = at.ensure_dir(part, SERVICE_DIR_MODE, owner.service())?;
    }
    Ok(at)
}
