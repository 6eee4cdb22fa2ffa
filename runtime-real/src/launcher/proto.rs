//! The messages between a launcher and its supervisor as protobuf, as they go over the socket. Checks
//! nothing: `convert` does.
//!
//! A field is never given another meaning, and its number never to another field. Unknown fields are skipped, and a
//! `oneof` of an unknown kind is empty.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(oneof = "Ask", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    pub(super) ask: Option<Ask>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Ask {
    #[prost(message, tag = "2")]
    Hello(Range),
    #[prost(message, boxed, tag = "3")]
    Spawn(Box<Launch>),
    #[prost(message, tag = "4")]
    Adopt(Process),
    #[prost(message, tag = "5")]
    Signal(Signal),
    #[prost(message, tag = "6")]
    Lease(Lease),
    #[prost(message, tag = "7")]
    Log(Log),
    #[prost(message, tag = "8")]
    KillAll(Nothing),
    #[prost(message, tag = "9")]
    Hook(HookLaunch),
    #[prost(message, tag = "10")]
    EndHook(EndHook),
    #[prost(message, tag = "11")]
    Claim(Named),
    #[prost(message, tag = "12")]
    Release(Named),
    #[prost(message, tag = "13")]
    Checked(Checked),
}

/// The finding of a health check: 1 ok, 2 warning, 3 critical, 4 unknown.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Checked {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
    #[prost(uint32, tag = "3")]
    pub(super) health: u32,
}

/// A request about a service that says no more.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// The versions that one end speaks.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Range {
    #[prost(uint32, tag = "1")]
    pub(super) min: u32,
    #[prost(uint32, tag = "2")]
    pub(super) max: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Launch {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) group: String,
    #[prost(string, tag = "3")]
    pub(super) ident: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) program: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) dir: Vec<u8>,
    #[prost(message, repeated, tag = "6")]
    pub(super) env: Vec<Variable>,
    #[prost(bytes = "vec", tag = "7")]
    pub(super) pid_file: Vec<u8>,
    #[prost(uint32, tag = "8")]
    pub(super) stop_signal: u32,
    #[prost(uint64, tag = "9")]
    pub(super) stop_timeout_ms: u64,
    #[prost(message, optional, tag = "10")]
    pub(super) owner: Option<Owner>,
    #[prost(uint64, optional, tag = "11")]
    pub(super) nofile: Option<u64>,
    #[prost(message, optional, tag = "12")]
    pub(super) limits: Option<Limits>,
    #[prost(message, optional, tag = "13")]
    pub(super) lease: Option<HeldLease>,
    /// One bit for each, at the kernel's number.
    #[prost(uint64, tag = "14")]
    pub(super) capabilities: u64,
    #[prost(uint32, tag = "15")]
    pub(super) restarts: u32,
}

/// A lease that a guard keeps; `Lease` is the request of version 2.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HeldLease {
    #[prost(uint64, tag = "1")]
    pub(super) kill_at_ms: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) resume: Option<Resume>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resume {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) member: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) group: String,
    #[prost(uint64, tag = "3")]
    pub(super) term: u64,
    #[prost(uint64, tag = "4")]
    pub(super) until_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HookLaunch {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) program: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) dir: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    pub(super) env: Vec<Variable>,
    #[prost(message, optional, tag = "5")]
    pub(super) owner: Option<Owner>,
    #[prost(uint64, tag = "6")]
    pub(super) timeout_ms: u64,
    #[prost(uint64, tag = "7")]
    pub(super) capabilities: u64,
    #[prost(message, optional, tag = "8")]
    pub(super) lease: Option<HeldLease>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EndHook {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(uint64, tag = "2")]
    pub(super) hook: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Variable {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Owner {
    #[prost(uint32, tag = "1")]
    pub(super) uid: u32,
    #[prost(uint32, tag = "2")]
    pub(super) gid: u32,
    #[prost(uint32, repeated, tag = "3")]
    pub(super) groups: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Limits {
    #[prost(uint64, optional, tag = "1")]
    pub(super) memory_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) cpu_millis: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) pids: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Process {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Signal {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
    #[prost(bool, tag = "3")]
    pub(super) kill: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Lease {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
    #[prost(uint64, optional, tag = "3")]
    pub(super) deadline_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Log {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) group: String,
    #[prost(uint32, tag = "3")]
    pub(super) tag: u32,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) line: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Say {
    #[prost(oneof = "Said", tags = "1, 2")]
    pub(super) said: Option<Said>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Said {
    #[prost(message, tag = "1")]
    Answer(Answer),
    #[prost(message, tag = "2")]
    Exited(Exited),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Answer {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(oneof = "What", tags = "2, 3, 4, 5, 6, 7, 8")]
    pub(super) what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum What {
    #[prost(message, tag = "2")]
    Welcome(Welcome),
    #[prost(message, tag = "3")]
    Refused(Range),
    #[prost(message, tag = "4")]
    Unknown(Nothing),
    #[prost(message, tag = "5")]
    Started(Started),
    #[prost(message, tag = "6")]
    Failed(Failed),
    #[prost(message, tag = "7")]
    Done(Nothing),
    #[prost(message, tag = "8")]
    HookEnded(HookEnded),
}

/// How a hook ended; with neither a code nor a signal it is not known how.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct HookEnded {
    #[prost(sint32, optional, tag = "1")]
    pub(super) code: Option<i32>,
    #[prost(sint32, optional, tag = "2")]
    pub(super) signal: Option<i32>,
    #[prost(bool, tag = "3")]
    pub(super) timed_out: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Welcome {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) versions: Option<Range>,
    #[prost(string, tag = "3")]
    pub(super) boot_id: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) held: Vec<Held>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Held {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) group: String,
    #[prost(string, tag = "3")]
    pub(super) ident: String,
    #[prost(uint32, tag = "4")]
    pub(super) pid: u32,
    #[prost(uint64, tag = "5")]
    pub(super) start_ticks: u64,
    #[prost(uint64, tag = "6")]
    pub(super) since_ms: u64,
    #[prost(bool, tag = "7")]
    pub(super) ended: bool,
    #[prost(message, optional, tag = "8")]
    pub(super) resume: Option<Resume>,
    #[prost(uint32, tag = "9")]
    pub(super) restarts: u32,
    #[prost(uint64, tag = "10")]
    pub(super) stop_timeout_ms: u64,
    /// As in `Checked`; 0 when none was told.
    #[prost(uint32, tag = "11")]
    pub(super) health: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Started {
    #[prost(uint32, tag = "1")]
    pub(super) pid: u32,
    #[prost(bool, tag = "2")]
    pub(super) guarded: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Failed {
    #[prost(bool, tag = "1")]
    pub(super) busy: bool,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
}

/// A process that ended; with neither a code nor a signal it is not known how.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Exited {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
    #[prost(sint32, optional, tag = "3")]
    pub(super) code: Option<i32>,
    #[prost(sint32, optional, tag = "4")]
    pub(super) signal: Option<i32>,
}
