//! A second supervisor with this member's identity, as elections notice it: its disk was copied, or put back. No
//! protocol makes two of one; this member stands back so that the rest of the group is not harmed, and says why.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use super::Env;
use super::instance::{Instance, Stance};
use crate::model::config::Timings;
use crate::model::election::LeaseEnd;
use crate::model::mutant::mutated;
use crate::model::time::Instant;

/// What speaks for a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// A voter is bound to a leader of this member's name, and this member does not lead.
    LeadsElsewhere,
    /// This term was won in this member's name, and its disk does not know it.
    WonElsewhere { term: u64 },
}

/// The evidence for a copy, and how long this member stands back for it.
#[derive(Debug, Default)]
pub(super) struct Double {
    evidence: Option<Evidence>,
    quiet_until: Option<Instant>,
    told_until: Option<Instant>,
    /// Until then voters may be bound to this member by a lead that it has given up itself.
    led_until: Option<Instant>,
}

impl Double {
    /// Until then this member neither stands nor votes.
    pub(super) fn quiet_until(&self) -> Instant {
        self.quiet_until.unwrap_or(Instant::from_nanos(0))
    }

    /// This member frees its voters; those that do not hear of it are bound to it until then.
    pub(super) const fn led_until(&mut self, until: Instant) {
        self.led_until = Some(until);
    }

    fn noticed(&mut self, evidence: Evidence, now: Instant, timings: &Timings) {
        let quiet = Duration::from_millis(timings.election_backoff_ms_max);
        self.evidence = Some(evidence);
        self.quiet_until = Some(mutated!(CopyStandsOn, now + quiet, now));
        self.told_until = Some(now + quiet * 3);
        assert!(self.told_until > self.quiet_until, "the reason is told for longer than it holds");
    }

    /// What is wrong, for people; none when nothing is.
    pub(super) fn words(&self, now: Instant) -> Option<String> {
        let evidence = self.evidence.filter(|_| self.told_until.is_some_and(|until| now < until))?;
        assert!(self.quiet_until.is_some(), "a member that knows of a copy stands back");
        Some(match evidence {
            Evidence::LeadsElsewhere => String::from(
                "another supervisor leads under this member's id: its disk was copied; stop one of the two and \
                 start it with an empty data directory",
            ),
            Evidence::WonElsewhere { term } => format!(
                "term {term} was won under this member's id and is not on its disk: the disk was copied or put \
                 back; of two supervisors with one id stop one and start it with an empty data directory"
            ),
        })
    }
}

impl Instance {
    /// A voter says that it is bound to a leader of this member's name.
    pub(super) fn bound_elsewhere(&mut self, env: &Env<'_, '_>) {
        let now = env.ctx.now;
        assert!(!matches!(self.stance, Stance::Leading(_)), "a leader asks no voter");
        if self.double.led_until.is_none_or(|until| until < now) {
            self.double.noticed(Evidence::LeadsElsewhere, now, env.timings);
        }
    }

    /// A term was won in this member's name that its disk does not know. It takes the term over, so that it gives no
    /// second vote in it, and leads an earlier one no longer.
    pub(super) fn won_elsewhere(&mut self, env: &mut Env<'_, '_>, term: u64) {
        assert!(term > self.vote.term, "a term that this member took part in was won here");
        self.double.noticed(Evidence::WonElsewhere { term }, env.ctx.now, env.timings);
        self.resign(env, LeaseEnd::Outdone);
        self.stop_campaign();
        assert!(matches!(self.stance, Stance::Idle), "its own terms are over");
        self.vote.term = mutated!(LostTermNotTaken, term, self.vote.term);
        self.vote.candidate = None;
        self.store(env, None);
    }
}
