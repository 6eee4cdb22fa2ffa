//! Answers requests about the ring as a whole. Only reads.

use std::collections::BTreeMap;

use annulus_core::{
    Census, CensusEntry, CensusGroup, ElectionPurpose, ElectionStatus, MemberId, MemberRecord, Node, Rumor,
    State,
};

use super::Ctl;
use super::message::{ErrCode, NetErr};
use super::request::Answer;
use super::ring_message::{BanOrder, RejectedPeer, RingGroup, RingMember, RingStatus, SilentPeer, Spread};
use crate::gateway::lookout::Lookout;
use crate::net::{Rejection, Way};

pub(super) async fn status(ctl: &Ctl) -> Result<Answer, NetErr> {
    let (lookout, now_ms) = (ctl.lookout.clone(), ctl.clock.wall().as_millis());
    let status = ctl.handle.read(move |node| (look(node, &lookout, now_ms), node.speaks_with())).await;
    let (mut status, key) = status.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?;
    let keeper = ctl.keyed.keeper.as_ref();
    status.ring_key = keeper.and_then(|keeper| keeper.held().get(&key)).map(|key| key.id.to_string());
    let hears_clear = keeper.is_some_and(|keeper| keeper.held().hears_clear());
    status.heard_in_the_clear = hears_clear.then(|| ctl.keyed.rejected.heard_in_the_clear());
    status.rejected = ctl.keyed.rejected.list().iter().map(rejected).collect();
    Ok(Answer::message(&status))
}

fn look(node: &Node, lookout: &Lookout, now_ms: u64) -> RingStatus {
    let census = node.census();
    let banned = node.rumors().filter_map(|rumor| match rumor.census_entry() {
        CensusEntry::Banned(member) => Some(member.to_string()),
        _ => None,
    });
    let bans = node.rumors().filter_map(|rumor| {
        let Rumor::Departure(order) = rumor else { return None };
        Some(BanOrder {
            member_id: order.member_id.to_string(),
            by: node.vouched_by(&rumor.key()).map(|id| id.to_string()),
            lifted: order.lifted,
            epoch: order.epoch,
        })
    });
    let silent = lookout.silent().into_iter().map(|(peer, silence)| SilentPeer {
        peer,
        reason: silence.reason,
        since_ms: silence.since.as_millis(),
    });
    RingStatus {
        answered_by: node.id().to_string(),
        members: node.members().iter().map(|record| member(node, &census, record, lookout)).collect(),
        groups: census.groups.values().map(group).collect(),
        silent: silent.collect(),
        banned: banned.collect(),
        local_health: node.local_health(),
        hot_rumors: node.hot_rumors() as u64,
        now_ms,
        ring_key: None,
        heard_in_the_clear: None,
        rejected: Vec::new(),
        bans: bans.collect(),
        copy: node.copy_of_me().map(|address| address.to_string()),
    }
}

fn rejected(rejection: &Rejection) -> RejectedPeer {
    let count = |way| rejection.counts.get(&way).copied().unwrap_or_default();
    RejectedPeer {
        address: rejection.address(),
        reason: rejection.why.name().to_owned(),
        datagrams: count(Way::Datagram),
        frames: count(Way::Frame),
        clients: count(Way::Client),
        since_ms: rejection.since.as_millis(),
        last_ms: rejection.last.as_millis(),
    }
}

/// The name of a member's host; empty while it is not known.
pub(super) fn host(node: &Node, census: &Census, id: &MemberId) -> String {
    if *id == node.id() {
        return node.config().sys.hostname.clone();
    }
    let told = census.groups.values().find_map(|group| group.population.get(id));
    told.map_or_else(String::new, |member| member.sys.hostname.clone())
}

fn member(node: &Node, census: &Census, record: &MemberRecord, lookout: &Lookout) -> RingMember {
    let served = census.groups.values().filter(|group| group.population.contains_key(&record.id));
    let leads = served.clone().filter(|group| leader(group) == Some(record.id));
    let name = |group: &CensusGroup| group.service_group.to_string();
    RingMember {
        member_id: record.id.to_string(),
        host: host(node, census, &record.id),
        address: record.gossip_addr().to_string(),
        state: record.state.name().to_owned(),
        incarnation: record.incarnation.0,
        permanent: record.permanent,
        services: served.map(name).collect(),
        leads: leads.map(name).collect(),
        since_ms: lookout.since(&record.id).map(annulus_core::UnixTime::as_millis),
    }
}

fn leader(group: &CensusGroup) -> Option<MemberId> {
    let led = group.election(ElectionPurpose::Leader);
    led.leader.filter(|_| led.status == ElectionStatus::Finished)
}

fn group(group: &CensusGroup) -> RingGroup {
    let alive = || group.population.values().filter(|member| member.state == Some(State::Alive));
    let (mut packages, mut configurations) = (BTreeMap::new(), BTreeMap::new());
    for member in alive() {
        *packages.entry(member.pkg.to_string()).or_insert(0) += 1;
        *configurations.entry(member.config_incarnation).or_insert(0) += 1;
    }
    let led = group.election(ElectionPurpose::Leader);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (election, missing) = match led.status {
        ElectionStatus::None => ("none", 0),
        ElectionStatus::Waiting { missing } => ("waiting", missing),
        ElectionStatus::NoQuorum => ("no quorum", 0),
        ElectionStatus::Running => ("electing", 0),
        ElectionStatus::Finished => ("elected", 0),
    };
    RingGroup {
        group: group.service_group.to_string(),
        members: count(group.population.len()),
        alive: count(alive().count()),
        leader: leader(group).map(|id| id.to_string()).unwrap_or_default(),
        term: led.term,
        election: election.to_owned(),
        missing: count(missing),
        packages: packages.into_iter().map(|(what, count)| Spread { what, count }).collect(),
        configurations: configurations
            .into_iter()
            .map(|(number, count): (u64, u32)| Spread { what: number.to_string(), count })
            .collect(),
        configuration: group.versions.config.as_ref().map_or(0, |version| version.incarnation),
    }
}
