//! No acknowledged version of a group's configuration or file is lost: the supervisor that answered for one holds it,
//! or a later one, whenever it starts again from the same disk. (That every member comes to hold the same is asked by
//! one view at the end of a run.)

use std::collections::BTreeMap;

use annulus_core::{EventKind, MemberId, RumorKey};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, CloneDisk, DiskAfter, HostId, Restart};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct AcknowledgedVersions {
    /// The versions that each supervisor holds.
    held: BTreeMap<HostId, BTreeMap<RumorKey, u64>>,
    /// The lowest version that each disk must hold, since its supervisor answered an operator.
    answered: BTreeMap<HostId, BTreeMap<RumorKey, u64>>,
    members: BTreeMap<HostId, MemberId>,
}

impl AcknowledgedVersions {
    fn forget(&mut self, host: HostId) {
        self.answered.remove(&host);
    }

    fn started(&mut self, host: HostId, member: MemberId, restored: bool) {
        let same = self.members.insert(host, member) == Some(member);
        if !restored || !same {
            self.forget(host);
        }
        self.held.remove(&host);
    }

    fn restored(&mut self, host: HostId, versions: &[(RumorKey, u64)]) -> Result<(), String> {
        let found: BTreeMap<RumorKey, u64> = versions.iter().cloned().collect();
        for (key, answered) in self.answered.get(&host).into_iter().flatten() {
            let number = found.get(key).copied().unwrap_or(0);
            if number < *answered {
                return Err(format!(
                    "host {} answered for version {answered} of {key:?} and starts from its disk with version {number}",
                    host.0
                ));
            }
        }
        self.held.insert(host, found);
        Ok(())
    }
}

impl Checker for AcknowledgedVersions {
    fn name(&self) -> &'static str {
        "acknowledged_versions"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(
                Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old })
                | Action::CloneDisk(CloneDisk { host, .. }),
            ) => self.forget(*host),
            What::HostStarted { host, member, restored } => self.started(*host, *member, *restored),
            What::Restored { host, versions, .. } => return self.restored(*host, versions),
            What::Holds { host, key, version, .. } if key.kind().is_versioned() => {
                self.held.entry(*host).or_default().insert(key.clone(), *version);
            }
            What::Event { host, event } => {
                // A version that came from no member came from an operator, whom the supervisor has just answered.
                if let EventKind::RumorAccepted { key, from: None } = &event.kind
                    && let Some(version) = self.held.get(host).and_then(|held| held.get(key))
                {
                    self.answered.entry(*host).or_default().insert(key.clone(), *version);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, holds, record, started};
    use super::*;

    fn key() -> RumorKey {
        RumorKey::ServiceConfig("web.default".parse().expect("a group"))
    }

    fn answered(version: u64) -> [Record; 2] {
        let accepted = EventKind::RumorAccepted { key: key(), from: None };
        [record(holds(HostId(0), key(), version)), event(0, accepted)]
    }

    fn restored(version: Option<u64>) -> [Record; 2] {
        let versions = version.map(|version| (key(), version)).into_iter().collect();
        [
            started(0, 1, true),
            record(What::Restored { host: HostId(0), versions, votes: Vec::new(), said: Vec::new() }),
        ]
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = AcknowledgedVersions::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn what_was_answered_for_is_on_the_disk() {
        let life = |first: &[Record], then: &[Record]| run(&[&[started(0, 1, false)], first, then].concat());
        assert_eq!(life(&answered(3), &restored(Some(3))), Ok(()));
        assert_eq!(life(&answered(3), &restored(Some(4))), Ok(()), "a later version of another member");
        assert!(life(&answered(3), &restored(Some(2))).expect_err("it has to fire").contains("version 2"));
        assert!(life(&answered(3), &restored(None)).is_err(), "it is gone altogether");
        let heard = record(holds(HostId(0), key(), 9));
        assert_eq!(
            life(&[heard], &restored(None)),
            Ok(()),
            "no operator was promised a version only heard of"
        );
        let lost = record(What::Action(Action::Restart(Restart { host: HostId(0), disk: DiskAfter::Lost })));
        assert_eq!(life(&answered(3), &[&[lost][..], &[started(0, 2, false)]].concat()), Ok(()));
    }
}
