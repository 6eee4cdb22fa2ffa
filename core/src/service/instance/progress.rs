//! The phase of a service, its begin, and what the service waits for in it. It refuses impossible steps; `start`, `run`
//! and `stop` choose the possible ones.

use alloc::string::String;
use core::time::Duration;

use super::super::work::Work;
use crate::model::mutant::mutated;
use crate::model::service::{ObstacleKind, ServiceState};
use crate::model::time::{Instant, UnixTime};
use crate::store::snapshot::RunningService;

/// The phases of a service. Each says what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No step was taken yet; the first is due at once.
    New,
    /// No process; a command ends it.
    Idle,
    /// No process, and no more tries; a command ends it.
    Failed,
    /// No process; the deadline ends it.
    Backoff { until: Instant },
    /// No process; a change of the ring or a command ends it.
    Waiting,
    /// `Effect::Prepare` is unanswered.
    Preparing,
    /// The init hook is unanswered.
    Initializing,
    /// `Effect::Spawn` or, when `adopted`, `Effect::Adopt` is unanswered.
    Spawning { adopted: bool },
    /// The process runs; its exit or a command ends it.
    Running { pid: u32 },
    /// The process is to end; its exit ends it.
    Stopping { pid: u32, step: Step },
    /// The process is gone and the post-stop hook is unanswered, or its file where that has `begun`.
    AfterStop { crashed: bool, begun: bool },
}

/// How far the end of a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The ring is being told that it takes no new work.
    Announcing { until: Instant },
    /// The supervisor waits for requests in flight.
    Draining,
    /// It was signalled. KILL follows at the deadline; none when it was sent.
    Signalled { kill_at: Option<Instant> },
}

impl Phase {
    const fn pid(self) -> Option<u32> {
        match self {
            Self::Running { pid } | Self::Stopping { pid, .. } => Some(pid),
            Self::New
            | Self::Idle
            | Self::Failed
            | Self::Backoff { .. }
            | Self::Waiting
            | Self::Preparing
            | Self::Initializing
            | Self::Spawning { .. }
            | Self::AfterStop { .. } => None,
        }
    }

    /// Whether a process is there, or is about to be.
    const fn has_process(self) -> bool {
        matches!(self, Self::Spawning { .. } | Self::Running { .. } | Self::Stopping { .. })
    }

    /// Whether a service may go from this phase to the next one. A process is spawned only after the one before has
    /// ended, and only a process that ran can end.
    fn may_become(self, next: Self) -> bool {
        match next {
            Self::New => false,
            Self::Idle => self != Self::Idle,
            Self::Failed => self != Self::Failed,
            Self::Backoff { .. } => true,
            Self::Preparing => self != Self::Failed,
            Self::Waiting => matches!(self, Self::Preparing | Self::Waiting),
            Self::Initializing => self == Self::Preparing,
            Self::Spawning { adopted: false } => matches!(self, Self::Preparing | Self::Initializing),
            Self::Spawning { adopted: true } => self == Self::New,
            Self::Running { .. } => matches!(self, Self::Spawning { .. }),
            Self::Stopping { pid, .. } => {
                matches!(self, Self::Spawning { .. }) || self.pid().is_some_and(|ran| ran == pid)
            }
            Self::AfterStop { .. } => self.has_process(),
        }
    }
}

/// A service's way through its phases.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Phase,
    since: Instant,
    since_wall: UnixTime,
    /// In `Waiting`: the reason, and its kind unless it waits as it should.
    waiting_for: Option<(Option<ObstacleKind>, String)>,
    /// The ring has changed since it was last asked whether the waiting is over.
    reconsider: bool,
    /// A process that outlived the last supervisor and is not adopted yet.
    kept: Option<RunningService>,
}

impl Progress {
    pub(super) const fn new(now: Instant, wall: UnixTime, kept: Option<RunningService>) -> Self {
        Self { phase: Phase::New, since: now, since_wall: wall, waiting_for: None, reconsider: false, kept }
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// The time at which it entered the state that people see.
    pub(super) const fn since(&self) -> (Instant, UnixTime) {
        (self.since, self.since_wall)
    }

    pub(super) const fn pid(&self) -> Option<u32> {
        self.phase.pid()
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    pub(super) const fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// Whether it was told to end.
    pub(super) const fn is_signalled(&self) -> bool {
        matches!(self.phase, Phase::Stopping { step: Step::Signalled { .. }, .. })
    }

    /// Whether its stop waits for requests in flight.
    pub(super) const fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Stopping { step: Step::Draining, .. })
    }

    /// Whether a process runs, is about to, or outlived the last supervisor.
    pub(super) const fn has_process(&self) -> bool {
        self.phase.has_process() || self.kept.is_some()
    }

    /// Whether anything runs that files and hooks can tell of the lead: the process, or the hook before it.
    pub(super) const fn has_tree(&self) -> bool {
        self.has_process() || matches!(self.phase, Phase::Initializing)
    }

    /// Whether a process or a hook that stands between two processes is not answered yet.
    pub(super) const fn is_busy(&self) -> bool {
        self.has_process() || matches!(self.phase, Phase::Initializing | Phase::AfterStop { .. })
    }

    /// Whether the supervisor is not trying it now, but would at an operator's start.
    pub(super) const fn is_given_a_rest(&self) -> bool {
        matches!(self.phase, Phase::Backoff { .. } | Phase::Failed)
    }

    /// Whether it could lead its group as far as its phase goes.
    pub(super) const fn is_at_hand(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Stopping { .. } | Phase::AfterStop { .. })
    }

    /// Whether this kind of work makes sense at the moment.
    pub(super) fn allows(&self, work: Work, is_draining: bool) -> bool {
        match work {
            Work::Suitability => {
                self.is_running() || mutated!(WaitingIsNotAsked, self.phase == Phase::Waiting, false)
            }
            Work::DrainHook | Work::Inflight => is_draining,
            Work::Look
            | Work::Prepare
            | Work::Render
            | Work::PostRun
            | Work::Reconfigure
            | Work::FileUpdated
            | Work::Health => self.is_running(),
        }
    }

    /// The state that people see.
    pub(super) const fn state(&self) -> ServiceState {
        match self.phase {
            Phase::New => ServiceState::Loaded,
            Phase::Idle => ServiceState::Down,
            Phase::Failed => ServiceState::Failed,
            Phase::Backoff { .. } => ServiceState::Backoff,
            Phase::Waiting => ServiceState::Waiting,
            Phase::Preparing | Phase::Initializing | Phase::Spawning { .. } => ServiceState::Starting,
            Phase::Running { .. } => ServiceState::Up,
            Phase::Stopping { .. } | Phase::AfterStop { .. } => ServiceState::Stopping,
        }
    }

    /// When the next start is tried; none outside of a back-off.
    pub(super) const fn next_start(&self) -> Option<Instant> {
        match self.phase {
            Phase::Backoff { until } => Some(until),
            Phase::New
            | Phase::Idle
            | Phase::Failed
            | Phase::Waiting
            | Phase::Preparing
            | Phase::Initializing
            | Phase::Spawning { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::AfterStop { .. } => None,
        }
    }

    /// When the phase ends by itself; a drain that is a step of a stop ends at `drain_ends`.
    pub(super) const fn due(&self, drain_ends: Option<Instant>) -> Option<Instant> {
        match self.phase {
            Phase::New => Some(self.since),
            Phase::Backoff { until } => Some(until),
            Phase::Stopping { step, .. } => match step {
                Step::Announcing { until } => Some(until),
                Step::Draining => drain_ends,
                Step::Signalled { kill_at } => kill_at,
            },
            Phase::Idle
            | Phase::Failed
            | Phase::Waiting
            | Phase::Preparing
            | Phase::Initializing
            | Phase::Spawning { .. }
            | Phase::Running { .. }
            | Phase::AfterStop { .. } => None,
        }
    }

    /// Goes on to another phase. Answers with the states before and after where people see a difference.
    pub(super) fn enter(
        &mut self,
        phase: Phase,
        now: Instant,
        wall: UnixTime,
    ) -> Option<(ServiceState, ServiceState)> {
        assert!(self.phase.may_become(phase), "{:?} does not lead to {phase:?}", self.phase);
        assert!(self.kept.is_none(), "a process that outlived the last supervisor is adopted first");
        let from = self.state();
        self.phase = phase;
        if phase != Phase::Waiting {
            self.waiting_for = None;
        }
        let to = self.state();
        if from == to {
            return None;
        }
        (self.since, self.since_wall) = (now, wall);
        Some((from, to))
    }

    /// The stop of the process goes on to its next step.
    pub(super) fn advance(&mut self, next: Step) {
        let Phase::Stopping { pid, step } = self.phase else {
            panic!("{:?} has no step that {next:?} could follow", self.phase)
        };
        assert!(step != next, "a stop goes on");
        self.phase = Phase::Stopping { pid, step: next };
    }

    /// The post-stop hook, or its file, is asked for.
    pub(super) fn post_stop_begins(&mut self) {
        let Phase::AfterStop { crashed, begun } = self.phase else {
            panic!("{:?} has no post-stop hook", self.phase)
        };
        assert!(!begun, "the post-stop hook runs once");
        self.phase = Phase::AfterStop { crashed, begun: true };
    }

    /// The process was there before this supervisor.
    pub(super) fn backdate(&mut self, (since, since_wall): (Instant, UnixTime)) {
        assert!(self.phase.has_process(), "only a process that was adopted is older than its phase");
        (self.since, self.since_wall) = (since, since_wall);
    }

    /// How long it has been in its state.
    pub(super) fn lasted(&self, now: Instant) -> Duration {
        now.saturating_since(self.since)
    }

    /// The process that outlived the last supervisor, to be adopted.
    pub(super) fn take_kept(&mut self) -> Option<RunningService> {
        self.kept.take()
    }

    pub(super) fn kept_pid(&self) -> Option<u32> {
        self.kept.as_ref().map(|kept| kept.pid)
    }

    pub(super) const fn has_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Notes the reason of the wait.
    pub(super) fn wait_for(&mut self, kind: Option<ObstacleKind>, why: String) {
        assert!(self.phase == Phase::Waiting, "only a service that waits does so for something");
        self.waiting_for = Some((kind, why));
    }

    pub(super) fn waiting_for(&self) -> Option<&String> {
        self.waiting_for.as_ref().map(|(_, why)| why)
    }

    /// The reason of the wait with its kind, which is none for a service that waits as it should: for its turn to lead.
    pub(super) fn waits_on(&self) -> Option<(Option<ObstacleKind>, &String)> {
        self.waiting_for.as_ref().map(|(kind, why)| (*kind, why))
    }

    /// The ring changed in a way that the service may have waited for.
    pub(super) const fn reconsider(&mut self) {
        self.reconsider = true;
    }

    pub(super) const fn reconsidered(&mut self) {
        self.reconsider = false;
    }

    pub(super) const fn is_to_reconsider(&self) -> bool {
        self.reconsider
    }
}
