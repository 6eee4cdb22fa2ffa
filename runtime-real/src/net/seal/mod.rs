//! Seals messages with the key of the ring and opens them, in Habitat's envelope and construction: `crypto_secretbox` of the
//! message, beside the nonce. The core stays on messages in the clear, which stand in an envelope too.
//!
//! What a seal promises is that a message came from a program that has the key, unchanged. The nonce is the number that the
//! node gave the message; who sent it, and whether it is new, the receiving node decides by that.

use annulus_core::{Envelope, Series, Stamp};

use crate::keys::crypto::{Nonce, SharedKey};

/// Why a message that came is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreadable {
    /// In the clear, and this ring has a key.
    NoKey,
    /// Sealed with a key that is not this ring's.
    UnknownKey,
    /// Sealed, and this ring has no key.
    Sealed,
    /// No message of a ring at all.
    Foreign,
}

impl Unreadable {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::NoKey, Self::UnknownKey, Self::Sealed, Self::Foreign];

    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoKey => "no key",
            Self::UnknownKey => "unknown key",
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
            Self::Sealed => {
                "it seals with the key of a ring, and this supervisor has none; if both belong together, start this one with \
                 --ring"
            }
            Self::Foreign => "what it sends is no message of a ring",
        }
    }
}

/// The key of a ring in the hands of one member.
#[derive(Debug)]
pub struct Seal {
    key: SharedKey,
    boot: u32,
}

impl Seal {
    /// For a member in its start of this number.
    #[must_use]
    pub const fn new(key: SharedKey, boot: u32) -> Self {
        Self { key, boot }
    }

    /// A series of numbers that no message ever had.
    #[must_use]
    pub fn series(&self) -> Series {
        let random = Nonce::random().0;
        let (eights, _) = random.as_chunks::<8>();
        let salt = |at: usize| u64::from_be_bytes(eights[at]);
        Series::new(self.boot, [salt(0), salt(1)])
    }

    /// Seals a message that is in the clear with its number.
    #[must_use]
    pub fn seal(&self, stamp: Stamp, bytes: &[u8]) -> Vec<u8> {
        let payload = Envelope::read(bytes).ok().and_then(|envelope| envelope.payload);
        let payload = payload.expect("what a node sends is in an envelope");
        let nonce = Nonce(stamp.to_bytes());
        Envelope::sealed(&nonce.0, &self.key.seal(&nonce, payload))
    }

    /// Opens a message, which is in the clear afterwards, and its number.
    ///
    /// # Errors
    /// It was not sealed with this key.
    pub fn open(&self, bytes: &[u8]) -> Result<(Vec<u8>, Stamp), Unreadable> {
        let envelope = Envelope::read(bytes).map_err(|_| Unreadable::Foreign)?;
        let Some(payload) = envelope.payload else { return Err(Unreadable::Foreign) };
        if !envelope.is_sealed() {
            return Err(Unreadable::NoKey);
        }
        let nonce = Nonce(envelope.nonce.try_into().map_err(|_| Unreadable::Foreign)?);
        let opened = self.key.open(&nonce, payload).ok_or(Unreadable::UnknownKey)?;
        Ok((Envelope::plain(&opened), Stamp::from_bytes(&nonce.0)))
    }
}

#[cfg(test)]
mod tests;
