//! The messages between a supervisor and its launcher, as this program uses them. Knows nothing of bytes, which are
//! the concern of `proto` and `convert`.
//!
//! The supervisor asks, each request with an id of its own. The launcher answers with that id, and reports unasked
//! when a process ended that this supervisor started or adopted. Which messages the other end knows is agreed upon in
//! the greeting (`version`).

use std::ffi::OsString;
use std::path::PathBuf;

use annulus_core::{ExitStatus, Health};

use super::version::Versions;
use crate::host::capabilities::Capabilities;

/// The user that a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The first group's number.
    pub gid: u32,
    /// All groups' numbers.
    pub groups: Vec<u32>,
}

/// Limits of a service on its host; an absent one limits nothing.
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
    /// All its variables.
    pub env: Vec<(OsString, OsString)>,
    /// Holds the pid while the process runs.
    pub pid_file: PathBuf,
    /// The number of the polite signal.
    pub stop_signal: u32,
    /// How long a polite stop may take when no supervisor is there to decide, in milliseconds.
    pub stop_timeout_ms: u64,
    /// The user that it runs as; none for the launcher's own user.
    pub owner: Option<Owner>,
    /// The capabilities that it keeps; of version 3.
    pub capabilities: Capabilities,
    /// Highest number of open files.
    pub nofile: Option<u64>,
    /// Limits of its control group.
    pub limits: Limits,
    /// What its guard holds before the process runs; of version 3.
    pub lease: Option<Lease>,
    /// The restarts of the service so far, for the supervisor that adopts the process.
    pub restarts: u32,
}

/// The time for which a service's processes may act as the leader of their group, as a guard keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When the guard kills the whole tree, in milliseconds since boot.
    pub kill_at_ms: u64,
    /// The right to go on leading after a restart of the supervisor.
    pub resume: Option<Resume>,
}

/// The right to go on leading after a restart of the supervisor, in the memory of a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The member that leads.
    pub member: [u8; 16],
    /// The group that it leads.
    pub group: String,
    /// The term that it won.
    pub term: u64,
    /// When its lease ends, in milliseconds since boot.
    pub until_ms: u64,
}

/// A hook to run below a service's guard. Two descriptors come with the request: its output and its errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookLaunch {
    /// The service.
    pub service: String,
    /// The program.
    pub program: PathBuf,
    /// Its working directory.
    pub dir: PathBuf,
    /// All its variables.
    pub env: Vec<(OsString, OsString)>,
    /// The user that it runs as; none for the launcher's own user.
    pub owner: Option<Owner>,
    /// The capabilities that it keeps; of version 3.
    pub capabilities: Capabilities,
    /// It is killed after this time with all that it started, in milliseconds.
    pub timeout_ms: u64,
    /// What its guard holds before it runs, unless it holds the lease of a process already; of version 4.
    pub lease: Option<Lease>,
}

/// A request of a supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Greets; the first request on each connection. Answered by `Welcome` or `Refused`.
    Hello {
        /// The versions of the messages that this supervisor speaks.
        versions: Versions,
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
    /// Signal all processes of a service, if its tree has not ended: `Done`. The polite signal ends its hooks.
    Signal {
        /// The service.
        service: String,
        /// Its process.
        pid: u32,
        /// Whether to send KILL instead of the polite signal.
        kill: bool,
    },
    /// Kill the service's tree at a point in time unless another lease comes before: `Done`. For supervisors of version 2;
    /// later ones write into the guard's page.
    Lease {
        /// The service.
        service: String,
        /// Its process.
        pid: u32,
        /// That time, in milliseconds since boot; none ends the lease, and the process lives on.
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
    /// Kill every service's tree: `Done`.
    KillAll,
    /// Run a hook below the service's guard: `HookEnded` when nothing of it is left, or `Failed`. Of version 3. One that has
    /// a lease is answered by `Started` before that, with its guard's descriptors.
    Hook(Box<HookLaunch>),
    /// Kill a hook and all that it started: `Done`. Of version 3.
    EndHook {
        /// The service.
        service: String,
        /// The id of the request for the hook.
        hook: u64,
    },
    /// Make the directory of a service this supervisor's, before anything is written there: `Done`, or `Failed` when
    /// another supervisor of the root has it. A launcher that does not know this answers `Unknown`, and two supervisors
    /// are not kept apart then.
    Claim {
        /// The service.
        service: String,
    },
    /// Let the directory go, once nothing of the service runs: `Done`.
    Release {
        /// The service.
        service: String,
    },
    /// Keep what was found of a process for the supervisor that adopts it: `Done`. A launcher that does not know this
    /// answers `Unknown`, and nothing is known of an adopted process until it is checked.
    Checked {
        /// The service.
        service: String,
        /// Its process.
        pid: u32,
        /// How it is.
        health: Health,
    },
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
    /// Whether it ended while no supervisor was there; the supervisor that adopts it is told how.
    pub ended: bool,
    /// The right to go on leading that its guard holds; of version 3.
    pub resume: Option<Resume>,
    /// The restarts of the service when it was started.
    pub restarts: u32,
    /// How long its polite stop may take, in milliseconds; zero from a launcher that does not say so.
    pub stop_timeout_ms: u64,
    /// What was last found of it, if a supervisor said so.
    pub health: Option<Health>,
}

/// The answers of a launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The processes that the launcher holds, and the boot of the host that they belong to.
    Welcome {
        /// The version of the messages that is spoken on this connection.
        version: u32,
        /// All versions that this launcher speaks.
        versions: Versions,
        /// `/proc/sys/kernel/random/boot_id`.
        boot_id: String,
        /// The processes.
        held: Vec<Held>,
    },
    /// No version is spoken by both; the launcher closes the connection.
    Refused {
        /// The versions that this launcher speaks.
        versions: Versions,
    },
    /// The launcher does not know this request and did nothing.
    Unknown,
    /// The process runs.
    Started {
        /// Its pid.
        pid: u32,
        /// Whether two descriptors come with this answer: the page of the service's guard, and what wakes it. Of version 3.
        guarded: bool,
    },
    /// The process does not run.
    Failed {
        /// Whether another process still has the program open for writing, so that another try is worth it.
        busy: bool,
        /// The reason, in words.
        reason: String,
    },
    /// Done.
    Done,
    /// The hook ran, and nothing of it is left.
    HookEnded {
        /// How it ended.
        status: ExitStatus,
        /// Whether it was killed at its deadline.
        timed_out: bool,
    },
}

/// A message of a launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The answer to a request.
    Answer {
        /// The request's id.
        id: u64,
        /// The answer itself.
        answer: Answer,
    },
    /// A service ended: no process of its tree is left.
    Exited {
        /// The service.
        service: String,
        /// Its first process.
        pid: u32,
        /// How that one ended.
        status: ExitStatus,
    },
}
