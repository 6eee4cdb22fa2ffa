//! `/census`: service groups and who is in them (reference D1.12, C13.7).

use std::collections::BTreeMap;
use std::sync::Arc;

use annulus_core::{MemberId, MemberRecord, Node, Rumor, ServiceRumor, State as MemberState};
use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::{Gateway, view};

/// What is copied out of the node, to be formatted away from the loop.
struct Ring {
    local: MemberId,
    members: BTreeMap<MemberId, MemberRecord>,
    services: Vec<ServiceRumor>,
    accepted: u64,
}

fn look(node: &Node) -> Ring {
    let services = node.rumors().filter_map(|rumor| match rumor {
        Rumor::Service(service) if !service.tombstone => Some(service.clone()),
        Rumor::Service(_) | Rumor::Member(_) | Rumor::Departure(_) => None,
    });
    Ring {
        local: node.id(),
        services: services.collect(),
        members: node.members().into_iter().map(|member| (member.id, member)).collect(),
        accepted: node.metrics().rumors_accepted,
    }
}

pub(super) async fn get(State(gateway): State<Arc<Gateway>>) -> Result<Json<Value>, Problem> {
    Ok(Json(to_json(&gateway.read(look).await?)))
}

fn to_json(ring: &Ring) -> Value {
    let mut by_group: BTreeMap<&str, Vec<&ServiceRumor>> = BTreeMap::new();
    for service in &ring.services {
        by_group.entry(service.group.as_str()).or_default().push(service);
    }
    let groups: Map<String, Value> =
        by_group.into_iter().map(|(name, members)| (name.to_owned(), group(ring, name, &members))).collect();
    json!({
        // Answers are live here, so every one tells of the present.
        "changed": true,
        "census_groups": groups,
        "local_member_id": ring.local.to_string(),
        "last_service_counter": ring.accepted,
        "last_election_counter": 0,
        "last_election_update_counter": 0,
        "last_membership_counter": ring.accepted,
        "last_service_config_counter": 0,
        "last_service_file_counter": 0,
    })
}

fn group(ring: &Ring, name: &str, members: &[&ServiceRumor]) -> Value {
    let population: Map<String, Value> =
        members.iter().map(|rumor| (rumor.member_id.to_string(), population(ring, rumor))).collect();
    json!({
        "service_group": name,
        "election_status": "None",
        "update_election_status": "None",
        "pkg_incarnation": members.iter().map(|rumor| rumor.pkg_incarnation).max().unwrap_or(0),
        "leader_id": null,
        "service_config": null,
        "local_member_id": ring.local.to_string(),
        "population": population,
        "update_leader_id": null,
        "changed_service_files": [],
        "service_files": {},
    })
}

fn population(ring: &Ring, rumor: &ServiceRumor) -> Value {
    let member = ring.members.get(&rumor.member_id);
    let state = member.map(|member| member.state);
    json!({
        "member_id": rumor.member_id.to_string(),
        "pkg": view::ident(&rumor.pkg),
        "pkg_incarnation": rumor.pkg_incarnation,
        "package": rumor.pkg.to_string(),
        "service": rumor.group.service(),
        "group": rumor.group.group(),
        "org": rumor.group.org(),
        "persistent": member.is_some_and(|member| member.permanent),
        "leader": false,
        "follower": false,
        "update_leader": false,
        "update_follower": false,
        "election_is_running": false,
        "election_is_no_quorum": false,
        "election_is_finished": false,
        "update_election_is_running": false,
        "update_election_is_no_quorum": false,
        "update_election_is_finished": false,
        "sys": view::sys(&rumor.sys),
        "alive": state == Some(MemberState::Alive),
        "suspect": state == Some(MemberState::Suspect),
        "confirmed": state == Some(MemberState::Confirmed),
        "departed": state == Some(MemberState::Departed),
        "cfg": view::exports(&rumor.cfg),
        "initialized": rumor.initialized,
    })
}
