//! Scenario files on the disk. This module only reads text; `scenario` understands it.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use crate::scenario::{Plan, Problem, parse};

/// The name of the standard input in place of a file's.
const STDIN: &str = "-";
/// Largest scenario file, in bytes; the longest shipped one has a few thousand.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

impl Plan {
    /// Reads and checks a scenario file, or the standard input where the path is `-`.
    ///
    /// # Errors
    /// Every mistake that was found, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        let whole = |message: String, help: &str| vec![Problem::whole_file(&file, message, help)];
        let source = read(path).map_err(|error| {
            let help = "name a scenario file, for example one below scenarios/, or - for the standard input";
            whole(format!("cannot be read: {error}"), help)
        })?;
        if source.len() as u64 > BYTES_MAX {
            let message = format!("is larger than {BYTES_MAX} bytes, the most that a scenario may have");
            return Err(whole(message, "a scenario is a short text; name another file"));
        }
        parse(&file, &source)
    }
}

/// Opens a regular file. A pipe or a device would have to be waited for, perhaps for ever, so nothing else is read by
/// its name.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    let kind = fs::metadata(path)?;
    if !kind.is_file() {
        let what = if kind.is_dir() { "it is a folder" } else { "it is no regular file" };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    fs::File::open(path)
}

/// The text; a byte more than the largest file where there is more.
fn read(path: &Path) -> io::Result<String> {
    let mut source = String::new();
    if path == Path::new(STDIN) {
        io::stdin().take(BYTES_MAX + 1).read_to_string(&mut source)?;
        return Ok(source);
    }
    open(path)?.take(BYTES_MAX + 1).read_to_string(&mut source)?;
    Ok(source)
}
