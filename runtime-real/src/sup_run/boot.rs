//! Counts the starts of a supervisor on disk, for what has to differ from one start to the next.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::host::{atomic, disk, small_file};

/// The number of this start cannot be stored.
#[derive(Debug, Error)]
#[error("{}: {source}; {}", .path.display(), disk::advice(.source, "a ring with a key needs the number of each start on disk"))]
pub struct BootError {
    path: PathBuf,
    source: std::io::Error,
}

/// Of what stands in the place of a number so much is shown.
const TEXT_CHARS_MAX: usize = 40;

/// Raises the number of this start on disk, before anything is sent. A file that holds no number begins anew: nonces stay
/// different by their salt.
pub(super) fn raise(data: &Path) -> Result<u32, BootError> {
    let path = data.join("BOOT");
    let before = match small_file::read_to_string(&path) {
        Ok(text) => {
            let number = text.trim().parse::<u32>().ok();
            if number.is_none() {
                tracing::warn!(
                    "{}: {:?} is no number of a start: the count begins anew, which does no harm",
                    path.display(),
                    text.trim().chars().take(TEXT_CHARS_MAX).collect::<String>()
                );
            }
            number
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, "{}: the count of starts begins anew, which does no harm", path.display());
            None
        }
    };
    let boot = before.unwrap_or_default().saturating_add(1);
    match atomic::write(&path, format!("{boot}\n").as_bytes(), 0o600) {
        Ok(()) => Ok(boot),
        Err(source) => Err(BootError { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_counted() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!((raise(dir.path()).expect("1"), raise(dir.path()).expect("2")), (1, 2));
        std::fs::write(dir.path().join("BOOT"), "4294967295").expect("written");
        assert_eq!(raise(dir.path()).expect("the end"), u32::MAX);
        std::fs::write(dir.path().join("BOOT"), "x").expect("written");
        assert_eq!(raise(dir.path()).expect("begun anew"), 1);
        assert!(matches!(raise(&dir.path().join("none")), Err(BootError { .. })));
    }
}
