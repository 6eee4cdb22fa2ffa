//! `/census`: service groups and who is in them (as in Habitat).

use std::sync::Arc;

use annulus_core::{Census, CensusGroup, CensusMember, ElectionStatus};
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::{Gateway, versions, view};

pub(super) async fn get(State(gateway): State<Arc<Gateway>>) -> Result<Response, Problem> {
    let (census, accepted) = gateway.read(|node| (node.census(), node.metrics().rumors_accepted)).await?;
    Ok(view::answer(&to_json(&census, accepted)))
}

fn to_json(census: &Census, accepted: u64) -> Value {
    let local = census.local.to_string();
    let groups: Map<String, Value> =
        census.groups.iter().map(|(name, members)| (name.to_string(), group(&local, members))).collect();
    json!({
        // Answers are live here, so every one tells of the present.
        "changed": true,
        "census_groups": groups,
        "local_member_id": local,
        "last_service_counter": accepted,
        "last_election_counter": 0,
        "last_election_update_counter": 0,
        "last_membership_counter": accepted,
        "last_service_config_counter": accepted,
        "last_service_file_counter": accepted,
    })
}

fn group(local: &str, group: &CensusGroup) -> Value {
    let sg = &group.service_group;
    let population: Map<String, Value> =
        group.population.values().map(|m| (m.member_id.to_string(), member(group, m))).collect();
    json!({
        "service_group": sg.as_str(),
        "election_status": status(group.election),
        "election_term": group.term,
        "waiting_for": match group.election {
            ElectionStatus::Waiting { missing } => Value::from(missing),
            _ => Value::Null,
        },
        "update_election_status": "None",
        "pkg_incarnation": group.pkg_incarnation,
        "leader_id": group.leader.map(|id| id.to_string()),
        "service_config": versions::config(&group.versions),
        "local_member_id": local,
        "population": population,
        "update_leader_id": null,
        "changed_service_files": [],
        "service_files": versions::files(&group.versions),
    })
}

/// Habitat's words; a group that waits for members has no quorum.
const fn status(election: ElectionStatus) -> &'static str {
    match election {
        ElectionStatus::None => "None",
        ElectionStatus::Waiting { .. } | ElectionStatus::NoQuorum => "ElectionNoQuorum",
        ElectionStatus::Running => "ElectionInProgress",
        ElectionStatus::Finished => "ElectionFinished",
    }
}

fn member(group: &CensusGroup, member: &CensusMember) -> Value {
    let sg = &group.service_group;
    let finished = group.election == ElectionStatus::Finished;
    let leads = finished && group.leader == Some(member.member_id);
    json!({
        "member_id": member.member_id.to_string(),
        "pkg": view::ident(&member.pkg),
        "pkg_incarnation": member.pkg_incarnation,
        "package": member.pkg.to_string(),
        "service": sg.service(),
        "group": sg.group(),
        "org": sg.org(),
        "persistent": member.permanent,
        "leader": leads,
        "follower": finished && !leads,
        "update_leader": false,
        "update_follower": false,
        "election_is_running": group.election == ElectionStatus::Running,
        "election_is_no_quorum": matches!(group.election, ElectionStatus::NoQuorum | ElectionStatus::Waiting { .. }),
        "election_is_finished": finished,
        "update_election_is_running": false,
        "update_election_is_no_quorum": false,
        "update_election_is_finished": false,
        "sys": view::sys(&member.sys),
        "alive": member.alive(),
        "health": member.health.name(),
        "suspect": member.suspect(),
        "confirmed": member.confirmed(),
        "departed": member.departed(),
        "cfg": view::exports(member.cfg.as_bytes()),
        "initialized": member.initialized,
    })
}
