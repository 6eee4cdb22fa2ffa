//! The entries of `[[at]]` as statements count their time from them.

use annulus_core::Instant;

use crate::form::entry::Entry;
use crate::form::problem::listed;
use crate::form::reading::Reading;

/// One entry of `[[at]]`.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// Its time.
    pub(crate) time: Instant,
    /// Its keys with their values as they are written, the time among them.
    pub(crate) said: Vec<(String, String)>,
}

/// All of them, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acts(pub(crate) Vec<Act>);

impl Acts {
    /// The last time before this one at which there is an action; the beginning where there is none.
    pub(super) fn last_before(&self, by: Instant) -> Instant {
        let before = self.0.iter().map(|act| act.time).filter(|time| *time < by);
        before.max().unwrap_or(Instant::ZERO)
    }

    /// The time of the entry that has all these keys with these values; reports none and several.
    pub(super) fn named(&self, named: &Entry<'_>, reading: &mut Reading<'_, '_>) -> Option<Instant> {
        let asked = named.said(reading.context.source);
        let fits = |act: &&Act| !asked.is_empty() && asked.iter().all(|pair| act.said.contains(pair));
        let mut times: Vec<Instant> = self.0.iter().filter(fits).map(|act| act.time).collect();
        times.dedup();
        match times.as_slice() {
            [one] => Some(*one),
            [] => {
                reading.wrong(named.span(), "no [[at]] of this file does that", self.alike(&asked));
                None
            }
            several => {
                let times: Vec<String> = several.iter().map(ToString::to_string).collect();
                let message = format!(
                    "{} entries of [[at]] do that, at {}",
                    several.len(),
                    listed(times.iter().map(String::as_str))
                );
                reading.wrong(named.span(), message, "add the `time` of the one that is meant");
                None
            }
        }
    }

    /// Advice for an action that the file does not have: the entries with the same key.
    fn alike(&self, asked: &[(String, String)]) -> String {
        let Some((key, _)) = asked.iter().find(|(key, _)| key != "time") else {
            return String::from(
                "name an action as its [[at]] does, for example after = { crash = \"bob\" }",
            );
        };
        let same = self.0.iter().flat_map(|act| &act.said).filter(|(other, _)| other == key);
        let mut said: Vec<String> = same.map(|(key, value)| format!("{key} = {value}")).collect();
        said.dedup();
        if said.is_empty() {
            return format!("no [[at]] has the key `{key}`; an event is named by `occurred`");
        }
        format!("write the values as they stand there; there is {}", listed(said.iter().map(String::as_str)))
    }
}
