//! With which key a message goes out.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Keyring;
use crate::model::limits::MEMBERS_MAX;
use crate::model::member::State;
use crate::model::planted::Bug;
use crate::model::ring_key::RingKeyId;

/// Of so many messages to a member that was heard in the clear and opens a key as well, one is sealed with that.
const OLDER_WORD_EVERY: u64 = 8;

impl Keyring {
    /// A message from there was opened with this key.
    pub(crate) fn handle_heard(&mut self, from: SocketAddr, key: RingKeyId) {
        if self.opens.len() < 2 || !self.opens.contains_key(&key) || self.heard.get(&from) == Some(&key) {
            return;
        }
        if self.heard.len() >= MEMBERS_MAX {
            self.heard.pop_first();
        }
        self.heard.insert(from, key);
        assert!(self.heard.len() <= MEMBERS_MAX, "addresses have a limit");
    }

    /// The key for a message to this address: the newest that the member there can open. Where that is not known, or the
    /// member does not answer and may have come back with another one, the current key and the others take turns by chance.
    pub(crate) fn key_for(&mut self, to: SocketAddr) -> RingKeyId {
        if self.opens.len() < 2 || self.planted.has(Bug::CurrentKeyForAll) {
            return self.speaks;
        }
        let member = self.at_address.get(&to);
        let said = member.and_then(|id| self.statements.get(id));
        let heard = self.heard.get(&to).copied().filter(|key| self.opens.contains_key(key));
        let is_alive =
            member.and_then(|id| self.places.get(id)).is_some_and(|place| place.state == State::Alive);
        // What a member speaks with it can open, whatever an older word of it says. In the clear a stranger can speak from
        // its address, so that there a word that is known counts while the member lives.
        if let Some(heard) = heard
            && said.is_none_or(|said| !(said.can_open(&heard) || heard.is_clear() && is_alive))
        {
            return heard;
        }
        // One that said that it opens both may have come back without any key, of which only what comes from there tells. Now
        // and then its word is tried: two that open both would go on in the clear for ever, each because the other does.
        if let Some(heard) = heard.filter(RingKeyId::is_clear)
            && said.is_some_and(|said| said.can_open(&heard))
            && !self.rng.chance(1, OLDER_WORD_EVERY)
        {
            return heard;
        }
        assert!(self.opens.contains_key(&self.speaks), "a member can open what it says");
        // Of a newer key than its own it knows only by what came from there: the ring may have given up the older ones.
        let usable = self.opens.keys().rev().filter(|key| **key <= self.speaks || heard == Some(**key));
        let newest = said.and_then(|said| usable.clone().find(|key| said.can_open(key)).copied());
        match newest {
            Some(newest) if is_alive || heard.is_some() => newest,
            _ => {
                let first = newest.unwrap_or(self.speaks);
                let others: Vec<RingKeyId> = self.opens.keys().copied().filter(|key| *key != first).collect();
                if self.rng.chance(1, 2) {
                    return first;
                }
                assert!(!others.is_empty(), "there is a choice");
                let other = self.rng.index(others.len());
                others.get(other).copied().unwrap_or(first)
            }
        }
    }
}
