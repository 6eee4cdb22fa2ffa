//! What every message of the gossip port passes: in a ring with a key it is sealed on its way out and opened on its way in,
//! and what cannot be opened is dropped here, noted, and answered by nothing.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use annulus_core::{Envelope, RingKeyId, Series, Stamp};
use tokio::sync::mpsc;

use super::guest::Guest;
use super::rejected::{Rejected, Way};
use super::seal::{Seal, Unreadable};
use crate::keys::HeldKeys;

/// What a gate is made of.
#[derive(Clone, Debug)]
pub struct GateParts {
    /// The keys, and the number of this start; none in an open ring.
    pub keys: Option<(HeldKeys, u32)>,
    /// Where the gate notes what it does not let in.
    pub rejected: Rejected,
    /// Who serves guests; none where they are turned away.
    pub guests: Option<mpsc::Sender<Guest>>,
}

impl GateParts {
    /// The gate of an open ring.
    #[must_use]
    pub fn open(rejected: Rejected) -> Self {
        Self { keys: None, rejected, guests: None }
    }

    /// The gate.
    #[must_use]
    pub fn into_gate(self) -> Gate {
        let seal = self.keys.map(|(keys, boot)| Arc::new(Seal::new(keys, boot)));
        Gate { seal, rejected: self.rejected, guests: self.guests }
    }
}

/// A message that was let in.
#[derive(Debug)]
pub struct Inward<'b> {
    /// The key that opened it; the clear where it was not sealed.
    pub key: RingKeyId,
    /// It, in the clear.
    pub bytes: Cow<'b, [u8]>,
    /// The number that it was sealed with; none in an open ring.
    pub stamp: Option<Stamp>,
}

/// Seals and opens. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Gate {
    seal: Option<Arc<Seal>>,
    rejected: Rejected,
    guests: Option<mpsc::Sender<Guest>>,
}

impl Gate {
    /// Whether guests are served.
    pub(super) fn has_guests(&self) -> bool {
        self.guests.is_some()
    }

    /// Passes a guest on. One that finds no room is turned away: it comes again.
    pub(super) fn welcome(&self, guest: Guest) {
        if let Some(Err(error)) = self.guests.as_ref().map(|guests| guests.try_send(guest)) {
            tracing::debug!(%error, "a guest is turned away");
        }
    }

    /// The series in which the node is to number its messages: another one each time, none in an open ring.
    #[must_use]
    pub fn series(&self) -> Option<Series> {
        self.seal.as_ref().map(|seal| seal.series())
    }

    /// The message as it goes out, sealed with this key and with the number that the node gave it; none where that key is not
    /// there, and it must not go out.
    ///
    /// # Panics
    /// In a ring with a key the message has no number.
    #[must_use]
    pub fn outward<'b>(
        &self,
        key: &RingKeyId,
        stamp: Option<Stamp>,
        bytes: &'b [u8],
    ) -> Option<Cow<'b, [u8]>> {
        match &self.seal {
            Some(seal) if key.is_clear() => seal.hears_clear().then_some(Cow::Borrowed(bytes)),
            Some(seal) => {
                let stamp = stamp.expect("a node of a ring with a key numbers its messages");
                seal.seal(key, stamp, bytes).map(Cow::Owned)
            }
            None => Some(Cow::Borrowed(bytes)),
        }
    }

    /// The message for the node, and the key that opened it; none where it is not heard.
    #[must_use]
    pub fn inward<'b>(&self, from: SocketAddr, way: Way, bytes: &'b [u8]) -> Option<Inward<'b>> {
        let read = match &self.seal {
            Some(seal) => {
                let opened = seal.open(bytes);
                if opened.as_ref().is_ok_and(|(key, ..)| key.is_clear()) {
                    self.rejected.note_clear();
                }
                opened.map(|(key, bytes, stamp)| Inward { key, bytes: Cow::Owned(bytes), stamp })
            }
            // What is no envelope is the node's to refuse.
            None if Envelope::read(bytes).is_ok_and(|envelope| envelope.is_sealed()) => {
                Err(Unreadable::Sealed)
            }
            None => Ok(Inward { key: RingKeyId::CLEAR, bytes: Cow::Borrowed(bytes), stamp: None }),
        };
        read.map_err(|why| self.rejected.note(from, way, why)).ok()
    }
}
