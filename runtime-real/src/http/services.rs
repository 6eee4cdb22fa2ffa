//! `/services` and below: what runs on this host (reference D1.7 to D1.11).

use std::collections::BTreeMap;
use std::sync::Arc;

use annulus_core::{DesiredState, MemberId, Node, Rumor, ServiceGroup, ServiceState, ServiceView, UnixTime};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::problem::Problem;
use super::{Config, Gateway, view};

/// What is copied out of the node, to be formatted away from the loop.
struct Local {
    id: MemberId,
    services: Vec<ServiceView>,
    /// Exported configuration by group, TOML text.
    exports: BTreeMap<ServiceGroup, Vec<u8>>,
}

fn look(node: &Node) -> Local {
    let id = node.id();
    let own = node.rumors().filter_map(|rumor| match rumor {
        Rumor::Service(service) if service.member_id == id => {
            Some((service.group.clone(), service.cfg.clone()))
        }
        _ => None,
    });
    Local { id, services: node.services(), exports: own.collect() }
}

type Answer = Result<Response, Problem>;

pub(super) async fn list(State(gateway): State<Arc<Gateway>>) -> Answer {
    let local = gateway.read(look).await?;
    let entries = local.services.iter().map(|service| entry(&gateway.config, &local, service));
    Ok(view::answer(&Value::Array(entries.collect())))
}

type Gate = State<Arc<Gateway>>;

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

pub(super) async fn health(gate: Gate, Path((service, group)): Path<(String, String)>) -> Answer {
    health_of(gate, &service, &group, None).await
}

pub(super) async fn health_of_org(
    gate: Gate,
    Path((service, group, org)): Path<(String, String, String)>,
) -> Answer {
    health_of(gate, &service, &group, Some(&org)).await
}

async fn entry_of(State(gateway): Gate, service: &str, group: &str, org: Option<&str>) -> Answer {
    let (local, index) = find(&gateway, service, group, org).await?;
    Ok(view::answer(&entry(&gateway.config, &local, &local.services[index])))
}

async fn config_of(State(gateway): Gate, service: &str, group: &str, org: Option<&str>) -> Answer {
    let (local, index) = find(&gateway, service, group, org).await?;
    Ok(view::answer(&exports(&local, &local.services[index])))
}

async fn health_of(State(gateway): Gate, service: &str, group: &str, org: Option<&str>) -> Answer {
    let (local, index) = find(&gateway, service, group, org).await?;
    let view = &local.services[index];
    let health = Health::of(view);
    let stderr = if health == Health::Ok { "" } else { view.last_error.as_deref().unwrap_or_default() };
    let body = json!({
        "status": health.name().to_uppercase(),
        "stdout": format!("the service is {}\n", view.state),
        "stderr": stderr,
    });
    Ok((health.status(), view::answer(&body)).into_response())
}

/// The loaded service of this group, as its place in the list.
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

/// A service's health. Until a package's `health-check` hook runs, the state of its process speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Ok,
    Critical,
}

impl Health {
    fn of(view: &ServiceView) -> Self {
        if view.state == ServiceState::Up { Self::Ok } else { Self::Critical }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Critical => "Critical",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Critical => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

fn exports(local: &Local, view: &ServiceView) -> Value {
    view::exports(local.exports.get(&view.group).map_or(&[][..], Vec::as_slice))
}

fn secs(ms: u64) -> Value {
    json!({ "secs": ms / 1000, "nanos": ms % 1000 * 1_000_000 })
}

fn entry(config: &Config, local: &Local, view: &ServiceView) -> Value {
    let spec = &view.spec;
    let timings = &config.timings;
    let next_restart_ms = view.next_start.map(|at| {
        let wait = at.saturating_since(config.clock.now());
        config.clock.wall().as_millis().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    });
    let last = view
        .last_exit
        .map(|exit| json!({ "pid": null, "termination_reason": exit.to_string(), "terminated_at": null }));
    json!({
        "all_pkg_binds": [],
        "binding_mode": spec.binding_mode.name(),
        "binds": spec.binds,
        "bldr_url": spec.bldr_url,
        "cfg": exports(local, view),
        "channel": spec.channel,
        "config_from": spec.config_from,
        "desired_state": if spec.desired == DesiredState::Up { "Up" } else { "Down" },
        "health_check": Health::of(view).name(),
        "hooks": hooks(config, view),
        "initialized": view.running.is_some(),
        "last_election_status": "None",
        "manager_fs_cfg": fs_config(config),
        "pkg": package(config, local, view),
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
        "spec_file": null,
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
    })
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
        "specs_path": sup.join("specs"),
        "member_id_file": sup.join("MEMBER_ID"),
        "proc_lock_file": config.sup.lock(),
    })
}

fn hooks(config: &Config, view: &ServiceView) -> Value {
    const HOOKS: [&str; 8] = [
        "health-check",
        "init",
        "file-updated",
        "reconfigure",
        "suitability",
        "run",
        "post-run",
        "post-stop",
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

fn package(config: &Config, local: &Local, view: &ServiceView) -> Value {
    let ident = view.running.as_ref().unwrap_or(&view.spec.ident);
    let svc = config.root.svc(&view.spec.name());
    let timeout_ms = view.spec.shutdown_timeout_ms;
    let mut package = view::ident(ident);
    let more = json!({
        "ident": ident.to_string(),
        "deps": [],
        "dependencies": [],
        "env": {},
        "exposes": [],
        "exports": exports(local, view),
        "path": config.root.package(ident),
        "svc_path": svc,
        "svc_config_path": svc.join("config"),
        "svc_config_install_path": svc.join("config_install"),
        "svc_data_path": svc.join("data"),
        "svc_files_path": svc.join("files"),
        "svc_static_path": svc.join("static"),
        "svc_var_path": svc.join("var"),
        "svc_pid_file": svc.join("PID"),
        "svc_run": svc.join("run"),
        "svc_user": null,
        "svc_group": null,
        "shutdown_signal": "TERM",
        "shutdown_timeout": timeout_ms.map(|ms| ms / 1000),
    });
    if let (Value::Object(package), Value::Object(more)) = (&mut package, more) {
        package.extend(more);
    }
    package
}
