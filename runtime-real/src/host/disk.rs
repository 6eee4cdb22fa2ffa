//! What an operator can do about an error of the disk. Reads and writes nothing.

use std::io;

/// The advice for an error: about the disk where that is full, and `otherwise` in other cases.
#[must_use]
pub fn advice<'a>(error: &io::Error, otherwise: &'a str) -> &'a str {
    if is_full(error) {
        "the disk is full: make room, for example among the services' data and logs below svc/, and try again"
    } else if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        "the file system takes no writes: mount it for writing, or choose another directory with --root"
    } else {
        otherwise
    }
}

/// Whether the disk, or what this user may have of it, is full.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_matter_of_owners() {
        for errno in [nix::libc::ENOSPC, nix::libc::EDQUOT, nix::libc::EFBIG] {
            let error = io::Error::from_raw_os_error(errno);
            assert!(is_full(&error) && advice(&error, "correct its owner").contains("make room"), "{error}");
        }
        let error = io::Error::from_raw_os_error(nix::libc::EACCES);
        assert_eq!(advice(&error, "correct its owner"), "correct its owner");
    }
}
