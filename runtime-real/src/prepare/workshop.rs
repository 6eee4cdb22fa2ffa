//! Answers the core's `Prepare` and `Render`: finds a service's package, renders its files, and keeps what is known of
//! it. May wait for a disk, so the loop never calls it on its own thread.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use annulus_core::{
    Config, DrainPlan, Facts, MemberId, Obstacle, ObstacleKind, PackageIdent, Prepared, Rendered,
    ServiceName, ServiceSpec, SysInfo,
};

use super::package_hook::programs_env;
use super::plan::{Packages, RunPlan, ServicePlan};
use super::{
    Allowed, Error, HOOK_TIMEOUT, HookRun, Host, Overseer, Service, Sys, Vault, Written, run_install_hooks,
};
use crate::host::root::Root;
use crate::host::users::{Account, RunAs};
use crate::launcher::message::{Limits, Owner};
use crate::package;

/// The packages below a root, and the services that were prepared from them.
pub struct Workshop {
    root: Root,
    info: SysInfo,
    permanent: bool,
    org: Option<String>,
    allowed: Allowed,
    vault: Arc<Vault>,
    /// Known before the first service is prepared.
    member: Arc<OnceLock<MemberId>>,
    services: Mutex<BTreeMap<ServiceName, Arc<Mutex<Bench>>>>,
}

/// One service's place in the workshop; its lock lets one thread work there at a time.
#[derive(Default)]
struct Bench {
    service: Option<Service>,
}

impl Workshop {
    /// The packages below `root`, for the supervisor of this configuration. `member` is known before the first service
    /// is prepared.
    #[must_use]
    pub fn new(
        root: &Root,
        config: &Config,
        (allowed, vault): (Allowed, Arc<Vault>),
        member: Arc<OnceLock<MemberId>>,
    ) -> Self {
        let (info, permanent, org) = (config.sys.clone(), config.permanent, config.org.clone());
        Self { root: root.clone(), info, permanent, org, allowed, vault, member, services: Mutex::default() }
    }

    fn bench(&self, service: &ServiceName) -> Arc<Mutex<Bench>> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(services.entry(service.clone()).or_default())
    }

    fn at_bench<T>(
        &self,
        name: &ServiceName,
        work: impl FnOnce(&Host<'_>, &mut Bench) -> Result<T, Obstacle>,
    ) -> Result<T, Obstacle> {
        let member_id = self.member.get().map(MemberId::to_string).unwrap_or_default();
        let sys = Sys { member_id, info: self.info.clone(), permanent: self.permanent };
        let host = Host {
            root: &self.root,
            sys: &sys,
            org: self.org.as_deref(),
            env: &environment,
            allowed: &self.allowed,
            vault: &self.vault,
        };
        let bench = self.bench(name);
        let mut bench = bench.lock().unwrap_or_else(PoisonError::into_inner);
        work(&host, &mut bench)
    }
}

impl Packages for Workshop {
    fn prepare(
        &self,
        name: &ServiceName,
        spec: &ServiceSpec,
        facts: &Facts,
        overseer: &dyn Overseer,
    ) -> Result<(Prepared, ServicePlan), Obstacle> {
        self.at_bench(name, |host, bench| {
            let mut service = Service::open(host, spec)?;
            if bench.service.is_none() {
                tell_user(&service);
            }
            service.set_last_good(bench.service.as_ref().map(Service::last_good));
            install(host, name, &service, overseer)?;
            let is_beside = overseer.is_beside_process();
            service.set_beside(is_beside);
            let mut written = if is_beside {
                service.render(host, facts)?
            } else {
                service.render_to_start(host, facts)?
            };
            if is_beside {
                service.add_untold(&mut written.changed)?;
            }
            // What is written without being prepared again is written beside the process that begins now.
            service.set_beside(true);
            let result = (prepared(&service, &written), plan(host, &service, &written));
            bench.service = Some(service);
            Ok(result)
        })
    }

    fn look(
        &self,
        name: &ServiceName,
        spec: &ServiceSpec,
        facts: &Facts,
    ) -> Result<(Prepared, ServicePlan), Obstacle> {
        self.at_bench(name, |host, bench| {
            let mut service = Service::open(host, spec)?;
            service.set_last_good(bench.service.as_ref().map(Service::last_good));
            let found = service.look(host, facts)?;
            Ok((prepared(&service, &found), plan(host, &service, &found)))
        })
    }

    fn newest(&self, wanted: &PackageIdent) -> Result<Option<PackageIdent>, Obstacle> {
        match package::newest(&self.root, wanted) {
            Ok(package) => Ok(Some(package.ident().clone())),
            Err(package::Error::NotInstalled { .. }) => Ok(None),
            Err(error) => Err(Obstacle::new(ObstacleKind::Package, error.to_string())),
        }
    }

    fn render(&self, name: &ServiceName, facts: &Facts) -> Result<(Rendered, ServicePlan), Obstacle> {
        self.at_bench(name, |host, bench| {
            let not_prepared = || Obstacle::new(ObstacleKind::Package, "it has not been prepared".to_owned());
            let mut service = bench.service.take().ok_or_else(not_prepared)?;
            let written = service.check_binds(facts).and_then(|()| service.render(host, facts));
            let result = written.map(|written| {
                let result = Rendered {
                    exports: written.exports_toml.clone().into_bytes(),
                    changed: written.changed.clone(),
                    applied_config: written.layers.group_version,
                    obstacles: written.obstacles.clone(),
                };
                (result, plan(host, &service, &written))
            });
            bench.service = Some(service);
            Ok(result?)
        })
    }
}

/// Runs the install hooks of a service's package, and of what it needs, that have not succeeded yet (as in Habitat).
fn install(
    host: &Host<'_>,
    name: &ServiceName,
    service: &Service,
    overseer: &dyn Overseer,
) -> Result<(), Error> {
    let mut say = |ident: &PackageIdent, line: &str| {
        tracing::info!(service = name.as_str(), "{} install(H): {line}", ident.name());
    };
    let (root, sys) = (host.root, host.sys);
    let allowed = host.allowed;
    let mut run = HookRun { root, sys, allowed, timeout: HOOK_TIMEOUT, overseer, say: &mut say };
    let package = package::newest(root, service.ident())?;
    run_install_hooks(&mut run, &package)
}

/// A variable of the supervisor's environment; the search path is extended.
fn environment(name: &str) -> Option<OsString> {
    match name {
        "PATH" => Some(path_with_this_program()),
        _ => std::env::var_os(name),
    }
}

/// The search path, with this program's own directory at its end: a hook that calls `annulus` finds the program that
/// runs the hook.
fn path_with_this_program() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::current_exe().ok();
    if let Some(dir) = program.as_deref().and_then(std::path::Path::parent) {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(dir);
    }
    path
}

/// Tells the operator once when a service runs as another user than its package asks for.
fn tell_user(service: &Service) {
    if let RunAs::Supervisor { why } = service.run_as() {
        let (ident, name) = (service.ident(), service.group().service());
        tracing::info!(service = name, "{ident} runs as the supervisor's own user: {why}");
    }
}

fn prepared(service: &Service, written: &Written) -> Prepared {
    let fixed = service.fixed();
    let drain = service.drain();
    let health = service.health().cloned().unwrap_or_default();
    Prepared {
        exports: written.exports_toml.clone().into_bytes(),
        hooks: service.hooks().clone(),
        has_health_check: service.has_health_check(),
        health_interval_ms: health.interval_s.map(|s| s.saturating_mul(1000)),
        health_delay_ms: health.start_delay_s.unwrap_or_default().saturating_mul(1000),
        drain: DrainPlan {
            timeout_ms: drain.timeout_s.map(|s| s.saturating_mul(1000)),
            inflight: drain.inflight.is_some(),
        },
        demoted: fixed.demoted,
        binds: service.binds().to_vec(),
        changed: written.changed.clone(),
        applied_config: written.layers.group_version,
        obstacles: written.obstacles.clone(),
        ..Prepared::new(service.ident().clone(), fixed.shutdown_timeout_ms)
    }
}

fn owner(account: &Account) -> Owner {
    Owner { uid: account.uid, gid: account.gid, groups: account.groups.clone() }
}

fn plan(host: &Host<'_>, service: &Service, written: &Written) -> ServicePlan {
    let limits = service.fixed().limits;
    let account = service.run_as().account().cloned();
    let env = programs_env(service.env(), account.as_ref(), host.allowed);
    ServicePlan {
        run: RunPlan {
            ident: service.ident().to_string(),
            program: service.run_path(),
            dir: service.svc_path().to_owned(),
            env: env.into_iter().collect(),
            stop_signal: service.fixed().shutdown_signal,
            stop_timeout_ms: service.fixed().shutdown_timeout_ms,
            pid_file: service.pid_file(),
            owner: account.as_ref().map(owner),
            capabilities: service.fixed().capabilities,
            nofile: limits.nofile,
            limits: Limits {
                memory_bytes: limits.memory_bytes,
                cpu_millis: limits.cpu_millis,
                pids: limits.pids,
            },
        },
        group: service.group().clone(),
        hooks_dir: service.hooks_dir(),
        hooks: service.hooks().clone(),
        account,
        health: written.health.clone(),
        inflight: written.drain.inflight.clone(),
        layers: Arc::new(written.layers.clone()),
    }
}
