//! The statement `requests_lost`: load balancers get no answer to a number of requests.

use serde::Deserialize;
use toml::Spanned;

use super::room::{Look, Room};
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::value::Count;

/// Of the requests that load balancers have sent, so many were not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestsLost {
    /// At least.
    pub least: u32,
    /// At most.
    pub most: u32,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    requests_lost: Spanned<Count>,
}

impl Room for RequestsLost {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "requests_lost",
        beside: "",
        example: "requests_lost = \"0..0\"",
        doc: "of the requests that load balancers have sent, so many were not answered",
    }];

    fn read(form: Form, _: &mut Reading<'_, '_>) -> Option<Self> {
        let Count { least, most } = *form.requests_lost.get_ref();
        Some(Self { least, most })
    }

    fn write(&self, _: &Names<'_>) -> String {
        format!("requests_lost = \"{}..{}\"", self.least, self.most)
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Balanced]
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        let (sent, lost) = look.scene.requests();
        if sent > 0 && (u64::from(self.least)..=u64::from(self.most)).contains(&lost) {
            Ok(())
        } else {
            Err(format!("{lost} of {sent} requests were lost"))
        }
    }
}
