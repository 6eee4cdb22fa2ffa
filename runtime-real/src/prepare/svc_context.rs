//! The part of a template's context that comes from the census: the service's own group (`svc`) and the groups that it
//! is bound to (`bind`). Decides nothing: roles and health are the core's.
//!
//! As in Habitat, with two differences: a service finds itself among `members` before the ring has heard of it, so
//! that its files do not change right after its first start; and `first` is never a member that does not answer.

use std::collections::BTreeMap;

use annulus_core::{
    Bind, CensusGroup, CensusMember, ElectionPurpose, ElectionStatus, Facts, Health, MemberId, PackageIdent,
    Role, ServiceGroup, SysInfo,
};
use serde_json::{Map, Value as Json, json};

use super::config;
use super::context::{Sys, ident_json};

/// The facts that a service knows of itself, before the ring has heard of it too.
pub(super) struct Own<'a> {
    pub sys: &'a Sys,
    pub ident: &'a PackageIdent,
    pub group: &'a ServiceGroup,
    /// Its exported configuration.
    pub exports: &'a toml::Table,
}

/// The result of a group's election, for templates.
#[derive(Clone, Copy, Default)]
struct Election {
    leader: Option<MemberId>,
    term: Option<u64>,
    running: bool,
    no_quorum: bool,
    finished: bool,
}

impl Election {
    /// For another group: the result that the census knows.
    fn of(group: &CensusGroup) -> Self {
        let election = group.election(ElectionPurpose::Leader);
        let status = election.status;
        Self {
            leader: election.leader.filter(|_| status == ElectionStatus::Finished),
            term: (status != ElectionStatus::None).then_some(election.term),
            running: matches!(status, ElectionStatus::Running | ElectionStatus::Waiting { .. }),
            no_quorum: status == ElectionStatus::NoQuorum,
            finished: status == ElectionStatus::Finished,
        }
    }

    /// For the own group the role counts and not the census, because a lease that ran out ends a role at once.
    fn own(role: Option<&Role>, me: MemberId, known: Option<&CensusGroup>) -> Self {
        let finished =
            |term, leader| Self { leader: Some(leader), term: Some(term), finished: true, ..Self::default() };
        match role {
            None => Self::default(),
            Some(Role::Waiting { .. }) => {
                let no_quorum = known.is_some_and(|group| Self::of(group).no_quorum);
                Self { running: !no_quorum, no_quorum, ..Self::default() }
            }
            Some(Role::Leader { term, .. }) => finished(*term, me),
            Some(Role::Follower { term, leader }) => finished(*term, *leader),
        }
    }

    fn flags(self, into: &mut Map<String, Json>) {
        for (name, value) in [
            ("election_is_running", self.running),
            ("election_is_no_quorum", self.no_quorum),
            ("election_is_finished", self.finished),
            ("update_election_is_running", false),
            ("update_election_is_no_quorum", false),
            ("update_election_is_finished", false),
        ] {
            into.insert(name.to_owned(), value.into());
        }
    }
}

/// Makes `svc`.
pub(super) fn svc(own: &Own<'_>, facts: &Facts) -> Json {
    let known = facts.census.group(own.group);
    let election = Election::own(facts.role.as_ref(), facts.me, known);
    let mut population: BTreeMap<MemberId, Json> = BTreeMap::new();
    for member in known.into_iter().flat_map(|group| group.population.values().filter(|m| active(m))) {
        population.insert(member.member_id, member_json(own.group, member, election));
    }
    let told = known.and_then(|group| group.population.get(&facts.me));
    let me = own_json(own, facts, told, election);
    population.insert(facts.me, me.clone());
    let leader = election.leader.and_then(|id| population.get(&id)).cloned();
    let members: Vec<Json> = population.into_values().collect();
    let mut svc = Map::new();
    svc.insert("service".to_owned(), own.group.service().into());
    svc.insert("group".to_owned(), own.group.group().into());
    svc.insert("org".to_owned(), own.group.org().into());
    election.flags(&mut svc);
    svc.insert("election".to_owned(), json!({ "term": election.term }));
    svc.insert("me".to_owned(), me);
    svc.insert("first".to_owned(), leader.clone().or_else(|| members.first().cloned()).into());
    svc.insert("leader".to_owned(), leader.into());
    svc.insert("update_leader".to_owned(), Json::Null);
    svc.insert("members".to_owned(), members.into());
    Json::Object(svc)
}

/// Makes `bind`, of those `binds` (`name:service.group` each) that are satisfied.
pub(super) fn bind(binds: &[String], wanted: &[Bind], facts: &Facts) -> Json {
    let found = binds.iter().filter_map(|bind| {
        let (name, group) = bind.split_once(':')?;
        let group = facts.census.group(&group.parse().ok()?)?;
        let exports = wanted.iter().find(|bind| bind.name == name).map(|bind| bind.exports.as_slice());
        unsatisfied(group, exports.unwrap_or_default()).is_none().then(|| (name.to_owned(), bound(group)))
    });
    Json::Object(found.collect())
}

/// The reason why a group does not satisfy a bind that reads these exports; none when it does.
pub(super) fn unsatisfied(group: &CensusGroup, exports: &[String]) -> Option<String> {
    let Some(first) = first_of(group) else {
        return Some(format!("{} has no member that answers", group.service_group));
    };
    let cfg = exported(first);
    let missing: Vec<&str> =
        exports.iter().map(String::as_str).filter(|key| cfg.get(*key).is_none()).collect();
    (!missing.is_empty()).then(|| format!("{} does not export {}", group.service_group, missing.join(", ")))
}

/// The member whose exports count: the first that answers.
fn first_of(group: &CensusGroup) -> Option<&CensusMember> {
    group.population.values().find(|member| active(member))
}

fn bound(group: &CensusGroup) -> Json {
    let election = Election::of(group);
    let members: Vec<Json> = group
        .population
        .values()
        .filter(|member| active(member))
        .map(|member| member_json(&group.service_group, member, election))
        .collect();
    let leader = election.leader.map(|id| id.to_string());
    let leader = members.iter().find(|member| member["member_id"].as_str() == leader.as_deref()).cloned();
    json!({
        "first": leader.clone().or_else(|| members.first().cloned()),
        "leader": leader,
        "members": members,
    })
}

fn active(member: &CensusMember) -> bool {
    member.alive() || member.suspect()
}

/// A member's exported configuration; text that is not TOML exports nothing.
fn exported(member: &CensusMember) -> Json {
    member.cfg.parse::<toml::Table>().map_or_else(|_| json!({}), |cfg| config::table_to_json(&cfg))
}

fn sys_json(sys: &SysInfo) -> Json {
    json!({
        "ip": sys.ip,
        "hostname": sys.hostname,
        "gossip_ip": sys.gossip_ip,
        "gossip_port": sys.gossip_port,
        "http_gateway_ip": sys.http_gateway_ip,
        "http_gateway_port": sys.http_gateway_port,
        "ctl_gateway_ip": sys.ctl_gateway_ip,
        "ctl_gateway_port": sys.ctl_gateway_port,
    })
}

fn member_json(group: &ServiceGroup, member: &CensusMember, election: Election) -> Json {
    let mut json = common(group, member.member_id, &member.pkg, &member.sys, election);
    for (name, value) in [
        ("pkg_incarnation", Json::from(member.pkg_incarnation)),
        ("persistent", member.permanent.into()),
        ("initialized", member.initialized.into()),
        ("alive", member.alive().into()),
        ("suspect", member.suspect().into()),
        ("confirmed", member.confirmed().into()),
        ("departed", member.departed().into()),
        ("accepting", member.accepting.into()),
        ("healthy", member.healthy().into()),
        ("health", member.health.name().into()),
        ("cfg", exported(member)),
    ] {
        json.insert(name.to_owned(), value);
    }
    Json::Object(json)
}

/// This member: the service's own facts, and from the census only what it cannot know itself.
///
/// It always counts itself as healthy. A check belongs to a process, so each start would write the files with unknown
/// health and write them again after the first check, and a changed file makes many services restart.
fn own_json(own: &Own<'_>, facts: &Facts, told: Option<&CensusMember>, election: Election) -> Json {
    let mut json = common(own.group, facts.me, own.ident, &own.sys.info, election);
    for (name, value) in [
        ("pkg_incarnation", Json::from(told.map_or(0, |member| member.pkg_incarnation))),
        ("persistent", own.sys.permanent.into()),
        ("initialized", true.into()),
        ("alive", true.into()),
        ("suspect", false.into()),
        ("confirmed", false.into()),
        ("departed", false.into()),
        ("accepting", facts.accepting.into()),
        ("healthy", true.into()),
        ("health", Health::Ok.name().into()),
        ("cfg", config::table_to_json(own.exports)),
    ] {
        json.insert(name.to_owned(), value);
    }
    Json::Object(json)
}

fn common(
    group: &ServiceGroup,
    id: MemberId,
    pkg: &PackageIdent,
    sys: &SysInfo,
    election: Election,
) -> Map<String, Json> {
    let leads = election.leader == Some(id);
    let mut json = Map::new();
    for (name, value) in [
        ("member_id", Json::from(id.to_string())),
        ("pkg", ident_json(pkg)),
        ("package", pkg.to_string().into()),
        ("service", group.service().into()),
        ("group", group.group().into()),
        ("org", group.org().into()),
        ("leader", leads.into()),
        ("follower", (election.leader.is_some() && !leads).into()),
        ("update_leader", false.into()),
        ("update_follower", false.into()),
        ("sys", sys_json(sys)),
    ] {
        json.insert(name.to_owned(), value);
    }
    election.flags(&mut json);
    json
}
