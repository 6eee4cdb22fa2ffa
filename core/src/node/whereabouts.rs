//! Where members are. A datagram can come from any address in any member's name, so a member that others reach is at the
//! address where they reach it until it has answered a question at another one, with its signature.
//!
//! A member that nothing signed is known of may be of a kind that signs nothing (Habitat's): it is believed once the
//! address where it was answers no longer.

use core::net::SocketAddr;

use super::trust::Source;
use super::{Node, ctx, transmit};
use crate::model::channel::Channel;
use crate::model::context::Context;
use crate::model::id::MemberId;
use crate::model::member::{MemberRecord, State, UNSPECIFIED};
use crate::model::mutant::mutated;
use crate::model::rumor::RumorKey;
use crate::model::stamp::StampSender;
use crate::wire::swim::Body;

impl Node {
    /// The word of a member that speaks, with the address where it is held to be; where it names another one, it is
    /// asked there. `room`: bytes of its message, which the question does not exceed.
    pub(super) fn at_proved_address(&mut self, from: MemberRecord, room: usize) -> MemberRecord {
        let Some(held) = self.membership.table().get(&from.id).copied() else { return from };
        let is_there = (held.swim_addr(), held.gossip_port) == (from.swim_addr(), from.gossip_port);
        if held.address == UNSPECIFIED || is_there {
            return from;
        }
        if !mutated!(ReachableMoves, held.state == State::Alive, false)
            && !mutated!(SignerMoves, self.has_signed(&from.id), false)
        {
            return from;
        }
        self.ask_at(&from.id, from.swim_addr(), room);
        assert!(held.id == from.id, "a member is held under its id");
        let MemberRecord { address, swim_port, gossip_port, .. } = held;
        MemberRecord { address, swim_port, gossip_port, ..from }
    }

    /// Whether this member's signed word about itself is held.
    fn has_signed(&self, id: &MemberId) -> bool {
        self.rumors.vouch(&RumorKey::Statement(*id)).is_some()
    }

    fn ask_at(&mut self, id: &MemberId, to: SocketAddr, room: usize) {
        if to == self.membership.own().swim_addr() {
            return;
        }
        let (now, sender) = (self.clock.now(), StampSender::of(id));
        self.replay.ask(now, sender);
        if let Some(challenge) = self.replay.question(now, sender, to, Channel::Datagram) {
            transmit::question(ctx!(self), &self.me, to, &Body::Challenge { challenge }, room);
        }
    }

    /// A member has answered a question with its signature: it is where it says that it is.
    pub(super) fn note_proved_address(&mut self, from: &MemberRecord, source: Source) {
        // A copy of this member answers with its key.
        if from.id == self.me {
            return;
        }
        let address = if from.address == UNSPECIFIED { source.0.ip() } else { from.address };
        let at = MemberRecord { address, ..*from };
        if at.swim_addr() != self.membership.own().swim_addr() {
            self.membership.handle_move(&at);
        }
    }
}
