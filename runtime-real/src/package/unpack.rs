//! Reads the archive of a package without trusting its content. Writes only below the directory that it was given.
//!
//! Every entry has to lie below `hab/pkgs/<origin>/<name>/<version>/<release>`, the same for all. Refused are paths
//! with `..`, links that lead out, devices, set-user-id programs, and entries that would be written through a link.
//! The size of the content is limited, and counted while it is read.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use annulus_core::PackageIdent;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use tar::EntryType;

use super::step;
use crate::host::beneath::Dir;

/// Packages hold nothing that is not for all.
const DIR_MODE: u32 = 0o755;

/// Memory that decompression may take, in bytes; `xz -9` needs 65 MiB.
const DECODER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes that may stand between the contents of two files: headers with long names and extensions.
const HEADERS_BYTES_MAX: u64 = 1024 * 1024;

/// Bounds for the content of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files, directories and links.
    pub entries_max: u64,
    /// All files together, in bytes.
    pub bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries_max: 500_000, bytes_max: 16 * 1024 * 1024 * 1024 }
    }
}

/// An entry whose path has been checked; paths are relative to the package's directory.
pub(super) enum Item<'a> {
    Dir,
    File { size: u64, executable: bool, content: &'a mut dyn Read },
    Symlink { target: PathBuf },
    HardLink { target: PathBuf },
}

/// Visits all entries of a compressed archive; returns the ident that their paths name.
///
/// # Errors
/// Says why the archive is refused; also passes on the errors of `visit`.
pub(super) fn walk(
    compressed: impl Read,
    limits: Limits,
    mut visit: impl FnMut(&Path, Item<'_>) -> Result<(), String>,
) -> Result<PackageIdent, String> {
    let left = Rc::new(Cell::new(0));
    let stream = Stream::new_stream_decoder(DECODER_BYTES_MAX, CONCATENATED).map_err(|e| e.to_string())?;
    let content = Metered { inner: XzDecoder::new_stream(compressed, stream), left: Rc::clone(&left) };
    let mut archive = tar::Archive::new(content);
    let mut package: Option<PackageIdent> = None;
    let (mut entries_count, mut bytes_total) = (0_u64, 0_u64);
    let mut entries = archive.entries().map_err(unreadable)?;
    loop {
        left.set(HEADERS_BYTES_MAX);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(unreadable)?;
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        entries_count += 1;
        if entries_count > limits.entries_max {
            return Err(format!("it holds more than {} files", limits.entries_max));
        }
        let path = entry.path().map_err(unreadable)?.into_owned();
        let Some((ident, inner)) = place(&path, kind)? else { continue };
        if *package.get_or_insert_with(|| ident.clone()) != ident {
            return Err(format!("{} belongs to another package than the entries before it", show(&path)));
        }
        if kind.is_file() {
            bytes_total = bytes_total.saturating_add(entry.size());
            if bytes_total > limits.bytes_max {
                return Err(format!("it holds more than {} bytes", limits.bytes_max));
            }
            left.set(entry.size());
        }
        let link = entry.link_name().map_err(unreadable)?.map(|link| link.into_owned());
        let mode = entry.header().mode().map_err(unreadable)?;
        let item = match kind {
            EntryType::Directory => Item::Dir,
            EntryType::Regular | EntryType::Continuous if mode & 0o6000 != 0 => {
                return Err(format!("{} would run as another user (set-user-id)", show(&path)));
            }
            EntryType::Regular | EntryType::Continuous => {
                Item::File { size: entry.size(), executable: mode & 0o111 != 0, content: &mut entry }
            }
            EntryType::Symlink => Item::Symlink { target: symlink_target(&inner, link, &ident, &path)? },
            EntryType::Link => Item::HardLink { target: hard_link_target(link, &ident, &path)? },
            other => {
                return Err(format!("{} is of a kind that packages do not hold ({other:?})", show(&path)));
            }
        };
        visit(&inner, item)?;
    }
    // The bytes after the archive's end are part of what was signed, so they are read as well.
    left.set(HEADERS_BYTES_MAX);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(unreadable)?;
    package.ok_or_else(|| String::from("it holds no package"))
}

/// The package that an entry belongs to, and its path in there; none for the directories above it.
fn place(path: &Path, kind: EntryType) -> Result<Option<(PackageIdent, PathBuf)>, String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().ok_or("it holds a name that is not UTF-8")?),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("{} is an absolute path", show(path)));
            }
            Component::ParentDir => return Err(format!("{} leads out of the package (..)", show(path))),
        }
    }
    let above = ["hab", "pkgs"];
    let outside = || format!("{} is not below hab/pkgs/<origin>/<name>/<version>/<release>", show(path));
    if parts.iter().zip(above).any(|(part, expected)| *part != expected) {
        return Err(outside());
    }
    let Some((head, inner)) = parts.split_at_checked(6) else {
        return if kind.is_dir() { Ok(None) } else { Err(outside()) };
    };
    let ident: PackageIdent = head[2..].join("/").parse().map_err(|_| outside())?;
    if inner.is_empty() && !kind.is_dir() {
        return Err(outside());
    }
    Ok(Some((ident, inner.iter().collect())))
}

/// The target of a symbolic link, if it cannot lead out of the package. A target that names the package's place below
/// `/hab` becomes relative, because the root may be elsewhere.
///
/// `..` may only come first: behind another link it would mean another directory than it seems to.
fn symlink_target(
    inner: &Path,
    target: Option<PathBuf>,
    ident: &PackageIdent,
    path: &Path,
) -> Result<PathBuf, String> {
    let target = target.ok_or_else(|| format!("{} is a link without a target", show(path)))?;
    let depth = inner.components().count().saturating_sub(1);
    let own = Path::new("/hab/pkgs").join(ident.to_string());
    let target = match target.strip_prefix(own) {
        Ok(own) => std::iter::repeat_n(Path::new(".."), depth).chain([Path::new("."), own]).collect(),
        Err(_) => target,
    };
    let mut above = depth;
    let mut going_up = true;
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if going_up && above > 0 => above -= 1,
            Component::Normal(_) => going_up = false,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!(
                    "{} is a link that leads out of the package, to {}",
                    show(path),
                    show(&target)
                ));
            }
        }
    }
    Ok(target)
}

/// A hard link's target inside the package.
fn hard_link_target(target: Option<PathBuf>, ident: &PackageIdent, path: &Path) -> Result<PathBuf, String> {
    let target = target.ok_or_else(|| format!("{} is a link without a target", show(path)))?;
    match place(&target, EntryType::Regular) {
        Ok(Some((package, inner))) if package == *ident => Ok(inner),
        _ => Err(format!("{} is a link that leads out of the package, to {}", show(path), show(&target))),
    }
}

/// Unpacks a compressed archive into `dest`, a directory that only this process writes to; everything is on disk when
/// this returns. Returns the ident that the archive names.
///
/// # Errors
/// Says why the archive is refused, or what the system said; the caller then removes `dest`.
pub(super) fn unpack(compressed: impl Read, limits: Limits, dest: &Path) -> Result<PackageIdent, String> {
    let mut dirs = BTreeSet::from([PathBuf::new()]);
    let dest = &Dir::open(dest).map_err(|e| e.to_string())?;
    let ident = walk(compressed, limits, |inner, item| {
        step::reached("the next entry comes");
        let failed = |e: io::Error| format!("{}: {e}", show(inner));
        match item {
            Item::Dir => ensure_dir(dest, inner, &mut dirs),
            Item::File { size, executable, content } => {
                let (parent, name) = ensure_parent(dest, inner, &mut dirs)?;
                let mode = if executable { 0o755 } else { 0o644 };
                let mut file = parent.create(name).map_err(failed)?;
                step::reached("a file is made");
                if io::copy(content, &mut file).map_err(failed)? != size {
                    return Err(format!("{} is cut short", show(inner)));
                }
                file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
                file.sync_all().map_err(failed)
            }
            Item::Symlink { target } => {
                let (parent, name) = ensure_parent(dest, inner, &mut dirs)?;
                parent.symlink(&target, name).map_err(failed)
            }
            Item::HardLink { target } => {
                let (parent, name) = ensure_parent(dest, inner, &mut dirs)?;
                let of = dest.dir(below(target.parent().unwrap_or(Path::new("")))).ok();
                let linked = of.map(|of| parent.hard_link(&of, target.file_name().unwrap_or_default(), name));
                match linked {
                    None => Err(format!("{} is a link to no file of the package", show(inner))),
                    Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => {
                        Err(format!("{} is a link to no file of the package", show(inner)))
                    }
                    Some(linked) => linked.map_err(failed),
                }
            }
        }
    })?;
    for dir in &dirs {
        let synced = dest.dir(below(dir)).and_then(|dir| dir.sync());
        synced.map_err(|e| format!("{}: {e}", show(dir)))?;
    }
    Ok(ident)
}

/// A path below a directory, which may be that directory.
fn below(path: &Path) -> PathBuf {
    Path::new(".").join(path)
}

/// Holds the directory of an entry, which is made with those above it, and says the entry's name there.
fn ensure_parent<'a>(
    dest: &Dir,
    inner: &'a Path,
    dirs: &mut BTreeSet<PathBuf>,
) -> Result<(Dir, &'a OsStr), String> {
    let parent = inner.parent().unwrap_or(Path::new(""));
    ensure_dir(dest, parent, dirs)?;
    let held = dest.dir(below(parent)).map_err(|e| format!("{}: {e}", show(parent)))?;
    Ok((held, inner.file_name().unwrap_or_default()))
}

/// Makes a directory and those above it. `dirs` holds the ones made so far: an existing path that is not among them is
/// a file or a link, and refused.
fn ensure_dir(dest: &Dir, inner: &Path, dirs: &mut BTreeSet<PathBuf>) -> Result<(), String> {
    let mut path = PathBuf::new();
    for component in inner.components() {
        path.push(component);
        if dirs.contains(&path) {
            continue;
        }
        let failed = |e: io::Error| format!("{}: {e}", show(&path));
        let parent = dest.dir(below(path.parent().unwrap_or(Path::new("")))).map_err(failed)?;
        match parent.create_dir(path.file_name().unwrap_or_default(), DIR_MODE) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(format!(
                    "{} is a directory, but an earlier entry made it a file or a link",
                    show(&path)
                ));
            }
            made => drop(made.map_err(failed)?),
        }
        dirs.insert(path.clone());
    }
    Ok(())
}

/// A path from the archive, made safe for a terminal.
fn show(path: &Path) -> String {
    format!("{path:?}")
}

fn unreadable(e: io::Error) -> String {
    format!("its archive is damaged or cut short: {e}")
}

/// Yields at most `left` bytes; reading further is an error.
struct Metered<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("headers or padding are larger than any package needs"));
        }
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..len])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}
