//! Carries out requests about the configuration and files of service groups. Checks what a client sent before the core
//! stores it, and never writes to the disk itself.

use annulus_core::limits::{SERVICE_CONFIG_BYTES_MAX, SERVICE_FILE_BYTES_MAX};
use annulus_core::{
    CensusMember, Command, DesiredState, FileName, Health, Node, ObstacleKind, Rumor, RumorKey, ServiceGroup,
    SlowHook, UnixTime, Version,
};

use super::group_message::{
    GroupMember, GroupQuery, GroupStatus, GroupVersion, ServiceCfg, SvcFilePut, SvcGetDefaultCfg, SvcSetCfg,
    SvcValidateCfg,
};
use super::group_seal::{self, Given};
use super::message::{self, ErrCode, NetErr};
use super::request::{self, Answer};
use super::ring_message::{FilesQuery, GroupFile, GroupFiles, GroupHandOver};
use super::{Ctl, convert, ring};
use crate::gateway::disk;
use crate::host::clock;
use crate::{package, prepare};

/// A line for the operator that begins so is for standard error.
pub const WARNING: &str = "warning: ";

fn invalid(reason: impl std::fmt::Display) -> NetErr {
    NetErr::new(ErrCode::InvalidPayload, reason.to_string())
}

fn group(group: Option<&message::ServiceGroup>) -> Result<ServiceGroup, NetErr> {
    let group = group.ok_or_else(|| {
        NetErr::new(ErrCode::UpdateClient, "the request names no service group; update the client")
    })?;
    let text = convert::group_text(group);
    text.parse().map_err(|error| invalid(format_args!("{text:?}: {error}")))
}

fn file_name(name: &str) -> Result<FileName, NetErr> {
    name.parse().map_err(|error| invalid(format_args!("{name:?}: {error}")))
}

fn required<T>(field: Option<T>, what: &str) -> Result<T, NetErr> {
    let absent =
        || NetErr::new(ErrCode::UpdateClient, format!("the request has no {what}; update the client"));
    field.ok_or_else(absent)
}

/// Whether a text can be a group's configuration, which sets nothing only where that `may_be_empty`; the reason names line
/// and column.
///
/// # Errors
/// It is too long, not TOML, or empty.
pub fn check_config(cfg: &[u8], may_be_empty: bool) -> Result<toml::Table, NetErr> {
    if cfg.len() > SERVICE_CONFIG_BYTES_MAX {
        return Err(too_large("configuration", SERVICE_CONFIG_BYTES_MAX));
    }
    let text = std::str::from_utf8(cfg)
        .map_err(|error| invalid(format_args!("not text: byte {} is not UTF-8", error.valid_up_to() + 1)))?;
    match text.parse::<toml::Table>() {
        // Refused here once, before every member of the group would have to refuse it.
        Ok(table) if prepare::is_too_deep(&table) => {
            Err(invalid("its tables lie in each other too deep for a configuration; flatten them"))
        }
        // A command before a pipe that failed leaves nothing, too.
        Ok(table) if table.is_empty() && !may_be_empty => Err(invalid(
            "it sets nothing, and would take back all that was given to the group before; if that is meant, give --empty",
        )),
        Ok(table) => Ok(table),
        Err(error) => Err(invalid(format_args!("not valid TOML: {}", error.to_string().trim_end()))),
    }
}

/// Whether a file can be a group's. An empty one withdraws what had its name, whatever that is.
///
/// # Errors
/// It is too long, or its name is none that a member would write.
pub fn check_file(name: &FileName, body: &[u8]) -> Result<(), NetErr> {
    if !body.is_empty() && !prepare::is_plain_name(name.as_str()) {
        return Err(invalid(format_args!(
            "no member would write a file named {:?}: a name begins with no dot, has at most 255 bytes, no slash and no control characters; rename it",
            name.as_str()
        )));
    }
    if body.len() > SERVICE_FILE_BYTES_MAX {
        return Err(too_large("file", SERVICE_FILE_BYTES_MAX));
    }
    Ok(())
}

fn too_large(what: &str, limit: usize) -> NetErr {
    let text = format!("the {what} has more than {limit} bytes, which is what a ring carries");
    NetErr::new(ErrCode::EntityTooLarge, text)
}

pub(super) async fn set_cfg(ctl: &Ctl, request: SvcSetCfg) -> Result<Answer, NetErr> {
    let group = group(request.service_group.as_ref())?;
    let version = required(request.version, "version")?;
    let toml = required(request.cfg, "configuration")?;
    let allow_leap = request.allow_leap.unwrap_or_default();
    if request.is_encrypted == Some(true) {
        let given = Given { group: group.clone(), file: None, version };
        let (toml, remarks) = group_seal::check(ctl, given, toml, request.signature).await?;
        let command = Command::ApplyConfig { group, version, toml, allow_leap, is_sealed: true };
        request::command(ctl, command).await?;
        return Ok(Answer::Done(remarks));
    }
    let table = check_config(&toml, request.empty.unwrap_or_default())?;
    if !table.is_empty() {
        group_seal::refuse_plain(ctl, &Given { group: group.clone(), file: None, version }).await?;
    }
    let mut remarks = remarks(ctl, &group, &table).await;
    remarks.extend(other_organization(ctl, &group).await);
    request::command(ctl, Command::ApplyConfig { group, version, toml, allow_leap, is_sealed: false })
        .await?;
    Ok(Answer::Done(remarks))
}

/// What an operator should know of a configuration that is taken all the same: how it differs in kind from the defaults
/// of the service's package.
async fn remarks(ctl: &Ctl, group: &ServiceGroup, given: &toml::Table) -> Vec<String> {
    match defaults(ctl, group).await {
        Ok(Some(defaults)) => {
            let found = prepare::differences(&defaults, given).into_iter();
            found.map(|difference| format!("{WARNING}{difference}")).collect()
        }
        Ok(None) => Vec::new(),
        Err(why) => vec![format!("· Not compared with the defaults of {}: {why}", group.service())],
    }
}

/// That no member serves the group by this name, and which groups of an organization are meant by it as likely.
async fn other_organization(ctl: &Ctl, group: &ServiceGroup) -> Option<String> {
    let (asked, name) = (group.clone(), group.to_string());
    if group.org().is_some() {
        return None;
    }
    let looked = ctl.handle.read(move |node| {
        let census = node.census();
        let is_alike = |other: &&ServiceGroup| {
            other.org().is_some() && (other.service(), other.group()) == (asked.service(), asked.group())
        };
        let is_served = census.group(&asked).is_some_and(|group| !group.population.is_empty());
        let alike: Vec<String> = census.groups.keys().filter(is_alike).map(ToString::to_string).collect();
        (!is_served).then_some(alike)
    });
    let alike = looked.await.ok().flatten().filter(|alike| !alike.is_empty())?;
    Some(format!(
        "{WARNING}no member serves {name}, and {} is another group: what is meant for that one is given under its whole name",
        alike.join(" and ")
    ))
}

/// What the package of a group's service sets by default: of the service that is loaded here, else of the package that
/// members of the group run, else of the newest one here that has the service's name. None where that sets nothing.
async fn defaults(ctl: &Ctl, group: &ServiceGroup) -> Result<Option<toml::Table>, String> {
    let of_group = group.clone();
    let looked = ctl.handle.read(move |node| {
        let loaded = node.services().into_iter().find(|view| view.group == of_group);
        let census = node.census();
        let population = census.group(&of_group).into_iter().flat_map(|group| group.population.values());
        (loaded.map(|view| view.spec.name()), population.map(|member| member.pkg.clone()).next())
    });
    let (loaded, pkg) = looked.await.map_err(|gone| gone.to_string())?;
    if let Some(entry) = loaded.and_then(|service| ctl.ledger.get(&service)) {
        return Ok(entry.layers.table(prepare::Layer::Default).cloned());
    }
    let (root, service) = (ctl.root.clone(), group.service().to_owned());
    let read = disk::read(move || {
        let found = pkg.and_then(|ident| {
            let of_name = format!("{}/{}", ident.origin(), ident.name()).parse().ok()?;
            package::newest(&root, &ident).or_else(|_| package::newest(&root, &of_name)).ok()
        });
        let found = match found {
            Some(package) => Some(package),
            None => {
                let all = package::list(&root).map_err(|error| error.to_string())?;
                all.into_iter().rfind(|package| package.ident().name() == service)
            }
        };
        let package = found.ok_or("no package of it is installed on this host")?;
        package::load_table(&package.path().join("default.toml")).map_err(|error| error.to_string())
    });
    read.await.map_err(|failed| failed.to_string())?
}

pub(super) async fn file_put(ctl: &Ctl, request: SvcFilePut) -> Result<Answer, NetErr> {
    let group = group(request.service_group.as_ref())?;
    let name = file_name(&required(request.filename, "file name")?)?;
    let version = required(request.version, "version")?;
    let body = required(request.content, "content")?;
    let allow_leap = request.allow_leap.unwrap_or_default();
    let given = Given { group: group.clone(), file: Some(name.clone()), version };
    if request.is_encrypted == Some(true) {
        let (body, remarks) = group_seal::check(ctl, given, body, request.signature).await?;
        let command = Command::PutFile { group, name, version, body, allow_leap, is_sealed: true };
        request::command(ctl, command).await?;
        return Ok(Answer::Done(remarks));
    }
    check_file(&name, &body)?;
    if !body.is_empty() {
        group_seal::refuse_plain(ctl, &given).await?;
    }
    request::command(ctl, Command::PutFile { group, name, version, body, allow_leap, is_sealed: false })
        .await?;
    Ok(Answer::Done(Vec::new()))
}

pub(super) fn validate_cfg(request: &SvcValidateCfg) -> Result<Answer, NetErr> {
    group(request.service_group.as_ref())?;
    check_config(&required(request.cfg.as_ref(), "configuration")?[..], true)?;
    Ok(Answer::Done(Vec::new()))
}

pub(super) async fn default_cfg(ctl: &Ctl, request: SvcGetDefaultCfg) -> Result<Answer, NetErr> {
    let ident = convert::ident(request.ident.as_ref())?;
    let view = request::find(ctl, &ident).await?;
    let ident = view.running.as_ref().unwrap_or(&view.spec.ident);
    let path = request::installed(ctl, ident).await?.path().join("default.toml");
    let read = disk::read(move || match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(NetErr::new(ErrCode::Io, format!("{}: {error}", path.display()))),
    });
    let text = read.await.map_err(|failed| NetErr::new(ErrCode::Internal, failed.to_string()))??;
    Ok(Answer::message(&ServiceCfg { format: Some(0), default: Some(text) }))
}

pub(super) async fn query(ctl: &Ctl, request: GroupQuery) -> Result<Answer, NetErr> {
    let group = group(request.service_group.as_ref())?;
    let name = request.filename.as_deref().map(file_name).transpose()?;
    let (wants_body, is_sealed) = (request.body, request.is_sealed);
    let status = ctl.handle.read(move |node| {
        let own = node.services().into_iter().find(|view| view.group == group);
        let hostname = node.config().sys.hostname.clone();
        (own, hostname, status(node, (group, name, is_sealed), wants_body))
    });
    let answered = status.await.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?;
    let (own, hostname, mut status) = answered;
    let here = status.answered_by.clone();
    let is_wanted = own.as_ref().is_some_and(|view| view.spec.desired == DesiredState::Up);
    if is_wanted && status.members.iter().all(|member| member.member_id != here) {
        // The ring hears of a service once it is prepared; one that cannot be has not applied the version either.
        let member_id = here.clone();
        status.members.push(GroupMember { member_id, hostname, alive: true, ..GroupMember::default() });
    }
    let is_mine =
        |member: &&mut GroupMember| member.member_id == here && (!member.applied || member.missing.is_some());
    let mine = status.members.iter_mut().find(is_mine);
    if let Some((member, view)) = mine.zip(own) {
        member.missing = Some(missing_here(&request::status(ctl, &view)));
    }
    Ok(Answer::message(&status))
}

/// Why a service of this supervisor has not applied a version.
fn missing_here(status: &message::ServiceStatus) -> String {
    let mut words: Vec<String> = status.obstacles.iter().map(|obstacle| obstacle.what.clone()).collect();
    words.extend(status.hooks.iter().map(convert::hook_text));
    if words.is_empty() {
        let state = status.state.as_deref().unwrap_or_default();
        words.push(match (state, &status.waiting_for) {
            ("up", _) => "it runs, and no health check has found it well since".to_owned(),
            (_, Some(what)) => format!("waits for {what}"),
            _ => format!("it is {state}"),
        });
    }
    words.join("; ")
}

/// Why a service of another member has not applied a version, as far as the ring knows: of what stands in its way there
/// the ring is told the kind.
fn missing_there(member: &CensusMember, wall: UnixTime) -> String {
    let mut known: Vec<String> =
        member.slow_hook.map(|slow| convert::hook_text(&running(slow, wall))).into_iter().collect();
    known.extend(member.held_back.iter().map(|kind| in_its_way(*kind).to_owned()));
    if !member.initialized {
        known.push("its process does not run".to_owned());
    } else if member.health == Health::Critical {
        known.push("its health check is critical".to_owned());
    }
    let more = format!("`annulus svc status` on {} tells", member.sys.hostname);
    match known.join(", ") {
        none if none.is_empty() => format!("{more} what stands in its way"),
        known => format!("{known}; {more} more"),
    }
}

/// A hook of another member, since when by the clocks of both hosts.
fn running(slow: SlowHook, wall: UnixTime) -> message::RunningHook {
    let elapsed_ms = wall.as_millis().saturating_sub(slow.since.as_millis()).min(slow.limit_ms);
    message::RunningHook { hook: slow.hook.name().to_owned(), elapsed_ms, limit_ms: slow.limit_ms }
}

/// What a kind of obstacle means for an operator on another host.
const fn in_its_way(kind: ObstacleKind) -> &'static str {
    match kind {
        ObstacleKind::Package => "its package cannot be used",
        ObstacleKind::Template => "a template cannot be rendered with it",
        ObstacleKind::Layer => "a layer of its configuration cannot be used",
        ObstacleKind::Key => "it lacks a key for what was sealed, or may not take it plain",
        ObstacleKind::File => "a file cannot be written",
        ObstacleKind::Rights => "it cannot have its user or rights",
        ObstacleKind::Spec => "its options do not fit its package",
        ObstacleKind::Bind => "a strict bind has no member",
        ObstacleKind::Election => "its group has no leader yet",
        ObstacleKind::Hook => "a hook failed",
        ObstacleKind::Process => "its process ended",
        ObstacleKind::Health => "its health check finds it ill",
        ObstacleKind::Guard => "its guard could not be told",
        ObstacleKind::Disk => "the disk has not taken what is wanted",
    }
}

pub(super) async fn hand_over(ctl: &Ctl, asked: GroupHandOver) -> Result<Answer, NetErr> {
    let group = group(asked.service_group.as_ref())?;
    request::command(ctl, Command::HandOver { group: group.clone() }).await?;
    Ok(Answer::Done(vec![format!("the lead of {group} is handed over")]))
}

pub(super) async fn files(ctl: &Ctl, request: FilesQuery) -> Result<Answer, NetErr> {
    let group = group(request.service_group.as_ref())?;
    let files = ctl.handle.read(move |node| list(node, &group)).await;
    Ok(Answer::message(&files.map_err(|gone| NetErr::new(ErrCode::Conflict, gone.to_string()))?))
}

fn list(node: &Node, group: &ServiceGroup) -> GroupFiles {
    let census = node.census();
    let versions = census.group(group).map(|group| &group.versions);
    let sealed = versions.into_iter().flat_map(|versions| versions.sealed_files.keys());
    let hidden = |name: &FileName| versions.is_some_and(|versions| versions.sealed_files.contains_key(name));
    let plain = versions.into_iter().flat_map(|versions| versions.files.keys()).filter(|name| !hidden(name));
    let mut keys: Vec<(&FileName, RumorKey)> = sealed
        .map(|name| (name, RumorKey::sealed(group.clone(), Some(name.clone()))))
        .chain(plain.map(|name| (name, RumorKey::given(group.clone(), Some(name.clone())))))
        .collect();
    keys.sort();
    let files = keys.into_iter().filter_map(|(name, key)| {
        let current = node.rumor(&key).and_then(Rumor::version)?;
        let taken_in = node
            .history(&key)
            .into_iter()
            .rev()
            .find(|entry| (entry.version, entry.hash) == (current.number, current.hash()));
        let at_ms = taken_in.map(|entry| entry.at.as_millis());
        Some(GroupFile {
            name: name.to_string(),
            version: Some(GroupVersion { at_ms, ..group_version(current) }),
            is_sealed: matches!(key, RumorKey::SealedFile { .. }),
            writer_host: current.writer.map(|id| ring::host(node, &census, &id)).unwrap_or_default(),
        })
    });
    GroupFiles { files: files.collect() }
}

fn status(
    node: &Node,
    (group, name, is_sealed): (ServiceGroup, Option<FileName>, Option<bool>),
    wants_body: bool,
) -> GroupStatus {
    let sealed = RumorKey::sealed(group.clone(), name.clone());
    let is_sealed = is_sealed.unwrap_or_else(|| node.rumor(&sealed).is_some());
    let key = if is_sealed { sealed } else { RumorKey::given(group.clone(), name.clone()) };
    let current = node.rumor(&key).and_then(Rumor::version);
    let census = node.census();
    let population = census.group(&group).into_iter().flat_map(|group| group.population.values());
    let (digest, wall) = (node.versions_digest(&group), clock::wall());
    let number = current.map_or(0, |version| version.number);
    let members = population.map(|member| {
        let applied = number > 0 && node.runs_with(&group, name.as_ref(), member.versions_digest);
        let is_whole = applied && member.versions_digest == digest;
        GroupMember {
            member_id: member.member_id.to_string(),
            hostname: member.sys.hostname.clone(),
            alive: member.alive(),
            applied,
            version: name.is_none().then_some(member.config_incarnation),
            missing: (!is_whole).then(|| missing_there(member, wall)),
        }
    });
    let members = members.collect();
    let history = node.history(&key).into_iter().map(|entry| GroupVersion {
        version: entry.version,
        writer: entry.writer.map(|id| id.to_string()).unwrap_or_default(),
        bytes: entry.bytes,
        hash: entry.hash,
        at_ms: Some(entry.at.as_millis()),
    });
    let losers = current.into_iter().flat_map(Version::losers).filter_map(|loser| loser.writer);
    GroupStatus {
        current: current.map(group_version),
        members,
        history: history.collect(),
        body: current.filter(|_| wants_body).map(|version| version.body.clone()),
        losers: losers.map(|id| id.to_string()).collect(),
        answered_by: node.id().to_string(),
        is_sealed,
    }
}

fn group_version(version: &Version) -> GroupVersion {
    GroupVersion {
        version: version.number,
        writer: version.writer.map(|id| id.to_string()).unwrap_or_default(),
        bytes: version.body.len() as u64,
        hash: version.hash(),
        at_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_text_names_its_line() {
        let check_config = |cfg: &[u8]| check_config(cfg, false);
        assert_eq!(check_config(b"a = 1\n[t]\nb = 'x'\n").map(|table| table.len()), Ok(2));
        let error = check_config(b"a = 1\nb = = 2\n").expect_err("not TOML");
        assert!(error.msg.contains("line 2"), "{}", error.msg);
        let deep = format!("[{}]\n", vec!["t"; 30].join("."));
        assert!(check_config(deep.as_bytes()).expect_err("31 tables").msg.contains("too deep"));
        assert!(check_config(b"a = '\xff'").expect_err("not text").msg.contains("byte 6"));
        let large = vec![b'#'; SERVICE_CONFIG_BYTES_MAX + 1];
        let error = check_config(&large).expect_err("too large");
        assert_eq!(error.code, i32::from(ErrCode::EntityTooLarge));
    }

    #[test]
    fn what_sets_nothing_has_to_be_meant() {
        for nothing in ["", "\n", "# port = 80\n"] {
            let error = check_config(nothing.as_bytes(), false).expect_err("it takes everything back");
            assert!(error.msg.contains("--empty"), "{}", error.msg);
            assert_eq!(check_config(nothing.as_bytes(), true), Ok(toml::Table::new()), "{nothing:?}");
        }
    }
}
