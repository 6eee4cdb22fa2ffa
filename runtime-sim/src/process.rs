//! Simulated services: what happens when a node prepares, starts and stops one.

use std::collections::BTreeMap;

use annulus_core::{
    Effect, EffectId, EffectResult, ExitStatus, Health, HookEnd, HookExit, PackageIdent, Prepared, Rendered,
    ServiceName, ServiceSpec,
};

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
    running: BTreeMap<ServiceName, Process>,
}

/// A service's process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub pid: u32,
    /// The effect that started it, which also reports its end.
    pub spawn: EffectId,
}

impl Processes {
    /// Starts one; its pid. The node starts a service again only when its process has ended.
    pub(crate) fn start(&mut self, service: ServiceName, spawn: EffectId) -> u32 {
        let pid = PID_FIRST + self.started;
        self.started += 1;
        let before = self.running.insert(service, Process { pid, spawn });
        assert!(before.is_none(), "a service was started while its process ran");
        pid
    }

    pub(crate) fn get(&self, service: &ServiceName) -> Option<Process> {
        self.running.get(service).copied()
    }

    /// Ends the process if it is still this one.
    pub(crate) fn end(&mut self, service: &ServiceName, pid: u32) -> Option<Process> {
        if self.get(service)?.pid != pid {
            return None;
        }
        self.running.remove(service)
    }

    /// Ends all.
    pub(crate) fn end_all(&mut self) -> BTreeMap<ServiceName, Process> {
        std::mem::take(&mut self.running)
    }
}

/// The answer to an effect that concerns what simulated packages do not have: hooks, checks and templates.
pub(crate) fn answer(effect: &Effect) -> Option<EffectResult> {
    Some(match effect {
        Effect::Render { .. } => EffectResult::Rendered(Rendered::default()),
        Effect::Adopt { .. } => {
            let reason = String::from("simulated services do not outlive their supervisor");
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

/// What preparing a service's package brings about.
pub(crate) fn prepare(spec: &ServiceSpec) -> EffectResult {
    let wanted = &spec.ident;
    if wanted.origin() != ORIGIN {
        return EffectResult::PrepareFailed {
            reason: format!("no package satisfies {wanted}: simulated packages have the origin {ORIGIN}"),
        };
    }
    let version = wanted.version().unwrap_or(VERSION);
    let release = wanted.release().unwrap_or(RELEASE);
    match format!("{ORIGIN}/{}/{version}/{release}", wanted.name()).parse::<PackageIdent>() {
        Ok(ident) => {
            let shutdown_timeout_ms = spec.shutdown_timeout_ms.unwrap_or(SHUTDOWN_TIMEOUT_MS);
            EffectResult::Prepared(Prepared::new(ident, shutdown_timeout_ms))
        }
        Err(error) => EffectResult::PrepareFailed { reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(processes.end_all().len(), 1);
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
