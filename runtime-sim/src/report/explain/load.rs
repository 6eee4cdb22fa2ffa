//! A trace in memory: events, packets and actions, with the links between them. The trace comes in as text; this
//! module opens no file.

use std::collections::BTreeMap;
use std::io::BufRead;

use annulus_core::{Channel, EventId, EventKind, MemberId, RumorKey};
use thiserror::Error;

use crate::engine::record::{DropReason, StopReason};
pub(super) use crate::report::trace::Nanos;
use crate::report::trace::{self, Ballot, Held, ReadError, Sent, Tells, Told};

/// Why a trace cannot be explained from.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It is no trace.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has no line.
    #[error("the trace is empty; write one with `annulus-sim run FILE --trace TRACE`")]
    Empty,
    /// Only events.
    #[error(
        "the trace holds no packets (its {lines} lines tell events only), so no cause can be followed to a \
         packet; write it with `annulus-sim run FILE --trace TRACE`"
    )]
    NoPackets {
        /// How many lines.
        lines: usize,
    },
}

/// The supervisor processes of one host are numbered: ids of inputs and events begin anew with each.
pub(super) type Life = u32;

/// An action that was done to the world.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub t: Nanos,
    pub name: String,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub both: bool,
    pub loss: Option<(u32, u32)>,
    pub service: Option<String>,
    pub text: String,
}

/// An event that a node reported.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub t: Nanos,
    pub host: String,
    pub life: Life,
    pub id: EventId,
    pub input: u64,
    pub after: Option<EventId>,
    pub kind: EventKind,
}

/// A message and its fate.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub id: u64,
    pub t: Nanos,
    pub from: String,
    pub life: Life,
    pub to: Option<String>,
    pub stream: bool,
    pub message: String,
    pub speaker: Option<MemberId>,
    pub seq: Option<u64>,
    pub about: Option<MemberId>,
    pub ballot: Option<Ballot>,
    pub tells: Vec<Tells>,
    pub carries: Vec<Held>,
    /// When it was read first, and as which input of which life of its receiver.
    pub read: Option<(Nanos, Life, u64)>,
    /// When and why it was lost.
    pub dropped: Option<(Nanos, DropReason)>,
}

/// A supervisor leads a group until a time, or no longer.
#[derive(Clone, Debug)]
pub(super) struct Lead {
    pub t: Nanos,
    pub host: String,
    pub group: String,
    pub term: u64,
    pub until: Option<Nanos>,
}

/// A supervisor holds a version of a rumor.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub t: Nanos,
    pub host: String,
    pub key: RumorKey,
    pub version: u64,
}

/// A process of a service.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub host: String,
    pub service: String,
    pub pid: u32,
    pub started: Nanos,
    /// When it was told to end first.
    pub signalled: Option<Nanos>,
    /// When its guard killed it.
    pub killed_by_guard: Option<Nanos>,
    /// When and with which status it ended.
    pub ended: Option<(Nanos, String)>,
}

/// A whole trace.
#[derive(Debug, Default)]
pub struct Trace {
    pub(super) acts: Vec<Act>,
    pub(super) events: Vec<Event>,
    pub(super) packets: BTreeMap<u64, Packet>,
    /// Packets by what sent them.
    pub(super) sent: BTreeMap<(String, Life, u64), Vec<u64>>,
    /// Packets by the inputs that they became.
    pub(super) received: BTreeMap<(String, Life, u64), u64>,
    /// Which member ran on which host, in the order of starts: time, host, member.
    pub(super) starts: Vec<(Nanos, String, MemberId)>,
    /// When and why supervisors ended.
    pub(super) stops: Vec<(Nanos, String, StopReason)>,
    /// Leases, in the order in which they were taken or ended.
    pub(super) leads: Vec<Lead>,
    /// Versions, in the order in which they were taken.
    pub(super) holds: Vec<Hold>,
    /// Processes of services, in the order of starts.
    pub(super) processes: Vec<Process>,
    pub(super) end: Nanos,
    lives: BTreeMap<String, Life>,
}

impl Trace {
    /// Reads a whole trace.
    ///
    /// # Errors
    /// Names the first line that is not one of a trace, and what to do.
    pub fn load(reader: impl BufRead) -> Result<Self, LoadError> {
        let mut trace = Self::default();
        let mut lines = 0;
        for line in trace::read_jsonl(reader) {
            let line = line?;
            lines += 1;
            trace.take(line.t, line.what);
        }
        if lines == 0 {
            return Err(LoadError::Empty);
        }
        if trace.packets.is_empty() {
            return Err(LoadError::NoPackets { lines });
        }
        Ok(trace)
    }

    fn take(&mut self, t: Nanos, what: Told) {
        self.end = self.end.max(t);
        match what {
            Told::Action(trace::Act { name, from, to, both, loss, service, text }) => {
                self.acts.push(Act { t, name, from, to, both, loss, service, text });
            }
            Told::HostStarted { host, member, .. } => {
                *self.lives.entry(host.clone()).or_default() += 1;
                self.starts.push((t, host, member));
            }
            Told::HostStopped { host, why } => self.stops.push((t, host, why)),
            Told::Event { host, event } => {
                let life = self.life(&host);
                let (input, after) = (event.cause.input.0, event.cause.event);
                self.events.push(Event { t, host, life, id: event.id, input, after, kind: event.kind });
            }
            Told::Sent(sent) => self.sent(t, sent),
            Told::Delivered { packet, to, input } => self.delivered(t, packet, to, input),
            Told::Dropped { packet, why, .. } => {
                if let Some(packet) = self.packets.get_mut(&packet) {
                    packet.dropped = Some((t, why));
                }
            }
            Told::Leads { host, service_group, term, until } => {
                self.leads.push(Lead { t, host, group: service_group.to_string(), term, until });
            }
            Told::Holds { host, held } => {
                self.holds.push(Hold { t, host, key: held.key, version: held.version });
            }
            Told::Restored { host, versions } => self.holds.extend(versions.into_iter().map(|held| Hold {
                t,
                host: host.clone(),
                key: held.key,
                version: held.version,
            })),
            Told::ProcessStarted { host, service, pid } => self.processes.push(Process {
                host,
                service: service.as_str().to_owned(),
                pid,
                started: t,
                signalled: None,
                killed_by_guard: None,
                ended: None,
            }),
            Told::ProcessSignalled { host, service, pid, .. } => {
                if let Some(process) = self.process(&host, service.as_str(), pid) {
                    process.signalled.get_or_insert(t);
                }
            }
            Told::LeaseRanOut { host, service, pid } => {
                if let Some(process) = self.process(&host, service.as_str(), pid) {
                    process.killed_by_guard.get_or_insert(t);
                }
            }
            Told::ProcessExited { host, service, pid, status } => {
                if let Some(process) = self.process(&host, service.as_str(), pid) {
                    process.ended = Some((t, status.to_string()));
                }
            }
            // No explanation follows these lines.
            Told::Refused { .. }
            | Told::Asked { .. }
            | Told::Reply { .. }
            | Told::BeyondLimit { .. }
            | Told::Build { .. }
            | Told::HookBegan { .. }
            | Told::Confirmed { .. }
            | Told::HookEnded { .. }
            | Told::GuardHolds { .. }
            | Told::Rendered { .. } => {}
        }
    }

    fn delivered(&mut self, t: Nanos, packet: u64, to: String, input: u64) {
        let life = self.life(&to);
        self.received.insert((to, life, input), packet);
        if let Some(packet) = self.packets.get_mut(&packet) {
            packet.read.get_or_insert((t, life, input));
        }
    }

    fn process(&mut self, host: &str, service: &str, pid: u32) -> Option<&mut Process> {
        let fits =
            |process: &&mut Process| process.host == host && process.service == service && process.pid == pid;
        self.processes.iter_mut().rev().find(fits)
    }

    pub(super) fn life(&self, host: &str) -> Life {
        self.lives.get(host).copied().unwrap_or(0)
    }

    fn sent(&mut self, t: Nanos, sent: Sent) {
        let life = self.life(&sent.from);
        self.sent.entry((sent.from.clone(), life, sent.input)).or_default().push(sent.packet);
        let mut packet = Packet {
            id: sent.packet,
            t,
            from: sent.from,
            life,
            to: sent.to,
            stream: sent.channel == Channel::Stream,
            message: String::new(),
            speaker: None,
            seq: None,
            about: None,
            ballot: None,
            tells: Vec::new(),
            carries: Vec::new(),
            read: None,
            dropped: None,
        };
        if let Some(said) = sent.message {
            packet.message = said.kind;
            packet.speaker = Some(said.speaker);
            (packet.seq, packet.about, packet.tells) = (said.seq, said.about, said.tells);
            (packet.ballot, packet.carries) = (said.ballot, said.carries);
        }
        self.packets.insert(packet.id, packet);
    }
}
