//! The invitations that a supervisor has given out, on disk: a hash of each secret, until when it counts, and who used it. Decides
//! who may come in by them. Speaks with no host.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus_core::{MemberId, UnixTime};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::handshake::Refusal;
use super::line::Verifier;
use crate::host::{atomic, small_file};
use crate::keys::crypto::{base64_decode, base64_encode};

/// Invitations that can be open at one time.
pub const OPEN_MAX: usize = 64;
/// Those that are remembered, ended ones too.
const KEPT_MAX: usize = 2 * OPEN_MAX;
/// Shortest and longest time for which one may be, in milliseconds.
pub const FOR_MS_MIN: u64 = 60_000;
/// See [`FOR_MS_MIN`].
pub const FOR_MS_MAX: u64 = 7 * 86_400_000;
/// One that has ended is remembered so long, so that who comes late hears why it is not let in, in milliseconds.
const ENDED_KEPT_MS: u64 = 86_400_000;
/// The member that used one may ask again at least so long, where the answer was lost, in milliseconds.
const AGAIN_MS: u64 = 600_000;
/// A clock that was set back by so much less is believed, in milliseconds.
const SET_BACK_MS_MAX: u64 = 300_000;

/// Why there is no such invitation.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// It cannot be stored.
    #[error("the invitations in {}: {source}; nothing was changed", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// There are too many.
    #[error(
        "{OPEN_MAX} invitations are open already; let them run out, or take some back with `annulus ring invite --revoke ID` \
         (`--list` shows them)"
    )]
    Full,
    /// The time is out of bounds.
    #[error("an invitation counts for one minute to seven days")]
    Time,
}

/// Who used an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The member's id, 32 hex digits.
    pub member: String,
    /// When it came, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Whether it said that it has stored what it got.
    pub is_confirmed: bool,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// By what it is called: eight hex digits.
    pub id: String,
    /// The hash of its secret, in base64.
    verifier: String,
    /// When it was made, in milliseconds since the epoch.
    pub made_ms: u64,
    /// Until when it counts.
    pub until_ms: u64,
    /// When an operator took it back.
    pub revoked_ms: Option<u64>,
    /// Who used it.
    pub used: Option<Use>,
}

/// How far an invitation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It waits for a new host.
    Open,
    /// A member got the key, and has not said yet that it has stored it.
    Answered,
    /// A member came in by it.
    Used,
    /// Its time is over.
    Expired,
    /// An operator took it back.
    Revoked,
}

impl Stage {
    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Entry {
    fn verifier(&self) -> Option<Verifier> {
        Verifier::from_bytes(&base64_decode(&self.verifier)?)
    }

    /// How far it is.
    #[must_use]
    pub fn stage(&self, now: UnixTime) -> Stage {
        match &self.used {
            Some(used) if used.is_confirmed => Stage::Used,
            _ if self.revoked_ms.is_some() => Stage::Revoked,
            Some(used) if now.as_millis() < self.until_ms.max(used.at_ms.saturating_add(AGAIN_MS)) => {
                Stage::Answered
            }
            Some(_) => Stage::Used,
            None if now.as_millis() >= self.until_ms => Stage::Expired,
            None => Stage::Open,
        }
    }

    /// When it ended; none where it has not.
    fn ended_ms(&self, now: UnixTime) -> Option<u64> {
        match self.stage(now) {
            Stage::Open | Stage::Answered => None,
            Stage::Used => self.used.as_ref().map(|used| used.at_ms),
            Stage::Revoked => self.revoked_ms,
            Stage::Expired => Some(self.until_ms),
        }
    }

    /// Whether this member may come in by it.
    fn admits(&self, member: &MemberId, now: UnixTime) -> Result<(), Refused> {
        let refused = |why, at_ms| Err(Refused { why, at_ms, by: None });
        if now.as_millis().saturating_add(SET_BACK_MS_MAX) < self.made_ms {
            return refused(Refusal::Clock, self.made_ms);
        }
        let by = self.used.as_ref().and_then(|used| used.member.parse::<MemberId>().ok());
        match (self.stage(now), &self.used) {
            (Stage::Open, _) => Ok(()),
            (Stage::Answered, _) if by == Some(*member) => Ok(()),
            (Stage::Answered | Stage::Used, Some(used)) => {
                Err(Refused { why: Refusal::Used, at_ms: used.at_ms, by })
            }
            (Stage::Revoked, _) => refused(Refusal::Revoked, self.revoked_ms.unwrap_or_default()),
            _ => refused(Refusal::Expired, self.until_ms),
        }
    }
}

/// One who knows a secret is not let in all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// When what it speaks of happened.
    pub at_ms: u64,
    /// The member that came before.
    pub by: Option<MemberId>,
}

/// The invitations of a supervisor. Cheap to clone; all clones are one. Its changes wait for the disk.
#[derive(Clone, Debug)]
pub struct Register {
    path: PathBuf,
    entries: Arc<Mutex<Vec<Entry>>>,
    /// Held by the one that writes the file. No one that reads waits for the disk.
    writing: Arc<Mutex<()>>,
}

#[derive(Serialize, Deserialize)]
struct File {
    invitations: Vec<Entry>,
}

impl Register {
    /// Reads the file. One that cannot be read lets no host in; the log says so.
    #[must_use]
    pub fn open(path: PathBuf) -> Self {
        let entries = match read(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(
                    "the invitations in {} cannot be read and count no longer: {error}; make new ones with `annulus ring invite`",
                    path.display()
                );
                Vec::new()
            }
        };
        Self { path, entries: Arc::new(Mutex::new(entries)), writing: Arc::default() }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the entries, on disk first.
    fn change<T>(
        &self,
        now: UnixTime,
        change: impl FnOnce(&mut Vec<Entry>) -> Result<T, RegisterError>,
    ) -> Result<T, RegisterError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.list();
        let mut changed = before.clone();
        let changed_to = change(&mut changed)?;
        forget(&mut changed, now);
        if changed != before {
            let error = |source| RegisterError::Io { path: self.path.clone(), source };
            let text = serde_json::to_vec(&File { invitations: changed.clone() });
            let text = text.map_err(|failed| error(failed.into()))?;
            atomic::write(&self.path, &text, 0o600).map_err(error)?;
            *self.entries() = changed;
        }
        Ok(changed_to)
    }

    /// Every invitation that is remembered, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        self.entries().clone()
    }

    /// How many are open.
    #[must_use]
    pub fn open_count(&self, now: UnixTime) -> usize {
        self.entries().iter().filter(|entry| entry.stage(now) == Stage::Open).count()
    }

    /// A new one, by the hash of its secret.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn add(&self, verifier: &Verifier, for_ms: u64, now: UnixTime) -> Result<Entry, RegisterError> {
        if !(FOR_MS_MIN..=FOR_MS_MAX).contains(&for_ms) {
            return Err(RegisterError::Time);
        }
        self.change(now, |entries| {
            let open = entries.iter().filter(|entry| entry.stage(now) == Stage::Open).count();
            if open >= OPEN_MAX {
                return Err(RegisterError::Full);
            }
            let entry = Entry {
                id: verifier.id(),
                verifier: base64_encode(verifier.key().as_bytes()),
                made_ms: now.as_millis(),
                until_ms: now.as_millis().saturating_add(for_ms),
                revoked_ms: None,
                used: None,
            };
            entries.push(entry.clone());
            Ok(entry)
        })
    }

    /// Takes one back, or all without an id; returns those that it was done to.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn revoke(&self, id: Option<&str>, now: UnixTime) -> Result<Vec<String>, RegisterError> {
        self.change(now, |entries| {
            let is_meant = |entry: &&mut Entry| {
                id.is_none_or(|id| entry.id == id)
                    && matches!(entry.stage(now), Stage::Open | Stage::Answered)
            };
            let revoke = |entry: &mut Entry| {
                entry.revoked_ms = Some(now.as_millis());
                entry.id.clone()
            };
            Ok(entries.iter_mut().filter(is_meant).map(revoke).collect())
        })
    }

    /// The one of which `knows` says that the joiner knows its hash.
    pub(super) fn find(&self, knows: impl Fn(&Verifier) -> bool) -> Option<(String, Verifier)> {
        let entries = self.entries();
        entries.iter().find_map(|entry| {
            let verifier = entry.verifier().filter(&knows)?;
            Some((entry.id.clone(), verifier))
        })
    }

    /// A member comes by an invitation, which is its own from now on.
    ///
    /// # Errors
    /// It cannot be stored. The inner one: it may not come in.
    pub fn admit(
        &self,
        id: &str,
        member: &MemberId,
        now: UnixTime,
    ) -> Result<Result<(), Refused>, RegisterError> {
        self.change(now, |entries| {
            let Some(entry) = entries.iter_mut().find(|entry| entry.id == id) else {
                return Ok(Err(Refused { why: Refusal::Expired, at_ms: now.as_millis(), by: None }));
            };
            let admitted = entry.admits(member, now);
            if admitted.is_ok() && entry.used.is_none() {
                entry.used =
                    Some(Use { member: member.to_string(), at_ms: now.as_millis(), is_confirmed: false });
            }
            Ok(admitted)
        })
    }

    /// The member that came by it has stored what it got.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn confirm(&self, id: &str, now: UnixTime) -> Result<(), RegisterError> {
        self.change(now, |entries| {
            let entry = entries.iter_mut().find(|entry| entry.id == id);
            if let Some(used) = entry.and_then(|entry| entry.used.as_mut()) {
                used.is_confirmed = true;
            }
            Ok(())
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let File { mut invitations } = serde_json::from_str(&small_file::read_to_string(path)?)?;
    invitations.truncate(KEPT_MAX);
    Ok(invitations)
}

/// Forgets what ended long ago, and of too many what ended first.
fn forget(entries: &mut Vec<Entry>, now: UnixTime) {
    let is_old = |ended: u64| ended.saturating_add(ENDED_KEPT_MS) <= now.as_millis();
    entries.retain(|entry| !entry.ended_ms(now).is_some_and(is_old));
    while entries.len() > KEPT_MAX {
        let first = (0..entries.len())
            .min_by_key(|at| entries.get(*at).and_then(|entry| entry.ended_ms(now)).unwrap_or(u64::MAX));
        entries.remove(first.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::invite::line::JoinSecret;

    const HOUR_MS: u64 = 3_600_000;

    fn at(ms: u64) -> UnixTime {
        UnixTime::from_millis(1_700_000_000_000 + ms)
    }

    fn member(byte: u8) -> MemberId {
        MemberId::from_bytes([byte; 16])
    }

    struct Bed {
        dir: tempfile::TempDir,
        register: Register,
    }

    impl Bed {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let register = Register::open(dir.path().join("invitations"));
            Self { dir, register }
        }

        fn invite(&self, now: u64) -> String {
            let verifier = JoinSecret::generate().expect("entropy").verifier();
            self.register.add(&verifier, HOUR_MS, at(now)).expect("made").id
        }

        fn admit(&self, id: &str, byte: u8, now: u64) -> Result<(), Refusal> {
            self.register.admit(id, &member(byte), at(now)).expect("stored").map_err(|refused| refused.why)
        }

        /// The register as the next supervisor reads it.
        fn again(&self) -> Vec<Entry> {
            Register::open(self.dir.path().join("invitations")).list()
        }
    }

    #[test]
    fn the_first_member_has_it_and_may_ask_again_until_it_confirmed() {
        let bed = Bed::new();
        let id = bed.invite(0);
        assert_eq!(bed.admit(&id, 1, 10), Ok(()));
        assert_eq!(bed.admit(&id, 2, 20), Err(Refusal::Used));
        assert_eq!(bed.admit(&id, 1, 30), Ok(()), "its answer may have been lost");
        bed.register.confirm(&id, at(40)).expect("stored");
        assert_eq!(bed.admit(&id, 1, 50), Err(Refusal::Used));
        assert_eq!(bed.again(), bed.register.list());
        let late = bed.invite(0);
        assert_eq!(bed.admit(&late, 3, HOUR_MS - 1), Ok(()));
        assert_eq!(bed.admit(&late, 3, HOUR_MS + AGAIN_MS - 2), Ok(()), "a little longer than it counts");
        assert_eq!(bed.admit(&late, 3, HOUR_MS + AGAIN_MS), Err(Refusal::Used));
    }

    #[test]
    fn time_an_operator_and_a_clock_that_was_set_back_end_it() {
        let bed = Bed::new();
        let [timed, revoked, odd] = [(); 3].map(|()| bed.invite(HOUR_MS));
        assert_eq!(bed.admit(&timed, 1, 2 * HOUR_MS), Err(Refusal::Expired));
        assert_eq!(bed.register.revoke(Some(&revoked), at(HOUR_MS)).expect("stored").concat(), revoked);
        assert_eq!(bed.admit(&revoked, 1, HOUR_MS), Err(Refusal::Revoked));
        assert_eq!(bed.admit(&odd, 1, 0), Err(Refusal::Clock));
        assert_eq!(bed.admit(&odd, 1, HOUR_MS), Ok(()));
        assert_eq!(bed.admit("00000000", 1, 0), Err(Refusal::Expired));
        assert_eq!(bed.register.revoke(None, at(HOUR_MS)).expect("stored").len(), 2);
        assert_eq!(bed.admit(&odd, 1, HOUR_MS), Err(Refusal::Revoked), "also where its answer was lost");
        assert_eq!(bed.register.open_count(at(HOUR_MS)), 0);
    }

    #[test]
    fn there_are_few_on_disk_for_its_owner_alone_and_old_ones_go() {
        let bed = Bed::new();
        (0..OPEN_MAX).for_each(|_| drop(bed.invite(0)));
        let verifier = JoinSecret::generate().expect("entropy").verifier();
        let full = bed.register.add(&verifier, HOUR_MS, at(0)).expect_err("too many");
        assert!(full.to_string().contains("--revoke"), "{full}");
        for wrong in [FOR_MS_MIN - 1, FOR_MS_MAX + 1] {
            assert!(matches!(bed.register.add(&verifier, wrong, at(0)), Err(RegisterError::Time)));
        }
        let path = bed.dir.path().join("invitations");
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        (0..3 * OPEN_MAX).for_each(|at| {
            let _ = bed.register.revoke(None, self::at(at as u64)).expect("stored");
            bed.invite(at as u64);
        });
        assert_eq!(bed.register.list().len(), KEPT_MAX);
        bed.invite(3 * 24 * HOUR_MS);
        assert_eq!(bed.again().len(), 1, "what ended more than a day ago is forgotten");
        std::fs::write(&path, "{").expect("written");
        assert!(bed.again().is_empty(), "a damaged file lets no host in");
    }

    #[test]
    fn what_cannot_be_stored_lets_no_member_in() {
        let bed = Bed::new();
        let id = bed.invite(0);
        std::fs::remove_dir_all(bed.dir.path()).expect("removed");
        let failed = bed.register.admit(&id, &member(1), at(0)).expect_err("not stored").to_string();
        assert!(failed.contains("nothing was changed"), "{failed}");
        assert!(bed.register.list()[0].used.is_none());
    }
}
