//! Leaves the ring in order: first the services stop, then the node announces its departure, then it answers on for a
//! moment so that the news spreads. No service may run when the node exits.

use alloc::vec::Vec;
use core::time::Duration;

use super::journal::Pending;
use super::{Node, Phase, around, ctx, know};
use crate::model::command::Reply;
use crate::model::context::{Context, Follows};
use crate::model::event::EventKind;
use crate::model::id::{Incarnation, RequestId};
use crate::model::io::{Effect, ExitReason, WakeReason};
use crate::model::mutant::mutated;
use crate::model::rumor::RumorKey;
use crate::model::time::Instant;

/// The stages of a departure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Departing {
    reason: ExitReason,
    /// The request that asked for it and is answered at its end.
    /// The event that said so.
    leaving: Follows,
    requests: Vec<RequestId>,
    step: Step,
    hurried: bool,
    /// It knows from its disk that it is banned, and asks the ring whether it still is.
    asks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Services are being stopped.
    Services,
    /// The last incarnation is on its way to the disk.
    Storing,
    /// The farewell spreads until then.
    Announcing(Instant),
}

/// How many times as long as a farewell a banned member asks whether it still is.
const ASKS_DELAYS: u32 = 3;
/// Members that are told of a departure directly.
const FAREWELL_FANOUT: usize = 10;

impl Node {
    pub(super) fn begin_leave(&mut self, request: RequestId, drain: bool) {
        if self.phase == Phase::Starting {
            // The node has not spoken yet, so it need not announce its departure.
            self.reply(request, Reply::Done);
            self.exit(ExitReason::Left);
            return self.take_early_commands();
        }
        assert!(self.phase == Phase::Running, "a node that departs or has exited takes no such command");
        self.begin_departing(ExitReason::Left, drain, Follows::Input);
        self.join_departure(request);
    }

    pub(super) fn begin_departing(&mut self, reason: ExitReason, drain: bool, after: Follows) {
        assert!(self.phase == Phase::Running, "a node departs once");
        let ctx = ctx!(self);
        let leaving = Follows::Event(ctx.event(after, EventKind::Leaving));
        self.phase = Phase::Departing(Departing {
            reason,
            leaving,
            requests: Vec::new(),
            step: Step::Services,
            hurried: false,
            asks: false,
        });
        self.services.handle_leave(ctx!(self, leaving), around!(self), drain);
    }

    /// This member is banned by what its disk says. It takes no part in the ring, but its ban may have been lifted while it
    /// did not run: it says who it is to some members, which tell it, and ends after a moment if none does.
    pub(super) fn ask_for_lift(&mut self, after: Follows) {
        self.start_keyring();
        self.begin_departing(ExitReason::Departed, true, after);
        if let Phase::Departing(departing) = &mut self.phase {
            departing.asks = mutated!(LiftNotAskedFor, true, false);
        }
        self.membership.handle_rejoin(ctx!(self, after));
    }

    /// The ban of this member was lifted while it is on its way out: the next life takes part again.
    pub(super) fn ban_lifted(&mut self) {
        let Phase::Departing(departing) = &mut self.phase else { return };
        if departing.reason == ExitReason::Departed {
            departing.reason = ExitReason::Reset;
        }
    }

    /// Rows are on disk: the next life knows that its ban is lifted, so this one need not go on.
    pub(super) fn lift_stored(&mut self, keys: &[RumorKey]) {
        let now = self.clock.now();
        let Phase::Departing(departing) = &mut self.phase else { return };
        if departing.reason != ExitReason::Reset || !keys.contains(&RumorKey::Departure(self.me)) {
            return;
        }
        assert!(departing.step != Step::Storing, "a member that was banned says no farewell");
        if let Step::Announcing(until) = &mut departing.step {
            *until = now;
        }
    }

    pub(super) fn join_departure(&mut self, request: RequestId) {
        match &mut self.phase {
            Phase::Departing(departing) => departing.requests.push(request),
            Phase::Starting | Phase::Running | Phase::Exited => self.reply(request, Reply::Done),
        }
    }

    pub(super) fn hurry(&mut self, request: RequestId) {
        self.reply(request, Reply::Done);
        self.services.handle_hurry(ctx!(self), around!(self));
        if let Phase::Departing(departing) = &mut self.phase {
            assert!(
                departing.step != Step::Storing || departing.reason == ExitReason::Left,
                "a ban is not stored"
            );
            departing.hurried = true;
            if let Step::Announcing(until) = &mut departing.step {
                *until = mutated!(HurryUnheard, self.clock.now(), *until);
            }
        }
    }

    /// No process is left.
    pub(super) fn services_stopped(&mut self) {
        let Phase::Departing(departing) = &mut self.phase else { return };
        assert!(departing.step == Step::Services, "services stop once");
        match departing.reason {
            // The ban has to spread, above all when an operator gave it to this node.
            ExitReason::Departed | ExitReason::Reset => self.announce_departure(),
            ExitReason::Left => {
                departing.step = Step::Storing;
                let incarnation = self.membership.newest_incarnation().next();
                self.membership.handle_leaving();
                self.journal.flush(ctx!(self), know!(self));
                self.journal.store_identity(ctx!(self), incarnation, Pending::Farewell(incarnation));
            }
        }
    }

    /// The incarnation of the farewell is on disk, or cannot be.
    pub(super) fn farewell(&mut self, stored: Option<Incarnation>) {
        if let Phase::Departing(departing) = &self.phase {
            let leaving = departing.leaving;
            self.membership.handle_leave(ctx!(self, leaving), stored);
            self.state_itself(true, Incarnation(0), leaving);
            self.wire_up();
            self.announce_departure();
        }
    }

    /// Tells a few members directly and goes on answering for a moment, so that the news gets round.
    fn announce_departure(&mut self) {
        let alone = self.membership.is_alone();
        let Phase::Departing(departing) = &mut self.phase else { return };
        assert!(!matches!(departing.step, Step::Announcing(_)), "a departure is announced once");
        let mut until = self.clock.now();
        let delay = Duration::from_millis(self.config.timings.leave_delay_ms);
        if mutated!(FarewellNotAwaited, !alone && !departing.hurried, false) {
            until = self.clock.now() + delay;
        }
        if departing.asks && !departing.hurried {
            until = self.clock.now() + delay * ASKS_DELAYS;
        }
        assert!(until >= self.clock.now(), "a farewell is over in the future");
        departing.step = Step::Announcing(until);
        for member in self.membership.random_members(mutated!(FarewellNotTold, FAREWELL_FANOUT, 0), None) {
            self.gossip.tell(ctx!(self), know!(self), &member);
        }
    }

    pub(super) const fn departing_until(&self) -> Option<(Instant, WakeReason)> {
        match &self.phase {
            Phase::Departing(Departing { step: Step::Announcing(until), .. }) => {
                Some((*until, WakeReason::Leaving))
            }
            Phase::Starting | Phase::Running | Phase::Departing(_) | Phase::Exited => None,
        }
    }

    pub(super) fn finish_departing(&mut self) {
        let Phase::Departing(departing) = &mut self.phase else { return };
        assert!(matches!(departing.step, Step::Announcing(_)), "a node exits after its farewell");
        let reason = departing.reason;
        for request in core::mem::take(&mut departing.requests) {
            self.reply(request, Reply::Done);
        }
        self.exit(reason);
    }

    pub(super) fn exit(&mut self, reason: ExitReason) {
        assert!(self.phase != Phase::Exited, "a node exits once");
        self.phase = Phase::Exited;
        let ctx = ctx!(self);
        ctx.effect(Effect::Exit(reason));
    }
}
