//! Who says what: keys, signatures, and the contract by which a node signs and checks.
//!
//! A member's id is the beginning of the hash of its public key, so an id cannot be claimed without its key and no table
//! of keys is needed. The core names no cipher: a daemon brings libsodium's Ed25519 and BLAKE2b, simulators and tests bring
//! [`KeyedHash`].

use alloc::boxed::Box;
use core::fmt;

use crate::model::digest::{hash_bytes, mix};
use crate::model::id::MemberId;

/// The public half of a member's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// How many bytes a key has.
    pub const BYTES: usize = 32;
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A signature, without the message that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// How many bytes a signature has.
    pub const BYTES: usize = 64;
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A member's word for a statement: its key, of which its id is the hash, and its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vouch {
    /// The key of the member that signed.
    pub(crate) key: PublicKey,
    /// Its signature.
    pub(crate) signature: Signature,
}

const _: () = assert!(Vouch::BYTES == 96, "the length of a word is part of the protocol");

impl Vouch {
    /// How long it is on the wire.
    pub(crate) const BYTES: usize = PublicKey::BYTES + Signature::BYTES;

    /// The key, then the signature.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes.iter_mut().zip(self.key.0.iter().chain(&self.signature.0)).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Reads [`Self::to_bytes`] back; none when they are more or less.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, signature) = bytes.split_first_chunk::<{ PublicKey::BYTES }>()?;
        Some(Self { key: PublicKey(*key), signature: Signature(signature.try_into().ok()?) })
    }

    /// Whether its key made the signature of this message.
    pub(crate) fn holds_for(&self, message: &[u8], signer: &dyn Sign) -> bool {
        signer.verify(&self.key, message, &self.signature)
    }
}

/// Signs in the name of one member and checks what others have signed.
///
/// It keeps no state that a caller could notice: the same key and message have the same signature, so that a node stays
/// a function of its inputs.
pub trait Sign: fmt::Debug + Send + Sync {
    /// The public half of the key that signs.
    fn public_key(&self) -> PublicKey;

    /// The signature of a message.
    fn sign(&self, message: &[u8]) -> Signature;

    /// Whether this key made the signature of this message.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool;

    /// A hash of which no two inputs are found that have the same.
    fn hash(&self, bytes: &[u8]) -> [u8; 32];

    /// The id of the member that has this key: the first 16 bytes of its hash.
    fn id_of(&self, key: &PublicKey) -> MemberId {
        let hash = self.hash(&key.0);
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash) {
            *to = from;
        }
        MemberId::from_bytes(id)
    }

    /// The id of the member that signs.
    fn id(&self) -> MemberId {
        self.id_of(&self.public_key())
    }
}

/// What signs and checks for a node.
pub type Signer = Box<dyn Sign>;

/// Stands in for signatures where no attacker computes: in simulators, tests and fuzzing.
///
/// What it calls a signature is a short hash of key and message, which any program could make. So it tells who said
/// what as long as a program that plays a forger signs with keys of its own, and it costs next to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyedHash(PublicKey);

impl KeyedHash {
    /// The member with this key.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(PublicKey(key))
    }

    fn tag(key: &PublicKey, message: &[u8]) -> u64 {
        mix(hash_bytes(&key.0) ^ hash_bytes(message).rotate_left(1))
    }
}

impl Sign for KeyedHash {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; Signature::BYTES];
        let tag = Self::tag(&self.0, message).to_le_bytes();
        signature.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
        Signature(signature)
    }

    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        KeyedHash(*key).sign(message) == *signature
    }

    fn hash(&self, bytes: &[u8]) -> [u8; 32] {
        let hash = hash_bytes(bytes);
        let mut all = [0; 32];
        for (part, number) in all.as_chunks_mut::<8>().0.iter_mut().zip(1..) {
            *part = mix(hash ^ number).to_le_bytes();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_belongs_to_one_key_and_a_signature_to_one_message() {
        let (ada, bob) = (KeyedHash::new([1; 32]), KeyedHash::new([2; 32]));
        assert_ne!(ada.id(), bob.id());
        assert_eq!(ada.id(), bob.id_of(&ada.public_key()), "every member finds the same id for a key");
        let signature = ada.sign(b"three");
        assert!(bob.verify(&ada.public_key(), b"three", &signature));
        assert!(!bob.verify(&ada.public_key(), b"four", &signature));
        assert!(!ada.verify(&bob.public_key(), b"three", &signature));
        assert_eq!(ada.hash(b"x")[..], bob.hash(b"x")[..]);
        assert_ne!(ada.hash(b"x"), ada.hash(b"y"));
    }
}
