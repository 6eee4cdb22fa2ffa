//! The page of memory that a guard shares with its launcher and with the supervisor: the deadline of its service and
//! the right to resume, and how far the end of the service has come. It is never on a disk, and survives every process
//! but the guard itself.
//!
//! The supervisor writes leases straight into the page, so that no frozen process in between can make a deadline pass.
//! The guard sets the deadline to a mark when it begins to kill, in one atomic step with its look at the
//! time: a lease that comes later fails, and its supervisor knows that the process is no leader any more.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

use crate::launcher::message::{Lease, Resume};
use crate::launcher::sys::{PAGE_WORDS, SharedPage};

/// The deadline in milliseconds since boot; zero is none.
const KILL_AT: usize = 0;
/// Whether the service was asked to stop.
const STOPPING: usize = 1;
/// How the first process ended, as the system says it, and a bit above; zero while it runs.
const STATUS: usize = 2;
/// Which of the two slots holds the right to resume: 0 none, 1, 2.
const RESUME: usize = 3;
/// The slots begin here.
const SLOTS: usize = 8;
/// Words of a slot.
const SLOT_WORDS: usize = 64;
/// Words of a slot before the group's name: member (2), term, end, length of the name.
const SLOT_HEAD: usize = 5;
/// Longest name of a group, in bytes.
const GROUP_BYTES_MAX: usize = (SLOT_WORDS - SLOT_HEAD) * 8;

/// The guard has begun to kill, and no lease changes that.
const KILLED: u64 = u64::MAX;
/// Tells a status of zero from none.
const HAS_STATUS: u64 = 1 << 32;

const _: () = assert!(SLOTS + 2 * SLOT_WORDS <= PAGE_WORDS, "both slots fit into the page");
const _: () = assert!(
    GROUP_BYTES_MAX >= annulus_core::limits::SERVICE_GROUP_BYTES_MAX,
    "each group's name fits into a slot"
);

/// The shared page of one guard.
#[derive(Debug)]
pub(crate) struct Page(SharedPage);

/// A lease came too late: the guard kills the service, or has done so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLate;

impl Page {
    pub(crate) fn map(file: impl AsFd) -> Result<Self, Errno> {
        SharedPage::map(file).map(Self)
    }

    /// Keeps the page in memory where this process may do that.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        self.0.lock()
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.0.words()[at]
    }

    /// The deadline in milliseconds since boot.
    pub(crate) fn kill_at_ms(&self) -> Option<u64> {
        Some(self.word(KILL_AT).load(Ordering::SeqCst)).filter(|at| !matches!(*at, 0 | KILLED))
    }

    /// Whether the guard has begun to kill.
    pub(crate) fn is_killed(&self) -> bool {
        self.word(KILL_AT).load(Ordering::SeqCst) == KILLED
    }

    /// Begins the end if the deadline has passed; true for the call that began it.
    pub(crate) fn expire(&self, now_ms: u64) -> bool {
        let at = self.word(KILL_AT).load(Ordering::SeqCst);
        // Another lease may come at this very moment, and counts then.
        !matches!(at, 0 | KILLED)
            && at <= now_ms
            && self.word(KILL_AT).compare_exchange(at, KILLED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Begins the end.
    pub(crate) fn kill(&self) {
        self.word(KILL_AT).store(KILLED, Ordering::SeqCst);
    }

    /// Gives a lease, or takes it away. Says whether the guard has to be woken: for a deadline where there was none, or
    /// an earlier one.
    ///
    /// # Errors
    /// The deadline before has passed, or the guard kills already. No right to resume is left then.
    pub(crate) fn hold(&self, lease: Option<&Lease>, now_ms: u64) -> Result<bool, TooLate> {
        let resume = lease.and_then(|lease| lease.resume.as_ref());
        if resume.is_none() {
            // What is withdrawn must not outlive a failure below.
            self.word(RESUME).store(0, Ordering::SeqCst);
        }
        let at = lease.map_or(0, |lease| lease.kill_at_ms.clamp(1, KILLED - 1));
        let renewed = self.word(KILL_AT).fetch_update(Ordering::SeqCst, Ordering::SeqCst, |before| {
            (before == 0 || (before != KILLED && before > now_ms)).then_some(at)
        });
        match (renewed, resume) {
            (Err(_), _) => {
                self.word(RESUME).store(0, Ordering::SeqCst);
                Err(TooLate)
            }
            (Ok(before), resume) => {
                if let Some(resume) = resume {
                    self.write_resume(resume);
                }
                Ok(at != 0 && (before == 0 || at < before))
            }
        }
    }

    /// Gives a deadline where there is none, for what starts beside or before the service's process; one that is there
    /// stands.
    ///
    /// # Errors
    /// The guard kills already.
    pub(crate) fn hold_first(&self, kill_at_ms: u64) -> Result<(), TooLate> {
        let at = kill_at_ms.clamp(1, KILLED - 1);
        match self.word(KILL_AT).compare_exchange(0, at, Ordering::SeqCst, Ordering::SeqCst) {
            Err(KILLED) => Err(TooLate),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Writes the right to resume into the slot that is not in use, and then switches over: a supervisor that is killed
    /// in between leaves the entry before.
    fn write_resume(&self, resume: &Resume) {
        let name = resume.group.as_bytes();
        assert!(name.len() <= GROUP_BYTES_MAX, "names of groups are shorter");
        let slot = if self.word(RESUME).load(Ordering::SeqCst) == 1 { 2 } else { 1 };
        let (high, low) = resume.member.split_at(8);
        let number = |bytes: &[u8]| {
            let mut word = [0; 8];
            word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word)
        };
        let head = [number(high), number(low), resume.term, resume.until_ms, name.len() as u64];
        let words = head.into_iter().chain(name.chunks(8).map(number));
        for (at, word) in words.enumerate() {
            self.word(slot_at(slot) + at).store(word, Ordering::SeqCst);
        }
        self.word(RESUME).store(slot, Ordering::SeqCst);
    }

    /// The right to resume; none once the guard kills.
    pub(crate) fn resume(&self) -> Option<Resume> {
        let slot = self.word(RESUME).load(Ordering::SeqCst);
        if !matches!(slot, 1 | 2) || self.is_killed() {
            return None;
        }
        let read = |at: usize| self.word(slot_at(slot) + at).load(Ordering::SeqCst);
        let mut member = [0; 16];
        for (half, word) in member.chunks_mut(8).zip([read(0), read(1)]) {
            half.copy_from_slice(&word.to_le_bytes());
        }
        let length = usize::try_from(read(4)).ok().filter(|length| *length <= GROUP_BYTES_MAX)?;
        let bytes = (0..length.div_ceil(8)).flat_map(|at| read(SLOT_HEAD + at).to_le_bytes());
        let group = String::from_utf8(bytes.take(length).collect()).ok()?;
        Some(Resume { member, group, term: read(2), until_ms: read(3) })
    }

    /// Whether the service was asked to stop: then its tree keeps its time after the first process has ended.
    pub(crate) fn is_stopping(&self) -> bool {
        self.word(STOPPING).load(Ordering::SeqCst) != 0
    }

    pub(crate) fn set_stopping(&self, stopping: bool) {
        self.word(STOPPING).store(stopping.into(), Ordering::SeqCst);
    }

    /// How the first process ended.
    pub(crate) fn status(&self) -> Option<i32> {
        let status = self.word(STATUS).load(Ordering::SeqCst);
        (status != 0).then_some(status as u32 as i32)
    }

    pub(crate) fn set_status(&self, status: i32) {
        self.word(STATUS).store(HAS_STATUS | u64::from(status as u32), Ordering::SeqCst);
    }
}

/// The first word of a slot.
fn slot_at(slot: u64) -> usize {
    if slot == 1 { SLOTS } else { SLOTS + SLOT_WORDS }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::launcher::guard::page_file;

    fn page() -> Page {
        Page::map(page_file().expect("a file")).expect("mapped")
    }

    fn lease(kill_at_ms: u64, resume: Option<Resume>) -> Lease {
        Lease { kill_at_ms, resume }
    }

    fn resume(term: u64) -> Resume {
        Resume { member: [7; 16], group: "redis.prod".to_owned(), term, until_ms: 9_000 }
    }

    #[test]
    fn a_lease_is_renewed_until_it_ends_and_never_after_the_kill_has_begun() {
        let page = page();
        assert_eq!(page.hold(Some(&lease(1_000, Some(resume(4)))), 10), Ok(true), "the first is news");
        assert_eq!(page.hold(Some(&lease(2_000, Some(resume(4)))), 999), Ok(false));
        assert_eq!(page.hold(Some(&lease(1_500, Some(resume(5)))), 999), Ok(true), "it is earlier");
        assert_eq!((page.kill_at_ms(), page.resume()), (Some(1_500), Some(resume(5))));
        assert!(!page.expire(1_499));
        assert_eq!(page.hold(Some(&lease(3_000, Some(resume(5)))), 1_500), Err(TooLate), "its time is over");
        assert!(page.expire(1_500) && page.is_killed() && !page.expire(1_501));
        assert_eq!(page.hold(Some(&lease(3_000, Some(resume(6)))), 1_400), Err(TooLate));
        assert_eq!(page.hold(None, 1_400), Err(TooLate));
        assert_eq!((page.kill_at_ms(), page.resume()), (None, None));
    }

    #[test]
    fn the_right_to_resume_is_withdrawn_apart_from_the_deadline() {
        let page = page();
        page.hold(Some(&lease(1_000, Some(resume(4)))), 10).expect("given");
        page.hold(Some(&lease(1_000, None)), 10).expect("withdrawn");
        assert_eq!((page.kill_at_ms(), page.resume()), (Some(1_000), None));
        page.hold(None, 10).expect("taken away");
        assert_eq!(page.kill_at_ms(), None);
        assert!(!page.expire(u64::MAX - 1), "no deadline, no end");
    }

    #[test]
    fn a_hook_s_lease_counts_only_where_there_is_no_other() {
        let page = page();
        page.hold_first(1_000).expect("given");
        page.hold_first(900).expect("the other one stands");
        assert_eq!(page.kill_at_ms(), Some(1_000));
        page.hold(Some(&lease(2_000, None)), 500).expect("renewed");
        assert!(page.expire(2_000));
        assert_eq!(page.hold_first(9_000), Err(TooLate));
    }

    #[test]
    fn how_the_first_process_ended_is_kept() {
        let page = page();
        assert_eq!(page.status(), None);
        for status in [0, 9, 7 << 8, -1] {
            page.set_status(status);
            assert_eq!(page.status(), Some(status));
        }
        page.set_stopping(true);
        assert!(page.is_stopping());
        page.set_stopping(false);
        assert!(!page.is_stopping());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(group in "[a-zé]{0,127}", member: [u8; 16], term: u64, until_ms: u64, times in 1..4) {
            let page = page();
            let resume = Resume { member, group, term, until_ms };
            for _ in 0..times {
                page.hold(Some(&lease(5_000, Some(resume.clone()))), 0).expect("given");
            }
            prop_assert_eq!(page.resume(), Some(resume));
        }

        #[test]
        fn no_content_of_the_page_makes_it_panic(words in prop::collection::vec(any::<u64>(), 140)) {
            let page = page();
            for (at, word) in words.iter().enumerate() {
                page.word(at).store(*word, Ordering::SeqCst);
            }
            let _ = (page.resume(), page.status(), page.kill_at_ms());
        }
    }
}
