//! What a supervisor and its launcher say to each other.
//!
//! The supervisor asks, each request with an id of its own; the launcher answers with that id, and tells without
//! being asked when a process ended that this supervisor started or adopted.

use std::ffi::OsString;
use std::path::PathBuf;

use annulus_core::ExitStatus;

use super::wire::{FrameReader, FrameWriter, WireError};

/// Changes when the messages do. The launcher outlives an upgrade of the supervisor, so the two may differ.
pub const VERSION: u32 = 1;

/// Who a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The first group's number.
    pub gid: u32,
    /// All groups' numbers.
    pub groups: Vec<u32>,
}

/// What a service may take of its host; what is not set is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all its processes, in bytes.
    pub memory_bytes: Option<u64>,
    /// Time of processors, in thousandths of one.
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything that is needed to start a service's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The service's name.
    pub service: String,
    /// Its group, for log prefixes.
    pub group: String,
    /// The package that runs, fully qualified.
    pub ident: String,
    /// The program.
    pub program: PathBuf,
    /// Its working directory.
    pub dir: PathBuf,
    /// Variables beside the launcher's own.
    pub env: Vec<(OsString, OsString)>,
    /// Holds the pid while the process runs.
    pub pid_file: PathBuf,
    /// The number of the polite signal.
    pub stop_signal: u32,
    /// How long a polite stop may take when no supervisor is there to decide, in milliseconds.
    pub stop_timeout_ms: u64,
    /// Who it runs as; none for the launcher's own user.
    pub owner: Option<Owner>,
    /// Highest number of open files.
    pub nofile: Option<u64>,
    /// Limits of its control group.
    pub limits: Limits,
}

/// What a supervisor asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who is there; the first on each connection. `Welcome`.
    Hello {
        /// The version of the messages that this supervisor speaks.
        version: u32,
    },
    /// Start a process: `Started` or `Failed`.
    Spawn(Box<Launch>),
    /// Tell this supervisor of a process that an earlier one started: `Started` or `Failed`.
    Adopt {
        /// The service.
        service: String,
        /// Its process.
        pid: u32,
    },
    /// Signal a process group, if that very process has not been waited for: `Done`.
    Signal {
        /// The service.
        service: String,
        /// Its process.
        pid: u32,
        /// KILL instead of the polite signal.
        kill: bool,
    },
    /// Kill the process group at a point in time unless another lease comes before: `Done`.
    Lease {
        /// The service.
        service: String,
        /// Its process.
        pid: u32,
        /// When, in milliseconds of the time since boot; none: never.
        deadline_ms: Option<u64>,
    },
    /// Add a line to a service's log: `Done`.
    Log {
        /// The service.
        service: String,
        /// Its group.
        group: String,
        /// The line's tag: `H` for a hook's output.
        tag: u8,
        /// The line.
        line: Vec<u8>,
    },
    /// Kill every process group: `Done`.
    KillAll,
}

/// A process that the launcher holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The service.
    pub service: String,
    /// Its group when it was started.
    pub group: String,
    /// The package that it was started from.
    pub ident: String,
    /// The process.
    pub pid: u32,
    /// When the process began, in ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
    /// When it was started, in milliseconds of Unix time.
    pub since_ms: u64,
    /// It ended while no supervisor was there; whoever adopts it is told how.
    pub ended: bool,
}

/// What a launcher says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What it holds, and which boot of the host it means.
    Welcome {
        /// The version of the messages that this launcher speaks.
        version: u32,
        /// `/proc/sys/kernel/random/boot_id`.
        boot_id: String,
        /// Processes.
        held: Vec<Held>,
    },
    /// The process runs.
    Started {
        /// Its pid.
        pid: u32,
    },
    /// It does not.
    Failed {
        /// The program is still open for writing somewhere: it is worth another try.
        busy: bool,
        /// What is wrong.
        reason: String,
    },
    /// Done.
    Done,
}

/// What comes from a launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The answer to a request.
    Answer {
        /// The request's id.
        id: u64,
        /// What it says.
        answer: Answer,
    },
    /// A process ended.
    Exited {
        /// The service.
        service: String,
        /// The process.
        pid: u32,
        /// How.
        status: ExitStatus,
    },
}

impl Request {
    /// The frame of this request.
    ///
    /// # Errors
    /// It is longer than a frame may be.
    pub fn encode(&self, id: u64) -> Result<Vec<u8>, WireError> {
        let mut w = FrameWriter::new();
        w.number(id);
        match self {
            Self::Hello { version } => {
                w.byte(0);
                w.number((*version).into());
            }
            Self::Spawn(launch) => {
                w.byte(1);
                launch.write(&mut w);
            }
            Self::Adopt { service, pid } => {
                w.byte(2);
                w.text(service);
                w.number((*pid).into());
            }
            Self::Signal { service, pid, kill } => {
                w.byte(3);
                w.text(service);
                w.number((*pid).into());
                w.byte((*kill).into());
            }
            Self::Lease { service, pid, deadline_ms } => {
                w.byte(4);
                w.text(service);
                w.number((*pid).into());
                w.optional(*deadline_ms);
            }
            Self::Log { service, group, tag, line } => {
                w.byte(5);
                w.text(service);
                w.text(group);
                w.byte(*tag);
                w.bytes(line);
            }
            Self::KillAll => w.byte(6),
        }
        w.finish()
    }

    /// The request of a frame without its length, and its id.
    ///
    /// # Errors
    /// The bytes are no request.
    pub fn decode(frame: &[u8]) -> Result<(u64, Self), WireError> {
        let mut r = FrameReader::new(frame);
        let id = r.number()?;
        let request = match r.byte()? {
            0 => Self::Hello { version: r.small()? },
            1 => Self::Spawn(Box::new(Launch::read(&mut r)?)),
            2 => Self::Adopt { service: r.text()?, pid: r.small()? },
            3 => Self::Signal { service: r.text()?, pid: r.small()?, kill: r.flag()? },
            4 => Self::Lease { service: r.text()?, pid: r.small()?, deadline_ms: r.optional()? },
            5 => {
                Self::Log { service: r.text()?, group: r.text()?, tag: r.byte()?, line: r.bytes()?.to_vec() }
            }
            6 => Self::KillAll,
            value => return Err(WireError::Unknown { what: "request", value: value.into() }),
        };
        r.end()?;
        Ok((id, request))
    }
}

impl Launch {
    fn write(&self, w: &mut FrameWriter) {
        w.text(&self.service);
        w.text(&self.group);
        w.text(&self.ident);
        w.path(&self.program);
        w.path(&self.dir);
        w.length(self.env.len());
        for (name, value) in &self.env {
            w.os(name);
            w.os(value);
        }
        w.path(&self.pid_file);
        w.number(self.stop_signal.into());
        w.number(self.stop_timeout_ms);
        w.byte(self.owner.is_some().into());
        if let Some(owner) = &self.owner {
            w.number(owner.uid.into());
            w.number(owner.gid.into());
            w.length(owner.groups.len());
            owner.groups.iter().for_each(|group| w.number((*group).into()));
        }
        w.optional(self.nofile);
        w.optional(self.limits.memory_bytes);
        w.optional(self.limits.cpu_millis);
        w.optional(self.limits.pids);
    }

    fn read(r: &mut FrameReader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            service: r.text()?,
            group: r.text()?,
            ident: r.text()?,
            program: r.path()?,
            dir: r.path()?,
            env: r.list(|r| Ok((r.os()?, r.os()?)))?,
            pid_file: r.path()?,
            stop_signal: r.small()?,
            stop_timeout_ms: r.number()?,
            owner: match r.flag()? {
                false => None,
                true => Some(Owner { uid: r.small()?, gid: r.small()?, groups: r.list(FrameReader::small)? }),
            },
            nofile: r.optional()?,
            limits: Limits { memory_bytes: r.optional()?, cpu_millis: r.optional()?, pids: r.optional()? },
        })
    }
}

impl Message {
    /// The frame of this message.
    ///
    /// # Errors
    /// It is longer than a frame may be.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut w = FrameWriter::new();
        match self {
            Self::Answer { id, answer } => {
                w.byte(0);
                w.number(*id);
                answer.write(&mut w);
            }
            Self::Exited { service, pid, status } => {
                w.byte(1);
                w.text(service);
                w.number((*pid).into());
                let (kind, value) = match status {
                    ExitStatus::Code(code) => (0, code.cast_unsigned()),
                    ExitStatus::Signal(signal) => (1, signal.cast_unsigned()),
                    ExitStatus::Unknown => (2, 0),
                };
                w.byte(kind);
                w.number(value.into());
            }
        }
        w.finish()
    }

    /// The message of a frame without its length.
    ///
    /// # Errors
    /// The bytes are no message.
    pub fn decode(frame: &[u8]) -> Result<Self, WireError> {
        let mut r = FrameReader::new(frame);
        let message = match r.byte()? {
            0 => Self::Answer { id: r.number()?, answer: Answer::read(&mut r)? },
            1 => {
                let (service, pid) = (r.text()?, r.small()?);
                let (kind, value) = (r.byte()?, r.small()?.cast_signed());
                let status = match kind {
                    0 => ExitStatus::Code(value),
                    1 => ExitStatus::Signal(value),
                    2 => ExitStatus::Unknown,
                    kind => return Err(WireError::Unknown { what: "exit status", value: kind.into() }),
                };
                Self::Exited { service, pid, status }
            }
            value => return Err(WireError::Unknown { what: "message", value: value.into() }),
        };
        r.end()?;
        Ok(message)
    }
}

impl Answer {
    fn write(&self, w: &mut FrameWriter) {
        match self {
            Self::Welcome { version, boot_id, held } => {
                w.byte(0);
                w.number((*version).into());
                w.text(boot_id);
                w.length(held.len());
                for process in held {
                    w.text(&process.service);
                    w.text(&process.group);
                    w.text(&process.ident);
                    w.number(process.pid.into());
                    w.number(process.start_ticks);
                    w.number(process.since_ms);
                    w.byte(process.ended.into());
                }
            }
            Self::Started { pid } => {
                w.byte(1);
                w.number((*pid).into());
            }
            Self::Failed { busy, reason } => {
                w.byte(2);
                w.byte((*busy).into());
                w.text(reason);
            }
            Self::Done => w.byte(3),
        }
    }

    fn read(r: &mut FrameReader<'_>) -> Result<Self, WireError> {
        Ok(match r.byte()? {
            0 => Self::Welcome { version: r.small()?, boot_id: r.text()?, held: r.list(Held::read)? },
            1 => Self::Started { pid: r.small()? },
            2 => Self::Failed { busy: r.flag()?, reason: r.text()? },
            3 => Self::Done,
            value => return Err(WireError::Unknown { what: "answer", value: value.into() }),
        })
    }
}

impl Held {
    fn read(r: &mut FrameReader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            service: r.text()?,
            group: r.text()?,
            ident: r.text()?,
            pid: r.small()?,
            start_ticks: r.number()?,
            since_ms: r.number()?,
            ended: r.flag()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::{FRAME_BYTES_MAX, complete_frame};
    use super::*;

    fn launch() -> impl Strategy<Value = Launch> {
        let owner = prop::option::of((any::<u32>(), any::<u32>(), prop::collection::vec(any::<u32>(), 0..4)));
        let limits = (any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<u64>>());
        let texts =
            ("\\PC{0,9}", "\\PC{0,9}", "\\PC{0,9}", prop::collection::vec(("\\PC{0,5}", "\\PC{0,5}"), 0..4));
        (texts, owner, limits, any::<u32>(), any::<u64>()).prop_map(
            |((service, group, path, env), owner, (memory_bytes, cpu_millis, pids), small, large)| Launch {
                ident: format!("test/{service}"),
                service,
                group,
                program: path.clone().into(),
                dir: path.clone().into(),
                env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                pid_file: path.into(),
                stop_signal: small,
                stop_timeout_ms: large,
                owner: owner.map(|(uid, gid, groups)| Owner { uid, gid, groups }),
                nofile: memory_bytes,
                limits: Limits { memory_bytes, cpu_millis, pids },
            },
        )
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            any::<u32>().prop_map(|version| Request::Hello { version }),
            launch().prop_map(|launch| Request::Spawn(Box::new(launch))),
            ("\\PC{0,9}", any::<u32>()).prop_map(|(service, pid)| Request::Adopt { service, pid }),
            ("\\PC{0,9}", any::<u32>(), any::<bool>()).prop_map(|(service, pid, kill)| Request::Signal {
                service,
                pid,
                kill
            }),
            ("\\PC{0,9}", any::<u32>(), any::<Option<u64>>())
                .prop_map(|(service, pid, deadline_ms)| Request::Lease { service, pid, deadline_ms }),
            ("\\PC{0,9}", any::<u8>(), prop::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(service, tag, line)| Request::Log { group: service.clone(), service, tag, line }),
            Just(Request::KillAll),
        ]
    }

    fn message() -> impl Strategy<Value = Message> {
        let status = prop_oneof![
            any::<i32>().prop_map(ExitStatus::Code),
            any::<i32>().prop_map(ExitStatus::Signal),
            Just(ExitStatus::Unknown),
        ];
        let held = ("\\PC{0,9}", any::<u32>(), any::<u64>(), any::<bool>()).prop_map(
            |(service, pid, number, ended)| Held {
                group: format!("{service}.default"),
                ident: format!("test/{service}"),
                service,
                pid,
                start_ticks: number,
                since_ms: number,
                ended,
            },
        );
        let answer = prop_oneof![
            (any::<u32>(), "\\PC{0,9}", prop::collection::vec(held, 0..4))
                .prop_map(|(version, boot_id, held)| Answer::Welcome { version, boot_id, held }),
            any::<u32>().prop_map(|pid| Answer::Started { pid }),
            (any::<bool>(), "\\PC{0,9}").prop_map(|(busy, reason)| Answer::Failed { busy, reason }),
            Just(Answer::Done),
        ];
        prop_oneof![
            (any::<u64>(), answer).prop_map(|(id, answer)| Message::Answer { id, answer }),
            ("\\PC{0,9}", any::<u32>(), status).prop_map(|(service, pid, status)| Message::Exited {
                service,
                pid,
                status
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(request in request(), message in message(), id: u64) {
            let frame = request.encode(id).expect("short");
            prop_assert_eq!(complete_frame(&frame), Ok(Some(frame.len() - 4)));
            prop_assert_eq!(complete_frame(&frame[..frame.len() - 1]), Ok(None));
            prop_assert_eq!(Request::decode(&frame[4..]), Ok((id, request)));
            let frame = message.encode().expect("short");
            prop_assert_eq!(Message::decode(&frame[4..]), Ok(message));
        }

        #[test]
        fn a_frame_that_was_cut_or_goes_on_is_refused(request in request(), message in message(), cut: prop::sample::Index) {
            let frame = request.encode(7).expect("short");
            let body = &frame[4..];
            prop_assert!(Request::decode(&body[..cut.index(body.len())]).is_err());
            prop_assert!(Request::decode(&[body, &[0]].concat()).is_err());
            let frame = message.encode().expect("short");
            let body = &frame[4..];
            prop_assert!(Message::decode(&body[..cut.index(body.len())]).is_err());
            prop_assert!(Message::decode(&[body, &[0]].concat()).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = complete_frame(&bytes);
            let _ = Request::decode(&bytes);
            let _ = Message::decode(&bytes);
        }
    }

    #[test]
    fn lengths_that_nobody_may_have_are_refused_before_memory_is_taken() {
        assert_eq!(complete_frame(&u32::MAX.to_le_bytes()), Err(WireError::TooLong(0xffff_ffff)));
        let line = vec![0; FRAME_BYTES_MAX];
        let long =
            Request::Log { service: "web".to_owned(), group: "web.default".to_owned(), tag: b'H', line };
        assert!(matches!(long.encode(1), Err(WireError::TooLong(_))));
    }
}
