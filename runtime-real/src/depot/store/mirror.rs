//! Notices what has changed in a copy of a tree, into which another program brings files as it likes: by what its directories,
//! heads and lists look like.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::index::entries;
use crate::depot::{Error, Tree};
use crate::host::clock;

/// Between two looks at a whole tree, in milliseconds.
const LOOK_PERIOD_MS: u64 = 2_000;
/// Records lie so many directories down.
const RECORDS_DEPTH: usize = 4;
/// Heads lie so many directories down.
const HEADS_DEPTH: usize = 4;

/// The last look, and when it was, in milliseconds since the host has started.
#[derive(Clone, Debug, Default)]
pub(super) struct Look(Option<(u64, String)>);

impl Look {
    /// What tells the tree's state, as it was a moment ago.
    pub(super) fn now(&mut self, tree: &Tree) -> Result<String, Error> {
        if let Some((at_ms, seen)) = &self.0
            && clock::boot_ms().saturating_sub(*at_ms) < LOOK_PERIOD_MS
        {
            return Ok(seen.clone());
        }
        let seen = look(tree)?;
        self.0 = Some((clock::boot_ms(), seen.clone()));
        Ok(seen)
    }
}

/// What a tree looks like now.
pub(super) fn look(tree: &Tree) -> Result<String, Error> {
    let mut hasher = DefaultHasher::new();
    walk(&tree.pkgs(), RECORDS_DEPTH, &mut hasher)?;
    walk(&tree.heads(), HEADS_DEPTH, &mut hasher)?;
    walk(&tree.lists(), 2, &mut hasher)?;
    Ok(format!("mirror {:016x}", hasher.finish()))
}

fn walk(path: &Path, depth: usize, hasher: &mut DefaultHasher) -> Result<(), Error> {
    // What vanishes meanwhile is seen at the next look.
    let Ok(meta) = fs::metadata(path) else { return Ok(()) };
    (path, meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()).hash(hasher);
    if depth > 0 && meta.is_dir() {
        for entry in entries(path)? {
            walk(&entry, depth - 1, hasher)?;
        }
    }
    Ok(())
}
