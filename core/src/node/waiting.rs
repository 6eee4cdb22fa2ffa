//! Rumors of members that are known by hearsay alone, and those that such members told. They are worth nothing before these
//! have answered, which they will mostly have done in a moment: a member that joins hears of members and of their services
//! at once, and one that is back is told what it missed by members that its disk may not know.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Node;
use super::trust::Source;
use crate::model::id::MemberId;
use crate::model::limits::{WAITING_BYTES_MAX, WAITING_RUMORS_MAX};
use crate::model::member::MemberRecord;
use crate::model::rumor::Told;

/// A rumor, who told it, and where it came from.
#[derive(Debug)]
struct Waits {
    told: Told<'static>,
    from: MemberId,
    source: Source,
    bytes: usize,
}

/// Rumors by the member that owns them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rumors: BTreeMap<MemberId, Vec<Waits>>,
    bytes: usize,
}

impl Waiting {
    /// Keeps a rumor for its owner. One for which there is no room comes back by a digest exchange.
    pub(super) fn keep(&mut self, owner: MemberId, told: &Told<'_>, from: MemberId, source: Source) {
        let bytes = told.encode().len();
        let kept = self.rumors.entry(owner).or_default();
        let key = told.rumor().key();
        if let Some(at) = kept.iter().position(|waits| waits.told.rumor().key() == key) {
            // The later one is the newer one, or is refused like this one.
            self.bytes -= kept.swap_remove(at).bytes;
        }
        if kept.len() < WAITING_RUMORS_MAX && self.bytes + bytes <= WAITING_BYTES_MAX {
            kept.push(Waits { told: told.clone().into_owned(), from, source, bytes });
            self.bytes += bytes;
        }
        if kept.is_empty() {
            self.rumors.remove(&owner);
        }
        assert!(self.bytes <= WAITING_BYTES_MAX, "what waits has a limit");
    }

    fn take(&mut self, owner: &MemberId) -> Vec<Waits> {
        let waits = self.rumors.remove(owner).unwrap_or_default();
        self.bytes -= waits.iter().map(|waits| waits.bytes).sum::<usize>();
        assert!(!self.rumors.is_empty() || self.bytes == 0, "what waits is counted");
        waits
    }

    /// The owner is not waited for any more.
    pub(super) fn forget(&mut self, owner: &MemberId) {
        drop(self.take(owner));
    }
}

impl Node {
    /// A stranger told rumors: they are heard once it has answered.
    pub(super) fn keep_for_later(&mut self, rumors: &[Told<'_>], from: &MemberRecord, source: Source) {
        assert!(from.id != self.me, "a member hears others only");
        if self.membership.hearsay(&from.id).is_some() {
            for told in rumors {
                let told = self.fill_in_address(told, from).into_owned();
                self.waiting.keep(from.id, &told, from.id, source);
            }
        }
    }

    /// A member has answered: its rumors count.
    pub(super) fn hear_what_waited(&mut self, owner: &MemberId) {
        assert!(*owner != self.me, "a member does not wait for itself");
        for Waits { told, from, source, .. } in self.waiting.take(owner) {
            self.hear_rumor(&told, &from, source);
        }
    }
}
