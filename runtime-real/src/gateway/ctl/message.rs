//! The messages of the ctl gateway, with Habitat's names and field numbers. Fields from 100 on exist in Annulus only;
//! Habitat's programs skip them. Nothing is checked here: `convert` does that.

use prost::Message;

/// A message that carries its name on the wire.
pub trait CtlMessage: Message + Default {
    /// The message id.
    const ID: &'static str;
}

macro_rules! named {
    ($($name:ident),+ $(,)?) => { $(impl CtlMessage for $name { const ID: &'static str = stringify!($name); })+ };
}

named!(
    Handshake,
    NetOk,
    NetErr,
    ConsoleLine,
    SupDepart,
    SupReset,
    SupRestart,
    SvcLoad,
    SvcUnload,
    SvcStart,
    SvcStop,
    SvcUpdate,
    SvcDrain,
    SvcUndrain,
    SvcMaintain,
    SvcStatus,
    ServiceStatus,
    SpecProblems,
    SpecProblem,
    SupProblems,
    SupProblem,
);

/// Opens a connection.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Handshake {
    /// The shared secret, as in the file `CTL_SECRET`.
    #[prost(string, optional, tag = "1")]
    pub secret_key: Option<String>,
}

/// The request is done.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct NetOk {}

/// The request was not done.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NetErr {
    /// The kind of failure.
    #[prost(enumeration = "ErrCode", required, tag = "1")]
    pub code: i32,
    /// The reason, in words.
    #[prost(string, required, tag = "2")]
    pub msg: String,
    /// Annulus only: the version that is current, when a version was not higher.
    #[prost(uint64, optional, tag = "100")]
    pub current_version: Option<u64>,
    /// Annulus only: the service is stopped all the same, but the disk has not taken that.
    #[prost(bool, optional, tag = "101")]
    pub stopped: Option<bool>,
}

impl NetErr {
    /// A failure of this kind.
    #[must_use]
    pub fn new(code: ErrCode, msg: impl Into<String>) -> Self {
        Self { code: code.into(), msg: msg.into(), current_version: None, stopped: None }
    }
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum ErrCode {
    /// The supervisor's own fault.
    Internal = 0,
    /// Disk or network.
    Io = 1,
    /// No such service, member or package.
    NotFound = 2,
    /// The thing exists already, or the request does not fit the present state.
    Conflict = 3,
    /// The secret is wrong.
    Unauthorized = 4,
    /// This supervisor cannot do that.
    NotSupported = 5,
    /// The bytes are not the message that the name says.
    BadPayload = 6,
    /// The message holds a value that is not allowed.
    InvalidPayload = 7,
    /// Too large, or a limit is reached.
    EntityTooLarge = 8,
    /// The client is too old.
    UpdateClient = 9,
    /// TLS could not be agreed on.
    TlsHandshakeFailed = 10,
}

/// A line for the operator's terminal, ahead of the final answer.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConsoleLine {
    /// The text.
    #[prost(string, required, tag = "1")]
    pub line: String,
    /// A colour's name.
    #[prost(string, optional, tag = "2")]
    pub color: Option<String>,
    /// Whether it is to stand out.
    #[prost(bool, required, tag = "3")]
    pub bold: bool,
}

/// Bans a member.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SupDepart {
    /// 32 hex digits.
    #[prost(string, optional, tag = "1")]
    pub member_id: Option<String>,
}

/// Lifts the ban of a member.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SupReset {
    /// 32 hex digits.
    #[prost(string, optional, tag = "1")]
    pub member_id: Option<String>,
}

/// Asks for a restart of the supervisor; its services go on.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SupRestart {}

/// A package ident in parts.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PackageIdent {
    /// The origin that made it.
    #[prost(string, required, tag = "1")]
    pub origin: String,
    /// Its name.
    #[prost(string, required, tag = "2")]
    pub name: String,
    /// Its version.
    #[prost(string, optional, tag = "3")]
    pub version: Option<String>,
    /// Its release: 14 digits.
    #[prost(string, optional, tag = "4")]
    pub release: Option<String>,
}

/// A service group in parts.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ServiceGroup {
    /// The service.
    #[prost(string, required, tag = "1")]
    pub service: String,
    /// The group.
    #[prost(string, required, tag = "2")]
    pub group: String,
    /// The organization.
    #[prost(string, optional, tag = "4")]
    pub organization: Option<String>,
}

/// A bind's name and the group it is bound to.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ServiceBind {
    /// The bind's name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// The group.
    #[prost(message, required, tag = "2")]
    pub service_group: ServiceGroup,
}

/// Binds; absent means "leave them as they are".
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ServiceBindList {
    /// The binds.
    #[prost(message, repeated, tag = "1")]
    pub binds: Vec<ServiceBind>,
}

/// Time between health checks.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct HealthCheckInterval {
    /// In seconds.
    #[prost(uint64, required, tag = "1")]
    pub seconds: u64,
}

/// Loads a service.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcLoad {
    /// The package to run.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
    /// The groups that its binds are bound to.
    #[prost(message, optional, tag = "3")]
    pub binds: Option<ServiceBindList>,
    /// The package store's address.
    #[prost(string, optional, tag = "6")]
    pub bldr_url: Option<String>,
    /// Where updates come from.
    #[prost(string, optional, tag = "7")]
    pub bldr_channel: Option<String>,
    /// A directory to take configuration and hooks from.
    #[prost(string, optional, tag = "8")]
    pub config_from: Option<String>,
    /// Whether to replace the options of a loaded service.
    #[prost(bool, optional, tag = "9")]
    pub force: Option<bool>,
    /// The group's name.
    #[prost(string, optional, tag = "10")]
    pub group: Option<String>,
    /// Not used: services run as a local user.
    #[prost(string, optional, tag = "11")]
    pub svc_encrypted_password: Option<String>,
    /// Standalone 0, leader 1.
    #[prost(int32, optional, tag = "12")]
    pub topology: Option<i32>,
    /// None 0, at-once 1, rolling 2.
    #[prost(int32, optional, tag = "13")]
    pub update_strategy: Option<i32>,
    /// Relaxed 0, strict 1.
    #[prost(int32, optional, tag = "14")]
    pub binding_mode: Option<i32>,
    /// Time between health checks.
    #[prost(message, optional, tag = "15")]
    pub health_check_interval: Option<HealthCheckInterval>,
    /// Seconds until a stopping service is killed.
    #[prost(uint32, optional, tag = "16")]
    pub shutdown_timeout: Option<u32>,
    /// Latest 0, track-channel 1.
    #[prost(int32, optional, tag = "17")]
    pub update_condition: Option<i32>,
    /// Annulus only: how many members an election counts at least; 0 means the default.
    #[prost(uint32, optional, tag = "100")]
    pub quorum: Option<u32>,
}

/// Stops and forgets a service.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcUnload {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
    /// Seconds until it is killed.
    #[prost(uint32, optional, tag = "3")]
    pub timeout_in_seconds: Option<u32>,
    /// Annulus only: seconds that draining may take.
    #[prost(uint32, optional, tag = "100")]
    pub drain_timeout_in_seconds: Option<u32>,
    /// Annulus only: whether it is stopped at once, without draining.
    #[prost(bool, optional, tag = "101")]
    pub no_drain: Option<bool>,
}

/// Wants a loaded service up.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcStart {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
}

/// Wants a loaded service down.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcStop {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
    /// Seconds until it is killed.
    #[prost(uint32, optional, tag = "3")]
    pub timeout_in_seconds: Option<u32>,
    /// Annulus only: seconds that draining may take.
    #[prost(uint32, optional, tag = "100")]
    pub drain_timeout_in_seconds: Option<u32>,
    /// Annulus only: whether it is stopped at once, without draining.
    #[prost(bool, optional, tag = "101")]
    pub no_drain: Option<bool>,
}

/// Changes some options of a loaded service; what is absent stays.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcUpdate {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
    /// The groups that its binds are bound to.
    #[prost(message, optional, tag = "2")]
    pub binds: Option<ServiceBindList>,
    /// Relaxed 0, strict 1.
    #[prost(int32, optional, tag = "3")]
    pub binding_mode: Option<i32>,
    /// The package store's address.
    #[prost(string, optional, tag = "4")]
    pub bldr_url: Option<String>,
    /// Where updates come from.
    #[prost(string, optional, tag = "5")]
    pub bldr_channel: Option<String>,
    /// The group's name.
    #[prost(string, optional, tag = "6")]
    pub group: Option<String>,
    /// Not used: services run as a local user.
    #[prost(string, optional, tag = "7")]
    pub svc_encrypted_password: Option<String>,
    /// Standalone 0, leader 1.
    #[prost(int32, optional, tag = "8")]
    pub topology: Option<i32>,
    /// None 0, at-once 1, rolling 2.
    #[prost(int32, optional, tag = "9")]
    pub update_strategy: Option<i32>,
    /// Time between health checks.
    #[prost(message, optional, tag = "10")]
    pub health_check_interval: Option<HealthCheckInterval>,
    /// Seconds until a stopping service is killed.
    #[prost(uint32, optional, tag = "11")]
    pub shutdown_timeout: Option<u32>,
    /// Latest 0, track-channel 1.
    #[prost(int32, optional, tag = "12")]
    pub update_condition: Option<i32>,
    /// Annulus only: a directory to take configuration and hooks from; empty means the package's own.
    #[prost(string, optional, tag = "100")]
    pub config_from: Option<String>,
    /// Annulus only: how many members an election counts at least; 0 means the default.
    #[prost(uint32, optional, tag = "101")]
    pub quorum: Option<u32>,
    /// Annulus only: the build that is to run, fully qualified.
    #[prost(message, optional, tag = "102")]
    pub to: Option<PackageIdent>,
}

/// Annulus only: lets a service take no new work.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcDrain {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
    /// Seconds that its drain hook and the work in flight are waited for.
    #[prost(uint32, optional, tag = "3")]
    pub timeout_in_seconds: Option<u32>,
}

/// Annulus only: lets a drained service take work again.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcUndrain {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
}

/// Annulus only: puts a service into maintenance, or ends it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcMaintain {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
    /// The reason; an absent one ends the maintenance.
    #[prost(string, optional, tag = "2")]
    pub reason: Option<String>,
}

/// Annulus only: asks for the spec files that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SpecProblems {}

/// Annulus only: one spec file that cannot be used.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SpecProblem {
    /// The file.
    #[prost(string, required, tag = "1")]
    pub path: String,
    /// The reason, in words.
    #[prost(string, required, tag = "2")]
    pub reason: String,
    /// The service that the file's name stands for, if it stands for one.
    #[prost(string, optional, tag = "3")]
    pub service: Option<String>,
}

/// Annulus only: asks what keeps the supervisor itself from its work.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SupProblems {}

/// Annulus only: one thing that does.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SupProblem {
    /// What it is, in words.
    #[prost(string, required, tag = "1")]
    pub reason: String,
}

/// Annulus only: a hook that runs.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RunningHook {
    /// Which hook.
    #[prost(string, required, tag = "1")]
    pub hook: String,
    /// How long it has run, in milliseconds.
    #[prost(uint64, required, tag = "2")]
    pub elapsed_ms: u64,
    /// It is killed after this time, in milliseconds.
    #[prost(uint64, required, tag = "3")]
    pub limit_ms: u64,
}

/// Annulus only: something that stands between the wanted and the running state of a service.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Obstacle {
    /// Its kind, a word.
    #[prost(string, required, tag = "1")]
    pub kind: String,
    /// The hook that failed; absent for other kinds.
    #[prost(string, optional, tag = "2")]
    pub hook: Option<String>,
    /// What it is and what follows.
    #[prost(string, required, tag = "3")]
    pub what: String,
}

/// Asks for one service, or all of them.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SvcStatus {
    /// The service; all services when it is absent.
    #[prost(message, optional, tag = "1")]
    pub ident: Option<PackageIdent>,
}

/// The state of a service's process.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ProcessStatus {
    /// Seconds in this state.
    #[prost(int64, optional, tag = "1")]
    pub elapsed: Option<i64>,
    /// Its pid, while it has one.
    #[prost(uint32, optional, tag = "2")]
    pub pid: Option<u32>,
    /// Down 0, up 1.
    #[prost(int32, required, tag = "3")]
    pub state: i32,
}

/// One service.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ServiceStatus {
    /// The package that runs, or should run.
    #[prost(message, required, tag = "1")]
    pub ident: PackageIdent,
    /// Its process.
    #[prost(message, optional, tag = "2")]
    pub process: Option<ProcessStatus>,
    /// Its group.
    #[prost(message, required, tag = "3")]
    pub service_group: ServiceGroup,
    /// None -1, down 0, up 1.
    #[prost(int32, optional, tag = "5")]
    pub desired_state: Option<i32>,
    /// Annulus only: loaded, waiting, starting, up, stopping, down, backoff or failed.
    #[prost(string, optional, tag = "100")]
    pub state: Option<String>,
    /// Annulus only: restarts since it was loaded or started.
    #[prost(uint32, optional, tag = "101")]
    pub restarts: Option<u32>,
    /// Annulus only: how its process ended last.
    #[prost(string, optional, tag = "102")]
    pub last_exit: Option<String>,
    /// Annulus only: why the last start failed.
    #[prost(string, optional, tag = "103")]
    pub last_error: Option<String>,
    /// Annulus only: milliseconds until the next start.
    #[prost(uint64, optional, tag = "104")]
    pub next_start_ms: Option<u64>,
    /// Annulus only: standalone or leader.
    #[prost(string, optional, tag = "105")]
    pub topology: Option<String>,
    /// Annulus only: ok, warning, unknown or critical.
    #[prost(string, optional, tag = "106")]
    pub health: Option<String>,
    /// Annulus only: what the last health check said.
    #[prost(string, optional, tag = "107")]
    pub health_note: Option<String>,
    /// Annulus only: whether it takes new work, as the ring is told.
    #[prost(bool, optional, tag = "108")]
    pub accepting: Option<bool>,
    /// Annulus only: whether it is being drained, or kept drained.
    #[prost(bool, optional, tag = "109")]
    pub draining: Option<bool>,
    /// Annulus only: why it is in maintenance.
    #[prost(string, optional, tag = "110")]
    pub maintenance: Option<String>,
    /// Annulus only: the condition that it waits for.
    #[prost(string, optional, tag = "111")]
    pub waiting_for: Option<String>,
    /// Annulus only: leader, follower or waiting, in a group that elects.
    #[prost(string, optional, tag = "112")]
    pub role: Option<String>,
    /// Annulus only: the file that its options are read from.
    #[prost(string, optional, tag = "113")]
    pub spec_file: Option<String>,
    /// Annulus only: the user that its processes run as, once it has been prepared.
    #[prost(string, optional, tag = "114")]
    pub user: Option<String>,
    /// Annulus only: the capabilities that they keep.
    #[prost(string, repeated, tag = "115")]
    pub capabilities: Vec<String>,
    /// Annulus only: the hooks that run now.
    #[prost(message, repeated, tag = "116")]
    pub hooks: Vec<RunningHook>,
    /// Annulus only: what stands between what is wanted of it and what runs. (117 and 118 were parts of it.)
    #[prost(message, repeated, tag = "119")]
    pub obstacles: Vec<Obstacle>,
    /// Annulus only: how its updates stand, for people.
    #[prost(string, repeated, tag = "120")]
    pub updates: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn field_numbers_are_habitats() {
        let ident = PackageIdent {
            origin: "o".into(),
            name: "n".into(),
            release: Some("r".into()),
            version: Some("v".into()),
        };
        assert_eq!(ident.encode_to_vec(), b"\x0a\x01o\x12\x01n\x1a\x01v\x22\x01r");
        let err = NetErr::new(ErrCode::Unauthorized, "x");
        assert_eq!(err.encode_to_vec(), b"\x08\x04\x12\x01x");
        let load = SvcLoad { group: Some("g".into()), update_condition: Some(1), ..SvcLoad::default() };
        assert_eq!(load.encode_to_vec(), b"\x52\x01g\x88\x01\x01");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = SvcLoad::decode(&bytes[..]);
            let _ = ServiceStatus::decode(&bytes[..]);
            let _ = Handshake::decode(&bytes[..]);
            let _ = NetErr::decode(&bytes[..]);
        }
    }
}
