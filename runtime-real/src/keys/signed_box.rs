//! The text of a box (as in Habitat): five lines, BOX-1, the key that sealed it, the key that opens it, the nonce and the
//! sealed content in base64. Knows no keys.

use super::crypto::{self, Nonce};
use super::file::KeyId;
use super::sealed::SealError;

/// The first line.
const TAG: &str = "BOX-1";

/// A box.
pub(super) struct SignedBox {
    /// The key of the user who sealed it.
    pub(super) user: KeyId,
    /// The key of the group that opens it.
    pub(super) service: KeyId,
    pub(super) nonce: Nonce,
    pub(super) sealed: Vec<u8>,
}

impl SignedBox {
    pub(super) fn to_text(&self) -> String {
        let (nonce, sealed) = (crypto::base64_encode(&self.nonce.0), crypto::base64_encode(&self.sealed));
        format!("{TAG}\n{}\n{}\n{nonce}\n{sealed}", self.user, self.service)
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, SealError> {
        let malformed = |reason| SealError::Malformed { reason };
        let text = std::str::from_utf8(text).map_err(|_| malformed("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(TAG) {
            return Err(malformed("line 1 is not BOX-1"));
        }
        let mut key =
            |reason| lines.next().and_then(|line| line.parse::<KeyId>().ok()).ok_or(malformed(reason));
        let user = key("line 2 names no key of a user")?;
        let service = key("line 3 names no key of a group")?;
        let nonce = lines.next().and_then(crypto::base64_decode).and_then(|nonce| nonce.try_into().ok());
        let nonce = nonce.map(Nonce).ok_or(malformed("line 4 is no nonce of 24 bytes"))?;
        let sealed = lines.next().and_then(crypto::base64_decode);
        let sealed = sealed.ok_or(malformed("line 5 is cut off or no base64"))?;
        if lines.any(|line| !line.is_empty()) {
            return Err(malformed("it goes on after line 5"));
        }
        Ok(Self { user, service, nonce, sealed })
    }
}
