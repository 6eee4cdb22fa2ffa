//! What this member says of itself, and what other members say of themselves: signed by each, told and stored like
//! every rumor, and applied to the list of members. Nothing else makes a member permanent or has it leave.

use super::trust::Source;
use super::wire_up::Learned;
use super::{Node, ctx};
use crate::membership::Heard;
use crate::model::context::{Context, Follows};
use crate::model::id::{Incarnation, MemberId};
use crate::model::limits::INCARNATION_MAX;
use crate::model::mutant::mutated;
use crate::model::rumor::{MemberStatement, Rumor, RumorKey, Told};
use crate::rumor::Priority;

impl Node {
    /// This member's statement as its configuration has it.
    fn own_statement(&self, leaves: bool) -> MemberStatement {
        let own = self.membership.own();
        MemberStatement {
            member_id: self.me,
            incarnation: own.incarnation,
            permanent: self.config.permanent,
            address: self.config.advertise,
            swim_port: self.config.swim_port,
            gossip_port: self.config.gossip_port,
            leaves,
        }
    }

    /// Where this life has something to say of itself, or an earlier one had, the ring is told.
    pub(super) fn state_itself_at_start(&mut self) {
        let had = self.rumors.get(&RumorKey::Statement(self.me)).is_some();
        if had || self.config.permanent || self.config.advertise.is_some() {
            self.state_itself(false, Incarnation(0), Follows::Input);
        }
    }

    /// States what this member is, above every statement before and above `above`.
    pub(super) fn state_itself(&mut self, leaves: bool, above: Incarnation, after: Follows) {
        let mut statement = self.own_statement(leaves);
        let held = self.rumors.get(&RumorKey::Statement(self.me));
        let last = Incarnation(held.map_or(0, Rumor::number)).max(above);
        // A farewell prevails over what was said in the same incarnation.
        let least = if leaves { last } else { last.next() };
        statement.incarnation = statement.incarnation.max(least);
        assert!(statement.member_id == self.me, "a member speaks of itself");
        let told = self.signed(Rumor::Statement(statement));
        self.learn(&told, Priority::Urgent, None, after);
    }

    /// Takes in what a member says of itself.
    pub(super) fn hear_statement(
        &mut self,
        told: &Told<'_>,
        said: &MemberStatement,
        from: &MemberId,
        source: Source,
    ) -> Heard {
        let id = said.member_id;
        if id == self.me {
            return self.hear_own_statement(told, said);
        }
        if self.membership.hearsay(&id).is_some() {
            self.waiting.keep(id, told, *from, source);
            return Heard::Known;
        }
        if self.membership.table().get(&id).is_none() {
            return Heard::Known;
        }
        let Learned { heard, after } = self.learn(told, Priority::Urgent, Some(*from), Follows::Input);
        if heard == Heard::New {
            let Some(Rumor::Statement(held)) = self.rumors.get(&told.rumor().key()) else { return heard };
            let held = held.clone();
            mutated!(StatementNotApplied, self.membership.handle_statement(ctx!(self, after), &held), ());
        }
        heard
    }

    /// Only this member could have said it: in a life of which its disk knows nothing any more, or in a copy of it.
    fn hear_own_statement(&mut self, told: &Told<'_>, said: &MemberStatement) -> Heard {
        if self.rumors.holds(told) || !self.is_ready() || said.incarnation >= Incarnation(INCARNATION_MAX) {
            return Heard::Known;
        }
        let held = self.rumors.get(&RumorKey::Statement(self.me)).map_or(0, Rumor::number);
        if held > said.incarnation.0 {
            return Heard::Stale;
        }
        self.state_itself(false, said.incarnation, Follows::Input);
        Heard::Stale
    }
}
