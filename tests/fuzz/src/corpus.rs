//! Folders of inputs. `corpus/TARGET` has the inputs that a loop begins with, made by `annulus-fuzz corpus` from real
//! traffic of the simulator and from hand; `regression/TARGET` has those that failed once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::target::{self, Target};

/// This package's folder.
#[must_use]
pub fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The inputs that a loop begins with.
#[must_use]
pub fn folder(target: &Target) -> PathBuf {
    home().join("corpus").join(target.name)
}

/// The inputs that failed once.
#[must_use]
pub fn regression(target: &Target) -> PathBuf {
    home().join("regression").join(target.name)
}

/// The files of a folder, in order of their names; none when there is no such folder.
#[must_use]
pub fn read(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.into_iter().filter_map(|path| Some((path.clone(), fs::read(path).ok()?))).collect()
}

/// The content of all files of this kind below a folder of the repository.
#[must_use]
pub fn files_below(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut todo = vec![home().join("..").join(folder)];
    while let Some(path) = todo.pop() {
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|of| of == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// A name for an input: the same input has the same name everywhere.
#[must_use]
pub fn name_of(input: &[u8]) -> String {
    // FNV-1a: short, and equal on every machine and in every release.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Keeps an input in a folder, under its name.
///
/// # Errors
/// The folder cannot be written.
pub fn keep(folder: &Path, input: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name_of(input));
    fs::write(&path, input)?;
    Ok(path)
}

/// Writes the first inputs of every target into its folder, and removes those that are no longer made.
///
/// # Errors
/// A folder cannot be written.
pub fn make() -> io::Result<Vec<(&'static str, usize)>> {
    let mut made = Vec::new();
    for target in target::ALL {
        let folder = folder(target);
        let seeds = (target.seeds)();
        for (path, _) in read(&folder) {
            fs::remove_file(path)?;
        }
        for seed in &seeds {
            keep(&folder, seed)?;
        }
        made.push((target.name, seeds.len()));
    }
    Ok(made)
}
