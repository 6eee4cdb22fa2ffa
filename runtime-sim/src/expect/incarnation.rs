//! The statement `incarnation`: a member's own incarnation is kept or raised.

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

/// The member's incarnation is the same as at `since`, or a higher one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// The members.
    pub of: Vec<HostId>,
    /// Raised or the same.
    pub raised: bool,
    /// Compared with the one at this time.
    pub since: Instant,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    incarnation: Spanned<IncarnationWord>,
    of: Option<SpannedNames>,
    since: Option<Spanned<Time>>,
}

impl Room for Incarnation {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "incarnation",
        beside: "`of`: the member, `since`: the earlier time (both required)",
        example: "incarnation = \"raised\", of = \"bob\", since = \"5s\"",
        doc: "a member's own incarnation is `kept` or `raised`, compared with the one at `since`",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let (Some(of), Some(since)) = (&form.of, &form.since) else {
            let help = "add of = \"bob\" and since = \"5s\"";
            let message = "`incarnation` does not name the member or the earlier time";
            reading.wrong(form.incarnation.span(), message, help);
            return None;
        };
        let of = reading.hosts(of);
        let raised = form.incarnation.into_inner() == IncarnationWord::Raised;
        Some(Self { of, raised, since: Instant::ZERO + since.get_ref().0 })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let word = if self.raised { "raised" } else { "kept" };
        format!("incarnation = \"{word}\"\nof = {}\nsince = {}", names.list(&self.of), instant(self.since))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { of: hosts.some(&self.of)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        look.compare(&self.of, self.since, |(_, before), (_, now)| {
            let ok = if self.raised { now > before } else { now == before };
            if ok { Ok(()) } else { Err(format!("has incarnation {now} and had {before}")) }
        })
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("incarnation", keys::of::<IncarnationWord>())]
    }

    fn since(&self) -> Option<Instant> {
        Some(self.since)
    }
}

/// Compared with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IncarnationWord {
    Kept,
    Raised,
}
