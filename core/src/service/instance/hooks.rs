//! The hooks of a service that run: since when, how long each may take, and whether it was told to end. It is data; the
//! steps that run a hook note it here, and a hook that was told to end is not judged.

use alloc::vec::Vec;
use core::time::Duration;

use super::super::deadline;
use crate::model::service::{Hook, HookView, SlowHook};
use crate::model::time::{Instant, UnixTime};

/// One hook that runs.
#[derive(Debug)]
struct Running {
    view: HookView,
    /// The process beside which it was begun.
    process: u64,
    told: bool,
    /// It has run for a while.
    slow: bool,
}

impl Running {
    fn slow_at(&self) -> Instant {
        self.view.since + Duration::from_millis(deadline::SLOW_HOOK_MS)
    }
}

/// Whether the ring is told of such a hook that takes its time. Those that are asked now and then are no step that others
/// wait for.
const fn is_news(hook: Hook) -> bool {
    !matches!(hook, Hook::HealthCheck | Hook::Suitability)
}

/// The hooks that run.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    running: Vec<Running>,
    /// Whether what runs before the files are ready, as the hooks of a package's installation, was told to end.
    told_preparing: bool,
}

impl Hooks {
    /// A hook begins, which may take so many milliseconds.
    pub(super) fn begin(&mut self, hook: Hook, process: u64, limit_ms: u64, at: (Instant, UnixTime)) {
        let is_new =
            !self.running.iter().any(|running| (running.view.hook, running.process) == (hook, process));
        assert!(is_new, "a hook runs once at a time beside a process");
        let view = HookView { hook, since: at.0, since_wall: at.1, limit_ms };
        self.running.push(Running { view, process, told: false, slow: false });
    }

    /// A hook has ended. Whether it had been told to.
    pub(super) fn end(&mut self, hook: Hook, process: u64) -> bool {
        let is = |running: &Running| (running.view.hook, running.process) == (hook, process);
        let at = self.running.iter().position(is);
        at.is_some_and(|at| self.running.remove(at).told)
    }

    /// Notes the time.
    pub(super) fn tick(&mut self, now: Instant) {
        for running in self.running.iter_mut().filter(|running| is_news(running.view.hook)) {
            running.slow |= running.slow_at() <= now;
        }
        assert!(
            self.poll_timeout().is_none_or(|at| at > now),
            "a time that has come is waited for no longer"
        );
    }

    /// When the next of them has run for a while.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let quick = self.running.iter().filter(|running| !running.slow && is_news(running.view.hook));
        quick.map(Running::slow_at).min()
    }

    /// What the ring is told of them: the first that has run for a while.
    pub(super) fn slow(&self) -> Option<SlowHook> {
        let running = self.running.iter().find(|running| running.slow)?;
        let HookView { hook, since_wall, limit_ms, .. } = running.view;
        Some(SlowHook { hook, since: since_wall, limit_ms })
    }

    /// All that run are told to end. Whether one of them had not been told before.
    pub(super) fn tell(&mut self) -> bool {
        let news = self.running.iter().any(|running| !running.told);
        self.running.iter_mut().for_each(|running| running.told = true);
        news
    }

    /// The package is being made ready, which may run hooks that are no service's.
    pub(super) const fn begin_preparing(&mut self) {
        self.told_preparing = false;
    }

    /// What makes the package ready is told to end. Whether it had not been told before.
    pub(super) const fn tell_preparing(&mut self) -> bool {
        !core::mem::replace(&mut self.told_preparing, true)
    }

    /// Whether that was told to end.
    pub(super) const fn was_told_preparing(&self) -> bool {
        self.told_preparing
    }

    /// They are not waited for any more: they end with the supervisor.
    pub(super) fn forget(&mut self) {
        self.running.clear();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn views(&self) -> Vec<HookView> {
        self.running.iter().map(|running| running.view.clone()).collect()
    }
}
