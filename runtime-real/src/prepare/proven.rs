//! Remembers the operators' layers with which every template of a service was last rendered: what they said before counts
//! while they are malformed, cannot be read, or make a template fail. On disk, for a process that has to be started again
//! after a restart of the supervisor needs it most. Decides nothing.
//!
//! They hold what user.toml and the group's configuration hold, so the file is for the supervisor's user alone, in a folder
//! that the service cannot write.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::layers::{LastGood, Layer, Layers};
use crate::host::beneath::Dir;

const FILE: &str = ".layers";
const MODE: u32 = 0o600;
/// A longer file is of another program.
const BYTES_MAX: u64 = 4 << 20;

/// The file's form.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// 0 when the group has none.
    group_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Table>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Table>,
}

/// Keeps the layers of a rendering in which everything succeeded.
///
/// # Errors
/// The disk refuses.
pub(super) fn keep(dir: &Dir, layers: &Layers) -> io::Result<()> {
    if layers.tables.iter().any(|layer| layer.is_sealed) {
        // What came sealed is on disk in the service's own files alone, and the rest without it was never proven.
        return match dir.remove(OsStr::new(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let table = |layer| layers.table(layer).cloned();
    let kept =
        Kept { group_version: layers.group_version, user: table(Layer::User), group: table(Layer::Group) };
    let text = toml::to_string(&kept).map_err(io::Error::other)?;
    dir.write_if_changed(OsStr::new(FILE), text.as_bytes(), MODE, None).map(drop)
}

/// The layers that were kept in a service's folder; none where there are none, or none that can be read.
pub(super) fn read(svc: &Path) -> Option<LastGood> {
    let file = Dir::open(svc).and_then(|dir| dir.file(OsStr::new(FILE))).ok()??;
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    let kept: Kept = toml::from_str(&text).ok()?;
    Some(LastGood {
        user: kept.user,
        user_is_known: true,
        group: kept.group.map(|table| (kept.group_version, table)),
    })
}
