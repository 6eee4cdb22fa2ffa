//! The purposes of effects, by which results find their way, and the stages of the supervisor's end.

use super::work::Work;
use crate::model::id::ServiceName;
use crate::model::io::EffectResult;

/// How far the supervisor's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leaving {
    No,
    /// Services are stopped in order.
    Polite {
        /// And drained before.
        drain: bool,
    },
    /// Services are told to stop at once.
    Hurried,
    /// Services are killed.
    Killing,
}

/// The purpose of an effect, by which its result finds its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Persist,
    Prepare,
    Init,
    /// Also an adoption.
    Spawn,
    Signal,
    EndHooks,
    /// The lease with this number.
    Lease(u64),
    PostStop,
    /// Files that say no longer that it leads, before the post-stop hook of a leader that was.
    PostStopFiles,
    /// Work beside the process with this number.
    Work(Work, u64),
}

impl Purpose {
    /// Whether a result answers an effect of this purpose, and whether it is the last that does.
    pub(super) fn fits(self, result: &EffectResult) -> Option<bool> {
        use EffectResult as R;
        let fits = match (self, result) {
            (Self::Spawn, R::Spawned { .. }) => return Some(false),
            (Self::Persist, R::Persisted | R::PersistFailed(_) | R::PersistRefused(_))
            | (
                Self::Prepare | Self::Work(Work::Prepare | Work::Look, _),
                R::Prepared(_) | R::PrepareFailed { .. },
            )
            | (Self::PostStopFiles | Self::Work(Work::Render, _), R::Rendered(_) | R::RenderFailed { .. })
            | (Self::Work(Work::Health, _), R::HealthChecked { .. })
            | (Self::Work(Work::Inflight, _), R::Inflight(_))
            | (Self::Init | Self::PostStop, R::HookEnded(_))
            | (Self::Spawn, R::SpawnFailed { .. } | R::Exited(_))
            | (Self::Lease(_), R::Leased | R::LeaseFailed { .. })
            | (Self::Signal | Self::EndHooks, R::Signalled) => true,
            (Self::Work(work, _), R::HookEnded(_)) => work.hook().is_some(),
            _ => false,
        };
        fits.then_some(true)
    }
}

/// The purpose of an effect. The node keeps it until the effect has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Errand {
    pub(super) service: ServiceName,
    pub(super) purpose: Purpose,
}

impl Errand {
    pub(super) fn new(service: &ServiceName, purpose: Purpose) -> Self {
        Self { service: service.clone(), purpose }
    }

    /// The service that wants it.
    pub(crate) const fn service(&self) -> &ServiceName {
        &self.service
    }
}
