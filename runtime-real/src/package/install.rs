//! Installs one package file. Changes nothing below the root unless the whole package is verified and on disk.
//!
//! A package appears below the root by one rename, when all of it is on disk and verified. Until then it is a
//! directory whose name begins with `.installing-`, which the next install removes if this one dies. So an install may
//! be repeated after a crash at any point, and a package that is there is complete.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;

use super::uninstall::REMOVING_PREFIX;
use super::unpack::{self, Item, Limits};
use super::{Error, Hart, Installed, MetaFile, SignedHash, host_target, newest, step};
use crate::host::root::Root;
use crate::host::{atomic, lock_file};
use crate::keys::KeyCache;
use crate::keys::crypto::{Hash, Hasher};

const STAGING_PREFIX: &str = ".installing-";
/// The file of a package's default configuration.
const DEFAULT_CONFIG: &str = "default.toml";
/// Largest metafile that is read out of an archive, in bytes.
const METAFILE_BYTES_MAX: u64 = 1024 * 1024;

/// The result of an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The package.
    pub ident: PackageIdent,
    /// Its directory.
    pub path: PathBuf,
    /// Whether it was there before.
    pub already: bool,
}

/// Verifies a package file and installs what it holds; does nothing when it is installed already.
///
/// # Errors
/// The file is not a package, not signed by a key of its origin that the cache holds, damaged, hostile, made
/// for another platform, or needs packages that are not installed. Nothing is changed then.
pub fn install_file(root: &Root, file: &Path, limits: Limits) -> Result<Outcome, Error> {
    let mut hart = Hart::open(file)?;
    let signed = hart.verify(&KeyCache::new(root.keys()))?;
    let pkgs = root.pkgs();
    fs::create_dir_all(&pkgs).map_err(Error::io(&pkgs))?;
    let _held = lock_all(root)?;
    remove_leftovers(&pkgs)?;

    let staging =
        tempfile::Builder::new().prefix(STAGING_PREFIX).tempdir_in(&pkgs).map_err(Error::io(&pkgs))?;
    let staged = staging.path().join("package");
    step::reached("staging is made");
    fs::create_dir(&staged).map_err(Error::io(&staged))?;
    fs::set_permissions(&staged, Permissions::from_mode(0o755)).map_err(Error::io(&staged))?;
    let mut payload = Hashed { inner: hart.payload()?, hasher: Hasher::new() };
    let ident = unpack::unpack(&mut payload, limits, &staged).map_err(|why| Error::archive(file, why))?;
    // Hashed again while it was unpacked, because the file may have changed since it was verified.
    let actual = payload.finish().map_err(Error::io(file))?;
    if actual != signed.hash {
        return Err(Error::Hash { path: file.to_owned(), signed: signed.hash, actual });
    }
    step::reached("all is unpacked");
    check(root, file, &signed, &Installed::at(ident.clone(), staged.clone()))?;
    let path =
        root.package(&ident).ok_or_else(|| Error::archive(file, "its ident is not fully qualified"))?;
    let already = put(&staged, &path, &pkgs)?;
    Ok(Outcome { ident, path, already })
}

/// Moves the finished package to its place unless a package is there already, and says whether one was.
fn put(staged: &Path, path: &Path, pkgs: &Path) -> Result<bool, Error> {
    if path.join(MetaFile::Ident.file_name()).is_file() {
        return Ok(true);
    }
    let parents: Vec<&Path> = path.ancestors().skip(1).take(3).collect();
    for dir in parents.iter().rev() {
        match fs::create_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.map_err(Error::io(dir))?;
                step::reached("a parent is made");
                fs::set_permissions(dir, Permissions::from_mode(0o755)).map_err(Error::io(dir))?;
            }
        }
    }
    step::reached("parents are there");
    fs::rename(staged, path).map_err(Error::io(path))?;
    step::reached("package is renamed");
    for dir in parents.into_iter().chain([pkgs]) {
        atomic::sync_dir(dir).map_err(Error::io(dir))?;
        step::reached("a parent is on disk");
    }
    Ok(false)
}

/// Checks what the signature does not promise: that the package is the one it claims to be, and can work here.
fn check(root: &Root, file: &Path, signed: &SignedHash, package: &Installed) -> Result<(), Error> {
    let ident = package.ident();
    if signed.signer.name() != ident.origin() {
        let why = format!(
            "{ident} is signed by {}, which is not a key of origin {}",
            signed.signer,
            ident.origin()
        );
        return Err(Error::archive(file, why));
    }
    let said = package.line(MetaFile::Ident)?.unwrap_or_default();
    if said != ident.to_string() {
        return Err(Error::archive(file, format!("its IDENT file says {said:?}, its paths say {ident}")));
    }
    let target = package.line(MetaFile::Target)?.unwrap_or_else(host_target);
    if target != host_target() {
        let why = format!("{ident} is made for {target:?}, and this is {}", host_target());
        return Err(Error::archive(file, why));
    }
    for missing in package.idents(MetaFile::Tdeps)? {
        if newest(root, &missing).is_err() {
            return Err(Error::dependency(root, ident.to_string(), missing));
        }
    }
    Ok(())
}

/// Holds all installed packages against other processes that install or remove one, and waits for these.
pub(super) fn lock_all(root: &Root) -> Result<File, Error> {
    let path = root.package_lock("all");
    let file = lock_file::open_in_folder(&path).map_err(Error::io(&path))?;
    file.lock().map_err(Error::io(&path))?;
    Ok(file)
}

/// Removes what dead installs and uninstalls left behind. Called only under the lock, so none of it is in use.
pub(super) fn remove_leftovers(pkgs: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(pkgs).map_err(Error::io(pkgs))? {
        let entry = entry.map_err(Error::io(pkgs))?;
        let name = entry.file_name();
        let unfinished = |prefix: &&str| name.to_string_lossy().starts_with(prefix);
        if [STAGING_PREFIX, REMOVING_PREFIX].iter().any(unfinished) {
            fs::remove_dir_all(entry.path()).map_err(Error::io(&entry.path()))?;
            step::reached("a leftover is removed");
        }
    }
    Ok(())
}

/// The claims of a package file about itself; its signature is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The package.
    pub ident: PackageIdent,
    /// Its metafiles.
    pub metafiles: BTreeMap<MetaFile, String>,
    /// Its default configuration, TOML; empty where it has none.
    pub config: String,
    /// How many files and links it holds.
    pub files_count: u64,
    /// The size of all files, in bytes.
    pub bytes: u64,
}

/// Reads a package file without installing it.
///
/// # Errors
/// It is not a package, damaged, or hostile.
pub fn inspect(hart: &mut Hart, limits: Limits) -> Result<Inspection, Error> {
    let (mut metafiles, mut config) = (BTreeMap::new(), String::new());
    let (mut files_count, mut bytes) = (0, 0);
    let path = hart.path().to_owned();
    let payload = hart.payload()?;
    let walked = unpack::walk(payload, limits, |inner, item| {
        if matches!(item, Item::Dir) {
            return Ok(());
        }
        files_count += 1;
        let Item::File { size, content, .. } = item else { return Ok(()) };
        bytes += size;
        let metafile = MetaFile::ALL.into_iter().find(|meta| Path::new(meta.file_name()) == inner);
        if let Some(metafile) = metafile {
            let mut text = String::new();
            let read = content.take(METAFILE_BYTES_MAX).read_to_string(&mut text);
            read.map_err(|e| format!("its {} file: {e}", metafile.file_name()))?;
            metafiles.insert(metafile, text);
        } else if inner == Path::new(DEFAULT_CONFIG) {
            let read = content.take(METAFILE_BYTES_MAX).read_to_string(&mut config);
            read.map_err(|e| format!("its {DEFAULT_CONFIG}: {e}"))?;
        } else {
            io::copy(content, &mut io::sink()).map_err(|e| e.to_string())?;
        }
        Ok(())
    });
    let ident = walked.map_err(|why| Error::archive(&path, why))?;
    Ok(Inspection { ident, metafiles, config, files_count, bytes })
}

/// Hashes the bytes that are read through it.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Hashed<R> {
    /// The hash of all bytes, including those that were not read yet.
    fn finish(mut self) -> io::Result<Hash> {
        io::copy(&mut self.inner, &mut self.hasher)?;
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
