//! The statements `alive`, `suspect`, `confirmed`, `departed` and `unknown`: the state in which members hold others.

use annulus_core::State;
use serde::Deserialize;

use super::room::{Look, Room, Who, state_word};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Each of `seen_by` holds each of `of` in this state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InState {
    /// The members that are looked at.
    pub of: Who,
    /// The state; none: not in the list at all.
    pub state: Option<State>,
    /// The members that look.
    pub seen_by: Who,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    alive: Option<SpannedNames>,
    suspect: Option<SpannedNames>,
    confirmed: Option<SpannedNames>,
    departed: Option<SpannedNames>,
    unknown: Option<SpannedNames>,
    seen_by: Option<SpannedNames>,
}

impl Room for InState {
    type Form = Form;

    const WORDS: &'static [Word] = &[
        Word {
            key: "alive",
            beside: "`seen_by`; `\"running\"` stands for all running members",
            example: "alive = \"bob\", seen_by = \"ada\"",
            doc: "the members are held alive by `seen_by` (by default every running member)",
        },
        Word { key: "suspect", beside: "`seen_by`", example: "suspect = \"bob\"", doc: "they are suspected" },
        Word {
            key: "confirmed",
            beside: "`seen_by`",
            example: "confirmed = \"bob\"",
            doc: "they are held dead",
        },
        Word {
            key: "departed",
            beside: "`seen_by`",
            example: "departed = \"bob\"",
            doc: "they are held to have left or to be banned",
        },
        Word {
            key: "unknown",
            beside: "`seen_by`",
            example: "unknown = \"bob\", seen_by = \"cyd\"",
            doc: "they are not in the list of members",
        },
    ];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let words = [
            (form.alive, Some(State::Alive)),
            (form.suspect, Some(State::Suspect)),
            (form.confirmed, Some(State::Confirmed)),
            (form.departed, Some(State::Departed)),
            (form.unknown, None),
        ];
        let (names, state) = words.into_iter().find_map(|(names, state)| Some((names?, state)))?;
        let seen_by = Who::read(form.seen_by.as_ref(), reading);
        Some(Self { of: Who::read(Some(&names), reading), state, seen_by })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let word = self.state.map_or("unknown", state_word);
        format!("{word} = {}\nseen_by = {}", self.of.write(names), self.seen_by.write(names))
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { of: self.of.moved(hosts)?, seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        look.in_state(&self.of, self.state, &self.seen_by)
    }
}
