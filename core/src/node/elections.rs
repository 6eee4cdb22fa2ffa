//! Elections wired to the rest: services say how fit they are, rumors who belongs to a group, the disk when a vote is
//! safe; what an election says goes back to the services and to the ring.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::journal::Pending;
use super::{Node, around, ctx, know, transmit};
use crate::election::{ElectionsEvent, Roll, SIZE_MIN};
use crate::model::ballot::Message;
use crate::model::context::Context;
use crate::model::election::{Fitness, Role};
use crate::model::id::{MemberId, ServiceGroup};
use crate::model::limits::ELECTORATE_MAX;
use crate::model::member::State;
use crate::model::rumor::{ElectionRumor, Rumor, RumorKey};
use crate::model::service::{ServiceSpec, Topology};
use crate::rumor::Priority;
use crate::wire::swim::Body;

/// What lies between the elections and the rest of the node.
#[derive(Debug, Default)]
pub(super) struct ElectionWires {
    /// Whether elections have yet to hear of a change.
    pub(super) due: bool,
    /// Leaders that hand over, with the process that acted as the leader.
    demoting: Vec<(ServiceGroup, Option<u32>)>,
}

/// How large the electorate of a service's group counts at least; 0 where nobody leads.
pub(super) fn electorate_min(spec: &ServiceSpec) -> u32 {
    match spec.topology {
        Topology::Standalone => 0,
        Topology::Leader => spec.quorum.unwrap_or(SIZE_MIN).clamp(1, ELECTORATE_MAX as u32),
    }
}

impl Node {
    /// Something that elections depend on changed: services here, or who is in which group.
    pub(super) const fn elections_changed(&mut self) {
        self.election.due = true;
    }

    /// Lets the elections know what changed.
    pub(super) fn refresh_elections(&mut self) {
        self.election.due = false;
        if !self.is_heard() {
            return;
        }
        let mut led: BTreeSet<ServiceGroup> = self.elections.groups().cloned().collect();
        led.extend(
            self.services
                .views()
                .into_iter()
                .filter_map(|view| (view.spec.topology == Topology::Leader).then_some(view.group)),
        );
        assert!(!self.election.due, "elections hear of a change once");
        for group in led {
            let fitness = self.own_fitness(&group);
            self.elections.handle_fitness(ctx!(self), &group, fitness);
            // The ring may have told of a leader before there was anything here that takes part.
            if let Some(Rumor::Election(outcome)) =
                self.rumors.get(&RumorKey::Election(group.clone())).cloned()
            {
                self.elections.handle_outcome(ctx!(self), &outcome);
            }
            let roll = self.roll(&group);
            self.elections.handle_roll(ctx!(self), &group, roll);
        }
        self.check_demoted();
    }

    /// How well the own service would lead; none while the ring knows of none here.
    fn own_fitness(&self, group: &ServiceGroup) -> Option<Fitness> {
        let key = RumorKey::Service { group: group.clone(), member: self.me };
        let Some(Rumor::Service(told)) = self.rumors.get(&key) else { return None };
        if told.tombstone || told.electorate_min == 0 {
            return None;
        }
        self.services.fitness(group)
    }

    /// Who belongs to a group.
    fn roll(&self, group: &ServiceGroup) -> Roll {
        let mut roll = Roll::default();
        let table = self.membership.table();
        for service in self.rumors.services_of(group) {
            let id = service.member_id;
            let state = if id == self.me { Some(State::Alive) } else { table.get(&id).map(|r| r.state) };
            let is_gone = service.tombstone || service.electorate_min == 0 || state == Some(State::Departed);
            if is_gone || self.membership.is_banned(&id) {
                continue;
            }
            roll.size_min = roll.size_min.max(service.electorate_min);
            roll.members.insert(id, matches!(state, Some(State::Alive | State::Suspect)));
        }
        if roll.size_min == 0 {
            roll.size_min = SIZE_MIN;
        }
        for id in self.elections.electorate(group) {
            if self.membership.is_banned(id) {
                roll.banned.insert(*id);
            } else if !roll.members.contains_key(id) && self.is_known_gone(group, id) {
                roll.gone.insert(*id);
            }
        }
        roll
    }

    /// Whether a member that is in no roll left it, as against one that rumors have not brought yet.
    fn is_known_gone(&self, group: &ServiceGroup, id: &MemberId) -> bool {
        let departed = self.membership.table().get(id).is_some_and(|r| r.state == State::Departed);
        let key = RumorKey::Service { group: group.clone(), member: *id };
        departed || self.rumors.get(&key).is_some_and(Rumor::is_tombstone)
    }

    pub(super) fn on_elections_event(&mut self, event: ElectionsEvent) {
        match event {
            ElectionsEvent::Send { to, message } => self.send_ballot(&to, message),
            ElectionsEvent::Store { group, write } => {
                self.journal.store(ctx!(self), alloc::vec![write], true, Pending::Vote(group));
            }
            ElectionsEvent::Role { group, role } => self.role_changed(&group, role),
            ElectionsEvent::Yield { group } => {
                let pid = self.process_of(&group);
                self.election.demoting.push((group, pid));
                self.elections_changed();
            }
            ElectionsEvent::Tell(outcome) => {
                self.learn(&Rumor::Election(outcome), Priority::Urgent, None);
            }
        }
    }

    fn send_ballot(&mut self, to: &MemberId, message: Message) {
        assert!(*to != self.me, "a member votes for itself without a message");
        let Some(record) = self.membership.table().get(to).copied() else { return };
        let body = Body::Ballot(alloc::boxed::Box::new(message));
        transmit::alone(ctx!(self), know!(self), record.swim_addr(), &body);
    }

    fn role_changed(&mut self, group: &ServiceGroup, role: Role) {
        let views = self.services.views();
        let Some(view) = views.into_iter().find(|view| view.group == *group) else { return };
        self.services.handle_role(ctx!(self), around!(self), &view.spec.name(), role);
    }

    fn process_of(&self, group: &ServiceGroup) -> Option<u32> {
        self.services.views().into_iter().find(|view| view.group == *group).and_then(|view| view.pid)
    }

    /// A leader that hands over has its voters freed once the process that acted as the leader is gone. One that goes
    /// on acting longer than the lease frees nobody: the lease ends by itself.
    fn check_demoted(&mut self) {
        for (group, pid) in core::mem::take(&mut self.election.demoting) {
            let now = self.process_of(&group);
            if pid.is_none() || now != pid {
                self.elections.handle_demoted(ctx!(self), &group);
            } else {
                self.election.demoting.push((group, pid));
            }
        }
    }

    /// An outcome that the ring tells of.
    pub(super) fn hear_outcome(
        &mut self,
        outcome: &ElectionRumor,
        from: &MemberId,
    ) -> crate::membership::Heard {
        let heard = self.learn(&Rumor::Election(outcome.clone()), Priority::Urgent, Some(*from));
        if heard == crate::membership::Heard::New {
            self.elections.handle_outcome(ctx!(self), outcome);
            self.elections_changed();
        }
        heard
    }

    /// What the last life knew of who leads.
    pub(super) fn restore_outcomes(&mut self) {
        let known: Vec<ElectionRumor> = self
            .rumors
            .iter()
            .filter_map(
                |rumor| if let Rumor::Election(outcome) = rumor { Some(outcome.clone()) } else { None },
            )
            .collect();
        for outcome in known {
            self.elections.handle_outcome(ctx!(self), &outcome);
        }
    }
}
