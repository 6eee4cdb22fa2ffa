//! A trace in memory: events, packets and actions, with the links between them. The trace comes in as text; this
//! module opens no file.

use std::collections::BTreeMap;
use std::io::BufRead;

use annulus_core::{Channel, EventId, EventKind, MemberId};
use thiserror::Error;

use crate::engine::record::{DropReason, StopReason};
pub(super) use crate::report::trace::Nanos;
use crate::report::trace::{self, ReadError, Sent, Tells, Told};

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
    pub tells: Vec<Tells>,
    /// When it was read first, and as which input of which life of its receiver.
    pub read: Option<(Nanos, Life, u64)>,
    /// When and why it was lost.
    pub dropped: Option<(Nanos, DropReason)>,
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
            Told::Action(trace::Act { name, from, to, both, loss, service: _, text }) => {
                self.acts.push(Act { t, name, from, to, both, loss, text });
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
            Told::Delivered { packet, to, input } => {
                let life = self.life(&to);
                self.received.insert((to, life, input), packet);
                if let Some(packet) = self.packets.get_mut(&packet) {
                    packet.read.get_or_insert((t, life, input));
                }
            }
            Told::Dropped { packet, why, .. } => {
                if let Some(packet) = self.packets.get_mut(&packet) {
                    packet.dropped = Some((t, why));
                }
            }
            // No explanation follows these lines.
            Told::Refused { .. }
            | Told::Asked { .. }
            | Told::Reply { .. }
            | Told::Restored { .. }
            | Told::BeyondLimit { .. }
            | Told::Leads { .. }
            | Told::Holds { .. }
            | Told::ProcessStarted { .. }
            | Told::ProcessSignalled { .. }
            | Told::ProcessExited { .. }
            | Told::LeaseRanOut { .. }
            | Told::Rendered { .. } => {}
        }
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
            tells: Vec::new(),
            read: None,
            dropped: None,
        };
        if let Some(said) = sent.message {
            packet.message = said.kind;
            packet.speaker = Some(said.speaker);
            (packet.seq, packet.about, packet.tells) = (said.seq, said.about, said.tells);
        }
        self.packets.insert(packet.id, packet);
    }
}
