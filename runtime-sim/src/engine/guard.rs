//! The guards of a host: one for each service that runs. A guard holds the service's process, the time at which it
//! kills it, and the right to go on leading, in memory that outlives the supervisor. A guard decides nothing.

use std::collections::{BTreeMap, VecDeque};

use annulus_core::{
    EffectId, ExitStatus, Health, Instant, Lease, PackageIdent, RunningService, ServiceGroup, ServiceName,
    UnixTime,
};

/// The first pid on every host.
const PID_FIRST: u32 = 1_000;

/// The guards of one host.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    started: u32,
    /// By service and pid. The node, not this table, sees to it that a service has one process at most.
    running: BTreeMap<(ServiceName, u32), Guard>,
    /// Starts that a supervisor has asked for, by its number and the effect.
    asked: BTreeMap<(u32, EffectId), (ServiceName, Start)>,
    /// What the supervisor is about to tell them, in order.
    telling: VecDeque<Telling>,
}

/// What a supervisor says of a process that it starts.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The package.
    pub ident: PackageIdent,
    /// When it starts, by the wall clock.
    pub since: UnixTime,
    /// For a process that leads from its start.
    pub lease: Option<Lease>,
    /// The restarts of the service so far.
    pub restarts: u32,
    /// How long its polite stop may take.
    pub shutdown_timeout_ms: u64,
    /// For a process that nothing checks: it is well while it runs.
    pub health: Option<Health>,
}

/// What a supervisor is about to tell a guard.
#[derive(Debug)]
pub(crate) struct Telling {
    /// The effect that asks for it.
    pub id: EffectId,
    /// The service.
    pub service: ServiceName,
    /// Its process.
    pub pid: u32,
    /// What the guard is to hold.
    pub lease: Option<Lease>,
}

/// A service's guard.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub pid: u32,
    /// The effect that started or adopted the process, which also reports its end.
    pub spawn: EffectId,
    /// Its supervisor is gone, and no other has adopted the process.
    pub orphan: bool,
    pub ident: PackageIdent,
    since: UnixTime,
    restarts: u32,
    shutdown_timeout_ms: u64,
    /// What was last found of the process.
    health: Option<Health>,
    lease: Option<Lease>,
    /// The guard is dead, or kills: no lease changes anything any more.
    lost: bool,
    /// How the first process ended while others of the tree go on.
    first: Option<ExitStatus>,
    /// The tree was told to end, and has the time that it was promised.
    stopping: bool,
    /// The earliest look at the lease that waits in the queue, by the world's clock.
    look_at: Instant,
}

impl Guard {
    /// How its first process ended, if that has ended.
    pub(crate) fn first(&self) -> Option<ExitStatus> {
        self.first
    }
}

impl Guards {
    /// A supervisor asks for a process, which is there some time later.
    pub(crate) fn ask(&mut self, by: u32, spawn: EffectId, service: ServiceName, start: Start) {
        self.asked.insert((by, spawn), (service, start));
    }

    /// The process that was asked for; none when the request is gone.
    pub(crate) fn asked(&mut self, by: u32, spawn: EffectId) -> Option<(ServiceName, Start)> {
        self.asked.remove(&(by, spawn))
    }

    /// Every request that has not been carried out.
    pub(crate) fn all_asked(&mut self) -> Vec<(EffectId, ServiceName, Start)> {
        let asked = std::mem::take(&mut self.asked);
        asked.into_iter().map(|((_, spawn), (service, start))| (spawn, service, start)).collect()
    }

    /// Starts a process; its pid.
    pub(crate) fn start(&mut self, service: ServiceName, spawn: EffectId, start: Start) -> u32 {
        let pid = PID_FIRST + self.started;
        self.started += 1;
        let Start { ident, since, lease, restarts, shutdown_timeout_ms, health } = start;
        let guard = Guard {
            pid,
            spawn,
            orphan: false,
            ident,
            since,
            restarts,
            shutdown_timeout_ms,
            health,
            lease,
            lost: false,
            first: None,
            stopping: false,
            look_at: Instant::FAR_FUTURE,
        };
        self.running.insert((service, pid), guard);
        pid
    }

    /// The guard of a service's latest process.
    pub(crate) fn get(&self, service: &ServiceName) -> Option<&Guard> {
        let of = self.running.range((service.clone(), 0)..=(service.clone(), u32::MAX));
        of.last().map(|(_, guard)| guard)
    }

    pub(crate) fn has(&self, service: &ServiceName, pid: u32) -> bool {
        self.running.contains_key(&(service.clone(), pid))
    }

    /// Hands a process to the supervisor that asks for it. False when it is there no longer.
    pub(crate) fn adopt(&mut self, service: &ServiceName, pid: u32, spawn: EffectId) -> bool {
        let guard = self.running.get_mut(&(service.clone(), pid));
        guard.map(|guard| (guard.spawn, guard.orphan) = (spawn, false)).is_some()
    }

    /// A supervisor has the launcher keep what it found of a service's process.
    pub(crate) fn checked(&mut self, service: &ServiceName, health: Health) {
        let pid = self.get(service).map(|guard| guard.pid);
        if let Some(guard) = pid.and_then(|pid| self.running.get_mut(&(service.clone(), pid))) {
            guard.health = Some(health);
        }
    }

    /// A tree is told to end.
    pub(crate) fn stop(&mut self, service: &ServiceName, pid: u32) {
        if let Some(guard) = self.running.get_mut(&(service.clone(), pid)) {
            guard.stopping = true;
        }
    }

    /// A guard begins to kill, and takes no lease any more. False when there is no tree.
    pub(crate) fn kill(&mut self, service: &ServiceName, pid: u32) -> bool {
        let guard = self.running.get_mut(&(service.clone(), pid));
        guard.map(|guard| (guard.lost, guard.lease) = (true, None)).is_some()
    }

    /// The first process of a tree has ended; whether the tree was told to end. None when it had ended before.
    pub(crate) fn first_ended(
        &mut self,
        service: &ServiceName,
        pid: u32,
        status: ExitStatus,
    ) -> Option<bool> {
        let guard = self.running.get_mut(&(service.clone(), pid)).filter(|guard| guard.first.is_none())?;
        guard.first = Some(status);
        Some(guard.stopping)
    }

    /// The guard of a service's latest process dies, and the lease with it; the process that it held.
    pub(crate) fn lose(&mut self, service: &ServiceName) -> Option<u32> {
        let pid = self.get(service)?.pid;
        let guard = self.running.get_mut(&(service.clone(), pid))?;
        (guard.lost, guard.lease) = (true, None);
        Some(pid)
    }

    /// Replaces the lease that a guard holds. False when there is no guard.
    pub(crate) fn lease(&mut self, service: &ServiceName, pid: u32, lease: Option<Lease>) -> bool {
        let guard = self.running.get_mut(&(service.clone(), pid)).filter(|guard| !guard.lost);
        guard.map(|guard| guard.lease = lease).is_some()
    }

    /// A supervisor is about to tell a guard; it does so in order.
    pub(crate) fn tell(&mut self, telling: Telling) {
        self.telling.push_back(telling);
    }

    /// What is told next.
    pub(crate) fn told(&mut self) -> Option<Telling> {
        self.telling.pop_front()
    }

    /// The supervisor is gone before it could tell the rest.
    pub(crate) fn tell_no_more(&mut self) {
        self.telling.clear();
    }

    /// The group and the term that a guard lets a supervisor go on to lead.
    pub(crate) fn right(&self, service: &ServiceName, pid: u32) -> Option<(ServiceGroup, u64)> {
        let lease = self.running.get(&(service.clone(), pid))?.lease.as_ref()?;
        lease.resume.as_ref().map(|resume| (resume.group.clone(), resume.term))
    }

    /// When a guard kills its process, by the clock of its host.
    pub(crate) fn kill_at(&self, service: &ServiceName, pid: u32) -> Option<Instant> {
        Some(self.running.get(&(service.clone(), pid))?.lease.as_ref()?.kill_at)
    }

    /// Whether a look at the lease at this time would be the earliest; it is remembered then.
    pub(crate) fn looks_earlier(&mut self, service: &ServiceName, pid: u32, at: Instant) -> bool {
        let guard = self.running.get_mut(&(service.clone(), pid)).filter(|guard| at < guard.look_at);
        guard.map(|guard| guard.look_at = at).is_some()
    }

    /// The look that was due has come.
    pub(crate) fn looked(&mut self, service: &ServiceName, pid: u32, at: Instant) {
        if let Some(guard) = self.running.get_mut(&(service.clone(), pid)).filter(|g| g.look_at == at) {
            guard.look_at = Instant::FAR_FUTURE;
        }
    }

    /// Every process.
    pub(crate) fn all(&self) -> Vec<(ServiceName, u32)> {
        self.running.keys().cloned().collect()
    }

    /// No process of the tree is left, if any was.
    pub(crate) fn end(&mut self, service: &ServiceName, pid: u32) -> Option<Guard> {
        self.running.remove(&(service.clone(), pid))
    }

    /// Ends all processes.
    pub(crate) fn end_all(&mut self) -> Vec<(ServiceName, Guard)> {
        let ended = std::mem::take(&mut self.running);
        ended.into_iter().map(|((service, _), guard)| (service, guard)).collect()
    }

    /// The supervisor is gone.
    pub(crate) fn orphan_all(&mut self) {
        self.running.values_mut().for_each(|guard| guard.orphan = true);
    }

    /// The processes that a starting supervisor finds.
    pub(crate) fn kept(&self) -> Vec<RunningService> {
        let kept = |((service, pid), guard): (&(ServiceName, u32), &Guard)| RunningService {
            service: service.clone(),
            pid: *pid,
            ident: guard.ident.clone(),
            since: guard.since,
            restarts: guard.restarts,
            shutdown_timeout_ms: Some(guard.shutdown_timeout_ms),
            health: guard.health,
            resume: guard.lease.as_ref().and_then(|lease| lease.resume.clone()),
        };
        self.running.iter().map(kept).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use annulus_core::{MemberId, Resume};

    fn service(name: &str) -> ServiceName {
        name.parse().expect("a name")
    }

    fn start(lease: Option<Lease>) -> Start {
        let ident = "sim/web/1.0.0/20260101000000".parse().expect("an ident");
        let since = UnixTime::from_millis(1);
        Start { ident, since, lease, restarts: 0, shutdown_timeout_ms: 8_000, health: None }
    }

    #[test]
    fn only_the_process_that_runs_can_end() {
        let mut guards = Guards::default();
        let first = guards.start(service("web"), EffectId(1), start(None));
        assert!(guards.end(&service("web"), first + 1).is_none());
        assert!(guards.end(&service("db"), first).is_none());
        assert_eq!(guards.end(&service("web"), first).map(|p| p.spawn), Some(EffectId(1)));
        let second = guards.start(service("web"), EffectId(2), start(None));
        assert_ne!(first, second);
        assert!(guards.adopt(&service("web"), second, EffectId(3)));
        assert_eq!(guards.kept().len(), 1);
        assert_eq!(guards.end_all().len(), 1);
        assert!(!guards.adopt(&service("web"), second, EffectId(3)));
    }

    #[test]
    fn what_was_found_of_a_process_outlives_the_supervisor_and_not_the_process() {
        let mut guards = Guards::default();
        let first = guards.start(service("web"), EffectId(1), start(None));
        guards.checked(&service("web"), Health::Ok);
        guards.checked(&service("db"), Health::Ok);
        guards.orphan_all();
        assert_eq!(guards.kept().first().and_then(|kept| kept.health), Some(Health::Ok));
        guards.end(&service("web"), first);
        guards.start(service("web"), EffectId(2), start(None));
        assert_eq!(guards.kept().first().and_then(|kept| kept.health), None);
    }

    #[test]
    fn deadline_and_resume_entry_are_two_things_and_outlive_the_supervisor() {
        let mut guards = Guards::default();
        let (kill_at, group) = (Instant::from_millis(9_000), "web.default".parse().expect("a group"));
        let member = MemberId::from_bytes([1; 16]);
        let resume = Some(Resume { member, group, term: 7, until: Instant::from_millis(8_000) });
        let pid =
            guards.start(service("web"), EffectId(1), start(Some(Lease { kill_at, resume: resume.clone() })));
        guards.orphan_all();
        assert_eq!(guards.kept().first().map(|kept| kept.resume.clone()), Some(resume));
        assert!(guards.lease(&service("web"), pid, Some(Lease { kill_at, resume: None })));
        assert_eq!(guards.kill_at(&service("web"), pid), Some(kill_at), "the entry alone was withdrawn");
        assert_eq!(guards.kept().first().map(|kept| kept.resume.clone()), Some(None));
        assert!(guards.lease(&service("web"), pid, None));
        assert_eq!(guards.kill_at(&service("web"), pid), None);
    }
}
