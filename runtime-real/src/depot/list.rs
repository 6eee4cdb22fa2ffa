//! Which keys count for an origin: a numbered list, signed by one of the origin's keys. Each list is signed by a key of the
//! one before it, so that a host which has seen one believes the next.

use annulus_core::UnixTime;
use serde::{Deserialize, Serialize};

use super::envelope::{self, Envelope};
use crate::host::timestamp;
use crate::keys::crypto::{self, PublicKey, SecretKey};
use crate::keys::{KeyFile, KeyId, KeyKind};

const FORMAT: &str = "ORIGIN-1";
/// Longest text of a list, in bytes.
pub(super) const LIST_BYTES_MAX: usize = 64 * 1024;
/// Most keys of one kind in a list.
const KEYS_MAX: usize = 64;

/// A key as a list has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListedKey {
    /// Name and revision.
    pub id: String,
    /// The public key, base64.
    pub key: String,
}

impl ListedKey {
    /// This key.
    #[must_use]
    pub fn new(id: &KeyId, key: &PublicKey) -> Self {
        Self { id: id.to_string(), key: crypto::base64_encode(key.as_bytes()) }
    }

    fn public(&self) -> Option<PublicKey> {
        PublicKey::from_bytes(&crypto::base64_decode(&self.key)?)
    }

    /// It as a file for a key cache.
    pub(crate) fn file(&self) -> Option<KeyFile> {
        let (id, key) = (self.id.parse().ok()?, self.public()?);
        Some(KeyFile::new(KeyKind::SigPublic, id, key.as_bytes()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    v: u32,
    origin: String,
    number: u64,
    time: String,
    origin_keys: Vec<ListedKey>,
    channel_keys: Vec<ListedKey>,
}

/// A list of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginList {
    envelope: Envelope,
    body: Body,
    text: String,
}

impl OriginList {
    /// A new list, signed.
    #[must_use]
    pub fn sign(
        (origin, number): (&str, u64),
        origin_keys: Vec<ListedKey>,
        channel_keys: Vec<ListedKey>,
        (signer, key): (&KeyId, &SecretKey),
        now: UnixTime,
    ) -> String {
        let body = Body {
            v: 1,
            origin: origin.to_owned(),
            number,
            time: timestamp::rfc3339_millis(now),
            origin_keys,
            channel_keys,
        };
        let body = serde_json::to_string_pretty(&body).expect("a list is JSON") + "\n";
        envelope::seal(FORMAT, signer, key, &body)
    }

    /// Reads a list; its signature is checked by [`Self::is_signed_by_one_of`].
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LIST_BYTES_MAX {
            return Err(format!("it is longer than {LIST_BYTES_MAX} bytes"));
        }
        let envelope = Envelope::parse(FORMAT, text)?;
        let body: Body = serde_json::from_str(&envelope.body).map_err(|e| format!("its body: {e}"))?;
        if body.v != 1 {
            return Err(format!("it is of version {}, and this program knows version 1", body.v));
        }
        if body.number == 0 {
            return Err("lists are numbered from 1".to_owned());
        }
        for keys in [&body.origin_keys, &body.channel_keys] {
            if keys.len() > KEYS_MAX || !keys.iter().all(|key| key.file().is_some()) {
                return Err(format!("it has a key that is none, or more than {KEYS_MAX} of them"));
            }
        }
        let is_own = |key: &ListedKey| key.id.parse::<KeyId>().is_ok_and(|id| id.name() == body.origin);
        if !body.origin_keys.iter().all(is_own) {
            return Err("it names a key of another origin".to_owned());
        }
        Ok(Self { envelope, body, text: text.to_owned() })
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.body.origin
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.body.number
    }

    /// The key that signed it, as it says.
    #[must_use]
    pub fn signer(&self) -> &KeyId {
        &self.envelope.signer
    }

    /// The keys that sign the origin's packages, and the next list.
    #[must_use]
    pub fn origin_keys(&self) -> &[ListedKey] {
        &self.body.origin_keys
    }

    /// The keys that sign what channels hold.
    #[must_use]
    pub fn channel_keys(&self) -> &[ListedKey] {
        &self.body.channel_keys
    }

    /// Its whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether one of these keys, the one that it names, has signed it.
    #[must_use]
    pub fn is_signed_by_one_of(&self, keys: &[ListedKey]) -> bool {
        let named = self.envelope.signer.to_string();
        let mut named = keys.iter().filter(|key| key.id == named).filter_map(ListedKey::public);
        named.any(|key| self.envelope.is_signed_by(&key))
    }

    /// The channel key of this name.
    #[must_use]
    pub fn channel_key(&self, id: &KeyId) -> Option<PublicKey> {
        let id = id.to_string();
        self.body.channel_keys.iter().find(|key| key.id == id)?.public()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn id(text: &str) -> KeyId {
        text.parse().expect("a key's name")
    }

    #[test]
    fn a_list_is_believed_by_the_keys_of_the_one_before() {
        let (first, second) = (id("acme-20260101000000"), id("acme-20260201000000"));
        let listed = [ListedKey::new(&first, &key(1).public()), ListedKey::new(&second, &key(2).public())];
        let text = OriginList::sign(
            ("acme", 2),
            listed.to_vec(),
            vec![],
            (&second, &key(2)),
            UnixTime::from_millis(0),
        );
        let list = OriginList::parse(&text).expect("a list");
        assert_eq!((list.origin(), list.number(), list.signer()), ("acme", 2, &second));
        assert!(list.is_signed_by_one_of(list.origin_keys()));
        assert!(!list.is_signed_by_one_of(&listed[..1]), "the key before does not name its signer");
        let taken = [ListedKey::new(&second, &key(1).public())];
        assert!(!list.is_signed_by_one_of(&taken), "another key of that name");
    }

    #[test]
    fn what_is_no_list_is_named() {
        let sign = |origin: &str, name: &str, number| {
            let listed = vec![ListedKey::new(&id(name), &key(1).public())];
            OriginList::sign((origin, number), listed, vec![], (&id(name), &key(1)), UnixTime::from_millis(0))
        };
        assert!(OriginList::parse(&sign("acme", "acme-20260101000000", 1)).is_ok());
        for (text, why) in [
            (sign("acme", "evil-20260101000000", 1), "another origin"),
            (sign("acme", "acme-20260101000000", 0), "numbered from 1"),
            (sign("acme", "acme-20260101000000", 1).replace("\"v\": 1", "\"v\": 9"), "version 9"),
            ("x".repeat(LIST_BYTES_MAX + 1), "longer"),
        ] {
            assert!(OriginList::parse(&text).expect_err(why).contains(why), "{why}");
        }
    }
}
