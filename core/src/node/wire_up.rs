//! Carries each event of a component to the components that it concerns. No decision may be taken here.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::journal::Pending;
use super::trust::Source;
use super::{Node, Phase, ctx, know, transmit};
use crate::membership::{Heard, MembershipEvent, Urgency};
use crate::model::context::{Context, Follows};
use crate::model::event::EventKind;
use crate::model::id::{MemberId, ProbeSeq, ServiceGroup};
use crate::model::io::ExitReason;
use crate::model::limits::Limit;
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::reach;
use crate::model::rumor::{Authority, Departure, Rumor, RumorKey, RumorKind, Told};
use crate::rumor::{Inserted, Priority};
use crate::service::{Announcement, ServiceEvent};
use crate::wire::stream;
use crate::wire::swim::Body;

/// The verdict on a rumor.
pub(super) struct Learned {
    pub(super) heard: Heard,
    /// The cause of its consequences: the event that reports its acceptance, where it was accepted.
    pub(super) after: Follows,
}

impl Node {
    /// Carries out the components' events until none is left.
    pub(super) fn wire_up(&mut self) {
        loop {
            if let Some(event) = self.membership.poll_event() {
                self.on_membership_event(event);
                continue;
            }
            if let Some(event) = self.elections.poll_event() {
                self.on_elections_event(event);
                continue;
            }
            if !self.election.due().is_empty() {
                self.refresh_elections();
                continue;
            }
            if let Some(event) = self.keyring.poll_event() {
                self.on_keyring_event(event);
                continue;
            }
            if let Some(event) = self.updates.poll_event() {
                self.on_updates_event(event);
                continue;
            }
            let Some(event) = self.services.poll_event() else { return };
            self.on_service_event(event);
        }
    }

    fn on_membership_event(&mut self, event: MembershipEvent) {
        match event {
            MembershipEvent::Send { to, body, accuse } => {
                self.gossip.send(ctx!(self), know!(self), to, &body, accuse.as_ref());
            }
            MembershipEvent::Ask { to, seq } => transmit::ask(ctx!(self), know!(self), to, seq),
            MembershipEvent::Answer { to, body, accuse, bytes_max } => {
                transmit::answer(ctx!(self), know!(self), to, &body, accuse, bytes_max);
            }
            MembershipEvent::Forward { to, from, body } => {
                transmit::datagram(ctx!(self), to, &from, &body, Vec::new(), Vec::new(), 0);
            }
            MembershipEvent::StreamPing { to, seq } => {
                transmit::stream(ctx!(self), know!(self), to, stream::Body::Ping { seq });
            }
            MembershipEvent::Join { swim, gossip, seq } => self.join(swim, gossip, seq),
            MembershipEvent::Met { id } => self.hear_what_waited(&id),
            MembershipEvent::Unmet { id } => self.waiting.forget(&id),
            MembershipEvent::Changed { id, urgency, after } => self.on_member_changed(&id, urgency, after),
            MembershipEvent::Healed { id } => self.sync_soon_with(&id),
            MembershipEvent::Raise { incarnation } => {
                self.journal.store_identity(ctx!(self), incarnation, Pending::Raise(incarnation));
                if self.config.planted.has(Bug::RefuteBeforeStored) {
                    self.membership.handle_raised(ctx!(self), incarnation);
                }
            }
            MembershipEvent::Forgotten { id, after } => self.on_member_forgotten(&id, after),
        }
    }

    /// Introduces this member at an address: by datagram, because that is quick, and by stream, because its answer
    /// brings all records at once.
    fn join(&mut self, swim: SocketAddr, gossip: SocketAddr, seq: ProbeSeq) {
        transmit::ask(ctx!(self), know!(self), swim, seq);
        self.begin_sync(gossip);
    }

    fn on_member_changed(&mut self, id: &MemberId, urgency: Urgency, after: Follows) {
        let key = RumorKey::Member(*id);
        let priority = match urgency {
            Urgency::Refutation => Priority::Urgent,
            Urgency::Death => Priority::Death,
            Urgency::Life => Priority::Life,
        };
        self.start_heat(key.clone(), priority);
        self.mark_dirty(key);
        self.keys_of_member_changed(id);
        self.groups_of_member_changed(id, after);
        self.elections_of_member_changed(id, after);
        let departed = self.membership.table().get(id).is_some_and(|r| r.state == State::Departed);
        if mutated!(DepartedServicesStay, departed && *id != self.me, false) {
            self.forget_services_of(id, after);
        }
    }

    fn on_member_forgotten(&mut self, id: &MemberId, after: Follows) {
        let key = RumorKey::Member(*id);
        self.gossip.stop(&key);
        self.mark_dirty(key);
        self.keys_of_member_changed(id);
        self.elections_of_member_changed(id, after);
        self.forget_services_of(id, after);
        let statement = RumorKey::Statement(*id);
        if self.rumors.forget(&statement) {
            self.gossip.stop(&statement);
            self.mark_dirty(statement);
        }
    }

    fn forget_services_of(&mut self, id: &MemberId, after: Follows) {
        assert!(*id != self.me, "a member forgets the services of others");
        for key in self.rumors.forget_owned_by(id) {
            self.gossip.stop(&key);
            if let Some(group) = key.group() {
                self.group_changed(group, after);
                self.elections_of_group_changed(group, after);
            }
            self.mark_dirty(key);
        }
    }

    /// A banned member may not know of its ban; it hears only this from this node. One that asked who is here is answered,
    /// for it believes only those that do. Where it was not known to be before it gets no more bytes than it sent.
    pub(super) fn tell_ban(&mut self, from: &MemberRecord, to: SocketAddr, body: &Body, bytes: usize) {
        let id = &from.id;
        let key = RumorKey::Departure(*id);
        let as_told = self.rumors.told(&key).filter(|bytes| self.gossip.has_room_for(bytes.len()));
        // A later version may say more of a ban than a datagram holds; the ban itself fits.
        let Some(rumor) = as_told.or_else(|| self.rumors.get(&key).map(Rumor::encode)) else { return };
        let known = self.membership.table().get(id).map(MemberRecord::swim_addr);
        let bytes_max = if known.is_some_and(|known| known.ip() == to.ip()) { usize::MAX } else { bytes };
        let body = if let Body::Ping { seq, forward_to: None } = body {
            Body::Ack { seq: *seq, forward_to: None }
        } else {
            Body::Gossip
        };
        transmit::rumor(ctx!(self), know!(self), to, &body, rumor, bytes_max);
    }

    pub(super) fn on_service_event(&mut self, event: ServiceEvent) {
        if let Some(group) = self.group_concerned(&event) {
            // The event of a change of state, where there is one, takes the place of this cause.
            self.elections_of_group_changed(&group, Follows::Input);
        }
        match event {
            ServiceEvent::Effect { errand, effect } => {
                let ctx = ctx!(self);
                let id = ctx.effect(effect);
                self.services.handle_effect_begun(id, errand);
            }
            ServiceEvent::Reply(request, reply) => self.reply(request, reply),
            ServiceEvent::Changed { service, from, to, reason, after } => {
                let ctx = ctx!(self);
                let kind = EventKind::ServiceChanged { service: service.clone(), from, to, reason };
                let event = ctx.event(after, kind);
                self.services.handle_reported(&service, event);
                self.updates.handle_reported(&service, event);
                self.updates_of_service_changed(&service);
                if let Some(group) = self.services.group_of(&service).cloned() {
                    self.elections_of_group_changed(&group, Follows::Event(event));
                }
            }
            ServiceEvent::Build { service, ident } => {
                self.updates.handle_build(ctx!(self), &service, &ident);
            }
            ServiceEvent::Wish { service } => self.updates_of_service_changed(&service),
            ServiceEvent::Obstacle { service, kind: obstacle, hook, what, after } => {
                let ctx = ctx!(self);
                ctx.event(after, EventKind::ObstacleChanged { service, obstacle, hook, what });
            }
            ServiceEvent::Announce(announcement) => self.announce(&announcement),
            ServiceEvent::Health { group, health } => {
                if let Some(service) = self.services.name_in(&group).cloned() {
                    self.updates_of_service_changed(&service);
                }
                self.tell_health(group, health);
            }
            ServiceEvent::Retract { group } => drop(self.retract(&group)),
            // The group's elections were told above.
            ServiceEvent::Fitness { .. } | ServiceEvent::ActsNoLonger { .. } => {}
            ServiceEvent::AllStopped => self.services_stopped(),
        }
    }

    /// The group of the service that an event is about. Replies change nothing that an election depends on.
    fn group_concerned(&self, event: &ServiceEvent) -> Option<ServiceGroup> {
        match event {
            ServiceEvent::Announce(Announcement { group, .. })
            | ServiceEvent::Health { group, .. }
            | ServiceEvent::Fitness { group }
            | ServiceEvent::ActsNoLonger { group }
            | ServiceEvent::Retract { group } => Some(group.clone()),
            ServiceEvent::Changed { service, .. } | ServiceEvent::Obstacle { service, .. } => {
                self.services.group_of(service).cloned()
            }
            ServiceEvent::Effect { errand, .. } => self.services.group_of(errand.service()).cloned(),
            ServiceEvent::Reply(..)
            | ServiceEvent::Build { .. }
            | ServiceEvent::Wish { .. }
            | ServiceEvent::AllStopped => None,
        }
    }

    /// Takes a rumor in that another member told.
    pub(super) fn hear_rumor(&mut self, told: &Told<'_>, from: &MemberId, source: Source) -> Heard {
        assert!(*from != self.me, "a member hears others only");
        if self.rumors.holds(told) {
            self.metrics.rumors_ignored += 1;
            return Heard::Known;
        }
        let Some(told) = &self.authentic(told.clone(), source) else { return Heard::Known };
        let heard = match told.rumor().authority() {
            Authority::Members(m) => self.membership.handle_rumor(ctx!(self), &m.record, &m.accusers, from),
            Authority::Owner(owner)
                if *owner == self.me && told.rumor().key().kind() == RumorKind::MemberKeys =>
            {
                self.hear_of_own_keys(told)
            }
            Authority::Itself(said) => self.hear_statement(told, said, from, source),
            Authority::Owner(owner) if *owner == self.me => self.hear_of_own(told),
            Authority::Owner(owner) => self.hear_owned(told, owner, from, source),
            Authority::Ban(order) => self.hear_departure(told, order, from),
            Authority::Operator(_) => self.hear_version(told, from),
            Authority::Voters(outcome) => self.hear_outcome(told, outcome, from),
            Authority::Key(_) => self.learn_key(told, Some(*from), Follows::Input),
            Authority::Unknown(opaque) => match opaque.owner() {
                Some(owner) => self.hear_owned(told, &owner, from, source),
                None => self.learn(told, Priority::Opaque, Some(*from), Follows::Input).heard,
            },
        };
        match heard {
            Heard::New => self.metrics.rumors_accepted += 1,
            Heard::Known | Heard::Stale => self.metrics.rumors_ignored += 1,
        }
        heard
    }

    /// A rumor that only its owner can change is worth nothing without the owner.
    fn hear_owned(&mut self, told: &Told<'_>, owner: &MemberId, from: &MemberId, source: Source) -> Heard {
        if self.membership.hearsay(owner).is_some() {
            self.waiting.keep(*owner, told, *from, source);
            return Heard::Known;
        }
        let owner = self.membership.table().get(owner).map(|r| r.state);
        if mutated!(OrphansKept, owner.is_none_or(|state| state == State::Departed), owner.is_none()) {
            // No member could ever retract it.
            return Heard::Known;
        }
        let is_understood = told.rumor().key().kind() != RumorKind::Opaque;
        let priority = if is_understood { Priority::Normal } else { Priority::Opaque };
        // The input is another member's message.
        self.learn(told, priority, Some(*from), Follows::Input).heard
    }

    fn hear_departure(&mut self, told: &Told<'_>, order: &Departure, from: &MemberId) -> Heard {
        let held = self.departure_of(&order.member_id).map_or(0, |held| held.epoch);
        let unbounded = self.config.planted.has(Bug::NumbersUnbounded);
        if order.epoch > reach::believed_up_to(held, self.clock.wall()) && !unbounded {
            // No operators have given so many orders.
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::Numbers);
            return Heard::Known;
        }
        if self.config.planted.has(Bug::LiftUndoneByOldBan) && !order.lifted {
            let by = self.author_of(told);
            self.membership.handle_ban(ctx!(self), order, by);
        }
        let heard = self.learn_departure(told, order.member_id, Some(*from));
        // Of a member that is not known it is stored with the other rumors, soon: bans of invented ids do not hold up the disk.
        let member = order.member_id;
        let is_known = member == self.me || self.membership.table().get(&member).is_some();
        if heard == Heard::New && is_known {
            self.journal.store_heard_departure(ctx!(self), know!(self), told, order);
        }
        heard
    }

    /// The last order that is known about the ban of a member.
    pub(super) fn departure_of(&self, member: &MemberId) -> Option<&Departure> {
        match self.rumors.get(&RumorKey::Departure(*member)) {
            Some(Rumor::Departure(held)) => Some(held),
            _ => None,
        }
    }

    /// Takes in a ban, or that one is lifted, by an operator here or through another member.
    pub(super) fn learn_departure(
        &mut self,
        told: &Told<'_>,
        member: MemberId,
        from: Option<MemberId>,
    ) -> Heard {
        assert!(told.rumor().key() == RumorKey::Departure(member), "a ban is kept under the member's id");
        let priority = mutated!(BanNotUrgent, Priority::Urgent, Priority::Opaque);
        let Learned { heard, after } = self.learn(told, priority, from, Follows::Input);
        if heard != Heard::New {
            return heard;
        }
        let by = self.author_of(told);
        let order = self.departure_of(&member).cloned().expect("what is new is kept");
        if mutated!(LiftNotApplied, order.lifted, false) {
            self.membership.handle_lift(ctx!(self, after), member, by);
            if member == self.me {
                self.ban_lifted();
            }
            return heard;
        }
        self.membership.handle_ban(ctx!(self, after), &order, by);
        assert!(self.membership.is_banned(&member), "a ban that is known is applied");
        if member == self.me && matches!(self.phase, Phase::Running) {
            self.begin_departing(ExitReason::Departed, true, after);
        }
        heard
    }

    /// Joins a rumor into the store; a new rumor is told on and stored.
    pub(super) fn learn(
        &mut self,
        told: &Told<'_>,
        priority: Priority,
        from: Option<MemberId>,
        after: Follows,
    ) -> Learned {
        assert!(from != Some(self.me), "a member's own rumor has no sender");
        let priority = if from.is_some() { self.share_of(told, priority) } else { Some(priority) };
        let Some(priority) = priority else { return Learned { heard: Heard::Known, after } };
        let inserted = self.rumors.insert(self.clock.now(), told);
        let rumor = told.rumor();
        match inserted {
            Inserted::New => {
                let key = rumor.key();
                assert!(self.rumors.get(&key).is_some(), "a new rumor is kept");
                let ctx = ctx!(self);
                let accepted = ctx.event(after, EventKind::RumorAccepted { key: key.clone(), from });
                let after = Follows::Event(accepted);
                self.start_heat(key.clone(), priority);
                if let Some(group) = key.group() {
                    self.group_changed(group, after);
                }
                mutated!(NewsNotStored, self.mark_dirty(key), drop(key));
                self.forget_pushed_out();
                self.plan_collection();
                self.keys_learned(rumor, after);
                if let Rumor::Service(service) = rumor {
                    self.elections_of_group_changed(&service.group, after);
                }
                Learned { heard: Heard::New, after }
            }
            Inserted::Known => Learned { heard: Heard::Known, after },
            Inserted::Stale => Learned { heard: Heard::Stale, after },
            Inserted::Refused if rumor.key().kind() == RumorKind::Opaque => {
                self.opaque_overflowed();
                Learned { heard: Heard::Known, after }
            }
            Inserted::Refused => {
                let ctx = ctx!(self);
                ctx.limit_reached(Limit::Rumors);
                Learned { heard: Heard::Known, after }
            }
        }
    }

    /// What had to make room for its like, as it is not understood or was taken back, is told no longer and leaves the disk.
    pub(super) fn forget_pushed_out(&mut self) {
        let keys = self.rumors.take_pushed_out();
        let is_opaque = |key: &RumorKey| key.kind() == RumorKind::Opaque;
        if keys.iter().any(is_opaque) {
            self.opaque_overflowed();
        }
        for key in keys {
            assert!(is_opaque(&key) || key.group().is_some(), "what is kept for ever makes no room");
            self.gossip.stop(&key);
            if let Some(group) = key.group() {
                self.group_changed(group, Follows::Input);
            }
            self.mark_dirty(key);
        }
    }

    /// There is no room for all that is not understood: counted each time, and said once for each flood.
    fn opaque_overflowed(&mut self) {
        if self.rumors.overflow_is_news() {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::OpaqueRumors);
        } else {
            self.metrics.limits_reached += 1;
        }
    }
}
