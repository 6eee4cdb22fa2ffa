//! Tells what is not there from what cannot be looked at: a file is absent only when the system says so. A folder without
//! permission, a network file system that is away, and a link that leads nowhere are errors, as what was read before
//! still counts then. Opens nothing.

use std::fs::Metadata;
use std::io;
use std::path::Path;

/// What is at the path; none when nothing is.
///
/// # Errors
/// It cannot be looked at.
pub(crate) fn meta(path: &Path) -> io::Result<Option<Metadata>> {
    match path.metadata() {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if is_absence(&error) => no_dead_link(path).map(|()| None),
        Err(error) => Err(error),
    }
}

/// Whether there is a regular file at the path.
///
/// # Errors
/// As [`meta`].
pub(crate) fn is_file(path: &Path) -> io::Result<bool> {
    Ok(meta(path)?.is_some_and(|meta| meta.is_file()))
}

/// Whether there is a directory at the path.
///
/// # Errors
/// As [`meta`].
pub(crate) fn is_dir(path: &Path) -> io::Result<bool> {
    Ok(meta(path)?.is_some_and(|meta| meta.is_dir()))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Checks that a path is not absent only because a link on its way leads nowhere, as one to a volume that is not mounted.
fn no_dead_link(path: &Path) -> io::Result<()> {
    for part in path.ancestors() {
        match part.symlink_metadata() {
            Ok(meta) if meta.is_symlink() && part.metadata().is_err_and(|error| is_absence(&error)) => {
                return Err(io::Error::other(format!("the link {} leads nowhere", part.display())));
            }
            Ok(_) => return Ok(()),
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn absent_and_unreadable_are_told_apart() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").expect("written");
        fs::create_dir(at("folder")).expect("made");
        symlink("file", at("link")).expect("linked");
        assert!(is_file(&at("file")).expect("seen") && is_file(&at("link")).expect("seen"));
        assert!(is_dir(&at("folder")).expect("seen") && !is_file(&at("folder")).expect("seen"));
        for absent in ["none", "none/below", "file/below"] {
            assert!(meta(&at(absent)).expect("seen not to be there").is_none(), "{absent}");
        }
        symlink("nowhere", at("dead")).expect("linked");
        symlink("round", at("round")).expect("linked");
        for unreadable in ["dead", "dead/below/it", "round", "round/below"] {
            let error = meta(&at(unreadable)).expect_err(unreadable).to_string();
            assert!(!unreadable.starts_with("dead") || error.contains("dead leads nowhere"), "{error}");
        }
        let long = at(&"x".repeat(300));
        assert!(meta(&long).is_err(), "a name that no file system has is not looked for");
    }
}
