//! The time of a statement: the keys `by`, `at`, `always` and `after`.

use std::ops::Range;

use annulus_core::Instant;
use toml::Spanned;

use super::Statement;
use crate::form::entry::Entry;
use crate::form::problem::Problems;
use crate::form::reading::Reading;
use crate::form::text::instant;
use crate::form::value::{Time, TimeRange};

/// When an expectation is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// True at one instant of this span at least.
    By {
        /// Not before.
        after: Instant,
        /// At the latest.
        by: Instant,
    },
    /// True at this instant.
    At(Instant),
    /// True at every instant of this span.
    Always {
        /// From here.
        from: Instant,
        /// To here.
        until: Instant,
    },
}

impl When {
    /// The last instant that matters.
    #[must_use]
    pub const fn end(self) -> Instant {
        match self {
            Self::By { by, .. } => by,
            Self::At(at) => at,
            Self::Always { until, .. } => until,
        }
    }

    /// The first instant that matters.
    #[must_use]
    pub const fn start(self) -> Instant {
        match self {
            Self::By { after, .. } => after,
            Self::At(at) => at,
            Self::Always { from, .. } => from,
        }
    }

    /// The same for other instants.
    #[must_use]
    pub fn map(self, shift: impl Fn(Instant) -> Instant) -> Self {
        match self {
            Self::By { after, by } => Self::By { after: shift(after), by: shift(by) },
            Self::At(at) => Self::At(shift(at)),
            Self::Always { from, until } => Self::Always { from: shift(from), until: shift(until) },
        }
    }

    /// The lines that are read as this.
    pub(crate) fn write(self) -> String {
        match self {
            Self::By { after, by } => format!("by = {}\nafter = {}", instant(by), instant(after)),
            Self::At(at) => format!("at = {}", instant(at)),
            Self::Always { from, until } => {
                let (from, until) = (instant(from), instant(until));
                format!("always = \"{}..{}\"", from.trim_matches('"'), until.trim_matches('"'))
            }
        }
    }
}

/// The keys of an entry that give its time.
#[derive(Debug, Default)]
pub(super) struct Times {
    by: Option<Spanned<Time>>,
    at: Option<Spanned<Time>>,
    always: Option<Spanned<TimeRange>>,
    after: Option<Spanned<Time>>,
    /// One of them was wrong, and that was reported.
    wrong: bool,
}

impl Times {
    pub(super) fn take(entry: &mut Entry<'_>, problems: &mut Problems<'_>) -> Self {
        let given =
            entry.keys().iter().filter(|key| super::SECTION.common.contains(&key.name.as_str())).count();
        let (by, at) = (entry.take("by", problems), entry.take("at", problems));
        let (always, after) = (entry.take("always", problems), entry.take("after", problems));
        let read = [by.is_some(), at.is_some(), always.is_some(), after.is_some()];
        let wrong = read.into_iter().filter(|read| *read).count() < given;
        Self { by, at, always, after, wrong }
    }

    /// The time that they give, for the statement of the entry; none when they are wrong.
    pub(super) fn when(
        self,
        entry: Range<usize>,
        statement: Option<&Statement>,
        last_action: &dyn Fn(Instant) -> Instant,
        reading: &mut Reading<'_, '_>,
    ) -> Option<When> {
        let Self { by, at, always, after, wrong } = self;
        if wrong {
            return None;
        }
        let end = Instant::ZERO + reading.context.duration;
        let when = match (&by, &at, &always) {
            (Some(by), None, None) => {
                let by_time = reading.within(by);
                let after = match &after {
                    Some(after) => reading.within(after),
                    None => last_action(by_time),
                };
                if after >= by_time {
                    let help = "leave some time between the two";
                    reading.wrong(by.span(), "`by` is not later than `after`", help);
                }
                When::By { after, by: by_time }
            }
            (None, Some(at), None) => When::At(reading.within(at)),
            (None, None, Some(always)) => {
                let range = always.get_ref();
                let from = reading.instant(always.span(), range.from);
                let until = range.until.map_or(end, |until| reading.instant(always.span(), until));
                When::Always { from, until }
            }
            (None, None, None) => {
                // An entry that could not be understood may need no time.
                if !statement?.needs_no_time() {
                    let help = "add by = \"10s\", at = \"10s\" or always = \"5s..20s\"";
                    reading.wrong(entry, "this entry has no time", help);
                    return None;
                }
                When::Always { from: Instant::ZERO, until: end }
            }
            _ => {
                let help = "use one of `by`, `at` and `always`";
                reading.wrong(entry, "this entry has more than one time", help);
                return None;
            }
        };
        if let (Some(after), When::At(_) | When::Always { .. }) = (&after, when) {
            reading.wrong(after.span(), "`after` belongs to `by`", "remove it");
        }
        if let Some((word, help)) = statement?.unasked(when) {
            reading.wrong(entry, format!("`{word}` cannot be asked at this time"), help);
            return None;
        }
        Some(when)
    }
}
