//! A signed text: four lines as before a package, an empty one, and a body. The signature covers the first two lines and the
//! body, so that no text passes as another's or as one of another kind. Reads and writes text alone.

use crate::keys::KeyId;
use crate::keys::crypto::{self, Hash, PublicKey, SecretKey};

const HASH_TYPE: &str = "BLAKE2b";

/// A signed text, as it was read. Nothing of it is believed before [`Self::is_signed_by`] has said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    format: &'static str,
    /// The key that it names as its signer's.
    pub(super) signer: KeyId,
    signature: Vec<u8>,
    /// What is said.
    pub(super) body: String,
}

/// The text of a body, signed.
pub(super) fn seal(format: &'static str, signer: &KeyId, key: &SecretKey, body: &str) -> String {
    let hash = covered(format, signer, body);
    let signature = crypto::base64_encode(&crypto::sign(hash.to_string().as_bytes(), key));
    format!("{format}\n{signer}\n{HASH_TYPE}\n{signature}\n\n{body}")
}

fn covered(format: &str, signer: &KeyId, body: &str) -> Hash {
    crypto::hash(format!("{format}\n{signer}\n{body}").as_bytes())
}

impl Envelope {
    /// Reads a text of this format.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(format: &'static str, text: &str) -> Result<Self, &'static str> {
        let mut lines = text.splitn(6, '\n');
        if lines.next() != Some(format) {
            return Err("it does not begin with the name of its format");
        }
        let signer = lines.next().unwrap_or_default().parse();
        let signer = signer.map_err(|_| "line 2 does not name a signing key")?;
        if lines.next() != Some(HASH_TYPE) {
            return Err("line 3 names another hash than BLAKE2b");
        }
        let signature = lines.next().and_then(crypto::base64_decode);
        let signature = signature.ok_or("line 4 is not a signature in base64")?;
        if lines.next() != Some("") {
            return Err("line 5 is not empty");
        }
        let body = lines.next().ok_or("it has no body")?.to_owned();
        Ok(Self { format, signer, signature, body })
    }

    /// Whether this key has signed it.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = crypto::open_signed(&self.signature, key);
        let signed = message.and_then(|message| std::str::from_utf8(&message).ok()?.parse::<Hash>().ok());
        signed == Some(covered(self.format, &self.signer, &self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_format_signer_and_body() {
        let key = SecretKey::from_seed(&[7; 32]);
        let signer: KeyId = "acme-20260101000000".parse().expect("a key's name");
        let text = seal("HEAD-1", &signer, &key, "{\n\"a\":1}\n");
        let read = Envelope::parse("HEAD-1", &text).expect("its own text");
        assert!(read.is_signed_by(&key.public()));
        assert_eq!(read.body, "{\n\"a\":1}\n");
        assert!(!read.is_signed_by(&SecretKey::from_seed(&[8; 32]).public()), "another key");
        for (from, to) in [("\"a\":1", "\"a\":2"), ("acme-2026", "acmf-2026")] {
            let forged = Envelope::parse("HEAD-1", &text.replace(from, to)).expect("still of that form");
            assert!(!forged.is_signed_by(&key.public()), "{from} → {to}");
        }
        let other = Envelope::parse("ORIGIN-1", &text.replace("HEAD-1", "ORIGIN-1")).expect("of that form");
        assert!(!other.is_signed_by(&key.public()), "a text of one kind is none of another");
    }

    #[test]
    fn what_is_no_signed_text_is_named() {
        let whole = seal(
            "HEAD-1",
            &"a-20260101000000".parse().expect("a name"),
            &SecretKey::from_seed(&[1; 32]),
            "x",
        );
        for cut in 0..whole.len() - 1 {
            assert!(Envelope::parse("HEAD-1", &whole[..cut]).is_err(), "{cut} bytes of it");
        }
        assert!(Envelope::parse("HEAD-2", &whole).is_err());
        assert!(Envelope::parse("HEAD-1", &whole.replace("BLAKE2b", "MD5")).is_err());
    }
}
