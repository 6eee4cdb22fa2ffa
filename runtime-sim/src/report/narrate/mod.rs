//! Tells a run as a story, in sentences that somebody who learns how a ring works can follow.
//!
//! One sentence for what is new, not one for each packet or each member: who is the first to suspect, and when
//! everybody knows.

mod actions;
mod election;

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{
    Event, EventKind, ExitReason, Incarnation, Instant, MemberId, Reply, RumorKey, ServiceName, ServiceState,
    State, Why,
};

use crate::action::HostId;
use crate::action::room::NAMES_MAX;
use crate::action::world::{Record, What};
use crate::engine::record::StopReason;

/// The storyteller of one run.
#[derive(Debug)]
pub struct Narrator {
    names: Vec<String>,
    hosts: BTreeMap<MemberId, HostId>,
    members: BTreeMap<HostId, MemberId>,
    running: BTreeSet<HostId>,
    /// What each running supervisor holds of each member.
    views: BTreeMap<HostId, BTreeMap<MemberId, State>>,
    /// Members of which a state is being heard of, and what has been told about it.
    spreading: BTreeMap<(MemberId, State), Spreading>,
    probes: BTreeMap<(HostId, MemberId), FailedProbe>,
    banned: BTreeSet<MemberId>,
    accusers_told: BTreeMap<MemberId, u32>,
    struggling: BTreeSet<HostId>,
    whole: bool,
    crowd_told: bool,
    lines: Vec<String>,
}

#[derive(Clone, Debug)]
struct Spreading {
    first: Instant,
    everybody_told: bool,
}

#[derive(Clone, Copy, Debug)]
struct FailedProbe {
    refused: bool,
    asked_others: bool,
    nacks: u32,
}

impl Narrator {
    /// A storyteller for hosts of these names, in the order of their ids.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            hosts: BTreeMap::new(),
            members: BTreeMap::new(),
            running: BTreeSet::new(),
            views: BTreeMap::new(),
            spreading: BTreeMap::new(),
            probes: BTreeMap::new(),
            banned: BTreeSet::new(),
            accusers_told: BTreeMap::new(),
            struggling: BTreeSet::new(),
            whole: false,
            crowd_told: false,
            lines: Vec::new(),
        }
    }

    /// Takes note of what happened; the lines that are to be told now, often none.
    pub fn tell(&mut self, record: &Record) -> Vec<String> {
        let at = record.at;
        match &record.what {
            What::Action(action) => self.action(at, action),
            What::HostStarted { host, member, restored } => self.host_started(at, *host, *member, *restored),
            What::HostStopped { host, why } => self.host_stopped(at, *host, *why),
            What::Event { host, event } => self.event(at, *host, event),
            What::Reply { host, reply, .. } => self.reply(at, *host, reply),
            What::ProcessExited { host, service, status, .. } => {
                let text = format!("the process of {service} on {} ends with {status}.", self.name(*host));
                self.say(at, &text);
            }
            What::BeyondLimit { host, what, count, limit } => {
                let text = format!("{} has {what} of {count}: more than {limit}.", self.name(*host));
                self.say(at, &text);
            }
            What::ProcessStarted { .. }
            | What::ProcessSignalled { .. }
            | What::Restored { .. }
            | What::Holds { .. }
            | What::Leads { .. }
            | What::Sent { .. }
            | What::Delivered { .. }
            | What::Dropped { .. }
            | What::RefusalDelivered { .. } => {}
        }
        std::mem::take(&mut self.lines)
    }

    fn say(&mut self, at: Instant, text: &str) {
        let time = at.to_string();
        self.lines.push(format!("{time:>9}  {text}"));
    }

    fn name(&self, host: HostId) -> &str {
        self.names.get(host.0 as usize).map_or("somebody", String::as_str)
    }

    /// The name of the host that a member runs on; a member that came back without its disk is another one.
    fn who(&self, member: &MemberId) -> String {
        let Some(host) = self.hosts.get(member) else { return String::from("an unknown member") };
        if self.members.get(host) == Some(member) {
            return self.name(*host).to_owned();
        }
        format!("the former member on {}", self.name(*host))
    }

    fn host_started(&mut self, at: Instant, host: HostId, member: MemberId, restored: bool) {
        let again = self.members.contains_key(&host);
        self.hosts.insert(member, host);
        self.members.insert(host, member);
        self.running.insert(host);
        self.views.insert(host, BTreeMap::new());
        self.whole = false;
        if again {
            let name = self.name(host);
            let text = if restored {
                format!("{name} reads who it is from its disk: the ring will know it again.")
            } else {
                format!("{name} finds nothing on its disk: to the ring it is a new member.")
            };
            self.say(at, &text);
        }
    }

    fn host_stopped(&mut self, at: Instant, host: HostId, why: StopReason) {
        self.running.remove(&host);
        self.views.remove(&host);
        self.whole = false;
        let text = match why {
            StopReason::Exit(ExitReason::Left) => format!("{} has left and ends.", self.name(host)),
            StopReason::Exit(ExitReason::Departed) => {
                format!("{} learns that it is banned, and ends.", self.name(host))
            }
            // The action was told already.
            StopReason::Crashed | StopReason::Killed => return,
        };
        self.say(at, &text);
    }

    fn reply(&mut self, at: Instant, host: HostId, reply: &Reply) {
        if let Reply::Failed(error) = reply {
            let text = format!("{} refuses: {error}.", self.name(host));
            self.say(at, &text);
        }
    }

    fn event(&mut self, at: Instant, host: HostId, event: &Event) {
        match &event.kind {
            EventKind::MemberChanged { member, from, to, incarnation, why } => {
                self.member_changed(at, host, *member, (*from, *to), *incarnation, why);
            }
            EventKind::MemberForgotten { member } => {
                if let Some(view) = self.views.get_mut(&host) {
                    view.remove(member);
                }
            }
            EventKind::ProbeFailed { member, indirect, refused, nacks, .. } => {
                let probe =
                    FailedProbe { refused: *refused, asked_others: indirect.is_some(), nacks: *nacks };
                self.probes.insert((host, *member), probe);
            }
            EventKind::SuspicionConfirmed { member, by, accusers } => {
                self.suspicion_confirmed(at, *member, *by, *accusers);
            }
            EventKind::LocalHealth { score } => self.local_health(at, host, *score),
            EventKind::Banned { member } => {
                if self.banned.insert(*member) {
                    let text = format!("{} is banned for ever, {} notes.", self.who(member), self.name(host));
                    self.say(at, &text);
                }
            }
            EventKind::ServiceChanged { service, from, to, reason } => {
                self.service_changed(at, host, service, (*from, *to), reason);
            }
            EventKind::Election { group, term, what } => self.election(at, host, group, *term, what),
            kind @ (EventKind::Refuted { .. }
            | EventKind::Stalled { .. }
            | EventKind::Synced { .. }
            | EventKind::VersionLost { .. }
            | EventKind::DecodeFailed { .. }
            | EventKind::LimitReached { .. }
            | EventKind::PersistFailed { .. }
            | EventKind::IdentityConflict { .. }
            | EventKind::Leaving) => {
                if let Some(text) = self.sentence(host, kind) {
                    self.say(at, &text);
                }
            }
            EventKind::Started { .. } | EventKind::RumorAccepted { .. } => {}
        }
    }

    /// An event that is told as it is, whatever came before it; none where it is not worth a sentence.
    fn sentence(&self, host: HostId, kind: &EventKind) -> Option<String> {
        let name = self.name(host);
        Some(match kind {
            EventKind::Refuted { accusation, incarnation } => {
                let accused = match accusation {
                    State::Suspect => "it is suspected",
                    State::Confirmed => "it is held dead",
                    State::Departed => "it is held to have left",
                    State::Alive => "others have an old word of it",
                };
                format!("{name} hears that {accused} and contradicts, in its new incarnation {incarnation}.")
            }
            EventKind::Stalled { for_ms } => format!(
                "{name} notices that it did not run for {}.{:03}s: it checks itself before it accuses anybody.",
                for_ms / 1000,
                for_ms % 1000
            ),
            EventKind::Synced { with, learned, .. } if *learned > 0 && self.names.len() <= NAMES_MAX => {
                let records = if *learned == 1 { "one record" } else { "records" };
                let number = if *learned == 1 { String::new() } else { format!("{learned} ") };
                format!(
                    "{name} and {} compare what they know: {name} learns {number}{records}.",
                    self.who(with)
                )
            }
            EventKind::DecodeFailed { from, error, .. } => {
                format!("{name} rejects bytes from {from}: {error}.")
            }
            EventKind::LimitReached { limit } => {
                format!("{name} reaches a limit and drops something: {limit}.")
            }
            EventKind::PersistFailed { reason } => format!("{name} cannot write to its disk: {reason}."),
            EventKind::IdentityConflict { address } => {
                format!("{name} finds a second supervisor with a copy of its disk at {address}, and yields.")
            }
            EventKind::VersionLost { key, version, winner } => {
                let winner = winner.map_or_else(|| "somebody".to_owned(), |id| self.who(&id));
                let what = version_name(key);
                format!(
                    "{name} learns that its version {version} of the {what} lost against the one that {winner} took."
                )
            }
            EventKind::Leaving => format!("{name} tells the ring that it leaves."),
            _ => return None,
        })
    }

    fn member_changed(
        &mut self,
        at: Instant,
        host: HostId,
        member: MemberId,
        (from, to): (Option<State>, State),
        incarnation: Incarnation,
        why: &Why,
    ) {
        self.views.entry(host).or_default().insert(member, to);
        if self.members.get(&host) == Some(&member) {
            return self.check_whole(at);
        }
        if from != Some(to) && from.is_some() {
            if !self.spreading.contains_key(&(member, to)) {
                // What was told of the member before is over.
                self.spreading.retain(|(other, _), _| *other != member);
                if to == State::Alive {
                    self.accusers_told.remove(&member);
                }
                self.spreading.insert((member, to), Spreading { first: at, everybody_told: false });
                self.first(at, host, member, to, incarnation, why);
            }
            self.check_everybody(at, member, to);
        }
        self.check_whole(at);
    }

    /// Somebody is the first to hold `member` so.
    fn first(
        &mut self,
        at: Instant,
        host: HostId,
        member: MemberId,
        to: State,
        incarnation: Incarnation,
        why: &Why,
    ) {
        let (name, subject) = (self.name(host).to_owned(), self.who(&member));
        let text = match (to, why) {
            (State::Suspect, Why::ProbeFailed) => {
                format!("{name} suspects {subject}: {}.", self.silence(host, member))
            }
            (State::Confirmed, Why::SuspicionExpired { accusers }) => {
                let accused = if *accusers == 1 {
                    String::from("nobody else could reach it or speak for it")
                } else {
                    format!("{accusers} members accused it and nobody spoke for it")
                };
                format!("{name} gives {subject} up for dead: while the suspicion lasted, {accused}.")
            }
            (State::Departed, Why::GoneTooLong) => {
                format!("{name} counts {subject} as gone: it has been dead too long.")
            }
            (State::Departed, _) => format!("{name} hears that {subject} is no longer of the ring."),
            (State::Alive, Why::Contact) => {
                format!(
                    "{name} hears from {subject} itself and holds it alive again (incarnation {incarnation})."
                )
            }
            (State::Alive, Why::Rumor { from }) => {
                let from = self.who(from);
                let teller = if from == subject { String::from("itself") } else { format!("through {from}") };
                format!(
                    "{name} hears {teller} that {subject} is alive after all (incarnation {incarnation}).",
                )
                .replace("hears itself that", "hears from it that")
            }
            (state, Why::Rumor { from }) => {
                let word = match state {
                    State::Suspect => "is suspected",
                    _ => "is held dead",
                };
                format!("{name} hears from {} that {subject} {word}.", self.who(from))
            }
            (state, _) => format!("{name} now holds {subject} {state}."),
        };
        self.say(at, &text);
    }

    /// Why `host` got no answer from `member`.
    fn silence(&self, host: HostId, member: MemberId) -> String {
        match self.probes.get(&(host, member)) {
            Some(FailedProbe { refused: true, .. }) => {
                String::from("its host answered that no supervisor listens there")
            }
            Some(FailedProbe { asked_others: true, nacks: 0, .. }) => {
                String::from("its ping got no answer, and asking others to try brought none either")
            }
            Some(FailedProbe { asked_others: true, nacks: 1, .. }) => String::from(
                "its ping got no answer, and another member that it asked could not reach it either",
            ),
            Some(FailedProbe { asked_others: true, nacks, .. }) => {
                format!(
                    "its ping got no answer, and {nacks} other members that it asked could not reach it either"
                )
            }
            _ => String::from("its ping got no answer, and there was nobody to ask"),
        }
    }

    fn suspicion_confirmed(&mut self, at: Instant, member: MemberId, by: MemberId, accusers: u32) {
        let told = self.accusers_told.entry(member).or_insert(1);
        if accusers > *told {
            *told = accusers;
            let text = format!(
                "{} cannot reach {} either: {accusers} members accuse it, so it has less time to answer.",
                self.who(&by),
                self.who(&member)
            );
            self.say(at, &text);
        }
    }

    /// Whether by now everybody who runs holds `member` so.
    fn check_everybody(&mut self, at: Instant, member: MemberId, state: State) {
        let own = self.hosts.get(&member).copied();
        let mut others = self.running.iter().filter(|host| Some(**host) != own).peekable();
        let several = self.running.len() > 2;
        let everybody = others.peek().is_some()
            && others.all(|host| self.views.get(host).and_then(|view| view.get(&member)) == Some(&state));
        let Some(spreading) = self.spreading.get_mut(&(member, state)) else { return };
        if !everybody || spreading.everybody_told || !several {
            return;
        }
        spreading.everybody_told = true;
        let after = at.saturating_since(spreading.first).as_millis();
        let who = self.who(&member);
        let what = match state {
            State::Alive => format!("knows that {who} is alive"),
            State::Suspect => format!("has heard that {who} is suspected"),
            State::Confirmed => format!("holds {who} dead"),
            State::Departed => format!("knows that {who} is gone"),
        };
        let text =
            format!("everybody who runs {what}, {}.{:03}s after the first.", after / 1000, after % 1000);
        self.say(at, &text);
    }

    /// Whether by now everybody who runs holds everybody who runs alive.
    fn check_whole(&mut self, at: Instant) {
        let members: Vec<MemberId> =
            self.running.iter().filter_map(|host| self.members.get(host)).copied().collect();
        let whole = members.len() > 1
            && self.running.iter().all(|host| {
                self.views.get(host).is_some_and(|view| {
                    let own = self.members.get(host);
                    view.len() + 1 >= members.len()
                        && members
                            .iter()
                            .all(|member| own == Some(member) || view.get(member) == Some(&State::Alive))
                })
            });
        if whole && !self.whole {
            let text = match members.len() {
                2 => String::from("the ring is whole: both members hold each other alive."),
                all => format!("the ring is whole: all {all} members hold each other alive."),
            };
            self.say(at, &text);
        }
        self.whole = whole;
    }

    fn local_health(&mut self, at: Instant, host: HostId, score: u32) {
        let name = self.name(host);
        // One failed probe raises the score to one; that is no news beside the suspicion itself.
        let (text, changed) = match score {
            0 => (format!("{name} trusts its own connection again."), self.struggling.remove(&host)),
            1 => return,
            _ => (
                format!(
                    "{name} doubts its own connection (health score {score}) and gives others more time."
                ),
                self.struggling.insert(host),
            ),
        };
        if changed {
            self.say(at, &text);
        }
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

/// What a version is a version of, for people.
fn version_name(key: &RumorKey) -> String {
    match key {
        RumorKey::ServiceConfig(group) => format!("configuration of {group}"),
        RumorKey::ServiceFile { group, name } => format!("file {name} of {group}"),
        other => other.kind().name().to_owned(),
    }
}
