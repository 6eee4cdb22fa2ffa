//! The time of a statement: the keys `by`, `within`, `at`, `always` and `after`.
//!
//! A statement with `by` or `within` is about what came true after the actions that it follows, or was true throughout
//! from then on. What was true before and stopped being true does not count.

use std::ops::Range;
use std::time::Duration;

use annulus_core::Instant;
use toml::Spanned;

use super::acts::Acts;
use super::room::Room as _;
use super::{Event, Statement, event};
use crate::form::entry::Entry;
use crate::form::moved::Moved;
use crate::form::problem::Problems;
use crate::form::reading::Reading;
use crate::form::text::{self, Names, instant};
use crate::form::value::{Time, TimeRange};

/// When an expectation is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Came true in this span, or was true throughout.
    By {
        /// Not before.
        after: Instant,
        /// At the latest.
        by: Instant,
    },
    /// The same for so long after the first such event.
    Within {
        /// How long after it.
        within: Duration,
        /// The event from which the time counts.
        event: Box<Event>,
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
    /// The first and the last instant that matter; none where an event decides them.
    #[must_use]
    pub const fn span(&self) -> Option<(Instant, Instant)> {
        match self {
            Self::By { after, by } => Some((*after, *by)),
            Self::Within { .. } => None,
            Self::At(at) => Some((*at, *at)),
            Self::Always { from, until } => Some((*from, *until)),
        }
    }

    /// The same for other instants.
    #[must_use]
    pub fn map(&self, shift: impl Fn(Instant) -> Instant) -> Self {
        match self {
            Self::By { after, by } => Self::By { after: shift(*after), by: shift(*by) },
            Self::Within { .. } => self.clone(),
            Self::At(at) => Self::At(shift(*at)),
            Self::Always { from, until } => Self::Always { from: shift(*from), until: shift(*until) },
        }
    }

    /// The same for other hosts; none when it counts from an event of hosts that are gone.
    pub(crate) fn map_hosts(&self, moved: &Moved<'_>) -> Option<Self> {
        match self {
            Self::Within { within, event } => {
                Some(Self::Within { within: *within, event: Box::new(event.moved(moved)?) })
            }
            Self::By { .. } | Self::At(_) | Self::Always { .. } => Some(self.clone()),
        }
    }

    /// The lines that are read as this.
    pub(crate) fn write(&self, names: &Names<'_>) -> String {
        match self {
            Self::By { after, by } => format!("by = {}\nafter = {}", instant(*by), instant(*after)),
            Self::Within { within, event } => {
                let event = event.write(names).replace("\n  ", " ").replace('\n', ", ");
                format!("within = {}\nafter = {{ {event} }}", text::time(*within))
            }
            Self::At(at) => format!("at = {}", instant(*at)),
            Self::Always { from, until } => {
                let (from, until) = (instant(*from), instant(*until));
                format!("always = \"{}..{}\"", from.trim_matches('"'), until.trim_matches('"'))
            }
        }
    }
}

/// From when a statement counts its time.
#[derive(Debug)]
enum After<'i> {
    /// It does not say.
    Unsaid,
    /// From this time.
    Time(Spanned<Time>),
    /// From an action of the file, or from an event.
    Named(Entry<'i>),
}

/// The keys of an entry that give its time.
#[derive(Debug)]
pub(super) struct Times<'i> {
    by: Option<Spanned<Time>>,
    within: Option<Spanned<Time>>,
    at: Option<Spanned<Time>>,
    always: Option<Spanned<TimeRange>>,
    after: After<'i>,
    /// One of them was wrong, and that was reported.
    wrong: bool,
}

impl<'i> Times<'i> {
    pub(super) fn take(entry: &mut Entry<'i>, problems: &mut Problems<'_>) -> Self {
        let given =
            entry.keys().iter().filter(|key| super::SECTION.common.contains(&key.name.as_str())).count();
        let (by, at) = (entry.take("by", problems), entry.take("at", problems));
        let (always, within) = (entry.take("always", problems), entry.take("within", problems));
        let after = match entry.take_table("after") {
            Some(table) => After::Named(table),
            None => entry.take("after", problems).map_or(After::Unsaid, After::Time),
        };
        let says = !matches!(after, After::Unsaid);
        let read = [by.is_some(), at.is_some(), always.is_some(), within.is_some(), says];
        let wrong = read.into_iter().filter(|read| *read).count() < given;
        Self { by, within, at, always, after, wrong }
    }

    /// The time that they give, for the statement of the entry; none when they are wrong.
    pub(super) fn when(
        self,
        entry: Range<usize>,
        statement: Option<&Statement>,
        acts: &Acts,
        reading: &mut Reading<'_, '_>,
    ) -> Option<When> {
        let Self { by, within, at, always, after, wrong } = self;
        if wrong {
            return None;
        }
        let when = match (by, within, at, always) {
            (Some(by), None, None, None) => until(&by, after, acts, reading)?,
            (None, Some(within), None, None) => soon(&within, after, acts, reading)?,
            (None, None, Some(at), None) => {
                after.superfluous(reading);
                When::At(reading.within(&at))
            }
            (None, None, None, Some(always)) => {
                after.superfluous(reading);
                let range = always.get_ref();
                let from = reading.instant(always.span(), range.from);
                let until = range.until.map_or(reading.context.duration, |until| until);
                When::Always { from, until: reading.instant(always.span(), until) }
            }
            (None, None, None, None) => {
                // An entry that could not be understood may need no time.
                if !statement?.needs_no_time() {
                    let help = "add by = \"10s\", at = \"10s\" or always = \"5s..20s\"";
                    reading.wrong(entry, "this entry has no time", help);
                    return None;
                }
                after.superfluous(reading);
                When::Always { from: Instant::ZERO, until: Instant::ZERO + reading.context.duration }
            }
            _ => {
                let help = "use one of `by`, `within`, `at` and `always`";
                reading.wrong(entry, "this entry has more than one time", help);
                return None;
            }
        };
        if let Some((word, help)) = statement?.unasked(&when) {
            reading.wrong(entry, format!("`{word}` cannot be asked at this time"), help);
            return None;
        }
        Some(when)
    }
}

impl After<'_> {
    fn superfluous(self, reading: &mut Reading<'_, '_>) {
        let span = match self {
            Self::Unsaid => return,
            Self::Time(time) => time.span(),
            Self::Named(entry) => entry.span(),
        };
        reading.wrong(span, "`after` belongs to `by` and `within`", "remove it");
    }
}

/// `by`: until a time, from the last action before it where the entry does not say.
fn until(by: &Spanned<Time>, after: After<'_>, acts: &Acts, reading: &mut Reading<'_, '_>) -> Option<When> {
    let by_time = reading.within(by);
    let after = match after {
        After::Unsaid => acts.last_before(by_time),
        After::Time(after) => reading.within(&after),
        After::Named(named) if named.has(event::OCCURRED) => {
            let help = "use within = \"2s\", which counts from an event";
            reading.wrong(named.span(), "`by` cannot count from an event", help);
            return None;
        }
        After::Named(named) => acts.named(&named, reading)?,
    };
    if after >= by_time {
        let help = "leave some time between the two";
        reading.wrong(by.span(), "`by` is not later than `after`", help);
    }
    Some(When::By { after, by: by_time })
}

/// `within`: for so long after a time, an action or an event.
fn soon(
    within: &Spanned<Time>,
    after: After<'_>,
    acts: &Acts,
    reading: &mut Reading<'_, '_>,
) -> Option<When> {
    let length = within.get_ref().0;
    if length.is_zero() {
        reading.wrong(within.span(), "`within` leaves no time", "leave some time, for example \"2s\"");
        return None;
    }
    let after = match after {
        After::Unsaid => {
            let help = "add after = \"10s\", after = { crash = \"bob\" } with an action of this file, or after = \
                        { occurred = \"confirmed\", of = \"bob\" }";
            reading.wrong(within.span(), "`within` does not say after what", help);
            return None;
        }
        After::Named(named) if named.has(event::OCCURRED) => {
            let event = Event::read(named.table(reading.problems)?, reading)?;
            return Some(When::Within { within: length, event: Box::new(event) });
        }
        After::Time(after) => reading.within(&after),
        After::Named(named) => acts.named(&named, reading)?,
    };
    let end = after.saturating_since(Instant::ZERO) + length;
    Some(When::By { after, by: reading.instant(within.span(), end) })
}
