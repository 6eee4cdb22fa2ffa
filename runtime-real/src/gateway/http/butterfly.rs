//! `/butterfly`: the ring as this supervisor sees it (as in Habitat). Only reads, and formats away from the loop.

use std::sync::Arc;

use annulus_core::{
    CensusEntry, CensusVersions, MemberId, MemberRecord, Node, ServiceGroup, ServiceHealth, ServiceRumor,
};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::access::Sight;
use super::problem::Problem;
use super::{Gateway, limited, versions, view};

/// The part of the node that is copied out, to be formatted away from the loop.
struct Ring {
    local: String,
    /// Where a second supervisor runs with a copy of this one's identity.
    copy: Option<String>,
    members: Vec<MemberRecord>,
    services: Vec<ServiceRumor>,
    departures: Vec<MemberId>,
    health: Vec<ServiceHealth>,
    /// The versions that operators gave to each group.
    given: Vec<(ServiceGroup, CensusVersions)>,
    accepted: u64,
}

fn look(node: &Node) -> Ring {
    let mut ring = Ring {
        local: node.id().to_string(),
        copy: node.copy_of_me().map(|address| address.to_string()),
        members: node.members(),
        services: Vec::new(),
        departures: Vec::new(),
        health: Vec::new(),
        given: node.census().groups.into_iter().map(|(name, group)| (name, group.versions)).collect(),
        accepted: node.metrics().rumors_accepted,
    };
    for rumor in node.rumors() {
        match rumor.census_entry() {
            CensusEntry::Runs(service) => ring.services.push(service.clone()),
            CensusEntry::Banned(member) => ring.departures.push(*member),
            CensusEntry::Fares(health) => ring.health.push(health.clone()),
            // The census shows these, group by group.
            CensusEntry::Given { .. } | CensusEntry::Leads(_) | CensusEntry::Nothing => {}
        }
    }
    ring
}

pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Extension(sight): Extension<Sight>,
) -> Result<Response, Problem> {
    if sight.is_limited() {
        let (local, members) = gateway.read(|node| (node.id(), node.members())).await?;
        return Ok(view::answer(&limited::ring(&local, &members)));
    }
    Ok(view::answer(&to_json(&gateway.read(look).await?)))
}

fn to_json(ring: &Ring) -> Value {
    let by_id = |value: fn(&MemberRecord) -> Value| -> Map<String, Value> {
        ring.members.iter().map(|member| (member.id.to_string(), value(member))).collect()
    };
    let mut services = Map::new();
    for rumor in &ring.services {
        let group = services.entry(rumor.group.as_str()).or_insert_with(|| json!({}));
        group[rumor.member_id.to_string()] = view::service_rumor(rumor);
    }
    let mut health = Map::new();
    for rumor in &ring.health {
        let group = health.entry(rumor.group.as_str()).or_insert_with(|| json!({}));
        group[rumor.member_id.to_string()] =
            json!({ "health": rumor.health.name(), "incarnation": rumor.incarnation.0 });
    }
    let departed: Vec<String> = ring.departures.iter().map(MemberId::to_string).collect();
    let banned: Map<String, Value> =
        departed.iter().map(|id| (id.clone(), json!({ "departure": { "member_id": id } }))).collect();
    let mut configs = Map::new();
    let mut files = Map::new();
    for (name, given) in &ring.given {
        if given.config.is_some() {
            configs.insert(name.to_string(), versions::config(given));
        }
        if !given.files.is_empty() {
            files.insert(name.to_string(), versions::files(given));
        }
    }
    let none = json!({ "list": {}, "update_counter": 0 });
    json!({
        "local_member_id": ring.local,
        "local_member_copy": ring.copy,
        "member": {
            "members": by_id(view::member),
            "health": by_id(|member| member.state.name().into()),
            "update_counter": ring.accepted,
        },
        "membership": by_id(view::membership),
        "service": { "list": &services, "update_counter": ring.accepted },
        "services": services,
        "service_health": health,
        "service_config": { "list": &configs, "update_counter": ring.accepted },
        "latest_service_config": configs,
        "service_file": { "list": &files, "update_counter": ring.accepted },
        "service_files": files,
        "election": none,
        "latest_election": {},
        "election_update": none,
        "latest_election_update": {},
        "departure": { "list": banned, "update_counter": departed.len() },
        "departed_members": departed,
    })
}
