//! A banned member stays banned until an operator lifts the ban: a supervisor that knows of a ban never again holds the
//! member anything but departed before it knows of that order, and no ban is lifted without one, whichever rumors reach it.
//! A ban that was lifted comes back by another order alone. The supervisor that acknowledged a ban to an operator also knows of it after every
//! restart, unless its disk was replaced.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{EventKind, MemberId, Reply, State};

use super::Checker;
use crate::action::world::{Record, What};
use crate::action::{Action, Depart, DiskAfter, HostId, Reset, Restart};

/// The checker of the property that this module states.
#[derive(Debug, Default)]
pub struct BannedStaysBanned {
    hosts: BTreeMap<HostId, Bans>,
    /// The member that last ran on each host.
    members: BTreeMap<HostId, MemberId>,
    /// How often operators, and strangers who lie in their own name, have banned each member and lifted its ban.
    orders: BTreeMap<MemberId, Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    bans: u32,
    lifts: u32,
}

#[derive(Debug, Default)]
struct Bans {
    /// The bans that the supervisor knows since it started.
    known: BTreeSet<MemberId>,
    /// The bans that its operator asked for and that are not answered yet.
    asked: BTreeSet<MemberId>,
    asking: bool,
    /// The bans that its operator was promised.
    promised: BTreeSet<MemberId>,
    /// How often the supervisor learned that a ban is lifted, since it started: what its disk holds is no news to it.
    lifts: BTreeMap<MemberId, u32>,
}

impl Checker for BannedStaysBanned {
    fn name(&self) -> &'static str {
        "banned_stays_banned"
    }

    fn observe(&mut self, record: &Record) -> Result<(), String> {
        match &record.what {
            What::Action(Action::Depart(Depart { by, host })) => {
                self.hosts.entry(*by).or_default().asking = true;
                self.orders_about(*host).bans += 1;
            }
            What::Action(Action::Reset(Reset { by, host })) => {
                self.hosts.entry(*by).or_default().asking = true;
                self.orders_about(*host).lifts += 1;
            }
            What::Action(Action::Restart(Restart { host, disk: DiskAfter::Lost | DiskAfter::Old })) => {
                self.hosts.remove(host);
            }
            What::Reply { host, reply, .. } => {
                let bans = self.hosts.entry(*host).or_default();
                if matches!(reply, Reply::Done) {
                    bans.promised.append(&mut bans.asked);
                }
                bans.asked.clear();
                bans.asking = false;
            }
            What::HostStarted { host, member, .. } => {
                self.members.insert(*host, *member);
                let bans = self.hosts.entry(*host).or_default();
                bans.known.clone_from(&bans.promised);
                bans.lifts.clear();
                bans.asked.clear();
                bans.asking = false;
            }
            What::Event { host, event } => return self.event(*host, &event.kind),
            _ => {}
        }
        Ok(())
    }
}

impl BannedStaysBanned {
    fn orders_about(&mut self, host: HostId) -> &mut Orders {
        let member = self.members.get(&host).copied().unwrap_or(MemberId::from_bytes([0; 16]));
        self.orders.entry(member).or_default()
    }

    fn event(&mut self, host: HostId, kind: &EventKind) -> Result<(), String> {
        let bans = self.hosts.entry(host).or_default();
        match kind {
            EventKind::Banned { member, .. } => {
                bans.known.insert(*member);
                if bans.asking {
                    bans.asked.insert(*member);
                }
                Ok(())
            }
            EventKind::BanLifted { member, .. } => {
                bans.known.remove(member);
                bans.promised.remove(member);
                bans.asked.remove(member);
                let lifts = bans.lifts.entry(*member).or_default();
                *lifts += 1;
                let ordered = self.orders.get(member).map_or(0, |orders| orders.lifts);
                if *lifts > ordered {
                    return Err(format!(
                        "host {} lifts the ban of {member} for the {lifts}. time, and operators have ordered that {ordered} times",
                        host.0
                    ));
                }
                Ok(())
            }
            EventKind::MemberChanged { member, to, why, .. }
                if *to != State::Departed && bans.known.contains(member) =>
            {
                Err(format!(
                    "host {} knows that member {member} is banned and holds it {to} ({why:?})",
                    host.0
                ))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use annulus_core::{Incarnation, RequestId, Why};

    use super::super::testing::{event, member, record, started};
    use super::*;

    fn banned() -> Record {
        event(0, EventKind::Banned { member: member(9), by: None })
    }

    fn held(to: State) -> Record {
        let (member, incarnation) = (member(9), Incarnation(7));
        event(0, EventKind::MemberChanged { member, from: None, to, incarnation, why: Why::Contact })
    }

    fn asked() -> Record {
        record(What::Action(Action::Depart(Depart { by: HostId(0), host: HostId(5) })))
    }

    fn promised() -> Record {
        record(What::Reply { host: HostId(0), request: RequestId(1), reply: Reply::Done })
    }

    fn run(records: &[Record]) -> Result<(), String> {
        let mut checker = BannedStaysBanned::default();
        records.iter().try_for_each(|record| checker.observe(record))
    }

    #[test]
    fn alive_before_and_departed_after_pass() {
        assert_eq!(run(&[held(State::Alive), banned(), held(State::Departed)]), Ok(()));
    }

    #[test]
    fn coming_back_by_contact_fires() {
        let message =
            run(&[banned(), held(State::Departed), held(State::Alive)]).expect_err("it has to fire");
        assert!(message.contains("is banned and holds it Alive"), "{message}");
    }

    #[test]
    fn a_promise_outlives_a_restart() {
        let restarted = started(0, 1, true);
        let kept = [asked(), banned(), promised(), restarted.clone(), held(State::Alive)];
        assert!(run(&kept).is_err());
        let hearsay = [banned(), restarted.clone(), held(State::Alive)];
        assert_eq!(run(&hearsay), Ok(()), "a rumor may be lost with the memory");
        let lost = record(What::Action(Action::Restart(Restart { host: HostId(0), disk: DiskAfter::Lost })));
        assert_eq!(run(&[asked(), banned(), promised(), lost, restarted, held(State::Alive)]), Ok(()));
    }

    #[test]
    fn a_ban_is_lifted_as_often_as_operators_order_it() {
        let lifted = || event(0, EventKind::BanLifted { member: member(9), by: None });
        let order = record(What::Action(Action::Reset(Reset { by: HostId(1), host: HostId(5) })));
        let at_home = record(What::HostStarted { host: HostId(5), member: member(9), restored: true });
        assert!(run(&[banned(), lifted()]).is_err(), "no operator has ordered it");
        let once = [at_home, banned(), order.clone(), lifted(), banned()];
        assert_eq!(run(&once), Ok(()));
        let message = run(&[&once[..], &[lifted()]].concat()).expect_err("it has to fire");
        assert!(message.contains("for the 2. time"), "{message}");
        assert_eq!(run(&[&once[..], &[order, lifted()]].concat()), Ok(()));
        assert_eq!(
            run(&[&once[..], &[started(0, 1, true), lifted()]].concat()),
            Ok(()),
            "its disk is behind"
        );
    }
}
