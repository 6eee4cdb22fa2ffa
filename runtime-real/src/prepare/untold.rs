//! Remembers which changes of its files a service's process has not been told of yet. On disk, because a supervisor may be
//! killed between writing the files and the end of the hook that tells of them: the next one finds the files as they are
//! to be, and the process as it was. Tells no process of anything.
//!
//! A note is made before the first file changes beside a process, set aside when a hook begins to tell of it, and removed when
//! the hook has succeeded. What is written for the next start is for a process that knows of all: it removes every note.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use annulus_core::{Changed, Hook};

use crate::host::beneath::Dir;

const MODE: u32 = 0o600;

/// What a process is told in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By the hook `reconfigure`, or by its replacement.
    Config,
    /// By the hook `file-updated`.
    Files,
    /// By its replacement.
    Program,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Config, Self::Files, Self::Program];

    const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Files => "files",
            Self::Program => "program",
        }
    }

    /// What this hook tells of.
    const fn told_by(hook: Hook) -> Option<Self> {
        match hook {
            Hook::Reconfigure => Some(Self::Config),
            Hook::FileUpdated => Some(Self::Files),
            _ => None,
        }
    }

    fn is_in(self, changed: &Changed) -> bool {
        let Changed { config, hooks, files } = changed;
        match self {
            Self::Config => *config || hooks.contains(&Hook::Reconfigure),
            Self::Files => *files,
            Self::Program => [Hook::Run, Hook::Init, Hook::PostRun].iter().any(|hook| hooks.contains(hook)),
        }
    }

    fn add_to(self, changed: &mut Changed) {
        match self {
            Self::Config => changed.config = true,
            Self::Files => changed.files = true,
            Self::Program => drop(changed.hooks.insert(Hook::Run)),
        }
    }

    /// The note of a change of which no hook has begun to tell.
    fn untold(self) -> OsString {
        format!(".untold.{}", self.name()).into()
    }

    /// The note of one of which a hook has begun to tell.
    fn being_told(self) -> OsString {
        format!(".being-told.{}", self.name()).into()
    }
}

/// Notes that files are about to change beside a process.
///
/// # Errors
/// The disk refuses.
pub(super) fn note(dir: &Dir, changed: &Changed) -> io::Result<()> {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_in(changed)) {
        dir.replace(&kind.untold(), b"", MODE)?;
    }
    Ok(())
}

/// Removes all notes: no process runs, and the next one begins with the files as they are now.
///
/// # Errors
/// The disk refuses.
pub(super) fn forget(dir: &Dir) -> io::Result<()> {
    for name in Kind::ALL.into_iter().flat_map(|kind| [kind.untold(), kind.being_told()]) {
        match dir.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Adds what the process has not been told of.
///
/// # Errors
/// The disk refuses.
pub(super) fn add(dir: &Dir, changed: &mut Changed) -> io::Result<()> {
    for kind in Kind::ALL {
        if dir.which(&kind.untold())?.is_some() || dir.which(&kind.being_told())?.is_some() {
            kind.add_to(changed);
        }
    }
    Ok(())
}

/// A hook of the service in this folder is about to begin, which may tell of changes.
pub fn begins(svc: &Path, hook: Hook) {
    let Some(kind) = Kind::told_by(hook) else { return };
    // There is no note as a rule, and one that stays makes the next supervisor tell of it again.
    let _ = Dir::open(svc).and_then(|dir| dir.rename(&kind.untold(), &kind.being_told()));
}

/// It has succeeded.
pub fn succeeded(svc: &Path, hook: Hook) {
    let Some(kind) = Kind::told_by(hook) else { return };
    let _ = Dir::open(svc).and_then(|dir| dir.remove(&kind.being_told()));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn changed(config: bool, hooks: &[Hook], files: bool) -> Changed {
        Changed { config, hooks: hooks.iter().copied().collect(), files }
    }

    #[test]
    fn a_process_is_told_of_what_changed_beside_it_and_no_hook_has_told() {
        let tmp = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(tmp.path()).expect("opened");
        let untold = || {
            let mut untold = Changed::default();
            add(&dir, &mut untold).expect("readable");
            untold
        };
        note(&dir, &Changed::default()).expect("noted");
        assert_eq!(untold(), Changed::default());
        note(&dir, &changed(true, &[Hook::HealthCheck], true)).expect("noted");
        assert_eq!(untold(), changed(true, &[], true));
        begins(tmp.path(), Hook::Reconfigure);
        assert_eq!(untold(), changed(true, &[], true), "until that has succeeded");
        note(&dir, &changed(true, &[], false)).expect("noted");
        succeeded(tmp.path(), Hook::Reconfigure);
        assert_eq!(untold(), changed(true, &[], true), "of the second change it has not told");
        for hook in [Hook::Reconfigure, Hook::FileUpdated, Hook::Init] {
            begins(tmp.path(), hook);
            succeeded(tmp.path(), hook);
        }
        assert_eq!(untold(), Changed::default());
        note(&dir, &changed(true, &[Hook::PostRun], false)).expect("noted");
        assert_eq!(untold().hooks, BTreeSet::from([Hook::Run]), "no hook tells of that");
        begins(tmp.path(), Hook::Reconfigure);
        forget(&dir).expect("removed");
        assert_eq!(untold(), Changed::default(), "the next process begins with these files");
    }
}
