//! A supervisor's knowledge of a rumor only gets newer: no accepted rumor is followed by an older version of the
//! same, unless the supervisor forgot it with the member that it belongs to, or with a restart.
//!
//! Rumors are join semilattices (Shapiro and others 2011): a merge never takes anything back.

use std::collections::BTreeMap;

use annulus_core::{EventKind, RumorKey};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct RumorVersions {
    known: BTreeMap<HostId, BTreeMap<RumorKey, u64>>,
}

impl Checker for RumorVersions {
    fn name(&self) -> &'static str {
        "rumor_versions"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, .. } => drop(self.known.remove(host)),
            What::Holds { host, key, version, .. } => {
                match self.known.entry(*host).or_default().insert(key.clone(), *version) {
                    Some(before) if before > *version => {
                        return Err(format!(
                            "host {} held version {before} of {key:?} and now holds version {version}",
                            host.0
                        ));
                    }
                    _ => {}
                }
            }
            What::Event { host, event } => {
                // The rumors of a member that is gone for good are forgotten with it.
                if let EventKind::MemberForgotten { member } | EventKind::MemberChanged { member, .. } =
                    &event.kind
                {
                    let gone = !matches!(&event.kind, EventKind::MemberChanged { to, .. } if *to != annulus_core::State::Departed);
                    if gone && let Some(known) = self.known.get_mut(host) {
                        known.retain(|key, _| key.owner() != Some(member));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, member, record, started};
    use super::*;

    fn holds(version: u64) -> Record {
        let key = RumorKey::Service { group: "web.default".parse().expect("a group"), member: member(9) };
        record(super::super::testing::holds(HostId(0), key, version))
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = RumorVersions::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn newer_versions_pass_and_older_ones_fire() {
        assert_eq!(run(&[holds(2), holds(2), holds(5)]), Ok(()));
        assert!(run(&[holds(5), holds(2)]).expect_err("it has to fire").contains("held version 5"));
        assert_eq!(run(&[holds(5), started(0, 1, true), holds(2)]), Ok(()), "memory was lost");
        let forgotten = event(0, EventKind::MemberForgotten { member: member(9) });
        assert_eq!(run(&[holds(5), forgotten, holds(2)]), Ok(()));
    }
}
