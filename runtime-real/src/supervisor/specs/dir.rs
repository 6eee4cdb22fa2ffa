//! Reads the directory of spec files. Never waits for a file that is a pipe, and changes none.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use annulus_core::limits::SERVICE_SPEC_BYTES_MAX;
use annulus_core::{ServiceName, ServiceSpec};

use super::file;
use crate::host::small_file;

/// Mode of the files: which services run here, and how, is for the supervisor's user and group.
pub(super) const MODE: u32 = 0o640;
/// The mode of their directory.
pub(super) const DIR_MODE: u32 = 0o750;

/// Tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
    changed_s: i64,
    changed_ns: i64,
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            inode: meta.ino(),
            bytes: meta.len(),
            modified_s: meta.mtime(),
            modified_ns: meta.mtime_nsec(),
            changed_s: meta.ctime(),
            changed_ns: meta.ctime_nsec(),
        }
    }
}

/// One file, read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    pub(super) service: Result<ServiceName, String>,
    pub(super) spec: Result<ServiceSpec, String>,
}

/// The names of all spec files, and the content of those that have changed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) names: BTreeSet<String>,
    pub(super) changed: Vec<Found>,
}

/// Reads every spec file.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Found>> {
    Ok(list_unless(dir, |_, _| false)?.changed)
}

/// Reads the spec files that `as_before` does not hold for, in order of name.
pub(super) fn list_unless(dir: &Path, as_before: impl Fn(&str, Stamp) -> bool) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(dir)? {
        // A name that is not text cannot be that of a service.
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if file::service_of(&name).is_some() {
            listing.names.insert(name);
        }
    }
    let mut gone = Vec::new();
    for name in &listing.names {
        let path = dir.join(name);
        match stamp(&path) {
            Some(stamp) if as_before(name, stamp) => {}
            _ => match look(&path)? {
                Some(found) => listing.changed.push(found),
                None => gone.push(name.clone()),
            },
        }
    }
    listing.names.retain(|name| !gone.contains(name));
    Ok(listing)
}

/// The state of a file; none when it cannot be asked for.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|meta| Stamp::from(&meta))
}

/// Reads one file; none when there is none. A file that cannot be read counts as one that cannot be used.
pub(super) fn look(path: &Path) -> io::Result<Option<Found>> {
    let link = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let service = file::service_of(&name).unwrap_or_else(|| Err("it is no spec file".to_owned()));
    // The stamp is taken before the text, so that a change in between is seen at the next look.
    let target = fs::metadata(path);
    let stamp = target.as_ref().map_or(Stamp::from(&link), Stamp::from);
    let spec = match (&service, target) {
        (Err(reason), _) => Err(reason.clone()),
        (_, Err(error)) => Err(error.to_string()),
        // Opening a pipe, for instance, may wait for ever.
        (_, Ok(meta)) if !meta.is_file() => Err("it is not a regular file".to_owned()),
        (Ok(service), Ok(_)) => read(path).and_then(|text| file::parse(service, &text)),
    };
    Ok(Some(Found { name, path: path.to_owned(), stamp, service, spec }))
}

fn read(path: &Path) -> Result<String, String> {
    let limit = SERVICE_SPEC_BYTES_MAX;
    let mut text = String::new();
    let file = small_file::open(path).map_err(|error| error.to_string())?;
    let bytes = file.take(limit as u64 + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if bytes > limit { Err(format!("it is longer than {limit} bytes")) } else { Ok(text) }
}

/// Brings a file to disk that another program wrote.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), crate::host::atomic::sync_dir)
}
