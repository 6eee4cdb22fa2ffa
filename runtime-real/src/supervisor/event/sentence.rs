//! Puts events into words for operators: the text of `/events` and the message of a log line. Decides nothing
//! about levels and fields.

use std::net::SocketAddr;

use annulus_core::{
    CensusEntry, ElectionPurpose, EventKind, Hook, Incarnation, KeyParts, KeyStep, MemberId, Node,
    ObstacleKind, Refusal, RingKeyId, RumorKey, ServiceName, StampFault, State, Why,
};

use super::{election, update};

/// The first eight digits of a member id: enough to tell members apart in a sentence.
#[must_use]
pub fn short(id: &MemberId) -> String {
    id.to_string().chars().take(8).collect()
}

/// Names members in sentences.
pub type Names<'a> = &'a dyn Fn(&MemberId) -> String;

/// A member by the name of its host and the beginning of its id, as in `beta (e6305a98)`. A member whose host has not
/// told its name, which it does with its first service, goes by its address.
#[must_use]
pub fn name_in(node: &Node, id: &MemberId) -> String {
    let told = || {
        node.rumors().find_map(|rumor| match rumor.census_entry() {
            CensusEntry::Runs(service) if service.member_id == *id => Some(service.sys.hostname.clone()),
            _ => None,
        })
    };
    let host = if *id == node.id() { Some(node.config().sys.hostname.clone()) } else { told() };
    let address = || {
        let member = node.member(id).filter(|member| !member.address.is_unspecified());
        member.map(|member| member.gossip_addr().to_string())
    };
    match host.filter(|host| !host.is_empty()).or_else(address) {
        Some(place) => format!("{place} ({})", short(id)),
        None => short(id),
    }
}

fn why_text(why: &Why, names: Names<'_>) -> String {
    match why {
        Why::Restored => "known from before the restart".to_owned(),
        Why::Contact => "it spoke to us itself".to_owned(),
        Why::Rumor { from } => format!("heard from {}", names(from)),
        Why::ProbeFailed => "it did not answer our probe".to_owned(),
        Why::SuspicionExpired { accusers: 1 } => {
            "it did not refute the suspicion of one member in time".to_owned()
        }
        Why::SuspicionExpired { accusers } => {
            format!("it did not refute the suspicion of {accusers} members in time")
        }
        Why::GoneTooLong => "it has been dead for too long".to_owned(),
        Why::Own => "this supervisor itself".to_owned(),
        Why::Operator => "an operator banned it".to_owned(),
    }
}

/// The sentence for an event, with members as `names` calls them.
#[must_use]
pub fn sentence(kind: &EventKind, names: Names<'_>) -> String {
    match kind {
        EventKind::Started { member, incarnation, restored } => {
            let how = if *restored { "starts again as member" } else { "starts as the new member" };
            format!("this supervisor {how} {}, incarnation {incarnation}", names(member))
        }
        EventKind::MemberChanged { member, from, to, incarnation, why } => {
            member_changed(&names(member), (*from, *to), *incarnation, &why_text(why, names))
        }
        EventKind::MemberForgotten { member } => format!("{} is forgotten", names(member)),
        EventKind::ProbeFailed { member, refused: true, .. } => {
            format!("{} did not answer a probe: its host says that no program listens there", names(member))
        }
        EventKind::ProbeFailed { member, nacks, .. } => match nacks {
            0 => format!("{} did not answer a probe, neither directly nor through others", names(member)),
            n => format!("{} did not answer a probe; {n} helpers could not reach it either", names(member)),
        },
        EventKind::SuspicionConfirmed { member, by, accusers } => {
            format!("{} suspects {} too; {accusers} members do by now", names(by), names(member))
        }
        EventKind::Refuted { accusation, incarnation } => {
            format!("this supervisor was called {accusation} and answers with incarnation {incarnation}")
        }
        EventKind::LocalHealth { score: 0 } => "this supervisor judges itself healthy again".to_owned(),
        EventKind::LocalHealth { score } => {
            format!(
                "this supervisor doubts its own health (score {score}) and waits longer before it accuses"
            )
        }
        EventKind::Stalled { for_ms } => format!("this supervisor was not running for {for_ms} ms"),
        EventKind::RumorAccepted { key, from } => rumor_sentence(key, from.as_ref(), names),
        EventKind::RumorRepaired { key } => {
            format!("what this supervisor had told of the {key} was lost from its store; it was told again")
        }
        EventKind::VersionLost { key, version, winner } => {
            version_lost(key, *version, winner.as_ref(), names)
        }
        EventKind::Synced { with, learned, sent } => {
            format!("compared notes with {}: learned {learned} records, sent {sent}", names(with))
        }
        EventKind::Banned { member, by } => banned(&names(member), by.as_ref().map(names)),
        EventKind::BanLifted { member, by } => lifted(&names(member), by.as_ref().map(names)),
        EventKind::StatementRefused { .. }
        | EventKind::MessageDropped { .. }
        | EventKind::IdentityRunsTwice { .. } => not_believed(kind, names),
        EventKind::ServiceChanged { service, from, to, reason } => {
            let before = from.map_or(String::new(), |from| format!(", was {from}"));
            let to = to.map_or("unloaded", annulus_core::ServiceState::name);
            let why = if reason.is_empty() || reason == to { String::new() } else { format!(": {reason}") };
            format!("service {service} is {to}{before}{why}")
        }
        EventKind::ObstacleChanged { service, obstacle, hook, what } => {
            obstacle_changed(service, *obstacle, *hook, what.as_deref())
        }
        EventKind::DecodeFailed { from, channel, error } => {
            format!("rejected a {} from {from}: {error}", channel.name())
        }
        EventKind::LimitReached { limit } => {
            format!("the limit {limit} is reached and something was dropped")
        }
        EventKind::PersistFailed { reason } => format!("could not write to disk: {reason}"),
        EventKind::IdentityConflict { address, yields } => copied(address, *yields),
        EventKind::IdentityTakenOver { former } => taken_over(former),
        EventKind::RingKeyChanged { ring_key, step, by } => key_step(ring_key, *step, by.as_ref().map(names)),
        EventKind::RingKeyFailed { ring_key, reason } => {
            format!("the ring's key {} gets no further here: {reason}", revision(ring_key))
        }
        EventKind::UpdateChanged { .. } => update::sentence(kind),
        EventKind::Leaving => "this supervisor begins to leave the ring".to_owned(),
        EventKind::Election { election: id, term, what } => election::sentence(id, *term, what, names),
    }
}

fn obstacle_changed(
    service: &ServiceName,
    obstacle: ObstacleKind,
    hook: Option<Hook>,
    what: Option<&str>,
) -> String {
    match (what, hook) {
        (Some(what), _) => format!("service {service}: {what}"),
        (None, Some(hook)) => format!("service {service}: nothing is wrong with its {hook} hook any more"),
        (None, None) => format!("service {service}: nothing is wrong with its {obstacle} any more"),
    }
}

fn revision(key: &RingKeyId) -> String {
    format!("{:014}", key.revision)
}

fn key_step(key: &RingKeyId, step: KeyStep, by: Option<String>) -> String {
    let (key, by) = (revision(key), by.map_or_else(String::new, |by| format!(", says {by}")));
    match step {
        KeyStep::Held => format!("this host can open what is sealed with the ring's key {key}"),
        KeyStep::Offered => {
            format!("the ring's key {key} is offered{by}: it becomes current once every member can open it")
        }
        KeyStep::Current => format!("this supervisor speaks with the ring's key {key} from now on{by}"),
        KeyStep::Missing => format!(
            "the ring speaks with its key {key}{by}, which this host does not have: members that have it hand it on; if none \
             does, put its file into the key cache of this host"
        ),
        KeyStep::Retired => format!("the ring's key {key} is retired; it is still heard for a while"),
        KeyStep::Dropped => {
            format!("the ring's key {key} is dropped: what is sealed with it is not heard any more")
        }
    }
}

fn member_changed(
    member: &str,
    (from, to): (Option<State>, State),
    incarnation: Incarnation,
    why: &str,
) -> String {
    match from {
        Some(from) if from == to => {
            format!("{member} is still {to}, now in incarnation {incarnation}: {why}")
        }
        Some(from) => format!("{member} went from {from} to {to}: {why}"),
        None => format!("{member} is now known, {to}: {why}"),
    }
}

fn banned(member: &str, by: Option<String>) -> String {
    let by = by.map_or_else(String::new, |by| format!(", by an order to {by}"));
    format!("{member} is banned from the ring{by}")
}

fn lifted(member: &str, by: Option<String>) -> String {
    let by = by.map_or_else(String::new, |by| format!(", by an order to {by}"));
    format!("the ban of {member} is lifted{by}: it takes part again once it is started")
}

fn taken_over(former: &MemberId) -> String {
    format!(
        "the data directory was that of member {former}, which had another key or none: this member took its \
         place under its own id; its votes were dropped, and what operators gave it was signed anew"
    )
}

/// What came from others and is not believed.
fn not_believed(kind: &EventKind, names: Names<'_>) -> String {
    match kind {
        EventKind::StatementRefused { from, author, key, refusal } => {
            refused(from, author.as_ref().map(names), key, *refusal)
        }
        EventKind::MessageDropped { from, fault, times } => dropped(from, *fault, *times),
        EventKind::IdentityRunsTwice { member, address } => {
            format!(
                "two supervisors run with the identity of {}: the one at {address} is not heard while the other one speaks; \
                 stop one of them and remove its data directory",
                names(member)
            )
        }
        _ => String::new(),
    }
}

fn dropped(from: &SocketAddr, fault: StampFault, times: u64) -> String {
    let why = match fault {
        StampFault::Had => "they came before; if this goes on, they are recorded and sent again there",
        StampFault::Missing => "they have no number",
        StampFault::Own => "they are this supervisor's own and came back",
        StampFault::OtherSender => "another member sealed them than the one that speaks in them",
        StampFault::OtherChannel => "they were sealed for the other way of messages",
        StampFault::OtherReceiver => "they were sent to another member",
        StampFault::UnknownSender | StampFault::OtherSeries => {
            "their sender has not proved that it speaks now"
        }
        StampFault::BelowWindow => "they are too old",
        StampFault::UsedTwice => "their numbers were used before, for something else",
        StampFault::Unanswered => {
            "nobody answers for them: they are recorded, or their sender is of a version that knows no such question"
        }
        StampFault::Forged => "they answer in the name of a member that did not sign them",
    };
    let messages = if times == 1 { "a message".to_owned() } else { format!("{times} messages") };
    format!("dropped {messages} from {from}: {why}")
}

fn refused(from: &SocketAddr, author: Option<String>, key: &RumorKey, refusal: Refusal) -> String {
    let author = author.unwrap_or_else(|| "no member".to_owned());
    let why = match refusal {
        Refusal::Unsigned => "it is not signed",
        Refusal::NotItsKey => "it is signed with another key than that member's",
        Refusal::Forged => "its signature does not belong to what it says",
        Refusal::Unchecked => "too much of what came from there was false lately",
    };
    format!("refused what {from} told of the {key} in the name of {author}: {why}")
}

fn copied(address: &SocketAddr, yields: bool) -> String {
    let then = if yields { "this one claims it no longer" } else { "this one goes on with it" };
    format!(
        "another supervisor at {address} runs with a copy of this one's identity, and {then}: stop the one \
         that is the copy and remove its data directory, then it starts with an identity of its own"
    )
}

fn version_lost(key: &RumorKey, version: u64, winner: Option<&MemberId>, names: Names<'_>) -> String {
    let winner = winner.map_or_else(|| "elsewhere".to_owned(), |id| format!("by {}", names(id)));
    format!(
        "version {version} of the {key} that was applied here is not in effect: another version {version} \
         was applied {winner} at the same time and won; apply yours again under a higher number"
    )
}

/// What is new about the member, or else about the group, that the rumor concerns.
fn rumor_sentence(key: &RumorKey, from: Option<&MemberId>, names: Names<'_>) -> String {
    let (KeyParts { group, member, file, purpose, .. }, news) = (key.parts(), key.kind().news());
    let file = file.map_or(String::new(), |name| format!(" {name}"));
    let Some(about) = member else {
        let of = match purpose {
            Some(ElectionPurpose::Update) => "the update of ",
            Some(ElectionPurpose::Leader) | None => "",
        };
        let group = group.map_or(String::new(), |group| format!("{of}{group}"));
        let how =
            from.map_or_else(|| "from this supervisor".to_owned(), |id| format!("through {}", names(id)));
        return format!("{group} {news}{file}, {how}");
    };
    let group = group.map_or(String::new(), |group| format!(" in {group}"));
    let what = format!("{} {news}{file}{group}", names(about));
    match from {
        None => format!("this supervisor tells the ring: {what}"),
        Some(from) if from == about => what,
        Some(from) => format!("{what}, as {} passes on", names(from)),
    }
}
