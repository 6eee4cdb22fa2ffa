//! Converts between the messages of this program and the protobuf on the socket. What came over the socket is checked
//! here, once, and nowhere else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use annulus_core::{ExitStatus, Health};
use prost::Message as _;

use super::frame::{FrameError, frame};
use super::message;
use super::proto::{
    self, Answer, Ask, Checked, EndHook, Exited, Failed, Held, HeldLease, HookEnded, HookLaunch, Launch,
    Lease, Limits, Log, Named, Nothing, Owner, Process, Range, Resume, Said, Signal, Started, Variable,
    Welcome, What,
};
use super::version::Versions;
use crate::host::capabilities::Capabilities;

/// Longest list that a message may hold.
const ITEMS_MAX: usize = 16_384;

impl message::Request {
    /// The frame of this request.
    ///
    /// # Errors
    /// It is longer than a frame may be.
    pub fn encode(&self, id: u64) -> Result<Vec<u8>, FrameError> {
        frame(&proto::Request { id, ask: Some(Ask::from(self)) })
    }

    /// Reads a request and its id from a frame without its length. The request is none when this program does not know
    /// its kind.
    ///
    /// # Errors
    /// The bytes are no request.
    pub fn decode(frame: &[u8]) -> Result<(u64, Option<Self>), FrameError> {
        let proto::Request { id, ask } = proto::Request::decode(frame)?;
        Ok((id, ask.map(Self::try_from).transpose()?))
    }
}

impl message::Message {
    /// The frame of this message.
    ///
    /// # Errors
    /// It is longer than a frame may be.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        frame(&proto::Say { said: Some(Said::from(self)) })
    }

    /// Reads a message from a frame without its length; none when this program does not know its kind.
    ///
    /// # Errors
    /// The bytes are no message.
    pub fn decode(frame: &[u8]) -> Result<Option<Self>, FrameError> {
        proto::Say::decode(frame)?.said.map(Self::try_from).transpose()
    }
}

impl From<&message::Request> for Ask {
    fn from(request: &message::Request) -> Self {
        use message::Request as R;
        match request {
            R::Hello { versions } => Self::Hello((*versions).into()),
            R::Spawn(launch) => Self::Spawn(Box::new((&**launch).into())),
            R::Adopt { service, pid } => Self::Adopt(Process { service: service.clone(), pid: *pid }),
            R::Signal { service, pid, kill } => {
                Self::Signal(Signal { service: service.clone(), pid: *pid, kill: *kill })
            }
            R::Lease { service, pid, deadline_ms } => {
                Self::Lease(Lease { service: service.clone(), pid: *pid, deadline_ms: *deadline_ms })
            }
            R::Log { service, group, tag, line } => Self::Log(Log {
                service: service.clone(),
                group: group.clone(),
                tag: (*tag).into(),
                line: line.clone(),
            }),
            R::KillAll => Self::KillAll(Nothing {}),
            R::Hook(launch) => Self::Hook((&**launch).into()),
            R::EndHook { service, hook } => Self::EndHook(EndHook { service: service.clone(), hook: *hook }),
            R::Claim { service } => Self::Claim(Named { service: service.clone() }),
            R::Release { service } => Self::Release(Named { service: service.clone() }),
            R::Checked { service, pid, health } => {
                Self::Checked(Checked { service: service.clone(), pid: *pid, health: health_number(*health) })
            }
        }
    }
}

impl TryFrom<Ask> for message::Request {
    type Error = FrameError;
    fn try_from(ask: Ask) -> Result<Self, FrameError> {
        Ok(match ask {
            Ask::Hello(range) => Self::Hello { versions: range.into() },
            Ask::Spawn(launch) => Self::Spawn(Box::new((*launch).try_into()?)),
            Ask::Adopt(Process { service, pid }) => Self::Adopt { service: named(service)?, pid },
            Ask::Signal(Signal { service, pid, kill }) => {
                Self::Signal { service: named(service)?, pid, kill }
            }
            Ask::Lease(Lease { service, pid, deadline_ms }) => {
                Self::Lease { service: named(service)?, pid, deadline_ms }
            }
            Ask::Log(Log { service, group, tag, line }) => {
                let tag = u8::try_from(tag).map_err(|_| FrameError::Field("tag"))?;
                Self::Log { service: named(service)?, group, tag, line }
            }
            Ask::KillAll(Nothing {}) => Self::KillAll,
            Ask::Hook(launch) => Self::Hook(Box::new(launch.try_into()?)),
            Ask::EndHook(EndHook { service, hook }) => Self::EndHook { service: named(service)?, hook },
            Ask::Claim(Named { service }) => Self::Claim { service: service_name(service)? },
            Ask::Release(Named { service }) => Self::Release { service: service_name(service)? },
            Ask::Checked(Checked { service, pid, health }) => {
                Self::Checked { service: named(service)?, pid, health: health_of(health).unwrap_or_default() }
            }
        })
    }
}

/// Checks the name of the service that a request is about; only two kinds of request have none.
fn named(service: String) -> Result<String, FrameError> {
    if service.is_empty() { Err(FrameError::Field("service")) } else { Ok(service) }
}

/// The same for a name that becomes a part of a path.
fn service_name(service: String) -> Result<String, FrameError> {
    match service.parse::<annulus_core::ServiceName>() {
        Ok(_) => Ok(service),
        Err(_) => Err(FrameError::Field("service")),
    }
}

impl From<Versions> for Range {
    fn from(Versions { min, max }: Versions) -> Self {
        Self { min, max }
    }
}

impl From<Range> for Versions {
    fn from(Range { min, max }: Range) -> Self {
        Self { min, max }
    }
}

fn path_bytes(path: &Path) -> Vec<u8> {
    os_bytes(path.as_os_str())
}

fn os_bytes(text: &OsStr) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn path(bytes: Vec<u8>, what: &'static str) -> Result<PathBuf, FrameError> {
    if bytes.is_empty() { Err(FrameError::Field(what)) } else { Ok(OsString::from_vec(bytes).into()) }
}

fn bounded<T>(items: Vec<T>, what: &'static str) -> Result<Vec<T>, FrameError> {
    if items.len() > ITEMS_MAX { Err(FrameError::Field(what)) } else { Ok(items) }
}

fn variables(env: &[(OsString, OsString)]) -> Vec<Variable> {
    let variable =
        |(name, value): &(OsString, OsString)| Variable { name: os_bytes(name), value: os_bytes(value) };
    env.iter().map(variable).collect()
}

fn env(variables: Vec<Variable>) -> Result<Vec<(OsString, OsString)>, FrameError> {
    let pair = |Variable { name, value }| (OsString::from_vec(name), OsString::from_vec(value));
    Ok(bounded(variables, "env")?.into_iter().map(pair).collect())
}

impl From<&message::Owner> for Owner {
    fn from(owner: &message::Owner) -> Self {
        Self { uid: owner.uid, gid: owner.gid, groups: owner.groups.clone() }
    }
}

impl TryFrom<Owner> for message::Owner {
    type Error = FrameError;
    fn try_from(Owner { uid, gid, groups }: Owner) -> Result<Self, FrameError> {
        Ok(Self { uid, gid, groups: bounded(groups, "groups")? })
    }
}

impl From<&message::Launch> for Launch {
    fn from(launch: &message::Launch) -> Self {
        let message::Limits { memory_bytes, cpu_millis, pids } = launch.limits;
        Self {
            service: launch.service.clone(),
            group: launch.group.clone(),
            ident: launch.ident.clone(),
            program: path_bytes(&launch.program),
            dir: path_bytes(&launch.dir),
            env: variables(&launch.env),
            pid_file: path_bytes(&launch.pid_file),
            stop_signal: launch.stop_signal,
            stop_timeout_ms: launch.stop_timeout_ms,
            owner: launch.owner.as_ref().map(Owner::from),
            nofile: launch.nofile,
            limits: (!launch.limits.is_empty()).then_some(Limits { memory_bytes, cpu_millis, pids }),
            lease: launch.lease.as_ref().map(HeldLease::from),
            restarts: launch.restarts,
            capabilities: launch.capabilities.bits(),
        }
    }
}

impl TryFrom<Launch> for message::Launch {
    type Error = FrameError;
    fn try_from(launch: Launch) -> Result<Self, FrameError> {
        let Limits { memory_bytes, cpu_millis, pids } = launch.limits.unwrap_or_default();
        Ok(Self {
            service: named(launch.service)?,
            group: launch.group,
            ident: launch.ident,
            program: path(launch.program, "program")?,
            dir: path(launch.dir, "dir")?,
            env: env(launch.env)?,
            pid_file: path(launch.pid_file, "pid_file")?,
            stop_signal: launch.stop_signal,
            stop_timeout_ms: launch.stop_timeout_ms,
            owner: launch.owner.map(message::Owner::try_from).transpose()?,
            capabilities: Capabilities::from_bits(launch.capabilities),
            nofile: launch.nofile,
            limits: message::Limits { memory_bytes, cpu_millis, pids },
            lease: launch.lease.map(message::Lease::try_from).transpose()?,
            restarts: launch.restarts,
        })
    }
}

impl From<&message::Lease> for HeldLease {
    fn from(message::Lease { kill_at_ms, resume }: &message::Lease) -> Self {
        Self { kill_at_ms: *kill_at_ms, resume: resume.as_ref().map(Resume::from) }
    }
}

impl TryFrom<HeldLease> for message::Lease {
    type Error = FrameError;
    fn try_from(HeldLease { kill_at_ms, resume }: HeldLease) -> Result<Self, FrameError> {
        Ok(Self { kill_at_ms, resume: resume.map(message::Resume::try_from).transpose()? })
    }
}

impl From<&message::Resume> for Resume {
    fn from(resume: &message::Resume) -> Self {
        let message::Resume { member, group, term, until_ms } = resume;
        Self { member: member.to_vec(), group: group.clone(), term: *term, until_ms: *until_ms }
    }
}

impl TryFrom<Resume> for message::Resume {
    type Error = FrameError;
    fn try_from(Resume { member, group, term, until_ms }: Resume) -> Result<Self, FrameError> {
        let member = member.try_into().map_err(|_| FrameError::Field("member"))?;
        // It has to fit into a guard's page.
        if group.len() > annulus_core::limits::SERVICE_GROUP_BYTES_MAX {
            return Err(FrameError::Field("group"));
        }
        Ok(Self { member, group, term, until_ms })
    }
}

impl From<&message::HookLaunch> for HookLaunch {
    fn from(launch: &message::HookLaunch) -> Self {
        Self {
            service: launch.service.clone(),
            program: path_bytes(&launch.program),
            dir: path_bytes(&launch.dir),
            env: variables(&launch.env),
            owner: launch.owner.as_ref().map(Owner::from),
            timeout_ms: launch.timeout_ms,
            capabilities: launch.capabilities.bits(),
            lease: launch.lease.as_ref().map(HeldLease::from),
        }
    }
}

impl TryFrom<HookLaunch> for message::HookLaunch {
    type Error = FrameError;
    fn try_from(launch: HookLaunch) -> Result<Self, FrameError> {
        Ok(Self {
            service: named(launch.service)?,
            program: path(launch.program, "program")?,
            dir: path(launch.dir, "dir")?,
            env: env(launch.env)?,
            owner: launch.owner.map(message::Owner::try_from).transpose()?,
            capabilities: Capabilities::from_bits(launch.capabilities),
            timeout_ms: launch.timeout_ms,
            lease: launch.lease.map(message::Lease::try_from).transpose()?,
        })
    }
}

const fn health_number(health: Health) -> u32 {
    match health {
        Health::Ok => 1,
        Health::Warning => 2,
        Health::Critical => 3,
        Health::Unknown => 4,
    }
}

/// None for a number that this program does not know, and where none was told.
const fn health_of(number: u32) -> Option<Health> {
    match number {
        1 => Some(Health::Ok),
        2 => Some(Health::Warning),
        3 => Some(Health::Critical),
        4 => Some(Health::Unknown),
        _ => None,
    }
}

/// A status as code and signal.
fn parts(status: ExitStatus) -> (Option<i32>, Option<i32>) {
    match status {
        ExitStatus::Code(code) => (Some(code), None),
        ExitStatus::Signal(signal) => (None, Some(signal)),
        ExitStatus::Unknown => (None, None),
    }
}

fn status(parts: (Option<i32>, Option<i32>)) -> ExitStatus {
    match parts {
        (Some(code), None) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        _ => ExitStatus::Unknown,
    }
}

impl From<&message::Message> for Said {
    fn from(message: &message::Message) -> Self {
        match message {
            message::Message::Answer { id, answer } => {
                Self::Answer(Answer { id: *id, what: Some(What::from(answer)) })
            }
            message::Message::Exited { service, pid, status } => {
                let (code, signal) = parts(*status);
                Self::Exited(Exited { service: service.clone(), pid: *pid, code, signal })
            }
        }
    }
}

impl TryFrom<Said> for message::Message {
    type Error = FrameError;
    fn try_from(said: Said) -> Result<Self, FrameError> {
        Ok(match said {
            // An answer of an unknown kind still has to end the wait of the request with this id.
            Said::Answer(Answer { id, what }) => {
                let answer = what.map(message::Answer::try_from).transpose()?;
                Self::Answer { id, answer: answer.unwrap_or(message::Answer::Unknown) }
            }
            Said::Exited(Exited { service, pid, code, signal }) => {
                Self::Exited { service: named(service)?, pid, status: status((code, signal)) }
            }
        })
    }
}

impl From<&message::Answer> for What {
    fn from(answer: &message::Answer) -> Self {
        use message::Answer as A;
        match answer {
            A::Welcome { version, versions, boot_id, held } => Self::Welcome(Welcome {
                version: *version,
                versions: Some((*versions).into()),
                boot_id: boot_id.clone(),
                held: held.iter().map(Held::from).collect(),
            }),
            A::Refused { versions } => Self::Refused((*versions).into()),
            A::Unknown => Self::Unknown(Nothing {}),
            A::Started { pid, guarded } => Self::Started(Started { pid: *pid, guarded: *guarded }),
            A::Failed { busy, reason } => Self::Failed(Failed { busy: *busy, reason: reason.clone() }),
            A::Done => Self::Done(Nothing {}),
            A::HookEnded { status, timed_out } => {
                let (code, signal) = parts(*status);
                Self::HookEnded(HookEnded { code, signal, timed_out: *timed_out })
            }
        }
    }
}

impl TryFrom<What> for message::Answer {
    type Error = FrameError;
    fn try_from(what: What) -> Result<Self, FrameError> {
        Ok(match what {
            What::Welcome(Welcome { version, versions, boot_id, held }) => Self::Welcome {
                version,
                versions: versions.ok_or(FrameError::Field("versions"))?.into(),
                boot_id,
                held: bounded(held, "held")?
                    .into_iter()
                    .map(message::Held::try_from)
                    .collect::<Result<_, _>>()?,
            },
            What::Refused(range) => Self::Refused { versions: range.into() },
            What::Unknown(Nothing {}) => Self::Unknown,
            What::Started(Started { pid, guarded }) => Self::Started { pid, guarded },
            What::Failed(Failed { busy, reason }) => Self::Failed { busy, reason },
            What::Done(Nothing {}) => Self::Done,
            What::HookEnded(HookEnded { code, signal, timed_out }) => {
                Self::HookEnded { status: status((code, signal)), timed_out }
            }
        })
    }
}

impl From<&message::Held> for Held {
    fn from(held: &message::Held) -> Self {
        Self {
            service: held.service.clone(),
            group: held.group.clone(),
            ident: held.ident.clone(),
            pid: held.pid,
            start_ticks: held.start_ticks,
            since_ms: held.since_ms,
            ended: held.ended,
            resume: held.resume.as_ref().map(Resume::from),
            restarts: held.restarts,
            stop_timeout_ms: held.stop_timeout_ms,
            health: held.health.map_or(0, health_number),
        }
    }
}

impl TryFrom<Held> for message::Held {
    type Error = FrameError;
    fn try_from(held: Held) -> Result<Self, FrameError> {
        Ok(Self {
            service: held.service,
            group: held.group,
            ident: held.ident,
            pid: held.pid,
            start_ticks: held.start_ticks,
            since_ms: held.since_ms,
            ended: held.ended,
            resume: held.resume.map(message::Resume::try_from).transpose()?,
            restarts: held.restarts,
            stop_timeout_ms: held.stop_timeout_ms,
            health: health_of(held.health),
        })
    }
}
