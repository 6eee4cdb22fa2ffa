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

/// The sources of the last while.
#[derive(Debug, Default)]
pub(super) struct Dropped(BTreeMap<(IpAddr, StampFault), (Instant, u64)>);

impl Dropped {
    pub(super) fn note(&mut self, now: Instant, from: SocketAddr, fault: StampFault) -> Option<Report> {
        let (key, period) = ((from.ip(), fault), Duration::from_millis(REPORT_PERIOD_MS));
        if let Some((reported, times)) = self.0.get_mut(&key) {
            *times += 1;
            if *reported + period > now {
                return None;
            }
            let report = Report { times: *times };
            assert!(report.times > 0, "a report is about a message");
            (*reported, *times) = (now, 0);
            return Some(report);
        }
        if self.0.len() >= DROPPED_SOURCES_MAX {
            self.0.retain(|_, (reported, _)| *reported + period > now);
        }
        // More sources than that at a time are counted, and not named one by one.
        let has_room = self.0.len() < DROPPED_SOURCES_MAX;
        if has_room {
            self.0.insert(key, (now, 0));
        }
        assert!(self.0.len() <= DROPPED_SOURCES_MAX, "sources have a limit");
        has_room.then_some(Report { times: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_reported_at_once_and_the_rest_together_after_a_while() {
        let (mut dropped, now) = (Dropped::default(), Instant::from_millis(5));
        let from = |n: u32| SocketAddr::from((core::net::Ipv4Addr::from_bits(n), 1));
        assert_eq!(dropped.note(now, from(1), StampFault::Had), Some(Report { times: 1 }));
        for _ in 0..9 {
            assert_eq!(dropped.note(now, from(1), StampFault::Had), None);
        }
        let later = now + Duration::from_millis(REPORT_PERIOD_MS);
        assert_eq!(dropped.note(later, from(1), StampFault::Had), Some(Report { times: 10 }));
        let reports = (2..1_000).filter(|n| dropped.note(later, from(*n), StampFault::Had).is_some());
        assert!(reports.count() < DROPPED_SOURCES_MAX);
    }
}
