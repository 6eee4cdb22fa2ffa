//! Why commands fail: a closed list, with the message and the exit code of each. Prints nothing.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::depot::Error as DepotError;
use crate::gateway::ctl::client::ClientError;
use crate::gateway::ctl::secret::SecretError;
use crate::host::exit;
use crate::host::root::RootError;
use crate::keys::KeyError;
use crate::package::Error as PackageError;
use crate::prepare::Error as PrepareError;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum CliError {
    /// There is no root directory.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The supervisor refused, or could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A member that was named by its address for gossip takes no commands there.
    #[error(
        "no supervisor answers at {addr}, the ctl gateway of --peer {peer}: it listens on its own host alone unless it is started \
         with --listen-ctl (`annulus sup run --listen-ctl 0.0.0.0:9632`, which wants --ring or TLS); or name a member that does, \
         or its gateway with --remote-sup HOST:PORT"
    )]
    NoCtlAtPeer {
        /// The member, as it was named.
        peer: String,
        /// Where its gateway was looked for.
        addr: String,
    },
    /// The ctl secret cannot be read or made.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No supervisor holds the lock of this root and name.
    #[error(
        "no supervisor named {name:?} runs with the root {root}; start one with `annulus sup run`, \
         or name another with --root and --override-name"
    )]
    NotRunning {
        /// The root directory.
        root: PathBuf,
        /// The supervisor's name.
        name: String,
    },
    /// This service has never run here.
    #[error(
        "service {service} has never run below {root}, so there is no log of it; `annulus svc status` lists the services"
    )]
    NoLog {
        /// The service.
        service: String,
        /// The root directory.
        root: PathBuf,
    },
    /// The supervisor on another host has a secret of its own, which this command was not given.
    #[error(
        "no ctl secret for {addr}: set HAB_CTL_SECRET to the content of <root>/sup/<name>/CTL_SECRET on its host"
    )]
    NoSecret {
        /// The supervisor's ctl address.
        addr: String,
    },
    /// The supervisor was told to end and still runs.
    #[error(
        "process {pid} was told to end {seconds} seconds ago and still runs; `annulus sup term` again hurries it"
    )]
    StillRunning {
        /// Its pid.
        pid: i32,
        /// How long it has been.
        seconds: u64,
    },
    /// No other supervisor has taken over after a restart.
    #[error(
        "no other supervisor has taken over from process {pid} within {seconds} seconds; the log of `annulus sup run` \
         says why, and the services go on"
    )]
    NotRestarted {
        /// The pid of the supervisor that was to be replaced.
        pid: u32,
        /// How long it has been.
        seconds: u64,
    },
    /// A lock file holds no pid.
    #[error("{path} is locked but names no process: {text:?}")]
    LockFile {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
    },
    /// A process could not be signalled.
    #[error("process {pid} cannot be signalled: {source}; run this as the user that runs the supervisor")]
    Signal {
        /// Its pid.
        pid: i32,
        /// The error of the operating system.
        source: nix::Error,
    },
    /// Another program could not be run.
    #[error("{program} cannot be run: {source}; {hint}")]
    Program {
        /// The program.
        program: PathBuf,
        /// The error of the operating system.
        source: io::Error,
        /// What the user can do.
        hint: &'static str,
    },
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The ring has a version with this number or a higher one.
    #[error("nothing was changed: {0}")]
    OldVersion(String),
    /// A version is on disk and spreading, and it is not in effect on every alive member in time.
    #[error(
        "it is stored and spreading, but after {seconds} s it is not in effect on these alive members:\n  {members}"
    )]
    NotApplied {
        /// How long the command waited.
        seconds: u64,
        /// Those members, and what is in the way.
        members: String,
    },
    /// A service was restarted and does not run again in time.
    #[error(
        "{ident} does not run again after {seconds} s: it is {state}{why}; `annulus svc log {ident}` shows what it said"
    )]
    NotRunningAgain {
        /// The service's package.
        ident: String,
        /// How long the command waited.
        seconds: u64,
        /// Its state.
        state: String,
        /// What is known of the reason.
        why: String,
    },
    /// A version was accepted, but another one counts instead.
    #[error("not in effect: {0}")]
    Overtaken(String),
    /// No operator has given the group a version.
    #[error(
        "there is no {what} of {group} at this supervisor; `annulus config apply` and `annulus file upload` make one"
    )]
    NoVersion {
        /// Configuration, or the name of a file.
        what: String,
        /// The group.
        group: String,
    },
    /// A package could not be read or installed.
    #[error(transparent)]
    Package(#[from] crate::package::Error),
    /// A package's templates, configuration or hooks are wrong.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key of the ring cannot be used.
    #[error(transparent)]
    Ring(#[from] crate::keys::RingError),
    /// Something cannot be sealed.
    #[error(transparent)]
    Seal(#[from] crate::keys::SealError),
    /// The supervisor does not start.
    #[error(transparent)]
    Start(#[from] crate::sup_run::StartError),
    /// A file or socket of this command failed.
    #[error("{what}: {source}")]
    Io {
        /// The action that failed.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A depot refuses, or cannot be asked.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// An address cannot be listened on.
    #[error(
        "{address} cannot be listened on: {source}; name another one with --listen, or end what listens there"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The demonstration failed.
    #[error("the demonstration failed: {0}")]
    Demo(String),
    /// The system gives no runtime for asynchronous work.
    #[error("the asynchronous runtime cannot start: {0}")]
    Runtime(io::Error),
}

impl CliError {
    /// For `map_err`: makes an error of the thing that was done and what the system said.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning { .. }
            | Self::NoCtlAtPeer { .. }
            | Self::Client(ClientError::NotRunning { .. }) => exit::NO_SUPERVISOR,
            Self::Client(
                ClientError::Unauthorized { .. }
                | ClientError::NotPermitted { .. }
                | ClientError::Tls { .. }
                | ClientError::Ring { .. },
            )
            | Self::NoSecret { .. } => exit::UNAUTHORIZED,
            Self::Secret(SecretError::Entropy(_)) => exit::FAILED,
            Self::Secret(_) => exit::UNAUTHORIZED,
            Self::Package(PackageError::NotInstalled { .. } | PackageError::Nowhere { .. }) => {
                exit::NOT_LOADED
            }
            // The code of the failed hook is passed on (as in Habitat).
            Self::Prepare(PrepareError::Hook { code, .. }) => *code,
            Self::Client(error) if error.is_not_found() => exit::NOT_LOADED,
            Self::Client(error) if error.is_invalid() => exit::USAGE,
            Self::Client(error) if error.is_not_stored() => exit::NOT_STORED,
            Self::NoLog { .. } => exit::NOT_LOADED,
            Self::Start(error) => error.exit_code(),
            Self::Root(_) => exit::ROOT,
            Self::Usage(_) | Self::Ring(_) | Self::Key(KeyError::Name { .. } | KeyError::RingName { .. }) => {
                exit::USAGE
            }
            Self::OldVersion(_) => exit::OLD_VERSION,
            Self::NotApplied { .. } | Self::NotRunningAgain { .. } | Self::Overtaken(_) => exit::NOT_APPLIED,
            Self::NoVersion { .. } => exit::NOT_LOADED,
            Self::Listen { .. } => exit::LISTEN,
            Self::Depot(error) => of_depot(error),
            _ => exit::FAILED,
        }
    }
}

/// The exit code for what a depot says, or does not.
fn of_depot(error: &DepotError) -> u8 {
    match error {
        DepotError::NotFound(_) | DepotError::Answer { status: 404, .. } => exit::NOT_LOADED,
        DepotError::NoDepot
        | DepotError::Url { .. }
        | DepotError::Channel { .. }
        | DepotError::Origin { .. }
        | DepotError::Target { .. }
        | DepotError::BadRequest(_) => exit::USAGE,
        DepotError::Answer { status: 401 | 403, .. } => exit::UNAUTHORIZED,
        _ => exit::FAILED,
    }
}
