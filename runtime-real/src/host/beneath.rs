//! Files below a directory in which another user may change things while the supervisor works there. No path leads out
//! of it, and nothing is done by a name twice: what is made, given away or replaced is held by a descriptor.
//!
//! A service owns some folders of its own and may put links, pipes or other directories in the place of what the
//! supervisor made there, at any time. So every directory on the way is opened without following a link (`openat2`,
//! and step by step on kernels before 5.6), every file is written under a new name that did not exist, through its
//! descriptor, and then renamed inside the directory that is held. What is in the way is replaced, never opened for
//! writing. A file that has other names elsewhere (hard links) is never given away, because it may be another's.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::dir::Dir as Listing;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, symlinkat, unlinkat};

/// The beginning of the names of files that are not finished. No scan of hooks or configuration looks for a name that
/// begins with a dot.
const UNFINISHED: &str = ".new-";
/// Names that are tried for an unfinished file before another user's mischief is assumed.
const NAMES_TRIED: u32 = 100;
/// Folders within folders that are listed.
const DEPTH_MAX: usize = 32;

/// The owner of a file or directory, user and group.
pub type Owner = (u32, u32);

/// What tells a file from every other one of this host as long as it exists, whatever its names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for FileId {
    fn from(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }
}

/// A directory that is held open. All names are those of entries in it, and all paths lead down from it.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// Whether the kernel lacks `openat2`, as far as is known.
static STEPS_ONLY: AtomicBool = AtomicBool::new(false);

impl Dir {
    /// Holds the directory at a path in which only the supervisor's user and root may change anything. Links on this
    /// way are the operator's, and followed.
    ///
    /// # Errors
    /// It is no directory, or may not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    /// The same for a directory that is made if it is not there.
    ///
    /// # Errors
    /// As [`Self::open`], or it cannot be made.
    pub fn open_or_make(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// Holds the directory at this path below.
    ///
    /// # Errors
    /// A part of the path does not exist, is a link or no directory, or leads up.
    pub fn dir(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match self.open_below(path, flags | OFlag::O_RDONLY) {
            // It is another user's. Held like this, what is in it can be reached where that user allows it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.open_below(path, flags | OFlag::O_PATH).map(Self)
            }
            opened => opened.map(Self),
        }
    }

    /// Holds the directory of this name, made with this mode and owner unless it is there. None leaves a new one to the
    /// supervisor's user.
    ///
    /// # Errors
    /// There is something else of this name, or the system refuses.
    pub fn ensure_dir(&self, name: &OsStr, mode: u32, owner: Option<Owner>) -> io::Result<Self> {
        match mkdirat(&self.0, name_of(name)?, Mode::S_IRWXU) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return self.dir(name),
            Err(errno) => return Err(errno.into()),
        }
        let made = self.dir(name)?;
        // Its name may stand for another directory by now, which only its owner could have put there.
        if made.is_own()? {
            made.keep(mode, owner)?;
        }
        Ok(made)
    }

    /// Has this directory belong to `owner` (none: as it is) and have this mode. For directories in whose parent only the
    /// supervisor changes names.
    ///
    /// # Errors
    /// The system refuses.
    pub fn keep(&self, mode: u32, owner: Option<Owner>) -> io::Result<()> {
        let file = File::from(self.0.try_clone()?);
        // Not when it was made, because the umask cuts a mode, and as long as it is the supervisor's.
        if file.metadata()?.mode() & 0o7777 != mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        self.give(owner)
    }

    /// Has this directory belong to `owner`; none leaves it as it is. For the same directories.
    ///
    /// # Errors
    /// The system refuses.
    pub fn give(&self, owner: Option<Owner>) -> io::Result<()> {
        let file = File::from(self.0.try_clone()?);
        let meta = file.metadata()?;
        match owner.filter(|owner| *owner != (meta.uid(), meta.gid())) {
            Some((uid, gid)) => fchown(&file, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Whether this directory belongs to the supervisor's own user.
    ///
    /// # Errors
    /// The system refuses.
    pub fn is_own(&self) -> io::Result<bool> {
        Ok(File::from(self.0.try_clone()?).metadata()?.uid() == geteuid().as_raw())
    }

    /// Checks that only the supervisor's user and the superuser may change names in this directory.
    ///
    /// # Errors
    /// Says who else may.
    pub fn check_safe(&self) -> io::Result<()> {
        const SUPERUSER: u32 = 0;
        let meta = File::from(self.0.try_clone()?).metadata()?;
        let refuse = |who: String| {
            let why =
                "could lead the supervisor to files of others; let only the supervisor's user write there";
            Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{who} may change it, and {why}")))
        };
        if ![SUPERUSER, geteuid().as_raw()].contains(&meta.uid()) {
            return refuse(format!("user {}", meta.uid()));
        }
        if meta.mode() & 0o002 != 0 {
            return refuse("every user".to_owned());
        }
        if meta.mode() & 0o020 != 0 && meta.gid() != SUPERUSER {
            return refuse(format!("group {}", meta.gid()));
        }
        Ok(())
    }

    /// Whether the file of this name has this content.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn holds(&self, name: &OsStr, content: &[u8]) -> io::Result<bool> {
        self.file(name)?.map_or(Ok(false), |file| has_content(file, content))
    }

    /// Writes the file of this name unless it has this content already, and says whether it did. Mode and owner are as
    /// asked for in both cases. After a crash at any moment the file has either its old or its new content.
    ///
    /// # Errors
    /// A directory has this name, the disk is full, or the system refuses; the file is then as before.
    pub fn write_if_changed(
        &self,
        name: &OsStr,
        content: &[u8],
        mode: u32,
        owner: Option<Owner>,
    ) -> io::Result<bool> {
        let (same_content, as_asked) = match self.file(name)? {
            Some(file) => {
                let meta = file.metadata()?;
                let owner = owner.unwrap_or((geteuid().as_raw(), meta.gid()));
                let kept = meta.mode() & 0o7777 == mode && (meta.uid(), meta.gid()) == owner;
                (has_content(file, content)?, kept && meta.nlink() == 1)
            }
            None => (false, false),
        };
        if !(same_content && as_asked) {
            let unfinished = self.unfinished(content, mode, owner)?;
            unfinished.file.sync_all()?;
            unfinished.become_file(name)?;
            self.sync()?;
        }
        Ok(!same_content)
    }

    /// Writes the file of this name in the place of what was there. Readers see the whole file or none; it need not
    /// survive a power failure.
    ///
    /// # Errors
    /// As [`Self::write_if_changed`].
    pub fn replace(&self, name: &OsStr, content: &[u8], mode: u32) -> io::Result<()> {
        self.unfinished(content, mode, None)?.become_file(name)
    }

    /// Opens the regular file of this name for reading; none if it does not exist, is anything else, or may not be read.
    ///
    /// # Errors
    /// The name is that of no entry.
    pub fn file(&self, name: &OsStr) -> io::Result<Option<File>> {
        // A pipe in its place must hold up neither the opening nor the reading, and a terminal must not become this
        // process's.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let opened = openat(&self.0, name_of(name)?, flags, Mode::empty()).map(File::from);
        Ok(opened.ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file())))
    }

    /// Which file, directory or link has this name at present; none if nothing has. Nothing is opened or followed.
    ///
    /// # Errors
    /// The system refuses.
    pub fn which(&self, name: &OsStr) -> io::Result<Option<FileId>> {
        match fstatat(&self.0, name_of(name)?, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileId { device: stat.st_dev, inode: stat.st_ino })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens the file of this name for appending and reading, and makes it with this mode if it is not there.
    ///
    /// # Errors
    /// It is a link or no regular file, has other names too, or the system refuses.
    pub fn append(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_RDWR
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        let wrong =
            |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{what}; remove it")));
        let file = match openat(&self.0, name_of(name)?, flags, Mode::from_bits_truncate(mode)) {
            Err(Errno::ELOOP) => return wrong("it is a symbolic link, which is not followed"),
            Err(Errno::EISDIR) => return wrong("it is a directory"),
            opened => File::from(opened?),
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return wrong("it is not a regular file");
        }
        if meta.nlink() > 1 {
            return wrong("it has other names too (hard links), and may be another's");
        }
        if meta.mode() & 0o7777 != mode && meta.uid() == geteuid().as_raw() {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(file)
    }

    /// Makes a file that was not there, for writing.
    ///
    /// # Errors
    /// There is something of this name already, or the system refuses.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(openat(&self.0, name_of(name)?, flags, mode).map(File::from)?)
    }

    /// Makes a directory that was not there, and holds it.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_dir(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        mkdirat(&self.0, name_of(name)?, Mode::S_IRWXU)?;
        let made = self.dir(name)?;
        made.keep(mode, None)?;
        Ok(made)
    }

    /// Makes a symbolic link that was not there.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn symlink(&self, target: &Path, name: &OsStr) -> io::Result<()> {
        Ok(symlinkat(target, &self.0, name_of(name)?)?)
    }

    /// Gives the regular file `target` in `dir` a second name here.
    ///
    /// # Errors
    /// It is no regular file, there is something of the new name already, or the system refuses.
    pub fn hard_link(&self, dir: &Self, target: &OsStr, name: &OsStr) -> io::Result<()> {
        if dir.file(target)?.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(linkat(&dir.0, name_of(target)?, &self.0, name_of(name)?, AtFlags::empty())?)
    }

    /// Renames an entry of this directory, in the place of what has the new name.
    ///
    /// # Errors
    /// It does not exist, or the system refuses.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, name_of(from)?, &self.0, name_of(to)?)?)
    }

    /// Removes a file or link of this directory.
    ///
    /// # Errors
    /// It does not exist, is a directory, or the system refuses.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name_of(name)?, UnlinkatFlags::NoRemoveDir)?)
    }

    /// All files below this directory, by path and in order; links to directories are not followed and count as files.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        self.find_files(Path::new(""), 0, &mut found)?;
        found.sort_unstable();
        Ok(found)
    }

    fn find_files(&self, above: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
        for name in self.names()? {
            let path = above.join(&name);
            match self.dir(&name) {
                Ok(dir) if depth < DEPTH_MAX => dir.find_files(&path, depth + 1, found)?,
                _ => found.push(path),
            }
        }
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<OsString>> {
        // A descriptor of its own, because a listing moves the place at which the directory is read.
        let mut listing =
            Listing::from_fd(self.open_below(Path::new("."), OFlag::O_RDONLY | OFlag::O_CLOEXEC)?)?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Brings this directory's entries to disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        File::from(self.0.try_clone()?).sync_all()
    }

    fn unfinished(&self, content: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<Unfinished<'_>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        for _ in 0..NAMES_TRIED {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!("{UNFINISHED}{}-{number}", std::process::id()));
            let file = match self.create(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let unfinished = Unfinished { dir: self, name, file, is_named: true };
            (&unfinished.file).write_all(content)?;
            // In this order: only a superuser may change the mode of another's file.
            unfinished.file.set_permissions(Permissions::from_mode(mode))?;
            if let Some((uid, gid)) = owner {
                fchown(&unfinished.file, Some(uid), Some(gid))?;
            }
            return Ok(unfinished);
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name for an unfinished file is taken"))
    }

    /// Opens a path of plain parts without following any link.
    fn open_below(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || path.as_os_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path does not lead down"));
        }
        if !STEPS_ONLY.load(Ordering::Relaxed) {
            let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
            loop {
                match openat2(&self.0, path, OpenHow::new().flags(flags).resolve(resolve)) {
                    // Something was renamed meanwhile.
                    Err(Errno::EAGAIN | Errno::EINTR) => {}
                    // An old kernel, or a filter of system calls that does not know this one.
                    Err(Errno::ENOSYS | Errno::EPERM) => break,
                    opened => return Ok(opened?),
                }
            }
            STEPS_ONLY.store(true, Ordering::Relaxed);
        }
        open_in_steps(self.0.as_fd(), path, flags)
    }
}

/// The same where the kernel has no such call.
fn open_in_steps(from: impl AsFd, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let mut at = from.as_fd().try_clone_to_owned()?;
    let parts: Vec<Component<'_>> = path.components().collect();
    for (number, part) in parts.iter().enumerate() {
        let directory = if number + 1 < parts.len() { OFlag::O_DIRECTORY } else { OFlag::empty() };
        let part = part.as_os_str();
        at = openat(&at, part, flags | directory | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

/// A name as an entry of a directory, which is neither a path nor the directory itself.
fn name_of(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no plain name")));
    }
    Ok(name)
}

fn has_content(mut file: File, content: &[u8]) -> io::Result<bool> {
    if file.metadata()?.len() != content.len() as u64 {
        return Ok(false);
    }
    let mut old = Vec::with_capacity(content.len());
    // Its owner may make it longer meanwhile.
    (&mut file).take(content.len() as u64 + 1).read_to_end(&mut old)?;
    Ok(old == content)
}

/// A file that is written and has not its own name yet; removed unless it gets that.
struct Unfinished<'a> {
    dir: &'a Dir,
    name: OsString,
    file: File,
    is_named: bool,
}

impl Unfinished<'_> {
    fn become_file(mut self, name: &OsStr) -> io::Result<()> {
        self.dir.rename(&self.name, name)?;
        self.is_named = false;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_named {
            let _ = self.dir.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests;
