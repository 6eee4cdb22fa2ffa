//! What users and service groups do with their keys: seal for one another, and sign.
//!
//! A user signs with the same key that seals, by XEdDSA (signal.org/docs/specifications/xeddsa): the key that a service's
//! hosts know of a user checks both, so that one public file is brought there, also where Habitat made it. libsodium checks
//! such a signature as any of Ed25519. Making one needs the arithmetic of the curve, which sodiumoxide does not give.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use sodiumoxide::crypto::hash::sha512;
use sodiumoxide::crypto::{box_, secretbox, sign};

use super::{BoxPublicKey, BoxSecretKey, Nonce, ready};

/// Length of a signature.
pub const USER_SIGNATURE_BYTES: usize = 64;

/// What is hashed for the secret number of a signature begins with this (hash1 of the specification).
const PREFIX: [u8; 32] = {
    let mut prefix = [0xff; 32];
    prefix[0] = 0xfe;
    prefix
};

impl BoxSecretKey {
    /// Encrypts a message for the owner of a key, under a new random nonce.
    #[must_use]
    pub fn seal(&self, message: &[u8], to: &BoxPublicKey) -> (Nonce, Vec<u8>) {
        ready();
        let nonce = box_::gen_nonce();
        (Nonce(nonce.0), box_::seal(message, &nonce, &to.0, &self.0))
    }

    /// The message, if the owner of that key sealed it for this one under this nonce, and it has not been changed.
    #[must_use]
    pub fn open(&self, nonce: &Nonce, sealed: &[u8], from: &BoxPublicKey) -> Option<Vec<u8>> {
        ready();
        box_::open(sealed, &box_::Nonce(nonce.0), &from.0, &self.0).ok()
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; USER_SIGNATURE_BYTES] {
        ready();
        let secret = Scalar::from_bytes_mod_order(clamp_integer(self.0.0));
        let point = EdwardsPoint::mul_base(&secret).compress();
        // The public half of a box has no sign, and is taken for the point whose sign is zero.
        let secret = if point.as_bytes()[31] >> 7 == 1 { -secret } else { secret };
        let public = EdwardsPoint::mul_base(&secret).compress();
        let [some, more] = [secretbox::gen_key(), secretbox::gen_key()];
        let once = hash(&[&PREFIX, secret.as_bytes(), message, some.as_ref(), more.as_ref()]);
        let commitment = EdwardsPoint::mul_base(&once).compress();
        let challenge = hash(&[commitment.as_bytes(), public.as_bytes(), message]);
        let answer = once + challenge * secret;
        let mut signature = [0; USER_SIGNATURE_BYTES];
        signature[..32].copy_from_slice(commitment.as_bytes());
        signature[32..].copy_from_slice(answer.as_bytes());
        signature
    }
}

impl BoxPublicKey {
    /// Whether the owner of this key signed the message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ready();
        let point = MontgomeryPoint(self.0.0).to_edwards(0).map(|point| point.compress());
        let key = point.and_then(|point| sign::PublicKey::from_slice(point.as_bytes()));
        let signature = sign::Signature::from_bytes(signature).ok();
        key.zip(signature).is_some_and(|(key, signature)| sign::verify_detached(&signature, message, &key))
    }
}

fn hash(parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&sha512::hash(&parts.concat()).0)
}
