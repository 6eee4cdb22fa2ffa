//! Of two supervisors with one identity never both say of each other that they go on with it: an operator who reads what
//! they report learns which one steps aside, or that neither can tell. Of three copies two may go on for a moment: each has
//! met the third, which fell silent, and they have not met each other yet.

use std::collections::BTreeMap;

use annulus_core::{EventKind, MemberId};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};
use crate::engine::host::index_of;

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct OneClaimsIdentity {
    members: BTreeMap<HostId, MemberId>,
    /// The hosts that know of a copy and said last that they go on, and the copy's host where its address tells.
    claims: BTreeMap<HostId, (MemberId, Option<HostId>)>,
}

impl Checker for OneClaimsIdentity {
    fn name(&self) -> &'static str {
        "one_claims_identity"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
            }
            What::HostStopped { host, .. } => {
                self.members.remove(host);
                self.claims.remove(host);
            }
            What::Event { host, event } => {
                let EventKind::IdentityConflict { address, yields } = event.kind else { return Ok(()) };
                self.claims.remove(host);
                let Some(member) = self.members.get(host).filter(|_| !yields) else { return Ok(()) };
                let copy = index_of(address).map(HostId);
                let is_of = |named: Option<HostId>, about: HostId| named.is_none_or(|named| named == about);
                let rival = self.claims.iter().find(|(other, (claimed, rival))| {
                    claimed == member && is_of(copy, **other) && is_of(*rival, *host)
                });
                if let Some((other, _)) = rival {
                    return Err(format!(
                        "host {} goes on as {member} beside its copy, and so does host {}",
                        host.0, other.0
                    ));
                }
                self.claims.insert(*host, (*member, copy));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, event, member};
    use super::*;
    use crate::engine::host::address;
    use crate::engine::record::StopReason;

    fn started(host: u32) -> Record {
        at(1, What::HostStarted { host: HostId(host), member: member(1), restored: true })
    }

    fn meets(host: u32, other: u32, yields: bool) -> Record {
        event(host, EventKind::IdentityConflict { address: address(other), yields })
    }

    fn finds(host: u32, yields: bool) -> Record {
        meets(host, 1 - host, yields)
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = OneClaimsIdentity::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn one_of_two_steps_aside_and_two_that_go_on_are_told_of() {
        let both = [started(0), started(1)];
        let of = |rest: &[Record]| run(&[&both[..], rest].concat());
        assert_eq!(of(&[finds(0, false), finds(1, true)]), Ok(()));
        assert_eq!(of(&[finds(0, true), finds(1, true), finds(1, false)]), Ok(()));
        let gone = at(2, What::HostStopped { host: HostId(0), why: StopReason::Crashed });
        assert_eq!(of(&[finds(0, false), gone, finds(1, false)]), Ok(()));
        let message = of(&[finds(0, false), finds(1, false)]).expect_err("it has to fire");
        assert!(message.contains("and so does host 0"), "{message}");
    }

    #[test]
    fn of_three_copies_each_pair_is_judged() {
        let all = [started(0), started(1), started(2)];
        let of = |rest: &[Record]| run(&[&all[..], rest].concat());
        let met = [meets(0, 2, false), meets(2, 0, true), meets(1, 2, false)];
        assert_eq!(of(&met), Ok(()), "neither has met the other");
        assert_eq!(of(&[&met[..], &[meets(1, 0, false), meets(0, 1, true)]].concat()), Ok(()));
        assert!(of(&[&met[..], &[meets(1, 0, false), meets(0, 1, false)]].concat()).is_err());
        let elsewhere = event(
            1,
            EventKind::IdentityConflict {
                address: "10.0.0.1:4000".parse().expect("an address"),
                yields: false,
            },
        );
        assert!(of(&[meets(0, 1, false), elsewhere]).is_err(), "a port that tells no host");
    }
}
