//! The statement `one_view`: all running members share one view, and it lasts.

use std::time::Duration;

use annulus_core::Timings;
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

/// The running members share one view, unchanged for so long: see [`crate::engine::view::difference`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneView {
    /// The time for which it lasts.
    pub lasting: Duration,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    one_view: Spanned<Time>,
}

impl Room for OneView {
    type Form = Form;

    const WORDS: &'static [Word] = &[Word {
        key: "one_view",
        beside: "",
        example: "one_view = \"10s\"",
        doc: "for so long, all running members hold the same of each other, of bans and of services",
    }];

    fn read(form: Form, _: &mut Reading<'_, '_>) -> Option<Self> {
        Some(Self { lasting: form.one_view.get_ref().0 })
    }

    fn write(&self, _: &Names<'_>) -> String {
        format!("one_view = {}", text::time(self.lasting))
    }

    fn moved(&self, _: &Moved<'_>) -> Option<Self> {
        Some(self.clone())
    }

    fn holds(&self, look: &Look<'_>) -> Result<(), String> {
        look.scene.difference(look.hosts).map_or(Ok(()), Err)
    }

    fn unasked(&self, when: &When) -> Option<(&'static str, &'static str)> {
        match when {
            When::By { .. } | When::Within { .. } => None,
            When::At(_) | When::Always { .. } => {
                Some(("one_view", "one view comes about and then lasts: use `by`"))
            }
        }
    }

    fn lasting(&self) -> Option<Duration> {
        Some(self.lasting)
    }
}

/// Within how long after the last fault all running members must share one view.
///
/// A supervisor that was leaving starts again first. Every member is probed within two rounds of the ring; a
/// suspicion runs its full length; lost members are tried again, twice in case the first try meets one that is itself
/// just coming back; two digest exchanges carry rumors that gossip no longer tells.
pub(crate) fn one_view_bound(timings: &Timings, members: usize) -> Duration {
    // A member of the worst local health makes one step back in each round, and rounds get shorter as it does.
    let health_periods = u64::from((timings.local_health_max + 1) * (timings.local_health_max + 2) / 2);
    let rounds_ms = (2 * members as u64 + health_periods) * timings.probe_period_ms;
    // Half as much again for each tenfold above ten members: not more than twice for a thousand.
    let suspicion_ms = 2 * timings.suspicion_timeout_ms_min * u64::from(timings.suspicion_max_factor);
    let repair_ms = 2 * timings.reconnect_period_ms + 2 * timings.sync_period_ms;
    Duration::from_millis(timings.leave_delay_ms + rounds_ms + suspicion_ms + repair_ms)
}
