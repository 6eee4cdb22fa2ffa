//! Converts between the messages of this program and the protobuf on the socket. What came over the socket is checked
//! here, once, and nowhere else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use annulus_core::ExitStatus;
use prost::Message as _;

use super::frame::{FrameError, frame};
use super::message;
use super::proto::{
    self, Answer, Ask, Exited, Failed, Held, Launch, Lease, Limits, Log, Nothing, Owner, Process, Range,
    Said, Signal, Started, Variable, Welcome, What,
};
use super::version::Versions;

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
            R::Spawn(launch) => Self::Spawn((&**launch).into()),
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
        }
    }
}

impl TryFrom<Ask> for message::Request {
    type Error = FrameError;
    fn try_from(ask: Ask) -> Result<Self, FrameError> {
        Ok(match ask {
            Ask::Hello(range) => Self::Hello { versions: range.into() },
            Ask::Spawn(launch) => Self::Spawn(Box::new(launch.try_into()?)),
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
        })
    }
}

/// Checks the name of the service that a request is about; only two kinds of request have none.
fn named(service: String) -> Result<String, FrameError> {
    if service.is_empty() { Err(FrameError::Field("service")) } else { Ok(service) }
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

impl From<&message::Launch> for Launch {
    fn from(launch: &message::Launch) -> Self {
        let variable =
            |(name, value): &(OsString, OsString)| Variable { name: os_bytes(name), value: os_bytes(value) };
        let message::Limits { memory_bytes, cpu_millis, pids } = launch.limits;
        Self {
            service: launch.service.clone(),
            group: launch.group.clone(),
            ident: launch.ident.clone(),
            program: path_bytes(&launch.program),
            dir: path_bytes(&launch.dir),
            env: launch.env.iter().map(variable).collect(),
            pid_file: path_bytes(&launch.pid_file),
            stop_signal: launch.stop_signal,
            stop_timeout_ms: launch.stop_timeout_ms,
            owner: launch.owner.as_ref().map(|owner| Owner {
                uid: owner.uid,
                gid: owner.gid,
                groups: owner.groups.clone(),
            }),
            nofile: launch.nofile,
            limits: (!launch.limits.is_empty()).then_some(Limits { memory_bytes, cpu_millis, pids }),
        }
    }
}

impl TryFrom<Launch> for message::Launch {
    type Error = FrameError;
    fn try_from(launch: Launch) -> Result<Self, FrameError> {
        let variable = |Variable { name, value }| (OsString::from_vec(name), OsString::from_vec(value));
        let owner = |Owner { uid, gid, groups }| {
            Ok::<_, FrameError>(message::Owner { uid, gid, groups: bounded(groups, "groups")? })
        };
        let Limits { memory_bytes, cpu_millis, pids } = launch.limits.unwrap_or_default();
        Ok(Self {
            service: named(launch.service)?,
            group: launch.group,
            ident: launch.ident,
            program: path(launch.program, "program")?,
            dir: path(launch.dir, "dir")?,
            env: bounded(launch.env, "env")?.into_iter().map(variable).collect(),
            pid_file: path(launch.pid_file, "pid_file")?,
            stop_signal: launch.stop_signal,
            stop_timeout_ms: launch.stop_timeout_ms,
            owner: launch.owner.map(owner).transpose()?,
            nofile: launch.nofile,
            limits: message::Limits { memory_bytes, cpu_millis, pids },
        })
    }
}

impl From<&message::Message> for Said {
    fn from(message: &message::Message) -> Self {
        match message {
            message::Message::Answer { id, answer } => {
                Self::Answer(Answer { id: *id, what: Some(What::from(answer)) })
            }
            message::Message::Exited { service, pid, status } => {
                let (code, signal) = match status {
                    ExitStatus::Code(code) => (Some(*code), None),
                    ExitStatus::Signal(signal) => (None, Some(*signal)),
                    ExitStatus::Unknown => (None, None),
                };
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
                let status = match (code, signal) {
                    (Some(code), None) => ExitStatus::Code(code),
                    (None, Some(signal)) => ExitStatus::Signal(signal),
                    _ => ExitStatus::Unknown,
                };
                Self::Exited { service: named(service)?, pid, status }
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
            A::Started { pid } => Self::Started(Started { pid: *pid }),
            A::Failed { busy, reason } => Self::Failed(Failed { busy: *busy, reason: reason.clone() }),
            A::Done => Self::Done(Nothing {}),
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
                held: bounded(held, "held")?.into_iter().map(message::Held::from).collect(),
            },
            What::Refused(range) => Self::Refused { versions: range.into() },
            What::Unknown(Nothing {}) => Self::Unknown,
            What::Started(Started { pid }) => Self::Started { pid },
            What::Failed(Failed { busy, reason }) => Self::Failed { busy, reason },
            What::Done(Nothing {}) => Self::Done,
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
        }
    }
}

impl From<Held> for message::Held {
    fn from(held: Held) -> Self {
        let Held { service, group, ident, pid, start_ticks, since_ms, ended } = held;
        Self { service, group, ident, pid, start_ticks, since_ms, ended }
    }
}
