//! Reads a trace back: events, packets and actions, with the links between them.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// Why a file cannot be explained from.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("line {line}: cannot be read: {error}")]
    Io {
        /// The line.
        line: usize,
        /// Why not.
        error: std::io::Error,
    },
    /// The last line is not whole.
    #[error(
        "line {line}: the line breaks off, so the trace is truncated; write it again with \
         `annulus-sim run FILE --trace TRACE`"
    )]
    Truncated {
        /// The line.
        line: usize,
    },
    /// A line is not what traces consist of.
    #[error("line {line}: this is no line of a trace of annulus-sim: {reason}")]
    Foreign {
        /// The line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing in it.
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

/// Nanoseconds of the world's time.
pub(super) type Nanos = u64;

/// The supervisor processes of one host are numbered: ids of inputs and events begin anew with each.
pub(super) type Life = u32;

/// Something that was done to the world.
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

/// What a node reported.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub t: Nanos,
    pub host: String,
    pub life: Life,
    pub id: u64,
    pub input: u64,
    pub after: Option<u64>,
    pub kind: Kind,
}

/// The events that an explanation is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Changed { member: String, from: Option<String>, to: String, incarnation: u64, why: Why },
    ProbeFailed { member: String, ping: u64, indirect: Option<u64> },
    SuspicionConfirmed { member: String, by: String },
    Refuted { accusation: String, incarnation: u64 },
    Started { incarnation: u64 },
    Stalled { for_ms: u64 },
}

/// What made a node change its mind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Why {
    pub by: String,
    pub from: Option<String>,
    pub accusers: Option<u32>,
}

/// A message and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub id: u64,
    pub t: Nanos,
    pub from: String,
    pub life: Life,
    pub to: Option<String>,
    pub stream: bool,
    pub message: String,
    pub speaker: Option<String>,
    pub seq: Option<u64>,
    pub about: Option<String>,
    pub tells: Vec<Tells>,
    /// When it was read first, and as which input of which life of its receiver.
    pub read: Option<(Nanos, Life, u64)>,
    /// When and why it was lost.
    pub dropped: Option<(Nanos, String)>,
}

/// A member's record in a message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Tells {
    pub member: String,
    pub state: String,
    pub incarnation: u64,
}

/// A whole trace.
#[derive(Debug, Default)]
pub struct Trace {
    pub(super) acts: Vec<Act>,
    pub(super) events: Vec<Event>,
    pub(super) packets: BTreeMap<u64, Packet>,
    /// Packets by what sent them.
    pub(super) sent: BTreeMap<(String, Life, u64), Vec<u64>>,
    /// Packets by what they became.
    pub(super) received: BTreeMap<(String, Life, u64), u64>,
    /// Who ran on which host, in the order of their starts: time, host, member.
    pub(super) starts: Vec<(Nanos, String, String)>,
    /// When and why supervisors ended.
    pub(super) stops: Vec<(Nanos, String, String)>,
    pub(super) end: Nanos,
    lives: BTreeMap<String, Life>,
}

#[derive(Deserialize)]
struct Head {
    t: Nanos,
    what: String,
}

impl Trace {
    /// Reads a whole trace.
    ///
    /// # Errors
    /// Names the first line that is not one of a trace, and what to do.
    pub fn load(reader: impl BufRead) -> Result<Self, LoadError> {
        let mut trace = Self::default();
        let mut lines = reader.lines().enumerate().peekable();
        let mut count = 0;
        while let Some((index, text)) = lines.next() {
            let line = index + 1;
            let text = text.map_err(|error| LoadError::Io { line, error })?;
            if text.trim().is_empty() {
                continue;
            }
            count += 1;
            let foreign = |reason: String| LoadError::Foreign { line, reason };
            let parsed: Value = match serde_json::from_str(&text) {
                Ok(parsed) => parsed,
                Err(error) if error.is_eof() && lines.peek().is_none() && line > 1 => {
                    return Err(LoadError::Truncated { line });
                }
                Err(error) => return Err(foreign(reason_of(&error))),
            };
            trace.take(&parsed).map_err(foreign)?;
        }
        if count == 0 {
            return Err(LoadError::Empty);
        }
        if trace.packets.is_empty() {
            return Err(LoadError::NoPackets { lines: count });
        }
        Ok(trace)
    }

    fn take(&mut self, line: &Value) -> Result<(), String> {
        let Head { t, what } = read(line)?;
        self.end = self.end.max(t);
        match what.as_str() {
            "action" => self.acts.push(read::<RawAct>(line)?.act(t)),
            "host-started" => {
                let started: RawStart = read(line)?;
                *self.lives.entry(started.host.clone()).or_default() += 1;
                self.starts.push((t, started.host, started.member));
            }
            "host-stopped" => {
                let stopped: RawStop = read(line)?;
                self.stops.push((t, stopped.host, stopped.why));
            }
            "event" => self.event(t, line)?,
            "sent" => self.sent(t, read(line)?),
            "delivered" => {
                let RawRead { packet, to, input } = read(line)?;
                let life = self.life(&to);
                self.received.insert((to, life, input), packet);
                if let Some(packet) = self.packets.get_mut(&packet) {
                    packet.read.get_or_insert((t, life, input));
                }
            }
            "dropped" => {
                let RawDrop { packet, why } = read(line)?;
                if let Some(packet) = self.packets.get_mut(&packet) {
                    packet.dropped = Some((t, why));
                }
            }
            // Nothing that an explanation follows.
            "refused" | "reply" | "restored" | "beyond-limit" | "leads" | "holds" | "process-started"
            | "process-signalled" | "process-exited" => {}
            other => return Err(format!("`{other}` is nothing that a trace tells")),
        }
        Ok(())
    }

    pub(super) fn life(&self, host: &str) -> Life {
        self.lives.get(host).copied().unwrap_or(0)
    }

    fn event(&mut self, t: Nanos, line: &Value) -> Result<(), String> {
        let RawEvent { host, id, cause, kind } = read(line)?;
        let kind = match kind.as_str() {
            "member-changed" => {
                let RawChanged { member, from, to, incarnation, why } = read(line)?;
                Kind::Changed { member, from, to, incarnation, why }
            }
            "probe-failed" => {
                let RawProbe { member, ping, indirect } = read(line)?;
                Kind::ProbeFailed { member, ping, indirect }
            }
            "suspicion-confirmed" => {
                let RawConfirmed { member, by } = read(line)?;
                Kind::SuspicionConfirmed { member, by }
            }
            "refuted" => {
                let RawRefuted { accusation, incarnation } = read(line)?;
                Kind::Refuted { accusation, incarnation }
            }
            "started" => Kind::Started { incarnation: read::<RawStarted>(line)?.incarnation },
            "stalled" => Kind::Stalled { for_ms: read::<RawStalled>(line)?.for_ms },
            // Known, and nothing that an explanation follows.
            "member-forgotten" | "local-health" | "rumor-accepted" | "version-lost" | "synced" | "banned"
            | "service-changed" | "decode-failed" | "limit-reached" | "persist-failed"
            | "identity_conflict" | "leaving" | "election-started" | "vote-cast" | "leader-elected"
            | "leader-learned" | "lease-lost" | "handed-over" | "electorate-changed" => return Ok(()),
            other => return Err(format!("`{other}` is no event that a trace tells")),
        };
        let life = self.life(&host);
        self.events.push(Event { t, host, life, id, input: cause.input, after: cause.event, kind });
        Ok(())
    }

    fn sent(&mut self, t: Nanos, raw: RawSent) {
        let life = self.life(&raw.from);
        self.sent.entry((raw.from.clone(), life, raw.input)).or_default().push(raw.packet);
        let packet = Packet {
            id: raw.packet,
            t,
            from: raw.from,
            life,
            to: raw.to,
            stream: raw.channel == "stream",
            message: raw.message.unwrap_or_default(),
            speaker: raw.speaker,
            seq: raw.seq,
            about: raw.about,
            tells: raw.tells,
            read: None,
            dropped: None,
        };
        self.packets.insert(packet.id, packet);
    }
}

/// Of a line what somebody wants to know; other fields are passed over.
fn read<'a, T: Deserialize<'a>>(line: &'a Value) -> Result<T, String> {
    T::deserialize(line).map_err(|error| error.to_string())
}

/// The reader's words without the position in the line, which means nothing to anybody.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[derive(Deserialize)]
struct RawAct {
    action: String,
    #[serde(default)]
    from: Vec<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    both: bool,
    loss: Option<(u32, u32)>,
    text: String,
}

impl RawAct {
    fn act(self, t: Nanos) -> Act {
        let Self { action, from, to, both, loss, text } = self;
        Act { t, name: action, from, to, both, loss, text }
    }
}

#[derive(Deserialize)]
struct RawStart {
    host: String,
    member: String,
}

#[derive(Deserialize)]
struct RawStop {
    host: String,
    why: String,
}

#[derive(Deserialize)]
struct RawRead {
    packet: u64,
    to: String,
    input: u64,
}

#[derive(Deserialize)]
struct RawDrop {
    packet: u64,
    why: String,
}

#[derive(Deserialize)]
struct RawEvent {
    host: String,
    id: u64,
    cause: RawCause,
    kind: String,
}

#[derive(Deserialize)]
struct RawCause {
    input: u64,
    event: Option<u64>,
}

#[derive(Deserialize)]
struct RawChanged {
    member: String,
    from: Option<String>,
    to: String,
    incarnation: u64,
    why: Why,
}

#[derive(Deserialize)]
struct RawProbe {
    member: String,
    ping: u64,
    indirect: Option<u64>,
}

#[derive(Deserialize)]
struct RawConfirmed {
    member: String,
    by: String,
}

#[derive(Deserialize)]
struct RawRefuted {
    accusation: String,
    incarnation: u64,
}

#[derive(Deserialize)]
struct RawStarted {
    incarnation: u64,
}

#[derive(Deserialize)]
struct RawStalled {
    for_ms: u64,
}

#[derive(Deserialize)]
struct RawSent {
    packet: u64,
    from: String,
    input: u64,
    to: Option<String>,
    channel: String,
    message: Option<String>,
    speaker: Option<String>,
    seq: Option<u64>,
    about: Option<String>,
    #[serde(default)]
    tells: Vec<Tells>,
}
