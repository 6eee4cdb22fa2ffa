//! How long each member led a group, and how long no member did.

use std::collections::BTreeMap;
use std::time::Duration;

use annulus_core::{Instant, ServiceGroup};
use serde::{Deserialize, Serialize};

use crate::action::HostId;
use crate::action::world::{Record, What};
use crate::habitat;
use crate::scenario::Plan;

/// The election figures of a seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elections {
    /// How long the world ran, in milliseconds of its own time, where a group elected.
    pub virtual_ms: u64,
    /// Leaders that followed on another member.
    pub changes: u64,
    /// Each time without a leader between two, in milliseconds.
    pub leaderless_ms: Vec<u64>,
    /// Time with two acting leaders, in milliseconds.
    pub two_leaders_ms: u64,
}

/// The same figures by Habitat's published rules under the same faults. See [`habitat`] for the simplifications that
/// favour Habitat.
pub(super) fn by_habitats_rules(plan: &Plan, ended: Instant) -> Elections {
    let voters = habitat::voters(plan);
    if voters.is_empty() {
        return Elections::default();
    }
    let figures = habitat::run(plan, &voters, ended);
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Elections {
        virtual_ms: ended.as_millis(),
        changes: figures.changes,
        leaderless_ms: figures.without_leader.into_iter().map(ms).collect(),
        two_leaders_ms: ms(figures.two_leaders),
    }
}

/// Measures a record.
#[derive(Debug, Default)]
pub(super) struct LeadTimes {
    groups: BTreeMap<ServiceGroup, Group>,
    found: Elections,
}

#[derive(Debug, Default)]
struct Group {
    until: BTreeMap<HostId, Instant>,
    last: Option<HostId>,
}

fn ms(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_since(from).as_millis()).unwrap_or(u64::MAX)
}

impl LeadTimes {
    pub(super) fn observe(&mut self, record: &Record) {
        let What::Leads { host, group, until, .. } = &record.what else { return };
        let group = self.groups.entry(group.clone()).or_default();
        let Some(until) = *until else {
            // The leader gave up before its lease ended.
            group.until.entry(*host).and_modify(|end| *end = (*end).min(record.at));
            return;
        };
        let led_until = group.until.values().max().copied();
        if let Some(led_until) = led_until.filter(|end| *end < record.at) {
            self.found.leaderless_ms.push(ms(led_until, record.at));
        }
        let others = group.until.iter().filter(|(other, end)| *other != host && **end > record.at);
        let overlap = others.map(|(_, end)| ms(record.at, (*end).min(until))).max();
        self.found.two_leaders_ms += overlap.unwrap_or(0);
        if group.last.is_some_and(|last| last != *host) {
            self.found.changes += 1;
        }
        group.last = Some(*host);
        group.until.insert(*host, until);
    }

    /// The sum, at the end of the run.
    pub(super) fn end(mut self, ended: Instant) -> Elections {
        if !self.groups.is_empty() {
            self.found.virtual_ms = ended.as_millis();
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_changes_and_overlaps_are_measured() {
        let leads = |at: u64, host, until: Option<u64>| {
            let group = "redis.default".parse().expect("a group");
            let what =
                What::Leads { host: HostId(host), group, term: 1, until: until.map(Instant::from_millis) };
            Record { at: Instant::from_millis(at), what }
        };
        let mut times = LeadTimes::default();
        for record in [
            leads(0, 0, Some(1_000)),
            leads(500, 0, Some(1_500)),
            leads(1_400, 0, None),
            leads(2_000, 1, Some(3_000)),
            leads(2_900, 0, Some(3_500)),
        ] {
            times.observe(&record);
        }
        let found = times.end(Instant::from_millis(9_000));
        let wanted =
            Elections { virtual_ms: 9_000, changes: 2, leaderless_ms: vec![600], two_leaders_ms: 100 };
        assert_eq!(found, wanted);
    }
}
