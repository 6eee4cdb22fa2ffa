//! `annulus sup members`: lists the members of the ring as a supervisor sees them. Only asks.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::ring::{self, host_of, rejected_json, rejected_line, silent_line};
use crate::cli::svc::status::duration;
use crate::cli::target::Remote;
use crate::cli::{Global, Outcome, output};
use crate::gateway::ctl::ring_message::{BanOrder, RingMember, RingStatus};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

const HEAD: [&str; 8] =
    ["member", "host", "address", "state", "incarnation", "permanent", "since", "services (* it leads)"];

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let ring = ring::ask(global, &args.remote)?;
    if args.json {
        let members = ring.members.iter().map(|member| to_json(&ring, member));
        // They are no members, and stand behind them with a state that no member has.
        let rejected = ring.rejected.iter().map(|peer| {
            let mut peer = rejected_json(peer);
            peer["state"] = "Rejected".into();
            peer
        });
        let members = members.chain(rejected).collect();
        output::line(format_args!("{:#}", Value::Array(members)));
        return Ok(0);
    }
    output::table(&HEAD, &ring.members.iter().map(|member| row(&ring, member)).collect::<Vec<_>>());
    let silent = ring.silent.iter().map(|peer| silent_line(&ring, peer));
    let bans = ring.bans.iter().map(|order| ban_line(&ring, order));
    let lines: Vec<String> =
        bans.chain(silent).chain(ring.rejected.iter().map(|peer| rejected_line(&ring, peer))).collect();
    if !lines.is_empty() {
        output::line(format_args!("\n{}", lines.join("\n")));
    }
    Ok(0)
}

/// Who ordered that a member is banned, or that its ban is lifted.
fn ban_line(ring: &RingStatus, order: &BanOrder) -> String {
    let member = host_of(ring, &order.member_id);
    let by =
        order.by.as_deref().map_or_else(String::new, |by| format!(", by an order to {}", host_of(ring, by)));
    if order.lifted {
        format!("the ban of {member} was lifted{by}")
    } else {
        format!("{member} is banned{by}; `annulus sup reset` lifts the ban")
    }
}

/// How long it has been in its state, in seconds.
fn since_s(ring: &RingStatus, member: &RingMember) -> Option<i64> {
    let ms = ring.now_ms.saturating_sub(member.since_ms?);
    i64::try_from(ms / 1_000).ok()
}

/// A supervisor that is alone and listens at every address has not heard yet by which one others reach it.
fn shown_address(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(at) if at.ip().is_unspecified() => format!("*:{}", at.port()),
        _ => address.to_owned(),
    }
}

fn row(ring: &RingStatus, member: &RingMember) -> Vec<String> {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let services = member.services.iter().map(|group| {
        let mark = if member.leads.contains(group) { "*" } else { "" };
        format!("{group}{mark}")
    });
    let is_own = member.member_id == ring.answered_by;
    vec![
        member.member_id.chars().take(8).collect(),
        or_dash(member.host.clone()) + if is_own { " (this one)" } else { "" },
        shown_address(&member.address),
        member.state.clone(),
        member.incarnation.to_string(),
        if member.permanent { "yes" } else { "no" }.to_owned(),
        or_dash(since_s(ring, member).map(duration).unwrap_or_default()),
        or_dash(services.collect::<Vec<_>>().join(" ")),
    ]
}

fn to_json(ring: &RingStatus, member: &RingMember) -> Value {
    json!({
        "member_id": member.member_id,
        "name": host_of(ring, &member.member_id),
        "host": Some(&member.host).filter(|host| !host.is_empty()),
        "address": member.address,
        "state": member.state,
        "incarnation": member.incarnation,
        "permanent": member.permanent,
        "services": member.services,
        "leads": member.leads,
        "since_ms": member.since_ms,
        "since_s": since_s(ring, member),
        "local": member.member_id == ring.answered_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_a_row_and_an_object() {
        let member = RingMember {
            member_id: "e6305a988a9b4b6984c4b4045be62e04".into(),
            host: "beta".into(),
            address: "10.0.0.2:9638".into(),
            state: "Alive".into(),
            incarnation: 3,
            permanent: true,
            services: vec!["redis.default".into(), "web.default".into()],
            leads: vec!["redis.default".into()],
            since_ms: Some(1_000),
        };
        let ring = RingStatus { now_ms: 63_000, members: vec![member.clone()], ..RingStatus::default() };
        let services = "redis.default* web.default";
        assert_eq!(
            row(&ring, &member),
            ["e6305a98", "beta", "10.0.0.2:9638", "Alive", "3", "yes", "1m 2s", services]
        );
        assert_eq!(["0.0.0.0:9638", "[::]:1"].map(shown_address), ["*:9638", "*:1"]);
        let json = to_json(&ring, &member);
        assert_eq!((&json["name"], &json["since_s"]), (&"beta (e6305a98)".into(), &62.into()));
        let unknown = RingMember { host: String::new(), since_ms: None, services: vec![], ..member };
        assert_eq!(row(&ring, &unknown)[1..], ["-", "10.0.0.2:9638", "Alive", "3", "yes", "-", "-"]);
        assert!(to_json(&ring, &unknown)["host"].is_null());
    }
}
