//! A service's folder: the folders in it and their modes (as in Habitat).
//! Never changes the mode of a folder that exists.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::files::Owner;

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
/// The service's own folders.
const SERVICE_DIR_MODE: u32 = 0o770;
/// The supervisor's folders, and programs.
pub(super) const SUPERVISOR_MODE: u32 = 0o755;

/// Makes a service's folder with all folders in it. Modes of folders that exist are left as they are.
///
/// # Errors
/// The path, and the error of the operating system.
pub(super) fn make(svc: &Path, owner: Owner) -> io::Result<()> {
    ensure(svc, SUPERVISOR_MODE, None)?;
    for name in [CONFIG, CONFIG_INSTALL, DATA, FILES, STATIC, VAR] {
        ensure(&svc.join(name), SERVICE_DIR_MODE, Some(owner))?;
    }
    for name in [HOOKS, LOGS] {
        ensure(&svc.join(name), SUPERVISOR_MODE, None)?;
    }
    Ok(())
}

/// Makes a folder for rendered configuration, and those above it.
///
/// # Errors
/// As [`make`].
pub(super) fn ensure_config_dir(dir: &Path, owner: Owner) -> io::Result<()> {
    if let Some(parent) = dir.parent().filter(|parent| !parent.is_dir()) {
        ensure_config_dir(parent, owner)?;
    }
    ensure(dir, SERVICE_DIR_MODE, Some(owner))
}

fn ensure(dir: &Path, mode: u32, owner: Option<Owner>) -> io::Result<()> {
    // The service may write into its folders, so a link in there could lead the supervisor anywhere.
    if dir.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let is_dir = dir.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            return if is_dir { Ok(()) } else { Err(e) };
        }
        made => made?,
    }
    // Set afterwards, because the umask would cut a mode given at creation.
    fs::set_permissions(dir, Permissions::from_mode(mode))?;
    owner.map_or(Ok(()), |owner| owner.give(dir))
}
