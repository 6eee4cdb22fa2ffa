//! Traces: one JSON object per line, in the order in which things happened.
//!
//! Every line has `t` (nanoseconds of the world's time) and `what`; hosts are named. By `what`:
//!
//! | what | fields |
//! |---|---|
//! | `action` | `action`: its name, `from`, `to`, `both`, `loss` where they apply, `text`: in words |
//! | `host-started` | `host`, `member`, `restored` |
//! | `restored` | `host`, `versions`: of what it has found on its disk, pairs of `rumor` and version |
//! | `host-stopped` | `host`, `why`: `left`, `departed`, `crashed`, `killed` |
//! | `event` | `host`, `id`, `cause` {`input`, `event`}, `kind` and the kind's own fields |
//! | `reply` | `host`, `request`, `reply` |
//! | `beyond-limit` | `host`, `of`: what, `count`, `limit` |
//! | `leads` | `host`, `group`, `term`, `until`: when its lease ends by the world's clock, null when it leads no longer |
//! | `holds` | `host`, `rumor`, `version`: what it has accepted |
//! | `process-started` | `host`, `service`, `pid` |
//! | `process-signalled` | `host`, `service`, `pid`, `signal`, `accepting`: whether others still send it work |
//! | `process-exited` | `host`, `service`, `pid`, `status` |
//! | `sent` | `packet`, `from`, `input`, `to`, `channel`: `datagram` or `stream`, `bytes`, and of its content `message`: its kind, `speaker`, `seq`, `about`, `tells`: members' records |
//! | `delivered` | `packet`, `to`, `input` |
//! | `dropped` | `packet`, `to`, `why`: see [`DropReason::name`](crate::engine::record::DropReason::name) |
//! | `refused` | `packet`, `to`: its sender, `input` |
//!
//! The ids link the lines. An event's cause is an input of its host, and perhaps an earlier event of the same
//! host. `delivered` says which packet an input was; `sent` says in which input of which host that packet
//! left, and so on backwards. Ids of inputs and events count from 1 at each start of a host's supervisor.

mod election;

use std::io::{self, Write};

use annulus_core::{Channel, Event, EventKind, ExitReason, Message, Rumor, RumorKey, Why};
use serde_json::{Map, Value, json};

use crate::action::room::{Cast, Traced};
use crate::action::world::{Record, What};
use crate::action::{Action, HostId};
use crate::engine::record::StopReason;
use crate::engine::scene::Scene;

/// Writes records as lines of JSON.
///
/// # Errors
/// What the writer reports.
pub fn write_jsonl(out: &mut impl Write, scene: &dyn Scene, records: &[Record]) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *out, &to_json(scene, record))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// One record as the module's table describes it.
#[must_use]
pub fn to_json(scene: &dyn Scene, record: &Record) -> Value {
    let name = |host: HostId| scene.name(host);
    let mut value = match &record.what {
        What::Action(action) => action_json(scene, action),
        What::HostStarted { host, member, restored } => {
            json!({"what": "host-started", "host": name(*host), "member": text(member), "restored": restored})
        }
        What::Restored { host, versions } => {
            let versions = versions.iter().map(|(key, version)| json!([rumor_json(key), version]));
            json!({"what": "restored", "host": name(*host), "versions": versions.collect::<Vec<_>>()})
        }
        What::HostStopped { host, why } => {
            json!({"what": "host-stopped", "host": name(*host), "why": stop_reason(*why)})
        }
        What::Event { host, event } => event_json(name(*host), event),
        What::Reply { host, request, reply } => {
            json!({"what": "reply", "host": name(*host), "request": request.0, "reply": format!("{reply:?}")})
        }
        What::BeyondLimit { host, what, count, limit } => {
            json!({"what": "beyond-limit", "host": name(*host), "of": what, "count": count, "limit": limit})
        }
        What::Leads { host, group, term, until } => json!({
            "what": "leads", "host": name(*host), "group": group.as_str(), "term": term,
            "until": until.map(|until| until.as_nanos()),
        }),
        What::Holds { host, key, version } => {
            json!({"what": "holds", "host": name(*host), "rumor": rumor_json(key), "version": version})
        }
        What::ProcessStarted { host, service, pid } => {
            json!({"what": "process-started", "host": name(*host), "service": service.as_str(), "pid": pid})
        }
        What::ProcessSignalled { host, service, pid, signal, accepting } => json!({
            "what": "process-signalled", "host": name(*host), "service": service.as_str(), "pid": pid,
            "signal": format!("{signal:?}"), "accepting": accepting,
        }),
        What::ProcessExited { host, service, pid, status } => json!({
            "what": "process-exited", "host": name(*host), "service": service.as_str(), "pid": pid,
            "status": text(status),
        }),
        What::Sent { packet, from, input, to, channel, bytes, message } => {
            let mut sent = json!({
                "what": "sent", "packet": packet.0, "from": name(*from), "input": input.0,
                "to": to.map(name), "channel": channel_name(*channel), "bytes": bytes,
            });
            if let (Value::Object(sent), Some(message)) = (&mut sent, message) {
                message_fields(sent, message);
            }
            sent
        }
        What::Delivered { packet, to, input } => {
            json!({"what": "delivered", "packet": packet.0, "to": name(*to), "input": input.0})
        }
        What::Dropped { packet, to, why } => {
            json!({"what": "dropped", "packet": packet.0, "to": to.map(name), "why": why.name()})
        }
        What::RefusalDelivered { packet, to, input } => {
            json!({"what": "refused", "packet": packet.0, "to": name(*to), "input": input.0})
        }
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("t".to_owned(), record.at.as_nanos().into());
    }
    value
}

/// What is done, to whom, and the same in words.
fn action_json(scene: &dyn Scene, action: &Action) -> Value {
    let Traced { name, from, to, both, loss } = action.traced();
    let named =
        |hosts: &[HostId]| -> Vec<String> { hosts.iter().map(|host| scene.name(*host).to_owned()).collect() };
    let loss = loss.map(|loss| [loss.numerator, loss.denominator]);
    let hosts = from.iter().chain(&to).map(|host| host.0 + 1).max().unwrap_or(0);
    let names: Vec<String> = (0..hosts).map(|host| scene.name(HostId(host)).to_owned()).collect();
    let text = action.words(&Cast { names: &names });
    json!({
        "what": "action", "action": name, "from": named(&from), "to": named(&to), "both": both,
        "loss": loss, "text": text,
    })
}

fn message_fields(sent: &mut Map<String, Value>, message: &Message) {
    sent.insert("message".to_owned(), message.kind.into());
    sent.insert("speaker".to_owned(), text(&message.from).into());
    if let Some(seq) = message.seq {
        sent.insert("seq".to_owned(), seq.0.into());
    }
    if let Some(about) = &message.about {
        sent.insert("about".to_owned(), text(about).into());
    }
    let tells: Vec<Value> = message
        .rumors
        .iter()
        .filter_map(|rumor| match rumor {
            Rumor::Member(m) => Some(json!({
                "member": text(&m.record.id), "state": m.record.state.name(),
                "incarnation": m.record.incarnation.0,
            })),
            _ => None,
        })
        .collect();
    if !tells.is_empty() {
        sent.insert("tells".to_owned(), tells.into());
    }
}

fn event_json(host: &str, event: &Event) -> Value {
    let mut fields = Map::new();
    fields.insert("what".to_owned(), "event".into());
    fields.insert("host".to_owned(), host.into());
    fields.insert("id".to_owned(), event.id.0.into());
    let cause = json!({"input": event.cause.input.0, "event": event.cause.event.map(|e| e.0)});
    fields.insert("cause".to_owned(), cause);
    fields.insert("kind".to_owned(), kind_name(&event.kind).into());
    if let Value::Object(own) = kind_fields(&event.kind) {
        fields.extend(own);
    }
    Value::Object(fields)
}

/// The word for a kind of event.
#[must_use]
pub const fn kind_name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Started { .. } => "started",
        EventKind::MemberChanged { .. } => "member-changed",
        EventKind::MemberForgotten { .. } => "member-forgotten",
        EventKind::ProbeFailed { .. } => "probe-failed",
        EventKind::SuspicionConfirmed { .. } => "suspicion-confirmed",
        EventKind::Refuted { .. } => "refuted",
        EventKind::LocalHealth { .. } => "local-health",
        EventKind::Stalled { .. } => "stalled",
        EventKind::RumorAccepted { .. } => "rumor-accepted",
        EventKind::VersionLost { .. } => "version-lost",
        EventKind::Synced { .. } => "synced",
        EventKind::Banned { .. } => "banned",
        EventKind::ServiceChanged { .. } => "service-changed",
        EventKind::DecodeFailed { .. } => "decode-failed",
        EventKind::LimitReached { .. } => "limit-reached",
        EventKind::PersistFailed { .. } => "persist-failed",
        EventKind::IdentityConflict { .. } => "identity_conflict",
        EventKind::Leaving => "leaving",
        EventKind::Election { what, .. } => election::name(what),
    }
}

fn kind_fields(kind: &EventKind) -> Value {
    match kind {
        EventKind::Started { member, incarnation, restored } => {
            json!({"member": text(member), "incarnation": incarnation.0, "restored": restored})
        }
        EventKind::MemberChanged { member, from, to, incarnation, why } => json!({
            "member": text(member), "from": from.map(|s| s.name()), "to": to.name(),
            "incarnation": incarnation.0, "why": why_json(why),
        }),
        EventKind::MemberForgotten { member } | EventKind::Banned { member } => {
            json!({"member": text(member)})
        }
        EventKind::ProbeFailed { member, ping, indirect, refused, nacks } => json!({
            "member": text(member), "ping": ping.0, "indirect": indirect.map(|i| i.0), "refused": refused,
            "nacks": nacks,
        }),
        EventKind::SuspicionConfirmed { member, by, accusers } => {
            json!({"member": text(member), "by": text(by), "accusers": accusers})
        }
        EventKind::Refuted { accusation, incarnation } => {
            json!({"accusation": accusation.name(), "incarnation": incarnation.0})
        }
        EventKind::LocalHealth { score } => json!({"score": score}),
        EventKind::Stalled { for_ms } => json!({"for_ms": for_ms}),
        EventKind::RumorAccepted { key, from } => {
            json!({"rumor": rumor_json(key), "from": from.as_ref().map(text)})
        }
        EventKind::VersionLost { key, version, winner } => {
            json!({"rumor": rumor_json(key), "version": version, "winner": winner.as_ref().map(text)})
        }
        EventKind::Synced { with, learned, sent } => {
            json!({"with": text(with), "learned": learned, "sent": sent})
        }
        EventKind::ServiceChanged { service, from, to, reason } => json!({
            "service": service.as_str(), "from": from.map(|s| s.name()), "to": to.map(|s| s.name()),
            "reason": reason,
        }),
        EventKind::DecodeFailed { from, channel, error } => {
            json!({"from": text(from), "channel": channel_name(*channel), "error": text(error)})
        }
        EventKind::LimitReached { limit } => json!({"limit": limit.name()}),
        EventKind::PersistFailed { reason } => json!({"reason": reason}),
        EventKind::IdentityConflict { address } => json!({"address": text(address)}),
        EventKind::Leaving => json!({}),
        EventKind::Election { group, term, what } => election::fields(group, *term, what),
    }
}

fn why_json(why: &Why) -> Value {
    match why {
        Why::Restored => json!({"by": "restored"}),
        Why::Contact => json!({"by": "contact"}),
        Why::Rumor { from } => json!({"by": "rumor", "from": text(from)}),
        Why::ProbeFailed => json!({"by": "probe-failed"}),
        Why::SuspicionExpired { accusers } => json!({"by": "suspicion-expired", "accusers": accusers}),
        Why::GoneTooLong => json!({"by": "gone-too-long"}),
        Why::Own => json!({"by": "own"}),
        Why::Operator => json!({"by": "operator"}),
    }
}

fn rumor_json(key: &RumorKey) -> Value {
    match key {
        RumorKey::Member(member) => json!({"kind": "member", "member": text(member)}),
        RumorKey::Service { group, member } => {
            json!({"kind": "service", "group": group.as_str(), "member": text(member)})
        }
        RumorKey::ServiceHealth { group, member } => {
            json!({"kind": "service_health", "group": group.as_str(), "member": text(member)})
        }
        RumorKey::Departure(member) => json!({"kind": "departure", "member": text(member)}),
        RumorKey::ServiceConfig(group) => json!({"kind": "service_config", "group": group.as_str()}),
        RumorKey::ServiceFile { group, name } => {
            json!({"kind": "service_file", "group": group.as_str(), "name": name.as_str()})
        }
        RumorKey::Election(group) => json!({"kind": "election", "group": group.as_str()}),
    }
}

fn text(value: &impl ToString) -> String {
    value.to_string()
}

const fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Datagram => "datagram",
        Channel::Stream => "stream",
    }
}

const fn stop_reason(why: StopReason) -> &'static str {
    match why {
        StopReason::Exit(ExitReason::Left) => "left",
        StopReason::Exit(ExitReason::Departed) => "departed",
        StopReason::Crashed => "crashed",
        StopReason::Killed => "killed",
    }
}
