//! What a user seals for a service group: the text of the box (as in Habitat), and the user's signature beside it. Opens and
//! makes both with the keys of a cache, and decides nothing about what a service does with the content.
//!
//! A box proves less than it seems to: each holder of the service's key can make one in the name of each user, and nothing
//! in it says for which version, kind or file it was made. The signature says all of that.

#[cfg(test)]
mod tests;

use annulus_core::{Sealed, ServiceGroup};

use super::crypto;
use super::signed_box::SignedBox;
use super::{KeyCache, KeyError, KeyId, KeyKind};

/// What is signed begins with this, so that a signature for another purpose is none for this one.
const DOMAIN: &[u8] = b"annulus sealed v1";

/// What something is sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose<'a> {
    /// The service group.
    pub group: &'a ServiceGroup,
    /// The file's name; none for the configuration.
    pub file: Option<&'a str>,
    /// The version's number.
    pub version: u64,
}

impl Purpose<'_> {
    /// What a user signs: domain, group, kind, version, name, and the hash of the box, each with its length.
    fn statement(&self, text: &[u8]) -> Vec<u8> {
        let kind = if self.file.is_some() { "file" } else { "config" };
        let hash = crypto::hash(text);
        let parts: [&[u8]; 6] = [
            DOMAIN,
            self.group.as_str().as_bytes(),
            kind.as_bytes(),
            &self.version.to_le_bytes(),
            self.file.unwrap_or_default().as_bytes(),
            hash.as_bytes(),
        ];
        let mut statement = Vec::new();
        for part in parts {
            statement.extend_from_slice(&(part.len() as u64).to_le_bytes());
            statement.extend_from_slice(part);
        }
        statement
    }
}

/// Why something cannot be sealed, or what came sealed cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It has not the form of a box.
    #[error("it is no box ({reason}); seal it again with `annulus config apply` or `annulus file upload`")]
    Malformed {
        /// The reason, in words.
        reason: &'static str,
    },
    /// A box for another group.
    #[error(
        "it is sealed for {service}, which is no key of {group}; seal it for the group that is to get it"
    )]
    OtherGroup {
        /// The key that it is sealed for.
        service: KeyId,
        /// The group that got it.
        group: ServiceGroup,
    },
    /// A box that was not made by a user.
    #[error("it is sealed by {id}, which is the key of a service group and of no user")]
    NotAUser {
        /// The key that sealed it.
        id: KeyId,
    },
    /// A key is missing, or cannot be used.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// A box alone.
    #[error(
        "{user} sealed it and did not sign it, so that each holder of the group's key could have made it: seal it with \
         `annulus config apply --user`, or allow boxes of Habitat's users with `sup run --require-user false`"
    )]
    Unsigned {
        /// The user's key.
        user: KeyId,
    },
    /// The signature is that of another key, or of another purpose.
    #[error(
        "its signature is not that of {user} for this group, version and name: it was copied from another place, changed on \
         its way, or {user}.pub here is another key than the user's; seal it again under a higher version"
    )]
    Signature {
        /// The user's key.
        user: KeyId,
    },
    /// The keys do not fit.
    #[error(
        "{service} does not open what {user} sealed: it was damaged, or {user}.pub here is another key than the user's; \
         bring the user's public key again, or seal it again under a higher version"
    )]
    Unopened {
        /// The user's key.
        user: KeyId,
        /// The group's key.
        service: KeyId,
    },
}

/// A box that was made, and its signature.
#[derive(Clone, Debug)]
pub struct Made {
    /// The text of the box.
    pub text: Vec<u8>,
    /// The user's signature.
    pub signature: Vec<u8>,
    /// The key of the user.
    pub user: KeyId,
    /// The key of the group.
    pub service: KeyId,
}

/// What came sealed, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content.
    pub content: Vec<u8>,
    /// The key of the user who sealed it.
    pub user: KeyId,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({})", self.user)
    }
}

impl KeyCache {
    /// The newest key of a group that content can be sealed for, when there is one.
    ///
    /// # Errors
    /// The folder is not readable.
    pub fn sealing_key(&self, group: &ServiceGroup) -> Result<Option<KeyId>, KeyError> {
        self.latest(group.as_str(), KeyKind::BoxPublic)
    }

    /// Whether this host holds a key that opens what is sealed for a group.
    ///
    /// # Errors
    /// The folder is not readable.
    pub fn opens(&self, group: &ServiceGroup) -> Result<bool, KeyError> {
        Ok(group.org().is_some() && self.latest(group.as_str(), KeyKind::BoxSecret)?.is_some())
    }

    /// Seals content by the user's newest secret key for the newest public key of the group, and signs it.
    ///
    /// # Errors
    /// A key is missing, or cannot be used.
    pub fn seal(&self, user: &str, purpose: Purpose<'_>, content: &[u8]) -> Result<Made, SealError> {
        let group = purpose.group;
        if group.org().is_none() {
            return Err(KeyError::NoOrg { group: group.clone() }.into());
        }
        let newest = |name: &str, kind| {
            let missing = || KeyError::NoKey { name: name.to_owned(), kind, dir: self.dir().to_owned() };
            self.latest(name, kind)?.ok_or_else(missing)
        };
        let user = newest(user, KeyKind::BoxSecret)?;
        let service = newest(group.as_str(), KeyKind::BoxPublic)?;
        let secret = self.box_secret(&user)?;
        let (nonce, sealed) = secret.seal(content, &self.box_public(&service)?);
        let text = SignedBox { user: user.clone(), service: service.clone(), nonce, sealed }.to_text();
        let signature = secret.sign(&purpose.statement(text.as_bytes())).to_vec();
        Ok(Made { text: text.into_bytes(), signature, user, service })
    }

    /// The key of the group that a box is for, once its form is checked.
    ///
    /// # Errors
    /// It is no box, or one for another group.
    pub fn check_box(sealed: Sealed<'_>, group: &ServiceGroup) -> Result<KeyId, SealError> {
        parse(sealed, group).map(|found| found.service)
    }

    /// Opens what came sealed, with the group's key and the user's public key of this host.
    ///
    /// # Errors
    /// What is wrong with it, or which key is missing.
    pub fn unseal(
        &self,
        sealed: Sealed<'_>,
        purpose: Purpose<'_>,
        takes_unsigned: bool,
    ) -> Result<Opened, SealError> {
        let SignedBox { user, service, nonce, sealed: content } = parse(sealed, purpose.group)?;
        // The key that an operator has to bring first.
        let secret = self.box_secret(&service)?;
        let public = self.box_public(&user)?;
        if sealed.signature.is_empty() {
            if !takes_unsigned {
                return Err(SealError::Unsigned { user });
            }
        } else if !public.verifies(&purpose.statement(sealed.text), sealed.signature) {
            return Err(SealError::Signature { user });
        }
        match secret.open(&nonce, &content, &public) {
            Some(content) => Ok(Opened { content, user }),
            None => Err(SealError::Unopened { user, service }),
        }
    }
}

fn parse(sealed: Sealed<'_>, group: &ServiceGroup) -> Result<SignedBox, SealError> {
    let found = SignedBox::parse(sealed.text)?;
    if found.service.name() != group.as_str() || group.org().is_none() {
        return Err(SealError::OtherGroup { service: found.service, group: group.clone() });
    }
    if found.user.name().contains('@') {
        return Err(SealError::NotAUser { id: found.user });
    }
    Ok(found)
}
