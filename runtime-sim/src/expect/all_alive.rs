//! The statement `all_alive`: every running member holds every running member alive.

use annulus_core::State;
use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room, Who};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Every running member holds every running member, and no other, alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllAlive;

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    all_alive: Spanned<bool>,
}

impl Room for AllAlive {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "all_alive",
        beside: "",
        example: "all_alive = true",
        doc: "every running member holds every running member, and no other, alive",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        if !*form.all_alive.get_ref() {
            let help = "write all_alive = true, or state with `confirmed` or `suspect` who is not alive";
            reading.wrong(form.all_alive.span(), "all_alive = false says nothing useful", help);
        }
        Some(Self)
    }

    fn write(&self, _: &Names<'_>) -> String {
        String::from("all_alive = true")
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let live = look.live();
        if live.is_empty() {
            return Err(String::from("no member runs"));
        }
        look.in_state(&Who::Running, Some(State::Alive), &Who::Running)?;
        for host in look.observers(&Who::Running)? {
            let alive = look.scene.count(host, Some(State::Alive));
            if alive != live.len() {
                let (name, live) = (look.name(host), live.len());
                return Err(format!("{name} holds {alive} members alive although {live} run"));
            }
        }
        Ok(())
    }
}
