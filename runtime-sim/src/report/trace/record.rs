//! A record as a line: hosts get their names, messages are shortened to what an explanation follows.

use annulus_core::{BallotStep, Message, Rumor, ServiceName};

use super::line::{Act, Ballot, Held, Line, Said, Sent, Tells, Told};
use crate::action::room::{Cast, Traced};
use crate::action::world::{Record, What};
use crate::action::{Action, HostId};
use crate::engine::rendering::Rendering;
use crate::engine::scene::Scene;

impl Line {
    /// The line that tells a record.
    #[must_use]
    pub fn of(scene: &dyn Scene, record: &Record) -> Self {
        Self { t: record.at.as_nanos(), what: told(scene, &record.what) }
    }
}

fn told(scene: &dyn Scene, what: &What) -> Told {
    let name = |host: &HostId| scene.name(*host).to_owned();
    match what {
        What::Action(action) => Told::Action(act(scene, action)),
        What::HostStarted { host, member, restored } => {
            Told::HostStarted { host: name(host), member: *member, restored: *restored }
        }
        What::Restored { host, versions, .. } => {
            let held = versions.iter().map(|(key, version)| Held { key: key.clone(), version: *version });
            Told::Restored { host: name(host), versions: held.collect() }
        }
        What::HostStopped { host, why } => Told::HostStopped { host: name(host), why: *why },
        What::Event { host, event } => Told::Event { host: name(host), event: (**event).clone() },
        What::Asked { host, request } => Told::Asked { host: name(host), request: request.0 },
        What::Reply { host, request, reply } => {
            Told::Reply { host: name(host), request: request.0, reply: format!("{reply:?}") }
        }
        What::BeyondLimit { host, what, count, limit } => {
            Told::BeyondLimit { host: name(host), of: (*what).to_owned(), count: *count, limit: *limit }
        }
        What::Leads { host, group, term, until } => Told::Leads {
            host: name(host),
            service_group: group.clone(),
            term: *term,
            until: until.map(|until| until.as_nanos()),
        },
        What::Holds { host, key, version, .. } => {
            Told::Holds { host: name(host), held: Held { key: key.clone(), version: *version } }
        }
        What::Confirmed { host, key, version, on } => Told::Confirmed {
            host: name(host),
            held: Held { key: key.clone(), version: *version },
            on: on.iter().map(name).collect(),
        },
        What::Build { host, build, fact } => {
            Told::Build { host: name(host), build: build.clone(), fact: *fact }
        }
        What::ProcessStarted { .. }
        | What::ProcessSignalled { .. }
        | What::ProcessExited { .. }
        | What::LeaseRanOut { .. }
        | What::GuardHolds { .. }
        | What::HookBegan { .. }
        | What::HookEnded { .. }
        | What::Rendered { .. } => process(scene, what),
        What::Sent { packet, from, input, to, channel, bytes, message } => Told::Sent(Sent {
            packet: packet.0,
            from: name(from),
            input: input.0,
            to: to.as_ref().map(name),
            channel: *channel,
            bytes: *bytes,
            message: message.as_deref().map(said),
        }),
        What::Delivered { packet, to, input } | What::Replayed { packet, to, input } => {
            Told::Delivered { packet: packet.0, to: name(to), input: input.0 }
        }
        What::Dropped { packet, to, why } => {
            Told::Dropped { packet: packet.0, to: to.as_ref().map(name), why: *why }
        }
        What::RefusalDelivered { packet, to, input } => {
            Told::Refused { packet: packet.0, to: name(to), input: input.0 }
        }
    }
}

/// What happened to a service's processes and files.
fn process(scene: &dyn Scene, what: &What) -> Told {
    let name = |host: &HostId| scene.name(*host).to_owned();
    match what {
        What::ProcessStarted { host, service, pid } => {
            Told::ProcessStarted { host: name(host), service: service.clone(), pid: *pid }
        }
        What::ProcessSignalled { host, service, pid, signal, accepting, unaware } => Told::ProcessSignalled {
            host: name(host),
            service: service.clone(),
            pid: *pid,
            signal: *signal,
            accepting: *accepting,
            unaware: unaware.iter().map(name).collect(),
        },
        What::ProcessExited { host, service, pid, status } => {
            Told::ProcessExited { host: name(host), service: service.clone(), pid: *pid, status: *status }
        }
        What::LeaseRanOut { host, service, pid } => {
            Told::LeaseRanOut { host: name(host), service: service.clone(), pid: *pid }
        }
        What::GuardHolds { host, service, pid, right } => {
            let term = right.as_ref().map(|(_, term)| *term);
            Told::GuardHolds { host: name(host), service: service.clone(), pid: *pid, term }
        }
        What::HookBegan { host, service, hook, .. } => {
            Told::HookBegan { host: name(host), service: service.clone(), hook: *hook }
        }
        What::HookEnded { host, service, hook, succeeded, .. } => {
            Told::HookEnded { host: name(host), service: service.clone(), hook: *hook, succeeded: *succeeded }
        }
        What::Rendered { host, service, rendering } => rendered(name(host), service, rendering),
        other => unreachable!("{other:?} is no matter of a process"),
    }
}

fn rendered(host: String, service: &ServiceName, rendering: &Rendering) -> Told {
    Told::Rendered {
        host,
        service: service.clone(),
        service_group: rendering.group.clone(),
        role: rendering.part().map(str::to_owned),
        term: rendering.term(),
        leader: rendering.leader.map(|leader| leader.to_string()),
        config: rendering.config,
    }
}

fn said(message: &Message) -> Said {
    let mut said = Said {
        kind: message.kind.to_owned(),
        speaker: message.from,
        seq: message.seq.map(|seq| seq.0),
        about: message.about,
        ballot: message.ballot.as_ref().map(ballot),
        tells: Vec::new(),
        carries: Vec::new(),
    };
    for rumor in &message.rumors {
        if let Rumor::Member(m) = rumor {
            let (member, state) = (m.record.id, m.record.state);
            said.tells.push(Tells { member, state, incarnation: m.record.incarnation.0 });
        } else if rumor.version().is_some() {
            said.carries.push(Held { key: rumor.key(), version: rumor.number() });
        }
    }
    said
}

fn ballot(step: &BallotStep) -> Ballot {
    Ballot {
        group: step.election.to_string(),
        term: step.term,
        round: step.round,
        step: step.step.to_owned(),
        verdict: step.verdict.map(str::to_owned),
        wait_ms: step.wait_ms,
    }
}

/// The action, its hosts, and the same in words.
fn act(scene: &dyn Scene, action: &Action) -> Act {
    let Traced { name, from, to, both, loss, service } = action.traced();
    let named =
        |hosts: &[HostId]| -> Vec<String> { hosts.iter().map(|host| scene.name(*host).to_owned()).collect() };
    let loss = loss.map(|loss| (loss.numerator, loss.denominator));
    let hosts = from.iter().chain(&to).map(|host| host.0 + 1).max().unwrap_or(0);
    let names: Vec<String> = (0..hosts).map(|host| scene.name(HostId(host)).to_owned()).collect();
    let text = action.words(&Cast { names: &names });
    Act { name: name.to_owned(), from: named(&from), to: named(&to), both, loss, service, text }
}
