//! What clients of other hosts see without a token: names and states. No configuration, address, path, process, version or
//! word of an operator or program. Formats what it is given, and asks nothing.

use annulus_core::{Census, CensusGroup, ElectionPurpose, MemberId, MemberRecord, ServiceView};
use serde_json::{Map, Value, json};

use super::access::LIMITED;
use super::services::{health, health_name};

/// A loaded service.
pub(super) fn service(view: &ServiceView) -> Value {
    json!({
        "limited": LIMITED,
        "service_group": view.group.as_str(),
        "state": view.state.name(),
        "health_check": health_name(health(view)),
        "initialized": view.running.is_some(),
        "accepting": view.accepting,
        "draining": view.draining,
    })
}

/// The health of a service.
pub(super) fn health_of(view: &ServiceView, accepting: bool) -> Value {
    json!({ "limited": LIMITED, "status": health_name(health(view)).to_uppercase(), "accepting": accepting })
}

/// `/census`.
pub(super) fn census(census: &Census) -> Value {
    let groups: Map<String, Value> =
        census.groups.iter().map(|(name, members)| (name.to_string(), group(members))).collect();
    json!({ "limited": LIMITED, "census_groups": groups, "local_member_id": census.local.to_string() })
}

fn group(group: &CensusGroup) -> Value {
    let leader = group.election(ElectionPurpose::Leader).leader;
    let members = group.population.values().map(|member| {
        let state = json!({
            "member_id": member.member_id.to_string(),
            "alive": member.alive(),
            "suspect": member.suspect(),
            "confirmed": member.confirmed(),
            "departed": member.departed(),
            "health": member.health.name(),
            "accepting": member.accepting,
            "leader": leader == Some(member.member_id),
        });
        (member.member_id.to_string(), state)
    });
    json!({
        "service_group": group.service_group.as_str(),
        "leader_id": leader.map(|id| id.to_string()),
        "population": members.collect::<Map<String, Value>>(),
    })
}

/// `/butterfly`.
pub(super) fn ring(local: &MemberId, members: &[MemberRecord]) -> Value {
    let health: Map<String, Value> =
        members.iter().map(|member| (member.id.to_string(), member.state.name().into())).collect();
    json!({ "limited": LIMITED, "local_member_id": local.to_string(), "member": { "health": health } })
}
