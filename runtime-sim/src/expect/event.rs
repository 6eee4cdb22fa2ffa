//! The statements `occurred` and `never`: a node reports an event, or does not.

use serde::Deserialize;
use toml::Spanned;

use super::When;
use super::event_word::{EventWord, Report};
use super::room::{Look, Room, Who};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// The word of the statement that an event occurred.
pub(super) const OCCURRED: &str = "occurred";

/// Such an event occurred, or did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event.
    pub event: EventWord,
    /// The members that it is about.
    pub of: Who,
    /// The members that report it.
    pub seen_by: Who,
    /// Occurred, or never.
    pub occurred: bool,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    occurred: Option<Spanned<EventWord>>,
    never: Option<Spanned<EventWord>>,
    of: Option<SpannedNames>,
    seen_by: Option<SpannedNames>,
}

impl Room for Event {
    type Form = Form;

    const WORDS: &'static [Word] = &[
        Word {
            key: OCCURRED,
            beside: "`of`: the members that it is about, `seen_by`: the members that reported it; with `by`",
            example: "occurred = \"refuted\", of = \"bob\"",
            doc: "such an event came from one of `seen_by` at least, about one of `of`",
        },
        Word {
            key: "never",
            beside: "`of`, `seen_by`; with `always`, or without a time for the whole scenario",
            example: "never = \"confirmed\"",
            doc: "no such event came (without a time: in the whole scenario)",
        },
    ];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let occurred = form.occurred.is_some();
        let event = form.occurred.or(form.never)?.into_inner();
        let seen_by = Who::read(form.seen_by.as_ref(), reading);
        Some(Self { event, of: Who::read(form.of.as_ref(), reading), seen_by, occurred })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let (of, seen_by) = (self.of.write(names), self.seen_by.write(names));
        format!("{} = \"{}\"\nof = {of}\nseen_by = {seen_by}", self.word(), self.event.word())
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { of: self.of.moved(hosts)?, seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        match (look.heard, self.occurred) {
            (Some(_), true) | (None, false) => Ok(()),
            (Some(heard), false) => Err(heard.to_owned()),
            (None, true) => Err(format!("no {} was reported", self.event.word())),
        }
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("occurred and never", keys::of::<EventWord>())]
    }

    fn unasked(&self, when: &When) -> Option<(&'static str, &'static str)> {
        let help = match (self.occurred, when) {
            (true, When::By { .. } | When::Within { .. }) | (false, When::Always { .. }) => return None,
            (true, When::At(_) | When::Always { .. }) => {
                "an event occurs at an instant of a span: use `by`, and `after` if it has to be late"
            }
            (false, When::At(_) | When::By { .. } | When::Within { .. }) => {
                "use always = \"5s..20s\", or no time at all for the whole scenario"
            }
        };
        Some((self.word(), help))
    }

    fn needs_no_time(&self) -> bool {
        !self.occurred
    }

    #[cfg(feature = "beds")]
    fn listens(&self) -> bool {
        true
    }

    fn hears(&self, report: &Report) -> bool {
        let about = report.subject.is_some_and(|subject| self.of.names(subject)) || self.of == Who::Running;
        self.event == report.word && about && self.seen_by.names(report.host)
    }
}

impl Event {
    const fn word(&self) -> &'static str {
        if self.occurred { OCCURRED } else { "never" }
    }
}
