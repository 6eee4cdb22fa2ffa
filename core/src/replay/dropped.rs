//! What was dropped for its number, folded: one report for each source and reason in a while, with how many there were.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::model::event::StampFault;
use crate::model::limits::DROPPED_SOURCES_MAX;
use crate::model::time::Instant;

/// Time between two reports of one source and reason.
const REPORT_PERIOD_MS: u64 = 60_000;

/// A report is due: so many were dropped since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) times: u64,
}

/// So many messages in one period that may only be late make a report: those of a sender that joins or starts again, and that
/// came after it had said where its numbers stand, are fewer.
const DOUBTFUL_MIN: u64 = 32;

/// What came from one source.
#[derive(Clone, Copy, Debug)]
struct Source {
    since: Instant,
    reported: Option<Instant>,
    times: u64,
}

/// The sources of the last while.
#[derive(Debug, Default)]
pub(super) struct Dropped(BTreeMap<(IpAddr, StampFault, bool), Source>);

impl Dropped {
    /// Notes a message; a report where there was none of its like for a while. One that `may_be_late` is as likely none that
    /// was repeated, and only many of them are reported.
    pub(super) fn note(
        &mut self,
        now: Instant,
        from: SocketAddr,
        fault: StampFault,
        may_be_late: bool,
    ) -> Option<Report> {
        let (key, period) = ((from.ip(), fault, may_be_late), Duration::from_millis(REPORT_PERIOD_MS));
        if self.0.len() >= DROPPED_SOURCES_MAX && !self.0.contains_key(&key) {
            self.0.retain(|_, source| source.reported.unwrap_or(source.since) + period > now);
        }
        // More sources than that at a time are counted, and not named one by one.
        if self.0.len() >= DROPPED_SOURCES_MAX && !self.0.contains_key(&key) {
            return None;
        }
        let source = self.0.entry(key).or_insert(Source { since: now, reported: None, times: 0 });
        if may_be_late && source.since + period <= now {
            *source = Source { since: now, times: 0, ..*source };
        }
        source.times += 1;
        let least = if may_be_late { DOUBTFUL_MIN } else { 1 };
        let is_due = source.reported.is_none_or(|reported| reported + period <= now);
        if !is_due || source.times < least {
            return None;
        }
        let report = Report { times: source.times };
        assert!(report.times > 0, "a report is about a message");
        (source.reported, source.times) = (Some(now), 0);
        assert!(self.0.len() <= DROPPED_SOURCES_MAX, "sources have a limit");
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_reported_at_once_and_the_rest_together_after_a_while() {
        let (mut dropped, now) = (Dropped::default(), Instant::from_millis(5));
        let from = |n: u32| SocketAddr::from((core::net::Ipv4Addr::from_bits(n), 1));
        assert_eq!(dropped.note(now, from(1), StampFault::Had, false), Some(Report { times: 1 }));
        for _ in 0..9 {
            assert_eq!(dropped.note(now, from(1), StampFault::Had, false), None);
        }
        let later = now + Duration::from_millis(REPORT_PERIOD_MS);
        assert_eq!(dropped.note(later, from(1), StampFault::Had, false), Some(Report { times: 10 }));
        let reports = (2..1_000).filter(|n| dropped.note(later, from(*n), StampFault::Had, false).is_some());
        assert!(reports.count() < DROPPED_SOURCES_MAX);
    }

    #[test]
    fn what_may_be_late_is_reported_where_it_is_much() {
        let (mut dropped, from) = (Dropped::default(), SocketAddr::from(([10, 0, 0, 1], 1)));
        let mut note = |ms, times| {
            let now = Instant::from_millis(ms);
            (0..times)
                .filter_map(|_| dropped.note(now, from, StampFault::Had, true))
                .collect::<alloc::vec::Vec<_>>()
        };
        for start in 0..5 {
            assert_eq!(note(start * REPORT_PERIOD_MS, DOUBTFUL_MIN - 1), [], "an ordinary start");
        }
        let report = Report { times: DOUBTFUL_MIN };
        assert_eq!(note(4 * REPORT_PERIOD_MS + 1, 2), [report], "and one that goes on");
    }
}
