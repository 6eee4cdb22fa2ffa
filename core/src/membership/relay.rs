//! Pings that this member sends as a helper of other members' probes. A relay passes the ack on or sends a nack; it may
//! not change this member's own view.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::model::id::{MemberId, ProbeSeq};
use crate::model::limits::RELAYS_MAX;
use crate::model::member::MemberRecord;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// A ping sent for another member.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    pub(super) requester: MemberId,
    /// The address that a nack goes to.
    pub(super) reply_to: SocketAddr,
    pub(super) target: MemberRecord,
    pub(super) seq: ProbeSeq,
    /// The time at which the requester gets a nack.
    pub(super) nack_at: Instant,
}

/// The relays under way.
#[derive(Debug, Default)]
pub(super) struct Relays(Vec<Relay>);

impl Relays {
    /// False when there is no room: the requester asked others too.
    pub(super) fn begin(&mut self, relay: Relay) -> bool {
        if self.0.len() >= RELAYS_MAX {
            return false;
        }
        self.0.push(relay);
        assert!(self.0.len() <= RELAYS_MAX, "relays have a limit");
        true
    }

    /// The target answered; no nack is due. False where no member asked for that, or too long ago.
    pub(super) fn answered(&mut self, requester: &MemberId, target: &MemberId, seq: ProbeSeq) -> bool {
        let is_answered = |r: &Relay| r.requester == *requester && r.target.id == *target && r.seq == seq;
        let was_asked = self.0.iter().any(is_answered);
        self.0.retain(|r| mutated!(NackAfterAck, !is_answered(r), true));
        was_asked
    }

    /// The target's host refuses: the requester need not wait for that.
    pub(super) fn refused(&mut self, target: &MemberId, now: Instant) {
        for relay in self.0.iter_mut().filter(|r| r.target.id == *target) {
            relay.nack_at = now;
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|r| r.nack_at).min()
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<Relay> {
        assert!(self.0.len() <= RELAYS_MAX, "relays have a limit");
        let at = self.0.iter().position(|r| r.nack_at <= now)?;
        Some(self.0.swap_remove(at))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
