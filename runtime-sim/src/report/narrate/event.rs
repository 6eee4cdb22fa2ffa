//! Events in sentences: which of them is news, and its sentence.

use std::net::SocketAddr;

use annulus_core::{
    Event, EventKind, Instant, KeyStep, PackageIdent, Refusal, RumorKey, ServiceName, ServiceState, State,
    UpdateStep,
};

use super::{FailedProbe, Narrator};
use crate::action::HostId;
use crate::action::room::NAMES_MAX;

impl Narrator {
    pub(super) fn event(&mut self, at: Instant, host: HostId, event: &Event) {
        match &event.kind {
            EventKind::MemberChanged { member, from, to, incarnation, why } => {
                self.member_changed(at, host, *member, (*from, *to), *incarnation, why);
            }
            EventKind::MemberForgotten { member } => self.views.hold(host, *member, None),
            EventKind::ProbeFailed { member, indirect, refused, nacks, .. } => {
                let probe =
                    FailedProbe { refused: *refused, asked_others: indirect.is_some(), nacks: *nacks };
                self.probes.insert((host, *member), probe);
            }
            EventKind::SuspicionConfirmed { member, by, accusers } => {
                self.suspicion_confirmed(at, *member, *by, *accusers);
            }
            EventKind::LocalHealth { score } => self.local_health(at, host, *score),
            EventKind::ServiceChanged { service, from, to, reason } => {
                self.service_changed(at, host, service, (*from, *to), reason);
            }
            EventKind::Election { election, term, what } => self.election(at, host, election, *term, what),
            EventKind::Banned { member, .. } if !self.banned.insert(*member) => {}
            EventKind::BanLifted { member, .. } if !self.banned.remove(member) => {}
            EventKind::Synced { learned, .. } if *learned == 0 || self.names.len() > NAMES_MAX => {}
            other => {
                if let Some(text) = self.in_itself(host, other) {
                    self.say(at, &text);
                }
            }
        }
    }

    /// What came from others and was not believed.
    fn not_believed(&self, name: &str, kind: &EventKind) -> Option<String> {
        match kind {
            EventKind::StatementRefused { from, author, key, refusal } => {
                let author = author.as_ref().map(|author| self.who(author));
                Some(refused(name, (from, author), key, *refusal))
            }
            EventKind::MessageDropped { from, fault, times } => {
                let messages = if *times == 1 { "a message".to_owned() } else { format!("{times} messages") };
                Some(format!("{name} drops {messages} from {from}: {}.", fault.name().replace('-', " ")))
            }
            EventKind::IdentityRunsTwice { member, address } => {
                let member = self.who(member);
                Some(format!(
                    "{name} finds that two run as {member}, and does not hear the one at {address}."
                ))
            }
            _ => None,
        }
    }

    /// An event that is told whenever it happens; none when it is no news to a reader.
    fn in_itself(&self, host: HostId, kind: &EventKind) -> Option<String> {
        let name = self.name(host);
        Some(match kind {
            EventKind::Refuted { accusation, incarnation } => {
                let accused = accused(*accusation);
                format!("{name} hears that {accused} and contradicts, in its new incarnation {incarnation}.")
            }
            EventKind::Stalled { for_ms } => {
                let (s, ms) = (for_ms / 1000, for_ms % 1000);
                format!(
                    "{name} notices that it did not run for {s}.{ms:03}s: it checks itself before it accuses others."
                )
            }
            EventKind::Synced { with, learned, .. } => {
                let with = self.who(with);
                let records =
                    if *learned == 1 { "one record".to_owned() } else { format!("{learned} records") };
                format!("{name} and {with} compare what they know: {name} learns {records}.")
            }
            EventKind::Banned { member, by } => {
                let by = by.map_or_else(String::new, |by| format!(" by {}", self.who(&by)));
                format!("{} is banned{by}, {name} notes.", self.who(member))
            }
            EventKind::BanLifted { member, by } => {
                let by = by.map_or_else(String::new, |by| format!(" by {}", self.who(&by)));
                format!("The ban of {} is lifted{by}, {name} notes.", self.who(member))
            }
            EventKind::StatementRefused { .. }
            | EventKind::MessageDropped { .. }
            | EventKind::IdentityRunsTwice { .. } => self.not_believed(name, kind)?,
            EventKind::ObstacleChanged { service, what: Some(what), .. } => {
                format!("{service} on {name}: {what}.")
            }
            EventKind::ObstacleChanged { service, obstacle, hook, what: None } => {
                let hook = hook.map_or_else(String::new, |hook| format!("{hook} "));
                format!("{service} on {name}: nothing is wrong with its {hook}{obstacle} any more.")
            }
            EventKind::VersionLost { key, version, winner } => {
                let winner = winner.map_or_else(|| "another member".to_owned(), |id| self.who(&id));
                format!(
                    "{name} learns that its version {version} of the {key} lost against the one that {winner} took."
                )
            }
            EventKind::RumorRepaired { key } => {
                format!(
                    "{name} finds that its store does not hold what it has told of the {key}, and tells it again."
                )
            }
            EventKind::DecodeFailed { .. }
            | EventKind::LimitReached { .. }
            | EventKind::PersistFailed { .. }
            | EventKind::IdentityConflict { .. }
            | EventKind::IdentityTakenOver { .. }
            | EventKind::RingKeyChanged { .. }
            | EventKind::RingKeyFailed { .. } => return self.of_itself(name, kind),
            EventKind::UpdateChanged { service, step, build, from, reason } => {
                update(name, service, *step, (build.as_ref(), from.as_ref()), reason.as_deref())
            }
            EventKind::Leaving => format!("{name} tells the ring that it leaves."),
            EventKind::Started { .. }
            | EventKind::RumorAccepted { .. }
            | EventKind::MemberChanged { .. }
            | EventKind::MemberForgotten { .. }
            | EventKind::ProbeFailed { .. }
            | EventKind::SuspicionConfirmed { .. }
            | EventKind::LocalHealth { .. }
            | EventKind::ServiceChanged { .. }
            | EventKind::Election { .. } => return None,
        })
    }

    /// What a supervisor finds of its bytes, its disk, its identity and its keys.
    fn of_itself(&self, name: &str, kind: &EventKind) -> Option<String> {
        Some(match kind {
            EventKind::DecodeFailed { from, error, .. } => {
                format!("{name} rejects bytes from {from}: {error}.")
            }
            EventKind::LimitReached { limit } => {
                format!("{name} reaches a limit and drops something: {limit}.")
            }
            EventKind::PersistFailed { reason } => format!("{name} cannot write to its disk: {reason}."),
            EventKind::IdentityConflict { address, yields } => {
                let then = if *yields { "falls silent" } else { "goes on as that member" };
                format!("{name} finds a second supervisor with a copy of its disk at {address}, and {then}.")
            }
            EventKind::IdentityTakenOver { former } => {
                format!("{name} goes on with the disk of {}, under an id of its own.", self.who(former))
            }
            EventKind::RingKeyChanged { ring_key, step, by } => {
                key_step(name, ring_key.revision, *step, by.map(|by| self.who(&by)))
            }
            EventKind::RingKeyFailed { ring_key, reason } => {
                format!("{name} gets no further with the ring's key {}: {reason}.", ring_key.revision)
            }
            _ => return None,
        })
    }

    fn service_changed(
        &mut self,
        at: Instant,
        host: HostId,
        service: &ServiceName,
        (from, to): (Option<ServiceState>, Option<ServiceState>),
        reason: &str,
    ) {
        let name = self.name(host);
        let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        let text = match (from, to) {
            (_, Some(ServiceState::Loaded | ServiceState::Starting)) => return,
            (_, Some(ServiceState::Up)) => format!("{service} runs on {name}{because}."),
            (_, Some(ServiceState::Stopping)) => format!("{name} tells {service} to stop{because}."),
            (_, Some(ServiceState::Down)) => format!("{service} is down on {name}{because}."),
            (_, Some(ServiceState::Backoff)) => {
                format!("{service} does not run on {name}, which waits before it tries again{because}.")
            }
            (_, Some(ServiceState::Waiting)) => format!("{service} waits on {name}{because}."),
            (_, Some(ServiceState::Failed)) => format!("{name} gives {service} up{because}."),
            (_, None) => format!("{service} is no longer loaded on {name}{because}."),
        };
        self.say(at, &text);
    }
}

fn update(
    name: &str,
    service: &ServiceName,
    step: UpdateStep,
    (build, from): (Option<&PackageIdent>, Option<&PackageIdent>),
    reason: Option<&str>,
) -> String {
    let short = |ident: &PackageIdent| ident.version().unwrap_or_default().to_owned();
    let what = build.map_or_else(|| String::from("another build"), short);
    let before = from.map_or_else(String::new, |from| format!(" instead of {}", short(from)));
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    match step {
        UpdateStep::Seen => format!("{name} finds {what} for {service}{before}."),
        UpdateStep::Ordered => format!("an operator orders {what} for {service} on {name}{before}."),
        UpdateStep::Fetched => format!("{name} has {what} for {service} on its disk."),
        UpdateStep::Begun => format!("{service} on {name} is to run {what}{before}."),
        UpdateStep::Done => format!("{service} on {name} runs {what}, which has proved itself."),
        UpdateStep::RolledBack => format!("{service} on {name} goes back to {what}{before}{why}."),
        UpdateStep::Refused => format!("{name} does not try {what} for {service} any more{why}."),
        UpdateStep::HeldBack => format!("{what} of {service} does not fit on {name} and waits{why}."),
        UpdateStep::Failed => format!("{name} cannot get {what} for {service} and tries again{why}."),
    }
}

fn key_step(name: &str, revision: u64, step: KeyStep, by: Option<String>) -> String {
    let by = by.map_or_else(String::new, |by| format!(", says {by}"));
    match step {
        KeyStep::Held => format!("{name} can open the ring's key {revision}."),
        KeyStep::Offered => format!("{name} hears that the ring's key {revision} is offered{by}."),
        KeyStep::Current => format!("{name} speaks with the ring's key {revision} from now on{by}."),
        KeyStep::Missing => format!("{name} lacks the ring's key {revision}, which is current{by}."),
        KeyStep::Retired => format!("{name} holds the ring's key {revision} to be retired."),
        KeyStep::Dropped => format!("{name} opens nothing with the ring's key {revision} any more."),
    }
}

const fn accused(accusation: State) -> &'static str {
    match accusation {
        State::Suspect => "it is suspected",
        State::Confirmed => "it is held dead",
        State::Departed => "it is held to have left",
        State::Alive => "others have an old word of it",
    }
}

fn refused(
    name: &str,
    (from, author): (&SocketAddr, Option<String>),
    key: &RumorKey,
    refusal: Refusal,
) -> String {
    let author = author.unwrap_or_else(|| "no member".to_owned());
    let why = refusal.name();
    format!("{name} does not believe what {from} says of the {key} in the name of {author}: {why}.")
}
