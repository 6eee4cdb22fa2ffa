//! Only members that have run are ever in another one's list: whatever is told of others, a member that never ran has
//! answered none. And one that is alive leaves only by its own word: what others tell of it makes it depart nowhere.

use std::collections::BTreeSet;

use annulus_core::{EventKind, MemberId, State, Why};

use super::Checker;
use crate::action::world::{Record, What};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct MembersHaveRun {
    /// Every member that has run, and what the disks of those that started held of others.
    ran: BTreeSet<MemberId>,
    /// Which member runs on which host.
    on: std::collections::BTreeMap<crate::action::HostId, MemberId>,
    /// Members that have begun to leave, in whichever life.
    left: BTreeSet<MemberId>,
}

impl Checker for MembersHaveRun {
    fn name(&self) -> &'static str {
        "members_have_run"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::HostStarted { host, member, .. } => {
                self.ran.insert(*member);
                self.on.insert(*host, *member);
                Ok(())
            }
            What::Event { host, event } => match &event.kind {
                EventKind::Leaving => {
                    self.left.extend(self.on.get(host));
                    Ok(())
                }
                EventKind::MemberChanged { member, from, to, why, .. } => {
                    if !self.ran.contains(member) {
                        return Err(format!("host {} lists {member}, which never ran", host.0));
                    }
                    let is_told = matches!(why, Why::Own | Why::Rumor { .. } | Why::Contact);
                    let was_up = matches!(from, None | Some(State::Alive | State::Suspect));
                    if *to == State::Departed && is_told && was_up && !self.left.contains(member) {
                        return Err(format!("host {} holds that {member} left, which it never did", host.0));
                    }
                    Ok(())
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, member, record};
    use super::*;
    use crate::action::HostId;
    use annulus_core::Incarnation;

    fn started(host: u32, of: u8) -> Record {
        record(What::HostStarted { host: HostId(host), member: member(of), restored: false })
    }

    fn changed(of: u8, from: Option<State>, to: State) -> Record {
        let (why, incarnation) = (Why::Rumor { from: member(9) }, Incarnation(1));
        event(0, EventKind::MemberChanged { member: member(of), from, to, incarnation, why })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = MembersHaveRun::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn a_member_that_never_ran_fires_and_one_that_did_not() {
        assert_eq!(run(&[started(1, 1), changed(1, None, State::Alive)]), Ok(()));
        let message = run(&[started(1, 1), changed(2, None, State::Alive)]).expect_err("it has to fire");
        assert!(message.contains("never ran"), "{message}");
    }

    #[test]
    fn one_that_departs_by_what_others_tell_fires() {
        let departs = changed(1, Some(State::Alive), State::Departed);
        let message = run(&[started(1, 1), departs.clone()]).expect_err("it has to fire");
        assert!(message.contains("left"), "{message}");
        assert_eq!(run(&[started(1, 1), event(1, EventKind::Leaving), departs]), Ok(()));
        assert_eq!(run(&[started(1, 1), changed(1, Some(State::Confirmed), State::Departed)]), Ok(()));
    }
}
