//! Follows the announcement that a service here takes no work any more until the ring knows it: a stop waits for that
//! before its process is told to end. It asks and counts answers; what is announced, and how long a stop waits at most, is
//! decided by the services.
//!
//! In a ring of up to [`ASKED_MAX`] others each of them that is alive gets the announcement in a ping besides gossip, and
//! its ack says that it knows: a member hears the rumors of a datagram before it answers. So where nothing is lost a stop
//! waits for one round trip. Where an answer is missing, or the ring is larger, the announcement has run its course once
//! this member has told it as often as it tells a rumor and those that heard it last had the time to tell it on: one
//! period of gossip for each round that a rumor needs to get through a ring of this size.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::knowledge::Knowledge;
use super::{Node, around, ctx, know, transmit};
use crate::membership::Membership;
use crate::model::context::{Context, earliest};
use crate::model::id::{MemberId, ProbeSeq, ServiceGroup};
use crate::model::io::WakeReason;
use crate::model::member::State;
use crate::model::rng::Rng;
use crate::model::rumor::{Rumor, RumorKey};
use crate::model::time::Instant;
use crate::wire::swim::Body;

/// Others that are asked whether they know; in a larger ring none is.
const ASKED_MAX: usize = 32;
/// The numbers of these pings: above those of probes, and below those of the question who has this member's identity.
const ASKED: u64 = 1 << 61;
/// What is not known to have run its course by then is followed no longer: no stop waits as long.
const FOLLOWED_MS: u64 = 1_000;

/// An announcement that is on its way round the ring.
#[derive(Debug)]
struct Course {
    /// Those that have not answered yet; none while no member was asked.
    awaited: Option<BTreeMap<MemberId, ProbeSeq>>,
    /// It has run its course then, with answers or without.
    over_at: Instant,
    /// Whether gossip tells it still.
    is_hot: bool,
}

/// The announcements that are followed.
#[derive(Debug, Default)]
pub(super) struct Telling {
    courses: BTreeMap<ServiceGroup, Course>,
    /// Groups whose announcement has yet to be sent in pings.
    due: Vec<ServiceGroup>,
}

impl Telling {
    /// When an announcement has run its course.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest(self.courses.values().map(|course| (course.over_at, WakeReason::Gossip)))
    }

    /// Whether an announcement of this group's service is on its way.
    fn follows(&self, group: &ServiceGroup) -> bool {
        self.courses.contains_key(group)
    }

    /// Whether every member that can be reached knows the last announcement, or could know it by now.
    pub(super) fn is_over(&self, group: &ServiceGroup, membership: &Membership) -> bool {
        let Some(course) = self.courses.get(group) else { return true };
        let is_alive = |id: &MemberId| membership.table().get(id).is_some_and(|r| r.state == State::Alive);
        // A member that is suspected meanwhile does not answer, and is told by gossip when it is back.
        course.awaited.as_ref().is_some_and(|awaited| !awaited.keys().any(is_alive))
    }

    fn begin(&mut self, now: Instant, group: &ServiceGroup) {
        let over_at = now + Duration::from_millis(FOLLOWED_MS);
        self.courses.insert(group.clone(), Course { awaited: None, over_at, is_hot: true });
        if !self.due.contains(group) {
            self.due.push(group.clone());
        }
        assert!(self.courses.len() >= self.due.len(), "what is sent in pings is followed");
    }

    fn end(&mut self, group: &ServiceGroup) {
        self.courses.remove(group);
        self.due.retain(|due| due != group);
    }

    /// The announcement was sent in pings with these numbers.
    fn asked(&mut self, group: &ServiceGroup, awaited: &BTreeMap<MemberId, ProbeSeq>) {
        assert!(awaited.len() <= ASKED_MAX, "a few members are asked");
        if let Some(course) = self.courses.get_mut(group) {
            course.awaited = Some(awaited.clone());
        }
    }

    /// A member has answered. True when it was asked by one of these pings.
    fn answered(&mut self, from: &MemberId, seq: ProbeSeq) -> bool {
        let mut was_awaited = false;
        for awaited in self.courses.values_mut().filter_map(|course| course.awaited.as_mut()) {
            if awaited.get(from) == Some(&seq) {
                awaited.remove(from);
                was_awaited = true;
            }
        }
        was_awaited
    }

    /// Gossip has had a round: what it has told often enough is in the hands of those that heard it.
    fn cooled(&mut self, now: Instant, relays: Duration, is_hot: impl Fn(&ServiceGroup) -> bool) {
        for (group, course) in self.courses.iter_mut().filter(|(_, course)| course.is_hot) {
            if !is_hot(group) {
                course.is_hot = false;
                course.over_at = course.over_at.min(now + relays);
            }
        }
    }

    /// What has run its course is followed no longer.
    fn expire(&mut self, now: Instant) {
        self.courses.retain(|_, course| course.over_at > now);
        let courses = &self.courses;
        self.due.retain(|due| courses.contains_key(due));
        assert!(self.courses.values().all(|course| course.over_at > now), "a time that has come is used");
    }
}

/// Whether a rumor says that a service takes work.
fn takes_work(rumor: Option<&Rumor>) -> bool {
    matches!(rumor, Some(Rumor::Service(service)) if service.accepting && !service.tombstone)
}

/// The rumors of some groups' services, in as many datagrams as they need.
fn packed(
    know: Knowledge<'_>,
    groups: Vec<ServiceGroup>,
    budget_bytes: usize,
) -> Vec<(Vec<ServiceGroup>, Vec<Vec<u8>>)> {
    let mut packed: Vec<(Vec<ServiceGroup>, Vec<Vec<u8>>)> = Vec::new();
    let mut left = 0;
    for group in groups {
        let key = RumorKey::Service { group: group.clone(), member: know.me };
        let Some(rumor) = know.rumors.told(&key) else { continue };
        let bytes = rumor.len() + super::gossip::FIELD_BYTES_MAX;
        if bytes > budget_bytes {
            // It travels by stream, which is not answered.
            continue;
        }
        if bytes > left {
            packed.push((Vec::new(), Vec::new()));
            left = budget_bytes;
        }
        left -= bytes;
        if let Some((groups, rumors)) = packed.last_mut() {
            groups.push(group);
            rumors.push(rumor);
        }
    }
    assert!(packed.iter().all(|(groups, rumors)| groups.len() == rumors.len()), "one rumor for each group");
    packed
}

fn number(rng: &mut Rng) -> ProbeSeq {
    ProbeSeq(ASKED | rng.below(ASKED))
}

impl Node {
    /// This member has stated something of an own service; before, the ring believed that it takes work or not.
    pub(super) fn follow_telling(&mut self, key: &RumorKey, took_work: bool) {
        let RumorKey::Service { group, .. } = key else { return };
        let held = self.rumors.get(key);
        let has_process =
            matches!(held, Some(Rumor::Service(service)) if service.initialized && !service.tombstone);
        // A process that ended by itself is told nothing any more, so that nothing has to wait.
        let is_of_use = has_process || self.services.is_announcing();
        if takes_work(held) || !is_of_use {
            self.telling.end(group);
        } else if took_work || self.telling.follows(group) {
            self.telling.begin(self.clock.now(), group);
        }
    }

    /// Whether the ring is to be taken for believing that an own service takes work.
    pub(super) fn is_taking_work(&self, key: &RumorKey) -> bool {
        takes_work(self.rumors.get(key))
    }

    /// Sends the announcements of this input to the other members in pings.
    pub(super) fn ask_told(&mut self) {
        let due = core::mem::take(&mut self.telling.due);
        if due.is_empty() || !self.is_heard() {
            return;
        }
        let Some(others) = self.membership.others_alive(ASKED_MAX) else { return };
        let own = know!(self).own_word();
        for (groups, rumors) in packed(know!(self), due, self.gossip.budget_bytes()) {
            let mut awaited = BTreeMap::new();
            for other in &others {
                let seq = number(&mut self.rng);
                let ping = Body::Ping { seq, forward_to: None };
                transmit::datagram(ctx!(self), other.swim_addr(), &own, &ping, Vec::new(), rumors.clone(), 0);
                awaited.insert(other.id, seq);
            }
            for group in groups {
                self.telling.asked(&group, &awaited);
            }
        }
    }

    /// A member has answered a ping: it has heard what the ping brought.
    pub(super) fn hear_told(&mut self, from: &MemberId, seq: ProbeSeq) {
        if self.telling.answered(from, seq) {
            self.go_on_stopping();
        }
    }

    /// Gossip has had a round, or the time of an announcement is over.
    pub(super) fn look_at_telling(&mut self) {
        let now = self.clock.now();
        let (gossip, me) = (&self.gossip, self.me);
        let is_hot =
            |group: &ServiceGroup| gossip.is_hot(&RumorKey::Service { group: group.clone(), member: me });
        self.telling.cooled(now, gossip.relays_take(know!(self)), is_hot);
        self.telling.expire(now);
        self.go_on_stopping();
    }

    fn go_on_stopping(&mut self) {
        if self.services.is_announcing() {
            self.services.handle_timeout(ctx!(self), around!(self));
        }
    }
}
