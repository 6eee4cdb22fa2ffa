//! Tokens: who may read, upload and promote what. A token is shown once, and kept as its hash.

use std::fs;
use std::io;
use std::path::Path;

use annulus_core::UnixTime;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::Error;
use crate::host::{atomic, entropy, timestamp};
use crate::keys::crypto;

/// Most tokens of a depot.
const TOKENS_MAX: usize = 10_000;
const PREFIX: &str = "annulus-depot";
/// A token for every origin names this one.
pub(super) const ANY_ORIGIN: &str = "*";

/// What a token allows; each role allows what the ones before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read, where the depot wants a token for that.
    Read,
    /// Upload packages and public keys.
    Upload,
    /// Promote, demote, delete, make and remove channels, change which keys count.
    Promote,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Promote => "promote",
        }
    }
}

/// A token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// By which it is listed, audited and revoked.
    pub id: String,
    /// The origin that it is for, `*` for all.
    pub origin: String,
    /// What it allows.
    pub role: Role,
    hash: String,
    /// When it was made.
    pub made: String,
    /// Until when it counts; for ever where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

impl Token {
    /// Whether it allows this with an origin now.
    #[must_use]
    pub fn allows(&self, origin: &str, role: Role, now: UnixTime) -> bool {
        !self.has_expired(now) && self.role >= role && (self.origin == ANY_ORIGIN || self.origin == origin)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_expired(&self, now: UnixTime) -> bool {
        self.expires_ms.is_some_and(|expires_ms| now.as_millis() >= expires_ms)
    }
}

/// All tokens of a depot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
}

impl Tokens {
    /// Those in this file; none where it is missing.
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Error::io(path)(e)),
        };
        serde_json::from_str(&text).map_err(|e| {
            let source = io::Error::new(io::ErrorKind::InvalidData, format!("it is no list of tokens: {e}"));
            Error::io(path)(source)
        })
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("tokens are JSON");
        atomic::write(path, text.as_bytes(), 0o600).map_err(Error::io(path))
    }

    pub(super) fn list(&self) -> &[Token] {
        &self.tokens
    }

    /// Makes a token, and returns what its owner has to show.
    pub(super) fn make(
        &mut self,
        origin: &str,
        role: Role,
        now: UnixTime,
        expires_ms: Option<u64>,
    ) -> Result<String, Error> {
        if self.tokens.len() >= TOKENS_MAX {
            return Err(Error::Conflict(format!("there are {TOKENS_MAX} tokens already: revoke some")));
        }
        let seed = entropy::seed().map_err(|e| Error::Forbidden(format!("no token can be made: {e}")))?;
        let hex = crypto::hash(&seed).to_string();
        let (id, secret) = hex.split_at(12);
        let text = format!("{PREFIX}-{id}-{secret}");
        self.tokens.push(Token {
            id: id.to_owned(),
            origin: origin.to_owned(),
            role,
            hash: crypto::hash(text.as_bytes()).to_string(),
            made: timestamp::rfc3339_millis(now),
            expires_ms,
        });
        Ok(text)
    }

    /// Takes a token away; whether it was there.
    pub(super) fn revoke(&mut self, id: &str) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.id != id);
        self.tokens.len() < before
    }

    /// The token of this text.
    pub(super) fn find(&self, text: &str) -> Option<&Token> {
        let hash = crypto::hash(text.trim().as_bytes()).to_string();
        // All are compared, and each in the same time, so that an answer's time tells nothing of them.
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.hash.as_bytes().ct_eq(hash.as_bytes())) {
                found = Some(token);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_allows_its_role_and_those_below_for_its_origin() {
        let mut tokens = Tokens::default();
        let now = UnixTime::from_millis(1000);
        let text = tokens.make("acme", Role::Upload, now, Some(2000)).expect("made");
        let token = tokens.find(&text).expect("found").clone();
        assert!(token.allows("acme", Role::Upload, now) && token.allows("acme", Role::Read, now));
        assert!(!token.allows("acme", Role::Promote, now) && !token.allows("core", Role::Read, now));
        assert!(!token.allows("acme", Role::Read, UnixTime::from_millis(2000)), "it has expired");
        let any = tokens.make(ANY_ORIGIN, Role::Promote, now, None).expect("made");
        assert!(tokens.find(&any).expect("found").allows("core", Role::Promote, now));
        assert!(tokens.find(&text[..text.len() - 1]).is_none() && tokens.find("").is_none());
        assert!(tokens.revoke(&token.id) && !tokens.revoke(&token.id));
        assert!(tokens.find(&text).is_none() && tokens.find(&any).is_some());
    }

    #[test]
    fn a_file_holds_no_token_in_the_clear() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tokens.json");
        let mut tokens = Tokens::load(&path).expect("none yet");
        let text = tokens.make("acme", Role::Promote, UnixTime::from_millis(0), None).expect("made");
        tokens.save(&path).expect("saved");
        let kept = fs::read_to_string(&path).expect("there");
        let secret = text.rsplit('-').next().expect("its secret part");
        assert!(!kept.contains(secret) && kept.contains("acme"), "{kept}");
        assert!(Tokens::load(&path).expect("read").find(&text).is_some());
        fs::write(&path, "{").expect("written");
        assert!(Tokens::load(&path).is_err(), "a damaged file allows nothing, and says so");
    }
}
