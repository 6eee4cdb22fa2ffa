//! Seals messages with a key of the ring and opens them, in Habitat's envelope and construction: `crypto_secretbox` of the
//! message, beside the nonce. The core stays on messages in the clear, which stand in an envelope too.
//!
//! What a seal promises is that a message came from a program that has the key, unchanged. The nonce is the number that the
//! node gave the message; who sent it, and whether it is new, the receiving node decides by that.

use annulus_core::{Envelope, RingKeyId, Series, Stamp};

use crate::keys::crypto::Nonce;
use crate::keys::{HeldKeys, OpenedWith};

/// Why a message that came is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreadable {
    /// In the clear, and this ring has a key.
    NoKey,
    /// Sealed with a key that is not this ring's.
    UnknownKey,
    /// Sealed with a key that was this ring's, and whose time is over.
    RetiredKey,
    /// Sealed, and this ring has no key.
    Sealed,
    /// No message of a ring at all.
    Foreign,
}

impl Unreadable {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::NoKey, Self::UnknownKey, Self::RetiredKey, Self::Sealed, Self::Foreign];

    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoKey => "no key",
            Self::UnknownKey => "unknown key",
            Self::RetiredKey => "a retired key",
            Self::Sealed => "sealed",
            Self::Foreign => "foreign",
        }
    }

    /// What it means, and what to do where the sender belongs to the ring.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NoKey => {
                "it speaks in the clear, and this ring has a key; if it belongs here, give it the key (--ring)"
            }
            Self::UnknownKey => {
                "it seals with another key than this ring's, or its messages are changed on their way; if it belongs here, \
                 give it this ring's key"
            }
            Self::RetiredKey => {
                "it seals with a key that this ring has replaced; bring the current one there (`annulus ring key export`)"
            }
            Self::Sealed => {
                "it seals with the key of a ring, and this supervisor has none; if both belong together, start this one with \
                 --ring"
            }
            Self::Foreign => "what it sends is no message of a ring",
        }
    }
}

/// The keys of a ring in the hands of one member.
#[derive(Debug)]
pub struct Seal {
    keys: HeldKeys,
    boot: u32,
}

impl Seal {
    /// For a member in its start of this number.
    #[must_use]
    pub const fn new(keys: HeldKeys, boot: u32) -> Self {
        Self { keys, boot }
    }

    /// A series of numbers that no message ever had.
    #[must_use]
    pub fn series(&self) -> Series {
        let random = Nonce::random().0;
        let (eights, _) = random.as_chunks::<8>();
        let salt = |at: usize| u64::from_be_bytes(eights[at]);
        Series::new(self.boot, [salt(0), salt(1)])
    }

    /// Seals a message that is in the clear with one of the keys and its number; none where that key is not there.
    #[must_use]
    pub fn seal(&self, key: &RingKeyId, stamp: Stamp, bytes: &[u8]) -> Option<Vec<u8>> {
        let payload = Envelope::read(bytes).ok().and_then(|envelope| envelope.payload);
        let payload = payload.expect("what a node sends is in an envelope");
        let nonce = Nonce(stamp.to_bytes());
        self.keys.with(key, |key| Envelope::sealed(&nonce.0, &key.seal(&nonce, payload)))
    }

    /// Opens a message, which is in the clear afterwards, and says which key opened it and its number.
    ///
    /// # Errors
    /// It was sealed with none of these keys.
    pub fn open(&self, bytes: &[u8]) -> Result<(RingKeyId, Vec<u8>, Option<Stamp>), Unreadable> {
        let envelope = Envelope::read(bytes).map_err(|_| Unreadable::Foreign)?;
        let Some(payload) = envelope.payload else { return Err(Unreadable::Foreign) };
        if !envelope.is_sealed() {
            let heard = self.keys.hears_clear().then(|| (RingKeyId::CLEAR, bytes.to_vec(), None));
            return heard.ok_or(Unreadable::NoKey);
        }
        let nonce = Nonce(envelope.nonce.try_into().map_err(|_| Unreadable::Foreign)?);
        match self.keys.open(|key| key.open(&nonce, payload)) {
            Some(OpenedWith::Held(key, opened)) => {
                self.keys.note_opened(&key);
                Ok((key, Envelope::plain(&opened), Some(Stamp::from_bytes(&nonce.0))))
            }
            Some(OpenedWith::Dropped(_)) => Err(Unreadable::RetiredKey),
            None => Err(Unreadable::UnknownKey),
        }
    }

    /// Whether what is said in the clear is heard, and answered.
    pub(super) fn hears_clear(&self) -> bool {
        self.keys.hears_clear()
    }
}

#[cfg(test)]
mod tests;
