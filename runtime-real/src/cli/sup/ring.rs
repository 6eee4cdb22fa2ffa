//! `annulus sup ring`: sums the ring up as a supervisor sees it. Only asks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::svc::status::duration;
use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::ring_message::{RejectedPeer, RingGroup, RingQuery, RingStatus, SilentPeer, Spread};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

const HEAD: [&str; 7] = ["group", "members", "alive", "election", "leader", "packages", "configuration"];
/// The states of members, the good one first.
const STATES: [&str; 4] = ["Alive", "Suspect", "Confirmed", "Departed"];

/// Asks a supervisor for the ring.
pub(super) fn ask(global: &Global, remote: &Remote) -> Result<RingStatus, CliError> {
    let answers: Vec<RingStatus> =
        block_on(async { Ok(target::connect(global, remote).await?.query(&RingQuery {}).await?) })?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let ring = ask(global, &args.remote)?;
    if args.json {
        output::line(format_args!("{:#}", to_json(&ring)));
        return Ok(0);
    }
    output::line(summary(&ring).join("\n"));
    if !ring.groups.is_empty() {
        output::line("");
        output::table(&HEAD, &ring.groups.iter().map(|group| row(&ring, group)).collect::<Vec<_>>());
    }
    Ok(0)
}

/// A member by its host and the beginning of its id, as in the log.
pub(super) fn host_of(ring: &RingStatus, id: &str) -> String {
    let short: String = id.chars().take(8).collect();
    match ring.members.iter().find(|member| member.member_id == id) {
        Some(member) if member.host.is_empty() => format!("{} ({short})", member.address),
        Some(member) => format!("{} ({short})", member.host),
        None => short,
    }
}

/// What is said of a peer that does not answer.
pub(super) fn silent_line(ring: &RingStatus, peer: &SilentPeer) -> String {
    let seconds = i64::try_from(ring.now_ms.saturating_sub(peer.since_ms) / 1_000).unwrap_or(i64::MAX);
    format!("peer {} does not answer, as was noticed {} ago: {}", peer.peer, duration(seconds), peer.reason)
}

/// What is said of an address that is not heard.
pub(super) fn rejected_line(ring: &RingStatus, peer: &RejectedPeer) -> String {
    let counts = [(peer.datagrams, "datagrams"), (peer.frames, "frames"), (peer.clients, "clients")];
    let counts: Vec<String> =
        counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let ago = |then_ms: u64| {
        duration(i64::try_from(ring.now_ms.saturating_sub(then_ms) / 1_000).unwrap_or(i64::MAX))
    };
    format!(
        "rejected: {}, {}: {} in {}, the last {} ago",
        peer.address,
        peer.reason,
        counts.join(", "),
        ago(peer.since_ms),
        ago(peer.last_ms)
    )
}

pub(super) fn rejected_json(peer: &RejectedPeer) -> Value {
    json!({
        "address": peer.address,
        "reason": peer.reason,
        "datagrams": peer.datagrams,
        "frames": peer.frames,
        "clients": peer.clients,
        "since_ms": peer.since_ms,
        "last_ms": peer.last_ms,
    })
}

fn counts(ring: &RingStatus) -> BTreeMap<&'static str, usize> {
    let count = |state| ring.members.iter().filter(|member| member.state == state).count();
    STATES.into_iter().map(|state| (state, count(state))).collect()
}

fn summary(ring: &RingStatus) -> Vec<String> {
    let counts = counts(ring);
    let states = STATES.into_iter().filter_map(|state| {
        let count = counts.get(state).copied().filter(|count| *count > 0 || state == "Alive")?;
        Some(format!("{count} {state}"))
    });
    let members = ring.members.len();
    let permanent = ring.members.iter().filter(|member| member.permanent).count();
    let mut lines = vec![
        format!("ring of {members}: {}; {permanent} permanent", states.collect::<Vec<_>>().join(", ")),
        format!("as {} sees it, member {}", host_of(ring, &ring.answered_by), ring.answered_by),
    ];
    if ring.local_health > 0 {
        lines.push(format!(
            "that supervisor doubts its own health (score {}): it is short of time, or its network is slow",
            ring.local_health
        ));
    }
    if let Some(copy) = &ring.copy {
        lines.push(format!(
            "another supervisor at {copy} runs with a copy of that one's identity, and one of the two is not heard: stop \
             the one that is the copy and remove its data directory"
        ));
    }
    if !ring.banned.is_empty() {
        let banned: Vec<String> = ring.banned.iter().map(|id| host_of(ring, id)).collect();
        lines.push(format!("banned: {}", banned.join(", ")));
    }
    if let Some(key) = &ring.ring_key {
        lines.push(format!("sealed with the key {key}"));
    }
    if let Some(messages) = ring.heard_in_the_clear {
        lines.push(format!(
            "hears what is said in the clear too (--ring-accept clear), {messages} messages so far: once no member speaks so, start \
             each without that option"
        ));
    }
    lines.extend(ring.silent.iter().map(|peer| silent_line(ring, peer)));
    lines.extend(ring.rejected.iter().map(|peer| rejected_line(ring, peer)));
    lines
}

fn election(group: &RingGroup) -> String {
    match group.election.as_str() {
        "none" => "-".to_owned(),
        "waiting" => format!("waits for {} more", group.missing),
        "elected" => format!("term {}", group.term),
        other => other.to_owned(),
    }
}

fn row(ring: &RingStatus, group: &RingGroup) -> Vec<String> {
    let leader = if group.leader.is_empty() { "-".to_owned() } else { host_of(ring, &group.leader) };
    let spread = |spread: &[Spread], show: &dyn Fn(&str) -> String| {
        let parts: Vec<String> = match spread {
            [] => vec!["-".to_owned()],
            [one] => vec![show(&one.what)],
            many => many.iter().map(|part| format!("{} x{}", show(&part.what), part.count)).collect(),
        };
        parts.join(", ")
    };
    let version = |number: &str| if number == "0" { "none".to_owned() } else { format!("version {number}") };
    let mut configuration = spread(&group.configurations, &version);
    let is_behind = group.configurations.iter().any(|part| part.what != group.configuration.to_string());
    if group.configuration > 0 && is_behind {
        configuration = format!("{configuration}; current is {}", group.configuration);
    }
    vec![
        group.group.clone(),
        group.members.to_string(),
        group.alive.to_string(),
        election(group),
        leader,
        spread(&group.packages, &str::to_owned),
        configuration,
    ]
}

fn to_json(ring: &RingStatus) -> Value {
    let spread = |spread: &[Spread]| -> Value {
        spread
            .iter()
            .map(|part| (part.what.clone(), part.count.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let groups = ring.groups.iter().map(|group| {
        json!({
            "service_group": group.group,
            "members": group.members,
            "alive": group.alive,
            "election": group.election,
            "has_quorum": (group.election != "none").then_some(!matches!(group.election.as_str(), "no quorum" | "waiting")),
            "missing": group.missing,
            "leader": Some(&group.leader).filter(|leader| !leader.is_empty()),
            "term": group.term,
            "packages": spread(&group.packages),
            "configuration": group.configuration,
            "configurations": spread(&group.configurations),
        })
    });
    let silent = ring
        .silent
        .iter()
        .map(|peer| json!({ "peer": peer.peer, "reason": peer.reason, "since_ms": peer.since_ms }));
    json!({
        "member_id": ring.answered_by,
        "name": host_of(ring, &ring.answered_by),
        "members": ring.members.len(),
        "states": counts(ring),
        "permanent": ring.members.iter().filter(|member| member.permanent).count(),
        "banned": ring.banned,
        "copy": ring.copy,
        "local_health": ring.local_health,
        "hot_rumors": ring.hot_rumors,
        "ring_key": ring.ring_key,
        "heard_in_the_clear": ring.heard_in_the_clear,
        "rejected": ring.rejected.iter().map(rejected_json).collect::<Vec<_>>(),
        "silent_peers": silent.collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ctl::ring_message::RingMember;

    fn ring() -> RingStatus {
        let member = |id: &str, host: &str, state: &str| RingMember {
            member_id: id.repeat(8),
            host: host.into(),
            address: format!("{host}:9638"),
            state: state.into(),
            ..RingMember::default()
        };
        let spread = |what: &str, count| Spread { what: what.into(), count };
        let group = RingGroup {
            group: "redis.default".into(),
            members: 3,
            alive: 2,
            leader: "abcd".repeat(8),
            term: 7,
            election: "elected".into(),
            packages: vec![spread("core/redis/1", 1), spread("core/redis/2", 1)],
            configurations: vec![spread("0", 1), spread("4", 1)],
            configuration: 4,
            ..RingGroup::default()
        };
        let silent = SilentPeer { peer: "gone:9638".into(), reason: "refused".into(), since_ms: 1_000 };
        RingStatus {
            answered_by: "abcd".repeat(8),
            members: vec![
                member("abcd", "alpha", "Alive"),
                member("bcde", "beta", "Alive"),
                member("cdef", "gamma", "Confirmed"),
            ],
            groups: vec![group],
            silent: vec![silent],
            now_ms: 91_000,
            ..RingStatus::default()
        }
    }

    #[test]
    fn a_ring_is_summed_up() {
        let ring = ring();
        let lines = summary(&ring);
        assert_eq!(lines[0], "ring of 3: 2 Alive, 1 Confirmed; 0 permanent");
        assert!(lines[1].starts_with("as alpha (abcdabcd) sees it"), "{lines:?}");
        assert_eq!(lines[2], "peer gone:9638 does not answer, as was noticed 1m 30s ago: refused");
        assert_eq!(
            row(&ring, &ring.groups[0])[1..],
            [
                "3",
                "2",
                "term 7",
                "alpha (abcdabcd)",
                "core/redis/1 x1, core/redis/2 x1",
                "none x1, version 4 x1; current is 4"
            ]
        );
        let json = to_json(&ring);
        assert_eq!(
            (&json["states"]["Confirmed"], &json["groups"][0]["has_quorum"]),
            (&1.into(), &true.into())
        );
        assert_eq!(json["groups"][0]["packages"]["core/redis/2"], 1);
    }

    #[test]
    fn a_group_without_a_leader_says_why() {
        let group =
            |election: &str| RingGroup { election: election.into(), missing: 2, ..RingGroup::default() };
        assert_eq!(
            ["none", "waiting", "no quorum"].map(|word| election(&group(word))),
            ["-", "waits for 2 more", "no quorum"]
        );
    }
}
