//! The shape of a room, which is the file of one action, and helpers that rooms share.

use annulus_core::{MemberId, ServiceName};
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::world::World;
use super::{Action, ActionError};
use crate::engine::host::{HostId, HostState};
use crate::engine::launcher::LauncherState;
use crate::engine::link::Ratio;
use crate::engine::scene::Scene;
use crate::form::entry::{Entry, Kind, Word};
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;
use crate::form::{SpannedNames, keys};

/// An action. Its file holds all that is known of it; `mod.rs` lists the files.
pub(crate) trait Room: Sized + Into<Action> {
    /// The table of a scenario file that asks for it, without the time.
    type Form: DeserializeOwned;

    /// Its word, as `annulus-sim list` and messages show it.
    const WORD: Word;

    /// The same as a list, for the list of all.
    const WORDS: &'static [Word] = &[Self::WORD];

    /// Whether it is an operator's command, which a supervisor answers and may refuse.
    const COMMAND: bool = false;

    /// The actions that a table asks for, one for each host as a rule. Reports mistakes in it.
    fn read(form: Self::Form, reading: &mut Reading<'_, '_>) -> Vec<Self>;

    /// The entry that is read as this, each line after a line break.
    fn write(&self, names: &Names<'_>) -> String;

    /// The action as a sentence.
    fn words(&self, cast: &Cast<'_>) -> String;

    /// The action as traces have it.
    fn traced(&self) -> Traced;

    /// The lists of words that can stand in its table, by their names.
    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        Vec::new()
    }

    /// The name under which a sweep counts it.
    fn counted(&self) -> &'static str {
        self.traced().name
    }

    /// The same for other hosts; none when no host is left that it could be done to.
    fn moved(&self, hosts: &Moved<'_>) -> Option<Self>;

    /// The parts of the file without which it does nothing.
    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    /// Whether it is possible now.
    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError>;

    /// Does it; it is possible.
    fn act(&self, world: &mut World) -> Result<(), ActionError>;
}

/// How a room's word is read.
pub(super) const fn kind<R: Room>() -> Kind<Vec<Action>> {
    Kind { words: R::WORDS, keys: keys::of::<R::Form>, values: R::values, read: read::<R> }
}

fn read<R: Room>(entry: Entry<'_>, reading: &mut Reading<'_, '_>) -> Vec<Action> {
    match entry.table::<R::Form>(reading.problems) {
        Some(form) => R::read(form, reading).into_iter().map(Into::into).collect(),
        None => Vec::new(),
    }
}

/// An action in a trace: its name there, and the hosts on both sides of it.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    pub(crate) name: &'static str,
    /// The hosts that act; of links, the senders.
    pub(crate) from: Vec<HostId>,
    /// The hosts that it is done to; of links, the receivers.
    pub(crate) to: Vec<HostId>,
    /// Whether it is the same the other way round.
    pub(crate) both: bool,
    /// The share of packets that is lost from now on.
    pub(crate) loss: Option<Ratio>,
    /// The service that it is about.
    pub(crate) service: Option<String>,
}

impl Traced {
    pub(super) fn everywhere(name: &'static str) -> Self {
        Self::between(name, &[], &[])
    }

    pub(super) fn at(name: &'static str, host: HostId) -> Self {
        Self::between(name, &[], &[host])
    }

    pub(super) fn between(name: &'static str, from: &[HostId], to: &[HostId]) -> Self {
        Self { name, from: from.to_vec(), to: to.to_vec(), both: false, loss: None, service: None }
    }

    /// About a service on a host.
    pub(super) fn of_service(name: &'static str, host: HostId, service: &str) -> Self {
        Self { service: Some(service.to_owned()), ..Self::at(name, host) }
    }
}

/// More names than this are counted instead.
pub(crate) const NAMES_MAX: usize = 6;

/// The members that take part, by the names under which a story tells of them.
pub(crate) struct Cast<'a> {
    /// Every host's name.
    pub(crate) names: &'a [String],
}

impl Cast<'_> {
    pub(super) fn name(&self, host: HostId) -> &str {
        self.names.get(host.0 as usize).map_or("an unknown host", String::as_str)
    }

    pub(super) fn ends(&self, from: &[HostId], to: &[HostId]) -> String {
        if from.is_empty() && to.is_empty() {
            String::from("everywhere")
        } else {
            format!("from {} to {}", self.list(from), self.list(to))
        }
    }

    pub(super) fn list(&self, hosts: &[HostId]) -> String {
        let name = |host: &HostId| self.name(*host);
        match hosts {
            [] => String::from("all members"),
            [one] => name(one).to_owned(),
            hosts if hosts.len() == self.names.len() && hosts.len() > NAMES_MAX => {
                format!("all {} members", hosts.len())
            }
            [first, .., last] if hosts.len() > NAMES_MAX => {
                format!("{} to {} ({} members)", name(first), name(last), hosts.len())
            }
            [head @ .., last] => {
                let head: Vec<&str> = head.iter().map(name).collect();
                format!("{} and {}", head.join(", "), name(last))
            }
        }
    }
}

/// A share in words.
pub(super) fn share(ratio: Ratio) -> String {
    let hundredths = u64::from(ratio.numerator) * 10_000 / u64::from(ratio.denominator.max(1));
    if hundredths % 100 == 0 {
        format!("{}%", hundredths / 100)
    } else {
        format!("{}.{:02}%", hundredths / 100, hundredths % 100)
    }
}

/// The facts of a ring that decide whether an action is possible.
pub(crate) trait Ground: Scene {
    /// Hosts, running or not.
    fn host_count(&self) -> usize;
    /// Whether a service has a process on a host.
    fn has_process(&self, host: HostId, service: &ServiceName) -> bool;
    /// Whether a host's launcher runs; gone also where no action can stop it alone.
    fn launcher(&self, _host: HostId) -> LauncherState {
        LauncherState::Gone
    }
    /// Whether a host's disk stands still, and no supervisor can start from it.
    fn disk_stands_still(&self, _host: HostId) -> bool {
        false
    }
}

impl Ground for World {
    fn host_count(&self) -> usize {
        self.hosts.len()
    }

    fn has_process(&self, host: HostId, service: &ServiceName) -> bool {
        self.hosts[host.0 as usize].rest.guards.get(service).is_some()
    }

    fn launcher(&self, host: HostId) -> LauncherState {
        self.launcher(host)
    }

    fn disk_stands_still(&self, host: HostId) -> bool {
        self.disk_stands_still(host.0)
    }
}

/// States in which a supervisor has a process.
pub(super) const PROCESS: &[HostState] = &[HostState::Running, HostState::Paused];

/// Such hosts exist.
pub(super) fn known<'h>(
    ground: &dyn Ground,
    hosts: impl IntoIterator<Item = &'h HostId>,
) -> Result<(), ActionError> {
    match hosts.into_iter().find(|host| host.0 as usize >= ground.host_count()) {
        None => Ok(()),
        Some(host) => Err(ActionError::UnknownHost(host.0)),
    }
}

/// The host is in one of these states, or cannot do what the verb says.
pub(super) fn expect(
    ground: &dyn Ground,
    host: HostId,
    verb: &'static str,
    states: &[HostState],
) -> Result<(), ActionError> {
    known(ground, [&host])?;
    let state = ground.state(host);
    if states.contains(&state) {
        return Ok(());
    }
    let state = match state {
        HostState::New => "has not joined yet",
        HostState::Running => "runs",
        HostState::Paused => "is paused",
        HostState::Stopped => "has no supervisor running",
        HostState::Crashed => "is crashed",
    };
    Err(ActionError::State { host: ground.name(host).to_owned(), verb, state })
}

/// A supervisor can read its disk, or cannot do what the verb says.
pub(super) fn expect_disk(ground: &dyn Ground, host: HostId, verb: &'static str) -> Result<(), ActionError> {
    match ground.disk_stands_still(host) {
        false => Ok(()),
        true => {
            let state = "has a disk that stands still";
            Err(ActionError::State { host: ground.name(host).to_owned(), verb, state })
        }
    }
}

/// The host's launcher is in one of these states, or cannot do what the verb says.
pub(super) fn expect_launcher(
    ground: &dyn Ground,
    host: HostId,
    verb: &'static str,
    states: &[LauncherState],
) -> Result<(), ActionError> {
    known(ground, [&host])?;
    let state = ground.launcher(host);
    if states.contains(&state) {
        return Ok(());
    }
    let state = match state {
        LauncherState::Gone => "has none",
        LauncherState::Running => "runs",
        LauncherState::Paused => "is paused",
    };
    Err(ActionError::Launcher { host: ground.name(host).to_owned(), verb, state })
}

/// The service has a process on the host, or cannot do what the verb says.
pub(super) fn expect_process(
    ground: &dyn Ground,
    host: HostId,
    service: &str,
    verb: &'static str,
) -> Result<(), ActionError> {
    known(ground, [&host])?;
    if ground.has_process(host, &crate::engine::process::name(service)?) {
        return Ok(());
    }
    let host = ground.name(host).to_owned();
    Err(ActionError::ServiceNotRunning { host, service: service.to_owned(), verb })
}

/// The member that runs, or last ran, on a host.
pub(crate) fn member_of(ground: &dyn Ground, host: HostId) -> Result<MemberId, ActionError> {
    ground.member_id(host).ok_or_else(|| ActionError::NoMember(ground.name(host).to_owned()))
}

/// A service and its hosts, of a table that begins with the service's name.
pub(super) fn service_on(
    key: &str,
    word: &Spanned<String>,
    on: Option<&SpannedNames>,
    reading: &mut Reading<'_, '_>,
) -> Option<(String, Vec<HostId>)> {
    let service: ServiceName = reading.parsed(word, "a service", "web")?;
    let Some(on) = on else {
        let message = format!("`{key}` does not name the host");
        reading.wrong(word.span(), message, "add on = \"ada\", or on = \"all\"");
        return None;
    };
    Some((service.as_str().to_owned(), reading.hosts(on)))
}

/// The head of an entry about a service on a host.
pub(super) fn service_line(key: &str, service: &str, host: HostId, names: &Names<'_>) -> String {
    format!("\n{key} = {service:?}{}", names.line("on", host))
}

/// The name of a service's group, as `svc load --group` takes it.
pub(super) fn group_word(
    service: &str,
    word: &Spanned<String>,
    reading: &mut Reading<'_, '_>,
) -> Option<String> {
    let group = word.get_ref();
    if annulus_core::ServiceGroup::new(service, group, None).is_err() || group.contains('.') {
        let help = "name the group alone, for example group = \"cache\"";
        reading.wrong(word.span(), format!("{group:?} cannot be the name of a group"), help);
        return None;
    }
    Some(group.clone())
}

/// A time in milliseconds, as commands have it.
pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
