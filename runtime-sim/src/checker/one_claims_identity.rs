//! Of two supervisors with one identity never both say that they go on with it: an operator who reads what they report
//! learns which one steps aside, or that neither can tell.

use std::collections::BTreeMap;

use annulus_core::{EventKind, MemberId};

use super::Checker;
use crate::action::HostId;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct OneClaimsIdentity {
    members: BTreeMap<HostId, MemberId>,
    /// The hosts that know of a copy and said last that they go on.
    claims: BTreeMap<HostId, MemberId>,
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
                let EventKind::IdentityConflict { yields, .. } = event.kind else { return Ok(()) };
                self.claims.remove(host);
                let Some(member) = self.members.get(host).filter(|_| !yields) else { return Ok(()) };
                if let Some((other, _)) = self.claims.iter().find(|(_, claimed)| *claimed == member) {
                    return Err(format!(
                        "host {} goes on as {member} beside its copy, and so does host {}",
                        host.0, other.0
                    ));
                }
                self.claims.insert(*host, *member);
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
    use crate::engine::record::StopReason;

    fn started(host: u32) -> Record {
        at(1, What::HostStarted { host: HostId(host), member: member(1), restored: true })
    }

    fn finds(host: u32, yields: bool) -> Record {
        let address = "10.0.0.1:9638".parse().expect("an address");
        event(host, EventKind::IdentityConflict { address, yields })
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
}
