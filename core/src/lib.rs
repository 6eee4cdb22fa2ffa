//! The Annulus state machine: every decision of one supervisor, and no I/O.
//!
//! A [`Node`] decides which members are in the ring, which rumors it tells to which member, and which services run. It
//! may read no clock, open no socket and start no process. A runtime feeds it [`Input`]s and carries out its
//! [`Output`]s; the same node runs in production and in the simulator.
//!
//! # Contract
//!
//! 1. One input at a time: [`Node::handle_input`] with the time now, which never goes back.
//! 2. Then every output: [`Node::poll_output`] until it returns `None`. The last one is [`Output::WakeAt`].
//! 3. [`Input::Wake`] at that time, unless another input comes first.
//! 4. Each [`Effect`] is answered by [`Input::EffectDone`]; a lost answer stalls only the step that waits for it.
//!
//! The same configuration, snapshot, seed and inputs lead to the same outputs, on every machine.
//!
//! ```
//! use annulus_core::{Config, Effect, EffectResult, Input, Instant, KeyedHash, Node, Output, UnixTime};
//!
//! let (now, wall) = (Instant::ZERO, UnixTime::default());
//! // A daemon brings a signer with a real key.
//! let signer = Box::new(KeyedHash::new([1; 32]));
//! let mut node = Node::new(Config::new(9638), signer, None, [7; 32], now, wall);
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
//! | member | a supervisor in the ring, known by its id, which is the hash of its key and outlives restarts |
//! | incarnation | counts a member's own statements about itself; only the member raises it |
//! | Alive, Suspect, Confirmed, Departed | a member's states in another's view; Confirmed means dead until it refutes |
//! | probe | ping, then ping-req through helpers and a ping over a stream; it ends with an ack or fails |
//! | nack | a helper's answer that it could not reach the member either |
//! | accuser | a member that suspects another of its own knowledge |
//! | refute | to answer an accusation with a higher incarnation |
//! | rumor | a statement that members pass on through the ring, of one of several kinds |
//! | heat | how much telling a rumor still needs; a hot one is being told, a cold one is known |
//! | digest | a few numbers that are equal when two nodes hold the same rumors |
//! | sync | an exchange of digests and of the records that differ |
//! | tombstone | a rumor that says that something is no more |
//! | departure | an operator's ban of a member, final |
//! | permanent peer | a member that is probed for ever, also when Confirmed |
//! | service group | `service.group[@org]`, the services of that name in the ring |
//! | census | the service groups with their members, as one node sees them |
//! | election | the choice of one member of a group, again and again: to lead it, or to carry out its updates |
//! | term | the number of an election's choice; a leader's term is a fencing token |
//! | electorate | the members whose votes count, put down and changed by leaders |
//! | quorum | a majority of the electorate, which has at least three seats unless the operator says otherwise |
//! | lease | how long a leader may act; promise: how long a voter votes for no other candidate |
//! | suitability | how well a member would lead, as its service's hook says |
//! | event | a change, with the input and the earlier event that caused it |
//!
//! # Modules, in reading order
//!
//! The modules form floors; an import runs down, never up or sideways, and a test checks every import.
//!
//! | floor | what | may name |
//! |---|---|---|
//! | `model` | data that features share, inputs and outputs (`model::io`: start there), time, [`limits`] | nothing |
//! | `wire` | messages and rumors as bytes | `model` |
//! | `store` | records that survive a restart, as rows; rumors as the wire sends them | `wire`, `model` |
//! | `membership`, `rumor`, `service`, `update`, `election`, `keyring`, `replay` | the features: each decides one thing | `store` and below, no other feature |
//! | `node` | the composer: it carries events from one feature to another | everything |
#![no_std]
#![forbid(unsafe_code)]
// A new variant is a question to every match; tests may ask for one of many.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]
extern crate alloc;

mod election;
mod keyring;
mod membership;
mod model;
mod node;
mod replay;
mod rumor;
mod service;
mod store;
mod update;
mod wire;

pub use keyring::{KeyRecord, KeyringView};
pub use model::accusers::Accusers;
pub use model::census::{Census, CensusElection, CensusGroup, CensusMember, CensusVersion, CensusVersions};
pub use model::channel::Channel;
pub use model::command::{Command, CommandError, Reply, StopHow};
pub use model::config::{Config, RingKeys, SysInfo, Timings};
pub use model::election::{
    ElectionEvent, ElectionId, ElectionPurpose, ElectionStatus, ElectionView, Fitness, LeaseEnd, Readiness,
    Role,
};
pub use model::error::{ConfigError, DecodeError, ParseError, SnapshotError};
pub use model::event::{
    Cause, Described, Event, EventKind, FieldError, FieldReader, FieldValue, FieldVisitor, Refusal,
    StampFault, Why,
};
pub use model::exit_status::ExitStatus;
pub use model::facts::{Facts, GroupConfig, GroupFile, SealedFacts};
pub use model::id::{
    EffectId, EventId, FileName, Incarnation, InputId, MemberId, ProbeSeq, RequestId, ServiceGroup,
    ServiceName,
};
pub use model::ident::PackageIdent;
pub use model::identity::{KeyedHash, PublicKey, Sign, Signature, Signer};
pub use model::io::{
    Effect, EffectResult, ExitReason, Input, KeyDone, KeyWork, Output, StopSignal, Transmit, WakeReason,
};
pub use model::lease::{Lease, Resume};
pub use model::limits;
pub use model::member::{MemberRecord, State};
pub use model::metrics::{MessageCounts, Metrics};
#[cfg(feature = "mutants")]
pub use model::mutant::switch_on;
pub use model::mutant::{CAN_MUTATE, Mutant};
pub use model::planted::{Bug, CAN_PLANT, Planted};
pub use model::prepared::{Bind, Changed, DrainPlan, HookEnd, HookExit, Prepared, Rendered};
pub use model::reach;
pub use model::ring_key::{KeyStep, RingKeyId};
pub use model::rng::Rng;
pub use model::row::{Table, Write};
pub use model::rumor::{
    Authority, CensusEntry, Contender, Departure, ElectionRumor, KeyParts, MemberKeys, MemberRumor,
    MemberStatement, Opaque, OpenKey, RingKey, Rumor, RumorKey, RumorKind, Sealed, ServiceConfig,
    ServiceFile, ServiceHealth, ServiceRumor, Told, Version,
};
pub use model::service::{
    BindingMode, Demoted, DesiredState, HEALTH_CHECK_INTERVAL_MS, Health, Hook, HookView, Obstacle,
    ObstacleKind, ServiceSpec, ServiceState, ServiceView, SlowHook, SpecChange, Topology, UpdateCondition,
    UpdateStrategy,
};
pub use model::stamp::{Salt, Series, Stamp, StampSender, Standing};
pub use model::time::{Instant, UnixTime};
pub use model::update::{FetchFault, Found, Head, Refused, UpdateStep, UpdateView};
pub use node::Node;
pub use store::build::Builds;
pub use store::history::HistoryEntry;
pub use store::snapshot::{RunningService, Snapshot};
pub use store::vote::Vote;
pub use wire::{BallotStep, Envelope, Message};
