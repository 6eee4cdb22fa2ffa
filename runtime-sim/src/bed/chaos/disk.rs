//! The disk of a host: a file system of its own in a file, which can be frozen. Where the machine cannot make one, a
//! host's root is a plain folder and disks are not frozen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bed::BedError;

/// Sparse: what is not written takes no place.
const BYTES: u64 = 512 * 1024 * 1024;

/// A mounted file system. Dropped, it is thawed and unmounted.
#[derive(Debug)]
pub(crate) struct Disk {
    place: PathBuf,
    frozen: bool,
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new(program).args(arguments).arg(path).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Disk {
    /// Makes a file system in `image` and mounts it at `place`.
    pub(crate) fn make(image: &Path, place: &Path) -> Result<Self, String> {
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("a path is not UTF-8");
        let image_text = text(image)?;
        fs::File::create(image)
            .and_then(|file| file.set_len(BYTES))
            .map_err(|error| format!("{}: {error}", image.display()))?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0"], image)?;
        run("mount", &["-o", "loop,noatime", &image_text], place)?;
        Ok(Self { place: place.to_owned(), frozen: false })
    }

    /// From now on nothing can be written to it; what writes waits.
    pub(crate) fn freeze(&mut self) -> Result<(), BedError> {
        run("fsfreeze", &["-f"], &self.place).map_err(BedError::Failed)?;
        self.frozen = true;
        Ok(())
    }

    pub(crate) fn thaw(&mut self) -> Result<(), BedError> {
        if std::mem::take(&mut self.frozen) {
            run("fsfreeze", &["-u"], &self.place).map_err(BedError::Failed)?;
        }
        Ok(())
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.thaw();
        if let Err(error) = run("umount", &[], &self.place) {
            eprintln!("{} is left mounted: {error}", self.place.display());
        }
    }
}

/// Thaws and unmounts every file system below a folder, such as a run that was killed leaves behind.
pub(crate) fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    for place in places.filter(|place| place.starts_with(folder)) {
        // It fails where nothing is frozen.
        let _ = run("fsfreeze", &["-u"], &place);
        let _ = run("umount", &["-l"], &place);
    }
}
