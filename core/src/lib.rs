//! placeholder
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod census;
mod command;
mod config;
mod error;
mod id;
mod ident;
mod io;
pub mod limits;
mod membership;
mod metrics;
mod node;
mod rng;
mod rumor;
mod service;
mod snapshot;
mod time;

pub use census::{Census, CensusGroup, CensusMember};
pub use command::{Command, Reply};
pub use config::{Config, SysInfo, Timings};
pub use error::{CommandError, ConfigError, DecodeError, ParseError, SnapshotError};
pub use id::{
    EffectId, EventId, Incarnation, InputId, MemberId, ProbeSeq, RequestId, ServiceGroup, ServiceName,
};
pub use ident::PackageIdent;
pub use io::{
    Cause, Channel, Effect, EffectResult, Event, EventKind, ExitReason, ExitStatus, Input, Output, Prepared,
    StopSignal, Transmit, WakeReason, Why,
};
pub use membership::{MemberRecord, State};
pub use metrics::{MessageCounts, Metrics};
pub use node::Node;
pub use rng::Rng;
pub use rumor::{Departure, Rumor, RumorKey, RumorKind, ServiceRumor};
pub use service::{
    BindingMode, DesiredState, ServiceSpec, ServiceState, ServiceView, Topology, UpdateCondition,
    UpdateStrategy,
};
pub use snapshot::{Snapshot, Table, Write};
pub use time::{Instant, UnixTime};
