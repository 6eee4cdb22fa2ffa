//! The Annulus state machine: one supervisor's mind, without I/O.
//!
//! A [`Node`] takes every decision of a supervisor: who is in the ring, what is told to whom, which service
//! runs. It reads no clock, opens no socket, starts no process. A runtime feeds it [`Input`]s and carries out its
//! [`Output`]s; the same node runs in production and in the simulator.
//!
//! # Contract
//!
//! 1. One input at a time: [`Node::handle_input`] with the time now, which never goes back.
//! 2. Then every output: [`Node::poll_output`] until it returns `None`. The last one is [`Output::WakeAt`].
//! 3. [`Input::Wake`] at that time, unless another input comes first.
//! 4. Each [`Effect`] is answered by [`Input::EffectDone`]; lost answers stall what waits for them, nothing else.
//!
//! The same configuration, snapshot, seed and inputs lead to the same outputs, on every machine.
//!
//! ```
//! use annulus_core::{Config, Effect, EffectResult, Input, Instant, Node, Output, UnixTime};
//!
//! let (now, wall) = (Instant::ZERO, UnixTime::default());
//! let mut node = Node::new(Config::new(9638), None, [7; 32], now, wall);
//! // Its identity goes to the disk before anything else happens.
//! let Some(Output::Effect(id, Effect::Persist { .. })) = node.poll_output() else { panic!("unexpected") };
//! while node.poll_output().is_some() {}
//! node.handle_input(now, wall, Input::EffectDone(id, EffectResult::Persisted));
//! while node.poll_output().is_some() {}
//! assert!(node.is_ready());
//! assert_eq!(node.members().len(), 1, "a member is in its own list from the start");
//! ```
//!
//! # Terms
//!
//! | word | meaning |
//! |---|---|
//! | member | a supervisor in the ring, known by a UUID that outlives restarts |
//! | incarnation | counts a member's own statements about itself; only the member raises it |
//! | Alive, Suspect, Confirmed, Departed | what a member is held to be; Confirmed means dead until it says otherwise |
//! | probe | ping, then ping-req through helpers and a ping over a stream; it ends with an ack or fails |
//! | nack | a helper's word that it got no answer either |
//! | accuser | a member that suspects another of its own knowledge |
//! | refute | to answer an accusation with a higher incarnation |
//! | rumor | anything the ring tells on, of one of several kinds |
//! | heat | how much telling a rumor still needs; a hot one is being told, a cold one is known |
//! | digest | a few numbers that are equal when two nodes know the same |
//! | sync | a digest exchange and the shipping of what differs |
//! | tombstone | a rumor that says that something is no more |
//! | departure | an operator's ban of a member, final |
//! | permanent peer | a member that is probed for ever, also when Confirmed |
//! | service group | `service.group[@org]`, the services of that name in the ring |
//! | census | the service groups with their members, as one node sees them |
//! | term | counts a group's elections; a leader's term is a fencing token |
//! | electorate | the members whose votes count, put down and changed by leaders |
//! | quorum | a majority of the electorate, which has at least three seats unless the operator says otherwise |
//! | lease | how long a leader may act; promise: how long a voter votes for nobody else |
//! | suitability | how well a member would lead, by its service's own word |
//! | event | a change, with the input and the earlier event that caused it |
//!
//! # Modules, in reading order
//!
//! `io`, `command`, `config`, `snapshot` are what crosses the border; `membership`, `rumor`, `service`, `census`,
//! `election` are the features, which do not know each other; `node` wires them up; `wire` holds the messages,
//! [`limits`] every bound.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod census;
mod command;
mod config;
mod context;
mod digest;
mod election;
mod error;
mod facts;
mod history;
mod id;
mod ident;
mod io;
pub mod limits;
mod membership;
mod metrics;
mod node;
mod planted;
mod prepared;
mod rng;
mod rumor;
mod service;
mod snapshot;
mod time;
mod wire;

pub use census::{Census, CensusGroup, CensusMember, CensusVersion, CensusVersions};
pub use command::{Command, Reply, StopHow};
pub use config::{Config, SysInfo, Timings};
pub use election::Vote;
pub use error::{CommandError, ConfigError, DecodeError, ParseError, SnapshotError};
pub use facts::{
    ElectionEvent, ElectionStatus, ElectionView, Facts, Fitness, GroupConfig, GroupFile, LeaseEnd, Role,
};
pub use history::HistoryEntry;
pub use id::{
    EffectId, EventId, FileName, Incarnation, InputId, MemberId, ProbeSeq, RequestId, ServiceGroup,
    ServiceName,
};
pub use ident::PackageIdent;
pub use io::{
    Cause, Channel, Effect, EffectResult, Event, EventKind, ExitReason, ExitStatus, Input, Output,
    StopSignal, Transmit, WakeReason, Why,
};
pub use limits::Limit;
pub use membership::{Accusers, MemberRecord, State};
pub use metrics::{MessageCounts, Metrics};
pub use node::Node;
pub use planted::{Bug, CAN_PLANT, Planted};
pub use prepared::{Bind, Changed, DrainPlan, HookEnd, HookExit, Prepared, Rendered};
pub use rng::Rng;
pub use rumor::{
    Contender, Departure, ElectionRumor, MemberRumor, Rumor, RumorKey, RumorKind, ServiceConfig, ServiceFile,
    ServiceHealth, ServiceRumor, Version,
};
pub use service::{
    BindingMode, Demoted, DesiredState, HEALTH_CHECK_INTERVAL_MS, Health, Hook, ServiceSpec, ServiceState,
    ServiceView, SpecChange, Topology, UpdateCondition, UpdateStrategy,
};
pub use snapshot::{RunningService, Snapshot, Table, Write};
pub use time::{Instant, UnixTime};
pub use wire::Message;
