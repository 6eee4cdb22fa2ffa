//! Work beside a process (hooks, checks, rendering), each kind on its own: asked for, under way, tried again after a
//! failure. It keeps the times; `run` asks for the effects.

use alloc::collections::BTreeMap;

use super::backoff::Backoff;
use crate::model::rng::Rng;
use crate::model::service::Hook;
use crate::model::time::Instant;

/// The kinds of work beside the service's own steps; of each at most one is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// Look at the package of an adopted process that is to end.
    Look,
    /// Look at the package again: the runtime has not looked at the package of an adopted process yet.
    Prepare,
    /// Write the files again.
    Render,
    PostRun,
    Reconfigure,
    FileUpdated,
    Suitability,
    Health,
    DrainHook,
    Inflight,
}

impl Work {
    /// Whether it writes the service's files.
    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Prepare | Self::Render)
    }

    /// The hook that it runs, where it runs one.
    pub(super) const fn hook(self) -> Option<Hook> {
        match self {
            Self::PostRun => Some(Hook::PostRun),
            Self::Reconfigure => Some(Hook::Reconfigure),
            Self::FileUpdated => Some(Hook::FileUpdated),
            Self::Suitability => Some(Hook::Suitability),
            Self::DrainHook => Some(Hook::Drain),
            Self::Look | Self::Prepare | Self::Render | Self::Health | Self::Inflight => None,
        }
    }
}

/// How far one kind has come.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// It is to begin at that time, or, while it is under way, once more after it.
    wanted_at: Option<Instant>,
    under_way: bool,
    /// In a row.
    failures: u32,
}

/// All kinds, beside one process.
#[derive(Debug)]
pub(super) struct Works {
    states: BTreeMap<Work, State>,
    /// The number of the process, which no other process of this supervisor has: results of work for another one are
    /// ignored.
    process: u64,
}

impl Works {
    /// Nothing is wanted yet, beside the process with this number.
    pub(super) const fn new(process: u64) -> Self {
        Self { states: BTreeMap::new(), process }
    }

    /// Wants it done at that time, or earlier when that was wanted before.
    pub(super) fn want(&mut self, work: Work, at: Instant) {
        let state = self.states.entry(work).or_default();
        state.wanted_at = Some(state.wanted_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Wants it done at once, also after failures.
    pub(super) fn want_now(&mut self, work: Work, now: Instant) {
        let state = self.states.entry(work).or_default();
        (state.wanted_at, state.failures) = (Some(now), 0);
    }

    /// The first kind among `allowed` that is due, which counts as begun.
    pub(super) fn begin(&mut self, now: Instant, allowed: impl Fn(Work) -> bool) -> Option<Work> {
        let due = |(work, s): &(&Work, &mut State)| {
            allowed(**work) && !s.under_way && s.wanted_at.is_some_and(|at| at <= now)
        };
        let (work, state) = self.states.iter_mut().find(due)?;
        *state = State { wanted_at: None, under_way: true, ..*state };
        assert!(allowed(*work), "only work that makes sense is begun");
        Some(*work)
    }

    /// It has ended as it should.
    pub(super) fn succeeded(&mut self, work: Work) {
        let state = self.states.entry(work).or_default();
        assert!(state.under_way, "{work:?} ends once it has begun");
        (state.under_way, state.failures) = (false, 0);
    }

    /// It has failed and is done again after a while.
    pub(super) fn failed(&mut self, work: Work, now: Instant, backoff: &Backoff, rng: &mut Rng) {
        let state = self.states.entry(work).or_default();
        assert!(state.under_way, "{work:?} fails once it has begun");
        state.under_way = false;
        state.failures = state.failures.saturating_add(1);
        let at = now + backoff.wait(state.failures, rng);
        assert!(at > now, "work that failed is done again after a pause");
        // A new wish for it waits all the same: it would fail in the same way.
        state.wanted_at = Some(at);
    }

    /// It is wanted no longer; work under way ends by itself.
    pub(super) fn drop(&mut self, work: Work) {
        if let Some(state) = self.states.get_mut(&work) {
            state.wanted_at = None;
        }
    }

    /// Another process begins: work still under way belongs to the one that is gone.
    pub(super) fn forget_process(&mut self, next: u64) {
        assert!(next > self.process, "processes are numbered in order");
        self.states.clear();
        self.process = next;
    }

    /// The number of the process beside which work begins.
    pub(super) const fn process(&self) -> u64 {
        self.process
    }

    /// When something among `allowed` is due.
    pub(super) fn poll_timeout(&self, allowed: impl Fn(Work) -> bool) -> Option<Instant> {
        let waiting = self.states.iter().filter(|(work, s)| allowed(**work) && !s.under_way);
        waiting.filter_map(|(_, s)| s.wanted_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Timings;

    #[test]
    fn a_failing_hook_is_never_run_in_a_busy_loop() {
        let (backoff, mut rng) = (Backoff::new(&Timings::lan()), Rng::from_seed([1; 32]));
        let mut works = Works::new(1);
        let mut now = Instant::ZERO;
        works.want_now(Work::PostRun, now);
        for _ in 0..20 {
            assert_eq!(works.begin(now, |_| true), Some(Work::PostRun));
            assert_eq!(works.begin(now, |_| true), None, "one at a time");
            works.failed(Work::PostRun, now, &backoff, &mut rng);
            works.want(Work::PostRun, now + core::time::Duration::from_secs(600));
            let at = works.poll_timeout(|_| true).expect("again");
            assert!(at > now);
            assert_eq!(works.begin(now, |_| true), None);
            now = at;
        }
        works.drop(Work::PostRun);
        assert_eq!(works.poll_timeout(|_| true), None);
    }

    #[test]
    fn what_is_wanted_while_under_way_is_done_once_more() {
        let mut works = Works::new(1);
        works.want_now(Work::Render, Instant::ZERO);
        assert_eq!(works.begin(Instant::ZERO, |_| true), Some(Work::Render));
        works.want(Work::Render, Instant::ZERO);
        works.want(Work::Render, Instant::ZERO);
        assert_eq!(works.begin(Instant::ZERO, |_| true), None);
        works.succeeded(Work::Render);
        assert_eq!(works.begin(Instant::ZERO, |_| true), Some(Work::Render));
        works.succeeded(Work::Render);
        assert_eq!(works.begin(Instant::ZERO, |_| true), None);
    }
}
