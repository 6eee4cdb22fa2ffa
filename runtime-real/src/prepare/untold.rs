//! Remembers which changes of its files a service's process has not been told of yet. On disk, because a supervisor may be
//! killed between writing the files and the end of the hook that tells of them: the next one finds the files as they are
//! to be, and the process as it was. Tells no process of anything.
//!
//! A note is made before the first file changes, set aside when a hook begins to tell of it, and removed when the hook has
//! succeeded. It holds the boot and the time of the change: a process that began later knows of it anyway.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::Path;

use annulus_core::{Changed, Hook};

use crate::host::beneath::Dir;
use crate::host::clock;
use crate::launcher::identity;

const MODE: u32 = 0o600;
/// The system counts the begin of a process in ticks: one that began this many milliseconds before the change may be shown
/// as having begun after it.
const TICK_MS: u64 = 20;
/// A longer note is none of ours.
const NOTE_BYTES_MAX: u64 = 128;

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

/// Notes that files are about to change.
///
/// # Errors
/// The disk refuses.
pub(super) fn note(dir: &Dir, changed: &Changed) -> io::Result<()> {
    let text = format!("{} {}\n", identity::boot_id(), clock::boot_ms());
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_in(changed)) {
        dir.replace(&kind.untold(), text.as_bytes(), MODE)?;
    }
    Ok(())
}

/// Adds what a process has not been told of that began so many milliseconds after the boot.
///
/// # Errors
/// A note cannot be read.
pub(super) fn add_since(dir: &Dir, began_ms: u64, changed: &mut Changed) -> io::Result<()> {
    for kind in Kind::ALL {
        for name in [kind.untold(), kind.being_told()] {
            if noted_ms(dir, &name)?.is_some_and(|noted_ms| noted_ms.saturating_add(TICK_MS) >= began_ms) {
                kind.add_to(changed);
            }
        }
    }
    Ok(())
}

/// When a change was noted since this boot, in milliseconds.
fn noted_ms(dir: &Dir, name: &OsString) -> io::Result<Option<u64>> {
    let Some(file) = dir.file(name)? else { return Ok(None) };
    let mut text = String::new();
    file.take(NOTE_BYTES_MAX).read_to_string(&mut text)?;
    let (boot, at_ms) = text.trim().split_once(' ').unwrap_or_default();
    Ok(at_ms.parse().ok().filter(|_| boot == identity::boot_id()))
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
    fn a_process_is_told_of_what_changed_since_it_began_and_no_hook_has_told() {
        let tmp = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(tmp.path()).expect("opened");
        let since = |began_ms| {
            let mut untold = Changed::default();
            add_since(&dir, began_ms, &mut untold).expect("readable");
            untold
        };
        let now_ms = clock::boot_ms();
        note(&dir, &Changed::default()).expect("noted");
        assert_eq!(since(0), Changed::default());
        note(&dir, &changed(true, &[Hook::HealthCheck], true)).expect("noted");
        assert_eq!(since(now_ms), changed(true, &[], true));
        assert_eq!(since(now_ms + 3_600_000), Changed::default(), "it began later");
        begins(tmp.path(), Hook::Reconfigure);
        assert_eq!(since(now_ms), changed(true, &[], true), "until that has succeeded");
        note(&dir, &changed(true, &[], false)).expect("noted");
        succeeded(tmp.path(), Hook::Reconfigure);
        assert_eq!(since(now_ms), changed(true, &[], true), "of the second change it has not told");
        for hook in [Hook::Reconfigure, Hook::FileUpdated, Hook::Init] {
            begins(tmp.path(), hook);
            succeeded(tmp.path(), hook);
        }
        assert_eq!(since(now_ms), Changed::default());
        note(&dir, &changed(false, &[Hook::PostRun], false)).expect("noted");
        assert_eq!(since(now_ms).hooks, BTreeSet::from([Hook::Run]), "no hook tells of that");
        std::fs::write(tmp.path().join(".untold.program"), format!("another-boot {now_ms}\n"))
            .expect("written");
        assert_eq!(since(now_ms), Changed::default(), "no process outlives the host");
    }
}
