//! Wires elections to the other components: services state their fitness, rumors the members of a group, the disk that
//! a vote is safe; roles go back to the services and outcomes to the ring. It decides what makes a member fit and what
//! a winner does, and counts no votes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::journal::Pending;
use super::trust::Words;
use super::wire_up::Learned;
use super::{Node, around, ctx, know, transmit};
use crate::election::{ElectionsEvent, Roll, SIZE_MIN};
use crate::model::ballot::Message;
use crate::model::context::{Context, Follows};
use crate::model::election::{ElectionId, ElectionPurpose, Fitness, Readiness, Role};
use crate::model::id::{MemberId, ServiceGroup};
use crate::model::lease::Resume;
use crate::model::limits::{ELECTORATE_MAX, Limit};
use crate::model::member::State;
use crate::model::planted::Bug;
use crate::model::reach;
use crate::model::rumor::{ElectionRumor, Rumor, RumorKey, ServiceRumor, Told};
use crate::model::service::Topology;
use crate::rumor::Priority;
use crate::service::Announcement;
use crate::store::snapshot::RunningService;

/// The state between the elections and the rest of the node.
#[derive(Debug, Default)]
pub(super) struct ElectionWires {
    /// Groups whose elections have yet to hear of a change, with the event of the change.
    due: BTreeMap<ServiceGroup, Follows>,
    /// Winners that hand over, while their processes act.
    demoting: Vec<ElectionId>,
    /// The rights to go on leading that guards kept across the last supervisor's end, with the process of each.
    resumes: Vec<(u32, Resume)>,
}

impl ElectionWires {
    /// What the processes that outlived the last supervisor bring.
    pub(super) fn new(running: &[RunningService]) -> Self {
        let resumes = running.iter().filter_map(|kept| Some((kept.pid, kept.resume.clone()?)));
        let wires = Self { resumes: resumes.collect(), ..Self::default() };
        assert!(wires.resumes.len() <= running.len(), "a right to resume belongs to a process");
        wires
    }

    /// The groups whose elections have yet to hear of a change.
    pub(super) const fn due(&self) -> &BTreeMap<ServiceGroup, Follows> {
        &self.due
    }

    /// Notes that a group's elections have to hear of a change; an event is kept rather than none.
    fn add(&mut self, group: ServiceGroup, after: Follows) {
        let due = self.due.entry(group).or_insert(after);
        *due = after.or(*due);
    }
}

/// The least size that the electorate of a service's group counts as; 0 in a group without a leader.
pub(super) fn electorate_min(service: &Announcement) -> u32 {
    match service.topology {
        Topology::Standalone => 0,
        Topology::Leader => service.quorum.unwrap_or(SIZE_MIN).clamp(1, ELECTORATE_MAX as u32),
    }
}

/// Whether a member's service makes it stand in the elections of its group for this purpose.
const fn stands(service: &ServiceRumor, purpose: ElectionPurpose) -> bool {
    match purpose {
        ElectionPurpose::Leader => !service.tombstone && service.electorate_min > 0,
        ElectionPurpose::Update => !service.tombstone,
    }
}

impl Node {
    /// Notes a change that the elections of a group depend on: of the service here, or of the group's members.
    pub(super) fn elections_of_group_changed(&mut self, group: &ServiceGroup, after: Follows) {
        let takes_part = self.elections.of_group(group).next().is_some() || self.services.stands_in(group);
        if takes_part {
            self.election.add(group.clone(), after);
        }
    }

    /// A member is another than it was, and so are the elections in which it has a seat or may get one.
    pub(super) fn elections_of_member_changed(&mut self, member: &MemberId, after: Follows) {
        let serves = |group: &ServiceGroup| {
            self.rumors.get(&RumorKey::Service { group: group.clone(), member: *member }).is_some()
        };
        let concerned = |id: &&ElectionId| {
            self.elections.electorate(id).binary_search(member).is_ok() || serves(&id.group)
        };
        let groups: Vec<ServiceGroup> =
            self.elections.ids().filter(concerned).map(|id| id.group.clone()).collect();
        for group in groups {
            self.election.add(group, after);
        }
    }

    /// Tells the elections of the groups that changed their rolls and this member's fitness.
    pub(super) fn refresh_elections(&mut self) {
        let groups = core::mem::take(&mut self.election.due);
        if !self.is_heard() {
            return;
        }
        assert!(self.election.due().is_empty(), "elections hear of a change once");
        let copy = self.membership.copy_of_me(self.clock.now());
        self.elections.handle_copy(ctx!(self), copy);
        for (group, after) in groups {
            let leader = ElectionId::leader(group.clone());
            let ids: BTreeSet<ElectionId> =
                self.elections.of_group(&group).cloned().chain([leader]).collect();
            for id in ids {
                self.refresh_election(&id, after);
            }
        }
        self.check_demoted();
    }

    fn refresh_election(&mut self, id: &ElectionId, after: Follows) {
        let fitness = self.own_fitness(id);
        self.elections.handle_fitness(ctx!(self, after), id, fitness);
        // The ring may have told of a winner before this member took part.
        if let Some(Rumor::Election(outcome)) = self.rumors.get(&RumorKey::Election(id.clone())).cloned() {
            self.elections.handle_outcome(ctx!(self, after), &outcome);
        }
        let roll = self.roll(id);
        self.elections.handle_roll(ctx!(self, after), id, roll);
    }

    /// How well this member would do; none while the ring knows of no service here that makes it stand.
    fn own_fitness(&self, id: &ElectionId) -> Option<Fitness> {
        match id.purpose {
            ElectionPurpose::Leader => {}
            // No member carries out updates yet; one that voted for such a member keeps its promises all the same.
            ElectionPurpose::Update => return None,
        }
        let fitness = self.services.fitness(&id.group)?;
        let key = RumorKey::Service { group: id.group.clone(), member: self.me };
        let is_told = matches!(self.rumors.get(&key), Some(Rumor::Service(told)) if stands(told, id.purpose));
        // A restarted supervisor's own records may be lost; its service is announced again as soon as it is known.
        (is_told || fitness.readiness == Readiness::Unknown).then_some(fitness)
    }

    /// Goes on to lead the groups whose processes went on to act as the leader while the supervisor was started again.
    /// Nothing else of this life may reach the elections before: they would take this member for a voter that has to
    /// wait.
    pub(super) fn resume_leads(&mut self) {
        for (pid, resume) in core::mem::take(&mut self.election.resumes) {
            let is_same = self.services.kept_in(&resume.group) == Some(pid);
            if resume.member == self.me && is_same {
                let id = ElectionId::leader(resume.group);
                self.elections.handle_resume(ctx!(self), &id, resume.term, resume.until);
            }
        }
        assert!(self.election.resumes.is_empty(), "a right to resume is used once");
    }

    /// The members that take part in an election.
    fn roll(&self, id: &ElectionId) -> Roll {
        let group = &id.group;
        let mut roll = Roll::default();
        let table = self.membership.table();
        for service in self.rumors.services_of(group) {
            let member = service.member_id;
            let is_me = member == self.me;
            let state = if is_me { Some(State::Alive) } else { table.get(&member).map(|r| r.state) };
            let is_gone = !stands(service, id.purpose) || state == Some(State::Departed);
            if is_gone || self.membership.is_banned(&member) {
                continue;
            }
            roll.size_min = roll.size_min.max(service.electorate_min);
            roll.members.insert(member, matches!(state, Some(State::Alive | State::Suspect)));
        }
        if roll.size_min == 0 {
            roll.size_min = SIZE_MIN;
        }
        for member in self.elections.electorate(id) {
            if self.membership.is_banned(member) {
                roll.banned.insert(*member);
            } else if !roll.members.contains_key(member) && self.is_known_gone(group, member) {
                roll.gone.insert(*member);
            }
        }
        roll
    }

    /// Whether a member outside the roll has left it; rumors may not have brought it yet.
    fn is_known_gone(&self, group: &ServiceGroup, id: &MemberId) -> bool {
        let departed = self.membership.table().get(id).is_some_and(|r| r.state == State::Departed);
        let key = RumorKey::Service { group: group.clone(), member: *id };
        departed || self.rumors.get(&key).is_some_and(Rumor::is_tombstone)
    }

    pub(super) fn on_elections_event(&mut self, event: ElectionsEvent) {
        match event {
            ElectionsEvent::Send { to, message } => self.send_ballot(&to, message),
            ElectionsEvent::Store { election, write } => {
                let voters = self.elections.electorate(&election);
                let mut writes = know!(self).member_rows(voters);
                writes.push(write);
                self.journal.store(ctx!(self), writes, true, Pending::Vote(election));
            }
            ElectionsEvent::Role { election, role, after } => self.role_changed(&election, role, after),
            ElectionsEvent::Yield { election } => {
                self.services.handle_yield(ctx!(self), around!(self), &election.group);
                self.elections_of_group_changed(&election.group, Follows::Input);
                self.election.demoting.push(election);
            }
            ElectionsEvent::Tell { outcome, after } => {
                let told = self.signed(Rumor::Election(outcome));
                self.learn(&told, Priority::Urgent, None, after);
            }
        }
    }

    fn send_ballot(&mut self, to: &MemberId, message: Message) {
        assert!(*to != self.me, "a member votes for itself without a message");
        let Some(record) = self.membership.table().get(to).copied() else { return };
        let words = Words { signer: &*self.signer, planted: self.config.planted };
        transmit::ballot(ctx!(self), know!(self), words, &record, message);
    }

    fn role_changed(&mut self, id: &ElectionId, role: Role, after: Follows) {
        match id.purpose {
            ElectionPurpose::Leader => {}
            ElectionPurpose::Update => return,
        }
        let Some(name) = self.services.name_in(&id.group).cloned() else { return };
        self.services.handle_role(ctx!(self, after), around!(self), &name, role);
    }

    /// A leader that hands over frees its voters once no process acts as the leader and no guard holds a right to resume.
    /// If the processes act on longer than the lease, the leader frees no voter: the lease ends by itself.
    fn check_demoted(&mut self) {
        let too_early = self.config.planted.has(Bug::ReleaseBeforeDemoted);
        for id in core::mem::take(&mut self.election.demoting) {
            if self.services.acts(&id.group) && !too_early {
                self.election.demoting.push(id);
            } else {
                self.elections.handle_demoted(ctx!(self), &id);
            }
        }
    }

    /// Takes an outcome that the ring tells of.
    pub(super) fn hear_outcome(
        &mut self,
        told: &Told<'_>,
        outcome: &ElectionRumor,
        from: &MemberId,
    ) -> crate::membership::Heard {
        let held = self.rumors.get(&told.rumor().key()).map_or(0, Rumor::number);
        if outcome.term > reach::believed_up_to(held, self.clock.wall()) {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::ElectionTermsAndLeases);
            return crate::membership::Heard::Stale;
        }
        let Learned { heard, after } = self.learn(told, Priority::Urgent, Some(*from), Follows::Input);
        if heard == crate::membership::Heard::New {
            self.elections.handle_outcome(ctx!(self, after), outcome);
            self.elections_of_group_changed(&outcome.election.group, after);
        }
        heard
    }

    /// Restores the winners that the last life knew and the elections that this member voted in.
    pub(super) fn restore_outcomes(&mut self) {
        let ids: Vec<ServiceGroup> = self.elections.ids().map(|id| id.group.clone()).collect();
        for group in ids {
            self.election.add(group, Follows::Input);
        }
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
