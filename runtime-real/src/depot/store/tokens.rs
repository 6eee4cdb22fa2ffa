//! Who may write to a depot, and read from a private one.

use annulus_core::UnixTime;

use super::{Actor, Store};
use crate::depot::Error;
use crate::depot::token::{ANY_ORIGIN, Role, Token, Tokens};

impl Store {
    /// Makes a token; its text is shown this once.
    ///
    /// # Errors
    /// There are too many, or the disk refuses.
    pub fn make_token(
        &self,
        origin: &str,
        role: Role,
        now: UnixTime,
        expires_ms: Option<u64>,
    ) -> Result<String, Error> {
        let _held = self.hold()?;
        let mut tokens = Tokens::load(&self.tree.tokens())?;
        let text = tokens.make(origin, role, now, expires_ms)?;
        tokens.save(&self.tree.tokens())?;
        self.audit(now, &Actor::local(), "token", &format!("{} {origin}", role.name()))?;
        Ok(text)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none of this id, or the disk refuses.
    pub fn revoke_token(&self, id: &str, now: UnixTime) -> Result<(), Error> {
        let _held = self.hold()?;
        let mut tokens = Tokens::load(&self.tree.tokens())?;
        if !tokens.revoke(id) {
            return Err(Error::NotFound(format!(
                "no token has the id {id:?}; `annulus depot token --list` lists them"
            )));
        }
        tokens.save(&self.tree.tokens())?;
        self.audit(now, &Actor::local(), "revoke token", id)
    }

    /// Every token.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        Ok(Tokens::load(&self.tree.tokens())?.list().to_vec())
    }

    /// Checks that a token allows this, and returns its id.
    ///
    /// # Errors
    /// It is unknown, or allows less.
    pub fn admit(
        &self,
        token: Option<&str>,
        origin: &str,
        role: Role,
        now: UnixTime,
    ) -> Result<String, Error> {
        let Some(text) = token else {
            return Err(Error::Unauthorized(format!(
                "a token is needed to {} packages of {origin}: give one with -z or HAB_AUTH_TOKEN; on the depot's host \
                 `annulus depot token {origin} --role {}` makes one",
                role.name(),
                role.name()
            )));
        };
        let tokens = Tokens::load(&self.tree.tokens())?;
        let Some(token) = tokens.find(text) else {
            return Err(Error::Unauthorized(
                "this token is not one of this depot's, or was revoked".to_owned(),
            ));
        };
        if token.has_expired(now) {
            return Err(Error::Unauthorized(format!("token {} has expired", token.id)));
        }
        if !token.allows(origin, role, now) {
            return Err(Error::Forbidden(format!(
                "token {} allows to {} packages of {}, and not to {} those of {}",
                token.id,
                token.role.name(),
                words(&token.origin),
                role.name(),
                words(origin)
            )));
        }
        Ok(token.id.clone())
    }
}

fn words(origin: &str) -> &str {
    if origin == ANY_ORIGIN { "every origin" } else { origin }
}
