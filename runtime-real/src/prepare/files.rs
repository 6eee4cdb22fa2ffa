//! The files of a service's folder: rendered in memory, written whole, and only when their content changes. Never
//! follows a link that the service may have made.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use annulus_core::{Changed, GroupFile, Hook};

use super::{Error, svc_dirs};
use crate::host::beneath::Dir;
use crate::host::look;
use crate::host::users::RunAs;
use crate::package::{self, Installed};
use crate::template::Engine;

/// Longest name of a group's file, in bytes, as file systems allow.
const NAME_BYTES_MAX: usize = 255;

/// The user and group of a service; none where it runs as the supervisor's own user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner(Option<(u32, u32)>);

impl Owner {
    pub(super) fn of(run_as: &RunAs) -> Self {
        Self(run_as.account().map(|account| (account.uid, account.gid)))
    }

    /// The owner of what belongs to the service.
    pub(super) fn service(self) -> Option<(u32, u32)> {
        self.0
    }

    /// The owner of what the service may read and not change.
    pub(super) fn readable_by_service(self) -> Option<(u32, u32)> {
        self.0.map(|(_, gid)| (nix::unistd::geteuid().as_raw(), gid))
    }

    /// Checks that no other user than the supervisor's can put something else in the place of what is in a directory.
    ///
    /// # Errors
    /// One could.
    pub(super) fn check_supervisors(self, dir: &Dir) -> io::Result<()> {
        // A supervisor that runs all as its own user has nothing to lose to that.
        if self.0.is_some() { dir.check_safe() } else { Ok(()) }
    }
}

/// A file of a service's folder.
pub(super) struct RenderedFile {
    /// Relative to the service's folder.
    pub(super) path: String,
    content: Vec<u8>,
    mode: u32,
}

impl RenderedFile {
    /// A file that is executed.
    pub(super) fn program(path: String, content: Vec<u8>) -> Self {
        Self { path, content, mode: svc_dirs::PROGRAM_MODE }
    }

    /// Whether the service's folder has another content of it, or none.
    pub(super) fn differs(&self, dir: &Dir) -> io::Result<bool> {
        let path = Path::new(&self.path);
        match dir.dir(Path::new(".").join(path.parent().unwrap_or(Path::new("")))) {
            Ok(folder) => Ok(!folder.holds(path.file_name().unwrap_or_default(), &self.content)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes it into the service's folder unless the same content is there already, and says whether it did.
    pub(super) fn write(&self, dir: &Dir, owner: Owner) -> io::Result<bool> {
        let path = Path::new(&self.path);
        // Hooks and the program stay the supervisor's, so that a service cannot rewrite what the supervisor runs.
        let is_program = self.mode == svc_dirs::PROGRAM_MODE;
        let owned = if is_program { owner.readable_by_service() } else { owner.service() };
        let folder = svc_dirs::folder_of(dir, path, owner)?;
        folder.write_if_changed(path.file_name().unwrap_or_default(), &self.content, self.mode, owned)
    }
}

/// Renders every file below a folder of templates, by name.
pub(super) fn render_folder(
    engine: &Engine,
    context: &serde_json::Value,
    from: &Path,
    to: &str,
    files: &mut Vec<RenderedFile>,
) -> Result<(), Error> {
    for (path, name) in templates(from, to)? {
        let text = package::read_text(&path)?;
        let content = engine.render(&path, &text, context)?;
        let is_hook = name.starts_with("hooks/");
        let mode = if is_hook { svc_dirs::PROGRAM_MODE } else { svc_dirs::CONFIG_FILE_MODE };
        files.push(RenderedFile { path: name, content: content.into_bytes(), mode });
    }
    Ok(())
}

/// Every file below a folder, with where it is rendered to, in order of name.
pub(super) fn templates(from: &Path, to: &str) -> Result<Vec<(std::path::PathBuf, String)>, Error> {
    let mut found = Vec::new();
    if !look::is_dir(from).map_err(Error::io(from))? {
        return Ok(found);
    }
    let mut entries =
        fs::read_dir(from).and_then(|dir| dir.collect::<Result<Vec<_>, _>>()).map_err(Error::io(from))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{to}/{}", entry.file_name().to_string_lossy());
        // A link to a folder may lead in a circle; packages hold none.
        if entry.file_type().map_err(Error::io(&path))?.is_dir() {
            found.append(&mut templates(&path, &name)?);
        } else {
            found.push((path, name));
        }
    }
    Ok(found)
}

/// The service's program: a copy of the rendered `run` hook, or of the package's own `run`.
pub(super) fn run_file(package: &Installed, files: &[RenderedFile]) -> Result<RenderedFile, Error> {
    let hook = files.iter().find(|file| file.path == "hooks/run").map(|file| file.content.clone());
    let content = match hook {
        Some(content) => content,
        None => {
            let own = package.path().join(svc_dirs::RUN_FILE);
            if !look::is_file(&own).map_err(Error::io(&own))? {
                return Err(Error::NotAService { ident: package.ident().to_string() });
            }
            fs::read(&own).map_err(Error::io(&own))?
        }
    };
    Ok(RenderedFile::program(svc_dirs::RUN_FILE.to_owned(), content))
}

/// Removes hooks that this package does not have, so that no hook of an older package is run. Returns their names.
pub(super) fn remove_old_hooks(dir: &Dir, files: &[RenderedFile]) -> io::Result<Vec<String>> {
    let current: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let hooks = dir.dir(svc_dirs::HOOKS)?;
    let mut removed = Vec::new();
    for path in hooks.files()? {
        let name = format!("{}/{}", svc_dirs::HOOKS, path.display());
        if !current.contains(name.as_str()) {
            let folder = hooks.dir(Path::new(".").join(path.parent().unwrap_or(Path::new(""))))?;
            folder.remove(path.file_name().unwrap_or_default())?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// What changes for the service when these files, named relative to the service's folder, have changed.
pub(super) fn changed(files: &[String]) -> Changed {
    let mut changed = Changed::default();
    for file in files {
        if let Some(hook) = file.strip_prefix("hooks/") {
            changed.hooks.extend(hook.parse::<Hook>());
        } else if file == svc_dirs::RUN_FILE {
            changed.hooks.insert(Hook::Run);
        } else {
            changed.config = true;
        }
    }
    changed
}

/// Whether writing the files of the service's group would change one.
pub(super) fn group_files_differ(dir: &Dir, files: &[GroupFile]) -> io::Result<bool> {
    let folder = dir.dir(svc_dirs::FILES)?;
    for file in files.iter().filter(|file| is_plain_name(&file.name)) {
        if !folder.holds(OsStr::new(&file.name), &file.body)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the files of the service's group. Returns those that are new or changed, and the names that are refused.
pub(super) fn write_group_files(
    dir: &Dir,
    files: &[GroupFile],
    owner: Owner,
) -> io::Result<(Vec<String>, Vec<String>)> {
    let (mut written, mut refused) = (Vec::new(), Vec::new());
    let folder = dir.dir(svc_dirs::FILES)?;
    for file in files {
        let is_withdrawn = file.body.is_empty();
        if !is_plain_name(&file.name) && is_withdrawn {
            // It was never written, and is wanted no longer.
            continue;
        }
        if !is_plain_name(&file.name) {
            refused
                .push(format!("the group's file {:?} is not written: that is not a plain name", file.name));
            continue;
        }
        let (name, mode) = (OsStr::new(&file.name), svc_dirs::GROUP_FILE_MODE);
        if folder.write_if_changed(name, &file.body, mode, owner.service())? {
            written.push(format!("{}/{}", svc_dirs::FILES, file.name));
        }
    }
    Ok((written, refused))
}

/// Whether a name stays inside its folder, and is not that of an unfinished file.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && !name.contains('/')
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_file_stays_in_its_folder() {
        for plain in ["a", "certs.pem", "a b", "a..b", "ä"] {
            assert!(is_plain_name(plain), "{plain}");
        }
        for bad in ["", ".", "..", "../a", "a/b", "/a", ".hidden", "a\nb", "a\0b", &"x".repeat(256)] {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_changed_is_told_apart() {
        let names = ["hooks/init", "hooks/strange", "run", "config/a/b"].map(str::to_owned);
        let all = changed(&names);
        assert!(all.config && !all.files);
        assert_eq!(all.hooks, BTreeSet::from([Hook::Init, Hook::Run]));
        assert_eq!(changed(&[]), Changed::default());
        assert!(!changed(&names[..3]).config);
    }
}
