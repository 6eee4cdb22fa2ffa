//! No incarnation ever falls: not a member's own, restarts included, nor the one that other members know of it.
//!
//! SWIM (Das, Gupta, Motivala 2002, §4.2) orders statements about a member by its incarnation; if one fell, an old
//! accusation would count as news. Two cases are excused: a host whose disk was replaced by an old backup, which
//! learns its incarnation from the ring, and a copied disk, which makes two members of one that know nothing of each
//! other.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{EventKind, Incarnation, MemberId, Why};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, CloneDisk, DiskAfter, HostId, Restart};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct IncarnationMonotonic {
    /// The highest incarnation that each member gave itself.
    own: BTreeMap<MemberId, Incarnation>,
    /// The incarnation of each member that each supervisor knows, since it started.
    known: BTreeMap<HostId, BTreeMap<MemberId, Incarnation>>,
    /// The member that ran last on each host.
    member: BTreeMap<HostId, MemberId>,
    /// Every member that ever ran on each host.
    ran: BTreeMap<HostId, BTreeSet<MemberId>>,
    /// Identities that were copied: two supervisors raise them independently of each other.
    copied: BTreeSet<MemberId>,
}

impl Checker for IncarnationMonotonic {
    fn name(&self) -> &'static str {
        "incarnation_monotonic"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(Action::Restart(Restart { host, disk: DiskAfter::Old })) => {
                // The backup may hold a member that ran there before the one that ran last.
                for member in self.ran.get(host).into_iter().flatten() {
                    self.own.remove(member);
                }
                Ok(())
            }
            What::Action(Action::CloneDisk(CloneDisk { of, .. })) => {
                // That disk may hold the identity of an earlier member, too.
                self.copied.extend(self.ran.get(of).into_iter().flatten());
                Ok(())
            }
            What::HostStarted { host, member, .. } => {
                self.member.insert(*host, *member);
                self.ran.entry(*host).or_default().insert(*member);
                self.known.remove(host);
                Ok(())
            }
            What::Event { host, event } => self.event(*host, &event.kind),
            _ => Ok(()),
        }
    }
}

impl IncarnationMonotonic {
    fn event(&mut self, host: HostId, kind: &EventKind) -> Result<(), String> {
        match kind {
            EventKind::Started { member, incarnation, .. } => {
                self.own_rises(*member, *incarnation, "starts with")
            }
            EventKind::Refuted { incarnation, .. } => match self.member.get(&host).copied() {
                Some(member) => self.would_rise(member, *incarnation),
                None => Err(format!("host {} refutes before it has started", host.0)),
            },
            // An incarnation is used from here on: before, it was on its way to the disk.
            EventKind::MemberChanged { member, incarnation, why: Why::Own, .. } => {
                let used = self.own.entry(*member).or_default();
                *used = (*used).max(*incarnation);
                Ok(())
            }
            EventKind::MemberChanged { member, incarnation, .. } => {
                let known = self.known.entry(host).or_default();
                match known.insert(*member, *incarnation) {
                    Some(before) if before > *incarnation => Err(format!(
                        "host {} knew member {member} in incarnation {before} and now in {incarnation}",
                        host.0
                    )),
                    _ => Ok(()),
                }
            }
            EventKind::MemberForgotten { member } => {
                self.known.entry(host).or_default().remove(member);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A refutation is announced before it is on the disk, and a crash may come in between.
    fn would_rise(&self, member: MemberId, now: Incarnation) -> Result<(), String> {
        match self.own.get(&member) {
            Some(before) if *before >= now && !self.copied.contains(&member) => {
                Err(format!("member {member} refutes with incarnation {now} although it had {before} before"))
            }
            _ => Ok(()),
        }
    }

    fn own_rises(&mut self, member: MemberId, now: Incarnation, does: &str) -> Result<(), String> {
        match self.own.insert(member, now) {
            Some(before) if before >= now && !self.copied.contains(&member) => {
                Err(format!("member {member} {does} incarnation {now} although it had {before} before"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::State;

    use super::super::testing::{event, member, record, started};
    use super::*;

    fn begins(number: u8, incarnation: u64) -> Record {
        let member = member(number);
        event(0, EventKind::Started { member, incarnation: Incarnation(incarnation), restored: true })
    }

    fn changed(incarnation: u64) -> Record {
        let kind = EventKind::MemberChanged {
            member: member(9),
            from: Some(State::Alive),
            to: State::Suspect,
            incarnation: Incarnation(incarnation),
            why: Why::ProbeFailed,
        };
        event(0, kind)
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = IncarnationMonotonic::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn rising_incarnations_pass() {
        assert_eq!(run(&[started(0, 1, false), begins(1, 1), changed(3), changed(3), changed(4)]), Ok(()));
        assert_eq!(run(&[started(0, 1, false), begins(1, 1), started(0, 1, true), begins(1, 2)]), Ok(()));
        assert_eq!(run(&[changed(3), started(0, 1, true), changed(2)]), Ok(()), "memory was lost");
    }

    #[test]
    fn a_restart_with_the_old_number_fires() {
        let records = [started(0, 1, false), begins(1, 4), started(0, 1, true), begins(1, 4)];
        assert!(
            run(&records)
                .expect_err("it has to fire")
                .contains("starts with incarnation 4 although it had 4")
        );
        let old = record(What::Action(Action::Restart(Restart { host: HostId(0), disk: DiskAfter::Old })));
        assert_eq!(
            run(&[started(0, 1, false), begins(1, 4), old, started(0, 1, true), begins(1, 2)]),
            Ok(())
        );
    }

    #[test]
    fn a_refutation_that_does_not_rise_fires() {
        let refuted =
            |i| event(0, EventKind::Refuted { accusation: State::Suspect, incarnation: Incarnation(i) });
        let used = |i| {
            let (from, incarnation) = (Some(State::Alive), Incarnation(i));
            let member = member(1);
            event(0, EventKind::MemberChanged { member, from, to: State::Alive, incarnation, why: Why::Own })
        };
        assert_eq!(run(&[started(0, 1, false), begins(1, 4), refuted(5), used(5), refuted(6)]), Ok(()));
        assert!(run(&[started(0, 1, false), begins(1, 4), refuted(4)]).is_err());
        let crash = [started(0, 1, false), begins(1, 4), refuted(5), started(0, 1, true), begins(1, 5)];
        assert_eq!(run(&crash), Ok(()), "it was not stored yet, and no member was told");
        let lost =
            [started(0, 1, false), begins(1, 4), refuted(5), used(5), started(0, 1, true), begins(1, 5)];
        assert!(run(&lost).is_err());
    }

    #[test]
    fn a_copied_disk_is_excused_and_nobody_else() {
        let copy = record(What::Action(Action::CloneDisk(CloneDisk { host: HostId(1), of: HostId(0) })));
        let twice = |copy: Option<Record>| {
            let mut records = vec![started(0, 1, false), begins(1, 4)];
            records.extend(copy);
            records.extend([started(1, 1, true), begins(1, 4)]);
            run(&records)
        };
        assert_eq!(twice(Some(copy)), Ok(()));
        assert!(twice(None).is_err());
    }

    #[test]
    fn a_falling_view_fires() {
        assert!(
            run(&[changed(3), changed(2)])
                .expect_err("it has to fire")
                .contains("in incarnation 3 and now in 2")
        );
    }
}
