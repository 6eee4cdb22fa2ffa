//! A service's lead: the lease that its guard holds, and whether its processes were told that they lead. It is data for
//! `acting`, which takes the steps; the election decides who leads.
//!
//! A process acts as the leader from the moment at which a file or hook may tell it so, until its whole tree has ended
//! or its package's way of being demoted has succeeded. A hook that may say that the service leads acts until it has ended,
//! beside a process, before the first and after the last. A right to resume counts like acting: the supervisor that takes
//! the process over could lead on by it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::model::id::ServiceGroup;
use crate::model::lease::Lease;
use crate::model::mutant::mutated;
use crate::service::purpose::Purpose;

/// Leases that a guard has not acknowledged; a guard that leaves more unanswered is not given another.
const SENT_MAX: usize = 32;

/// The lease of a service's present tree of processes.
#[derive(Debug, Default)]
pub(super) struct Lead {
    /// A process of the tree was told that it leads, and has not been told otherwise to the end.
    told: bool,
    /// The hooks under way that may say that it leads.
    hooks: Vec<Purpose>,
    /// The lease that the guard has acknowledged.
    held: Option<Lease>,
    /// Leases that the guard has not acknowledged, by number, in order.
    sent: VecDeque<(u64, Option<Lease>)>,
    /// The lease that the guard was given last, acknowledged or not.
    given: Option<Lease>,
    /// The election wants the right to resume back.
    yielded: bool,
    demotion: Option<Demotion>,
    /// The group in which it acted when this was last looked at.
    acted_in: Option<ServiceGroup>,
}

/// How far a process has come that goes on without leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demotion {
    /// Its files are to be written without the lead.
    Files,
    /// They are being written.
    Writing,
    /// Its reconfigure hook is to run.
    Hook,
    /// It runs.
    Telling,
}

/// The consequence of a guard that could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It stands for a lease that is only longer than the one before: the next renewal tries again.
    Renewal,
    /// The guard knows nothing of this term.
    Entry,
    /// The guard still holds what it was to forget.
    Withdrawal,
}

impl Lead {
    /// A process is taken over, with the lease of which its guard tells.
    pub(super) fn adopt(&mut self, lease: Option<Lease>) {
        assert!(self.sent.is_empty() && !self.told, "a process is taken over before it is told anything");
        self.told = lease.is_some();
        (self.held, self.given) = (lease.clone(), lease);
    }

    /// A process is started with this lease; it was prepared as a leader if it has one.
    pub(super) fn begin(&mut self, lease: Option<Lease>) {
        self.told |= lease.is_some();
        // What hooks before it were given, and is not acknowledged, concerns it no longer.
        self.sent.clear();
        if lease.is_some() || self.hooks.is_empty() {
            (self.held, self.given) = (lease.clone(), lease);
        }
    }

    /// No process of the tree is left, and its guard only as long as a hook needs it.
    pub(super) fn end(&mut self) {
        let (acted_in, hooks) = (self.acted_in.take(), core::mem::take(&mut self.hooks));
        let given = self.given.take().filter(|_| !hooks.is_empty());
        *self = Self { acted_in, hooks, given, ..Self::default() };
        assert!(self.acts() != self.hooks.is_empty(), "no process acts where there is none");
    }

    /// A hook begins that may say that it leads; where no process is, its guard holds this lease.
    pub(super) fn hook_begins(&mut self, purpose: Purpose, lease: &Lease) {
        assert!(!self.hooks.contains(&purpose), "of each kind of work one is under way at most");
        self.hooks.push(purpose);
        self.given.get_or_insert_with(|| lease.clone());
    }

    /// A hook has ended.
    pub(super) fn hook_ended(&mut self, purpose: Purpose) {
        self.hooks.retain(|hook| *hook != purpose);
    }

    /// Whether a hook runs that may say that it leads.
    pub(super) const fn has_hooks(&self) -> bool {
        !self.hooks.is_empty()
    }

    /// The guard of a hook without a process is being given this lease. Whether it has it changes nothing: the one before
    /// stands until then.
    pub(super) fn give_hook(&mut self, lease: Lease) {
        assert!(self.has_hooks() && lease.resume.is_none(), "only a process is led on");
        self.given = Some(lease);
    }

    /// A file or hook is about to say that it leads.
    pub(super) const fn tell(&mut self) {
        self.told = true;
    }

    pub(super) const fn is_told(&self) -> bool {
        self.told
    }

    /// Whether the guard could hold a right to go on leading after a restart of the supervisor.
    pub(super) fn may_resume(&self) -> bool {
        let resumes = |lease: &Option<Lease>| lease.as_ref().is_some_and(|lease| lease.resume.is_some());
        mutated!(RightEndsWithItsOrder, resumes(&self.held), resumes(&self.given))
            || self.sent.iter().any(|(_, lease)| resumes(lease))
    }

    /// Whether processes act as the leader, or could go on to.
    pub(super) fn acts(&self) -> bool {
        self.told || self.has_hooks() || mutated!(RightDoesNotCount, self.may_resume(), false)
    }

    /// Whether the guard has acknowledged this term.
    pub(super) fn has_entered(&self, term: u64) -> bool {
        let resume = self.held.as_ref().and_then(|lease| lease.resume.as_ref());
        resume.is_some_and(|resume| resume.term == term)
    }

    /// The lease that the guard was given last.
    pub(super) const fn given(&self) -> Option<&Lease> {
        self.given.as_ref()
    }

    /// Whether the guard answers, so that it can be given another lease.
    pub(super) fn has_room(&self) -> bool {
        self.sent.len() < SENT_MAX
    }

    /// The guard is being given this lease.
    pub(super) fn give(&mut self, number: u64, lease: Option<Lease>) {
        assert!(self.sent.back().is_none_or(|(last, _)| *last < number), "leases are numbered in order");
        self.given.clone_from(&lease);
        self.sent.push_back((number, lease));
    }

    /// The guard has acknowledged a lease, and those before it with it.
    pub(super) fn acknowledged(&mut self, number: u64) {
        while let Some((first, _)) = self.sent.front() {
            if *first > number {
                break;
            }
            self.held = self.sent.pop_front().and_then(|(_, lease)| lease);
        }
        let is_settled = self.sent.front().is_none_or(|(first, _)| *first > number);
        assert!(is_settled, "what is acknowledged waits no longer");
    }

    /// The guard could not be told; none when it has heard of a later lease.
    pub(super) fn refused(&mut self, number: u64) -> Option<Refused> {
        let at = self.sent.iter().position(|(sent, _)| *sent == number)?;
        let (_, lease) = self.sent.remove(at)?;
        if !self.sent.is_empty() {
            return None;
        }
        match lease.and_then(|lease| lease.resume) {
            Some(resume) if self.has_entered(resume.term) => Some(Refused::Renewal),
            Some(_) => Some(Refused::Entry),
            None => Some(Refused::Withdrawal),
        }
    }

    /// The election wants the right to resume back.
    pub(super) const fn yield_lead(&mut self) {
        self.yielded = true;
    }

    /// The election has given a role since.
    pub(super) const fn assigned(&mut self) {
        self.yielded = false;
    }

    pub(super) const fn has_yielded(&self) -> bool {
        self.yielded
    }

    /// The process is to go on without leading.
    pub(super) fn begin_demotion(&mut self) {
        assert!(self.told && self.demotion.is_none(), "a process that acts is demoted once");
        self.demotion = Some(Demotion::Files);
    }

    /// The process leads again, or is to end: there is nothing to be told any more.
    pub(super) const fn drop_demotion(&mut self) {
        self.demotion = None;
    }

    pub(super) const fn demotion(&self) -> Option<Demotion> {
        self.demotion
    }

    /// The demotion goes on from one step to the next, if it stands there.
    pub(super) fn demote_on(&mut self, from: Demotion, to: Demotion) -> bool {
        let stands = self.demotion == Some(from);
        if stands {
            assert!(self.told, "a process that does not act is not demoted");
            self.demotion = Some(to);
        }
        stands
    }

    /// The process knows that it leads no longer, and has taken the consequences.
    pub(super) fn demoted(&mut self) {
        assert!(self.demotion.is_some(), "a process goes on when its demotion has succeeded");
        (self.told, self.demotion) = (false, None);
    }

    /// The group in which it has stopped acting since this was last asked.
    pub(super) fn stopped_acting(&mut self, group: &ServiceGroup) -> Option<ServiceGroup> {
        if self.acts() {
            self.acted_in.get_or_insert_with(|| group.clone());
            return None;
        }
        self.acted_in.take()
    }
}
