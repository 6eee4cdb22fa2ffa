//! The action `load`: an operator loads a service, which its supervisor then keeps running.

use annulus_core::{ServiceGroup, Topology, UpdateCondition};
use serde::Deserialize;
use toml::Spanned;

use super::ActionError;
use super::room::{Cast, Ground, PROCESS, Room, Traced, expect, group_word, service_line, service_on};
use super::world::World;
use crate::engine::host::HostId;
use crate::engine::lead::Load;
use crate::engine::process::spec;
use crate::form::SpannedNames;
use crate::form::entry::Word;
use crate::form::keys;
use crate::form::moved::Moved;
use crate::form::reading::Reading;
use crate::form::text::Names;

/// `svc load` at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadService {
    /// The host.
    pub host: HostId,
    /// The service's name; its package is `sim/<name>`.
    pub service: String,
    /// Its options.
    pub how: Load,
}

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    load: Spanned<String>,
    on: Option<SpannedNames>,
    group: Option<Spanned<String>>,
    topology: Option<Spanned<TopologyWord>>,
    quorum: Option<Spanned<u32>>,
    suitability: Option<Spanned<u64>>,
    strategy: Option<Spanned<Strategy>>,
    condition: Option<Spanned<Condition>>,
}

impl Room for LoadService {
    type Form = Form;

    const WORD: Word = Word {
        key: "load",
        beside: "`on`: where (required); `group`: the name of its group [default]; `topology`: `standalone` (the default), or `leader`: its group elects one; with that, `quorum`: how many members an election counts at least [3], `suitability`: the member with the highest is preferred [0]; `strategy`: `none` (the default), or `at-once`: it takes newer builds; with that, `condition`: `latest` (the default) or `track-channel`",
        example: "load = \"redis\", on = \"all\", topology = \"leader\", quorum = 5, suitability = 7",
        doc: "load a service and keep it running; with topology leader its group elects one",
    };

    const COMMAND: bool = true;

    fn read(form: Form, reading: &mut Reading<'_, '_>) -> Vec<Self> {
        let Some((service, hosts)) = service_on(Self::WORD.key, &form.load, form.on.as_ref(), reading) else {
            return Vec::new();
        };
        let leader = form.topology.is_some_and(|word| word.into_inner() == TopologyWord::Leader);
        for (key, span) in [
            ("quorum", form.quorum.as_ref().map(Spanned::span)),
            ("suitability", form.suitability.as_ref().map(Spanned::span)),
        ] {
            if let Some(span) = span.filter(|_| !leader) {
                let message = format!("`{key}` says nothing of a group without a leader");
                reading.wrong(span, message, "add topology = \"leader\", or remove it");
            }
        }
        let group = form.group.and_then(|word| group_word(&service, &word, reading));
        let at_once = form.strategy.is_some_and(|word| word.into_inner() == Strategy::AtOnce);
        if let Some(word) = form.condition.as_ref().filter(|_| !at_once) {
            let message = "`condition` says nothing of a service that takes no newer builds";
            reading.wrong(word.span(), message, "add strategy = \"at-once\", or remove it");
        }
        let condition = form.condition.map_or(UpdateCondition::Latest, |word| word.into_inner().condition());
        let how = Load {
            leader,
            quorum: form.quorum.map(Spanned::into_inner),
            suitability: form.suitability.map(Spanned::into_inner),
            group,
            at_once: at_once.then_some(condition),
        };
        hosts.into_iter().map(|host| Self { host, service: service.clone(), how: how.clone() }).collect()
    }

    fn write(&self, names: &Names<'_>) -> String {
        let Load { leader, quorum, suitability, group, at_once } = &self.how;
        let mut text = service_line(Self::WORD.key, &self.service, self.host, names);
        text.extend(group.as_ref().map(|group| format!("\ngroup = {group:?}")));
        text.push_str(if *leader { "\ntopology = \"leader\"" } else { "" });
        text.extend(
            at_once.map(|condition| format!("\nstrategy = \"at-once\"\ncondition = {:?}", condition.name())),
        );
        text.extend(quorum.map(|quorum| format!("\nquorum = {quorum}")));
        text.extend(suitability.map(|suitability| format!("\nsuitability = {suitability}")));
        text
    }

    fn words(&self, cast: &Cast<'_>) -> String {
        let group = self.how.group.as_ref().map(|group| format!(" into the group {}.{group}", self.service));
        let suits = self.how.suitability.map(|value| format!(" and a suitability of {value}"));
        let led = match (self.how.leader, suits) {
            (true, suits) => format!(", in a group with a leader{}", suits.unwrap_or_default()),
            (false, _) => String::new(),
        };
        let (service, host) = (&self.service, cast.name(self.host));
        format!("an operator loads {service}{} on {host}{led}.", group.unwrap_or_default())
    }

    fn traced(&self) -> Traced {
        Traced::of_service("load-service", self.host, &self.service)
    }

    fn counted(&self) -> &'static str {
        "service load"
    }

    fn values() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![
            ("topology", keys::of::<TopologyWord>()),
            ("strategy", keys::of::<Strategy>()),
            ("condition", keys::of::<Condition>()),
        ]
    }

    fn moved(&self, hosts: &Moved<'_>) -> Option<Self> {
        Some(Self { host: hosts.one(self.host)?, ..self.clone() })
    }

    fn check(&self, ground: &dyn Ground) -> Result<(), ActionError> {
        spec(&self.service)?;
        expect(ground, self.host, "load a service", PROCESS)
    }

    fn act(&self, world: &mut World) -> Result<(), ActionError> {
        Ok(world.load_service(self.host, &self.service, &self.how)?)
    }
}

/// When a service takes a newer build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Strategy {
    None,
    AtOnce,
}

/// Which build is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Condition {
    Latest,
    TrackChannel,
}

impl Condition {
    const fn condition(self) -> UpdateCondition {
        match self {
            Self::Latest => UpdateCondition::Latest,
            Self::TrackChannel => UpdateCondition::TrackChannel,
        }
    }
}

/// How the members of a group relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TopologyWord {
    Standalone,
    Leader,
}

impl TopologyWord {
    /// The same as the core has it.
    pub(super) const fn topology(self) -> Topology {
        match self {
            Self::Standalone => Topology::Standalone,
            Self::Leader => Topology::Leader,
        }
    }
}

impl LoadService {
    /// The group that the service is in.
    pub(crate) fn group(&self) -> Option<ServiceGroup> {
        ServiceGroup::new(&self.service, self.how.group.as_deref().unwrap_or("default"), None).ok()
    }
}
