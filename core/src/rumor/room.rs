//! Which rumors have room: of what operators share each author has a bounded part, and what was taken back makes room.

use super::store::{Entry, RumorStore};
use crate::model::id::ServiceGroup;
use crate::model::identity::PublicKey;
use crate::model::limits::{GROUP_BYTES_BY_ONE_MAX, GROUP_BYTES_MAX, Limit, RUMORS_BYTES_MAX};
use crate::model::mutant::mutated;
use crate::model::rumor::{Bound, Rumor, RumorKey, RumorKind};

/// A bound, and what is taken of it.
#[derive(Clone, Copy, Debug)]
struct Taking {
    bound: Bound,
    all: usize,
    /// By one author, where it was counted.
    theirs: Option<usize>,
}

/// Whether an operator took back what was given: it says nothing, and only that it does is news.
pub(super) fn is_spent(rumor: &Rumor) -> bool {
    rumor.version().is_some_and(|version| version.body.is_empty())
}

impl RumorStore {
    /// What was taken back makes room for what is given, in the order of keys, and does not come in at the cost of its like:
    /// so every member keeps the same.
    pub(super) fn make_room_for_given(&mut self, key: &RumorKey, entry: &Entry) -> bool {
        while let Some(group) = self.is_full(key) {
            let is_like = |held: &RumorKey| {
                held.kind() == key.kind() && group.as_ref().is_none_or(|group| held.group() == Some(group))
            };
            let mut spent = self.entries.iter().filter(|(held, entry)| is_like(held) && entry.is_spent());
            let Some(lowest) = spent.next().map(|(lowest, _)| lowest.clone()) else { return false };
            if entry.is_spent() && *key < lowest {
                return false;
            }
            assert!(lowest != *key, "what comes in was not held");
            self.take_out(&lowest);
            self.pushed_out.push(lowest);
        }
        true
    }

    /// Which limit keeps an operator from adding this through the member with this key; none when nothing does.
    pub(crate) fn no_room_for(&self, rumor: &Rumor, me: &PublicKey) -> Option<Limit> {
        let key = rumor.key();
        let held = self.entries.get(&key);
        let was = held.map_or(0, |entry| mutated!(ReplacedCountsTwice, entry.bytes, 0));
        let grows = rumor.encode().len().saturating_sub(was);
        let is_taken_back = is_spent(rumor);
        if is_taken_back && held.is_none() && self.is_full(&key).is_some() {
            return key.kind().room().in_ring.map(|bound| bound.limit);
        }
        if !is_taken_back {
            let is_more = held.is_none_or(Entry::is_spent);
            let room = [self.room_in_ring(&key), self.room_in_group(&key, me)];
            if let Some(full) = room.into_iter().flatten().find(|room| is_more && room.all >= room.bound.max)
            {
                return Some(full.bound.limit);
            }
            if let Some(limit) = self.no_share_for(rumor, me, true) {
                return Some(limit);
            }
        }
        if rumor.version().is_some() && self.shares.bytes() + grows > GROUP_BYTES_MAX && !is_taken_back {
            return Some(Limit::GroupBytes);
        }
        (self.bytes + grows > RUMORS_BYTES_MAX).then_some(Limit::RumorBytes)
    }

    /// Which limit of what one author may give keeps this from coming in on the word of `by`; none when nothing does. What is
    /// there may be replaced by whatever takes no more room.
    pub(crate) fn no_share_for(&self, rumor: &Rumor, by: &PublicKey, is_member: bool) -> Option<Limit> {
        let key = rumor.key();
        let held = self.entries.get(&key).filter(|held| !held.is_spent());
        if is_spent(rumor) {
            return None;
        }
        for room in [self.room_in_ring(&key), self.room_in_group(&key, by)].into_iter().flatten() {
            let theirs = room.theirs.unwrap_or_else(|| self.shares.of(key.kind(), by));
            let is_over = held.is_none() && theirs >= mutated!(ShareUnbounded, room.bound.by_one, usize::MAX);
            let is_strange = held.is_none() && !is_member && room.all >= room.bound.strangers;
            if is_over || mutated!(StrangersUnbounded, is_strange, false) {
                return Some(room.bound.limit);
            }
        }
        rumor.version()?;
        let len = rumor.encode().len();
        let is_theirs = |held: &&Entry| held.vouch.as_ref().is_some_and(|vouch| vouch.key == *by);
        let replaced = held.map_or(0, |held| held.bytes);
        let own = held.filter(is_theirs).map_or(0, |held| held.bytes);
        let (theirs, all) = (self.shares.bytes_of(by) - own + len, self.shares.bytes() - replaced + len);
        let is_over = theirs > GROUP_BYTES_BY_ONE_MAX || all > 2 * GROUP_BYTES_MAX;
        let is_strange = !is_member && all > GROUP_BYTES_BY_ONE_MAX;
        let is_over = len > replaced && (is_over || is_strange);
        mutated!(ShareOfBytesUnbounded, is_over, false).then_some(Limit::GroupBytes)
    }

    /// How many of a kind an author gave.
    pub(crate) fn share(&self, kind: RumorKind, by: &PublicKey) -> usize {
        self.shares.of(kind, by)
    }

    fn room_in_ring(&self, key: &RumorKey) -> Option<Taking> {
        let bound = key.kind().room().in_ring?;
        Some(Taking { bound, all: self.shares.all(key.kind()), theirs: None })
    }

    fn room_in_group(&self, key: &RumorKey, by: &PublicKey) -> Option<Taking> {
        let (bound, group) = (key.kind().room().in_group?, key.group()?);
        let given = self.entries_of(key.kind(), group).filter(|(_, entry)| !entry.is_spent());
        let is_theirs = |entry: &Entry| entry.vouch.as_ref().is_some_and(|vouch| vouch.key == *by);
        let (all, theirs) =
            given.fold((0, 0), |(all, theirs), (_, entry)| (all + 1, theirs + usize::from(is_theirs(entry))));
        Some(Taking { bound, all, theirs: Some(theirs) })
    }

    /// Whether one more of this kind cannot be held, and in which group; none inside: in the whole ring.
    fn is_full(&self, key: &RumorKey) -> Option<Option<ServiceGroup>> {
        let (kind, times) = (key.kind(), key.kind().room().times());
        if kind.room().in_ring.is_some_and(|bound| self.count(kind) >= bound.max * times) {
            return Some(None);
        }
        let (bound, group) = (kind.room().in_group?, key.group()?);
        (self.entries_of(kind, group).count() >= bound.max * times).then(|| Some(group.clone()))
    }
}
