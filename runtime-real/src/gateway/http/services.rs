//! `/services` and below: the services that are loaded on this host (as in Habitat). Only reads, and formats away from
//! the loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use annulus_core::{
    DesiredState, Health, MemberId, Node, PackageIdent, Rumor, RumorKey, ServiceGroup, ServiceState,
    ServiceView, UnixTime, UpdateView,
};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::Sight;
use super::package::Package;
use super::problem::Problem;
use super::{Config, Gateway, limited, view};
use crate::gateway::ctl::convert;
use crate::gateway::disk;
use crate::prepare;
use crate::supervisor::ledger::HealthReport;
use crate::supervisor::obstacles;

/// The part of the node that is copied out, to be formatted away from the loop.
struct Local {
    id: MemberId,
    services: Vec<ServiceView>,
    /// Exported configuration by group, TOML text.
    exports: BTreeMap<ServiceGroup, Vec<u8>>,
}

fn look(node: &Node) -> Local {
    let id = node.id();
    let mut local = Local { id, services: node.services(), exports: BTreeMap::new() };
    for view in &local.services {
        let key = RumorKey::Service { group: view.group.clone(), member: id };
        if let Some(Rumor::Service(told)) = node.rumor(&key) {
            local.exports.insert(view.group.clone(), told.cfg.clone());
        }
    }
    local
}

type Answer = Result<Response, Problem>;

pub(super) async fn list(State(gateway): State<Arc<Gateway>>, Extension(sight): Extension<Sight>) -> Answer {
    let local = gateway.read(look).await?;
    if sight.is_limited() {
        return Ok(view::answer(&local.services.iter().map(limited::service).collect()));
    }
    off_the_loop(move || {
        local.services.iter().map(|service| entry(&gateway.config, &local, service)).collect::<Value>()
    })
    .await
}

/// Makes an answer on another thread: parts of it are read from the package's files,
/// and the loop must not wait for a disk.
async fn off_the_loop(value: impl FnOnce() -> Value + Send + 'static) -> Answer {
    match disk::read(value).await {
        Ok(value) => Ok(view::answer(&value)),
        Err(failed) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, failed.to_string())),
    }
}

/// The gateway, and what the client may see of it.
type Gate = (State<Arc<Gateway>>, Extension<Sight>);

pub(super) async fn one(gate: Gate, Path((service, group)): Path<(String, String)>) -> Answer {
    entry_of(gate, &service, &group, None).await
}

pub(super) async fn one_of_org(
    gate: Gate,
    Path((service, group, org)): Path<(String, String, String)>,
) -> Answer {
    entry_of(gate, &service, &group, Some(&org)).await
}

pub(super) async fn config(gate: Gate, Path((service, group)): Path<(String, String)>) -> Answer {
    config_of(gate, &service, &group, None).await
}

pub(super) async fn config_of_org(
    gate: Gate,
    Path((service, group, org)): Path<(String, String, String)>,
) -> Answer {
    config_of(gate, &service, &group, Some(&org)).await
}

pub(super) async fn health_of_group(gate: Gate, Path((service, group)): Path<(String, String)>) -> Answer {
    health_of(gate, &service, &group, None).await
}

pub(super) async fn health_of_org(
    gate: Gate,
    Path((service, group, org)): Path<(String, String, String)>,
) -> Answer {
    health_of(gate, &service, &group, Some(&org)).await
}

async fn entry_of(
    (State(gateway), Extension(sight)): Gate,
    service: &str,
    group: &str,
    org: Option<&str>,
) -> Answer {
    let (local, index) = find(&gateway, service, group, org).await?;
    if sight.is_limited() {
        return Ok(view::answer(&limited::service(&local.services[index])));
    }
    off_the_loop(move || entry(&gateway.config, &local, &local.services[index])).await
}

async fn config_of(
    (State(gateway), Extension(sight)): Gate,
    service: &str,
    group: &str,
    org: Option<&str>,
) -> Answer {
    sight.wants_configuration().await?;
    let (local, index) = find(&gateway, service, group, org).await?;
    let service = &local.services[index];
    let Some(entry) = gateway.config.ledger.get(&service.spec.name()) else {
        let why = service.last_error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let detail = format!("{} is {} and has not been prepared yet{why}", service.group, service.state);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    Ok(view::answer(&prepare::to_json(&entry.layers.redacted().merged())))
}

async fn health_of(
    (State(gateway), Extension(sight)): Gate,
    service: &str,
    group: &str,
    org: Option<&str>,
) -> Answer {
    let (local, index) = find(&gateway, service, group, org).await?;
    let view = &local.services[index];
    let (health, refusal) = (health(view), refusal(view));
    let code = if refusal.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { health_code(health) };
    if sight.is_limited() {
        return Ok((code, view::answer(&limited::health_of(view, refusal.is_none()))).into_response());
    }
    // The words of the last check count only while the process that it checked runs; otherwise the state speaks.
    let entry = gateway.config.ledger.get(&view.spec.name()).filter(|_| view.pid.is_some());
    let said = entry.and_then(|entry| entry.health).unwrap_or_else(|| {
        let stderr = if health == Health::Ok { None } else { view.last_error.clone() };
        HealthReport {
            stdout: format!("the service is {}\n", view.state),
            stderr: stderr.unwrap_or_default(),
        }
    });
    let body = json!({
        "status": health_name(health).to_uppercase(),
        "stdout": said.stdout,
        "stderr": said.stderr,
        "accepting": refusal.is_none(),
        "reason": refusal,
    });
    Ok((code, view::answer(&body)).into_response())
}

/// The reason why the service should be sent no work, however healthy it is.
fn refusal(view: &ServiceView) -> Option<String> {
    if let Some(reason) = &view.maintenance {
        Some(format!("in maintenance: {reason}"))
    } else if view.state == ServiceState::Stopping {
        Some("being stopped".to_owned())
    } else if view.draining {
        Some("draining".to_owned())
    } else if view.state == ServiceState::Up && !view.accepting {
        Some("takes no new work".to_owned())
    } else {
        None
    }
}

/// The place in the list of the loaded service of this group.
async fn find(
    gateway: &Gateway,
    service: &str,
    group: &str,
    org: Option<&str>,
) -> Result<(Local, usize), Problem> {
    let wanted = ServiceGroup::new(service, group, org)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("{service}.{group}: {error}")))?;
    let local = gateway.read(look).await?;
    match local.services.iter().position(|view| view.group == wanted) {
        Some(index) => Ok((local, index)),
        None => Err(Problem::not_found(format!("{wanted} is not loaded here; /services lists what is"))),
    }
}

/// A service's health: what its last check said while its process runs, critical while it does not.
pub(super) fn health(view: &ServiceView) -> Health {
    match view.state {
        ServiceState::Up => view.health,
        ServiceState::Stopping if view.pid.is_some() => view.health,
        _ => Health::Critical,
    }
}

/// Habitat's word for a health.
pub(super) fn health_name(health: Health) -> &'static str {
    match health {
        Health::Ok => "Ok",
        Health::Warning => "Warning",
        Health::Unknown => "Unknown",
        Health::Critical => "Critical",
    }
}

/// The status code that Habitat answers with.
fn health_code(health: Health) -> StatusCode {
    match health {
        Health::Ok | Health::Warning => StatusCode::OK,
        Health::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        Health::Critical => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn exports(local: &Local, view: &ServiceView) -> Value {
    view::exports(local.exports.get(&view.group).map_or(&[][..], Vec::as_slice))
}

fn secs(ms: u64) -> Value {
    json!({ "secs": ms / 1000, "nanos": ms % 1000 * 1_000_000 })
}

fn entry(config: &Config, local: &Local, view: &ServiceView) -> Value {
    let package = Package::of(config, view);
    let spec = &view.spec;
    let timings = &config.timings;
    let next_restart_ms = view.next_start.map(|at| {
        let wait = at.saturating_since(config.clock.now());
        config.clock.wall().as_millis().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    });
    let last = view
        .last_exit
        .map(|exit| json!({ "pid": null, "termination_reason": exit.to_string(), "terminated_at": null }));
    let mut entry = json!({
        "all_pkg_binds": package.binds(),
        "binding_mode": spec.binding_mode.name(),
        "binds": spec.binds,
        "bldr_url": spec.bldr_url,
        "cfg": exports(local, view),
        "channel": spec.channel,
        "config_from": spec.config_from,
        "desired_state": if spec.desired == DesiredState::Up { "Up" } else { "Down" },
        "health_check": health_name(health(view)),
        "hooks": hooks(config, view),
        "initialized": view.running.is_some(),
        "last_election_status": "None",
        "manager_fs_cfg": fs_config(config),
        "pkg": package.to_json(config, view),
        "process": {
            "pid": view.pid,
            "state": if view.pid.is_some() { "up" } else { "down" },
            "state_entered": seconds(view.since_wall),
        },
        "last_process_state": last,
        "next_restart_at": next_restart_ms.map(|ms| ms / 1000),
        "restart_count": view.restarts,
        "restart_config": {
            "min_backoff_period": secs(timings.restart_backoff_ms_min),
            "max_backoff_period": secs(timings.restart_backoff_ms_max),
            "cooldown_period": secs(timings.restart_cooldown_ms),
        },
        "service_group": view.group.as_str(),
        "spec_file": config.sup.specs().join(format!("{}.spec", spec.name())),
        "spec_ident": view::ident(&spec.ident),
        "spec_identifier": spec.ident.to_string(),
        "svc_encrypted_password": null,
        "health_check_interval": secs(spec.health_check_interval_ms),
        "sys": sys(config, local),
        "topology": spec.topology.name(),
        "update_strategy": spec.update_strategy.name(),
        "update_condition": spec.update_condition.name(),
        "user_config_updated": false,
        "state": view.state.name(),
        "last_error": view.last_error,
        "last_exit": view.last_exit.map(|exit| exit.to_string()),
        "health_note": view.health_note,
        "accepting": view.accepting,
        "draining": view.draining,
        "maintenance": view.maintenance,
        "role": view.role.as_ref().map(convert::role_name),
        "waiting_for": view.waiting_for,
    });
    entry["update"] = update(&view.update);
    entry["running_hooks"] = running_hooks(config, view);
    entry["obstacles"] = obstacles::to_json(&obstacles::of(view, &config.specs.problems()));
    entry
}

/// How its updates stand.
fn update(update: &UpdateView) -> Value {
    let text = |ident: &Option<PackageIdent>| ident.as_ref().map(ToString::to_string);
    let found = update.found.as_ref();
    let head = found.and_then(|found| found.channel.as_ref());
    json!({
        "runs": text(&update.runs),
        "before": text(&update.before),
        "on_trial": update.on_trial,
        "ordered": text(&update.ordered),
        "refused": update.refused.as_ref().map(|refused| json!({ "ident": refused.ident.to_string(), "reason": refused.reason })),
        "installed": found.and_then(|found| text(&found.local)),
        "channel": head.map(|head| json!({ "ident": head.ident.to_string(), "number": head.number })),
        "waits": update.waits,
    })
}

fn running_hooks(config: &Config, view: &ServiceView) -> Value {
    let installs = config.ledger.get(&view.spec.name()).and_then(|entry| entry.installs);
    let installs = installs.map(|i| ("install", i.since.1, i.limit_ms));
    let own = view.hooks.iter().map(|hook| (hook.hook.name(), hook.since_wall, hook.limit_ms));
    let one = |(hook, since, limit_ms): (&str, UnixTime, u64)| json!({ "hook": hook, "since": seconds(since), "limit_ms": limit_ms });
    installs.into_iter().chain(own).map(one).collect()
}

fn seconds(time: UnixTime) -> u64 {
    time.as_millis() / 1000
}

fn sys(config: &Config, local: &Local) -> Value {
    let mut value = view::sys(&config.sys);
    value["version"] = env!("CARGO_PKG_VERSION").into();
    value["member_id"] = local.id.to_string().into();
    value["permanent"] = config.permanent.into();
    value
}

fn fs_config(config: &Config) -> Value {
    let sup = config.sup.path();
    json!({
        "sup_root": sup,
        "data_path": config.sup.data(),
        "specs_path": config.sup.specs(),
        "member_id_file": sup.join("MEMBER_ID"),
        "proc_lock_file": config.sup.lock(),
    })
}

fn hooks(config: &Config, view: &ServiceView) -> Value {
    const HOOKS: [&str; 9] = [
        "health-check",
        "init",
        "file-updated",
        "reconfigure",
        "suitability",
        "run",
        "post-run",
        "post-stop",
        "drain",
    ];
    let svc = config.root.svc(&view.spec.name());
    let hooks = HOOKS.iter().map(|hook| {
        let path = svc.join("hooks").join(hook);
        let log = |stream: &str| svc.join("logs").join(format!("{hook}.{stream}.log"));
        let value = if path.exists() {
            json!({ "render_pair": path, "stdout_log_path": log("stdout"), "stderr_log_path": log("stderr") })
        } else {
            Value::Null
        };
        (hook.replace('-', "_"), value)
    });
    Value::Object(hooks.collect())
}
