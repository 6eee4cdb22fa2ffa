//! What a channel holds for one platform: numbered, whole, signed. A demotion is a new number with an older package, so that
//! taking a package back and taking the news back are different things: a lower number is refused.

use std::collections::BTreeMap;

use annulus_core::{PackageIdent, UnixTime};
use serde::{Deserialize, Serialize};

use super::envelope::{self, Envelope};
use crate::host::timestamp;
use crate::keys::KeyId;
use crate::keys::crypto::{Hash, PublicKey, SecretKey};

const FORMAT: &str = "HEAD-1";
/// Longest text of a head, in bytes: some 50,000 packages.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a head counts as fresh, in milliseconds: thirty days.
const FRESH_MS: u64 = 30 * 86_400_000;

/// A package in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    version: String,
    release: String,
    /// The hash of its file.
    pub checksum: String,
    /// How large its file is, in bytes.
    pub size_bytes: u64,
    /// When it was promoted.
    pub promoted_at: String,
}

impl Entry {
    /// A package that is promoted now.
    #[must_use]
    pub fn new(ident: &PackageIdent, hash: &Hash, size_bytes: u64, now: UnixTime) -> Self {
        Self {
            version: ident.version().unwrap_or_default().to_owned(),
            release: ident.release().unwrap_or_default().to_owned(),
            checksum: hash.to_string(),
            size_bytes,
            promoted_at: timestamp::rfc3339_millis(now),
        }
    }

    fn is(&self, ident: &PackageIdent) -> bool {
        ident.version() == Some(&self.version) && ident.release() == Some(&self.release)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    v: u32,
    origin: String,
    channel: String,
    target: String,
    number: u64,
    time_ms: u64,
    expires_ms: u64,
    /// The channel was removed; its numbers go on when it is made again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    packages: BTreeMap<String, Vec<Entry>>,
}

/// What a channel holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    body: Body,
    /// The signer, as the text says; none of a head that is not signed yet.
    envelope: Option<Envelope>,
}

impl Head {
    /// An empty channel, before its first number.
    #[must_use]
    pub fn new(origin: &str, channel: &str, target: &str) -> Self {
        let body = Body {
            v: 1,
            origin: origin.to_owned(),
            channel: channel.to_owned(),
            target: target.to_owned(),
            number: 0,
            time_ms: 0,
            expires_ms: 0,
            removed: false,
            packages: BTreeMap::new(),
        };
        Self { body, envelope: None }
    }

    /// Reads a head; its signature is checked by [`Self::is_signed_by`].
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > HEAD_BYTES_MAX {
            return Err(format!("it is longer than {HEAD_BYTES_MAX} bytes"));
        }
        let envelope = Envelope::parse(FORMAT, text)?;
        let body: Body = serde_json::from_str(&envelope.body).map_err(|e| format!("its body: {e}"))?;
        if body.v != 1 {
            return Err(format!("it is of version {}, and this program knows version 1", body.v));
        }
        let head = Self { body, envelope: Some(envelope) };
        for (name, entries) in &head.body.packages {
            for entry in entries {
                if head.ident(name, entry).is_none() || entry.checksum.parse::<Hash>().is_err() {
                    return Err(format!("its entry of {name:?} names no package"));
                }
            }
        }
        Ok(head)
    }

    /// The text of the next number, signed, which is fresh from now on.
    #[must_use]
    pub fn next(mut self, (signer, key): (&KeyId, &SecretKey), now: UnixTime) -> String {
        self.body.number += 1;
        self.body.time_ms = now.as_millis();
        self.body.expires_ms = now.as_millis().saturating_add(FRESH_MS);
        let body = serde_json::to_string_pretty(&self.body).expect("a head is JSON") + "\n";
        envelope::seal(FORMAT, signer, key, &body)
    }

    /// Its number; 0 before the first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.body.number
    }

    /// The key that signed it, as it says.
    #[must_use]
    pub fn signer(&self) -> Option<&KeyId> {
        self.envelope.as_ref().map(|envelope| &envelope.signer)
    }

    /// Whether this key has signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.is_signed_by(key))
    }

    /// Whether it is about this channel.
    #[must_use]
    pub fn is_of(&self, origin: &str, channel: &str, target: &str) -> bool {
        self.body.origin == origin && self.body.channel == channel && self.body.target == target
    }

    /// Until when it counts as fresh.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        UnixTime::from_millis(self.body.expires_ms)
    }

    /// Whether it has to be signed again, to stay fresh.
    #[must_use]
    pub fn is_ageing(&self, now: UnixTime) -> bool {
        self.body.expires_ms.saturating_sub(now.as_millis()) < FRESH_MS / 2
    }

    /// Whether the channel was removed.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.body.removed
    }

    fn ident(&self, name: &str, entry: &Entry) -> Option<PackageIdent> {
        format!("{}/{name}/{}/{}", self.body.origin, entry.version, entry.release).parse().ok()
    }

    /// Every package in it, in the order of names, older before newer.
    pub fn packages(&self) -> impl Iterator<Item = (PackageIdent, &Entry)> {
        self.body.packages.iter().flat_map(|(name, entries)| {
            entries.iter().filter_map(|entry| Some((self.ident(name, entry)?, entry)))
        })
    }

    /// The newest package in it that satisfies an ident.
    #[must_use]
    pub fn newest(&self, wanted: &PackageIdent) -> Option<(PackageIdent, &Entry)> {
        let entries = self.body.packages.get(wanted.name())?;
        let fitting = entries.iter().filter_map(|entry| Some((self.ident(wanted.name(), entry)?, entry)));
        fitting
            .filter(|(ident, _)| ident.satisfies(wanted))
            .max_by(|(a, _), (b, _)| a.cmp_version(b).then_with(|| a.cmp(b)))
    }

    /// Puts a package in; whether it was not there before.
    pub fn add(&mut self, ident: &PackageIdent, entry: Entry) -> bool {
        assert_eq!(ident.origin(), self.body.origin, "a channel holds its own origin's packages");
        self.body.removed = false;
        let origin = self.body.origin.clone();
        let name = ident.name();
        let entries = self.body.packages.entry(name.to_owned()).or_default();
        if entries.iter().any(|other| other.is(ident)) {
            return false;
        }
        entries.push(entry);
        let key = |entry: &Entry| {
            format!("{origin}/{name}/{}/{}", entry.version, entry.release).parse::<PackageIdent>()
        };
        entries.sort_by(|a, b| match (key(a), key(b)) {
            (Ok(a), Ok(b)) => a.cmp_version(&b).then_with(|| a.cmp(&b)),
            _ => std::cmp::Ordering::Equal,
        });
        true
    }

    /// Takes a package out; whether it was there.
    pub fn remove(&mut self, ident: &PackageIdent) -> bool {
        let Some(entries) = self.body.packages.get_mut(ident.name()) else { return false };
        let before = entries.len();
        entries.retain(|entry| !entry.is(ident));
        let was_there = entries.len() < before;
        if entries.is_empty() {
            self.body.packages.remove(ident.name());
        }
        was_there
    }

    /// Lets a removed channel be there again.
    pub fn restore(&mut self) {
        self.body.removed = false;
    }

    /// Takes everything out, and marks the channel as removed.
    pub fn remove_all(&mut self) {
        self.body.packages.clear();
        self.body.removed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::crypto;

    fn ident(text: &str) -> PackageIdent {
        text.parse().expect("an ident")
    }

    fn with(releases: &[&str]) -> Head {
        let mut head = Head::new("acme", "stable", "x86_64-linux");
        for release in releases {
            let ident = ident(&format!("acme/web/{release}"));
            let entry = Entry::new(&ident, &crypto::hash(release.as_bytes()), 7, UnixTime::from_millis(5));
            assert!(head.add(&ident, entry.clone()) && !head.add(&ident, entry));
        }
        head
    }

    #[test]
    fn the_newest_is_found_by_habitats_order() {
        let head = with(&["1.10/20260101000000", "1.9/20260301000000", "1.10-rc/20260401000000"]);
        let newest = |wanted: &str| head.newest(&ident(wanted)).map(|(ident, _)| ident.to_string());
        assert_eq!(newest("acme/web").as_deref(), Some("acme/web/1.10/20260101000000"));
        assert_eq!(newest("acme/web/1.9").as_deref(), Some("acme/web/1.9/20260301000000"));
        assert_eq!(newest("acme/web/2"), None);
        assert_eq!(newest("acme/db"), None);
        let order: Vec<_> = head.packages().map(|(ident, _)| ident.version().map(str::to_owned)).collect();
        assert_eq!(order, ["1.9", "1.10-rc", "1.10"].map(|v| Some(v.to_owned())));
    }

    #[test]
    fn each_change_is_a_number_of_its_own() {
        let key = SecretKey::from_seed(&[3; 32]);
        let signer: KeyId = "acme.channel-20260101000000".parse().expect("a name");
        let now = UnixTime::from_millis(1000);
        let first = Head::parse(&with(&["1.0/20260101000000"]).next((&signer, &key), now)).expect("a head");
        assert_eq!((first.number(), first.signer()), (1, Some(&signer)));
        assert!(first.is_signed_by(&key.public()) && first.is_of("acme", "stable", "x86_64-linux"));
        assert!(!first.is_of("acme", "dev", "x86_64-linux"));
        let mut second = first.clone();
        assert!(second.remove(&ident("acme/web/1.0/20260101000000")));
        assert!(!second.remove(&ident("acme/web/1.0/20260101000000")));
        let second = Head::parse(&second.next((&signer, &key), now)).expect("a head");
        assert_eq!((second.number(), second.packages().count()), (2, 0));
        assert!(second.expires() > now && !second.is_ageing(now));
        assert!(second.is_ageing(UnixTime::from_millis(FRESH_MS)));
    }

    #[test]
    fn an_entry_that_is_no_package_is_refused() {
        let key = SecretKey::from_seed(&[3; 32]);
        let signer: KeyId = "acme.channel-20260101000000".parse().expect("a name");
        let text = with(&["1.0/20260101000000"]).next((&signer, &key), UnixTime::from_millis(0));
        for (from, to) in [("20260101000000\",", "../../x\","), ("\"web\"", "\"../x\"")] {
            assert!(Head::parse(&text.replace(from, to)).is_err(), "{to}");
        }
    }
}
