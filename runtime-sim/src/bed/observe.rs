//! The state of real supervisors, as their HTTP gateways tell it. Observing asks and never commands.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use annulus_core::{Incarnation, MemberId, ServiceState, State};
use serde_json::Value;

use super::Place;
use super::daemon::inside;
use crate::action::HostId;
use crate::expect::EventWord;

/// A supervisor that does not answer within this is asked again at the next look.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// Time between tries to reach a gateway that is about to open.
const RETRY: Duration = Duration::from_millis(20);
/// An event stream is not tried for longer than this.
const TRIES_MAX: u32 = 500;

/// The state of one supervisor when it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) identity: Option<(MemberId, Incarnation)>,
    pub(crate) members: BTreeMap<MemberId, State>,
    /// Services that it believes in, and on which member.
    pub(crate) believed: BTreeSet<(MemberId, String)>,
    /// Its own services.
    pub(crate) services: BTreeMap<String, ServiceState>,
}

/// An event that a supervisor reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) host: HostId,
    pub(crate) word: EventWord,
    /// The member that the event is about; none: its own.
    pub(crate) member: Option<MemberId>,
}

/// Asks a gateway; the body of its answer.
pub(crate) fn get(place: &Place, path: &str) -> io::Result<String> {
    let mut stream = open(place, path, "")?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{path}: {}", head.lines().next().unwrap_or("no answer")))),
    }
}

/// HTTP 1.0: the answer ends where the connection does.
fn open(place: &Place, path: &str, header: &str) -> io::Result<TcpStream> {
    let mut stream =
        inside(place.netns.as_deref(), || TcpStream::connect_timeout(&place.http, ANSWER_TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n{header}\r\n").as_bytes())?;
    Ok(stream)
}

/// Asks a supervisor for its state.
pub(crate) fn look(place: &Place, with_services: bool) -> io::Result<Seen> {
    let ring: Value = serde_json::from_str(&get(place, "/butterfly")?)?;
    let mut seen = seen(&ring);
    if with_services {
        let services: Value = serde_json::from_str(&get(place, "/services")?)?;
        for service in services.as_array().into_iter().flatten() {
            let name = service["service_group"].as_str().and_then(|group| group.split('.').next());
            let state = service["state"].as_str().and_then(service_state);
            seen.services.extend(name.map(str::to_owned).zip(state));
        }
    }
    Ok(seen)
}

fn seen(ring: &Value) -> Seen {
    let mut seen = Seen::default();
    let own = ring["local_member_id"].as_str().unwrap_or_default();
    for (id, member) in ring["membership"].as_object().into_iter().flatten() {
        let (Ok(member_id), Some(state)) = (id.parse(), member["health"].as_str().and_then(state)) else {
            continue;
        };
        seen.members.insert(member_id, state);
        if id == own {
            seen.identity = Some((member_id, Incarnation(member["incarnation"].as_u64().unwrap_or(0))));
        }
    }
    for (group, members) in ring["services"].as_object().into_iter().flatten() {
        let service = group.split('.').next().unwrap_or_default();
        for (id, rumor) in members.as_object().into_iter().flatten() {
            if let (Ok(member_id), Some(true)) = (id.parse(), rumor["initialized"].as_bool()) {
                seen.believed.insert((member_id, service.to_owned()));
            }
        }
    }
    seen
}

fn state(name: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.name() == name)
}

fn service_state(name: &str) -> Option<ServiceState> {
    name.parse().ok()
}

/// Hands on every event that a supervisor reports, from its start to its end, out of a thread of its own.
pub(crate) fn follow(host: HostId, place: Place, to: Sender<Reported>) {
    thread::spawn(move || {
        for _ in 0..TRIES_MAX {
            // An id that is not of this run makes the gateway send every event from the beginning.
            match open(&place, "/events", "last-event-id: 0\r\n") {
                Ok(stream) => return hand_on(host, stream, &to),
                Err(_) => thread::sleep(RETRY),
            }
        }
    });
}

fn hand_on(host: HostId, stream: TcpStream, to: &Sender<Reported>) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let event = line.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok());
        if let Some((word, member)) = event.as_ref().and_then(word)
            && to.send(Reported { host, word, member }).is_err()
        {
            return;
        }
    }
}

/// A scenario's word for an event, and the member that it is about.
fn word(event: &Value) -> Option<(EventWord, Option<MemberId>)> {
    let member = || event["member"].as_str().and_then(|id| id.parse().ok());
    match event["kind"].as_str()? {
        "member_changed" if event["from"] != event["to"] => {
            Some((EventWord::of_state(state(event["to"].as_str()?)?), member()))
        }
        "probe_failed" => Some((EventWord::ProbeFailed, member())),
        "banned" => Some((EventWord::Banned, member())),
        "ban_lifted" => Some((EventWord::BanLifted, member())),
        "refuted" => Some((EventWord::Refuted, None)),
        "stalled" => Some((EventWord::Stalled, None)),
        "service_changed" => Some((EventWord::of_service(service_state(event["to"].as_str()?)?)?, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ADA: &str = "00000000000040008000000000000001";
    const BOB: &str = "00000000000040008000000000000002";

    #[test]
    fn a_ring_is_read_as_the_gateway_writes_it() {
        let ring = json!({
            "local_member_id": ADA,
            "membership": {
                ADA: { "health": "Alive", "incarnation": 4 },
                BOB: { "health": "Confirmed", "incarnation": 1 },
                "rubbish": { "health": "Alive" },
            },
            "services": { "web.default": { BOB: { "initialized": true }, ADA: { "initialized": false } } },
        });
        let seen = seen(&ring);
        let (ada, bob): (MemberId, MemberId) = (ADA.parse().expect("an id"), BOB.parse().expect("an id"));
        assert_eq!(seen.identity, Some((ada, Incarnation(4))));
        assert_eq!(seen.members, BTreeMap::from([(ada, State::Alive), (bob, State::Confirmed)]));
        assert_eq!(seen.believed, BTreeSet::from([(bob, "web".to_owned())]));
    }

    #[test]
    fn events_become_words() {
        let changed = |from, to| json!({ "kind": "member_changed", "member": BOB, "from": from, "to": to });
        let bob = BOB.parse().ok();
        assert_eq!(word(&changed(Some("Alive"), "Suspect")), Some((EventWord::Suspect, bob)));
        assert_eq!(word(&changed(Some("Alive"), "Alive")), None, "a new incarnation is no change of state");
        assert_eq!(
            word(&json!({ "kind": "service_changed", "to": "up" })),
            Some((EventWord::ServiceUp, None))
        );
        assert_eq!(word(&json!({ "kind": "synced" })), None);
    }
}
