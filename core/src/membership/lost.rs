//! Finds lost members: while alone this member tries its configured peers, for ever; otherwise it tries members that it
//! believes dead, so that a netsplit heals without an operator and without a designated peer. The rate is low and
//! bounded. Permanent peers are not tried here: they keep their turn in the probe rounds.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::probe::stands_here;
use super::{Membership, MembershipEvent};
use crate::model::context::Context;
use crate::model::limits::PEERS_MAX;
use crate::model::member::{MemberRecord, State};
use crate::model::mutant::mutated;
use crate::model::planted::Bug;
use crate::model::time::Instant;
use crate::wire::swim::Body;

/// The first wait between tries while alone, in milliseconds; doubles up to the configured period.
const ALONE_BACKOFF_MS_MIN: u64 = 200;
/// Peers tried at one time.
const PEERS_PER_TRY: usize = 3;
/// A peer that never showed up is tried this much less often than a lost member.
const UNMET_PEER_FACTOR: u64 = 6;

const _: () = assert!(PEERS_PER_TRY < PEERS_MAX && UNMET_PEER_FACTOR > 1);

/// The peers to try, and the time of the next try.
#[derive(Debug)]
pub(super) struct Lost {
    peers: Vec<SocketAddr>,
    next: Instant,
    backoff_ms: u64,
}

impl Lost {
    pub(super) fn new(mut peers: Vec<SocketAddr>, now: Instant) -> Self {
        peers.truncate(PEERS_MAX);
        assert!(peers.len() <= PEERS_MAX, "peers have a limit");
        Self { peers, next: now, backoff_ms: ALONE_BACKOFF_MS_MIN }
    }
}

impl Membership {
    /// Replaces the peers that are tried.
    pub(crate) fn handle_peers(&mut self, ctx: &mut Context<'_>, mut peers: Vec<SocketAddr>) {
        peers.truncate(PEERS_MAX);
        assert!(self.lost.peers.len() <= PEERS_MAX, "peers have a limit");
        if peers != self.lost.peers {
            self.lost.peers = peers;
            self.lost.next = self.lost.next.min(ctx.now);
        }
    }

    pub(super) fn reconnect_at(&self) -> Instant {
        let has_lost = !self.lost.peers.is_empty() || self.table.count(State::Confirmed) > 0;
        if has_lost && !self.leaving { self.lost.next } else { Instant::FAR_FUTURE }
    }

    /// A member was lost: the next try comes within a period.
    pub(super) fn note_lost(&mut self, now: Instant) {
        let period_ms = self.timings.reconnect_period_ms;
        let soon = now + Duration::from_millis(self.rng.between(period_ms / 4, period_ms));
        if self.lost.next > soon || self.lost.next < now {
            self.lost.next = soon;
        }
        assert!(self.lost.next <= soon, "the next try comes within a period");
    }

    pub(super) fn run_reconnect(&mut self, ctx: &mut Context<'_>) {
        if self.reconnect_at() > ctx.now {
            return;
        }
        let period_ms = self.timings.reconnect_period_ms;
        let wait_ms = if self.is_alone() {
            mutated!(AloneAndStill, self.try_peers(ctx, false), ());
            self.try_lost_member(ctx);
            let wait_ms = self.lost.backoff_ms;
            self.lost.backoff_ms = mutated!(AloneAndHasty, (wait_ms * 2).min(period_ms), wait_ms);
            wait_ms
        } else {
            self.lost.backoff_ms = ALONE_BACKOFF_MS_MIN;
            mutated!(UnmetPeersNotTried, self.try_peers(ctx, true), ());
            if self.try_lost_member(ctx) {
                period_ms
            } else {
                mutated!(UnmetTriedOften, period_ms * UNMET_PEER_FACTOR, period_ms)
            }
        };
        // The wait is random, so that two halves of a ring do not try in step.
        let wait_ms = self.rng.between(wait_ms * 3 / 4, wait_ms * 5 / 4);
        self.lost.next = ctx.now + Duration::from_millis(wait_ms.max(1));
        assert!(self.lost.next > ctx.now, "one try is followed by a pause");
        assert!(self.lost.backoff_ms > 0, "tries while alone have a pause too");
    }

    /// Tries a few peers; with `unmet` only those at whose address no known member is.
    fn try_peers(&mut self, ctx: &mut Context<'_>, unmet: bool) {
        let mut peers: Vec<SocketAddr> = self.lost.peers.clone();
        if unmet {
            let met = |r: &&MemberRecord| r.state != State::Departed;
            peers.retain(|p| {
                !self.table.iter().filter(met).any(|r| r.swim_addr() == *p || r.gossip_addr() == *p)
            });
        }
        let own = *self.own();
        peers.retain(|p| *p != own.swim_addr());
        assert!(peers.len() <= PEERS_MAX, "peers have a limit");
        let picks = self.rng.sample(peers.len(), PEERS_PER_TRY);
        for to in picks.into_iter().filter_map(|i| peers.get(i)) {
            ctx.metrics.reconnects += 1;
            let seq = self.join_seq(*to);
            self.events.push_back(MembershipEvent::Join { swim: *to, gossip: *to, seq });
        }
    }

    /// Pings one random member that is believed dead, telling it so. False when there is none.
    fn try_lost_member(&mut self, ctx: &mut Context<'_>) -> bool {
        let own = *self.own();
        let is_lost = |r: &&MemberRecord| r.state == State::Confirmed && !stands_here(r, &own);
        let lost = if self.table.count(State::Confirmed) == 0 {
            0
        } else {
            self.table.iter().filter(is_lost).count()
        };
        if lost == 0 || self.planted.has(Bug::LostNeverTried) {
            return false;
        }
        let pick = self.rng.index(lost);
        let Some(record) = self.table.iter().filter(is_lost).nth(pick).copied() else { return false };
        assert!(
            record.id != self.me && record.state == State::Confirmed,
            "the lost are others, believed dead"
        );
        ctx.metrics.reconnects += 1;
        let body = Body::Ping { seq: self.prober.seq(), forward_to: None };
        self.events.push_back(MembershipEvent::Send {
            to: record.swim_addr(),
            body,
            accuse: mutated!(LostNotAccused, Some(record), None),
        });
        true
    }

    /// After a restart: chooses a few members that took part before, to announce this member to. Members that were gone
    /// age from now on.
    pub(crate) fn handle_rejoin(&mut self, ctx: &mut Context<'_>) {
        self.plan_housekeeping(ctx.now);
        for member in self.random_members(mutated!(NoRejoin, PEERS_PER_TRY, 0), None) {
            let (swim, gossip) = (member.swim_addr(), member.gossip_addr());
            let seq = self.join_seq(swim);
            self.events.push_back(MembershipEvent::Join { swim, gossip, seq });
        }
    }
}
