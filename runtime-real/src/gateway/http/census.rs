//! `/census`: the service groups and their members (as in Habitat). Only reads.

use std::sync::Arc;

use annulus_core::{Census, CensusGroup, CensusMember, ElectionPurpose, ElectionStatus};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::access::Sight;
use super::problem::Problem;
use super::{Gateway, limited, versions, view};

pub(super) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Extension(sight): Extension<Sight>,
) -> Result<Response, Problem> {
    let (census, accepted) = gateway.read(|node| (node.census(), node.metrics().rumors_accepted)).await?;
    if sight.is_limited() {
        return Ok(view::answer(&limited::census(&census)));
    }
    Ok(view::answer(&to_json(&census, accepted)))
}

fn to_json(census: &Census, accepted: u64) -> Value {
    let local = census.local.to_string();
    let groups: Map<String, Value> =
        census.groups.iter().map(|(name, members)| (name.to_string(), group(&local, members))).collect();
    json!({
        // Every answer is computed from the present state, so the census has always changed.
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
    let (led, updated) = (group.election(ElectionPurpose::Leader), group.election(ElectionPurpose::Update));
    json!({
        "service_group": sg.as_str(),
        "election_status": status(led.status),
        "election_term": led.term,
        "waiting_for": match led.status {
            ElectionStatus::Waiting { missing } => Value::from(missing),
            _ => Value::Null,
        },
        "update_election_status": status(updated.status),
        "pkg_incarnation": group.pkg_incarnation,
        "leader_id": led.leader.map(|id| id.to_string()),
        "service_config": versions::config(&group.versions),
        "local_member_id": local,
        "population": population,
        "update_leader_id": updated.leader.map(|id| id.to_string()),
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

/// A member's part in one of its group's elections.
#[derive(Clone, Copy)]
struct Part {
    is_running: bool,
    has_no_quorum: bool,
    is_finished: bool,
    won: bool,
}

impl Part {
    fn of(group: &CensusGroup, purpose: ElectionPurpose, member: &CensusMember) -> Self {
        let election = group.election(purpose);
        let is_finished = election.status == ElectionStatus::Finished;
        Self {
            is_running: election.status == ElectionStatus::Running,
            has_no_quorum: matches!(
                election.status,
                ElectionStatus::NoQuorum | ElectionStatus::Waiting { .. }
            ),
            is_finished,
            won: is_finished && election.leader == Some(member.member_id),
        }
    }
}

fn member(group: &CensusGroup, member: &CensusMember) -> Value {
    let sg = &group.service_group;
    let led = Part::of(group, ElectionPurpose::Leader, member);
    let updated = Part::of(group, ElectionPurpose::Update, member);
    json!({
        "member_id": member.member_id.to_string(),
        "pkg": view::ident(&member.pkg),
        "pkg_incarnation": member.pkg_incarnation,
        "package": member.pkg.to_string(),
        "service": sg.service(),
        "group": sg.group(),
        "org": sg.org(),
        "persistent": member.permanent,
        "leader": led.won,
        "follower": led.is_finished && !led.won,
        "update_leader": updated.won,
        "update_follower": updated.is_finished && !updated.won,
        "election_is_running": led.is_running,
        "election_is_no_quorum": led.has_no_quorum,
        "election_is_finished": led.is_finished,
        "update_election_is_running": updated.is_running,
        "update_election_is_no_quorum": updated.has_no_quorum,
        "update_election_is_finished": updated.is_finished,
        "sys": view::sys(&member.sys),
        "alive": member.alive(),
        "health": member.health.name(),
        "suspect": member.suspect(),
        "confirmed": member.confirmed(),
        "departed": member.departed(),
        "cfg": view::exports(member.cfg.as_bytes()),
        "initialized": member.initialized,
        "accepting": member.accepting,
    })
}
