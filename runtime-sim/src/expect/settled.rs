//! The statement `settled`: processes and files of all running members are as they should be.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::When;
use super::room::{Look, Room};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text;
use crate::form::text::Names;
use crate::form::value::Time;

/// Every wanted service runs with the configuration that its member holds, and all name the same leaders, in files too:
/// see [`crate::engine::settled::unsettled`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The time for which it stays so; zero: it is so at a look.
    pub lasting: Duration,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    settled: Spanned<Wanted>,
}

/// `true`, or for how long.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Wanted {
    Once(bool),
    Lasting(Time),
}

impl Room for Settled {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "settled",
        beside: "",
        example: "settled = true",
        doc: "every wanted service runs with the version that its member holds, and all members and files name the same leaders; with a time, for so long",
    }];

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Option<Self> {
        let lasting = match form.settled.get_ref() {
            Wanted::Once(true) => Duration::ZERO,
            Wanted::Lasting(time) => time.0,
            Wanted::Once(false) => {
                reading.wrong(form.settled.span(), "settled = false says nothing", "write settled = true");
                return None;
            }
        };
        Some(Self { lasting })
    }

    fn write(&self, _: &Names<'_>) -> String {
        match self.lasting {
            Duration::ZERO => String::from("settled = true"),
            time => format!("settled = {}", text::time(time)),
        }
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn unasked(&self, when: &When) -> Option<(&'static str, &'static str)> {
        match when {
            When::By { .. } | When::Within { .. } => None,
            When::At(_) | When::Always { .. } if self.lasting.is_zero() => None,
            When::At(_) | When::Always { .. } => {
                Some(("settled", "what comes about and then lasts: use `by`"))
            }
        }
    }

    fn lasting(&self) -> Option<Duration> {
        Some(self.lasting).filter(|lasting| !lasting.is_zero())
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        look.scene.unsettled().map_or(Ok(()), Err)
    }
}
