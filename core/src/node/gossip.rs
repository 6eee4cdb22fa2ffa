//! Hot rumors into datagrams, and into streams what a datagram cannot hold.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use prost::Message as _;

use super::{Node, ctx};
use crate::membership::log10_milli;
use crate::model::channel::Channel;
use crate::model::context::Context;
use crate::model::id::MemberId;
use crate::model::io::{Output, Transmit};
use crate::model::limits::{DATAGRAM_BYTES_MAX, Limit, STREAM_BYTES_MAX};
use crate::model::member::MemberRecord;
use crate::model::planted::Bug;
use crate::model::rumor::{MemberRumor, Rumor, RumorKey};
use crate::model::time::Instant;
use crate::rumor::Priority;
use crate::wire::convert::member_to_wire;
use crate::wire::swim::{self, Body};
use crate::wire::{proto, stream};

/// What a datagram without rumors takes at most: the sender, and a second member in indirect probes.
const ENVELOPE_BYTES_MAX: usize = 280;
/// A rumor whose encoding exceeds this travels by stream.
pub(super) const SMALL_RUMOR_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - ENVELOPE_BYTES_MAX - 16;
/// Tag and length of an embedded message.
const FIELD_BYTES_MAX: usize = 5;
/// Rumors of one stream message, in bytes.
const STREAM_BUDGET_BYTES: usize = STREAM_BYTES_MAX / 2;

const _: () = assert!(SMALL_RUMOR_BYTES_MAX > 500, "most rumors must travel by datagram");

impl Node {
    /// What is told about a member.
    pub(super) fn statement(&self, id: &MemberId) -> Option<MemberRumor> {
        self.membership.statement(id).map(|(record, accusers)| MemberRumor { record, accusers })
    }

    /// Makes a rumor hot; the next round tells it.
    pub(super) fn start_heat(&mut self, key: RumorKey, priority: Priority) {
        let large = match &key {
            RumorKey::Member(_)
            | RumorKey::Departure(_)
            | RumorKey::ServiceHealth { .. }
            | RumorKey::Election(_) => false,
            RumorKey::Service { .. } | RumorKey::ServiceConfig(_) | RumorKey::ServiceFile { .. } => {
                self.rumors.get(&key).is_some_and(|r| r.to_wire().encoded_len() > SMALL_RUMOR_BYTES_MAX)
            }
        };
        if self.heat.start(key, priority, large) {
            let ctx = ctx!(self);
            ctx.limit_reached(Limit::HotRumors);
        }
        if self.gossip_at == Instant::FAR_FUTURE {
            // A little later, so that what comes together is told together.
            let wait_ms = self.rng.below(self.config.timings.gossip_period_ms / 5 + 1);
            self.gossip_at = self.now + Duration::from_millis(wait_ms);
        }
    }

    /// How often this member tells one rumor: SWIM's lambda log n.
    fn told_max(&self) -> u32 {
        if self.config.planted.has(Bug::ColdTooEarly) {
            return 1;
        }
        let members = self.membership.ring_size();
        // One more than the whole part of log10: the number of digits, which is what "rounded up" of
        // log10(n + 1) comes to.
        let digits = log10_milli(members.saturating_add(members / 32)) / 1000 + 1;
        self.config.timings.retransmit_factor * digits as u32
    }

    /// Tells hot rumors to a few random members.
    pub(super) fn run_gossip(&mut self) {
        let fanout = self.config.timings.gossip_fanout as usize;
        let targets = self.membership.random_members(fanout, None);
        if targets.is_empty() {
            // Nobody to tell; whoever comes gets everything in one exchange.
            self.heat = crate::rumor::Heat::default();
        }
        for target in targets {
            if self.heat.is_empty() {
                break;
            }
            self.send_gossip(&target);
        }
        let wait = Duration::from_millis(self.config.timings.gossip_period_ms);
        self.gossip_at = if self.heat.is_empty() { Instant::FAR_FUTURE } else { self.now + wait };
    }

    pub(super) fn send_gossip(&mut self, target: &MemberRecord) {
        let told_max = self.told_max();
        let rumors = &self.rumors;
        let size_of = |key: &RumorKey| rumors.get(key).map(|r| r.to_wire().encoded_len());
        let large: Vec<Rumor> = self
            .heat
            .select_large(STREAM_BUDGET_BYTES, told_max, size_of)
            .iter()
            .filter_map(|key| self.rumors.get(key).cloned())
            .collect();
        if !large.is_empty() {
            self.send_stream(target.gossip_addr(), &stream::Body::Gossip { rumors: large });
        }
        if !self.heat.is_empty() {
            self.send_datagram(target.swim_addr(), &Body::Gossip, None);
        }
    }

    /// Sends a datagram from this member with as many hot rumors as fit.
    pub(super) fn send_datagram(&mut self, to: SocketAddr, body: &Body, accuse: Option<&MemberRecord>) {
        let mut membership = Vec::new();
        let mut budget = DATAGRAM_BYTES_MAX - ENVELOPE_BYTES_MAX;
        if let Some(accused) = accuse {
            let own = self.statement(&accused.id).filter(|s| s.record == *accused);
            let statement = own.unwrap_or_else(|| MemberRumor::new(*accused)).to_wire();
            budget = budget.saturating_sub(statement.encoded_len() + FIELD_BYTES_MAX);
            membership.push(statement);
        }
        let mut rumors = Vec::new();
        if !self.heat.is_empty() {
            self.pack(budget, &mut membership, &mut rumors);
        }
        let own = self.own_word();
        self.transmit(to, &own, body, membership, rumors);
    }

    /// Chooses hot rumors that fit into the budget.
    fn pack(
        &mut self,
        budget: usize,
        membership: &mut Vec<proto::Membership>,
        rumors: &mut Vec<proto::Rumor>,
    ) {
        let told_max = self.told_max();
        let (members, store) = (&self.membership, &self.rumors);
        let to_wire = |id: &MemberId| {
            members.statement(id).map(|(record, accusers)| MemberRumor { record, accusers }.to_wire())
        };
        let size_of = |key: &RumorKey| match key {
            RumorKey::Member(id) => to_wire(id).map(|m| m.encoded_len() + FIELD_BYTES_MAX),
            _ => store.get(key).map(|r| r.to_wire().encoded_len() + FIELD_BYTES_MAX),
        };
        let mut left = budget;
        // A size may have been taken before somebody's address became known, so it is checked.
        let mut fits = |size: usize| {
            let fits = size + FIELD_BYTES_MAX <= left;
            left = left.saturating_sub(if fits { size + FIELD_BYTES_MAX } else { 0 });
            fits
        };
        for key in self.heat.select(budget, told_max, size_of) {
            match &key {
                RumorKey::Member(id) => membership.extend(to_wire(id).filter(|m| fits(m.encoded_len()))),
                _ => {
                    let rumor = store.get(&key).map(Rumor::to_wire);
                    rumors.extend(rumor.filter(|rumor| fits(rumor.encoded_len())));
                }
            }
        }
    }

    /// Tells one rumor to an address, and nothing else.
    pub(super) fn send_alone(&mut self, to: SocketAddr, rumor: &Rumor) {
        let own = self.own_word();
        self.transmit(to, &own, &Body::Gossip, Vec::new(), alloc::vec![rumor.to_wire()]);
    }

    /// Sends a datagram from this member without any rumors.
    pub(super) fn send_datagram_alone(&mut self, to: SocketAddr, body: &Body) {
        let own = self.own_word();
        self.transmit(to, &own, body, Vec::new(), Vec::new());
    }

    /// Passes on a datagram of another member.
    pub(super) fn forward(&mut self, to: SocketAddr, from: &MemberRecord, body: &Body) {
        self.transmit(to, from, body, Vec::new(), Vec::new());
    }

    fn transmit(
        &mut self,
        to: SocketAddr,
        from: &MemberRecord,
        body: &Body,
        membership: Vec<proto::Membership>,
        rumors: Vec<proto::Rumor>,
    ) {
        let bytes = swim::encode(member_to_wire(from), body, membership, rumors);
        let counts = &mut self.metrics.datagrams_sent;
        *match body {
            Body::Ping { .. } => &mut counts.ping,
            Body::Ack { .. } => &mut counts.ack,
            Body::PingReq { .. } => &mut counts.ping_req,
            Body::Nack { .. } => &mut counts.nack,
            Body::Gossip => &mut counts.gossip,
            Body::Ballot(_) => &mut counts.ballot,
        } += 1;
        self.metrics.datagram_bytes_sent += bytes.len() as u64;
        self.outputs.push(Output::Transmit(Transmit { to, channel: Channel::Datagram, bytes }));
    }
}
