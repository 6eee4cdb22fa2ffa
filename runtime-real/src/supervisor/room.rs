//! Whether the disk takes what the supervisor has to store. After a write that failed, a small file is tried now and then,
//! so that the answer is true also while the supervisor has nothing to write.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus_core::EffectResult;

use crate::host::{clock, disk};

/// Between two tries, in milliseconds.
const TRY_PERIOD_MS: u64 = 1_000;
/// Bytes of a try: a page, for which a full disk has no room.
const TRY_BYTES: usize = 4_096;

#[derive(Debug, Default)]
struct State {
    /// Why the last write failed; none when it did not.
    trouble: Option<String>,
    /// When a file was tried last, in milliseconds since boot.
    tried_ms: Option<u64>,
}

/// The disk below a supervisor's data. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Room {
    file: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Room {
    /// The disk of this directory.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { file: dir.join("room.try"), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write has ended.
    pub(super) fn noted(&self, result: &EffectResult) {
        match result {
            EffectResult::PersistFailed(reason) => self.state().trouble = Some(reason.clone()),
            EffectResult::Persisted => self.state().trouble = None,
            _ => {}
        }
    }

    /// Why the last write failed; none when it did not. Waits for nothing.
    #[must_use]
    pub fn last_trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// Why the disk takes nothing; none when it does. May wait for the disk.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let now_ms = clock::boot_ms();
        {
            let mut state = self.state();
            state.trouble.as_ref()?;
            if state.tried_ms.is_some_and(|tried_ms| now_ms.saturating_sub(tried_ms) < TRY_PERIOD_MS) {
                return state.trouble.clone();
            }
            state.tried_ms = Some(now_ms);
        }
        // Not under the lock: the writing thread must not wait for a try that a slow disk holds up.
        let outcome = self.try_to_write();
        let mut state = self.state();
        state.trouble = match outcome {
            Ok(()) => None,
            Err(error) if disk::is_full(&error) => Some(format!("the disk is full ({error})")),
            Err(error) => Some(error.to_string()),
        };
        state.trouble.clone()
    }

    fn try_to_write(&self) -> io::Result<()> {
        let written = fs::File::create(&self.file).and_then(|mut file| {
            file.write_all(&[0; TRY_BYTES])?;
            file.sync_data()
        });
        let _ = fs::remove_file(&self.file);
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_lasts_until_the_disk_takes_something() {
        let dir = tempfile::tempdir().expect("a directory");
        let gone = Room::of(&dir.path().join("gone"));
        assert_eq!((gone.last_trouble(), gone.trouble()), (None, None), "nothing has failed yet");
        gone.noted(&EffectResult::PersistFailed("no room".into()));
        assert_eq!(gone.last_trouble().as_deref(), Some("no room"));
        assert!(gone.trouble().is_some(), "a try fails as well");
        gone.noted(&EffectResult::Persisted);
        assert_eq!(gone.trouble(), None);
        let there = Room::of(dir.path());
        there.noted(&EffectResult::PersistFailed("no room".into()));
        assert_eq!(there.trouble(), None, "there is room again, and no file is left");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
    }
}
