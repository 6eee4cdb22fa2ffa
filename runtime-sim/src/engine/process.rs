//! Simulated services: the processes of a host, and the results of preparing, starting and stopping one. No real
//! process is started.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{
    Bind, Changed, DrainPlan, EffectId, EffectResult, ExitStatus, Facts, Hook, HookEnd, HookExit,
    PackageIdent, Prepared, Rendered, RunningService, ServiceName, ServiceSpec, UnixTime,
};

#[cfg(feature = "turmoil")]
use annulus_core::{Effect, Health};

use crate::engine::lifecycle::WorldError;
use crate::engine::package::Package;

/// The origin of every package that exists here.
pub(crate) const ORIGIN: &str = "sim";
/// Version and release of a package where the spec does not ask for one.
const VERSION: &str = "1.0.0";
const RELEASE: &str = "20260101000000";
/// How long a polite stop may take where the spec does not say.
const SHUTDOWN_TIMEOUT_MS: u64 = 8_000;
/// The first pid on every host.
const PID_FIRST: u32 = 1_000;

/// The service processes of one host.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    started: u32,
    /// By service and pid. The node, not this table, sees to it that a service has one process at most.
    running: BTreeMap<(ServiceName, u32), Process>,
}

/// A service's process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub pid: u32,
    /// The effect that started or adopted it, which also reports its end.
    pub spawn: EffectId,
    /// Its supervisor is gone, and no other has adopted it.
    pub orphan: bool,
}

impl Processes {
    /// Starts one; its pid.
    pub(crate) fn start(&mut self, service: ServiceName, spawn: EffectId) -> u32 {
        let pid = PID_FIRST + self.started;
        self.started += 1;
        self.running.insert((service, pid), Process { pid, spawn, orphan: false });
        pid
    }

    /// The latest process of a service.
    pub(crate) fn get(&self, service: &ServiceName) -> Option<Process> {
        let of = self.running.range((service.clone(), 0)..=(service.clone(), u32::MAX));
        of.last().map(|(_, process)| *process)
    }

    pub(crate) fn has(&self, service: &ServiceName, pid: u32) -> bool {
        self.running.contains_key(&(service.clone(), pid))
    }

    /// Hands a process to the supervisor that asks for it. False when it is there no longer.
    pub(crate) fn adopt(&mut self, service: &ServiceName, pid: u32, spawn: EffectId) -> bool {
        let process = self.running.get_mut(&(service.clone(), pid));
        process.map(|process| (process.spawn, process.orphan) = (spawn, false)).is_some()
    }

    /// Ends the process if it still runs.
    pub(crate) fn end(&mut self, service: &ServiceName, pid: u32) -> Option<Process> {
        self.running.remove(&(service.clone(), pid))
    }

    /// Ends all but those that `survive`, which have no supervisor any more.
    pub(crate) fn end_all(&mut self, survive: &dyn Fn(&ServiceName) -> bool) -> Vec<(ServiceName, Process)> {
        let (kept, ended) =
            std::mem::take(&mut self.running).into_iter().partition(|((service, _), _)| survive(service));
        self.running = kept;
        self.running.values_mut().for_each(|process| process.orphan = true);
        ended.into_iter().map(|((service, _), process)| (service, process)).collect()
    }

    /// The service processes that a starting supervisor finds.
    pub(crate) fn kept(&self, since: UnixTime) -> Vec<RunningService> {
        let ident = |service: &ServiceName| qualified(service.as_str(), None, None);
        let kept = |((service, pid), _): (&(ServiceName, u32), &Process)| {
            Some(RunningService {
                service: service.clone(),
                pid: *pid,
                ident: ident(service)?,
                since,
                resume: None,
            })
        };
        self.running.iter().filter_map(kept).collect()
    }
}

fn qualified(name: &str, version: Option<&str>, release: Option<&str>) -> Option<PackageIdent> {
    let (version, release) = (version.unwrap_or(VERSION), release.unwrap_or(RELEASE));
    format!("{ORIGIN}/{name}/{version}/{release}").parse().ok()
}

/// A service's name.
pub(crate) fn name(service: &str) -> Result<ServiceName, WorldError> {
    service.parse().map_err(|_| WorldError::ServiceName(service.to_owned()))
}

/// The spec of the simulated package of this name.
pub(crate) fn spec(service: &str) -> Result<ServiceSpec, WorldError> {
    let ident = format!("{}/{service}", ORIGIN).parse::<PackageIdent>();
    // A name with a slash would parse as a name and a version.
    if service.contains('/') {
        return Err(WorldError::ServiceName(service.to_owned()));
    }
    ident.map(ServiceSpec::new).map_err(|_| WorldError::ServiceName(service.to_owned()))
}

/// The result of preparing a service's package.
pub(crate) fn prepare(spec: &ServiceSpec, package: &Package, facts: &Facts, last: u64) -> EffectResult {
    let wanted = &spec.ident;
    let failed = |reason| EffectResult::PrepareFailed { reason };
    if wanted.origin() != ORIGIN {
        return failed(format!("no package satisfies {wanted}: simulated packages have the origin {ORIGIN}"));
    }
    let Some(ident) = qualified(wanted.name(), wanted.version(), wanted.release()) else {
        return failed(format!("{wanted} is no package"));
    };
    let rendered = render(package, facts, last);
    let bind = |bind: &String| {
        let name = bind.split(':').next().unwrap_or_default().to_owned();
        Bind { name, optional: false, exports: Vec::new() }
    };
    let timeout_ms = package.drain.map(|drain| u64::try_from(drain.as_millis()).unwrap_or(u64::MAX));
    EffectResult::Prepared(Prepared {
        hooks: package.all_hooks(),
        has_health_check: package.health.is_some(),
        drain: DrainPlan { timeout_ms, inflight: package.drain.is_some() },
        binds: package.bind.iter().map(bind).collect(),
        changed: rendered.changed,
        applied_config: rendered.applied_config,
        ..Prepared::new(ident, spec.shutdown_timeout_ms.unwrap_or(SHUTDOWN_TIMEOUT_MS))
    })
}

/// The result of writing a package's files, after they were last written with version `last` of the configuration.
pub(crate) fn render(package: &Package, facts: &Facts, last: u64) -> Rendered {
    let applied_config = facts.config.as_ref().map_or(0, |config| config.incarnation);
    let config = package.configured && applied_config != last;
    let changed = Changed { config, hooks: BTreeSet::new(), files: false };
    Rendered { exports: Vec::new(), changed, applied_config }
}

/// How a hook ends, and whether only because its time is up.
pub(crate) fn hook(package: &Package, hook: Hook) -> (HookEnd, bool) {
    let exit = if package.hanging.contains(&hook) {
        HookExit::TimedOut
    } else if package.failing.contains(&hook) {
        HookExit::Ended(ExitStatus::Code(1))
    } else if package.hooks.contains(&hook) {
        HookExit::Ended(ExitStatus::Code(0))
    } else {
        HookExit::Missing
    };
    let late = exit == HookExit::TimedOut;
    (HookEnd { exit, value: None }, late)
}

/// The answer of a host whose packages have neither hooks nor checks, for everything but starting and stopping.
#[cfg(feature = "turmoil")]
pub(crate) fn answer(effect: &Effect) -> Option<EffectResult> {
    Some(match effect {
        Effect::Render { facts, .. } => EffectResult::Rendered(render(&Package::default(), facts, 0)),
        Effect::Adopt { .. } => {
            let reason = String::from("services do not outlive their supervisor here");
            EffectResult::SpawnFailed { reason }
        }
        Effect::RunHook { .. } => EffectResult::HookEnded(HookEnd::MISSING),
        Effect::CheckHealth { .. } => EffectResult::HealthChecked { health: Health::Ok, note: String::new() },
        Effect::CountInflight { .. } => EffectResult::Inflight(None),
        Effect::Lease { .. } => EffectResult::Leased,
        _ => return None,
    })
}

/// The answer to a suitability hook; none: the package has none.
pub(crate) fn suitability(says: Option<u64>) -> EffectResult {
    let ended = HookExit::Ended(ExitStatus::Code(0));
    let end = says.map_or(HookEnd::MISSING, |value| HookEnd { exit: ended, value: Some(value) });
    EffectResult::HookEnded(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use annulus_core::MemberId;

    fn prepare(spec: &ServiceSpec) -> EffectResult {
        let facts = Facts::alone(MemberId::from_bytes([1; 16]));
        super::prepare(spec, &Package::default(), &facts, 0)
    }

    fn service(name: &str) -> ServiceName {
        name.parse().expect("a name")
    }

    #[test]
    fn only_the_process_that_runs_can_end() {
        let mut processes = Processes::default();
        let first = processes.start(service("web"), EffectId(1));
        assert!(processes.end(&service("web"), first + 1).is_none());
        assert!(processes.end(&service("db"), first).is_none());
        assert_eq!(processes.end(&service("web"), first).map(|p| p.spawn), Some(EffectId(1)));
        let second = processes.start(service("web"), EffectId(2));
        assert_ne!(first, second);
        assert!(processes.adopt(&service("web"), second, EffectId(3)));
        assert_eq!(processes.kept(UnixTime::from_millis(1)).len(), 1);
        assert!(processes.end_all(&|_| true).is_empty());
        assert_eq!(processes.end_all(&|_| false).len(), 1);
        assert!(!processes.adopt(&service("web"), second, EffectId(3)));
    }

    #[test]
    fn packages_of_other_origins_do_not_exist() {
        let spec = |ident: &str| ServiceSpec::new(ident.parse().expect("an ident"));
        let EffectResult::Prepared(prepared) = prepare(&spec("sim/web")) else { panic!("not prepared") };
        assert_eq!(prepared.ident.to_string(), "sim/web/1.0.0/20260101000000");
        assert!(prepared.ident.is_fully_qualified());
        let EffectResult::PrepareFailed { reason } = prepare(&spec("core/redis")) else { panic!("prepared") };
        assert!(reason.contains("core/redis"));
    }
}
