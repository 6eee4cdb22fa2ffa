//! The statement `identity`: a host runs the same member as before, or another.

use annulus_core::Instant;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room};
use crate::engine::host::HostId;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::text::instant;
use crate::form::value::Time;

/// The host's member id is the same as at `since`, or another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The hosts.
    pub of: Vec<HostId>,
    /// Another or the same.
    pub new: bool,
    /// Compared with the one at this time.
    pub since: Instant,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    identity: Spanned<IdentityWord>,
    of: Option<SpannedNames>,
    since: Option<Spanned<Time>>,
}

impl Room for Identity {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "identity",
        beside: "`of` and `since`, as with `incarnation`",
        example: "identity = \"kept\", of = \"bob\", since = \"5s\"",
        doc: "a host's member id is `kept` or `new`, compared with the one at `since`",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let (Some(of), Some(since)) = (&form.of, &form.since) else {
            let help = "add of = \"bob\" and since = \"5s\"";
            let message = "`identity` does not name the member or the earlier time";
            reading.wrong(form.identity.span(), message, help);
            return None;
        };
        let of = reading.hosts(of);
        let new = form.identity.into_inner() == IdentityWord::New;
        Some(Self { of, new, since: Instant::ZERO + since.get_ref().0 })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let word = if self.new { "new" } else { "kept" };
        format!("identity = \"{word}\"\nof = {}\nsince = {}", names.list(&self.of), instant(self.since))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { of: hosts.some(&self.of)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        look.compare(&self.of, self.since, |(before, _), (now, _)| {
            if (before != now) == self.new {
                Ok(())
            } else {
                Err(format!("is member {now} and was {before}"))
            }
        })
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("identity", keys::of::<IdentityWord>())]
    }

    fn since(&self) -> Option<Instant> {
        Some(self.since)
    }
}

/// Compared with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IdentityWord {
    Kept,
    New,
}
