//! Actions in sentences.

use annulus_core::Instant;

use super::Narrator;
use crate::action::Action;
use crate::action::room::{Cast, NAMES_MAX};

/// Joins before this belong to the start of the scenario.
const START: Instant = Instant::from_millis(1_000);

impl Narrator {
    pub(super) fn action(&mut self, at: Instant, action: &Action) {
        // The members that start by themselves are told once, with the first of them.
        if matches!(action, Action::Join(_)) && at < START && self.names.len() > NAMES_MAX {
            if !self.crowd_told {
                self.crowd_told = true;
                let text = format!("{} members start, one after the other.", self.names.len());
                self.say(at, &text);
            }
            return;
        }
        let text = self.words(action);
        self.say(at, &text);
    }

    fn words(&self, action: &Action) -> String {
        action.words(&Cast { names: &self.names })
    }
}
