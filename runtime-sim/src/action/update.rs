//! The action `update`: an operator changes some options of a loaded service.

use annulus_core::{Command, ServiceGroup, SpecChange, Topology};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::load::TopologyWord;
use super::publish::version_word;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, group_word, service_line, service_on};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::process::{build, name};
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::moved::Moved;
use crate::form::need::Need;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// `svc update` at a host; what is none stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateService {
    /// The host.
    pub host: HostId,
    /// The service's name.
    pub service: String,
    /// The name of its new group.
    pub group: Option<String>,
    /// The relation of the group's members.
    pub topology: Option<Topology>,
    /// How many members an election counts at least.
    pub quorum: Option<u32>,
    /// The version of the build that is to run; given alone.
    pub to: Option<String>,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    update: Spanned<String>,
    on: Option<SpannedNames>,
    group: Option<Spanned<String>>,
    topology: Option<Spanned<TopologyWord>>,
    quorum: Option<Spanned<u32>>,
    to: Option<Spanned<String>>,
}

impl Room for UpdateService {
    type Form = Form;

    const WORD: Word = Word {
        key: "update",
        beside: "`on` (required); of `group`, `topology` and `quorum`, as with `load`, those that change; or `to` alone: the version that is to run",
        example: "update = \"redis\", on = \"ada\", group = \"cache\"",
        doc: "change some options of a loaded service; its process is replaced only where it has to be",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.update, form.on.as_ref(), reading)
        else {
            return Vec::new();
        };
        let changes = form.group.is_some() || form.topology.is_some() || form.quorum.is_some();
        let to = match form.to {
            Some(word) if changes => {
                reading.wrong(word.span(), "`to` stands alone", "give the options an entry of their own");
                return Vec::new();
            }
            Some(word) => match version_word(&service, &word, reading) {
                Some(version) => Some(version),
                None => return Vec::new(),
            },
            None => None,
        };
        if !changes && to.is_none() {
            let help = "add group = \"cache\", topology = \"leader\", quorum = 5 or to = \"1.1\"";
            reading.wrong(form.update.span(), "`update` changes nothing", help);
            return Vec::new();
        }
        let group = match &form.group {
            Some(word) => match group_word(&service, word, reading) {
                Some(group) => Some(group),
                None => return Vec::new(),
            },
            None => None,
        };
        let topology = form.topology.map(|word| word.into_inner().topology());
        let quorum = form.quorum.map(Spanned::into_inner);
        let on = |host| {
            let (service, group, to) = (service.clone(), group.clone(), to.clone());
            Self { host, service, group, topology, quorum, to }
        };
        hosts.into_iter().map(on).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let mut text = service_line(Self::WORD.key, &self.service, self.host, names);
        text.extend(self.group.as_ref().map(|group| format!("\ngroup = {group:?}")));
        text.extend(self.topology.map(|topology| format!("\ntopology = {:?}", topology.name())));
        text.extend(self.quorum.map(|quorum| format!("\nquorum = {quorum}")));
        text.extend(self.to.as_ref().map(|to| format!("\nto = {to:?}")));
        text
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let mut changes = Vec::new();
        changes.extend(self.group.as_ref().map(|group| format!("its group is {}.{group}", self.service)));
        changes.extend(self.topology.map(|topology| format!("its topology is {topology}")));
        changes.extend(self.quorum.map(|quorum| format!("its elections count {quorum} members at least")));
        changes.extend(self.to.as_ref().map(|to| format!("it is to run {to}")));
        let host = cast.name(self.host);
        format!("an operator updates {} on {host}: from now on {}.", self.service, changes.join(", "))
    }

    fn traced(&self) -> Traced {
        Traced::of_service("update-service", self.host, &self.service)
    }

    fn counted(&self) -> &'static str {
        "service update"
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::loaded(&self.service, self.host)]
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        name(&self.service)?;
        expect(ground, self.host, "change a service", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        let change = SpecChange {
            group: self.group.clone(),
            topology: self.topology,
            quorum: self.quorum.map(Some),
            to: self.to.as_ref().and_then(|version| build(&self.service, version)),
            ..SpecChange::default()
        };
        let service = name(&self.service)?;
        world.command(self.host, Command::UpdateService { service, change: Box::new(change) });
        Ok(())
    }
}

impl UpdateService {
    /// The group that the service moves to, where it does.
    pub(crate) fn new_group(&self) -> Option<ServiceGroup> {
        ServiceGroup::new(&self.service, self.group.as_deref()?, None).ok()
    }
}
