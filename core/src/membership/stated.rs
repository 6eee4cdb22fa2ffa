//! Applies what members say of themselves to their records. The node has checked that they did.

use super::Membership;
use crate::model::accusers::Accusers;
use crate::model::context::Context;
use crate::model::event::Why;
use crate::model::id::Incarnation;
use crate::model::member::{MemberRecord, State};
use crate::model::rumor::MemberStatement;

impl Membership {
    /// A member has proved that it is there.
    pub(crate) fn handle_move(&mut self, at: &MemberRecord) {
        assert!(at.id != self.me, "a member knows where it is");
        let Some(held) = self.table.get(&at.id).copied() else { return };
        let (address, swim_port, gossip_port) = (at.address, at.swim_port, at.gossip_port);
        let moved = MemberRecord { address, swim_port, gossip_port, ..held };
        if moved != held {
            self.put(moved);
        }
    }

    /// A member says that it is permanent, or not, or that it leaves.
    pub(crate) fn handle_statement(&mut self, ctx: &mut Context<'_>, said: &MemberStatement) {
        assert!(said.member_id != self.me, "a member knows what it is");
        let Some(held) = self.table.get(&said.member_id).copied() else { return };
        if said.leaves {
            let incarnation =
                Incarnation(said.incarnation.0.min(self.believed_up_to(&said.member_id, ctx.wall)));
            if held.state != State::Departed && incarnation >= held.incarnation {
                let left = MemberRecord { incarnation, state: State::Departed, ..held };
                self.change(ctx, left, Accusers::default(), Why::Own, ctx.after);
            }
        } else if held.permanent != said.permanent {
            self.put(MemberRecord { permanent: said.permanent, ..held });
        }
    }
}
