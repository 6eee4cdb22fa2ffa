//! `--user` and `--org`: seals what a command gives to a service group for the members of the group alone. Makes no key, and
//! sends nothing.

use annulus_core::{ServiceGroup, UnixTime};

use crate::cli::svc::key::with_org;
use crate::cli::{CliError, Global, key, output};
use crate::keys::{KeyId, Made, Purpose};

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Seal {
    /// Seal it for the members of the group alone, by this user's newest secret key for the newest public key of the group,
    /// both in this host's key cache
    #[arg(short, long, value_name = "NAME", value_parser = user_name)]
    user: Option<String>,
    /// The organization of the group, unless it is written SERVICE.GROUP@ORG
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
}

/// The name of a user, as one for whom a key can be made.
fn user_name(text: &str) -> Result<String, String> {
    match KeyId::new(text, UnixTime::from_millis(0)) {
        Ok(id) if !text.contains('@') => Ok(id.name().to_owned()),
        _ => {
            Err("a user's name is of letters, digits, '-' and '_', and begins with a letter or digit"
                .to_owned())
        }
    }
}

/// What is sent: plain, or a box with its signature.
pub(crate) struct Sealed {
    pub(crate) content: Vec<u8>,
    pub(crate) signature: Option<Vec<u8>>,
}

impl Sealed {
    pub(crate) const fn is_sealed(&self) -> bool {
        self.signature.is_some()
    }
}

impl Seal {
    /// Whether a user is named.
    pub(crate) const fn is_asked(&self) -> bool {
        self.user.is_some()
    }

    pub(crate) fn group(&self, group: ServiceGroup) -> Result<ServiceGroup, CliError> {
        with_org(group, self.org.as_deref())
    }

    /// Seals the content where a user is named. Plain content is refused for a group whose key this host knows, unless it
    /// takes back what came plain.
    pub(crate) fn seal(
        &self,
        global: &Global,
        purpose: Purpose<'_>,
        content: Vec<u8>,
    ) -> Result<Sealed, CliError> {
        let keys = key::cache(global)?;
        let Some(user) = &self.user else {
            let known = keys.sealing_key(purpose.group)?.filter(|_| !content.is_empty());
            return match known {
                Some(id) => Err(CliError::Usage(format!(
                    "{} takes only what a user sealed for it ({id}.pub is in {}): add --user NAME",
                    purpose.group,
                    keys.dir().display()
                ))),
                None => Ok(Sealed { content, signature: None }),
            };
        };
        let Made { text, signature, user, service } = keys.seal(user, purpose, &content)?;
        output::line(format_args!("Ω Sealed and signed by {user} for {service}"));
        Ok(Sealed { content: text, signature: Some(signature) })
    }
}
