//! Carries out requests: one function for each. A request becomes a command or a look at the node; the disk is read
//! away from the loop.

use std::time::Duration;

use annulus_core::{
    Command, DesiredState, MemberId, PackageIdent, Reply, ServiceName, ServiceSpec, ServiceState,
    ServiceView, StopHow,
};
use tokio::io::AsyncWrite;

use super::config::ConfigShow;
use super::frame::{Frame, FrameError};
use super::group_message::{GroupQuery, SvcFilePut, SvcGetDefaultCfg, SvcSetCfg, SvcValidateCfg};
use super::invite_message::{RingInvite, RingInviteRevoke, RingInvitesQuery};
use super::key_message::{RingKeyQuery, RingKeyUse};
use super::message::{
    ConsoleLine, CtlMessage, ErrCode, NetErr, NetOk, ServiceStatus, SpecProblem, SpecProblems, SupDepart,
    SupProblem, SupProblems, SupReset, SupRestart, SvcDrain, SvcLoad, SvcMaintain, SvcStart, SvcStatus,
    SvcStop, SvcUndrain, SvcUnload, SvcUpdate,
};
use super::ring_message::{FilesQuery, GroupHandOver, RingQuery, SvcRestart};
use super::{Ctl, config, convert, group, invite, reply, ring, ring_keys};
use crate::depot;
use crate::gateway::disk;
use crate::gateway::tls::Tls;
use crate::host::owner::{self, OwnerError};
use crate::launcher::identity;
use crate::launcher::message::Request;
use crate::package::{self, Installed};
use crate::prepare;
use crate::supervisor::specs::Problem;

/// A service that another supervisor has let go is its own for a moment more, until the last guard has ended; and who looks
/// whether one has it holds it while it looks. So a claim is tried so often …
const CLAIM_TRIES: u32 = 50;
/// … with this pause between two tries.
const CLAIM_RETRY: Duration = Duration::from_millis(20);

/// The answer to a request.
pub(super) enum Answer {
    /// Lines for the operator, then `NetOk`.
    Done(Vec<String>),
    /// One message per service.
    Services(Vec<ServiceStatus>),
    /// One message per spec file that cannot be used.
    Problems(Vec<SpecProblem>),
    /// One message per thing that keeps the supervisor from its work.
    SupProblems(Vec<SupProblem>),
    /// One message: its name and its bytes.
    Message(&'static str, Vec<u8>),
}

impl Answer {
    /// Answers with one message.
    pub(super) fn message<T: CtlMessage>(message: &T) -> Self {
        Self::Message(T::ID, message.encode_to_vec())
    }

    pub(super) async fn write(
        self,
        io: &mut (impl AsyncWrite + Unpin),
        request: &Frame,
    ) -> Result<(), FrameError> {
        match self {
            Self::Services(list) => reply_each(io, request, &list).await,
            Self::Problems(list) => reply_each(io, request, &list).await,
            Self::SupProblems(list) => reply_each(io, request, &list).await,
            Self::Message(id, body) => super::reply_bytes(io, request, id, body, true).await,
            Self::Done(lines) => {
                for line in lines {
                    reply(io, request, &ConsoleLine { line, color: None, bold: false }, false).await?;
                }
                reply(io, request, &NetOk {}, true).await
            }
        }
    }
}

async fn reply_each<T: CtlMessage>(
    io: &mut (impl AsyncWrite + Unpin),
    request: &Frame,
    list: &[T],
) -> Result<(), FrameError> {
    let Some((last, others)) = list.split_last() else {
        return reply(io, request, &NetOk {}, true).await;
    };
    for message in others {
        reply(io, request, message, false).await?;
    }
    reply(io, request, last, true).await
}

pub(super) async fn handle(ctl: &Ctl, frame: &Frame) -> Result<Answer, NetErr> {
    match frame.id.as_str() {
        SvcStatus::ID => svc_status(ctl, decode(frame)?).await,
        SvcLoad::ID => svc_load(ctl, decode(frame)?).await,
        SvcUnload::ID => svc_unload(ctl, decode(frame)?).await,
        SvcStart::ID => svc_start(ctl, decode(frame)?).await,
        SvcStop::ID => svc_stop(ctl, decode(frame)?).await,
        SvcUpdate::ID => svc_update(ctl, decode(frame)?).await,
        SvcDrain::ID => svc_drain(ctl, decode(frame)?).await,
        SvcUndrain::ID => svc_undrain(ctl, decode(frame)?).await,
        SvcMaintain::ID => svc_maintain(ctl, decode(frame)?).await,
        SupProblems::ID => sup_problems(ctl).await,
        SpecProblems::ID => Ok(Answer::Problems(spec_problems(ctl))),
        SvcSetCfg::ID => group::set_cfg(ctl, decode(frame)?).await,
        SvcFilePut::ID => group::file_put(ctl, decode(frame)?).await,
        SvcValidateCfg::ID => group::validate_cfg(&decode(frame)?),
        SvcGetDefaultCfg::ID => group::default_cfg(ctl, decode(frame)?).await,
        ConfigShow::ID => config::show(ctl, decode(frame)?).await,
        GroupQuery::ID => group::query(ctl, decode(frame)?).await,
        FilesQuery::ID => group::files(ctl, decode(frame)?).await,
        RingQuery::ID => ring::status(ctl).await,
        RingKeyQuery::ID => ring_keys::status(ctl).await,
        RingInvite::ID => invite::make(ctl, decode(frame)?).await,
        RingInvitesQuery::ID => invite::list(ctl),
        RingInviteRevoke::ID => invite::revoke(ctl, decode(frame)?).await,
        RingKeyUse::ID => ring_keys::use_key(ctl, decode(frame)?).await,
        SvcRestart::ID => svc_restart(ctl, decode(frame)?).await,
        SupDepart::ID => sup_depart(ctl, decode(frame)?).await,
        GroupHandOver::ID => group::hand_over(ctl, decode(frame)?).await,
        SupReset::ID => sup_reset(ctl, decode(frame)?).await,
        SupRestart::ID => sup_restart(ctl, decode(frame)?).await,
        other => Err(NetErr::new(
            ErrCode::NotSupported,
            format!("this supervisor ({}) knows no request {other:?}", env!("CARGO_PKG_VERSION")),
        )),
    }
}

fn decode<T: CtlMessage>(frame: &Frame) -> Result<T, NetErr> {
    T::decode(&frame.body[..])
        .map_err(|_| NetErr::new(ErrCode::BadPayload, format!("the {} does not decode", T::ID)))
}

async fn services(ctl: &Ctl) -> Result<Vec<ServiceView>, NetErr> {
    ctl.handle.read(|node| node.services()).await.map_err(stopped)
}

fn stopped(error: impl std::fmt::Display) -> NetErr {
    NetErr::new(ErrCode::Conflict, error.to_string())
}

pub(super) async fn command(ctl: &Ctl, command: Command) -> Result<Reply, NetErr> {
    match ctl.handle.command(command).await {
        Reply::Failed(error) => Err(convert::refusal(&error)),
        reply => Ok(reply),
    }
}

fn not_loaded(ctl: &Ctl, ident: &PackageIdent) -> NetErr {
    let name = ident.service_name();
    let problem = ctl.specs.problems().into_iter().find(|problem| problem.service.as_ref() == Some(&name));
    let why = match problem {
        Some(Problem { path, reason, .. }) => {
            format!(", because its spec file {} cannot be used: {reason}", path.display())
        }
        None => "; `annulus svc status` lists what is".to_owned(),
    };
    NetErr::new(ErrCode::NotFound, format!("{ident} is not loaded{why}"))
}

/// The loaded service that an operator means by `ident`.
pub(super) async fn find(ctl: &Ctl, ident: &PackageIdent) -> Result<ServiceView, NetErr> {
    let matches = |view: &ServiceView| {
        view.spec.ident.satisfies(ident)
            || view.running.as_ref().is_some_and(|running| running.satisfies(ident))
    };
    services(ctl).await?.into_iter().find(matches).ok_or_else(|| not_loaded(ctl, ident))
}

async fn svc_status(ctl: &Ctl, request: SvcStatus) -> Result<Answer, NetErr> {
    if request.ident.is_some() {
        let ident = convert::ident(request.ident.as_ref())?;
        let view = find(ctl, &ident).await?;
        return Ok(Answer::Services(vec![status(ctl, &view)]));
    }
    let all = services(ctl).await?;
    Ok(Answer::Services(all.iter().map(|view| status(ctl, view)).collect()))
}

pub(super) fn status(ctl: &Ctl, view: &ServiceView) -> ServiceStatus {
    let (name, now) = (view.spec.name(), ctl.clock.now());
    let entry = ctl.ledger.get(&name);
    convert::status(view, entry.as_ref(), now, &ctl.specs.path(&name), &ctl.specs.problems())
}

async fn svc_load(ctl: &Ctl, request: SvcLoad) -> Result<Answer, NetErr> {
    let ident = convert::ident(request.ident.as_ref())?;
    let force = request.force.unwrap_or_default();
    let loaded = services(ctl).await?.into_iter().find(|view| view.spec.name() == ident.service_name());
    let spec = convert::spec(&request, loaded.as_ref().filter(|_| force).map(|view| &view.spec))?;
    let (mut lines, name) = (Vec::new(), spec.name());
    // What is stored is used much later, so it is looked at now, whether or not the depot is to be asked.
    let wrong = |error: depot::Error| NetErr::new(ErrCode::InvalidPayload, error.to_string());
    if let Some(channel) = request.bldr_channel.as_deref().filter(|channel| !channel.is_empty()) {
        depot::check_channel(channel).map_err(wrong)?;
    }
    if let Some(url) = request.bldr_url.as_deref().filter(|url| !url.trim().is_empty()) {
        depot::client_of(url).map_err(wrong)?;
        lines.extend(present(ctl, &spec).await?);
    }
    claim(ctl, &name).await?;
    // A refusal now is better than a service that fails to start for ever.
    let reply = match runnable(ctl, &spec).await {
        Ok(()) => command(ctl, Command::LoadService { spec, force }).await,
        Err(refusal) => Err(refusal),
    };
    if reply.is_err() {
        let_go(ctl, &name).await;
    }
    match reply? {
        Reply::Unchanged => lines.push(format!("{ident} is loaded already, with the same options")),
        _ if loaded.is_some() => lines.push(format!("{ident} is loaded with new options")),
        _ => lines.push(format!("{ident} is loaded and will be kept running")),
    }
    Ok(Answer::Done(lines))
}

/// Brings the package of a spec from its depot where none that fits is installed, and says so. One that is there is asked of
/// no depot.
async fn present(ctl: &Ctl, spec: &ServiceSpec) -> Result<Option<String>, NetErr> {
    if installed(ctl, &spec.ident).await.is_ok() {
        return Ok(None);
    }
    let brought = depot::install_newest(&ctl.root, &spec.bldr_url, &spec.channel, &spec.ident).await;
    let ident = brought.map_err(|error| {
        let code = match &error {
            depot::Error::NotFound(_) | depot::Error::Answer { status: 404, .. } => ErrCode::NotFound,
            _ => ErrCode::Conflict,
        };
        NetErr::new(code, error.to_string())
    })?;
    Ok(Some(format!("{ident} is installed from {}", spec.bldr_url)))
}

/// Whether this supervisor could run what a spec says.
async fn runnable(ctl: &Ctl, spec: &ServiceSpec) -> Result<(), NetErr> {
    let (root, spec) = (ctl.root.clone(), spec.clone());
    let checked = disk::read(move || {
        if let Some(by) = owner::holder(&root, &spec.name()).filter(|by| !by.is_own()) {
            let held = OwnerError::Held { service: spec.name().to_string(), by };
            return Err(NetErr::new(ErrCode::Conflict, held.to_string()));
        }
        prepare::check(&root, &spec).map_err(|error| {
            let code = match error {
                prepare::Error::Package(_) => ErrCode::NotFound,
                _ => ErrCode::Conflict,
            };
            NetErr::new(code, error.to_string())
        })
    });
    checked.await.map_err(|failed| NetErr::new(ErrCode::Internal, failed.to_string()))?
}

/// Makes the service's directory this supervisor's before an order is acknowledged that only its owner can carry out: of two
/// supervisors that are asked at once, one refuses.
async fn claim(ctl: &Ctl, service: &ServiceName) -> Result<(), NetErr> {
    let Some(launcher) = &ctl.launcher else { return Ok(()) };
    let mut tries = 1;
    loop {
        match launcher.claim(service.as_str()).await {
            Err(reason) if tries >= CLAIM_TRIES => return Err(NetErr::new(ErrCode::Conflict, reason)),
            Err(_) => tokio::time::sleep(CLAIM_RETRY).await,
            Ok(()) => return Ok(()),
        }
        tries += 1;
    }
}

/// Lets the directory go again, unless the service is loaded here.
async fn let_go(ctl: &Ctl, service: &ServiceName) {
    let loaded = services(ctl).await.is_ok_and(|all| all.iter().any(|view| view.spec.name() == *service));
    if let Some(launcher) = ctl.launcher.as_ref().filter(|_| !loaded) {
        launcher.tell(&Request::Release { service: service.as_str().to_owned() });
    }
}

/// The newest installed package that fits `ident`.
pub(super) async fn installed(ctl: &Ctl, ident: &PackageIdent) -> Result<Installed, NetErr> {
    let (root, ident) = (ctl.root.clone(), ident.clone());
    let found = disk::read(move || package::newest(&root, &ident)).await;
    let found = found.map_err(|failed| NetErr::new(ErrCode::Internal, failed.to_string()))?;
    found.map_err(|error| NetErr::new(ErrCode::NotFound, error.to_string()))
}

async fn name_of(ctl: &Ctl, ident: Option<&super::message::PackageIdent>) -> Result<ServiceName, NetErr> {
    let ident = convert::ident(ident)?;
    Ok(find(ctl, &ident).await?.spec.name())
}

/// The loaded service of this origin and name, in any version.
async fn find_name(ctl: &Ctl, ident: &PackageIdent) -> Result<ServiceName, NetErr> {
    let same = |view: &ServiceView| {
        view.spec.ident.origin() == ident.origin() && view.spec.ident.name() == ident.name()
    };
    let found = services(ctl).await?.into_iter().find(same);
    found.map(|view| view.spec.name()).ok_or_else(|| not_loaded(ctl, ident))
}

async fn svc_unload(ctl: &Ctl, request: SvcUnload) -> Result<Answer, NetErr> {
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let line = format!("{service} is unloaded");
    let how = how(request.timeout_in_seconds, request.drain_timeout_in_seconds, request.no_drain);
    command(ctl, Command::UnloadService { service, how }).await?;
    Ok(Answer::Done(vec![line]))
}

async fn svc_start(ctl: &Ctl, request: SvcStart) -> Result<Answer, NetErr> {
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let name = service.clone();
    claim(ctl, &name).await?;
    Ok(Answer::Done(vec![match command(ctl, Command::StartService { service }).await? {
        Reply::Unchanged => format!("{name} is wanted up already"),
        _ => format!("{name} is being started"),
    }]))
}

async fn svc_restart(ctl: &Ctl, request: SvcRestart) -> Result<Answer, NetErr> {
    let view = find(ctl, &convert::ident(request.ident.as_ref())?).await?;
    let (name, ident) = (view.spec.name(), view.spec.ident.clone());
    if view.spec.desired == DesiredState::Down {
        let text = format!("{name} is wanted down; `annulus svc start {ident}` starts it");
        return Err(NetErr::new(ErrCode::Conflict, text));
    }
    let service = name.clone();
    claim(ctl, &name).await?;
    command(ctl, Command::RestartService { service }).await?;
    Ok(Answer::Done(vec![format!("{name} is being restarted")]))
}

async fn svc_stop(ctl: &Ctl, request: SvcStop) -> Result<Answer, NetErr> {
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let name = service.clone();
    let how = how(request.timeout_in_seconds, request.drain_timeout_in_seconds, request.no_drain);
    Ok(Answer::Done(vec![match command(ctl, Command::StopService { service, how }).await? {
        Reply::Unchanged => format!("{name} is wanted down already"),
        _ => format!("{name} is stopped; it stays loaded"),
    }]))
}

fn milliseconds(seconds: u32) -> u64 {
    u64::from(seconds) * 1000
}

fn how(shutdown_timeout: Option<u32>, drain_timeout: Option<u32>, no_drain: Option<bool>) -> StopHow {
    StopHow {
        drain: !no_drain.unwrap_or_default(),
        drain_timeout_ms: drain_timeout.map(milliseconds),
        shutdown_timeout_ms: shutdown_timeout.map(milliseconds),
    }
}

async fn svc_update(ctl: &Ctl, request: SvcUpdate) -> Result<Answer, NetErr> {
    let change = convert::change(&request)?;
    let ident = convert::ident(request.ident.as_ref())?;
    let service = find_name(ctl, &ident).await?;
    let loaded = services(ctl).await?.into_iter().find(|view| view.spec.name() == service);
    if let Some(loaded) = loaded.filter(|_| change.ident.is_some() || change.binds.is_some()) {
        runnable(ctl, &change.clone().apply(&loaded.spec)).await?;
    }
    let name = service.clone();
    let change = Box::new(change);
    Ok(Answer::Done(vec![match command(ctl, Command::UpdateService { service, change }).await? {
        Reply::Unchanged => format!("{name} has these options already"),
        _ => format!("{name} is updated"),
    }]))
}

async fn svc_drain(ctl: &Ctl, request: SvcDrain) -> Result<Answer, NetErr> {
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let name = service.clone();
    let timeout_ms = request.timeout_in_seconds.map(milliseconds);
    Ok(Answer::Done(vec![match command(ctl, Command::DrainService { service, timeout_ms }).await? {
        Reply::Unchanged => format!("{name} is drained already"),
        _ => format!("{name} takes no new work until `annulus svc undrain`; it goes on running"),
    }]))
}

async fn svc_undrain(ctl: &Ctl, request: SvcUndrain) -> Result<Answer, NetErr> {
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let name = service.clone();
    Ok(Answer::Done(vec![match command(ctl, Command::UndrainService { service }).await? {
        Reply::Unchanged => format!("{name} is not drained"),
        _ => format!("{name} takes work again"),
    }]))
}

async fn svc_maintain(ctl: &Ctl, request: SvcMaintain) -> Result<Answer, NetErr> {
    let service = name_of(ctl, request.ident.as_ref()).await?;
    if request.reason.as_deref().is_some_and(|reason| reason.chars().any(char::is_control)) {
        return Err(NetErr::new(ErrCode::InvalidPayload, "a reason is one line without control characters"));
    }
    let (name, on) = (service.clone(), request.reason.is_some());
    let reply = command(ctl, Command::MaintainService { service, reason: request.reason }).await?;
    Ok(Answer::Done(vec![match (reply, on) {
        (Reply::Unchanged, true) => format!("{name} is in maintenance for this reason already"),
        (Reply::Unchanged, false) => format!("{name} is not in maintenance"),
        (_, true) => {
            format!("{name} is in maintenance until `annulus svc maintenance off`; it goes on running")
        }
        (_, false) => format!("{name} is no longer in maintenance"),
    }]))
}

fn spec_problems(ctl: &Ctl) -> Vec<SpecProblem> {
    let message = |problem: Problem| SpecProblem {
        path: problem.path.display().to_string(),
        reason: problem.reason,
        service: problem.service.map(|service| service.to_string()),
    };
    ctl.specs.problems().into_iter().map(message).collect()
}

/// How far a service has come that a request waits for, to drain or to end; none for requests that should be quick.
pub(super) async fn progress(ctl: &Ctl, frame: &Frame) -> Option<String> {
    let ident = match frame.id.as_str() {
        SvcStop::ID => decode::<SvcStop>(frame).ok()?.ident,
        SvcUnload::ID => decode::<SvcUnload>(frame).ok()?.ident,
        SvcDrain::ID => decode::<SvcDrain>(frame).ok()?.ident,
        _ => return None,
    };
    let ident = convert::ident(ident.as_ref()).ok()?;
    let view = find(ctl, &ident).await.ok()?;
    let name = view.spec.name();
    let state = if view.draining { "draining" } else { view.state.name() };
    let process = view.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
    let hooks = status(ctl, &view).hooks;
    let hooks: String = hooks.iter().map(|hook| format!(", {}", convert::hook_text(hook))).collect();
    let next = match view.stop_ends {
        Some(at) if view.pid.is_some() => {
            let seconds = at.saturating_since(ctl.clock.now()).as_secs_f64();
            format!("; the next step follows in {seconds:.0} s at the latest")
        }
        _ if view.pid.is_some() && view.state == ServiceState::Stopping => {
            "; all of its processes were killed and are not gone yet".to_owned()
        }
        _ if frame.id != SvcDrain::ID && !view.draining && view.state == ServiceState::Up => {
            "; the supervisor's disk has yet to take the order".to_owned()
        }
        _ => String::new(),
    };
    let guard = view.pid.and_then(identity::standing_guard).map_or_else(String::new, |guard| {
        format!(
            "; its guard, process {guard}, stands still (SIGSTOP): the launcher ends it when the time is up"
        )
    });
    Some(format!("waiting: {name} is {state}{process}{hooks}{next}{guard}"))
}

/// What a request waits for that counts once it is stored; none for others.
pub(super) fn storing(frame: &Frame, waited: Duration) -> Option<String> {
    let stored = [
        SvcLoad::ID,
        SvcStart::ID,
        SvcUpdate::ID,
        SvcMaintain::ID,
        SvcSetCfg::ID,
        SvcFilePut::ID,
        SupDepart::ID,
        SupReset::ID,
        RingKeyUse::ID,
        RingInvite::ID,
        RingInviteRevoke::ID,
    ];
    let seconds = waited.as_secs_f64();
    stored.contains(&frame.id.as_str()).then(|| {
        format!(
            "waiting for {seconds:.0} s: this counts once the supervisor's disk has it, which takes its time"
        )
    })
}

async fn sup_problems(ctl: &Ctl) -> Result<Answer, NetErr> {
    let copy = ctl.handle.read(annulus_core::Node::copy_of_me).await.map_err(stopped)?;
    let stores = disk::trouble(&ctl.room).await;
    let stores = stores.into_iter().map(|reason| format!("the supervisor cannot store anything: {reason}"));
    let copied = copy.map(|address| {
        format!(
            "another supervisor uses this identity at {address}: one of the two is a copy; stop that one and remove its \
             data directory, then it starts with an identity of its own"
        )
    });
    let tls = ctl.tls.as_ref().and_then(Tls::problem);
    let problems = stores.chain(copied).chain(ctl.keyed.file.problem()).chain(tls);
    let problems = problems.map(|reason| SupProblem { reason });
    Ok(Answer::SupProblems(problems.collect()))
}

async fn sup_restart(ctl: &Ctl, _: SupRestart) -> Result<Answer, NetErr> {
    if let Some(tls) = ctl.tls.clone() {
        let checked = disk::read(move || tls.check()).await;
        let checked = checked.map_err(|failed| NetErr::new(ErrCode::Internal, failed.to_string()))?;
        checked.map_err(|error| {
            let text = format!(
                "the supervisor goes on, because the gateways of the next one would stay closed: {error}"
            );
            NetErr::new(ErrCode::Conflict, text)
        })?;
    }
    ctl.restart.notify_one();
    Ok(Answer::Done(vec!["the supervisor is started again; its services go on".to_owned()]))
}

async fn sup_depart(ctl: &Ctl, request: SupDepart) -> Result<Answer, NetErr> {
    let text = request.member_id.unwrap_or_default();
    let member: MemberId =
        text.parse().map_err(|error| NetErr::new(ErrCode::InvalidPayload, format!("{text:?}: {error}")))?;
    Ok(Answer::Done(vec![match command(ctl, Command::Depart { member }).await? {
        Reply::Unchanged => format!("{member} was banned from the ring already"),
        _ => format!(
            "{member} is banned from the ring until `annulus sup reset` lifts the ban; should its host lose its data directory, \
             it comes back as a new member, which this ban does not cover"
        ),
    }]))
}

async fn sup_reset(ctl: &Ctl, request: SupReset) -> Result<Answer, NetErr> {
    let text = request.member_id.unwrap_or_default();
    let member: MemberId =
        text.parse().map_err(|error| NetErr::new(ErrCode::InvalidPayload, format!("{text:?}: {error}")))?;
    command(ctl, Command::LiftBan { member }).await?;
    Ok(Answer::Done(vec![
        format!("the ban of {member} is lifted"),
        "its supervisor ended when it heard of the ban (exit code 86) and does not start by itself: start it once, then it asks \
         the ring, hears of this order and takes part as before; one that never heard of the ban is back already"
            .to_owned(),
    ]))
}
