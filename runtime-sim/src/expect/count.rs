//! The statement `count`: a member's list holds a number of members in a state.

use annulus_core::State;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who, state_word};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::value::Count as Range;

/// Each of `seen_by` holds so many members in this state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// At least.
    pub least: u32,
    /// At most.
    pub most: u32,
    /// The state; none: any state.
    pub state: Option<State>,
    /// The members that look.
    pub seen_by: Who,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    count: Spanned<Range>,
    state: Option<Spanned<StateWord>>,
    seen_by: Option<SpannedNames>,
}

impl Room for Count {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "count",
        beside: "`state`: `alive` (the default), `suspect`, `confirmed`, `departed`, `any`; `seen_by`",
        example: "count = \"3..5\", state = \"alive\"",
        doc: "each of `seen_by` has so many members, itself included, in this state (alive, or any)",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let Range { least, most } = *form.count.get_ref();
        let state = match form.state.map_or(StateWord::Alive, Spanned::into_inner) {
            StateWord::Alive => Some(State::Alive),
            StateWord::Suspect => Some(State::Suspect),
            StateWord::Confirmed => Some(State::Confirmed),
            StateWord::Departed => Some(State::Departed),
            StateWord::Any => None,
        };
        Some(Self { least, most, state, seen_by: Who::read(form.seen_by.as_ref(), reading) })
    }

    fn write(&self, names: &Names<'_>) -> String {
        let Self { least, most, state, seen_by } = self;
        let (state, seen_by) = (state.map_or("any", state_word), seen_by.write(names));
        format!("count = \"{least}..{most}\"\nstate = \"{state}\"\nseen_by = {seen_by}")
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { seen_by: self.seen_by.moved(hosts)?, ..self.clone() })
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        for host in look.observers(&self.seen_by)? {
            let count = look.scene.count(host, self.state);
            if !u32::try_from(count).is_ok_and(|count| (self.least..=self.most).contains(&count)) {
                let state = self.state.map_or("known", State::name);
                return Err(format!("{} has {count} {state} members", look.name(host)));
            }
        }
        Ok(())
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("state", keys::of::<StateWord>())]
    }
}

/// A member's state in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StateWord {
    Alive,
    Suspect,
    Confirmed,
    Departed,
    /// In any state.
    Any,
}
