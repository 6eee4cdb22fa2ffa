//! Who besides its owner may read or change a key file. A file with too wide a mode is refused where the mode can be
//! changed, and only told of where it cannot. Changes no mode.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::geteuid;

use super::{KeyError, KeyKind};

/// Checks the mode of an open key file. The remark is for the operator.
pub(super) fn check(
    file: &File,
    meta: &Metadata,
    path: &Path,
    kind: KeyKind,
) -> Result<Option<String>, KeyError> {
    let mode = meta.permissions().mode() & 0o777;
    if mode & excess(kind, meta.uid(), geteuid().is_root()) == 0 {
        return Ok(None);
    }
    let error = KeyError::Mode { path: path.to_owned(), mode, right: kind.mode(), kind };
    if cannot_change(file) {
        Ok(Some(format!("{error}, where that file system lets you")))
    } else {
        Err(error)
    }
}

/// The bits that a key file of this kind must not have.
fn excess(kind: KeyKind, owner: u32, superuser: bool) -> u32 {
    match kind.is_secret() {
        // A public key decides who may configure and install, so no other user may put another one in its place.
        false => 0o002,
        // The superuser gives a supervisor of another user its key by the group.
        true if owner == 0 && !superuser => 0o037,
        true => 0o077,
    }
}

/// Whether the file is on a mount for reading only, or on a file system that keeps no modes: the operator who mounted it
/// has decided who can read it.
fn cannot_change(file: &File) -> bool {
    let read_only = fstatvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
    read_only || keeps_no_modes(file)
}

/// File systems whose modes come from the mount: FAT, exFAT, NTFS, SMB and shared folders of virtual machines.
#[cfg(target_os = "linux")]
fn keeps_no_modes(file: &File) -> bool {
    const MODELESS: [u64; 7] =
        [0x4d44, 0x2011_bab0, 0x5346_544e, 0x7366_746e, 0xff53_4d42, 0xfe53_4d42, 0x786f_4256];
    nix::sys::statfs::fstatfs(file).is_ok_and(|fs| {
        // The number is signed on some processors, and has 32 bits.
        let number = (fs.filesystem_type().0 as u64) & 0xffff_ffff;
        MODELESS.contains(&number)
    })
}

#[cfg(not(target_os = "linux"))]
fn keeps_no_modes(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_owners() {
        let refused = |kind, mode: u32, owner, superuser| mode & excess(kind, owner, superuser) != 0;
        for secret in [KeyKind::Shared, KeyKind::BoxSecret, KeyKind::SigSecret] {
            assert!(!refused(secret, 0o400, 1_000, false) && !refused(secret, 0o600, 0, true));
            for wide in [0o440, 0o404, 0o420, 0o644, 0o777] {
                assert!(refused(secret, wide, 1_000, false) && refused(secret, wide, 0, true), "{wide:o}");
            }
            assert!(!refused(secret, 0o440, 0, false), "given by the superuser to the supervisor's group");
            assert!(refused(secret, 0o460, 0, false) && refused(secret, 0o444, 0, false));
        }
        for public in [KeyKind::SigPublic, KeyKind::BoxPublic] {
            assert!(!refused(public, 0o664, 1_000, false) && refused(public, 0o666, 1_000, false));
        }
    }
}
