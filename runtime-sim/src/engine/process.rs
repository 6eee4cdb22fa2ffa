//! Simulated services: the results of preparing one and of writing its files. No real process is started.

use std::collections::BTreeSet;
use std::time::Duration;

use annulus_core::{
    Bind, Changed, DrainPlan, EffectResult, ObstacleKind, PackageIdent, Prepared, Rendered, ServiceName,
    ServiceSpec,
};

#[cfg(feature = "turmoil")]
use annulus_core::{Effect, Facts, Health, HookEnd, KeyDone, UnixTime};

#[cfg(feature = "turmoil")]
use crate::engine::guard::Start;

use crate::engine::lifecycle::WorldError;
use crate::engine::package::Package;
use crate::engine::rendering::Rendering;

/// The origin of every package that exists here.
pub(crate) const ORIGIN: &str = "sim";
/// Version and release of a package where the spec does not ask for one.
const VERSION: &str = "1.0.0";
const RELEASE: &str = "20260101000000";
/// How long a polite stop may take where the spec does not say.
const SHUTDOWN_TIMEOUT_MS: u64 = 8_000;

fn qualified(name: &str, version: Option<&str>, release: Option<&str>) -> Option<PackageIdent> {
    let (version, release) = (version.unwrap_or(VERSION), release.unwrap_or(RELEASE));
    format!("{ORIGIN}/{name}/{version}/{release}").parse().ok()
}

/// The build of a package that is installed everywhere.
pub(crate) fn first_build(name: &str) -> Option<PackageIdent> {
    qualified(name, None, None)
}

/// The build of a package with this version.
pub(crate) fn build(name: &str, version: &str) -> Option<PackageIdent> {
    qualified(name, Some(version), None).filter(PackageIdent::is_fully_qualified)
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
pub(crate) fn prepare(spec: &ServiceSpec, package: &Package, rendered: Rendered) -> EffectResult {
    let wanted = &spec.ident;
    let failed = |reason| EffectResult::PrepareFailed { kind: ObstacleKind::Package, reason };
    if wanted.origin() != ORIGIN {
        return failed(format!("no package satisfies {wanted}: simulated packages have the origin {ORIGIN}"));
    }
    let Some(ident) = qualified(wanted.name(), wanted.version(), wanted.release()) else {
        return failed(format!("{wanted} is no package"));
    };
    let bind = |bind: &String| {
        let name = bind.split(':').next().unwrap_or_default().to_owned();
        Bind { name, optional: false, exports: Vec::new() }
    };
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (timeout_ms, shutdown_timeout_ms) =
        (package.drain.map(ms), package.shutdown.map_or(SHUTDOWN_TIMEOUT_MS, ms));
    EffectResult::Prepared(Prepared {
        hooks: package.all_hooks(),
        has_health_check: package.health.is_some(),
        drain: DrainPlan { timeout_ms, inflight: package.drain.is_some() },
        binds: package.bind.iter().map(bind).collect(),
        demoted: package.demoted,
        changed: rendered.changed,
        applied_config: rendered.applied_config,
        ..Prepared::new(ident, spec.shutdown_timeout_ms.unwrap_or(shutdown_timeout_ms))
    })
}

/// The result of writing a package's files, which were last written as `before` says.
pub(crate) fn render(package: &Package, before: Option<&Rendering>, now: &Rendering) -> Rendered {
    let config = package.configured && now.config != before.map_or(0, |before| before.config);
    let part = package.shows_part && before.is_some_and(|before| !before.shows_the_part_of(now));
    let config = config || part;
    let files = before.map_or(!now.files.is_empty(), |before| before.files != now.files);
    let changed = Changed { config, hooks: BTreeSet::new(), files };
    Rendered { changed, applied_config: now.config, ..Rendered::default() }
}

/// The result of writing the files of a package that shows nothing of what it is given.
#[cfg(feature = "turmoil")]
pub(crate) fn bare(facts: &Facts) -> Rendered {
    Rendered {
        applied_config: facts.config.as_ref().map_or(0, |config| config.incarnation),
        ..Rendered::default()
    }
}

/// The start of a package that the scenario says nothing of.
#[cfg(feature = "turmoil")]
pub(crate) fn bare_start(service: &ServiceName) -> Option<Start> {
    Some(Start {
        ident: qualified(service.as_str(), None, None)?,
        since: UnixTime::from_millis(0),
        lease: None,
        restarts: 0,
        shutdown_timeout_ms: SHUTDOWN_TIMEOUT_MS,
        health: None,
    })
}

/// The answer of a host whose packages have neither hooks nor checks, for everything but starting and stopping.
#[cfg(feature = "turmoil")]
pub(crate) fn answer(effect: &Effect) -> Option<EffectResult> {
    Some(match effect {
        Effect::Render { facts, .. } => EffectResult::Rendered(bare(facts)),
        Effect::Adopt { .. } => {
            let reason = String::from("services do not outlive their supervisor here");
            EffectResult::SpawnFailed { reason }
        }
        Effect::RunHook { .. } => EffectResult::HookEnded(HookEnd::MISSING),
        Effect::CheckHealth { .. } => EffectResult::HealthChecked { health: Health::Ok, note: String::new() },
        Effect::EndHooks { .. } => EffectResult::Signalled,
        Effect::CountInflight { .. } => EffectResult::Inflight(None),
        Effect::Lease { .. } => EffectResult::Leased,
        Effect::LookUp { .. } => {
            EffectResult::LookedUp { found: annulus_core::Found::default(), waits: false }
        }
        Effect::Fetch { .. } => EffectResult::Fetched { service_version: None },
        Effect::Preflight { .. } => EffectResult::Preflighted { misfits: Vec::new() },
        Effect::RingKey(_) => EffectResult::RingKey(KeyDone::Failed(String::from("rings have no key here"))),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(spec: &ServiceSpec) -> EffectResult {
        super::prepare(spec, &Package::default(), Rendered::default())
    }

    #[test]
    fn packages_of_other_origins_do_not_exist() {
        let spec = |ident: &str| ServiceSpec::new(ident.parse().expect("an ident"));
        let EffectResult::Prepared(prepared) = prepare(&spec("sim/web")) else { panic!("not prepared") };
        assert_eq!(prepared.ident.to_string(), "sim/web/1.0.0/20260101000000");
        assert!(prepared.ident.is_fully_qualified());
        let EffectResult::PrepareFailed { reason, .. } = prepare(&spec("core/redis")) else {
            panic!("prepared")
        };
        assert!(reason.contains("core/redis"));
    }
}
