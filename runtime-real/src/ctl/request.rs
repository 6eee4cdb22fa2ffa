//! One function per request.

use annulus_core::{Command, MemberId, PackageIdent, Reply, ServiceName, ServiceView, StopHow};
use tokio::io::AsyncWrite;

use super::frame::{Frame, FrameError};
use super::message::{
    ConsoleLine, CtlMessage, ErrCode, NetErr, NetOk, ServiceStatus, SupDepart, SvcLoad, SvcStart, SvcStatus,
    SvcStop, SvcUnload,
};
use super::{Ctl, convert, reply};
use crate::package;

/// What a request is answered with.
pub(super) enum Answer {
    /// Lines for the operator, then `NetOk`.
    Done(Vec<String>),
    /// One message per service.
    Services(Vec<ServiceStatus>),
}

impl Answer {
    pub(super) async fn write(
        self,
        io: &mut (impl AsyncWrite + Unpin),
        request: &Frame,
    ) -> Result<(), FrameError> {
        match self {
            Self::Services(list) if !list.is_empty() => {
                let last = list.len() - 1;
                for (index, status) in list.iter().enumerate() {
                    reply(io, request, status, index == last).await?;
                }
                Ok(())
            }
            Self::Services(_) => reply(io, request, &NetOk {}, true).await,
            Self::Done(lines) => {
                for line in lines {
                    reply(io, request, &ConsoleLine { line, color: None, bold: false }, false).await?;
                }
                reply(io, request, &NetOk {}, true).await
            }
        }
    }
}

pub(super) async fn handle(ctl: &Ctl, frame: &Frame) -> Result<Answer, NetErr> {
    match frame.id.as_str() {
        SvcStatus::ID => svc_status(ctl, decode(frame)?).await,
        SvcLoad::ID => svc_load(ctl, decode(frame)?).await,
        SvcUnload::ID => svc_unload(ctl, decode(frame)?).await,
        SvcStart::ID => svc_start(ctl, decode(frame)?).await,
        SvcStop::ID => svc_stop(ctl, decode(frame)?).await,
        SupDepart::ID => sup_depart(ctl, decode(frame)?).await,
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

async fn command(ctl: &Ctl, command: Command) -> Result<Reply, NetErr> {
    match ctl.handle.command(command).await {
        Reply::Failed(error) => Err(convert::refusal(&error)),
        reply => Ok(reply),
    }
}

fn not_loaded(ident: &PackageIdent) -> NetErr {
    NetErr::new(ErrCode::NotFound, format!("{ident} is not loaded; `annulus svc status` lists what is"))
}

/// The loaded service that an operator means by `ident`.
async fn find(ctl: &Ctl, ident: &PackageIdent) -> Result<ServiceView, NetErr> {
    let matches = |view: &ServiceView| {
        view.spec.ident.satisfies(ident)
            || view.running.as_ref().is_some_and(|running| running.satisfies(ident))
    };
    services(ctl).await?.into_iter().find(matches).ok_or_else(|| not_loaded(ident))
}

async fn svc_status(ctl: &Ctl, request: SvcStatus) -> Result<Answer, NetErr> {
    let now = ctl.clock.now();
    if request.ident.is_some() {
        let ident = convert::ident(request.ident.as_ref())?;
        let view = find(ctl, &ident).await?;
        return Ok(Answer::Services(vec![convert::status(&view, now)]));
    }
    let all = services(ctl).await?;
    Ok(Answer::Services(all.iter().map(|view| convert::status(view, now)).collect()))
}

async fn svc_load(ctl: &Ctl, request: SvcLoad) -> Result<Answer, NetErr> {
    let ident = convert::ident(request.ident.as_ref())?;
    let force = request.force.unwrap_or_default();
    let loaded = services(ctl).await?.into_iter().find(|view| view.spec.name() == ident.service_name());
    let spec = convert::spec(&request, loaded.as_ref().filter(|_| force).map(|view| &view.spec))?;
    // Refusing now beats a service that fails to start for ever.
    installed(ctl, &ident)?;
    let mut lines = Vec::new();
    match command(ctl, Command::LoadService { spec, force }).await? {
        Reply::Unchanged => lines.push(format!("{ident} is loaded already, with the same options")),
        _ if loaded.is_some() => lines.push(format!("{ident} is loaded with new options")),
        _ => lines.push(format!("{ident} is loaded and will be kept running")),
    }
    Ok(Answer::Done(lines))
}

fn installed(ctl: &Ctl, ident: &PackageIdent) -> Result<(), NetErr> {
    match package::newest(&ctl.root, ident) {
        Ok(_) => Ok(()),
        Err(error) => Err(NetErr::new(ErrCode::NotFound, error.to_string())),
    }
}

async fn name_of(ctl: &Ctl, ident: Option<&super::message::PackageIdent>) -> Result<ServiceName, NetErr> {
    let ident = convert::ident(ident)?;
    Ok(find(ctl, &ident).await?.spec.name())
}

/// A stop timeout for this once has no place in the core's commands yet; silence would be a lie.
fn no_timeout(timeout_in_seconds: Option<u32>) -> Result<(), NetErr> {
    match timeout_in_seconds {
        None => Ok(()),
        Some(_) => Err(NetErr::new(
            ErrCode::NotSupported,
            "a timeout for one stop is not supported; give --shutdown-timeout to `svc load`",
        )),
    }
}

async fn svc_unload(ctl: &Ctl, request: SvcUnload) -> Result<Answer, NetErr> {
    no_timeout(request.timeout_in_seconds)?;
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let line = format!("{service} is unloaded");
    command(ctl, Command::UnloadService { service, how: StopHow::default() }).await?;
    Ok(Answer::Done(vec![line]))
}

async fn svc_start(ctl: &Ctl, request: SvcStart) -> Result<Answer, NetErr> {
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let name = service.clone();
    Ok(Answer::Done(vec![match command(ctl, Command::StartService { service }).await? {
        Reply::Unchanged => format!("{name} is wanted up already"),
        _ => format!("{name} is being started"),
    }]))
}

async fn svc_stop(ctl: &Ctl, request: SvcStop) -> Result<Answer, NetErr> {
    no_timeout(request.timeout_in_seconds)?;
    let service = name_of(ctl, request.ident.as_ref()).await?;
    let name = service.clone();
    Ok(Answer::Done(vec![
        match command(ctl, Command::StopService { service, how: StopHow::default() }).await? {
            Reply::Unchanged => format!("{name} is wanted down already"),
            _ => format!("{name} is being stopped; it stays loaded"),
        },
    ]))
}

async fn sup_depart(ctl: &Ctl, request: SupDepart) -> Result<Answer, NetErr> {
    let text = request.member_id.unwrap_or_default();
    let member: MemberId =
        text.parse().map_err(|error| NetErr::new(ErrCode::InvalidPayload, format!("{text:?}: {error}")))?;
    Ok(Answer::Done(vec![match command(ctl, Command::Depart { member }).await? {
        Reply::Unchanged => format!("{member} was banned from the ring already"),
        _ => format!(
            "{member} is banned from the ring for ever; should its host lose its data directory, it comes back as a \
             new member, which this ban does not cover"
        ),
    }]))
}
