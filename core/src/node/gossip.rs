//! Tells hot rumors: by datagram, and by stream those that no datagram can hold. It chooses and sends; it takes no
//! rumor in.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use prost::Message as _;

use super::knowledge::Knowledge;
use super::{Node, ctx, know, transmit};
use crate::membership::log10_milli;
use crate::model::config::Config;
use crate::model::context::{Context, earliest};
use crate::model::io::WakeReason;
use crate::model::limits::{DATAGRAM_BYTES_MIN, Limit, STREAM_BYTES_MAX};
use crate::model::member::MemberRecord;
use crate::model::planted::{Bug, Planted};
use crate::model::rng::Rng;
use crate::model::rumor::{MemberRumor, RumorKey};
use crate::model::time::Instant;
use crate::rumor::{Heat, Priority};
use crate::wire::swim::Body;
use crate::wire::{proto, stream};

/// The largest datagram without rumors: the sender, and a second member in indirect probes.
const ENVELOPE_BYTES_MAX: usize = 280;
/// What a single rumor leaves free beside that; a larger one travels by stream.
const SPARE_BYTES: usize = 16;
/// Tag and length of an embedded message.
const FIELD_BYTES_MAX: usize = 5;
/// Rumors of one stream message, in bytes.
const STREAM_BUDGET_BYTES: usize = STREAM_BYTES_MAX / 2;

const _: () = assert!(
    DATAGRAM_BYTES_MIN - ENVELOPE_BYTES_MAX - SPARE_BYTES > 500,
    "most rumors must travel by datagram"
);

/// The hot rumors, and the time of the next round. A round is planned exactly while a rumor is hot.
#[derive(Debug)]
pub(super) struct Gossip {
    heat: Heat,
    at: Instant,
    period_ms: u64,
    fanout: usize,
    retransmit_factor: u32,
    /// What a datagram has for rumors.
    budget_bytes: usize,
    planted: Planted,
}

impl Gossip {
    pub(super) fn new(config: &Config) -> Self {
        assert!(
            config.timings.gossip_period_ms > 0 && config.timings.gossip_fanout > 0,
            "a configuration is checked"
        );
        assert!(config.timings.retransmit_factor > 0, "a configuration is checked");
        Self {
            heat: Heat::default(),
            at: Instant::FAR_FUTURE,
            period_ms: config.timings.gossip_period_ms,
            fanout: config.timings.gossip_fanout as usize,
            retransmit_factor: config.timings.retransmit_factor,
            budget_bytes: config.timings.datagram_bytes_max as usize - ENVELOPE_BYTES_MAX,
            planted: config.planted,
        }
    }

    /// When the next round begins.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, WakeReason)> {
        earliest([(self.at, WakeReason::Gossip)])
    }

    /// Rumors that are still being told.
    pub(super) fn len(&self) -> usize {
        self.heat.len()
    }

    pub(super) fn is_hot(&self, key: &RumorKey) -> bool {
        self.heat.is_hot(key)
    }

    /// Whether a rumor of this length fits into a datagram.
    pub(super) const fn has_room_for(&self, bytes: usize) -> bool {
        bytes <= self.budget_bytes - SPARE_BYTES
    }

    /// Stops telling a rumor.
    pub(super) fn stop(&mut self, key: &RumorKey) {
        self.heat.stop(key);
    }

    /// Makes a rumor hot; the next round tells it.
    pub(super) fn start(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        rng: &mut Rng,
        key: RumorKey,
        priority: Priority,
    ) {
        assert!(know.planted == self.planted, "one node has one set of planted bugs");
        // Members' records, which are not among these rumors, always fit into a datagram.
        let large = know.rumors.told_len(&key).is_some_and(|bytes| !self.has_room_for(bytes));
        if self.heat.start(key, priority, large) {
            ctx.limit_reached(Limit::HotRumors);
        }
        assert!(!self.heat.is_empty(), "a rumor that was just started is hot");
        if self.at == Instant::FAR_FUTURE {
            // The round begins a little later, so that rumors that arrive in one burst go out in one datagram.
            let wait_ms = rng.below(self.period_ms / 5 + 1);
            self.at = ctx.now + Duration::from_millis(wait_ms);
        }
    }

    /// How often this member tells one rumor: SWIM's lambda log n.
    fn told_max(&self, know: Knowledge<'_>) -> u32 {
        if self.planted.has(Bug::ColdTooEarly) {
            return 1;
        }
        let members = know.membership.ring_size();
        // One more than the whole part of log10: the number of digits, which is log10(n + 1) rounded up.
        let digits = log10_milli(members.saturating_add(members / 32)) / 1000 + 1;
        let told_max = self.retransmit_factor * digits as u32;
        assert!(told_max > 0, "every rumor is told");
        told_max
    }

    /// Tells hot rumors to a few members.
    fn run(&mut self, ctx: &mut Context<'_>, know: Knowledge<'_>, targets: &[MemberRecord]) {
        assert!(targets.len() <= self.fanout, "a round goes to a few members");
        if targets.is_empty() {
            // This member knows no other; a member that joins gets every rumor in one exchange.
            self.heat = Heat::default();
        }
        for target in targets {
            if self.heat.is_empty() {
                break;
            }
            self.tell(ctx, know, target);
        }
        let wait = Duration::from_millis(self.period_ms);
        self.at = if self.heat.is_empty() { Instant::FAR_FUTURE } else { ctx.now + wait };
        assert!(self.at > ctx.now, "one round is followed by a pause");
    }

    /// Tells one member the hot rumors.
    pub(super) fn tell(&mut self, ctx: &mut Context<'_>, know: Knowledge<'_>, target: &MemberRecord) {
        assert!(target.id != know.me, "a member tells itself nothing");
        let told_max = self.told_max(know);
        let keys = self.heat.select_large(STREAM_BUDGET_BYTES, told_max, |key| know.encoded_len(key));
        let large: Vec<Vec<u8>> = keys.iter().filter_map(|key| know.rumors.told(key)).collect();
        if !large.is_empty() {
            transmit::stream(ctx, know, target.gossip_addr(), stream::Body::Gossip { rumors: large });
        }
        if !self.heat.is_empty() {
            self.send(ctx, know, target.swim_addr(), &Body::Gossip, None);
        }
    }

    /// Sends a datagram from this member with as many hot rumors as fit.
    pub(super) fn send(
        &mut self,
        ctx: &mut Context<'_>,
        know: Knowledge<'_>,
        to: SocketAddr,
        body: &Body,
        accuse: Option<&MemberRecord>,
    ) {
        let mut membership = Vec::new();
        let mut budget = self.budget_bytes;
        if let Some(accused) = accuse {
            let own = know.statement(&accused.id).filter(|s| s.record == *accused);
            let statement = own.unwrap_or_else(|| MemberRumor::new(*accused)).to_wire();
            budget = budget.saturating_sub(statement.encoded_len() + FIELD_BYTES_MAX);
            membership.push(statement);
        }
        let mut rumors = Vec::new();
        if !self.heat.is_empty() {
            self.pack(know, budget, &mut membership, &mut rumors);
        }
        transmit::datagram(ctx, to, &know.own_word(), body, membership, rumors);
    }

    /// Chooses hot rumors that fit into the budget.
    fn pack(
        &mut self,
        know: Knowledge<'_>,
        budget: usize,
        membership: &mut Vec<proto::Membership>,
        rumors: &mut Vec<Vec<u8>>,
    ) {
        assert!(budget <= self.budget_bytes, "rumors leave room for the message that carries them");
        let told_max = self.told_max(know);
        let size_of = |key: &RumorKey| know.encoded_len(key).map(|bytes| bytes + FIELD_BYTES_MAX);
        let mut left = budget;
        // A size may have been taken before a member's address became known, so it is checked.
        let mut fits = |size: usize| {
            let fits = size + FIELD_BYTES_MAX <= left;
            left = left.saturating_sub(if fits { size + FIELD_BYTES_MAX } else { 0 });
            fits
        };
        for key in self.heat.select(budget, told_max, size_of) {
            if let RumorKey::Member(id) = &key {
                let statement = know.statement(id).map(|statement| statement.to_wire());
                membership.extend(statement.filter(|statement| fits(statement.encoded_len())));
            } else {
                rumors.extend(know.rumors.told(&key).filter(|rumor| fits(rumor.len())));
            }
        }
        assert!(left <= budget, "chosen rumors came out of the budget");
    }
}

impl Node {
    /// Makes a rumor hot; the next round tells it.
    pub(super) fn start_heat(&mut self, key: RumorKey, priority: Priority) {
        self.gossip.start(ctx!(self), know!(self), &mut self.rng, key, priority);
    }

    /// Tells hot rumors to a few random members.
    pub(super) fn run_gossip(&mut self) {
        let targets = self.membership.random_members(self.gossip.fanout, None);
        self.gossip.run(ctx!(self), know!(self), &targets);
    }
}
