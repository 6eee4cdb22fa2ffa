//! Whether the disk takes what the supervisor has to store. Where a write failed, or the file system says that it has next
//! to no room, a small file is tried now and then: the answer is true also while the supervisor has nothing to write.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus_core::EffectResult;
use nix::sys::statvfs::statvfs;

use crate::host::{clock, disk};

/// Between two tries, in milliseconds.
const TRY_PERIOD_MS: u64 = 1_000;
/// Bytes of a try: a page, for which a full disk has no room.
const TRY_BYTES: usize = 4_096;
/// A file system with less room than this, in bytes, may be full for who stores something there: a try tells.
const NEXT_TO_NOTHING_BYTES: u64 = 1 << 20;
/// A disk that has not answered a try for this long, in milliseconds, takes nothing.
const SILENT_MS: u64 = 5_000;

#[derive(Debug, Default)]
struct State {
    /// Why the last write failed; none when it did not.
    trouble: Option<String>,
    /// When the disk was asked last, in milliseconds since boot.
    asked_ms: Option<u64>,
    /// Whether that has not ended yet.
    asks: bool,
}

impl State {
    /// What is known without asking.
    fn known(&self, now_ms: u64) -> Option<String> {
        let silent_ms = self.asked_ms.filter(|_| self.asks).map(|asked_ms| now_ms.saturating_sub(asked_ms));
        match silent_ms {
            Some(silent_ms) if silent_ms >= SILENT_MS => {
                Some(format!("the disk has not answered for {} s", silent_ms / 1_000))
            }
            _ => self.trouble.clone(),
        }
    }
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
            EffectResult::PersistFailed(reason) => {
                let mut state = self.state();
                if state.trouble.is_none() {
                    // News, whatever the disk said a moment ago; what a try said of it is clearer.
                    (state.trouble, state.asked_ms) = (Some(reason.clone()), None);
                }
            }
            EffectResult::Persisted => self.state().trouble = None,
            _ => {}
        }
    }

    /// Why nothing can be stored as far as that is known; none when it can. Waits for nothing.
    #[must_use]
    pub fn last_trouble(&self) -> Option<String> {
        self.state().known(clock::boot_ms())
    }

    /// Why the disk takes nothing; none when it does. May wait for the disk, one caller at a time.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let now_ms = clock::boot_ms();
        let failed = {
            let mut state = self.state();
            if state.asks
                || state.asked_ms.is_some_and(|asked_ms| now_ms.saturating_sub(asked_ms) < TRY_PERIOD_MS)
            {
                return state.known(now_ms);
            }
            (state.asked_ms, state.asks) = (Some(now_ms), true);
            state.trouble.is_some()
        };
        // Not under the lock: the writing thread must not wait for a try that a slow disk holds up.
        let tried = (failed || self.has_next_to_nothing()).then(|| self.try_to_write());
        let mut state = self.state();
        state.asks = false;
        match tried {
            Some(Ok(())) => state.trouble = None,
            Some(Err(error)) if disk::is_full(&error) => {
                state.trouble = Some(format!("the disk is full ({error})"));
            }
            Some(Err(error)) => state.trouble = Some(error.to_string()),
            // A write may have failed meanwhile.
            None => {}
        }
        state.trouble.clone()
    }

    /// Whether the file system says that it is as good as full. A network's may not know.
    fn has_next_to_nothing(&self) -> bool {
        let dir = self.file.parent().unwrap_or(Path::new("."));
        statvfs(dir).is_ok_and(|room| {
            room.blocks_available().saturating_mul(room.fragment_size()) < NEXT_TO_NOTHING_BYTES
        })
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
