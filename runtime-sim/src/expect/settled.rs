//! The statement `settled`: processes and files of all running members are as they should be.

use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// Every wanted service runs with the configuration that its member holds, and all name the same leaders, in files too:
/// see [`crate::engine::settled::unsettled`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled;

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    settled: Spanned<bool>,
}

impl Room for Settled {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "settled",
        beside: "",
        example: "settled = true",
        doc: "every wanted service runs with the version that its member holds, and all members and files name the same leaders",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        if !*form.settled.get_ref() {
            reading.wrong(form.settled.span(), "settled = false says nothing", "write settled = true");
        }
        Some(Self)
    }

    fn write(&self, _: &Names<'_>) -> String {
        String::from("settled = true")
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(Self)
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        look.scene.unsettled().map_or(Ok(()), Err)
    }
}
