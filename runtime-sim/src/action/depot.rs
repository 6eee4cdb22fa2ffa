//! The action `depot`: the depot is away, slow, unable to keep questions, or as it should be.

use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, Room, Traced};
use super::world::World;
use crate::engine::depot::DepotState;
use crate::engine::link::Delay;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Latency;

/// From now on the depot is like that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetDepot {
    /// How it is.
    pub state: DepotState,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    depot: Spanned<Is>,
    delay: Option<Spanned<Latency>>,
}

/// The word for how the depot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Is {
    Up,
    Polled,
    Slow,
    Down,
}

impl Room for SetDepot {
    type Form = Form;

    const WORD: Word = Word {
        key: "depot",
        beside: "of `slow`: `delay` (required)",
        example: "depot = \"slow\", delay = \"20s..40s\"",
        doc: "the depot is `up` (as at first: it keeps questions until there is news), `polled`: it keeps none, `slow`: a download takes that long, or `down`",
    };

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let state = match form.depot.get_ref() {
            Is::Up => DepotState::Up,
            Is::Polled => DepotState::Polled,
            Is::Down => DepotState::Down,
            Is::Slow => match reading.required(form.depot.span(), form.delay, "delay = \"20s..40s\"") {
                Some(Latency { min, max }) => DepotState::Slow(Delay { min, max }),
                None => return Vec::new(),
            },
        };
        vec![Self { state }]
    }

    fn write(&self, _: &Names<'_>) -> String {
        match self.state {
            DepotState::Up => String::from("\ndepot = \"up\""),
            DepotState::Polled => String::from("\ndepot = \"polled\""),
            DepotState::Down => String::from("\ndepot = \"down\""),
            DepotState::Slow(Delay { min, max }) => {
                format!("\ndepot = \"slow\"\ndelay = {}", text::span(min, max))
            }
        }
    }

    fn words(&self, _: &Cast<'_>) -> String {
        match self.state {
            DepotState::Up => String::from("the depot answers."),
            DepotState::Polled => String::from("the depot answers, and keeps no questions."),
            DepotState::Down => String::from("the depot does not answer any more."),
            DepotState::Slow(Delay { min, max }) => {
                format!("the depot is slow: a download takes {min:?} to {max:?}.")
            }
        }
    }

    fn traced(&self) -> Traced {
        Traced::everywhere("depot")
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![("depot", keys::of::<Is>())]
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn check(&self, _: &dyn Ground) -> Result<(), ActionError> {
        match self.state {
            DepotState::Slow(Delay { min, max }) if min > max => {
                Err(ActionError::Host("the shortest delay exceeds the longest"))
            }
            DepotState::Slow(_) | DepotState::Up | DepotState::Polled | DepotState::Down => Ok(()),
        }
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        world.set_depot(self.state);
        Ok(())
    }
}
