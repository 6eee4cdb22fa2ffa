//! Ages the members that are gone: confirmed ones depart, departed ones are forgotten, and at the limit the longest
//! gone goes first. A member that takes part is never forgotten.

use alloc::vec::Vec;
use core::time::Duration;

use super::Gone;
use super::{Membership, MembershipEvent};
use crate::model::accusers::Accusers;
use crate::model::context::{Context, Follows};
use crate::model::event::{EventKind, Why};
use crate::model::id::MemberId;
use crate::model::limits::{Limit, MEMBERS_MAX};
use crate::model::member::State;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

impl Membership {
    pub(super) fn plan_housekeeping(&mut self, now: Instant) {
        if self.since.is_empty() {
            self.housekeeping_at = Instant::FAR_FUTURE;
        } else if self.housekeeping_at == Instant::FAR_FUTURE {
            let shortest_ms = self.timings.departed_after_ms.min(self.timings.forget_after_ms);
            self.housekeeping_at = now + Duration::from_millis((shortest_ms / 10).clamp(1_000, 60_000));
            assert!(self.housekeeping_at > now, "one look is followed by a pause");
        }
    }

    /// Ages members that are gone: confirmed ones depart, departed ones are forgotten.
    pub(super) fn keep_house(&mut self, ctx: &mut Context<'_>) {
        let departed_after = Duration::from_millis(self.timings.departed_after_ms);
        let forget_after = Duration::from_millis(self.timings.forget_after_ms);
        let aged: Vec<(MemberId, Gone)> = self.since.iter().map(|(id, gone)| (*id, *gone)).collect();
        for (id, Gone { since, after }) in aged {
            let Some(mut record) = self.table.get(&id).copied() else { continue };
            assert!(record.state >= State::Confirmed, "only members that are gone grow old");
            if record.state == State::Confirmed
                && since + mutated!(DepartsAtOnce, departed_after, departed_after / 10) <= ctx.now
            {
                record.state = State::Departed;
                self.change(ctx, record, Accusers::default(), Why::GoneTooLong, after);
            } else if record.state == State::Departed
                && mutated!(NeverForgotten, since + forget_after <= ctx.now, false)
            {
                self.forget(ctx, &id, after);
            }
        }
        self.housekeeping_at = Instant::FAR_FUTURE;
        self.plan_housekeeping(ctx.now);
    }

    fn forget(&mut self, ctx: &mut Context<'_>, id: &MemberId, after: Follows) {
        assert!(*id != self.me, "a member never forgets itself");
        self.end_suspicion(id);
        self.prober.cancel(id);
        self.since.remove(id);
        self.forget_way_to(id);
        self.contacts = None;
        let removed = self.table.remove(id);
        assert!(removed.is_some(), "only a member that is known is forgotten");
        let event = ctx.event(after, EventKind::MemberForgotten { member: *id });
        self.events.push_back(MembershipEvent::Forgotten { id: *id, after: Follows::Event(event) });
    }

    /// Makes room for a new member at the expense of one that is gone, longest gone first.
    pub(super) fn make_room(&mut self, ctx: &mut Context<'_>) -> bool {
        if self.table.len() < MEMBERS_MAX {
            return true;
        }
        let full = ctx.limit_reached(Limit::Members);
        let state_of = |id: &MemberId| self.table.get(id).map_or(State::Alive, |r| r.state);
        let worst = self.since.iter().max_by_key(|(id, gone)| {
            (
                state_of(id),
                core::cmp::Reverse(mutated!(
                    NewestGoneFirst,
                    gone.since,
                    Instant::from_nanos(u64::MAX - gone.since.as_nanos())
                )),
            )
        });
        let Some(id) = worst.map(|(id, _)| *id) else { return false };
        self.forget(ctx, &id, Follows::Event(full));
        assert!(self.table.len() < MEMBERS_MAX, "there is room now");
        true
    }
}
