//! The invariants between the components after every input. The simulator checks them each time; a daemon relies on
//! them.

use super::Node;
use crate::model::limits::{DEPARTURES_MAX, HOT_RUMORS_MAX, MEMBERS_MAX, REPLAY_SENDERS_MAX, RUMORS_MAX};
use crate::model::member::State;
use crate::model::rumor::Authority;

impl Node {
    /// Checks the invariants between this node's parts. It walks over every record, so a daemon does not call it.
    ///
    /// # Panics
    /// When an invariant does not hold, which is a defect of the core and never the fault of a peer.
    pub fn check_invariants(&self) {
        self.membership.check_invariants();
        self.elections.check_invariants();
        self.keyring.check_invariants();
        let own = self.membership.own();
        assert!(matches!(own.state, State::Alive | State::Departed), "a member never believes itself dead");
        assert!(self.membership.table().len() <= MEMBERS_MAX, "more members than the limit");
        assert!(self.gossip.len() <= HOT_RUMORS_MAX, "more hot rumors than the limit");
        assert!(self.replay.senders() <= REPLAY_SENDERS_MAX, "more known senders than the limit");
        let mut others = 0;
        let mut bans = 0;
        for rumor in self.rumors.iter() {
            match rumor.authority() {
                Authority::Ban(ban) => {
                    bans += 1;
                    let is_applied = self.membership.is_banned(&ban.member_id) != ban.lifted;
                    assert!(is_applied, "a ban is known and not applied, or lifted and applied");
                }
                Authority::Members(_) => panic!("a member's record is in the store of other rumors"),
                Authority::Itself(_)
                | Authority::Owner(_)
                | Authority::Operator(_)
                | Authority::Voters(_)
                | Authority::Key(_)
                | Authority::Unknown(_) => {
                    others += 1;
                }
            }
        }
        self.rumors.check_invariants();
        assert!(bans <= DEPARTURES_MAX && others <= RUMORS_MAX, "more rumors than the limit");
    }
}
