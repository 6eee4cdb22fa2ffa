//! Signs, checks, seals and hashes. The only module that knows which cryptographic library is used.
//!
//! It is sodiumoxide, the binding to libsodium whose formats Habitat's keys and packages have. It is archived
//! upstream and gets no more fixes (RUSTSEC-2021-0137, informational), so it stays behind these few functions:
//! nothing outside names its types, and the tests compare every operation byte for byte with dryoc, an
//! independent implementation, so that another library can take its place without touching a caller.
//!
//! The libsodium itself is not the archived one: the workspace patches `libsodium-sys`, which carried version 1.0.18, by
//! `runtime-real/libsodium`, a name for the maintained `libsodium-sys-stable`. A test asks for the version that is linked.
//!
//! Keys and nonces come from libsodium's own source of entropy.

mod boxes;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Once;

use sodiumoxide::base64::{self, Variant};
use sodiumoxide::crypto::{box_, generichash, scalarmult, secretbox, sign};

pub use boxes::USER_SIGNATURE_BYTES;

/// Bytes that a signature adds in front of the message.
pub const SIGNATURE_BYTES: usize = sign::SIGNATUREBYTES;

/// libsodium has to be initialized once before it may be used from several threads.
fn ready() {
    static READY: Once = Once::new();
    READY.call_once(|| sodiumoxide::init().expect("libsodium initializes wherever the system has entropy"));
}

/// A BLAKE2b digest of 32 bytes, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The digest's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: it has to be 64 lower-case hex digits")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        if text.len() != 64 || !text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotAHash);
        }
        let bytes = sodiumoxide::hex::decode(text).map_err(|()| NotAHash)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAHash)?))
    }
}

/// The hash of bytes at hand.
#[must_use]
pub fn hash(bytes: &[u8]) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// The hash of everything that a reader yields.
///
/// # Errors
/// The reader fails.
pub fn hash_reader(reader: &mut impl io::Read) -> io::Result<Hash> {
    let mut hasher = Hasher::new();
    io::copy(reader, &mut hasher)?;
    Ok(hasher.finish())
}

/// Hashes bytes that come in pieces.
pub struct Hasher(generichash::State);

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        ready();
        Self(
            generichash::State::new(Some(32), None)
                .expect("32 is a valid digest length, and there is no key"),
        )
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes).expect("an unfinished state takes any bytes");
    }

    /// The hash of all bytes added.
    #[must_use]
    pub fn finish(self) -> Hash {
        let digest = self.0.finalize().expect("a state is finished only once");
        Hash(digest.as_ref().try_into().expect("a digest of the length that was asked for"))
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The public half of an Ed25519 key: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(sign::PublicKey);

impl PublicKey {
    /// The key with these bytes, if they are 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        sign::PublicKey::from_slice(bytes).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// The secret half of an Ed25519 key: the 32-byte seed and the public half. Wiped when dropped.
pub struct SecretKey(sign::SecretKey);

impl SecretKey {
    /// The key with these bytes, if they are 64 and the second half is the public key of the first.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        ready();
        let key = sign::SecretKey::from_slice(bytes)?;
        let seed = bytes.get(..sign::SEEDBYTES)?.try_into().ok()?;
        // A signature made with a public half that does not belong to the seed would reveal the seed.
        (Self::from_seed(seed).0 == key).then_some(Self(key))
    }

    /// The key that follows from a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; sign::SEEDBYTES]) -> Self {
        ready();
        Self(sign::keypair_from_seed(&sign::Seed(*seed)).1)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A new random key.
#[must_use]
pub fn generate_secret_key() -> SecretKey {
    ready();
    SecretKey(sign::gen_keypair().1)
}

/// The 64 bytes of the signature, then the message.
#[must_use]
pub fn sign(message: &[u8], key: &SecretKey) -> Vec<u8> {
    ready();
    sign::sign(message, &key.0)
}

/// The message of a signed message, if this key made the signature.
#[must_use]
pub fn open_signed(signed: &[u8], key: &PublicKey) -> Option<Vec<u8>> {
    ready();
    sign::verify(signed, &key.0).ok()
}

/// A key that both sides share (XSalsa20-Poly1305): 32 bytes. Wiped when dropped.
#[derive(Clone)]
pub struct SharedKey(secretbox::Key);

impl SharedKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        ready();
        Self(secretbox::gen_key())
    }

    /// The key with these bytes, if they are 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        secretbox::Key::from_slice(bytes).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Encrypts and authenticates a message. No nonce may be used for two messages.
    #[must_use]
    pub fn seal(&self, nonce: &Nonce, message: &[u8]) -> Vec<u8> {
        ready();
        secretbox::seal(message, &secretbox::Nonce(nonce.0), &self.0)
    }

    /// The message, if it was sealed with this key under this nonce and has not been changed.
    #[must_use]
    pub fn open(&self, nonce: &Nonce, sealed: &[u8]) -> Option<Vec<u8>> {
        ready();
        secretbox::open(sealed, &secretbox::Nonce(nonce.0), &self.0).ok()
    }
}

impl SharedKey {
    /// Another key, which follows from this one and from the parts together: BLAKE2b with this key. The parts have to have
    /// fixed lengths.
    #[must_use]
    pub fn derive(&self, parts: &[&[u8]]) -> Self {
        ready();
        let mut state = generichash::State::new(Some(32), Some(self.as_bytes())).expect("valid lengths");
        for part in parts {
            state.update(part).expect("an unfinished state takes any bytes");
        }
        let digest = state.finalize().expect("a state is finished only once");
        Self::from_bytes(digest.as_ref()).expect("a digest of the length that was asked for")
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

/// The public half of a key that seals for its owner (Curve25519): 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxPublicKey(box_::PublicKey);

impl BoxPublicKey {
    /// The key with these bytes, if they are 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        box_::PublicKey::from_slice(bytes).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// The secret half of such a key: 32 bytes, from which the public half follows. Wiped when dropped.
#[derive(Clone)]
pub struct BoxSecretKey(box_::SecretKey);

impl BoxSecretKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        ready();
        Self(box_::gen_keypair().1)
    }

    /// The key with these bytes, if they are 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        box_::SecretKey::from_slice(bytes).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> BoxPublicKey {
        ready();
        BoxPublicKey(self.0.public_key())
    }
}

impl BoxSecretKey {
    /// What both owners can compute and no other (X25519); none for a public key that makes it known to all.
    #[must_use]
    pub fn agree(&self, other: &BoxPublicKey) -> Option<[u8; 32]> {
        ready();
        let (own, theirs) = (scalarmult::Scalar(self.0.0), scalarmult::GroupElement(other.0.0));
        scalarmult::scalarmult(&own, &theirs).ok().map(|shared| shared.0)
    }
}

impl fmt::Debug for BoxSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxSecretKey(..)")
    }
}

/// A number used once: 24 bytes that go with a sealed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 24]);

impl Nonce {
    /// A random one.
    #[must_use]
    pub fn random() -> Self {
        ready();
        Self(secretbox::gen_nonce().0)
    }
}

/// Standard base64 with padding.
#[must_use]
pub fn base64_encode(bytes: &[u8]) -> String {
    base64::encode(bytes, Variant::Original)
}

/// The bytes of standard base64 with padding.
#[must_use]
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    base64::decode(text, Variant::Original).ok()
}

#[cfg(test)]
mod tests;
