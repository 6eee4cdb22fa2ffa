//! Finds a second daemon that runs with a copy of this member's identity, and decides which of the two goes on claiming
//! it.
//!
//! A record of this member at another address is no proof: it may be an earlier life's, or the way back through a
//! gateway. So this member asks there, with a number that only it knows. Its own question coming back is an echo; an
//! answer, or a question that this member never asked, comes from a copy. Both sides learn of each other by that at
//! once. The one at the lower address stays; the other one claims nothing any more, so that the two do not outbid each
//! other for ever, and asks again now and then, so that both go on knowing. One that does not know its own address yet,
//! as a copy that was just started, cannot tell which of the two it is, and claims nothing until it can: never two do. So
//! it is with one that hears the other at what others told it is its own address: they spoke of the other one.
//!
//! No protocol makes two members of one: an operator has to stop one of the two and remove its data.

use core::net::SocketAddr;
use core::time::Duration;

use super::{Membership, MembershipEvent};
use crate::model::context::{Context, Follows};
use crate::model::event::EventKind;
use crate::model::id::ProbeSeq;
use crate::model::member::{MemberRecord, UNSPECIFIED};
use crate::model::mutant::mutated;
use crate::model::time::Instant;
use crate::wire::swim::Body;

/// Marks the number of a question; no probe counts that far.
const QUESTION: u64 = 1 << 62;
/// The rest of the number: which member asks, drawn once, and a count.
const COUNT_BITS: u32 = 24;
const VOICE: u64 = QUESTION >> COUNT_BITS;
/// Shortest time between questions, in milliseconds.
const ASK_PERIOD_MS: u64 = 1_000;
/// The same once a copy is known.
const ASK_AGAIN_PERIOD_MS: u64 = 10_000;
/// A copy that was not heard for so long is gone.
const COPY_KEPT_MS: u64 = 60_000;
/// Time between two reports of one copy.
const REPORT_PERIOD_MS: u64 = 600_000;

const _: () = assert!(ASK_PERIOD_MS < ASK_AGAIN_PERIOD_MS && ASK_AGAIN_PERIOD_MS * 3 < COPY_KEPT_MS);

/// A copy that answered.
#[derive(Clone, Copy, Debug)]
struct Found {
    address: SocketAddr,
    heard: Instant,
    reported: Instant,
    /// Whether this member stepped aside by that report.
    yields: bool,
}

/// The questions of this member whether it is alone with its identity.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// By what it knows its own questions again, also those that come back late or twice.
    voice: Option<u64>,
    count: u64,
    asked: Option<(SocketAddr, ProbeSeq)>,
    ask_after: Option<Instant>,
    /// An address at which this member met itself.
    echo: Option<SocketAddr>,
    found: Option<Found>,
}

impl Copies {
    /// Whether this member asked a question with this number.
    fn is_own(&self, seq: ProbeSeq) -> bool {
        self.voice.is_some_and(|voice| (seq.0 & !QUESTION) >> COUNT_BITS == voice)
    }
}

impl Membership {
    /// Where a second daemon runs with a copy of this member's identity; none while there is no sign of one.
    pub(crate) fn copy_of_me(&self, now: Instant) -> Option<SocketAddr> {
        let kept = Duration::from_millis(COPY_KEPT_MS);
        self.copies.found.filter(|found| found.heard + kept > now).map(|found| found.address)
    }

    /// Whether a copy goes on claiming the identity, and this member does not.
    pub(super) fn yields_to_copy(&self, now: Instant) -> bool {
        self.copy_of_me(now).is_some_and(|copy| self.is_behind(copy))
    }

    /// Whether the daemon at this address goes on claiming the identity, by what this one knows of itself.
    fn is_behind(&self, copy: SocketAddr) -> bool {
        let own = self.own().swim_addr();
        own.ip() == UNSPECIFIED || copy < own || (copy == own && !self.advertises)
    }

    /// Another member knows this one at another address: asks there who it is.
    pub(crate) fn suspect_copy(&mut self, now: Instant, at: SocketAddr) {
        let own = self.own().swim_addr();
        let is_known = own.ip() != UNSPECIFIED && at.ip() != UNSPECIFIED;
        if self.leaving || !is_known || at == own || self.copies.echo == Some(at) {
            return;
        }
        if self.copies.ask_after.is_some_and(|after| after > now) {
            return;
        }
        let is_known = self.copy_of_me(now).is_some();
        let wait_ms = if is_known { ASK_AGAIN_PERIOD_MS } else { ASK_PERIOD_MS };
        self.copies.ask_after = Some(now + Duration::from_millis(wait_ms));
        let voice = *self.copies.voice.get_or_insert_with(|| self.rng.below(VOICE));
        self.copies.count = (self.copies.count + 1) % (1 << COUNT_BITS);
        let seq = ProbeSeq(QUESTION | voice << COUNT_BITS | self.copies.count);
        assert!(self.copies.is_own(seq), "a member knows its question when it comes back");
        assert!(seq.0 >= QUESTION, "no probe has the number of a question");
        self.copies.asked = Some((at, seq));
        let body = Body::Ping { seq, forward_to: None };
        self.events.push_back(MembershipEvent::Send { to: at, body, accuse: None });
    }

    /// A datagram of this member's own came back: where it was a question, that is how it met itself.
    pub(crate) fn handle_echo(&mut self, body: &Body) {
        if let Body::Ping { seq, forward_to: None } = body
            && self.copies.is_own(*seq)
        {
            let echoed = self.copies.asked.take_if(|(_, asked)| asked == seq);
            self.copies.echo = echoed.map(|(at, _)| at).or(self.copies.echo);
        }
    }

    /// A datagram in this member's own name, from a daemon that says it is at `speaker`. False when it is of no use.
    pub(crate) fn handle_own_voice(
        &mut self,
        ctx: &mut Context<'_>,
        speaker: SocketAddr,
        reply_to: SocketAddr,
        body: &Body,
    ) -> bool {
        match body {
            Body::Ping { seq, forward_to: None } if seq.0 & QUESTION != 0 => {
                if mutated!(EchoIsACopy, self.copies.is_own(*seq), false) {
                    self.handle_echo(body);
                    return true;
                }
                let body = Body::Ack { seq: *seq, forward_to: None };
                self.events.push_back(MembershipEvent::Send { to: reply_to, body, accuse: None });
                self.found_copy(ctx, speaker);
                true
            }
            Body::Ack { seq, forward_to: None } => {
                let answered = self.copies.asked.take_if(|(_, asked)| asked == seq);
                if let Some((at, _)) = answered {
                    self.found_copy(ctx, at);
                }
                answered.is_some()
            }
            Body::Ping { .. }
            | Body::Ack { .. }
            | Body::PingReq { .. }
            | Body::Nack { .. }
            | Body::Gossip
            | Body::Ballot(_)
            | Body::Challenge { .. }
            | Body::Answer(_)
            | Body::Unknown => {
                self.suspect_copy(ctx.now, speaker);
                false
            }
        }
    }

    /// A copy of this member is at this address: reported once, and again after a long time.
    pub(super) fn found_copy(&mut self, ctx: &mut Context<'_>, address: SocketAddr) {
        let now = ctx.now;
        let own = *self.own();
        if address == own.swim_addr() && !self.advertises {
            self.put(MemberRecord { address: UNSPECIFIED, ..own });
        }
        let yields = self.is_behind(address);
        let known = self.copies.found.filter(|_| self.copy_of_me(now) == Some(address));
        let report = Duration::from_millis(REPORT_PERIOD_MS);
        // A member that has learned its own address meanwhile may know better.
        let known = known.filter(|known| known.yields == yields);
        let reported = known.map(|known| known.reported).filter(|reported| *reported + report > now);
        self.copies.found = Some(Found { address, heard: now, reported: reported.unwrap_or(now), yields });
        assert!(self.copy_of_me(now) == Some(address), "a copy that was found is known");
        assert!(
            reported.is_none_or(|reported| reported <= now),
            "a copy is reported before it is known for long"
        );
        if reported.is_none() {
            assert!(yields == self.yields_to_copy(now), "what is reported is what is done");
            ctx.event(Follows::Input, EventKind::IdentityConflict { address, yields });
        }
    }
}
