//! Converts between the ctl messages and the core's types. What a client sent is checked here, once, and nowhere else.

use std::path::Path;

use annulus_core::{
    BindingMode, CommandError, DesiredState, Instant, Obstacle, PackageIdent, Role, ServiceGroup,
    ServiceName, ServiceSpec, ServiceState, ServiceView, SpecChange, Topology, UpdateCondition,
    UpdateStrategy,
};

use super::message::{self, ErrCode, NetErr};
use crate::supervisor::ledger::Entry;
use crate::supervisor::obstacles;
use crate::supervisor::specs::Problem;
use crate::supervisor::specs::parse_bind;

const TOPOLOGIES: [Topology; 2] = [Topology::Standalone, Topology::Leader];
const STRATEGIES: [UpdateStrategy; 3] =
    [UpdateStrategy::None, UpdateStrategy::AtOnce, UpdateStrategy::Rolling];
const CONDITIONS: [UpdateCondition; 2] = [UpdateCondition::Latest, UpdateCondition::TrackChannel];
const BINDING_MODES: [BindingMode; 2] = [BindingMode::Relaxed, BindingMode::Strict];

impl From<&PackageIdent> for message::PackageIdent {
    fn from(ident: &PackageIdent) -> Self {
        Self {
            origin: ident.origin().to_owned(),
            name: ident.name().to_owned(),
            version: ident.version().map(str::to_owned),
            release: ident.release().map(str::to_owned),
        }
    }
}

impl From<&ServiceGroup> for message::ServiceGroup {
    fn from(group: &ServiceGroup) -> Self {
        Self {
            service: group.service().to_owned(),
            group: group.group().to_owned(),
            organization: group.org().map(str::to_owned),
        }
    }
}

fn invalid(what: impl std::fmt::Display) -> NetErr {
    NetErr::new(ErrCode::InvalidPayload, what.to_string())
}

/// The ident of a request.
///
/// # Errors
/// It is absent or malformed.
pub fn ident(ident: Option<&message::PackageIdent>) -> Result<PackageIdent, NetErr> {
    let ident = ident.ok_or_else(|| {
        NetErr::new(ErrCode::UpdateClient, "the request names no package; update the client")
    })?;
    let mut text = format!("{}/{}", ident.origin, ident.name);
    for part in [&ident.version, &ident.release].into_iter().flatten() {
        text.push('/');
        text.push_str(part);
    }
    text.parse().map_err(|error| invalid(format_args!("{text:?}: {error}")))
}

/// The ident as text, for people; unchecked.
#[must_use]
pub fn ident_text(ident: &message::PackageIdent) -> String {
    let mut text = format!("{}/{}", ident.origin, ident.name);
    for part in [&ident.version, &ident.release].into_iter().flatten() {
        text.push('/');
        text.push_str(part);
    }
    text
}

/// The group as text, for people; unchecked.
#[must_use]
pub fn group_text(group: &message::ServiceGroup) -> String {
    match &group.organization {
        Some(org) => format!("{}.{}@{org}", group.service, group.group),
        None => format!("{}.{}", group.service, group.group),
    }
}

fn choice<T: Copy + PartialEq>(field: &str, values: &[T], number: i32) -> Result<T, NetErr> {
    let value = usize::try_from(number).ok().and_then(|index| values.get(index)).copied();
    value.ok_or_else(|| invalid(format_args!("{field} {number} is not one of the allowed values")))
}

fn number<T: Copy + PartialEq>(values: &[T], value: T) -> Option<i32> {
    values.iter().position(|v| *v == value).and_then(|index| i32::try_from(index).ok())
}

/// The number of a topology on the wire.
#[must_use]
pub fn topology_number(value: Topology) -> Option<i32> {
    number(&TOPOLOGIES, value)
}

/// The number of an update strategy on the wire.
#[must_use]
pub fn strategy_number(value: UpdateStrategy) -> Option<i32> {
    number(&STRATEGIES, value)
}

/// The number of an update condition on the wire.
#[must_use]
pub fn condition_number(value: UpdateCondition) -> Option<i32> {
    number(&CONDITIONS, value)
}

/// The number of a binding mode on the wire.
#[must_use]
pub fn binding_mode_number(value: BindingMode) -> Option<i32> {
    number(&BINDING_MODES, value)
}

/// Parses `name:service.group[@org]`; none when it is not of that form.
#[must_use]
pub fn bind(text: &str) -> Option<message::ServiceBind> {
    let (name, group) = parse_bind(text)?;
    Some(message::ServiceBind { name: name.as_str().to_owned(), service_group: (&group).into() })
}

/// The spec that a request asks for. A field that the request leaves out takes its default or, with `--force` on a
/// loaded service, stays as it is.
///
/// # Errors
/// A field is missing, malformed or out of range.
pub fn spec(load: &message::SvcLoad, loaded: Option<&ServiceSpec>) -> Result<ServiceSpec, NetErr> {
    let ident = ident(load.ident.as_ref())?;
    let mut spec = ServiceSpec::new(ident.clone());
    if let Some(loaded) = loaded {
        spec = ServiceSpec { ident, ..loaded.clone() };
    }
    if let Some(group) = &load.group {
        spec.group.clone_from(group);
    }
    if let Some(url) = &load.bldr_url {
        spec.bldr_url.clone_from(url);
    }
    if let Some(channel) = &load.bldr_channel {
        spec.channel.clone_from(channel);
    }
    if let Some(dir) = &load.config_from {
        spec.config_from = Some(dir.clone()).filter(|dir| !dir.is_empty());
    }
    if let Some(n) = load.topology {
        spec.topology = choice("topology", &TOPOLOGIES, n)?;
    }
    if let Some(n) = load.update_strategy {
        spec.update_strategy = choice("update strategy", &STRATEGIES, n)?;
    }
    if let Some(n) = load.update_condition {
        spec.update_condition = choice("update condition", &CONDITIONS, n)?;
    }
    if let Some(n) = load.binding_mode {
        spec.binding_mode = choice("binding mode", &BINDING_MODES, n)?;
    }
    if let Some(list) = &load.binds {
        spec.binds = list.binds.iter().map(bind_text).collect::<Result<_, _>>()?;
    }
    if let Some(interval) = load.health_check_interval {
        spec.health_check_interval_ms = interval_ms(interval);
    }
    if let Some(seconds) = load.shutdown_timeout {
        spec.shutdown_timeout_ms = Some(u64::from(seconds) * 1000);
    }
    if let Some(size) = load.quorum {
        spec.quorum = Some(size).filter(|size| *size > 0);
    }
    spec.service_group(None).map_err(|error| invalid(format_args!("group {:?}: {error}", spec.group)))?;
    Ok(spec)
}

/// The change that a request asks for.
///
/// # Errors
/// A field is missing, malformed or out of range.
pub fn change(update: &message::SvcUpdate) -> Result<SpecChange, NetErr> {
    let ident = ident(update.ident.as_ref())?;
    let group = update.group.as_deref();
    if let Some(Err(error)) = group.map(|group| ServiceGroup::new(ident.name(), group, None)) {
        return Err(invalid(format_args!("group {:?}: {error}", group.unwrap_or_default())));
    }
    let binds = update.binds.as_ref().map(|list| list.binds.iter().map(bind_text).collect());
    Ok(SpecChange {
        // Without a version the ident only says which service is meant.
        ident: ident.version().is_some().then_some(ident),
        group: update.group.clone(),
        topology: update.topology.map(|n| choice("topology", &TOPOLOGIES, n)).transpose()?,
        update_strategy: update
            .update_strategy
            .map(|n| choice("update strategy", &STRATEGIES, n))
            .transpose()?,
        update_condition: update
            .update_condition
            .map(|n| choice("update condition", &CONDITIONS, n))
            .transpose()?,
        channel: update.bldr_channel.clone(),
        bldr_url: update.bldr_url.clone(),
        binds: binds.transpose()?,
        binding_mode: update.binding_mode.map(|n| choice("binding mode", &BINDING_MODES, n)).transpose()?,
        config_from: update.config_from.clone().map(|dir| Some(dir).filter(|dir| !dir.is_empty())),
        shutdown_timeout_ms: update.shutdown_timeout.map(|seconds| Some(u64::from(seconds) * 1000)),
        health_check_interval_ms: update.health_check_interval.map(interval_ms),
        quorum: update.quorum.map(|size| Some(size).filter(|size| *size > 0)),
        to: update.to.as_ref().map(|to| self::ident(Some(to))).transpose()?,
    })
}

fn interval_ms(interval: message::HealthCheckInterval) -> u64 {
    interval.seconds.saturating_mul(1000).max(1000)
}

fn bind_text(bind: &message::ServiceBind) -> Result<String, NetErr> {
    let text = format!("{}:{}", bind.name, group_text(&bind.service_group));
    let name_ok = bind.name.parse::<ServiceName>().is_ok() && !bind.name.contains(':');
    let group_ok = group_text(&bind.service_group).parse::<ServiceGroup>().is_ok();
    if name_ok && group_ok {
        Ok(text)
    } else {
        Err(invalid(format_args!(
            "bind {text:?}: a bind is written name:service.group or name:service.group@org"
        )))
    }
}

/// The status of a service as clients are told it.
#[must_use]
pub fn status(
    view: &ServiceView,
    entry: Option<&Entry>,
    now: Instant,
    spec_file: &Path,
    problems: &[Problem],
) -> message::ServiceStatus {
    let up = view.pid.is_some();
    let elapsed_s = now.saturating_since(view.since).as_secs();
    message::ServiceStatus {
        ident: view.running.as_ref().unwrap_or(&view.spec.ident).into(),
        process: Some(message::ProcessStatus {
            elapsed: i64::try_from(elapsed_s).ok(),
            pid: view.pid,
            state: i32::from(up),
        }),
        service_group: (&view.group).into(),
        desired_state: Some(i32::from(view.spec.desired == DesiredState::Up)),
        state: Some(view.state.name().to_owned()),
        restarts: Some(view.restarts),
        last_exit: view.last_exit.map(|exit| exit.to_string()),
        last_error: view.last_error.clone(),
        next_start_ms: match view.state {
            ServiceState::Backoff => view
                .next_start
                .map(|at| u64::try_from(at.saturating_since(now).as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        },
        topology: Some(view.spec.topology.name().to_owned()),
        health: Some(view.health.name().to_owned()),
        health_note: Some(view.health_note.clone()).filter(|note| !note.is_empty()),
        accepting: Some(view.accepting),
        draining: Some(view.draining),
        maintenance: view.maintenance.clone(),
        waiting_for: view.waiting_for.clone(),
        role: view.role.as_ref().map(|role| role_name(role).to_owned()),
        spec_file: Some(spec_file.display().to_string()),
        user: entry.map(|entry| entry.user.clone()).filter(|user| !user.is_empty()),
        capabilities: entry.into_iter().flat_map(|e| e.capabilities.names()).map(str::to_owned).collect(),
        hooks: running_hooks(view, entry, now),
        obstacles: obstacles::of(view, problems).into_iter().map(obstacle).collect(),
        updates: updates(view),
    }
}

/// How the updates of a service stand, in words; nothing where there is nothing to say.
fn updates(view: &ServiceView) -> Vec<String> {
    let update = &view.update;
    let mut said = Vec::new();
    if let (true, Some(runs)) = (update.on_trial, &update.runs) {
        let back =
            update.before.as_ref().map(|before| format!("; {before} takes its place again if it fails"));
        said.push(format!("{runs} is on trial{}", back.unwrap_or_default()));
    }
    said.extend(update.waits.clone());
    said.extend(update.refused.as_ref().map(|refused| {
        format!(
            "{} is not tried again here: {}; `annulus svc update --to` tries it",
            refused.ident, refused.reason
        )
    }));
    said
}

fn obstacle(obstacle: Obstacle) -> message::Obstacle {
    let Obstacle { kind, hook, what, sealed: _ } = obstacle;
    message::Obstacle { kind: kind.name().to_owned(), hook: hook.map(|hook| hook.name().to_owned()), what }
}

fn running_hooks(view: &ServiceView, entry: Option<&Entry>, now: Instant) -> Vec<message::RunningHook> {
    let installs = entry.and_then(|entry| entry.installs).map(|i| ("install", i.since.0, i.limit_ms));
    let own = view.hooks.iter().map(|hook| (hook.hook.name(), hook.since, hook.limit_ms));
    let one = |(hook, since, limit_ms): (&str, Instant, u64)| message::RunningHook {
        hook: hook.to_owned(),
        elapsed_ms: u64::try_from(now.saturating_since(since).as_millis()).unwrap_or(u64::MAX),
        limit_ms,
    };
    installs.into_iter().chain(own).map(one).collect()
}

/// A hook that runs, in words: how long it has, and how long it may.
#[must_use]
pub fn hook_text(hook: &message::RunningHook) -> String {
    let seconds = |ms: u64| {
        if ms < 10_000 { format!("{}.{}", ms / 1000, ms % 1000 / 100) } else { (ms / 1000).to_string() }
    };
    format!(
        "in {} hook since {} s, limit {} s",
        hook.hook,
        seconds(hook.elapsed_ms),
        hook.limit_ms.div_ceil(1000)
    )
}

/// The word for a member's role in an election.
#[must_use]
pub fn role_name(role: &Role) -> &'static str {
    match role {
        Role::Waiting { .. } => "waiting",
        Role::Leader { .. } => "leader",
        Role::Follower { .. } => "follower",
    }
}

/// The refusal of the core as it is sent to clients.
#[must_use]
pub fn refusal(error: &CommandError) -> NetErr {
    let code = match error {
        CommandError::NotLoaded(_) | CommandError::UnknownMember(_) | CommandError::Package(_) => {
            ErrCode::NotFound
        }
        CommandError::KeyNotHeld(_) => ErrCode::NotFound,
        CommandError::NoRingKey
        | CommandError::KeyIsCurrent(_)
        | CommandError::KeyIsOlder { .. }
        | CommandError::KeyIsAhead(_) => ErrCode::Conflict,
        CommandError::Conflict(_) | CommandError::Leaving | CommandError::Version { .. } => ErrCode::Conflict,
        CommandError::NotLeading(_) | CommandError::NotBanned(_) | CommandError::BansUsedUp(_) => {
            ErrCode::Conflict
        }
        CommandError::VersionRange
        | CommandError::VersionLeap { .. }
        | CommandError::VersionBeyond { .. } => ErrCode::InvalidPayload,
        CommandError::NotDurable(_) | CommandError::NotStored(_) => ErrCode::Io,
        CommandError::Limit(_) | CommandError::TooLarge { .. } => ErrCode::EntityTooLarge,
    };
    let current_version = match error {
        CommandError::Version { current }
        | CommandError::VersionLeap { current, .. }
        | CommandError::VersionBeyond { current, .. } => Some(*current),
        _ => None,
    };
    let stopped = matches!(error, CommandError::NotStored(_)).then_some(true);
    NetErr { current_version, stopped, ..NetErr::new(code, error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis() -> message::PackageIdent {
        (&"core/redis".parse::<PackageIdent>().expect("ident")).into()
    }

    #[test]
    fn every_option_reaches_the_spec() {
        let load = message::SvcLoad {
            ident: Some(redis()),
            binds: Some(message::ServiceBindList { binds: vec![bind("db:pg.prod@acme").expect("a bind")] }),
            group: Some("prod".into()),
            topology: topology_number(Topology::Leader),
            update_strategy: strategy_number(UpdateStrategy::Rolling),
            update_condition: condition_number(UpdateCondition::TrackChannel),
            binding_mode: binding_mode_number(BindingMode::Relaxed),
            shutdown_timeout: Some(9),
            health_check_interval: Some(message::HealthCheckInterval { seconds: 5 }),
            ..message::SvcLoad::default()
        };
        let mut wanted = ServiceSpec::new("core/redis".parse().expect("ident"));
        wanted.group = "prod".into();
        wanted.topology = Topology::Leader;
        wanted.update_strategy = UpdateStrategy::Rolling;
        wanted.update_condition = UpdateCondition::TrackChannel;
        wanted.binding_mode = BindingMode::Relaxed;
        wanted.binds = vec!["db:pg.prod@acme".into()];
        wanted.shutdown_timeout_ms = Some(9_000);
        wanted.health_check_interval_ms = 5_000;
        assert_eq!(spec(&load, None), Ok(wanted));
    }

    #[test]
    fn what_is_left_out_stays_as_it_was() {
        let mut loaded = ServiceSpec::new("core/redis".parse().expect("ident"));
        loaded.group = "prod".into();
        loaded.channel = "canary".into();
        let load = message::SvcLoad {
            ident: Some((&loaded.ident).into()),
            topology: Some(1),
            ..message::SvcLoad::default()
        };
        let spec = spec(&load, Some(&loaded)).expect("valid");
        assert_eq!(
            (spec.group.as_str(), spec.channel.as_str(), spec.topology),
            ("prod", "canary", Topology::Leader)
        );
    }

    #[test]
    fn malformed_requests_name_the_field() {
        let bad = |change: fn(&mut message::SvcLoad)| {
            let mut load = message::SvcLoad { ident: Some(redis()), ..message::SvcLoad::default() };
            change(&mut load);
            spec(&load, None).expect_err("refused")
        };
        assert!(bad(|l| l.topology = Some(7)).msg.contains("topology 7"));
        assert!(bad(|l| l.group = Some("a.b".into())).msg.contains("a.b"));
        assert!(bad(|l| l.ident.as_mut().expect("set").origin = "../..".into()).msg.contains("../.."));
        assert_eq!(bad(|l| l.ident = None).code, i32::from(ErrCode::UpdateClient));
    }
}
