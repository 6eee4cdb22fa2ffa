//! Reads small files of which the path is known and the kind is not: what stands there may be a pipe that no program
//! writes to, a terminal or a device, and must hold no command up.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::{O_NOCTTY, O_NONBLOCK};

/// Longer files are refused, in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Opens the regular file at the path for reading.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file (a pipe, socket or device)",
        ));
    }
    Ok(file)
}

/// The text of the regular file at the path.
///
/// # Errors
/// As [`open`], or it is not text, or too long.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {BYTES_MAX} bytes"),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_read_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "text").expect("written");
        std::os::unix::fs::symlink("file", at("link")).expect("made");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        std::fs::write(at("large"), "x".repeat((1 << 20) + 1)).expect("written");
        assert_eq!(read_to_string(&at("file")).expect("read"), "text");
        assert_eq!(read_to_string(&at("link")).expect("read"), "text");
        for (name, why) in [
            ("pipe", "no regular file"),
            ("large", "more than"),
            ("none", "No such file"),
            (".", "directory"),
        ] {
            let error = read_to_string(&at(name)).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
