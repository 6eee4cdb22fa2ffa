//! The one line of an invitation: which ring, where, who invites, and the secret. Reads and writes text, and shows the secret
//! nowhere else.
//!
//! ```text
//! annulus-join-1/blue/10.0.0.1:9638,one.example.com:9638/e6305a988a9b4b6984c4b4045be62e04/<secret>/<check>
//! ```
//!
//! No shell makes anything else of its characters, so it needs no quotes. The port of an address is what follows its last
//! colon, also for IPv6, because brackets are patterns in a shell. Secret and check are in base32 without the letters that are
//! taken for digits; the check is 40 bits of a hash of all before it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use annulus_core::MemberId;
use thiserror::Error;

use crate::host::entropy::{self, EntropyError};
use crate::keys::KeyId;
use crate::keys::crypto::{Hasher, SharedKey};

/// What every line begins with; the number is that of its form.
const BEGIN: &str = "annulus-join-1";
/// What lines of every form begin with.
const BEGIN_OF_ALL: &str = "annulus-join-";
/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 1_024;
/// Addresses of one line.
pub const ADDRESSES_MAX: usize = 4;
/// Longest name of a host, in bytes (DNS).
const HOST_BYTES_MAX: usize = 253;
/// Bytes of a secret: 160 bits.
pub const SECRET_BYTES: usize = 20;
const CHECK_BYTES: usize = 5;
/// Apart from all other hashes.
const CHECK_DOMAIN: &[u8] = b"annulus join line v1\0";
const VERIFIER_DOMAIN: &[u8] = b"annulus invitation v1\0";
const ID_DOMAIN: &[u8] = b"annulus invitation id v1\0";
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The secret of an invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret([u8; SECRET_BYTES]);

impl JoinSecret {
    /// A new one.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn generate() -> Result<Self, EntropyError> {
        let mut bytes = [0; SECRET_BYTES];
        bytes.copy_from_slice(&entropy::seed()?[..SECRET_BYTES]);
        Ok(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// What the inviting supervisor keeps of it.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::of(&self.0)
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(..)")
    }
}

/// A hash of a secret. It lets its owner check the secret, and not show it.
#[derive(Clone)]
pub struct Verifier(SharedKey);

impl Verifier {
    /// That of these bytes.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(VERIFIER_DOMAIN);
        hasher.update(secret);
        Self::from_bytes(hasher.finish().as_bytes()).expect("a hash of 32 bytes")
    }

    /// The one with these bytes, if they are 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        SharedKey::from_bytes(bytes).map(Self)
    }

    /// It as a key, from which those of a connection follow.
    #[must_use]
    pub const fn key(&self) -> &SharedKey {
        &self.0
    }

    /// By what an invitation is called where the secret must not stand: eight hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        let mut hasher = Hasher::new();
        hasher.update(ID_DOMAIN);
        hasher.update(self.0.as_bytes());
        hasher.finish().to_string().chars().take(8).collect()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// Where the inviting supervisor is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// This host, by name or address, and its port for gossip; none where that is no host, or no port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let is_name = !host.is_empty()
            && host.len() <= HOST_BYTES_MAX
            && host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        let is_host = is_name || host.parse::<IpAddr>().is_ok();
        (is_host && port > 0).then(|| Self { host: host.to_owned(), port })
    }

    /// Name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a text is no invitation. The text itself is never shown: it may hold most of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// It begins otherwise.
    #[error(
        "it is no invitation, which is one line that begins with {BEGIN}/; `annulus ring invite` on a host of the ring prints one"
    )]
    Foreign,
    /// It has a form that this program does not know.
    #[error(
        "it was made by another version of annulus, in a form that this one does not know; use one version on both hosts"
    )]
    Version,
    /// A part of it is missing or changed.
    #[error(
        "it is cut short or mistyped, as its last part shows, which checks the others; copy the whole line again"
    )]
    Damaged,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinLine {
    /// The ring's name.
    pub ring: String,
    /// Where the inviting supervisor is reached: one to [`ADDRESSES_MAX`].
    pub addresses: Vec<Address>,
    /// The inviting member, whose id is the hash of its key.
    pub inviter: MemberId,
    /// The secret.
    pub secret: JoinSecret,
}

impl JoinLine {
    /// The line. It holds the secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let secret = base32(&self.secret.0);
        with_check(&format!("{BEGIN}/{}/{}/{}/{secret}", self.ring, addresses.join(","), self.inviter))
    }
}

/// The line that begins with this text: its last part is the one that checks the others.
#[must_use]
pub fn with_check(text: &str) -> String {
    let check = check(text);
    format!("{text}/{check}")
}

fn check(text: &str) -> String {
    let mut hasher = Hasher::new();
    hasher.update(CHECK_DOMAIN);
    hasher.update(text.as_bytes());
    base32(&hasher.finish().as_bytes()[..CHECK_BYTES])
}

/// Five bits a letter. The bytes fill whole letters.
fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let letter = |at: usize| (0..5).fold(0, |value, next| value << 1 | usize::from(bit(5 * at + next)));
    (0..bytes.len() * 8 / 5)
        .filter_map(|at| LETTERS.get(letter(at)))
        .map(|letter| char::from(*letter))
        .collect()
}

fn of_base32<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    if text.len() * 5 != BYTES * 8 {
        return None;
    }
    let mut bytes = [0_u8; BYTES];
    for (at, letter) in text.bytes().enumerate() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        for bit in (0..5).filter(|bit| value >> (4 - bit) & 1 == 1) {
            let place = 5 * at + bit;
            *bytes.get_mut(place / 8)? |= 0x80 >> (place % 8);
        }
    }
    Some(bytes)
}

fn is_ring(name: &str) -> bool {
    format!("{name}-20260101000000").parse::<KeyId>().is_ok_and(|id| id.name() == name)
}

fn address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    Address::new(host, port.parse().ok()?)
}

impl FromStr for JoinLine {
    type Err = LineError;
    fn from_str(text: &str) -> Result<Self, LineError> {
        let text = text.trim();
        if !text.starts_with(BEGIN_OF_ALL) {
            return Err(LineError::Foreign);
        }
        let parts: Vec<&str> = text.split('/').take(7).collect();
        if parts.first().is_some_and(|begin| *begin != BEGIN && of_another_form(begin)) {
            return Err(LineError::Version);
        }
        let [BEGIN, ring, addresses, inviter, secret, _] = parts[..] else { return Err(LineError::Damaged) };
        let line = Self {
            ring: ring.to_owned(),
            addresses: addresses.split(',').map(address).collect::<Option<_>>().ok_or(LineError::Damaged)?,
            inviter: inviter.parse().map_err(|_| LineError::Damaged)?,
            secret: JoinSecret(of_base32(secret).ok_or(LineError::Damaged)?),
        };
        let is_whole = text.len() <= LINE_BYTES_MAX
            && is_ring(ring)
            && line.addresses.len() <= ADDRESSES_MAX
            // There is one way to write a line, so that no second one passes for it.
            && line.to_text() == text;
        if is_whole { Ok(line) } else { Err(LineError::Damaged) }
    }
}

/// Whether the first part names a form by another number.
fn of_another_form(begin: &str) -> bool {
    let number = begin.strip_prefix(BEGIN_OF_ALL).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any line.
    pub(crate) fn line() -> impl Strategy<Value = JoinLine> {
        let host = prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| IpAddr::from(ip).to_string()),
            any::<[u16; 8]>().prop_map(|ip| IpAddr::from(ip).to_string()),
            "[a-z0-9][a-zA-Z0-9._-]{0,40}",
        ];
        let address = (host, 1_u16..).prop_map(|(host, port)| Address::new(&host, port).expect("an address"));
        let addresses = prop::collection::vec(address, 1..=ADDRESSES_MAX);
        ("[a-z0-9][a-zA-Z0-9_.@-]{0,20}", addresses, any::<[u8; 16]>(), any::<[u8; SECRET_BYTES]>()).prop_map(
            |(ring, addresses, inviter, secret)| JoinLine {
                ring,
                addresses,
                inviter: MemberId::from_bytes(inviter),
                secret: JoinSecret(secret),
            },
        )
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(line in line()) {
            let text = line.to_text();
            prop_assert_eq!(format!(" {text}\n").parse::<JoinLine>(), Ok(line));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-/.:,_@".contains(c);
            prop_assert!(text.chars().all(is_plain), "a shell needs no quotes: {}", text);
        }

        #[test]
        fn a_changed_letter_is_noticed(line in line(), other in "[!-~]") {
            let text = line.to_text();
            for at in 0..text.len() {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                if changed != text {
                    prop_assert!(changed.parse::<JoinLine>().is_err(), "{}", changed);
                }
                prop_assert!(text[..at].parse::<JoinLine>().is_err(), "cut after {}", at);
                let swapped = format!("{}{}{}", &text[..at], text[at..].chars().rev().take(2).collect::<String>(), text.get(at + 2..).unwrap_or_default());
                if swapped != text {
                    prop_assert!(swapped.parse::<JoinLine>().is_err(), "{}", swapped);
                }
            }
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,200}") {
            let _ = text.parse::<JoinLine>();
            let _ = format!("annulus-join-1/{text}").parse::<JoinLine>();
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        let secret = JoinSecret([7; SECRET_BYTES]);
        let line = JoinLine {
            ring: "blue".to_owned(),
            addresses: vec![Address::new("2001:db8::1", 9638).expect("an address")],
            inviter: MemberId::from_bytes([9; 16]),
            secret: secret.clone(),
        };
        let text = line.to_text();
        assert!(text.starts_with("annulus-join-1/blue/2001:db8::1:9638/0909"), "{text}");
        assert!(!format!("{line:?}").contains(&base32(&secret.0)));
        let other_form = text.replacen("-1/", "-2/", 1);
        for (bad, why) in [
            ("", LineError::Foreign),
            ("10.0.0.1", LineError::Foreign),
            (&other_form, LineError::Version),
            (&text.to_uppercase().replacen("ANNULUS-JOIN", "annulus-join", 1), LineError::Damaged),
            (&format!("{text}/"), LineError::Damaged),
        ] {
            assert_eq!(bad.parse::<JoinLine>(), Err(why), "{bad}");
        }
        assert!(Address::new("-x", 1).is_none() && Address::new("a b", 1).is_none());
        assert!(Address::new("a", 0).is_none());
        assert_eq!(secret.verifier().id().len(), 8);
    }
}
